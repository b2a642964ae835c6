# SPDX-License-Identifier: Apache-2.0
"""Peers that are odd but right, and what an upstream says unasked."""
import os
import queue
import select
import signal
import socket
import time

import lib
from lib import Client, fetch, wait_for
from peer import Peer, read_message

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"
STRAY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"


class Open(Peer):
    """An origin whose connections the test can write to."""

    def __init__(self, case):
        self.connections = queue.Queue()
        super().__init__(case, self.answer)

    def answer(self, connection):
        read_message(connection)
        connection.send(OK)
        self.connections.put(connection)


def climbing(case):
    """No path leads out of a target's base path, however it is written."""
    peer = Peer(case)
    peer.say = OK
    matapalo = case.matapalo(legacy=peer.url + "/base")
    for path in ("/..", "/../x", "/a/../../x", "/%2e%2e/x", "/%2E./x",
                 "/a/%2e%2e/%2e%2e/x", "/./../x", "/a/..%2f../x", "/..;/x",
                 "/a//../../../x", "/..%2fx", "/%252e%252e/x", "/..\\x"):
        for target in (path, path + "?q", "http://a.example" + path):
            got = fetch(matapalo.port, "GET", target)
            case.check(got.status == 400, "%s: %d" % (target, got.status))
    case.check(peer.seen.empty(), "none of them reached the origin")
    for path in ("/a/../x", "/a/b/../../x", "/..a", "/a..", "/...", "/x?/../.."):
        got = fetch(matapalo.port, "GET", path)
        case.equal(got.status, 200, path)
        seen = peer.seen.get(timeout=20).split(b" ")[1]
        case.equal(seen, b"/base" + path.encode(), "as it was written")
    case.equal(matapalo.stop(), 0, "exit status")


def slow_reader(port):
    """Little of what it is sent leaves the sender."""
    client = Client.__new__(Client)
    client.socket, client.buffer = socket.socket(), b""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    client.socket.settimeout(20)
    client.socket.connect(("127.0.0.1", port))
    return client


def hints_unread(case):
    """Interim answers that the client is slow to take are no fault of the
    upstream: they wait, and the final answer comes behind them."""
    count = 95

    def serve(connection):
        read_message(connection)
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: <%s>\r\n\r\n"
                        % (b"x" * 1500) * count + OK)
    rules = {"version": 1, "targets": {"legacy": {
        "url": Peer(case, serve).url, "timeout": {"head": "2s"}}}}
    matapalo = case.matapalo(rules=case.rules(rules))
    with slow_reader(matapalo.port) as client:
        client.send(lib.make_request("GET", "/x"))
        time.sleep(0.5)         # nobody reads
        got = client.read()
        case.equal((got.status, got.body), (200, b"right"), "the answer")
        case.equal(len(got.interim), count, "interim answers")
    with slow_reader(matapalo.port) as client:
        client.send(lib.make_request("GET", "/x"))
        event = matapalo.await_exchanges(2)[1]
        case.equal(event["outcome"], "aborted", "who never reads is cut")
    failed = {k: v for k, v in matapalo.metrics().items()
              if k.startswith("matapalo_upstream_fail") and v}
    case.equal(failed, {}, "failures of the upstream")
    case.equal(matapalo.stop(), 0, "exit status")


CHUNKED = b"Transfer-Encoding: chunked\r\n"


def recorded_trailers(case):
    """What stands behind a body is in the event, secrets replaced."""
    def serve(connection):
        read_message(connection)
        connection.send(b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n5\r\nright"
                        b"\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n")
    rules = {"version": 1, "targets": {"legacy": {
        "url": Peer(case, serve).url}}, "redact": {"headers": ["X-Mine"]}}
    matapalo = case.matapalo(rules=case.rules(rules))
    with Client(matapalo.port) as client:
        for trailers in (b"X-Mine: c4n4ry\r\nX-Yours:\r\n", b""):
            for part in (b"POST /t HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n"
                         b"Connection: TE\r\n" + CHUNKED + b"\r\n",
                         b"2\r\nhi\r\n0\r\n" + trailers + b"\r\n"):
                client.send(part)
            case.equal(client.read().body, b"right", "the answer")
    first, second = matapalo.await_exchanges(2)
    sent = first["request"]["trailers"]
    case.check(sent["x-mine"].startswith("redacted:"), "redacted: %r" % sent)
    case.equal(sent["x-yours"], "", "an empty one")
    case.equal(first["response"]["trailers"], {"x-sum": ["1", "2"]}, "answer")
    case.check("trailers" not in second["request"], "none")
    case.equal(matapalo.stop(), 0, "exit status")


