# SPDX-License-Identifier: Apache-2.0
"""Files of TLS: pairs of certificates, OCSP responses, revocation lists, and
what `matapalo check` says about files that do not fit."""
import json
import os
import socket
import ssl
import subprocess
import threading
import time

import lib
import pki
from lib import Client, fetch, wait_for


def make(case):
    p = pki.Pki(case)
    for name in ("ca", "other"):
        p.authority(name)
    names = "DNS:localhost,DNS:www.example"
    p.leaf("ec", names, "ca")
    p.leaf("the-rsa", "DNS:www.example,DNS:localhost", "ca")
    p.leaf("lone-rsa", "DNS:lone.example", "ca")
    p.leaf("expired", "DNS:expired.example", "ca", days=0)
    made = time.time()
    lib.wait_for(lambda: time.time() > made + 2, "its end", 5)
    p.leaf("service", "DNS:localhost", "ca")
    p.leaf("me", "DNS:me.example", "ca")
    p.leaf("you", "DNS:you.example", "ca")
    for name in ("ec", "the-rsa"):
        chain(p, name)
    return p


def chain(p, name):
    """The issuer behind the certificate."""
    with open(p.pem("ca")) as f, open(p.pem(name), "a") as to:
        to.write(f.read())


def arguments(p, *names):
    out = []
    for name in names:
        out += ["--tls-certificate", p.pem(name), "--tls-key",
                p.keyfile(name)]
    return out


def s_client(port, *args, name="localhost"):
    """What `openssl s_client` tells of a handshake."""
    return subprocess.run(
        ["openssl", "s_client", "-connect", "127.0.0.1:%d" % port,
         "-servername", name] + list(args), input="", text=True,
        capture_output=True, timeout=20).stdout


def logged(process, name, words):
    wait_for(lambda: any(name in line and words in line for line in
                         process.err().splitlines()),
             "a line %s with %r" % (name, words))


# ---- pairs ----------------------------------------------------------------

def pairs(case, p, origin):
    """Clients get the certificate that they can verify, whatever the order
    of the files and of the names in them."""
    for order in (("ec", "the-rsa", "lone-rsa"),
                  ("lone-rsa", "the-rsa", "ec")):
        matapalo = case.matapalo(legacy=origin.url, listen="127.0.0.1:0,tls",
                                 args=arguments(p, *order))
        for version in ("-tls1_2", "-tls1_3")[order[0] != "ec":]:
            for name in ("localhost", "www.example"):
                for algorithm, key in (("ECDSA+SHA256", "id-ecPublicKey"),
                                       ("RSA-PSS+SHA256", "rsaEncryption")):
                    said = s_client(matapalo.port, version, "-sigalgs",
                                    algorithm, name=name)
                    case.check("a:PKEY: " + key in said and
                               "Verify return code: " in said,
                               "%s, %s, %s, %r" % (version, name, algorithm,
                                                   said[:500]))
        said = s_client(matapalo.port, "-tls1_3", "-sigalgs", "ECDSA+SHA256",
                        name="lone.example")
        case.check("no peer certificate available" in said,
                   "one who has no pair: " + said[:300])
        case.equal(matapalo.stop(), 0, "exit status")


# ---- OCSP -----------------------------------------------------------------

def stapled(matapalo, *args):
    said = s_client(matapalo.port, "-status", "-tls1_3", *args)
    return "OCSP Response Status: successful" in said and \
        "Cert Status: good" in said


def staples(case, p, origin):
    p.staple("ec", "ca", "ca")
    matapalo = case.matapalo(legacy=origin.url, listen="127.0.0.1:0,tls",
                             args=arguments(p, "the-rsa", "ec"))
    ec, rsa = ("-sigalgs", "ECDSA+SHA256"), ("-sigalgs", "RSA-PSS+SHA256")
    case.check(stapled(matapalo, *ec), "a response is stapled")
    case.check(not stapled(matapalo, *rsa), "but not to the other of a pair")
    case.equal(matapalo.metrics()
               ['matapalo_tls_staples_total{result="sent"}'], 1, "counted")
    refused = 'matapalo_tls_staples_total{result="refused"}'
    bad = [
        ("signed by another", "signature is not the issuer's",
         lambda: p.staple("ec", "ca", "other")),
        ("revoked", "certificate is revoked",
         lambda: p.staple("ec", "ca", "ca", revoked=["ec"])),
        ("about another", "about another certificate",
         lambda: p.staple("the-rsa", "ca", "ca", to="ec")),
        ("no response", "no OCSP response",
         lambda: write(p.path("ec.pem.ocsp"), "nonsense"))]
    for turn, (what, words, put) in enumerate(bad):
        put()
        logged(matapalo, "tls.staple", words)
        case.check(not stapled(matapalo, *ec), what + ": left out")
        case.equal(matapalo.metrics()[refused], turn + 1, "counted: " + what)
    p.staple("ec", "ca", "ca")
    wait_for(lambda: stapled(matapalo, *ec), "the renewed response")
    case.equal(matapalo.stop(), 0, "exit status")


