# SPDX-License-Identifier: Apache-2.0
"""TLS on both sides, against OpenSSL and Python's ssl as peers: who is
verified, who is refused and why, and that bytes and ends arrive."""
import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import threading
import time
import warnings

import lib
import pki
from lib import Client, fetch, pattern


class Service:
    """An HTTPS service on ssl sockets: GET /N is N bytes of the pattern,
    POST is answered with the body's length, /cut/N promises N bytes by the
    close and ends without a close_notify."""

    def __init__(self, case, certificate, key, setup=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if setup:
            setup(context)
        self.context, self.handshakes, self.resumed = context, 0, 0
        self.seen, self.names = [], []
        context.sni_callback = self.on_name
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        case.cleanups.append(self.listener.close)

    def on_name(self, _socket, name, _context):
        self.names.append(name)

    def url(self, host="localhost"):
        return "https://%s:%d" % (host, self.port)

    def accept(self):
        while True:
            try:
                accepted = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.run, args=(accepted,),
                             daemon=True).start()

    def run(self, accepted):
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Client.__new__(Client)
        connection.buffer = b""
        try:
            connection.socket = self.context.wrap_socket(
                accepted, server_side=True, suppress_ragged_eofs=False)
            self.handshakes += 1
            self.resumed += connection.socket.session_reused
            while self.serve(connection):
                pass
        except (EOFError, OSError):
            pass
        accepted.close()

    def serve(self, connection):
        head = connection.until(b"\r\n\r\n").decode("latin-1")
        peer = connection.socket.getpeercert()
        self.seen.append((head, peer))
        target = head.split(" ", 2)[1]
        size = int(target.rsplit("/", 1)[1] or 0)
        fields = dict(line.split(": ", 1) for line in
                      head.lower().split("\r\n")[1:])
        if target.startswith("/cut/"):
            connection.send(b"HTTP/1.1 200 OK\r\n\r\n" + pattern(size))
            half_close(connection)
            return False
        if target.startswith("/ended/"):
            connection.send(b"HTTP/1.1 200 OK\r\n\r\n" + pattern(size))
            connection.socket.unwrap()
            return False
        if "content-length" in fields:
            got = connection.exactly(int(fields["content-length"]))
            good = got == pattern(len(got))
            body = b"%d %d" % (len(got), good)
        else:
            body = pattern(size)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
                        % len(body) + body)
        return "close" not in fields.get("connection", "")


def logged(process, name, words):
    return lib.wait_for(lambda: any(name in line and words in line for line
                                    in process.err().splitlines()),
                        "a line %s with %r" % (name, words))


# ---- upstream -------------------------------------------------------------

def make_certificates(case):
    p = pki.Pki(case)
    for name in ("ca", "other-ca"):
        p.authority(name)
    p.leaf("good", "DNS:localhost,IP:127.0.0.1", "ca")
    p.leaf("expired", "DNS:localhost", "ca", days=0)
    p.leaf("wrong-name", "DNS:elsewhere.example", "ca")
    p.leaf("stranger", "DNS:localhost", "other-ca")
    p.self_signed("self", "DNS:localhost")
    p.leaf("me", "DNS:matapalo.example", "ca", subject='/O=Shop "1"/CN=me')
    p.leaf("me-expired", "DNS:matapalo.example", "ca", days=0)
    p.leaf("me-stranger", "DNS:matapalo.example", "other-ca")
    p.leaf("shop", "DNS:shop.example,DNS:own.wild.example", "ca")
    p.leaf("wild", "DNS:*.wild.example", "ca")
    p.leaf("renewed", "DNS:localhost", "ca")
    return p


def target(url, **tls):
    return {"url": url, "tls": tls} if tls else {"url": url}


