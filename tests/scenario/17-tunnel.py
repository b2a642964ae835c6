# SPDX-License-Identifier: Apache-2.0
"""Upgrade (RFC 9110 7.8): what becomes a tunnel, what does not, and what
passes through it; a real WebSocket client and server at the end."""
import asyncio
import hashlib
import os
import shutil
import signal
import socket
import ssl
import threading
import time

import lib
import pki
import strike
from faulty import law
from lib import Client, wait_for
from peer import Peer, field, read_message

SWITCH = (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo/1\r\n"
          b"Connection: upgrade\r\nX-Kept: 1\r\nContent-Length: 3\r\n\r\n")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def ask(fields=b"Connection: Upgrade\r\nUpgrade: echo/1\r\n",
        version=b"1.1", path=b"/t"):
    return (b"GET " + path + b" HTTP/" + version +
            b"\r\nHost: a\r\n" + fields + b"\r\n")


class Echo(Peer):
    """Switches and sends back what comes, upper-cased; keeps the head and
    what came before its answer. `say` may be another answer."""

    def __init__(self, case, **kw):
        super().__init__(case, **kw)
        self.say, self.early, self.first = SWITCH, b"", b""
        self.pause = 0

    def play(self, connection):
        head, _ = read_message(connection)
        self.seen.put(head)
        if self.pause:
            time.sleep(self.pause)
            connection.socket.setblocking(False)
            try:
                connection.fill()
            except BlockingIOError:
                pass
            connection.socket.settimeout(20)
            self.early = connection.buffer
        say = self.say      # whoever has read it may change it at once
        connection.send(say + self.first)
        if b" 101 " not in say:
            return True
        while connection.buffer or connection.fill():
            data, connection.buffer = connection.buffer, b""
            connection.send(data.upper())
        connection.send(b"BYE")
        return False


def opened(port, fields=None, **kw):
    client = Client(port)
    client.send(ask(fields, **kw) if fields is not None else ask(**kw))
    return client


def switched(case, port):
    """Both heads, an echo, a half-close each way."""
    client = opened(port)
    head = client.until(b"\r\n\r\n").lower() + b"\r\n\r\n"
    case.check(head.startswith(b"http/1.1 101 "), "101: %r" % head)
    for name, want in ((b"upgrade", b"echo/1"), (b"connection", b"upgrade"),
                       (b"x-kept", b"1"), (b"content-length", None),
                       (b"transfer-encoding", None)):
        case.equal(field(head, name), want, "field %s of the 101" % name)
    client.send(b"abc")
    case.equal(client.exactly(3), b"ABC", "through the tunnel")
    client.socket.shutdown(socket.SHUT_WR)
    case.equal(client.to_end(), b"BYE", "the other way outlives a FIN")
    client.close()


def offered(case, matapalo, echo):
    """What the origin sees of an offer, and when there is none."""
    rows = [
        (b"Connection: Upgrade\r\nUpgrade: a, h2c, websocket, TLS/1.0\r\n"
         b"HTTP2-Settings: AAA\r\n", b"1.1", b"a, websocket"),
        (b"Connection: keep-alive, UPGRADE\r\nUpgrade: x\r\nUpgrade: y/2\r\n",
         b"1.1", b"x, y/2"),
        (b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
         b"HTTP2-Settings: AAA\r\n", b"1.1", None),
        (b"Connection: Upgrade\r\nUpgrade: H2C, h2, HTTP/2.0, tls/1.2\r\n",
         b"1.1", None),
        (b"Upgrade: echo/1\r\n", b"1.1", None),
        (b"Connection: Upgrade\r\n", b"1.1", None),
        (b"Connection: Upgrade\r\nUpgrade: echo/1\r\n", b"1.0", None),
        (b"Connection: Upgrade\r\nUpgrade: echo/1\r\nContent-Length: 2\r\n",
         b"1.1", None)]
    echo.say = OK
    for fields, version, want in rows:
        client = opened(matapalo.port, fields, version=version)
        if b"Length" in fields:
            client.send(b"zz")
        case.equal(client.read().body, b"ok", "an answer other than 101")
        head = echo.seen.get(timeout=10)
        case.equal(field(head, b"upgrade"), want, "%r" % fields)
        case.equal(field(head, b"connection"), want and b"upgrade",
                   "option of %r" % fields)
        case.equal(field(head, b"http2-settings"), None, "HTTP2-Settings")
        if version == b"1.1":
            client.send(ask(b""))
            case.equal(client.read().body, b"ok", "the connection goes on")
            echo.seen.get(timeout=10)
        client.close()
    echo.say = SWITCH