def write(path, text):
    with open(path + ".new", "w") as f:
        f.write(text)
    os.rename(path + ".new", path)


# ---- revocation -----------------------------------------------------------

class TlsClient(Client):
    def __init__(self, port, context, session=None):
        super().__init__(port)
        self.socket = context.wrap_socket(self.socket, session=session,
                                          server_hostname="localhost")


def ask(p, port, name, version):
    """The context of a client, and what attempt() says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(p.pem("ca"))
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(p.pem(name), p.keyfile(name))
    return context, attempt(port, context)


def attempt(port, context, session=None):
    """(status or None, the session)."""
    try:
        with TlsClient(port, context, session) as client:
            status = client.request("GET", "/x").status
            return status, client.socket.session
    except (ssl.SSLError, EOFError, ConnectionError):
        return None, None


def revoked_clients(case, p, origin):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        p.revocations("ca")
        matapalo = case.matapalo(
            legacy=origin.url, listen="127.0.0.1:0,tls",
            args=arguments(p, "ec") +
            ["--tls-client-certificates", "require", "--tls-client-ca",
             p.pem("ca"), "--tls-client-crl", p.path("ca.crl")])
        me, (status, session) = ask(p, matapalo.port, "me", version)
        case.equal(status, 200, "not revoked yet")
        case.equal(attempt(matapalo.port, me, session)[0], 200, "resumed")
        p.revocations("ca", ["me"])
        wait_for(lambda: matapalo.metrics()[
            'matapalo_tls_reloads_total{result="ok"}'] == 1, "the new list")
        case.equal(attempt(matapalo.port, me)[0], None, "revoked")
        case.equal(attempt(matapalo.port, me, session)[0], None,
                   "revoked, with a session from before")
        logged(matapalo, "client.tls", "certificate revoked")
        case.equal(ask(p, matapalo.port, "you", version)[1][0], 200, "you")
        # One that is over refuses everybody, and says so.
        p.revocations("ca", [], "20200101000000Z", "20200201000000Z")
        logged(matapalo, "tls.crl-expired", "ca.crl")
        case.equal(ask(p, matapalo.port, "you", version)[1][0], None,
                   "an expired list")
        logged(matapalo, "client.tls", "CRL has expired")
        write(p.path("ca.crl"), "nonsense")
        logged(matapalo, "tls.reload-failed", "no revocation list")
        case.equal(matapalo.stop(), 0, "exit status")


def serve(case, p):
    """An HTTPS service that keeps sessions and closes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(p.pem("service"), p.keyfile("service"))
    listener = socket.create_server(("127.0.0.1", 0))
    case.cleanups.append(listener.close)

    def run():
        while True:
            try:
                accepted = listener.accept()[0]
            except OSError:
                return
            try:
                with context.wrap_socket(accepted, server_side=True) as s:
                    s.recv(65536)
                    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
                              b"Connection: close\r\n\r\n")
                    s.unwrap()
            except OSError:
                pass
    threading.Thread(target=run, daemon=True).start()
    return "https://localhost:%d" % listener.getsockname()[1]


def revoked_upstream(case, p, origin):
    """Of the live path, of health checks and of shadow candidates."""
    url = serve(case, p)
    p.revocations("ca")
    tls = {"ca": p.pem("ca"), "crl": p.path("ca.crl")}
    path = case.rules({"version": 1, "targets": {
        "legacy": {"url": origin.url}, "live": {"url": url, "tls": tls}},
        "rules": [{"name": "live", "match": {"path": "/live"},
                   "stage": "migrated", "target": "live"},
                  {"name": "copy", "match": {"path": "/copy"},
                   "stage": "shadow", "target": "live"}]})
    matapalo = case.matapalo(rules=path)

    def both():
        status = fetch(matapalo.port, "GET", "/live").status
        fetch(matapalo.port, "GET", "/copy")
        return status

    def verdicts():
        return [json.loads(row[0])["verdict"] for row in matapalo.query(
            "SELECT data FROM events WHERE type = "
            "'matapalo.shadow.verdict.v1' ORDER BY sequence")]
    case.equal(both(), 200, "not revoked yet")
    wait_for(lambda: len(verdicts()) == 1, "a verdict")
    p.revocations("ca", ["service"])
    matapalo.signal(1)
    wait_for(lambda: fetch(matapalo.port, "GET", "/live").status == 502,
             "a revoked service is not believed")
    logged(matapalo, "upstream.tls", "certificate revoked")
    both()
    wait_for(lambda: len(verdicts()) == 2, "the other verdict")
    case.equal([v == "failed" for v in verdicts()], [False, True],
               "the candidate's verdicts")
    case.equal(matapalo.stop(), 0, "exit status")