def upstream_table(case, p):
    """One row a service: what is presented, how it is asked, what happens."""
    good = Service(case, p.pem("good"), p.keyfile("good"))
    made = {name: Service(case, p.pem(name), p.keyfile(name))
            for name in ("expired", "wrong-name", "stranger", "self")}
    ca = p.pem("ca")
    rows = [
        ("good", good, dict(ca=ca), None),
        ("by-address", good, dict(ca=ca), None),
        ("system", good, {}, "unable to get local issuer certificate"),
        ("expired", made["expired"], dict(ca=ca), "certificate has expired"),
        ("wrong-name", made["wrong-name"], dict(ca=ca), "hostname mismatch"),
        ("renamed", made["wrong-name"],
         dict(ca=ca, server_name="elsewhere.example"), None),
        ("stranger", made["stranger"], dict(ca=ca),
         "unable to get local issuer certificate"),
        ("self", made["self"], dict(ca=ca), "self-signed certificate"),
        ("pinned", made["self"], dict(ca=p.pem("self")), None),
        ("loud", made["expired"], dict(verify=False), None),
    ]
    targets, rules = {"legacy": target(good.url(), ca=ca)}, []
    for name, service, tls, _why in rows:
        host = "127.0.0.1" if name == "by-address" else "localhost"
        targets[name] = target(service.url(host), **tls)
        rules.append({"name": name, "match": {"path": "/%s/{n}" % name},
                      "stage": "migrated", "target": name})
    path = case.rules({"version": 1, "targets": targets, "rules": rules})
    checked = lib.command("check", path)
    case.check('"loud" has "verify": false' in checked.stdout,
               "check warns of verify: false: " + checked.stdout)
    matapalo = case.matapalo(rules=path)
    logged(matapalo, "rules.tls-not-verified", "loud")
    for name, service, _tls, why in rows:
        for _ in range(2):
            answer = fetch(matapalo.port, "GET", "/%s/300" % name)
            if why is None:
                case.equal((answer.status, answer.body), (200, pattern(300)),
                           "service " + name)
            else:
                case.equal((answer.status, answer.json()["code"]),
                           (502, "upstream.tls"), "service " + name)
        if why:
            logged(matapalo, "upstream.tls", 'target \\"%s\\"' % name)
            logged(matapalo, "upstream.tls", why)
    case.check("localhost" in good.names and "127.0.0.1" not in good.names,
               "SNI carries host names only: %r" % good.names)
    case.check("elsewhere.example" in made["wrong-name"].names,
               "server_name is the SNI: %r" % made["wrong-name"].names)
    refused = sum(1 for row in rows if row[3]) * 2
    case.equal(matapalo.metrics()
               ['matapalo_upstream_failures_total{reason="tls"}'], refused,
               "failures by reason")
    case.equal(matapalo.stop(), 0, "exit status")


def upstream_mutual(case, p):
    """The same address with and without our certificate: connections of one
    are never used for the other."""
    def ask(context):
        context.load_verify_locations(p.pem("ca"))
        context.verify_mode = ssl.CERT_OPTIONAL
    service = Service(case, p.pem("good"), p.keyfile("good"), ask)
    me = dict(ca=p.pem("ca"), certificate=p.pem("me"), key=p.keyfile("me"))
    path = case.rules({"version": 1, "targets": {
        "legacy": target(service.url(), ca=p.pem("ca")),
        "known": target(service.url(), **me)}, "rules": [
            {"name": "known", "match": {"path": "/known/{n}"},
             "stage": "migrated", "target": "known"}]})
    matapalo = case.matapalo(rules=path)
    for _ in range(3):
        case.equal(fetch(matapalo.port, "GET", "/known/5").status, 200,
                   "with our certificate")
        case.equal(fetch(matapalo.port, "GET", "/nobody/5").status, 200,
                   "without")
    for head, peer in service.seen:
        subject = (peer or {}).get("subjectAltName")
        expected = (("DNS", "matapalo.example"),) \
            if " /known/" in head else None
        case.equal(subject, expected, "who asked for " + head[:14])
    case.equal(service.handshakes, 2, "connections made")
    # A reload that changes nothing keeps the connections.
    case.rules(open(path).read() + "\n")
    logged(matapalo, "rules.reloaded", "in force")
    fetch(matapalo.port, "GET", "/known/5")
    case.equal(service.handshakes, 2, "connections after a reload")
    # One that changes whom we believe does not.
    case.rules(open(path).read().replace(p.pem("ca"), p.pem("other-ca")))
    lib.wait_for(lambda: matapalo.err().count('"rules.reloaded"') == 2,
                 "the reload")
    lib.wait_for(lambda: fetch(matapalo.port, "GET", "/known/5").status ==
                 502, "an authority that is not believed any more")
    case.equal(matapalo.stop(), 0, "exit status")


def upstream_bytes(case, p):
    service = Service(case, p.pem("good"), p.keyfile("good"))
    path = case.rules({"version": 1, "targets": {
        "legacy": target(service.url(), ca=p.pem("ca"))}})
    matapalo = case.matapalo(rules=path)
    for size in (0, 1, 16383, 16384, 16385, 65536, 3000001):
        answer = fetch(matapalo.port, "GET", "/%d" % size)
        case.check(answer.body == pattern(size), "%d bytes down" % size)
        answer = fetch(matapalo.port, "POST", "/0", pattern(size))
        case.equal(answer.body, b"%d 1" % size, "%d bytes up" % size)
    case.equal(fetch(matapalo.port, "GET", "/ended/70000").body,
               pattern(70000), "an answer that ends by close_notify")
    with Client(matapalo.port) as client:
        client.send(lib.make_request("GET", "/cut/70000"))
        client.until(b"\r\n\r\n")
        rest = client.to_end()
    case.check(not rest.endswith(b"0\r\n\r\n"),
               "a cut answer is not ended as if it were whole")
    case.equal(lib.wait_for(lambda: [x for x in matapalo.exchanges() if
                                     x["request"]["target"] == "/cut/70000"],
                            "the event")[0]["outcome"], "aborted",
               "the event of a cut answer")
    case.equal(matapalo.stop(), 0, "exit status")