def refused(case, matapalo, echo):
    """A 101 that was not asked for, or to something else."""
    for fields, say in (
            (b"", SWITCH),
            (b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
             SWITCH.replace(b"echo/1", b"h2c")),
            (b"Connection: Upgrade\r\nUpgrade: h2c, echo\r\n",
             SWITCH.replace(b"echo/1", b"h2c")),
            (b"Connection: Upgrade\r\nUpgrade: other\r\n", SWITCH),
            (b"Connection: Upgrade\r\nUpgrade: echo/1\r\n",
             SWITCH.replace(b"Upgrade: echo/1\r\n", b""))):
        echo.say = say
        with opened(matapalo.port, fields) as client:
            got = client.read()
            case.equal(got.status, 502, "a 101 to %r" % fields)
            case.equal(got.json()["code"], "upstream.protocol", "its code")
    with Client(matapalo.port) as client:
        client.send(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
        case.check(client.read().status in (400, 405), "CONNECT")
    echo.say = (b"HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\n"
                b"Upgrade: h2c, echo/1\r\nContent-Length: 0\r\n\r\n")
    with opened(matapalo.port, b"") as client:
        got = client.read()
        case.equal((got.status, got.get("Upgrade")), (426, "echo/1"),
                   "426 names the protocol (15.5.22)")
    echo.say = SWITCH


def early_bytes(case, matapalo, echo):
    """What follows the request waits for the 101; what follows the 101
    comes with it."""
    echo.pause, echo.first = 0.3, b"hello "
    with Client(matapalo.port) as client:
        client.send(ask() + b"early")
        client.until(b"\r\n\r\n")
        case.equal(client.exactly(11), b"hello EARLY", "in order")
        case.equal(echo.early, b"", "nothing before the 101")
    echo.first, echo.say = b"", OK
    with Client(matapalo.port) as client:
        client.send(ask() + ask(b"", path=b"/second"))
        case.equal(client.read().body, b"ok", "no switch")
        case.equal(echo.early, b"", "nothing before the answer")
        case.equal(client.read().body, b"ok", "what followed is a request")
    echo.pause, echo.say = 0, SWITCH


def back_pressure(case, matapalo):
    """A peer that does not read costs a buffer and not memory."""
    data = os.urandom(1 << 20).lower() * 64
    with opened(matapalo.port) as client:
        client.until(b"\r\n\r\n")
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            client.socket.setsockopt(socket.SOL_SOCKET, option, 65536)
        before = matapalo.rss_kib()
        client.socket.settimeout(0.25)
        sent = 0
        try:
            while sent < len(data):
                sent += client.socket.send(data[sent:sent + 65536])
        except TimeoutError:
            pass
        case.check(sent < len(data), "the sender is slowed down")
        grown = matapalo.rss_kib() - before
        case.check(grown < 2048 or lib.is_sanitized(),
                   "a full tunnel costs %d KiB" % grown)
        client.socket.settimeout(20)
        got = hashlib.sha256(client.exactly(sent)).hexdigest()
        case.equal(got, hashlib.sha256(data[:sent].upper()).hexdigest(),
                   "all that was sent comes back")


def deadline(case, matapalo):
    with opened(matapalo.port, path=b"/hasty") as client:
        client.until(b"\r\n\r\n")
        start = time.monotonic()
        for _ in range(4):      # longer than the deadline, never silent
            client.send(b"x")
            client.exactly(1)
            time.sleep(0.25)
        case.check(client.is_closed(), "a silent tunnel is ended")
        took = time.monotonic() - start
        case.check(1.2 < took < 4, "after %.1f s" % took)


def event_of(matapalo, path):
    """The terminal events of one target."""
    return [d for d in matapalo.exchanges()
            if d["request"]["target"] == path.decode()]


def recorded(case, matapalo):
    """One terminal event a tunnel, with the sizes of both ways."""
    with opened(matapalo.port, path=b"/t?a") as client:
        client.until(b"\r\n\r\n")
        client.send(b"x" * 1000)
        client.exactly(1000)
        time.sleep(0.1)
        case.equal(event_of(matapalo, b"/t?a"), [], "none while it is open")
    data = wait_for(lambda: event_of(matapalo, b"/t?a"), "its event")[0]
    case.equal((data["response"]["status"], data["request"]["body_bytes"],
                data["outcome"]), (101, 1000, "response"), "its event")
    case.check(data["response"]["body_bytes"] in (1000, 1003), "down")
    case.equal(data["request"].get("truncated"), True, "not the bytes")
    case.check("shadow" not in data, "no copy of a tunnel")
    client = opened(matapalo.port, path=b"/t?b")
    client.until(b"\r\n\r\n")
    client.reset()
    data = wait_for(lambda: event_of(matapalo, b"/t?b"), "its event")[0]
    case.equal(data["outcome"], "aborted", "a reset tunnel")


def many_idle(case, matapalo):
    before = matapalo.rss_kib()
    clients = [opened(matapalo.port) for _ in range(100)]
    for client in clients:
        client.until(b"\r\n\r\n")
    for i, client in enumerate(clients):
        client.send(b"n%d" % i)
    for i, client in enumerate(clients):
        case.equal(client.exactly(len(b"n%d" % i)), b"N%d" % i, "its own")
    grown = matapalo.rss_kib() - before
    case.check(grown < 2600 or lib.is_sanitized(),
               "100 silent tunnels cost %d KiB" % grown)
    print("100 silent tunnels: %d KiB" % grown)
    for client in clients:
        client.close()
    wait_for(lambda: matapalo.metrics()[
        "matapalo_client_connections_open"] == 0, "them to be gone")
    wait_for(lambda: matapalo.metrics()[
        "matapalo_upstream_connections_open"] == 0, "and the upstream's")


def drained(case, rules):
    """A tunnel may go on until the drain time is over; then it ends."""
    matapalo = case.matapalo(rules=rules, args=["--drain", "700ms"])
    client = opened(matapalo.port)
    client.until(b"\r\n\r\n")
    matapalo.signal(signal.SIGTERM)
    time.sleep(0.2)
    client.send(b"still")
    case.equal(client.exactly(5), b"STILL", "a tunnel while draining")
    start = time.monotonic()
    case.equal(matapalo.wait(10), 0, "exit status")
    case.check(time.monotonic() - start < 5, "the drain time ends it")
    case.equal(matapalo.exchanges()[-1]["outcome"], "aborted", "its event")
    client.close()


def chat_server(certificate=None):
    """A WebSocket server of its own kind in a thread; returns its port."""
    import websockets
    loop = asyncio.new_event_loop()
    ready, port = threading.Event(), []
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)

    async def echo(socket, *_):
        async for message in socket:
            await socket.send(message)

    async def serve():
        server = await websockets.serve(echo, "127.0.0.1", 0, ssl=context,
                                        max_size=1 << 24)
        port.append(server.sockets[0].getsockname()[1])
        ready.set()
        await asyncio.Future()

    threading.Thread(target=loop.run_until_complete, args=(serve(),),
                     daemon=True).start()
    ready.wait(10)
    return port[0]


