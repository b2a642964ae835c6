# SPDX-License-Identifier: Apache-2.0
"""Messages in motion: streams of events, early answers, expectations, cut
answers, order, loops, and bodies larger than any memory."""
import os
import resource
import signal
import statistics
import threading
import time

import lib
from lib import Client, fetch, make_request, pattern, wait_for
from peer import Peer, field, read_message

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LARGE_MIB = int(os.environ.get("LARGE_MIB", "128"))
MAY_GROW_KIB = 16 * 1024


def rules_for(case, url, name, **settings):
    return case.rules({"version": 1, "targets": {"legacy": {"url": url}},
                       "default": settings}, name)


def kinds(case, url):
    """One matapalo for each way to treat a request."""
    for kind, settings in (
            ("passed through", {"stage": "passthrough"}),
            ("recorded", {"stage": "mirror"}),
            ("strict", {"stage": "mirror", "durability": "strict"})):
        name = kind.replace(" ", "-") + ".json"
        matapalo = case.matapalo(rules=rules_for(case, url, name, **settings))
        yield kind, matapalo
        case.equal(matapalo.stop(), 0, "exit status")


# ---- server-sent events ---------------------------------------------------

def event_source(connection):
    """20 events, then as many as the client wants; each says when."""
    read_message(connection)
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        text = b"data: %.6f\n\n" % time.monotonic()
        connection.send(b"%x\r\n%s\r\n" % (len(text), text))
        time.sleep(0.02)


def server_sent_events(case):
    """Each event arrives as it was sent: nothing waits for more."""
    for kind, matapalo in kinds(case, Peer(case, event_source).url):
        client = Client(matapalo.port)
        client.send(make_request("GET", "/events"))
        case.check(b" 200 " in client.until(b"\r\n\r\n"), "the head is here")
        late = []
        for _ in range(25):
            client.until(b"data: ")
            sent = float(client.until(b"\n\n"))
            late.append((time.monotonic() - sent) * 1000)
        client.reset()
        print("events %s: median %.2f ms, worst %.2f ms"
              % (kind, statistics.median(late), max(late)))
        case.check(statistics.median(late) < 10, "%s: median %.1f ms"
                   % (kind, statistics.median(late)))
        if kind != "passed through":
            event = matapalo.await_exchanges(1)[0]
            case.equal((event["outcome"], event["response"]["status"]),
                       ("aborted", 200), "an endless stream's event")
        wait_for(lambda: matapalo.metrics()[
            "matapalo_upstream_connections_open"] == 0, "the origin's end")


# ---- early answers --------------------------------------------------------

SIZE = 3000000


def early_server(connection):
    """Answers when it has seen the head; /rude never reads the body."""
    head = connection.until(b"\r\n\r\n")
    data = pattern(SIZE)
    connection.send(b"HTTP/1.1 413 Too Much\r\nContent-Length: %d\r\n\r\n"
                    % SIZE)
    for at in range(0, SIZE, 300000):
        connection.send(data[at:at + 300000])
        time.sleep(0.01)
    if b"/rude" not in head:
        left = int(field(head, b"content-length")) - len(connection.buffer)
        connection.buffer = b""
        while left > 0 and connection.fill():
            left -= len(connection.buffer)
            connection.buffer = b""
    time.sleep(0.1)
    return False


class Upload:
    """A client whose upload goes on until it is closed."""

    def __init__(self, port, path):
        self.client = Client(port)
        self.client.send(b"POST %s HTTP/1.1\r\nHost: a\r\n"
                         b"Content-Length: 99000000\r\n\r\n" % path)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.over.is_set():
                self.client.send(b"z" * 65536)
                time.sleep(0.001)
        except OSError:
            pass

    def close(self):
        self.over.set()
        self.thread.join()
        self.client.close()


def early_answers(case):
    """The whole answer arrives while the upload still runs."""
    for kind, matapalo in kinds(case, Peer(case, early_server).url):
        for path in (b"/reads", b"/rude"):
            upload = Upload(matapalo.port, path)
            answer = upload.client.read()
            case.equal(answer.status, 413, "%s: early %s" % (kind, path))
            case.check(answer.body == pattern(SIZE), "all of it")
            case.equal(answer.get("Connection"), "close", "and a close")
            case.check(upload.client.is_closed(), "which comes")
            upload.close()


