# SPDX-License-Identifier: Apache-2.0
"""TLS on both sides, against OpenSSL and Python's ssl as peers: who is
verified, who is refused and why, and that bytes and ends arrive."""
import shutil
import socket
import ssl
import threading

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
            connection.socket.unwrap = None
            socket.socket.shutdown(connection.socket, socket.SHUT_RDWR)
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
    p.leaf("expired", "DNS:localhost", "ca", days=-1)
    p.leaf("wrong-name", "DNS:elsewhere.example", "ca")
    p.leaf("stranger", "DNS:localhost", "other-ca")
    p.self_signed("self", "DNS:localhost")
    p.leaf("me", "DNS:matapalo.example", "ca")
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


lib.main(scenario)