async def chat(case, url, context=None):
    import websockets
    texts = ["", "a", "\u00e9" * 70, "x" * 70000]
    async with websockets.connect(url, ssl=context, max_size=1 << 24) as ws:
        for text in texts:
            await ws.send(text)
            case.equal(await ws.recv(), text, "a text message")
        blob = os.urandom(3000000)
        await ws.send(blob)
        case.check(await ws.recv() == blob, "3 MB in one message")
        await (await ws.ping())
    case.equal(ws.close_code, 1000, "closed by both")


def websockets_come(case, matapalo, url, context=None):
    for _ in range(3):
        asyncio.run(chat(case, url, context))
    events = matapalo.await_exchanges(3)
    case.equal([(e["response"]["status"], e["outcome"]) for e in events],
               [(101, "response")] * 3, "events of " + url)
    case.equal(matapalo.stop(), 0, "exit status")


def websocket(case):
    """Both ends are somebody else's; then with TLS on both sides."""
    try:
        import websockets
    except ImportError:
        print("no python3-websockets: that part is left out")
        return
    del websockets
    matapalo = case.matapalo(legacy="http://127.0.0.1:%d" % chat_server())
    websockets_come(case, matapalo,
                    "ws://127.0.0.1:%d/chat?x=1" % matapalo.port)
    if not shutil.which("openssl"):
        print("no openssl: the part with TLS is left out")
        return
    p = pki.Pki(case)
    p.authority("ca")
    p.leaf("good", "DNS:localhost,IP:127.0.0.1", "ca")
    certificate = p.pem("good"), p.keyfile("good")
    url = "https://localhost:%d" % chat_server(certificate)
    rules = case.rules({"version": 1, "targets": {
        "legacy": {"url": url, "tls": {"ca": p.pem("ca")}}}}, "wss.json")
    matapalo = case.matapalo(rules=rules, listen="127.0.0.1:0,tls", args=[
        "--tls-certificate", certificate[0], "--tls-key", certificate[1]])
    websockets_come(case, matapalo, "wss://localhost:%d/chat" % matapalo.port,
                    ssl.create_default_context(cafile=p.pem("ca")))


