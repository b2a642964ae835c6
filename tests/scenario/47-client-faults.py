# SPDX-License-Identifier: Apache-2.0
"""Promises U4 and U5: callers that vanish in any phase or close one side,
and messages that are large, many or say more than they should."""
import collections
import socket
import threading
import time

import lib
from lib import Client, make_request, pattern
from faulty import (SCALE, Ledger, Upstream, await_end, in_parallel, law,
                    length_of, method_of, target_of)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
BIG = 16 << 20
EACH = 60 * SCALE
PIPELINED = 30000 if SCALE == 1 else 100000
DESYNC = 10000 if SCALE == 1 else 100000


# ---- U4: callers that vanish ----------------------------------------------

class Watched:
    """An upstream that notes when it saw the end of each request."""

    def __init__(self, case):
        self.seen, self.ended = {}, {}
        self.lock = threading.Condition()
        self.url = Upstream(case, self.serve).url

    def note(self, table, number):
        with self.lock:
            table[number] = time.monotonic()
            self.lock.notify_all()

    def await_seen(self, number):
        with self.lock:
            if not self.lock.wait_for(lambda: number in self.seen, 20):
                raise lib.Failed("request %s never came" % number)

    def await_ended(self, number):
        with self.lock:
            if not self.lock.wait_for(lambda: number in self.ended, 20):
                raise lib.Failed("request %s was not cancelled" % number)
            return self.ended[number]

    def serve(self, connection, head):
        phase, number = target_of(head)[1:].split("?n=")
        self.note(self.seen, number)
        try:
            if phase == "upload":
                connection.exactly(length_of(head))
            elif phase == "download":
                connection.exactly(length_of(head))
                connection.send(HEAD % BIG + pattern(BIG))
            else:
                connection.exactly(length_of(head))
                await_end(connection)
        except (EOFError, OSError):
            pass
        self.note(self.ended, number)
        return False


def vanish(case, port, watched, phase, number):
    """One caller that resets in this phase; returns how long its request
    stayed alive at the upstream."""
    target = "/%s?n=%s" % (phase, number)
    method, body = ("POST", b"z" * 1000) if int(number) % 2 else ("GET", None)
    if phase == "upload":
        method, body = "PUT", b"z" * 300000
    request = make_request(method, target, body)
    client = Client(port)
    if phase == "head":
        client.send(request[:30])
        client.reset()
        return
    if phase == "upload":
        client.send(request[:200000])
        watched.await_seen(number)
    else:
        client.send(request)
        watched.await_seen(number)
    if phase == "download":
        client.until(b"\r\n\r\n")
        client.exactly(1000)
    start = time.monotonic()
    client.reset()
    took = watched.await_ended(number) - start
    case.check(took < 1, "%s: cancelled after %.3f s" % (target, took))


