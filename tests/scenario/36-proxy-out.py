# SPDX-License-Identifier: Apache-2.0
"""The PROXY protocol towards targets: what is on the wire, byte by byte, and
what HAProxy and nginx make of it where they are installed."""
import os
import shutil
import signal
import socket

import lib
from lib import Client, make_request, wait_for
from peer import Peer, read_message
from pki import Pki

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n" \
         b"Upgrade: echo\r\n\r\n"
UPGRADE = (("Connection", "upgrade"), ("Upgrade", "echo"))
FIRST = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
OTHER = b"PROXY TCP6 2001:db8::9 2001:db8::1 4711 8443\r\n"
SEEN = {FIRST: "192.0.2.1 56324 198.51.100.7 443",
        OTHER: "2001:db8::9 4711 2001:db8::1 8443"}
PROXY_LISTEN = "127.0.0.1:0,proxy"


def run(case, target, **kw):
    text = {"version": 1, "targets": {"legacy": target}}
    return case.matapalo(rules=case.rules(text, case.unique("rules.json")),
                         **kw)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def is_open(port):
    try:
        Client(port).close()
        return True
    except OSError:
        return False


class Receiver(Peer):
    """Wants one PROXY header a connection; answers every request on it."""

    def __init__(self, case, silent=0):
        self.silent = silent    # connections that are closed unanswered
        self.headers = []
        super().__init__(case, self.receive)

    def receive(self, connection):
        if not getattr(connection, "greeted", False):
            connection.greeted = True
            self.headers.append(connection.until(b"\r\n") + b"\r\n")
        head, _ = read_message(connection)
        if self.silent:
            self.silent -= 1
            return False
        if b"Upgrade: echo" in head:
            connection.send(SWITCH)
            while True:
                connection.send(connection.exactly(1))
        connection.send(OK)
        return True


def on_the_wire(case):
    """One header a connection, one client a connection."""
    receiver = Receiver(case)
    matapalo = run(case, {"url": receiver.url, "proxy_protocol": "v1"},
                   listen=PROXY_LISTEN)
    with Client(matapalo.port) as one, Client(matapalo.port) as two:
        one.send(FIRST)
        two.send(OTHER)
        for _ in range(3):
            for client in one, two:
                client.send(make_request("GET", "/a"))
                case.equal(client.read().status, 200, "an answer")
    case.equal(receiver.headers, [FIRST, OTHER] * 3, "the headers")
    with Client(matapalo.port) as client:
        client.send(b"PROXY UNKNOWN\r\n" + make_request("GET", "/a"))
        own = client.socket.getsockname()[1]
        case.equal(client.read().status, 200, "an answer")
    case.equal(receiver.headers.pop(),
               b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n" %
               (own, matapalo.port), "an unnamed client is its connection")
    case.equal(matapalo.stop(), 0, "exit status")


def tunnels(case):
    receiver = Receiver(case)
    matapalo = run(case, {"url": receiver.url, "proxy_protocol": "v1"},
                   listen=PROXY_LISTEN)
    for header in FIRST, OTHER:
        with Client(matapalo.port) as client:
            client.send(header + make_request("GET", "/t", fields=UPGRADE))
            case.check(b" 101 " in client.until(b"\r\n\r\n"), "a tunnel")
            client.send(b"hello")
            case.equal(client.exactly(5), b"hello", "its echo")
    case.equal(receiver.headers, [FIRST, OTHER], "the headers of tunnels")
    case.equal(matapalo.stop(), 0, "exit status")


def new_connections(case):
    """Each has a header of its own: another address, another attempt."""
    receiver = Receiver(case, silent=1)
    matapalo = run(case, {"url": receiver.url, "proxy_protocol": "v1"},
                   listen=PROXY_LISTEN)
    with Client(matapalo.port) as client:
        client.send(FIRST + make_request("GET", "/again"))
        case.equal(client.read().status, 200, "the second attempt")
    case.equal(receiver.headers, [FIRST, FIRST], "a header each")
    case.equal(matapalo.stop(), 0, "exit status")
    receiver = Receiver(case)
    closed = "http://127.0.0.1:%d" % free_port()
    matapalo = run(case, {"url": [closed, receiver.url],
                          "proxy_protocol": "v1", "eject": {"for": "1ms"}},
                   listen=PROXY_LISTEN)
    for n in range(6):
        with Client(matapalo.port) as client:
            client.send((FIRST, OTHER)[n % 2] +
                        make_request("POST", "/order", b"one"))
            case.equal(client.read().status, 200, "a POST")
    case.equal(receiver.headers, [FIRST, OTHER] * 3, "after failed connects")
    retried = matapalo.metrics()[
        'matapalo_upstream_retried_total{reason="connect"}']
    case.check(retried > 0, "%d connects failed" % retried)
    case.equal(matapalo.stop(), 0, "exit status")