def hasty_server(connection):
    """Answers and is gone: what it did not read makes the end a reset."""
    connection.until(b"\r\n\r\n")
    data = pattern(50000)
    # Small enough for the socket: a reset discards what is still unsent.
    connection.send(b"HTTP/1.1 413 Too Much\r\nContent-Length: 50000\r\n"
                    b"\r\n" + data[:40000])
    time.sleep(0.05)    # while the answer is on its way
    connection.send(data[40000:])
    return False


def reset_behind_answer(case):
    """What the origin said before its reset still arrives."""
    for kind, matapalo in kinds(case, Peer(case, hasty_server).url):
        for _ in range(5):
            upload = Upload(matapalo.port, b"/")
            answer = upload.client.read()
            case.check((answer.status, answer.body) == (413, pattern(50000)),
                       "%s: whole in spite of a reset" % kind)
            upload.close()


def duplex_server(connection):
    """Sends each chunk back while the request is still coming."""
    connection.until(b"\r\n\r\n")
    connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    size = -1
    while size:
        size = int(connection.until(b"\r\n"), 16)
        connection.send(b"%x\r\n%s" % (size, connection.exactly(size + 2)))
    return False


def full_duplex(case):
    matapalo = case.matapalo(legacy=Peer(case, duplex_server).url)
    with Client(matapalo.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n")
        client.until(b"\r\n\r\n")
        for i in range(20):
            client.send(b"4\r\n%04d\r\n" % i)
            case.equal(client.exactly(9), b"4\r\n%04d\r\n" % i, "its echo")
        client.send(b"0\r\n\r\n")
        case.equal(client.chunked(), b"", "both end")
    case.equal(matapalo.stop(), 0, "exit status")


# ---- expectations ---------------------------------------------------------

def expect_server(connection):
    head = connection.until(b"\r\n\r\n")
    if b"/no" in head:
        connection.send(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno")
        return True
    connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    connection.exactly(int(field(head, b"content-length")))
    connection.send(OK)
    return True


def ask(path, size=5):
    return (b"POST %s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
            b"Content-Length: %d\r\n\r\n" % (path, size))


def expectations(case):
    for kind, matapalo in kinds(case, Peer(case, expect_server).url):
        with Client(matapalo.port) as client:
            client.send(ask(b"/yes"))
            interim = client.until(b"\r\n\r\n")
            case.equal(interim, b"HTTP/1.1 100 Continue", kind + ": asked")
            client.send(b"hello")
            case.equal(client.read().body, b"ok", "answered")
        with Client(matapalo.port) as client:
            client.send(ask(b"/no"))
            answer = client.read()
            case.equal((answer.status, answer.interim, answer.body),
                       (401, [], b"no"), kind + ": refused at once")
            case.equal(answer.get("Connection"), "close", "no body will come")
            case.check(client.is_closed(), "closed")


def silent_server(connection):
    head = connection.until(b"\r\n\r\n")
    if b"/told" in head:
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    connection.until(b"never")


def nobody_says_go_on(case):
    """Who does not answer an expectation is late, not who obeys it."""
    settings = {"url": Peer(case, silent_server).url,
                "timeout": {"idle": "300ms"}}
    matapalo = case.matapalo(rules=case.rules(
        {"version": 1, "targets": {"legacy": settings}}, "silent.json"))
    for path, status in ((b"/", 504), (b"/told", 408)):
        with Client(matapalo.port) as client:
            client.send(ask(path))
            case.equal(client.read().status, status, "who was late")
    case.equal(matapalo.stop(), 0, "exit status")


def long_interim(case):
    """An interim head larger than a buffer, and all the rest behind it."""
    body = pattern(200000)

    def server(connection):
        read_message(connection)
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: <%s>\r\n\r\n"
                        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
                        % (b"a" * 20000, len(body), body))
        return True

    matapalo = case.matapalo(legacy=Peer(case, server).url)
    for _ in range(5):
        answer = fetch(matapalo.port, "GET", "/")
        case.equal((answer.status, answer.body == body), (200, True),
                   "behind a long interim head")
    case.equal(matapalo.stop(), 0, "exit status")


def failed_commit(case):
    """A 100 was sent, then the end of the answer cannot be recorded: the
    client is told so by a 503 and not by a closed connection."""
    go_on = threading.Event()

    def serve(connection):
        head = connection.until(b"\r\n\r\n")
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.exactly(int(field(head, b"content-length")))
        go_on.wait(20)
        connection.send(OK)
        return True
    rules = rules_for(case, Peer(case, serve).url, "commit.json",
                      stage="mirror", durability="strict")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)   # inherited
    matapalo = case.matapalo(rules=rules, restore_signals=False)
    with Client(matapalo.port) as client:
        client.send(ask(b"/x"))
        client.until(b"\r\n\r\n")
        limits = resource.prlimit(matapalo.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(matapalo.pid, resource.RLIMIT_FSIZE, (1, limits[1]))
        client.send(b"hello")
        go_on.set()
        answer = client.read()
        case.equal(answer.status, 503, "an answer that cannot be recorded")
        case.equal(answer.json()["code"], "journal.unwritable", "its code")
        resource.prlimit(matapalo.pid, resource.RLIMIT_FSIZE, limits)
    case.equal(matapalo.stop(), 0, "exit status")


# ---- HTTP/1.0, order, hops ------------------------------------------------

def cut_server(connection):
    head, _ = read_message(connection)
    if b"/chunked" in head:
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                        b"\r\n5\r\nhello\r\n")
    else:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    time.sleep(0.1)
    return False