def is_stopped(process):
    with open("/proc/%d/stat" % process.pid) as f:
        return f.read().rsplit(")", 1)[1].split()[0] == "T"


def unasked(case):
    """Bytes that came between two requests answer neither, though the
    request is seen first and both in one turn of the loop (U5, H1)."""
    origin = Open(case)
    matapalo = case.matapalo(legacy=origin.url)
    with Client(matapalo.port) as client:
        for say in (STRAY, b"\r\n", STRAY * 2):
            for method in ("GET", "POST"):
                case.equal(client.request(method, "/").body, b"right", method)
                kept = origin.connections.get(timeout=20)
                matapalo.signal(signal.SIGSTOP)
                wait_for(lambda: is_stopped(matapalo), "the process to stop")
                client.send(lib.make_request(method, "/"))
                kept.send(say)
                matapalo.signal(signal.SIGCONT)
                case.equal(client.read().body, b"right",
                           "%s after unasked bytes" % method)
                origin.connections.get(timeout=20)
    case.equal(matapalo.metrics()["matapalo_upstream_reused_total"], 5,
               "no connection that spoke was used again")
    case.equal(matapalo.stop(), 0, "exit status")


def few_lines(case, matapalo, say, line):
    """Whoever is refused a hundred times does not fill the log."""
    start = time.monotonic()
    for _ in range(100):
        say(matapalo.port)
    most = (int(time.monotonic() - start) + 2) * 10
    case.equal(matapalo.stop(), 0, "exit status")
    lines = matapalo.err().count(line)
    case.check(0 < lines <= most, "%d lines %s, at most %d"
               % (lines, line, most))


def refusals_in_the_log(case):
    def no_header(port):
        with Client(port) as client:
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            case.check(client.to_end() == b"", "no PROXY header: closed")

    def unknown_method(port):
        case.equal(fetch(port, "BREW", "/coffee").status, 501, "BREW")

    url = case.origin().url
    few_lines(case, case.matapalo(legacy=url, listen="127.0.0.1:0,proxy"),
              no_header, "client.proxy-header")
    few_lines(case, case.matapalo(legacy=url), unknown_method,
              "127.0.0.1: request.unknown_method")


def slow_peer(case):
    """Answers /bad with 500 and nothing else at all."""
    def serve(connection):
        head, _ = read_message(connection)
        if b" /bad " in head:
            connection.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
            return True
        connection.fill()
        return False
    return Peer(case, serve).url


def when_to_come_again(case):
    """Retry-After says what is known (RFC 9110 10.2.3)."""
    rules = {"version": 1, "targets": {
        "legacy": {"url": slow_peer(case), "max_connections": 1,
                   "timeout": {"head": "60s"},
                   "queue": {"max": 1, "wait": "3s"}},
        "new": {"url": slow_peer(case), "breaker": {
            "requests": 2, "open_for": "40s"}}},
        "rules": [{"name": "bad", "match": {"path": "/bad"},
                   "stage": "migrated", "target": "new"}]}
    matapalo = case.matapalo(rules=case.rules(rules),
                             args=["--client-rate", "20"])

    def after(path):
        got = fetch(matapalo.port, "GET", path)
        return got.json()["code"], int(got.get("Retry-After"))

    for _ in range(2):
        case.equal(fetch(matapalo.port, "GET", "/bad").status, 500, "bad")
    code, seconds = after("/bad")
    case.equal(code, "upstream.breaker_open", "an open breaker")
    case.check(30 <= seconds <= 40, "Retry-After %d of 40 s" % seconds)
    waiting = [Client(matapalo.port) for _ in range(2)]
    for client in waiting:
        client.send(lib.make_request("GET", "/hang"))
    wait_for(lambda: [t["queued"] for t in matapalo.status()["targets"]
                      if t["name"] == "legacy"] == [1], "a full queue")
    case.equal(after("/hang"), ("upstream.queue_full", 3), "a full queue")
    ready = select.select([c.socket for c in waiting], [], [], 20)[0]
    late = [c for c in waiting if c.socket in ready][0]
    case.equal(late.read().get("Retry-After"), "3", "queue.wait over")
    code = wait_for(lambda: [x for x in [fetch(matapalo.port, "GET", "/bad")]
                             if x.status == 429], "the rate to be reached")
    case.equal(code[0].get("Retry-After"), "1", "a client over its rate")
    for client in waiting:
        client.close()
    case.equal(matapalo.stop(), 0, "exit status")


def scenario(case):
    unasked(case)
    recorded_trailers(case)
    hints_unread(case)
    climbing(case)
    refusals_in_the_log(case)
    when_to_come_again(case)


lib.main(scenario)