def who_it_is(case):
    """The client is whom the trust rules say; a Unix socket's is unknown."""
    receiver = Receiver(case)
    path = case.path("in.sock")
    matapalo = run(case, {"url": receiver.url, "proxy_protocol": "v1"},
                   args=["--trusted-proxy", "127.0.0.0/8",
                         "--listen", "unix:" + path])
    rows = [("192.0.2.7", "TCP4 192.0.2.7 127.0.0.1 0"),
            ("192.0.2.7:81, 127.0.0.9", "TCP4 192.0.2.7 127.0.0.1 81"),
            ("2001:db8::7", "TCP6 2001:db8::7 ::ffff:127.0.0.1 0")]
    for told, expected in rows:
        lib.fetch(matapalo.port, "GET", "/",
                  fields=[("X-Forwarded-For", told)])
        case.equal(receiver.headers.pop().decode(), "PROXY %s %d\r\n" %
                   (expected, matapalo.port), told)
    lib.fetch(matapalo.port, "GET", "/", fields=[("X-Forwarded-For", "_x")])
    case.equal(receiver.headers.pop(), b"PROXY UNKNOWN\r\n", "_x")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.settimeout(20)
        s.sendall(make_request("GET", "/"))
        case.check(s.recv(100).startswith(b"HTTP/1.1 200"), "an answer")
    case.equal(receiver.headers.pop(), b"PROXY UNKNOWN\r\n", "Unix socket")
    case.equal(matapalo.stop(), 0, "exit status")


def reload(case):
    """No connection without a header survives the key, none with one its
    end."""
    peer = Peer(case)
    peer.say = OK
    matapalo = run(case, {"url": peer.url})
    rules = matapalo.argv[matapalo.argv.index("--rules") + 1]
    with Client(matapalo.port) as client:
        def begins():
            case.equal(client.request("GET", "/").status, 200, "an answer")
            return peer.seen.get(timeout=20)[:5]

        case.equal(begins(), b"GET /", "without the key")
        for version, first in ("v1", b"PROXY"), ("none", b"GET /"):
            target = {"url": peer.url, "proxy_protocol": version}
            case.rules({"version": 1, "targets": {"legacy": target}},
                       os.path.basename(rules))
            matapalo.signal(signal.SIGHUP)
            wait_for(lambda: begins() == first, version)
    case.equal(matapalo.stop(), 0, "exit status")


HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend f
    bind 127.0.0.1:%d accept-proxy %s
    http-request return status 200 content-type text/plain lf-string \
"%%[src] %%[src_port] %%[dst] %%[dst_port]"
"""
NGINX = """
daemon off; master_process off; pid %(dir)s/pid; error_log %(dir)s/error;
events { worker_connections 64; }
http {
  access_log off; client_body_temp_path %(dir)s/b; proxy_temp_path %(dir)s/p;
  fastcgi_temp_path %(dir)s/f; uwsgi_temp_path %(dir)s/u;
  scgi_temp_path %(dir)s/s;
  server { listen 127.0.0.1:%(port)d proxy_protocol;
    location / { return 200 "$proxy_protocol_addr $proxy_protocol_port \
$proxy_protocol_server_addr $proxy_protocol_server_port"; } } }
"""


def which(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")


def start_haproxy(case, options=""):
    port, path = free_port(), case.path(case.unique("haproxy.cfg"))
    with open(path, "w") as f:
        f.write(HAPROXY % (port, options))
    case.start(case.unique("haproxy"), [which("haproxy"), "-db", "-f", path])
    wait_for(lambda: is_open(port), "haproxy")
    return port


def start_nginx(case):
    port, where = free_port(), case.path(case.unique("nginx"))
    os.mkdir(where)
    path = os.path.join(where, "conf")
    with open(path, "w") as f:
        f.write(NGINX % {"dir": where, "port": port})
    case.start(case.unique("nginx"), [
        which("nginx"), "-c", path, "-p", where, "-e", where + "/error"])
    wait_for(lambda: is_open(port), "nginx")
    return port


def state(matapalo):
    return matapalo.status()["targets"][0]["addresses"][0]["state"]


def is_understood(case, what, target):
    """Two clients in turn, and a health check that one failure would fail."""
    target["health"] = {"path": "/", "every": "50ms", "unhealthy": 1}
    matapalo = run(case, target, listen=PROXY_LISTEN)
    with Client(matapalo.port) as one, Client(matapalo.port) as two:
        one.send(FIRST)
        two.send(OTHER)
        for method, body in ("GET", None), ("POST", b"x" * 3000):
            for client, header in (one, FIRST), (two, OTHER):
                client.send(make_request(method, "/", body))
                case.equal(client.read().body.decode(), SEEN[header], what)
    wait_for(lambda: matapalo.metrics()["matapalo_health_probes_total"] > 2,
             "health checks")
    case.equal(state(matapalo), "up", what + ": its health")
    case.equal(matapalo.stop(), 0, "exit status")


def real_receivers(case):
    for version in "v1", "v2":
        for name, start in ("haproxy", start_haproxy), ("nginx", start_nginx):
            if not which(name):
                print("%s is not installed: not tried" % name)
                continue
            is_understood(case, "%s %s" % (name, version), {
                "url": "http://127.0.0.1:%d" % start(case),
                "proxy_protocol": version})


def before_tls(case):
    if not which("haproxy") or not shutil.which("openssl"):
        print("haproxy or openssl is not installed: TLS not tried")
        return
    pki = Pki(case)
    pki.authority("ca")
    pki.leaf("server", "DNS:localhost,IP:127.0.0.1", "ca")
    both = case.path("both.pem")
    with open(both, "w") as f:
        for part in pki.pem("server"), pki.keyfile("server"):
            with open(part) as text:
                f.write(text.read())
    port = start_haproxy(case, "ssl crt " + both)
    for version in "v1", "v2":
        is_understood(case, "TLS " + version, {
            "url": "https://127.0.0.1:%d" % port, "proxy_protocol": version,
            "tls": {"ca": pki.pem("ca")}})


def scenario(case):
    on_the_wire(case)
    tunnels(case)
    new_connections(case)
    who_it_is(case)
    reload(case)
    real_receivers(case)
    before_tls(case)


lib.main(scenario)