def upstream_resumes(case, p):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        def only(context, version=version):
            context.minimum_version = context.maximum_version = version
        service = Service(case, p.pem("good"), p.keyfile("good"), only)
        path = case.rules({"version": 1, "targets": {
            "legacy": target(service.url(), ca=p.pem("ca"))}})
        matapalo = case.matapalo(rules=path)
        for _ in range(3):	# /ended/ leaves no connection to keep
            fetch(matapalo.port, "GET", "/ended/10")
        case.equal((service.handshakes, service.resumed), (3, 2),
                   "handshakes and resumptions of %s" % version.name)
        case.equal(matapalo.metrics()
                   ['matapalo_tls_handshakes_total'
                    '{side="upstream",kind="resumed"}'], 2, "counter")
        case.equal(matapalo.stop(), 0, "exit status")


def upstream_versions(case, p):
    def old(context):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    service = Service(case, p.pem("good"), p.keyfile("good"), old)
    path = case.rules({"version": 1, "targets": {
        "legacy": target(service.url(), ca=p.pem("ca"),
                         min_version="1.3")}})
    matapalo = case.matapalo(rules=path)
    case.equal(fetch(matapalo.port, "GET", "/1").status, 502,
               "a service that speaks 1.2 only")
    logged(matapalo, "upstream.tls", "protocol version")
    # Files that OpenSSL cannot use leave the old rules in force.
    case.rules({"version": 1, "targets": {"legacy": target(
        service.url(), ca=p.pem("ca"), certificate=p.pem("me"),
        key=p.keyfile("good"))}})
    logged(matapalo, "rules.reload-failed", "the key is not the "
           "certificate's")
    case.equal(matapalo.stop(), 0, "exit status")


def upstream_silence(case, p):
    """A service that accepts and says nothing: the connect deadline."""
    silent = socket.create_server(("127.0.0.1", 0))
    case.cleanups.append(silent.close)
    url = "https://localhost:%d" % silent.getsockname()[1]
    path = case.rules({"version": 1, "targets": {"legacy": {
        "url": url, "timeout": {"connect": "300ms"},
        "tls": {"ca": p.pem("ca")}}}})
    matapalo = case.matapalo(rules=path)
    case.equal(fetch(matapalo.port, "GET", "/1").status, 504,
               "a handshake that never ends")
    case.equal(matapalo.stop(), 0, "exit status")


def shadows(case, p, origin):
    """Candidates are verified as the live path would."""
    def ask(context):
        context.load_verify_locations(p.pem("ca"))
        context.verify_mode = ssl.CERT_REQUIRED
    mutual = Service(case, p.pem("good"), p.keyfile("good"), ask)
    renamed = Service(case, p.pem("wrong-name"), p.keyfile("wrong-name"))
    stranger = Service(case, p.pem("stranger"), p.keyfile("stranger"))
    ca = p.pem("ca")
    rows = (
        ("mutual", mutual, dict(ca=ca, certificate=p.pem("me"),
                                key=p.keyfile("me")), True),
        ("renamed", renamed, dict(ca=ca, server_name="elsewhere.example"),
         True),
        ("misnamed", renamed, dict(ca=ca), False),
        ("stranger", stranger, dict(ca=ca), False),
        ("believed", stranger, dict(verify=False), True))
    targets, rules = {"legacy": {"url": origin.url}}, []
    for name, service, tls, _ok in rows:
        targets[name] = target(service.url(), **tls)
        rules.append({"name": name, "match": {"path": "/%s/{n}" % name},
                      "stage": "shadow", "target": name})
    matapalo = case.matapalo(rules=case.rules(
        {"version": 1, "targets": targets, "rules": rules}))
    for name, _service, _tls, _ok in rows:
        case.equal(fetch(matapalo.port, "GET", "/%s/10" % name).status, 200,
                   "the legacy's answer")
    def verdicts():
        found = [json.loads(row[0]) for row in matapalo.query(
            "SELECT data FROM events WHERE type = "
            "'matapalo.shadow.verdict.v1'")]
        return len(found) == len(rows) and found
    found = {v["rule"]: v["verdict"] for v in
             lib.wait_for(verdicts, "a verdict on each candidate")}
    for name, _service, _tls, ok in rows:
        case.equal(found[name] != "failed", ok, "candidate %s: %s"
                   % (name, found[name]))
    case.equal(mutual.seen[0][1]["subjectAltName"],
               (("DNS", "matapalo.example"),), "the copy's certificate")
    case.equal(matapalo.stop(), 0, "exit status")