def cut_answers(case):
    """RFC 9112 8: an HTTP/1.0 client sees that an answer is not whole."""
    for kind, matapalo in kinds(case, Peer(case, cut_server).url):
        with Client(matapalo.port) as client:
            client.send(b"GET /chunked HTTP/1.0\r\nHost: a\r\n\r\n")
            reset = False
            try:
                while client.fill():
                    pass
            except ConnectionResetError:
                reset = True
            case.check(reset, kind + ": a close-delimited answer is reset")
        with Client(matapalo.port) as client:
            client.send(b"GET /length HTTP/1.0\r\nHost: a\r\n\r\n")
            got = client.to_end()
            case.check(b"Content-Length: 10\r\n" in got, "the length stays")


def mixed_order(case, origin):
    """RFC 9112 9.3.2: answers come in the order of the requests."""
    matapalo = case.matapalo(legacy=origin.url)
    with Client(matapalo.port) as client:
        targets = ["/slow-head/%d" % (60 * (i % 3 == 0)) if i % 2 == 0 else
                   "/x?n=%d" % i for i in range(24)]
        client.send(b"".join(make_request("GET", t) for t in targets))
        for target in targets:
            want = target.encode() if target[1] == "x" else b"slow"
            case.equal(client.read().body, want, "in order: " + target)
    case.equal(matapalo.stop(), 0, "exit status")


def two_in_a_row(case):
    """RFC 9110 7.6.3: a chain is no loop, a ring is."""
    peer = Peer(case)
    peer.say = OK
    inner = case.matapalo(legacy=peer.url)
    outer = case.matapalo(legacy="http://127.0.0.1:%d" % inner.port)
    case.equal(fetch(outer.port, "GET", "/x").status, 200, "two in a row")
    names = [line for line in peer.seen.get().split(b"\r\n")
             if line.lower().startswith(b"via:")]
    case.equal((len(names), len(set(names))), (2, 2), "two names in Via")
    case.equal(outer.stop(), 0, "exit status")
    case.equal(inner.stop(), 0, "exit status")
    ring = case.matapalo(legacy=peer.url, data=None)
    # The rules of a running process lead back to itself.
    rules = rules_for(case, peer.url, "ring.json", stage="mirror")
    case.equal(ring.stop(), 0, "exit status")
    ring = case.matapalo(rules=rules)
    rules_for(case, "http://127.0.0.1:%d" % ring.port, "ring.json",
              stage="mirror")
    wait_for(lambda: fetch(ring.port, "GET", "/x").status != 200, "the ring")
    answer = fetch(ring.port, "GET", "/x")
    case.equal((answer.status, answer.json()["code"]), (508, "proxy.loop"),
               "a ring")
    case.equal(ring.stop(), 0, "exit status")


def base_path(case):
    """RFC 9112 3.2.4: `*` is about the server, not about a path."""
    peer = Peer(case)
    peer.say = OK
    matapalo = case.matapalo(legacy=peer.url + "/base")
    for sent, seen in (("*", b"*"), ("/a", b"/base/a")):
        fetch(matapalo.port, "OPTIONS", sent)
        case.equal(peer.seen.get().split(b" ")[1], seen, "OPTIONS " + sent)
    case.equal(matapalo.stop(), 0, "exit status")