# ---- check ----------------------------------------------------------------

def settings_file(case, p, origin, **settings):
    lines = ["%s = %s" % item for item in settings.items()]
    path = case.path("matapalo.conf")
    write(path, "\n".join(["listen = 127.0.0.1:0,tls",
                           "legacy = " + origin.url] + lines) + "\n")
    return path


def check_settings(case, p, origin):
    good = dict(tls_certificate=p.pem("ec"), tls_key=p.keyfile("ec"))
    done = lib.command("check", "--settings",
                       settings_file(case, p, origin, **good))
    case.equal((done.returncode, "warning" in done.stdout), (0, False),
               "good ones: " + done.stdout + done.stderr)
    rows = (
        (dict(good, tls_key=p.keyfile("me")), 2,
         ["tls_certificate", "no private key fits", p.pem("ec"),
          p.keyfile("me")]),
        (dict(good, tls_certificate=p.path("none.pem")), 2,
         ["tls_certificate", p.path("none.pem"), "No such file"]),
        (dict(good, tls_key=p.dir), 2, [p.dir, "Is a directory"]),
        (dict(good, tls_client_certificates="require",
              tls_client_ca=p.pem("ca"), tls_client_crl=p.pem("ca")), 2,
         ["tls_client_crl", p.pem("ca"), "no revocation list"]),
        (dict(good, tls_client_certificates="require",
              tls_client_ca=p.path("none.pem")), 2,
         ["tls_client_ca", p.path("none.pem")]),
        (dict(good, tls_client_crl=p.pem("ca")), 2, ["--tls-client-crl"]),
        (dict(tls_certificate=p.pem("expired"),
              tls_key=p.keyfile("expired")), 0,
         ["warning: tls_certificate: " + p.pem("expired"), "has expired"]))
    for settings, status, words in rows:
        path = settings_file(case, p, origin, **settings)
        done = lib.command("check", "--settings", path)
        said = done.stdout + done.stderr
        case.equal(done.returncode, status, said)
        case.check(said.startswith(path + ":"), "the file first: " + said)
        for word in words:
            case.check(word in said, "%s in %s" % (word, said))
        if status:	# and a start says the same
            done = lib.command("run", "--settings", path, "--data",
                               case.path("never"), "--admin", "127.0.0.1:0")
            case.equal(done.returncode, 2, "a start: " + done.stderr)
            for word in words:
                case.check(word in done.stderr, "start: %s in %s"
                           % (word, done.stderr))


def check_rules(case, p):
    def rules(**tls):
        return case.rules({"version": 1, "targets": {"legacy": {
            "url": "https://localhost:1", "tls": tls}}}, "check.json")
    rows = (
        (dict(certificate=p.pem("me"), key=p.keyfile("you")), 2, "key",
         ["the key is not the certificate's", p.keyfile("you")]),
        (dict(ca=p.path("none.pem")), 2, "ca", ["cannot be opened"]),
        (dict(crl=p.pem("ca")), 2, "crl", ["no PEM block of a revocation"]),
        (dict(certificate=p.pem("expired"), key=p.keyfile("expired")), 0,
         "certificate", ["warning", "has expired", p.pem("expired")]))
    for tls, status, key, words in rows:
        path = rules(**tls)
        with open(path) as f:
            line = 1 + ['"%s":' % key in x for x in f].index(True)
        done = lib.command("check", path)
        said = done.stdout + done.stderr
        case.equal(done.returncode, status, said)
        case.check(said.startswith("%s:%d:" % (path, line)),
                   "the line first (%d): %s" % (line, said))
        for word in words:
            case.check(word in said, "%s in %s" % (word, said))


def adapter_kinds(case, origin):
    for settings, words in (
            ({"kind": "stdouts"}, "no adapter of kind \"stdouts\""),
            ({"kind": "stdout", "colour": "red"}, "colour")):
        path = case.rules({"version": 1, "targets": {
            "legacy": {"url": origin.url}}, "adapters": {"out": settings}},
            "adapters.json")
        done = lib.command("check", path)
        case.equal(done.returncode, 2, "adapter %r: %s"
                   % (settings, done.stdout + done.stderr))
        case.check(words in done.stderr and "adapters.out" in done.stderr and
                   done.stderr.startswith(path + ":"), done.stderr)


def scenario(case):
    p = make(case)
    origin = case.origin()
    check_settings(case, p, origin)
    check_rules(case, p)
    adapter_kinds(case, origin)
    pairs(case, p, origin)
    staples(case, p, origin)
    revoked_clients(case, p, origin)
    revoked_upstream(case, p, origin)


lib.main(scenario)