# ---- listeners ------------------------------------------------------------

def client_context(p, version=None, ca="ca"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(p.pem(ca))
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class TlsClient(Client):
    """A Client over TLS."""

    def __init__(self, port, context, name="localhost", session=None,
                 timeout=20):
        super().__init__(port, timeout)
        plain = self.socket
        try:
            self.socket = context.wrap_socket(
                plain, server_hostname=name, session=session,
                suppress_ragged_eofs=False)
        except BaseException:
            plain.close()
            raise


def common_name(client):
    subject = client.socket.getpeercert()["subject"]
    return dict(pair for part in subject for pair in part)["commonName"]


def refusal(port, context, name="localhost"):
    """Why no answer can be had; "" when one comes. In TLS 1.3 a client is
    done before the server has looked at its certificate."""
    try:
        with TlsClient(port, context, name) as client:
            return "" if client.request("GET", "/1").status == 200 else "?"
    except (ssl.SSLError, EOFError, ConnectionError) as e:
        return str(e) or type(e).__name__


def listener(case, p, origin, *args, certificates=("good",), **kw):
    argv = []
    for name in certificates:
        argv += ["--tls-certificate", p.pem(name)]
    for name in reversed(certificates):
        argv += ["--tls-key", p.keyfile(name)]
    return case.matapalo(legacy=origin.url, listen="127.0.0.1:0,tls",
                         args=argv + list(args), **kw)


def choose_by_name(case, p, origin):
    matapalo = listener(case, p, origin,
                        certificates=("good", "shop", "wild"))
    context = client_context(p)
    context.check_hostname = False
    for name, expected in (
            ("localhost", "good"), ("shop.example", "shop"),
            ("SHOP.example", "shop"), ("a.wild.example", "wild"),
            ("own.wild.example", "shop"), ("a.b.wild.example", "good"),
            ("wild.example", "good"), ("nobody.example", "good"),
            (None, "good")):
        with TlsClient(matapalo.port, context, name) as client:
            case.equal(common_name(client), expected,
                       "certificate for %s" % name)
            case.equal(client.request("GET", "/1").status, 200, "an answer")
    with TlsClient(matapalo.port, client_context(p)) as client:
        seen = dict((k.lower(), v) for k, v in
                    client.request("GET", "/x").json()["headers"])
    case.equal(seen["x-forwarded-proto"], "https", "X-Forwarded-Proto")
    case.check("proto=https" in seen["forwarded"], "Forwarded: " +
               seen["forwarded"])
    case.equal(matapalo.stop(), 0, "exit status")


def versions_and_protocols(case, p, origin):
    matapalo = listener(case, p, origin)
    for version, served in (("TLSv1", False), ("TLSv1_1", False),
                            ("TLSv1_2", True), ("TLSv1_3", True)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            context = client_context(p, getattr(ssl.TLSVersion, version))
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        why = refusal(matapalo.port, context)
        case.check((why == "") == served, "%s: %r" % (version, why))
        if not served:
            case.check("protocol version" in why.lower().replace("_", " "),
                       "%s is told why: %s" % (version, why))
    for offered, chosen in ((["http/1.1"], "http/1.1"),
                            (["h2", "http/1.1"], "http/1.1"),
                            ([], None)):
        context = client_context(p)
        if offered:
            context.set_alpn_protocols(offered)
        with TlsClient(matapalo.port, context) as client:
            case.equal(client.socket.selected_alpn_protocol(), chosen,
                       "of %r" % offered)
    context = client_context(p)
    context.set_alpn_protocols(["h2"])
    why = refusal(matapalo.port, context).lower().replace("_", " ")
    case.check("no application protocol" in why, "h2 alone: " + why)
    case.equal(matapalo.stop(), 0, "exit status")
    matapalo = listener(case, p, origin, "--tls-min-version", "1.3")
    case.check(refusal(matapalo.port, client_context(
        p, ssl.TLSVersion.TLSv1_2)) != "", "1.2 where 1.3 is the least")
    case.equal(refusal(matapalo.port, client_context(
        p, ssl.TLSVersion.TLSv1_3)), "", "1.3 there")
    case.equal(matapalo.stop(), 0, "exit status")


def client_certificates(case, p, origin):
    field = "X-Forwarded-Client-Cert"
    for mode, expected in (
            ("request", {"": True, "me": True, "me-expired": False,
                         "me-stranger": False}),
            ("require", {"": False, "me": True, "me-expired": False,
                         "me-stranger": False})):
        matapalo = listener(case, p, origin, "--tls-client-certificates",
                            mode, "--tls-client-ca", p.pem("ca"),
                            "--tls-client-header", field)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for name, served in expected.items():
                context = client_context(p, version)
                if name:
                    context.load_cert_chain(p.pem(name), p.keyfile(name))
                why = refusal(matapalo.port, context)
                case.check((why == "") == served, "%s, %r: %r"
                           % (mode, name, why))
        logged(matapalo, "client.tls", "certificate has expired")
        logged(matapalo, "client.tls", "unable to get local issuer")
        context = client_context(p)
        context.load_cert_chain(p.pem("me"), p.keyfile("me"))
        session = None
        for _ in range(2):	# a resumed session is still somebody's
            with TlsClient(matapalo.port, context, session=session) as client:
                answer = client.request("GET", "/x", fields=[
                    (field, "Hash=forged"), (field.replace("-", "_"), "too")])
                session = client.socket.session
                resumed = client.socket.session_reused
            said = [v for k, v in answer.json()["headers"]
                    if k.lower().replace("_", "-") == field.lower()]
            case.equal(len(said), 1, "%s fields: %r" % (field, said))
            case.check(said[0].startswith("Hash=%s;Subject=\""
                                          % p.fingerprint("me")) and
                       "O=Shop \\\"1\\\"" in said[0] and
                       "CN=me" in said[0], "who it is: " + said[0])
            subject = said[0].split(";Subject=", 1)[1][1:-1]
        case.check(resumed, "the second is a resumed session")
        total = matapalo.metrics()["matapalo_exchanges_answered_total"]
        shown = [e["request"].get("client_certificate")
                 for e in matapalo.await_exchanges(int(total))]
        case.equal(shown[-2:], [{"sha256": p.fingerprint("me"),
                                 "subject": subject}] * 2, "in the event")
        case.equal(shown[0] is None, mode == "request", "nobody's event")
        case.equal(matapalo.stop(), 0, "exit status")


def wrong_keys(case, p, origin):
    """A key that is another certificate's is told by name, not served."""
    for args, words in (
            (["--listen", "127.0.0.1:0,tls", "--legacy", origin.url,
              "--tls-certificate", p.pem("good"), "--tls-key",
              p.keyfile("shop")],
             ["no private key fits", p.pem("good"), p.keyfile("shop")]),
            (["--listen", "127.0.0.1:0", "--rules", case.rules(
                {"version": 1, "targets": {"legacy": {
                    "url": "https://127.0.0.1:1", "tls": {
                        "certificate": p.pem("good"),
                        "key": p.keyfile("shop")}}}}, "wrong-key.json")],
             ["target \"legacy\"", p.keyfile("shop"), "not the cert"])):
        data = case.path(case.unique("wrong-key"))
        os.mkdir(data)
        done = lib.command("run", "--data", data, "--admin", "127.0.0.1:0",
                           *args)
        case.equal(done.returncode, 2, "unusable: " + done.stderr[-300:])
        for word in words:
            case.check(word in done.stderr, "%s in %s" % (word, done.stderr))


def unix_listener(case, p, origin):
    """TLS on a Unix socket, as a sidecar would use it."""
    path = case.path("tls.sock")
    matapalo = listener(case, p, origin, "--listen", "unix:%s,tls" % path)
    plain = socket.socket(socket.AF_UNIX)
    plain.settimeout(20)
    plain.connect(path)
    client = Client.__new__(Client)
    client.buffer = b""
    client.socket = client_context(p).wrap_socket(
        plain, server_hostname="localhost", suppress_ragged_eofs=False)
    with client:
        case.equal(client.request("GET", "/bytes/5").body, pattern(5), "body")
    event = matapalo.await_exchanges(1)[0]
    case.equal(event["request"]["proto"], "https", "proto")
    case.equal(event["request"]["client"], "unknown", "client")
    case.equal(matapalo.stop(), 0, "exit status")


def drain_in_a_handshake(case, p, origin):
    """A handshake that is under way when the end is announced may bring one
    request; one that never comes does not hold the end up."""
    matapalo = listener(case, p, origin)
    socks = [socket.create_connection(("127.0.0.1", matapalo.port), 20)
             for _ in range(2)]
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    peer = client_context(p).wrap_bio(into, out, server_hostname="localhost")
    try:
        peer.do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = out.read()
    for sock in socks:
        sock.sendall(hello[:40])
    wait = matapalo.metrics
    lib.wait_for(lambda: wait()["matapalo_client_connections_open"] == 2,
                 "two handshakes")
    start = time.monotonic()
    matapalo.signal(signal.SIGTERM)
    lib.wait_for(lambda: "run.draining" in matapalo.err(), "the drain")
    socks[0].sendall(hello[40:])
    while True:
        into.write(socks[0].recv(65536))
        try:
            peer.do_handshake()
            break
        except ssl.SSLWantReadError:
            pass
    peer.write(lib.make_request("GET", "/bytes/5"))
    socks[0].sendall(out.read())
    heard = b""
    while b"\r\n\r\n" not in heard or not heard.endswith(pattern(5)):
        data = socks[0].recv(65536)
        case.check(data, "an answer before the end, after %r" % heard)
        into.write(data)
        try:
            heard += peer.read(65536)
        except ssl.SSLWantReadError:
            pass
    case.check(heard.startswith(b"HTTP/1.1 200 "), "served: %r" % heard[:40])
    case.equal(matapalo.wait(), 0, "exit status")
    took = time.monotonic() - start
    case.check(took < 8, "the silent one held the end up: %.1f s" % took)
    for sock in socks:
        sock.close()


def resumption_after_hand_over(case, p, origin):
    """The next process opens the tickets of the one before."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        matapalo = listener(case, p, origin)
        port = matapalo.port
        context = client_context(p, version)
        with TlsClient(port, context) as client:
            client.request("GET", "/x")
            session = client.socket.session
        matapalo.signal(signal.SIGUSR2)
        matapalo.wait()
        with open(os.path.join(matapalo.data, "run.json")) as f:
            pid = json.load(f)["pid"]
        case.check(pid != matapalo.pid, "another process")
        with TlsClient(port, context, session=session) as client:
            case.check(client.socket.session_reused, "%s: resumed" % version)
            case.equal(client.request("GET", "/x").status, 200, "and served")
        os.kill(pid, signal.SIGTERM)
        lib.wait_for(lambda: lib.is_gone(pid), "the end of the second process")


def resumption(case, p, origin):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        matapalo = listener(case, p, origin, workers=2)
        context, session = client_context(p, version), None
        for turn in range(8):	# whichever worker it meets
            with TlsClient(matapalo.port, context, session=session) as client:
                case.equal(client.request("GET", "/1").status, 200, "answer")
                case.equal(client.socket.session_reused, turn > 0,
                           "%s, connection %d" % (version.name, turn))
                session = client.socket.session
                client.socket.unwrap()
        case.equal(matapalo.metrics()
                   ['matapalo_tls_handshakes_total'
                    '{side="client",kind="resumed"}'], 7, "counter")
        case.equal(matapalo.stop(), 0, "exit status")


class Callers:
    """Threads that call all the time, on kept and on new connections."""

    def __init__(self, port, context, count):
        self.port, self.context = port, context
        self.failures, self.calls, self.names = [], 0, set()
        self.stopping, self.lock = False, threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True)
                        for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.stopping:
            try:
                with TlsClient(self.port, self.context) as client:
                    for _ in range(5):
                        answer = client.request("POST", "/x", pattern(20000))
                        if answer.status != 200:
                            raise lib.Failed("status %d" % answer.status)
                        with self.lock:
                            self.calls += 1
                            self.names.add(common_name(client))
            except Exception as e:
                self.failures.append(repr(e))

    def newest_names(self):
        """What callers see once none has an older connection."""
        for _ in range(2):
            with self.lock:
                calls = self.calls
                self.names.clear()
            lib.wait_for(lambda calls=calls: self.calls > calls + 60 or
                         self.failures, "calls to go on")
        with self.lock:
            return set(self.names)

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()


def install(p, name, certificate, key):
    """As a renewal does: one file after the other, each in one step."""
    for source, end in ((certificate + ".pem", ".pem"), (key + ".key", ".key")):
        shutil.copy(p.path(source), p.path("new"))
        os.rename(p.path("new"), p.path(name) + end)


def reload_under_load(case, p, origin):
    install(p, "live", "good", "good")
    matapalo = listener(case, p, origin, certificates=("live",), workers=2)
    callers = Callers(matapalo.port, client_context(p), 4)
    for turn, name in enumerate(("renewed", "good", "renewed")):
        install(p, "live", name, name)
        if turn == 1:	# the others are noticed without
            matapalo.signal(signal.SIGHUP)
        lib.wait_for(lambda turn=turn: matapalo.metrics()[
            'matapalo_tls_reloads_total{result="ok"}'] > turn, "a reload")
        case.equal(callers.newest_names(), {name}, "after a reload")
    # A bad file keeps what is there.
    install(p, "live", "good", "renewed")
    logged(matapalo, "tls.reload-failed", "live.pem")
    with open(p.path("live.pem"), "w") as f:
        f.write("-----BEGIN CERTIFICATE-----\nbad\n")
    matapalo.signal(signal.SIGHUP)
    logged(matapalo, "tls.reload-failed", "certificate 1 cannot be read")
    case.equal(callers.newest_names(), {"renewed"},
               "the certificate after bad files")
    callers.stop()
    case.equal(callers.failures, [], "failed calls")
    metrics = matapalo.metrics()
    case.check(metrics['matapalo_tls_reloads_total{result="refused"}'] >= 2 and
               metrics['matapalo_tls_reloads_total{result="ok"}'] >= 3,
               "reloads are counted")
    case.equal(matapalo.stop(), 0, "exit status")


def bytes_both_sides(case, p):
    service = Service(case, p.pem("good"), p.keyfile("good"))
    path = case.rules({"version": 1, "targets": {
        "legacy": target(service.url(), ca=p.pem("ca"))}})
    matapalo = case.matapalo(rules=path, listen="127.0.0.1:0,tls", args=[
        "--tls-certificate", p.pem("good"), "--tls-key", p.keyfile("good")])
    context = client_context(p)
    with TlsClient(matapalo.port, context) as client:
        for size in (0, 1, 16000, 16384, 70000, 5000001):
            case.check(client.request("GET", "/%d" % size).body ==
                       pattern(size), "%d bytes down" % size)
            case.equal(client.request("POST", "/0", pattern(size)).body,
                       b"%d 1" % size, "%d bytes up" % size)
    # Pipelines: in one record, and with a head cut between two.
    requests = [lib.make_request("GET", "/%d" % (i * 997))
                for i in range(30)]
    for size in (1 << 20, 100):
        with TlsClient(matapalo.port, context) as client:
            data = b"".join(requests)
            for at in range(0, len(data), size):
                client.send(data[at:at + size])
            for i in range(30):
                case.check(client.read().body == pattern(i * 997),
                           "answer %d of a pipeline" % i)
    # A reader that is slower than the origin.
    with TlsClient(matapalo.port, context) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.send(lib.make_request("GET", "/6000000"))
        client.until(b"\r\n\r\n")
        lib.wait_for(lambda: len(service.seen) and True, "the request")
        got = hashlib.sha256()
        left = 6000000
        while left:
            part = client.exactly(min(left, 100000))
            got.update(part)
            left -= len(part)
        case.equal(got.hexdigest(),
                   hashlib.sha256(pattern(6000000)).hexdigest(),
                   "what a slow reader got")
    # To HTTP/1.0 the end of the connection is the end of the answer: one
    # that was cut must not end well.
    for path, ends_well in (("/ended/70000", True), ("/cut/70000", False)):
        with TlsClient(matapalo.port, context) as client:
            client.send(b"GET %s HTTP/1.0\r\n\r\n" % path.encode())
            client.until(b"\r\n\r\n")
            try:
                while client.fill():
                    pass
                ended = client.buffer == pattern(70000)
            except (ssl.SSLEOFError, ConnectionResetError):
                ended = False
            case.equal(ended, ends_well, "the end of %s" % path)
    # A client that closes its side without a close_notify, as many do.
    with TlsClient(matapalo.port, context) as client:
        client.send(lib.make_request("GET", "/70000"))
        half_close(client)
        case.equal(client.read().body, pattern(70000), "a half-closed one")
    case.equal(matapalo.stop(), 0, "exit status")


def half_close(client):
    """FIN below TLS: shutdown() of an SSLSocket would forget its keys."""
    with socket.socket(fileno=os.dup(client.socket.fileno())) as below:
        below.shutdown(socket.SHUT_WR)


def behind_a_balancer(case, p, origin):
    """A PROXY header in front of the handshake, in one write with it."""
    matapalo = case.matapalo(
        legacy=origin.url, listen="127.0.0.1:0,tls,proxy", args=[
            "--tls-certificate", p.pem("good"), "--tls-key",
            p.keyfile("good")])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(p).wrap_bio(incoming, outgoing,
                                     server_hostname="localhost")
    header = b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 443\r\n"
    with Client(matapalo.port) as client:
        answer, asked = b"", False
        while not answer.rstrip().endswith(b"}"):
            try:
                if not asked:
                    tls.do_handshake()
                    tls.write(lib.make_request("GET", "/x"))
                    asked = True
                answer += tls.read(65536)
            except ssl.SSLWantReadError:
                client.send(header + outgoing.read())
                header = b""
                case.check(client.fill(), "the connection goes on")
                incoming.write(client.buffer)
                client.buffer = b""
    case.check(b'["X-Forwarded-For", "192.0.2.7"]' in answer and
               b'["X-Forwarded-Proto", "https"]' in answer,
               "who called: %r" % answer)
    case.equal(matapalo.stop(), 0, "exit status")


def tunnels(case, p):
    """An upgraded connection, TLS on both sides, ends that arrive."""
    class Echo(Service):
        def serve(self, connection):
            connection.until(b"\r\n\r\n")
            connection.send(b"HTTP/1.1 101 Switching Protocols\r\n"
                            b"Upgrade: echo\r\nConnection: Upgrade\r\n\r\n")
            while connection.buffer or connection.fill():
                connection.send(connection.buffer)
                connection.buffer = b""
            connection.socket.unwrap()
            return False
    service = Echo(case, p.pem("good"), p.keyfile("good"))
    matapalo = case.matapalo(
        rules=case.rules({"version": 1, "targets": {
            "legacy": target(service.url(), ca=p.pem("ca"))}}),
        listen="127.0.0.1:0,tls", args=["--tls-certificate", p.pem("good"),
                                        "--tls-key", p.keyfile("good")])
    with TlsClient(matapalo.port, client_context(p)) as client:
        client.send(lib.make_request("GET", "/chat", fields=[
            ("Upgrade", "echo"), ("Connection", "Upgrade")]))
        case.equal(client.read().status, 101, "switched")
        for size in (1, 100, 40000):
            client.send(pattern(size))
            case.check(client.exactly(size) == pattern(size),
                       "%d bytes through a tunnel" % size)
        client.socket = client.socket.unwrap()	# waits for theirs
    case.equal(matapalo.await_exchanges(1)[0]["outcome"], "response",
               "the tunnel's event")
    case.equal(matapalo.stop(), 0, "exit status")


def strangers(case, p, origin):
    """What is not TLS, and who does not finish his handshake."""
    matapalo = listener(case, p, origin, "--head", "400ms")
    with Client(matapalo.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = client.read()
        case.equal((answer.status, b"https://" in answer.body), (400, True),
                   "a plain request")
        case.check(client.is_closed(), "its connection ends")
    logged(matapalo, "client.plain-http", "127.0.0.1")
    for data in (b"\0" * 100, b"SSH-2.0-x\r\n", bytes(range(256)) * 40,
                 b"\x16\x03\x01\xff\xff" + b"a" * 20000,
                 b"\x16\x03\x01\x00\x05hello"):
        with Client(matapalo.port) as client:
            try:
                client.send(data)
                client.to_end()
            except OSError:
                pass
    hello = record_of_hello()
    for cut in (0, 1, 5, 60, len(hello) - 1):
        with Client(matapalo.port) as client:
            client.send(hello[:cut])
            case.check(client.is_closed(), "%d bytes of a handshake" % cut)
    metrics = matapalo.metrics()
    name = 'matapalo_tls_client_failures_total{reason="%s"}'
    case.equal([metrics[name % why] for why in
                ("handshake", "plain_http", "timeout")], [5, 1, 5],
               "failures: handshake, plain_http, timeout")
    case.equal(refusal(matapalo.port, client_context(p)), "", "a good one")
    case.equal(matapalo.stop(), 0, "exit status")


def record_of_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(
        incoming, outgoing, server_hostname="localhost")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def refused_settings(case, p, origin):
    rows = (
        (["--listen", "127.0.0.1:0,tls"], "--tls-certificate FILE"),
        (["--tls-certificate", "/no/such.pem"], "/no/such.pem"),
        (["--tls-certificate", p.pem("good")], "its private key is neither"),
        (["--tls-certificate", p.pem("good"), "--tls-key",
          p.keyfile("shop")], "no private key fits this"),
        (["--tls-certificate", p.keyfile("good")], "there is no certificate"),
        (["--tls-client-certificates", "require"], "--tls-client-ca"),
        (["--tls-client-certificates", "maybe"], "none, request and require"),
        (["--tls-min-version", "1.1"], "use 1.2 or 1.3"),
        (["--tls-client-header", "a b"], "not the name of a header field"),
    )
    for args, words in rows:
        data = case.path(case.unique("refused"))
        done = lib.command("run", "--legacy", origin.url, "--admin",
                           "127.0.0.1:0", "--data", data, *args)
        case.check(done.returncode == 2 and words in done.stderr,
                   "%r: %d %s" % (args, done.returncode, done.stderr))
    os.chmod(p.keyfile("shop"), 0o644)
    matapalo = listener(case, p, origin, certificates=("shop",))
    logged(matapalo, "tls.key-readable", "shop.key")
    case.equal(matapalo.stop(), 0, "exit status")


def scenario(case):
    if not shutil.which("openssl"):
        lib.skip("no openssl command")
    p = make_certificates(case)
    upstream_table(case, p)
    upstream_mutual(case, p)
    upstream_bytes(case, p)
    upstream_resumes(case, p)
    upstream_versions(case, p)
    upstream_silence(case, p)
    origin = case.origin("legacy")
    shadows(case, p, origin)
    choose_by_name(case, p, origin)
    versions_and_protocols(case, p, origin)
    client_certificates(case, p, origin)
    wrong_keys(case, p, origin)
    unix_listener(case, p, origin)
    drain_in_a_handshake(case, p, origin)
    resumption_after_hand_over(case, p, origin)
    resumption(case, p, origin)
    reload_under_load(case, p, origin)
    bytes_both_sides(case, p)
    behind_a_balancer(case, p, origin)
    tunnels(case, p)
    strangers(case, p, origin)
    refused_settings(case, p, origin)


lib.main(scenario)