def clients_vanish(case):
    watched = Watched(case)
    matapalo = case.matapalo(legacy=watched.url, workers=2)
    ledger = Ledger(case, matapalo)
    phases = ("head", "upload", "wait", "download")
    jobs = [(phase, str(i * len(phases) + k)) for i in range(EACH)
            for k, phase in enumerate(phases)]
    in_parallel(len(jobs), 16, lambda i: vanish(case, matapalo.port, watched,
                                                *jobs[i]))
    ledger.settle("after %d callers that vanished" % len(jobs))
    whole = 3 * EACH            # a head that never came is no exchange
    events = matapalo.await_exchanges(whole)
    case.equal(len(events), whole, "one event each")
    for event in events:
        case.equal(event["outcome"], "aborted", event["request"]["target"])
    law(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")


def half_close(case, origin):
    """A FIN behind the request is no reset: the answer still comes."""
    matapalo = case.matapalo(legacy=origin.url, workers=2)
    ledger = Ledger(case, matapalo)
    asked = [("GET", "/x?n=7", None), ("GET", "/slow-head/300", None),
             ("GET", "/slow-body/300", None), ("GET", "/bytes/3000000", None),
             ("POST", "/x?n=7", b"z" * 100000),
             ("POST", "/chunked/200000", b"z")]
    for method, target, body in asked * 3:
        with Client(matapalo.port) as client:
            client.send(make_request(method, target, body))
            client.socket.shutdown(socket.SHUT_WR)
            case.equal(client.read(method).status, 200,
                       "%s %s and a FIN" % (method, target))
            case.check(client.is_closed(), "then a close")
    for cut in (b"GET /x HT", make_request("PUT", "/", b"z" * 5000)[:-9],
                make_request("PUT", "/", b"z" * 5000, chunked=True)[:-9]):
        with Client(matapalo.port) as client:
            client.send(cut)
            client.socket.shutdown(socket.SHUT_WR)
            answer = client.to_end()
            case.check(b" 200 " not in answer.split(b"\r\n")[0],
                       "half a request gets no good answer")
    ledger.settle("after half-closes", upstreams=len(asked) * 2)
    law(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")


# ---- U5: large and odd messages -------------------------------------------

def refused(case, port, request, status):
    """The refusal is readable although the rest is still on its way, and
    the connection is closed."""
    with Client(port) as client:
        try:
            client.send(request)
        except OSError:
            pass
        got = client.read()
        case.equal(got.status, status, "%d bytes of head" % len(request))
        case.equal(got.get("Connection"), "close", "and a close")
        case.check(client.is_closed(), "indeed")


def large_heads(case, origin):
    matapalo = case.matapalo(legacy=origin.url)
    port, ledger = matapalo.port, Ledger(case, matapalo)
    many = [("X-F-%d" % i, "v") for i in range(100)]
    for _ in range(5):
        with Client(port) as client:
            case.equal(client.request("GET", "/x?n=5", fields=many).body,
                       b"/x?n=5", "100 fields")
            fat = [("X-F-%d" % i, "v" * 6000) for i in range(10)]
            case.equal(client.request("GET", "/x?n=6", fields=fat).body,
                       b"/x?n=6", "60 KB of head")
        for size in (70 << 10, 1 << 20):
            refused(case, port, make_request("GET", "/x", fields=[
                ("X-Large", "v" * size)]), 431)
            refused(case, port, make_request("GET", "/x", fields=[
                ("X-L-%d" % i, "v" * 1000) for i in range(size // 1000)]),
                431)
            refused(case, port, make_request("GET", "/" + "x" * size), 414)
        refused(case, port, make_request("GET", "/x", fields=[
            ("X-%d" % i, "v") for i in range(1000)]), 431)
    ledger.settle("after large heads", upstreams=5)
    case.equal(matapalo.stop(), 0, "exit status")


def answers(client):
    """Whole answers of one short body each, as they come, in bulk."""
    mark, rest = b"HTTP/1.1 200 ", b""
    while True:
        data = client.socket.recv(1 << 18)
        if not data:
            return
        parts = (rest + data).split(mark)
        yield from parts[1:-1]
        rest = mark + parts[-1]
        if is_whole(rest):
            yield parts[-1]
            rest = b""


def is_whole(answer):
    head, end, body = answer.partition(b"\r\n\r\n")
    return end and len(body) == length_of(head.decode("latin-1"))


def pipeline(case, port, count):
    """All at once on one connection; the answers come in order."""
    with Client(port, timeout=60) as client:
        def send():
            for first in range(0, count, 500):
                client.send(b"".join(
                    b"GET /x?n=%d HTTP/1.1\r\nHost: a\r\n\r\n" % i
                    for i in range(first, min(first + 500, count))))
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        got = answers(client)
        for i in range(count):
            answer = next(got, b"")
            if not answer.endswith(b"\r\n\r\n/x?n=%d" % i):
                raise lib.Failed("answer %d is not its own: %r" % (i, answer))
        sender.join()
    case.check(True, "%d in order" % count)


def pipelines(case, origin):
    matapalo = case.matapalo(legacy=origin.url, workers=2)
    ledger = Ledger(case, matapalo)
    pipeline(case, matapalo.port, PIPELINED)
    ledger.settle("after a long pipeline", upstreams=4)
    law(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")


# What an upstream says beyond its answer; {method, status line and fields,
# body that must not be there}. None of it may answer the next request.
LIES = {
    "extra": ("GET", b"200 OK\r\nContent-Length: 2", b"ok"),
    "extra-long": ("GET", b"200 OK\r\nContent-Length: 70000", b"z" * 70000),
    "extra-chunked": ("GET", b"200 OK\r\nTransfer-Encoding: chunked",
                      b"2\r\nok\r\n0\r\n\r\n"),
    "head-length": ("HEAD", b"200 OK\r\nContent-Length: 57", b""),
    "head-chunked": ("HEAD", b"200 OK\r\nTransfer-Encoding: chunked", b""),
    "204-length": ("GET", b"204 No Content\r\nContent-Length: 57", b""),
    "304-length": ("GET", b"304 Not Modified\r\nContent-Length: 57", b""),
    "304-none": ("GET", b"304 Not Modified\r\nETag: \"x\"", b""),
}
WRONG = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: w\r\n\r\nwrong"


def liar(case):
    def serve(connection, head):
        connection.exactly(length_of(head))
        name = target_of(head)[1:].split("?")[0]
        if name in LIES:
            _, start, body = LIES[name]
            connection.send(b"HTTP/1.1 " + start + b"\r\n\r\n" + body +
                            WRONG)
            return
        text = target_of(head).encode()
        connection.send(HEAD % len(text) +
                        (b"" if method_of(head) == "HEAD" else text))
    return Upstream(case, serve)


def lie_and_ask(case, client, number, statuses):
    """A lie, then an honest question on the same connection."""
    name = sorted(LIES)[number % len(LIES)]
    method = LIES[name][0]
    got = client.request(method, "/%s?n=%d" % (name, number))
    statuses[name, got.status] += 1
    if got.body not in (b"", b"ok", LIES[name][2]):
        raise lib.Failed("%s: %r" % (name, got.body[:99]))
    want = "/right?n=%d" % number
    got = client.request("GET", want)
    if got.body != want.encode():
        raise lib.Failed("%s of another answered %s: %r"
                         % (name, want, got.body))
    if got.get("Connection") == "close":
        raise lib.Failed("an honest answer closes after %s" % name)


def desync(case):
    """Response n belongs to request n, whatever came before it."""
    matapalo = case.matapalo(legacy=liar(case).url, workers=2)
    ledger, threads = Ledger(case, matapalo), 8
    statuses, rounds = collections.Counter(), DESYNC // 2 // threads

    def job(thread):
        with Client(matapalo.port) as client:
            for i in range(rounds):
                lie_and_ask(case, client, thread * rounds + i, statuses)
    in_parallel(threads, threads, job)
    for name, (_, start, _) in LIES.items():
        case.check(statuses[name, int(start[:3])] > 0,
                   "%s is answered: %s" % (name, statuses))
    ledger.settle("after %d requests" % (rounds * threads * 2),
                  upstreams=2 * threads)
    law(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")


def receive_all(s):
    try:
        while s.recv(1 << 20):
            pass
    except OSError:
        pass


def send_for_ever(s):
    try:
        while True:
            s.sendall(b"x" * (1 << 20))
    except OSError:
        pass


def both_ways(s):
    threads = [threading.Thread(target=f, args=(s,), daemon=True)
               for f in (receive_all, send_for_ever)]
    for thread in threads:
        thread.start()
    return threads


def reset_in_a_flood(case):
    """A reset while as much as can be goes both ways: the caller asked for
    another turn and is gone before it comes. Red under AddressSanitizer
    after a few rounds, so long as the list of turns names who is freed."""
    endless = "Content-Length: %d\r\n\r\n" % 10 ** 12

    def flood(connection, _):
        connection.send(b"HTTP/1.1 200 OK\r\n" + endless.encode())
        for thread in both_ways(connection.socket):
            thread.join()
        return False

    matapalo = case.matapalo(legacy=Upstream(case, flood).url)
    ledger = Ledger(case, matapalo)
    for i in range(12 * SCALE):
        client = Client(matapalo.port)
        client.send(("POST / HTTP/1.1\r\nHost: a\r\n" + endless).encode())
        threads = both_ways(client.socket)
        time.sleep(0.1 + i % 7 * 0.02)      # somewhere in the flood
        # AF_UNSPEC: a reset now, whatever other threads do with the socket.
        lib.LIBC.connect(client.socket.fileno(), bytes(16), 16)
        for thread in threads:
            thread.join(20)
        client.close()
        case.check(matapalo.alive(), "alive after reset %d" % i)
    ledger.settle("after resets in floods")
    case.equal(matapalo.stop(), 0, "exit status")


def scenario(case):
    origin = case.origin("legacy")
    clients_vanish(case)
    reset_in_a_flood(case)
    half_close(case, origin)
    large_heads(case, origin)
    pipelines(case, origin)
    desync(case)


lib.main(scenario, 240 * SCALE)
