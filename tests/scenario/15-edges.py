# SPDX-License-Identifier: Apache-2.0
"""What peers do at the edges of a message: upstreams that say too much or
too little, callers that pause, vanish or never read."""
import socket
import threading
import time

import lib
from lib import Client, fetch, make_request, pattern
from faulty import Upstream, law, length_of, target_of

PATIENCE_S = 2 if lib.is_sanitized() else 0.25
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


def unix_client(path):
    """Its socket's buffer is small and does not grow."""
    client = Client.__new__(Client)
    client.socket, client.buffer = socket.socket(socket.AF_UNIX), b""
    client.socket.settimeout(20)
    client.socket.connect(path)
    return client


def answer(connection, body):
    connection.send(HEAD % len(body) + body)


def surplus(case):
    """Bytes behind a long answer never answer the next request."""
    smuggled = HEAD % 8 + b"smuggled"

    def serve(connection, head):
        if target_of(head) == "/long":
            data = pattern(100000)
            connection.send(HEAD % len(data) + data[:50000])
            time.sleep(0.05)    # so that the rest comes in another read
            connection.send(data[50000:] + smuggled)
        else:
            answer(connection, b"right")
    matapalo = case.matapalo(legacy=Upstream(case, serve).url)
    for i in range(5):
        got = fetch(matapalo.port, "GET", "/long")
        case.check(got.body == pattern(100000), "a long answer")
        case.equal(fetch(matapalo.port, "GET", "/x").body, b"right",
                   "the answer after surplus bytes")
    case.equal(matapalo.stop(), 0, "exit status")