RING_FULL = 'matapalo_exchanges_dropped_total{reason="ring_full"}'
PIPELINED = 1000


def fill_ring(matapalo):
    """Exchanges of class `bounded` until the first has no room."""
    with Client(matapalo.port) as client:
        while matapalo.metrics()[RING_FULL] == 0:
            client.send(b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n" * PIPELINED)
            for _ in range(PIPELINED):
                client.read()


def full_ring(case):
    """The disk hangs and the ring to the journal is full: a strict tunnel
    waits for its request event and has not left; then it has both events. An
    open one that ends meanwhile has its terminal event, too."""
    disk, echo = strike.Strike(case), Echo(case)
    if not disk.works:
        return
    matapalo = case.matapalo(rules=case.rules({
        "version": 1, "targets": {"legacy": {"url": echo.url}},
        "default": {"durability": "bounded"},
        "rules": [{"name": "gone", "match": {"path": "/gone"},
                   "stage": "retired"},
                  {"name": "tunnel", "match": {"path": "/t"},
                   "durability": "strict"}]}), env=disk.environment)
    before = opened(matapalo.port, path=b"/t?before")
    before.until(b"\r\n\r\n")
    echo.seen.get(timeout=10)
    disk.arm("log-sync", strike.HANG)
    fill_ring(matapalo)
    before.send(b"abc")
    case.equal(before.exactly(3), b"ABC", "an open tunnel goes on")
    before.socket.shutdown(socket.SHUT_WR)
    case.equal(before.to_end(), b"BYE", "and ends")
    late = opened(matapalo.port, path=b"/t?late")
    wait_for(lambda: matapalo.metrics()["matapalo_client_connections_open"] >=
             1, "the late one")
    fill = matapalo.metrics()[RING_FULL]
    with Client(matapalo.port) as client:   # the same worker, behind it
        case.equal(client.request("GET", "/gone").status, 410, "bounded")
    case.check(matapalo.metrics()[RING_FULL] > fill, "the ring is full")
    case.check(echo.seen.empty(), "what is not on disk has not left")
    disk.disarm()
    case.check(b" 101 " in late.until(b"\r\n\r\n"), "then it is a tunnel")
    late.close()
    before.close()
    for path in (b"/t?before", b"/t?late"):
        wait_for(lambda: event_of(matapalo, path), "%r's event" % path)
        case.equal(len(event_of(matapalo, path)), 1, "one terminal event")
    rows = matapalo.query("SELECT count(*) FROM events WHERE type = "
                          "'matapalo.request.v1'")
    case.equal(rows[0][0], 2, "and a request event each")
    law(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")


def rules_for(case, url, candidate, durability, name):
    return case.rules({
        "version": 1,
        "targets": {"legacy": {"url": url}, "new": {"url": candidate},
                    "hasty": {"url": url, "timeout": {"idle": "700ms"}}},
        "rules": [{"name": "tunnel", "match": {"path": "/t"},
                   "stage": "shadow", "target": "new",
                   "durability": durability},
                  {"name": "hasty", "match": {"path": "/hasty"},
                   "stage": "migrated", "target": "hasty"}]}, name)


def scenario(case):
    candidate = Echo(case)
    for durability in ("bounded", "strict"):
        echo = Echo(case)
        rules = rules_for(case, echo.url, candidate.url, durability,
                          durability + ".json")
        matapalo = case.matapalo(rules=rules)
        switched(case, matapalo.port)
        echo.seen.get(timeout=10)
        offered(case, matapalo, echo)
        refused(case, matapalo, echo)
        early_bytes(case, matapalo, echo)
        back_pressure(case, matapalo)
        recorded(case, matapalo)
        many_idle(case, matapalo)
        if durability == "strict":
            deadline(case, matapalo)
        case.equal(matapalo.stop(), 0, "exit status")
    full_ring(case)
    drained(case, rules)
    websocket(case)


lib.main(scenario)