def gone_with_body(case):
    """A retired endpoint reads a small body: the connection goes on."""
    rules = case.rules({
        "version": 1, "targets": {"legacy": {"url": "http://127.0.0.1:1"}},
        "rules": [{"name": "gone", "match": {"path": "/gone"},
                   "stage": "retired"}]}, "gone.json")
    matapalo = case.matapalo(rules=rules)
    for chunked in (False, True):
        with Client(matapalo.port) as client:
            for size in (0, 5, 3000):
                got = client.request("POST", "/gone", b"z" * size,
                                     chunked=chunked)
                case.equal((got.status, got.get("Connection")), (410, None),
                           "%d bytes, chunked %s" % (size, chunked))
    with Client(matapalo.port) as client:
        whole = make_request("POST", "/gone", b"z" * 60000)
        client.send(whole[:30000])
        time.sleep(0.05)
        client.send(whole[30000:] + make_request("POST", "/gone", b"z"))
        case.equal([client.read().status for _ in "ab"], [410, 410],
                   "a body in two pieces, and the next request")
    with Client(matapalo.port) as client:
        client.send(ask(b"/gone"))
        got = client.read()
        case.equal((got.status, got.get("Connection")), (410, "close"),
                   "who waits for a 100 is told at once")
    with Client(matapalo.port) as client:
        client.send(b"POST /gone HTTP/1.1\r\nHost: a\r\n"
                    b"Content-Length: 9000000\r\n\r\nzz")
        got = client.read()
        case.equal((got.status, got.get("Connection")), (410, "close"),
                   "a large body is not waited for")
    events = matapalo.exchanges()
    case.check(60000 in [e["request"]["body_bytes"] for e in events],
               "the body is in the event")
    case.equal(matapalo.stop(), 0, "exit status")


# ---- large bodies ---------------------------------------------------------

def peak_kib(matapalo):
    with open("/proc/%d/status" % matapalo.pid) as f:
        for line in f:
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


def download(port, size):
    """Receives into one buffer; checks the first megabyte and the length."""
    with Client(port) as client:
        client.send(make_request("GET", "/bytes/%d" % size))
        head = client.until(b"\r\n\r\n")
        lib_ok = b"Content-Length: %d" % size in head
        first = client.exactly(1 << 20)
        left = size - (1 << 20) - len(client.buffer)
        buffer = bytearray(1 << 20)
        while left > 0:
            n = client.socket.recv_into(buffer)
            if n == 0:
                raise lib.Failed("%d bytes are missing" % left)
            left -= n
        return lib_ok and first == pattern(1 << 20) and left == 0


def upload(port, size):
    block = bytes(1 << 20)
    with Client(port, timeout=120) as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\n"
                    b"Content-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 20):
            client.send(block)
        return client.read().json()["body_bytes"] == size


def large_bodies(case, origin):
    size = LARGE_MIB << 20
    for kind, matapalo in kinds(case, origin.url):
        if kind == "strict":
            continue
        fetch(matapalo.port, "GET", "/bytes/1000000")
        fetch(matapalo.port, "POST", "/echo", b"z" * 1000000)
        for name, move in (("down", download), ("up", upload)):
            with open("/proc/%d/clear_refs" % matapalo.pid, "w") as f:
                f.write("5")
            before, start = matapalo.rss_kib(), time.monotonic()
            case.check(move(matapalo.port, size), "%s, %s" % (name, kind))
            took = time.monotonic() - start
            grown = peak_kib(matapalo) - before
            print("%d MiB %s, %s: %.1f s, peak memory %+d KiB"
                  % (LARGE_MIB, name, kind, took, grown))
            case.check(grown < MAY_GROW_KIB or lib.is_sanitized(),
                       "%s %s costs %d KiB" % (name, kind, grown))


def scenario(case):
    origin = case.origin("legacy")
    server_sent_events(case)
    early_answers(case)
    reset_behind_answer(case)
    full_duplex(case)
    expectations(case)
    nobody_says_go_on(case)
    long_interim(case)
    failed_commit(case)
    cut_answers(case)
    mixed_order(case, origin)
    two_in_a_row(case)
    base_path(case)
    gone_with_body(case)
    large_bodies(case, origin)


lib.main(scenario, seconds=240 + LARGE_MIB)