def interim_answers(case):
    """103s that the caller does not read yet outlive the buffer that they
    were received in."""
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: <%s>\r\n\r\n"
    count, callers = 16, 6
    path = case.path("clients.sock")

    def serve(connection, head):
        number = int(target_of(head).split("=")[1])
        for letter in letters(number):
            connection.send(hint % link(number, letter))
            time.sleep(0.001)   # each in a read of its own
        answer(connection, b"%d" % number)

    def letters(number):    # so that buffers are full at different points
        return "abcdef"[:3 + number // 1000 % 4 if number % 1000 == 0 else 3]

    def link(number, letter):
        return b"%d%s" % (number, letter.encode() *
                          (5000 if letter < "c" else 9000))

    def call(first):
        client = unix_client(path)
        client.send(b"".join(make_request("GET", "/x?n=%d" % (first + i))
                             for i in range(count)))
        return client

    upstream = Upstream(case, serve)
    matapalo = case.matapalo(legacy=upstream.url,
                             args=["--listen", "unix:" + path])
    clients = [call(i * 1000) for i in range(callers)]
    time.sleep(1)               # the callers do not read
    case.check(len(upstream.heads) < callers * count, "callers are waited for")
    others = [Client(matapalo.port) for _ in range(40)]
    for other in others:        # they use the buffers that are free now
        other.send(b"GET / HTTP/1.1\r\nX: " + b"overwritten " * 1200)
    fetch(matapalo.port, "GET", "/x?n=0")
    for k, client in enumerate(clients):
        for i in range(k * 1000, k * 1000 + count):
            got = client.read()
            links = [x.get("Link") for x in got.interim]
            want = ["<%s>" % link(i, x).decode() for x in letters(i)]
            case.check(links == want, "interim answers of request %d" % i)
            case.equal(got.body, b"%d" % i, "final answer")
        client.close()
    case.equal(matapalo.stop(), 0, "exit status")


def deadlines(case):
    """`head` runs from the request's last byte; `idle` is for silence inside
    a message; neither is for the time between requests."""
    def serve(connection, head):
        connection.exactly(length_of(head))
        if target_of(head) != "/hang":
            answer(connection, b"done")
        else:
            connection.fill()
    rules = {"version": 1, "targets": {"legacy": {
        "url": Upstream(case, serve).url,
        "timeout": {"head": "400ms", "idle": "8s"}}}}
    matapalo = case.matapalo(rules=case.rules(rules))
    port = matapalo.port
    whole = make_request("POST", "/x", b"z" * 2000)
    with Client(port) as client:
        client.send(whole[:-2000])
        time.sleep(1)
        client.send(whole[-2000:])
        case.equal(client.read().status, 200, "a caller who paused")
        time.sleep(1)
        case.equal(client.request("GET", "/x").status, 200,
                   "an idle connection outlives the upstream's deadline")
    with Client(port) as client:
        hang = make_request("POST", "/hang", b"z" * 2000)
        client.send(hang[:-1000])
        time.sleep(0.2)
        client.send(hang[-1000:])
        start = time.monotonic()
        case.equal(client.read().status, 504, "a hung upstream")
        took = time.monotonic() - start
        case.check(0.3 < took < 2, "504 after %.2f s" % took)
    case.equal(matapalo.stop(), 0, "exit status")


def stalled_upload(case):
    """A caller who stops sending is the caller's fault, not the target's."""
    def serve(connection, head):
        connection.exactly(length_of(head))
        answer(connection, b"done")
    upstream = Upstream(case, serve)
    rules = {"version": 1, "targets": {
        "legacy": {"url": upstream.url, "timeout": {"idle": "400ms"}}}}
    matapalo = case.matapalo(rules=case.rules(rules))
    with Client(matapalo.port) as client:
        client.send(make_request("PUT", "/x", b"z" * 2000)[:-1000])
        case.equal(client.read().status, 408, "a stalled upload")
        case.check(client.is_closed(), "and a close")
    case.equal(matapalo.stop(), 0, "exit status")


def vanished(case, matapalo):
    clients = [Client(matapalo.port) for _ in range(20)]
    for client in clients:
        client.send(b"GET /x HT")
    lib.wait_for(lambda: matapalo.metrics()[
        "matapalo_client_connections_open"] == 20, "the connections")
    start = time.monotonic()
    for client in clients:
        client.close()
    lib.wait_for(lambda: matapalo.metrics()[
        "matapalo_client_connections_open"] == 0, "them to be gone")
    took = time.monotonic() - start
    case.check(took < 1, "half a head and a close cost %.1f s" % took)


def without_host(case, matapalo, origin):
    with Client(matapalo.port) as client:
        client.send(b"GET /echo HTTP/1.0\r\n\r\n")
        headers = dict(client.read().json()["headers"])
    case.equal(headers.get("Host"), "127.0.0.1:%d" % origin.port,
               "HTTP/1.1 needs a Host (RFC 9112 3.2)")


def long_head_behind_upload(case, matapalo):
    """An upload's end and the next request arrive together."""
    for size in (10, 20000, 45000):
        fields = [("X-Long-%d" % i, "y" * 5000) for i in range(9)]
        for body_size in (10, 20000, 40000, 60000):
            upload = make_request("POST", "/echo", b"z" * body_size,
                                  chunked=True)
            long = make_request("GET", "/echo",
                                fields=fields[:size // 5000 + 1])
            with Client(matapalo.port) as client:
                client.send(upload[:200])
                time.sleep(0.02)
                client.send(upload[200:] + long +
                            make_request("GET", "/x?n=1"))
                case.equal(client.read().json()["body_bytes"], body_size,
                           "a chunked upload")
                case.equal(client.read().status, 200,
                           "a head of %d behind %d" % (size, body_size))
                case.equal(client.read().body, b"/x?n=1", "and another")


def odd_answers(case):
    """An upstream's line ends are not passed on as they please."""
    answers = {
        "/lf": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "/lf-field": b"HTTP/1.1 200 OK\r\nX: y\nContent-Length: 2\r\n\r\nok",
        "/lf-end": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok",
        "/lf-status": b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok",
        "/cr": b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok",
        "/space": b"HTTP/1.1 200 OK\r\nX y: a\r\nContent-Length: 2\r\n\r\nok",
        "/fold": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n"
                 b"\r\nok"}

    def serve(connection, head):
        connection.send(answers[target_of(head)])
        connection.fill()
    matapalo = case.matapalo(legacy=Upstream(case, serve).url)
    for path in sorted(answers):
        case.equal(fetch(matapalo.port, "GET", path).status, 502, path)
    case.equal(matapalo.stop(), 0, "exit status")


def latency(port, until):
    """The longest of many small requests while until() is false."""
    worst = 0
    with Client(port) as client:
        while not until():
            start = time.monotonic()
            client.request("GET", "/x?n=1")
            worst = max(worst, time.monotonic() - start)
    return worst


def one_greedy(case, matapalo):
    """A caller that reads or writes as fast as it can leaves the worker
    time for others."""
    size = 300000000
    done = threading.Event()

    def read():
        with Client(matapalo.port) as client:
            client.send(make_request("GET", "/bytes/%d" % size))
            client.until(b"\r\n\r\n")
            left, buffer = size - len(client.buffer), bytearray(1 << 20)
            while left > 0:
                left -= client.socket.recv_into(buffer)
        done.set()
    threading.Thread(target=read, daemon=True).start()
    worst = latency(matapalo.port, done.is_set)
    case.check(worst < PATIENCE_S, "beside a download: %.3f s" % worst)


def one_flooder(case, origin):
    rules = {"version": 1, "targets": {"legacy": {"url": origin.url}},
             "rules": [{"name": "gone", "match": {"path": "/gone"},
                        "stage": "retired"}]}
    matapalo = case.matapalo(rules=case.rules(rules, "gone.json"))
    done = threading.Event()

    def write():
        data = b"z" * (1 << 20)
        with Client(matapalo.port) as client:
            client.send(b"POST /gone HTTP/1.1\r\nHost: a\r\n"
                        b"Content-Length: 99999999999\r\n\r\n")
            try:
                while not done.is_set():
                    client.send(data)
            except OSError:
                pass
        done.set()
    threading.Thread(target=write, daemon=True).start()
    start = time.monotonic()
    worst = latency(matapalo.port, done.is_set)
    took = time.monotonic() - start
    case.check(worst < PATIENCE_S, "beside a flood: %.3f s" % worst)
    case.check(took < 8, "the flood was ended after %.1f s" % took)
    case.equal(matapalo.stop(), 0, "exit status")


def two_addresses(case, origin):
    """A dead address beside a live one costs no request."""
    down = socket.socket()
    down.bind(("127.0.0.1", 0))     # bound, not listening: refused
    dead = "http://127.0.0.1:%d" % down.getsockname()[1]
    for urls in ([dead, origin.url], [origin.url, dead]):
        rules = {"version": 1, "targets": {"legacy": {"url": urls}}}
        matapalo = case.matapalo(rules=case.rules(rules, "two.json"))
        for method, body in (("GET", None), ("POST", b"x")) * 5:
            case.equal(fetch(matapalo.port, method, "/x?n=1", body).status,
                       200, method + " with a dead address")
        failed = matapalo.metrics()[
            'matapalo_upstream_failures_total{reason="connect"}']
        case.check(failed <= 3, "%d connects were tried" % failed)
        case.equal(matapalo.stop(), 0, "exit status")
    down.close()


def one_port(case, origin):
    """Workers share a port, processes do not: a second one would take half of
    the first one's connections."""
    first = case.matapalo(legacy=origin.url, workers=2)
    listen = "127.0.0.1:%d" % first.port
    done = lib.command("run", "--data", case.path("second-data"), "--legacy",
                       origin.url, "--listen", listen, "--admin",
                       "127.0.0.1:0", "--workers", "2")
    case.equal(done.returncode, 2, "the second on a port: " + done.stderr)
    case.check(listen in done.stderr and "in use" in done.stderr,
               "it says which: " + done.stderr)
    for _ in range(8):
        case.equal(fetch(first.port, "GET", "/x").status, 200, "the first")
    case.equal(first.stop(), 0, "exit status")


def not_a_socket(case, origin):
    path = case.path("precious")
    with open(path, "w") as f:
        f.write("data")
    out = lib.command("run", "--data", case.path("no-data"), "--legacy",
                      origin.url, "--listen", "unix:" + path, "--admin",
                      "127.0.0.1:0")
    case.equal(out.returncode, 2, "a file in the place of the socket")
    with open(path) as f:
        case.equal(f.read(), "data", "it is not removed")


def behind_a_buffer(case, matapalo):
    """A head that begins late in a large buffer has as much room as one at
    its beginning."""
    fields = [("X-Long-%d" % i, "y" * 5000) for i in range(11)]
    body = b"z" * 30000
    upload = (b"POST /echo HTTP/1.1\r\nHost: a\r\n"
              b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body))
    for _ in range(5):
        with Client(matapalo.port) as client:
            client.send(upload)
            time.sleep(0.02)
            client.send(body + b"\r\n0\r\n\r\n" +
                        make_request("GET", "/echo", fields=fields))
            case.equal(client.read().status, 200, "an upload")
            case.equal(client.read().status, 200, "55 KB of head behind it")


COMMAND = "edge.command.v1"
LONG = """
reply(200, {"text": "z" * 3000000})
"""


def command_rules(case, origin):
    return case.rules({
        "version": 1,
        "targets": {
            "legacy": {"url": origin.url},
            "orders": {"command": COMMAND, "reply_within": "2s"}},
        "rules": [
            {"name": "gone", "match": {"path": "/gone"}, "stage": "retired"},
            {"name": "order", "match": {"method": "POST", "path": "/orders"},
             "stage": "migrated", "target": "orders"}]}, "commands.json")


def commands(case, origin):
    unix = case.path("orders.sock")
    matapalo = case.matapalo(rules=command_rules(case, origin),
                             args=["--listen", "unix:" + unix])
    port = matapalo.port
    chunked = make_request("POST", "/orders", b"z" * 5000,
                           [("Expect", "100-continue")], chunked=True)
    head, body = chunked.split(b"\r\n\r\n", 1)
    with Client(port) as client:
        client.send(head + b"\r\n\r\n")
        interim = client.until(b"\r\n\r\n")
        case.check(interim.startswith(b"HTTP/1.1 100"), "100 for a command")
        client.send(body[:10])
        time.sleep(0.05)
        client.send(body[10:] + make_request("GET", "/x?n=1"))
        case.equal(client.read().status, 504, "nobody replies")
        case.equal(client.read().body, b"/x?n=1", "the request behind it")
    with Client(port) as client:
        client.send(make_request("POST", "/orders", b"z" * 1100000))
        case.equal(client.read().status, 413, "more than a command may be")
    with Client(port) as client:
        client.send(make_request("POST", "/orders", b"z")[:-6] +
                    b"Transfer-Encoding: chunked\r\n\r\nxx\r\n")
        case.equal(client.read().status, 400, "two framings")
    with Client(port) as client:
        client.send(head.replace(b"Expect", b"X-Expect") + b"\r\n\r\nxx\r\n")
        case.equal(client.read().status, 400, "bad chunks for a command")
    for i in range(20):         # gone before, during and after the publish
        client = Client(port)
        client.send(make_request("POST", "/orders", b"z" * 3000)
                    [:None if i % 2 else -1000])
        time.sleep(0.003 * (i % 5))
        client.reset()
    law(case, matapalo)
    consumer = case.consume(matapalo, "long", LONG, [
        "--type", COMMAND, "--reply", "--from", "oldest"])
    with unix_client(unix) as client:
        lib.wait_for(lambda: client.request("POST", "/orders", b"z")
                     .status == 200, "the consumer")
        client.send(make_request("POST", "/orders", b"z"))
        answer = client.until(b"\r\n") + b"\r\n"
        case.check(answer.startswith(b"HTTP/1.1 200"), "a long reply")
        time.sleep(2.2)         # longer than reply_within
        client.buffer = answer + client.buffer
        case.equal(len(client.read().json()["text"]), 3000000,
                   "a long reply to a slow caller")
    consumer.signal(lib.signal.SIGTERM)
    consumer.wait()
    law(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")


def in_a_hurry(case, origin):
    """The second SIGTERM finds exchanges in every step."""
    matapalo = case.matapalo(rules=command_rules(case, origin), workers=2)
    requests = [
        make_request("POST", "/orders", b"z"),
        make_request("POST", "/orders", b"z" * 3000)[:-1000],
        make_request("POST", "/orders", b"z" * 3000, chunked=True)[:-10],
        make_request("GET", "/slow-head/9000"),
        make_request("POST", "/slow-head/9000", b"z"),
        make_request("GET", "/slow-body/9000"),
        make_request("POST", "/slow-body/9000", b"z" * 90000)[:-1000],
        make_request("GET", "/bytes/90000000"),
        make_request("POST", "/bytes/90000000", b"z"),
        make_request("POST", "/gone", b"z" * 90)[:-10],
        b"GET / HT", b""]
    clients = [Client(matapalo.port) for _ in requests * 4]
    for i, client in enumerate(clients):
        client.send(requests[i % len(requests)])
    lib.wait_for(lambda: matapalo.metrics()[
        "matapalo_client_connections_open"] == len(clients), "all of them")
    matapalo.signal(lib.signal.SIGTERM)
    time.sleep(0.3)
    matapalo.signal(lib.signal.SIGTERM)
    case.equal(matapalo.wait(8), 0, "exit status of a hurried stop")
    rows = matapalo.query(
        "SELECT correlationid, count(*) FROM events WHERE type = "
        "'matapalo.exchange.v1' GROUP BY 1 HAVING count(*) <> 1")
    case.equal(rows, [], "more than one terminal event")
    for client in clients:
        client.close()


def reloads(case, origin):
    """Rules come and go while exchanges run under them."""
    path = command_rules(case, origin)
    matapalo = case.matapalo(rules=path, workers=2)
    slow = [Client(matapalo.port) for _ in range(8)]
    for i, client in enumerate(slow):
        client.send(make_request("GET" if i % 2 else "POST",
                                 "/slow-body/700", None if i % 2 else b"z"))
    for i in range(40):
        rules = {"version": 1, "targets": {"legacy": {"url": origin.url}},
                 "rules": [{"name": "rule-%d" % i, "stage": "mirror",
                            "match": {"path": "/x"}}]}
        case.rules(rules, "commands.json")
        for _ in range(5):
            fetch(matapalo.port, "POST", "/x?n=1", b"z")
            fetch(matapalo.port, "GET", "/x?n=1")
    for client in slow:
        case.equal(client.read().body, pattern(2000), "an older rule's answer")
        client.close()
    law(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")


def scenario(case):
    origin = case.origin("legacy")
    matapalo = case.matapalo(legacy=origin.url)
    vanished(case, matapalo)
    without_host(case, matapalo, origin)
    long_head_behind_upload(case, matapalo)
    behind_a_buffer(case, matapalo)
    one_greedy(case, matapalo)
    law(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")
    one_flooder(case, origin)
    commands(case, origin)
    in_a_hurry(case, origin)
    reloads(case, origin)
    two_addresses(case, origin)
    one_port(case, origin)
    not_a_socket(case, origin)
    surplus(case)
    odd_answers(case)
    deadlines(case)
    stalled_upload(case)
    interim_answers(case)


lib.main(scenario)
