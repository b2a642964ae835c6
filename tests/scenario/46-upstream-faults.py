# SPDX-License-Identifier: Apache-2.0
"""Promises U1 to U3: upstreams that are slow, hung, half-closed, short or
reset. The caller gets the right status in the configured time or can see
that the answer is cut; nothing leaks; nothing is executed twice."""
import collections
import glob
import signal
import socket
import threading
import time

import lib
from lib import Client, make_request, pattern
from faulty import (SCALE, Blackhole, Ledger, Probe, Refusing, Upstream,
                   await_end, in_parallel, law, length_of, method_of,
                   reset_now, target_of)

TIMED_S = {"connect": 1.0, "head": 1.0, "idle": 1.0}
MASS_MS = {"connect": 150, "head": 150, "idle": 150}
WHEEL_S = 0.032
MIB = 1 << 20
STEP = 4096
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


# ---- U1 -------------------------------------------------------------------

def no_read(connection, _head):
    await_silence(connection)
    return False


def await_silence(connection):
    """Until the peer is gone, without reading what it sends."""
    while connection.socket.recv(1, socket.MSG_PEEK):
        if is_gone(connection.socket):
            return
        time.sleep(0.01)


def is_gone(sock):
    state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state != 1           # TCP_ESTABLISHED


def drip(connection, _head):
    for byte in HEAD % 2 + b"ok":
        if is_gone(connection.socket):
            return False
        connection.send(bytes([byte]))
        time.sleep(0.05)


def stall(connection, _head):
    connection.send(HEAD % 2000 + pattern(1000))
    await_end(connection)
    return False


def fin_after_head(connection, _head):
    connection.send(HEAD % 2000)
    return False


def fin_after_chunked_head(connection, _head):
    connection.send(CHUNKED)
    return False


def fin_before_head(_connection, _head):
    return False


def fin_in_head(connection, _head):
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    return False


def reset_before_head(connection, _head):
    reset_now(connection.socket)
    return False


def never_fin(connection, _head):
    connection.send(b"HTTP/1.1 200 OK\r\n\r\n" + pattern(1000))
    await_end(connection)
    return False


CUT = "cut"
# name: (serve, what the caller sees, the deadline that ends it)
FAULTS = {
    "blackhole": (None, 504, "connect"),
    "refused": (None, 502, None),
    "no-read": (no_read, 504, "head"),
    "drip": (drip, 504, "head"),
    "stall": (stall, CUT, "idle"),
    "never-fin": (never_fin, CUT, "idle"),
    "fin-after-head": (fin_after_head, CUT, None),
    "fin-after-chunked-head": (fin_after_chunked_head, CUT, None),
    "fin-before-head": (fin_before_head, 502, None),
    "fin-in-head": (fin_in_head, 502, None),
    "reset-before-head": (reset_before_head, 502, None),
}


def url_of(case, name, serve):
    if name == "blackhole":
        return Blackhole(case).url
    if name == "refused":
        return Refusing(case).url
    return Upstream(case, serve).url


def fault_rules(case, origin, timeout, name):
    targets = {"legacy": {"url": origin.url}}
    rules = []
    for fault, (serve, _, _) in FAULTS.items():
        targets[fault] = {"url": url_of(case, fault, serve),
                          "timeout": timeout}
        rules.append({"name": fault, "match": {"path": "/" + fault},
                      "stage": "migrated", "target": fault})
    return case.rules({"version": 1, "targets": targets, "rules": rules},
                      name)


def outcome(port, request, method="GET"):
    """The status, or CUT when the answer visibly did not arrive whole."""
    with Client(port) as client:
        client.send(request)
        try:
            return client.read(method).status
        except (EOFError, ConnectionResetError):
            return CUT


def timed_once(case, port, fault):
    start = time.monotonic()
    got = outcome(port, make_request("GET", "/" + fault))
    case.equal(got, FAULTS[fault][1], fault)
    return time.monotonic() - start


def check_times(case, fault, times, slack):
    """A busy machine only adds: the best of the tries is the measure."""
    deadline = FAULTS[fault][2]
    want = TIMED_S[deadline] if deadline else 0
    most = 1.1 * want + WHEEL_S + slack if deadline else 0.5 + slack
    case.check(min(times) >= 0.9 * want and min(times) <= most,
               "%s: %s s instead of %.1f s, when others wait %.3f s"
               % (fault, times, want, slack))


def timeouts_are_kept(case, origin):
    """Within 10 %, and a tick of the wheel; what the machine itself adds is
    measured beside it on a healthy route."""
    timeout = {k: "%dms" % (v * 1000) for k, v in TIMED_S.items()}
    matapalo = case.matapalo(rules=fault_rules(case, origin, timeout,
                                               "timed.json"))
    names = sorted(FAULTS)
    times = {name: [] for name in names}
    with Probe(matapalo.port) as control:
        lib.wait_for(lambda: control.times, "the healthy route")
        for _ in range(3):
            in_parallel(len(names), len(names), lambda i: times[
                names[i]].append(timed_once(case, matapalo.port, names[i])))
        for name in names:
            check_times(case, name, times[name], control.worst())
    law(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")


def not_reading(case, origin):
    """An upload that the upstream does not take ends by `idle`."""
    timeout = {"head": "1s", "idle": "500ms"}
    rules = {"version": 1, "targets": {"legacy": {
        "url": Upstream(case, no_read).url, "timeout": timeout}}}
    matapalo = case.matapalo(rules=case.rules(rules, "no-read.json"))
    ledger = Ledger(case, matapalo)
    for method in ("PUT", "POST"):
        with Client(matapalo.port) as client:
            client.socket.settimeout(5)
            try:
                client.send(make_request(method, "/", b"z" * (64 * MIB)))
            except OSError:
                pass
            case.equal(client.read().status, 504, "nobody takes the upload")
    ledger.settle("uploads that nobody takes")
    case.equal(matapalo.stop(), 0, "exit status")


def mass(case, origin):
    """Hundreds of each: nothing leaks, and others notice little: compared
    with as many requests of the same pace that are answered."""
    timeout = {k: "%dms" % v for k, v in MASS_MS.items()}
    matapalo = case.matapalo(rules=fault_rules(case, origin, timeout,
                                               "mass.json"), workers=2)
    port, each, threads = matapalo.port, 60 * SCALE, 40
    in_parallel(threads, threads,
                lambda i: outcome(port, make_request("GET", "/x?n=1")))
    slow = make_request("GET", "/slow-head/%d" % MASS_MS["head"])
    with Probe(port) as healthy:
        in_parallel(4 * threads, threads, lambda i: outcome(port, slow))
    ledger = Ledger(case, matapalo)
    names = sorted(FAULTS)
    with Probe(port) as beside:
        for name in names:
            request = make_request("GET", "/" + name)
            wanted = (FAULTS[name][1], 504)     # on a busy machine
            in_parallel(each, threads, lambda i: case.check(
                outcome(port, request) in wanted, name))
    ledger.settle("descriptors after %d faults" % (each * len(names)),
                  upstreams=2 * (threads + 1))
    case.check(beside.median() < 5 * healthy.median() + 0.005,
               "beside the faults others wait %.4f s, else %.4f s"
               % (beside.median(), healthy.median()))
    law(case, matapalo)
    counted = matapalo.metrics()
    failed = sum(v for k, v in counted.items()
                 if k.startswith("matapalo_upstream_failures_total"))
    case.check(failed >= each * sum(FAULTS[n][1] != CUT for n in names),
               "failures are counted by reason")
    case.equal(matapalo.stop(), 0, "exit status")


# ---- U2 -------------------------------------------------------------------

def cut_server(case):
    """/FRAMING/END/BYTES: so many bytes of 1 MiB, then the end."""
    def serve(connection, head):
        _, framing, end, count = target_of(head).split("?")[0].split("/")
        count = int(count)
        connection.exactly(length_of(head))
        if framing == "length":
            connection.send(HEAD % MIB + pattern(count))
        else:
            connection.send(CHUNKED)
            if count:
                connection.send(b"%x\r\n%s\r\n" % (count, pattern(count)))
        if end == "reset":
            reset_now(connection.socket)
        elif end == "bad-chunk":
            connection.send(b"zz\r\nhello\r\n0\r\n\r\n")
        elif end == "long-chunk":
            connection.send(b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n")
        elif end == "no-crlf":
            connection.send(b"5\r\nhello0\r\n\r\n")
        return False
    return Upstream(case, serve)


def chunks_of(raw):
    """(data, whole?) of a chunked body as it was on the wire."""
    data = b""
    while True:
        line, mark, rest = raw.partition(b"\r\n")
        if not mark:
            return data, False
        size = int(line, 16)
        if size == 0:
            return data, rest.startswith(b"\r\n")
        data += rest[:size]
        if len(rest) < size + 2:
            return data, False
        raw = rest[size + 2:]


def see_cut(case, port, method, target):
    """What of the body the caller got; that it is cut must be plain."""
    with Client(port) as client:
        client.send(make_request(method, target,
                                 b"x" if method == "POST" else None))
        try:
            head = client.until(b"\r\n\r\n").lower()
        except (EOFError, ConnectionResetError):
            return 0            # no answer at all is plain enough
        if b" 502 " in head.split(b"\r\n")[0]:
            return 0
        raw = client.to_end()
    if b"transfer-encoding: chunked" in head:
        data, whole = chunks_of(raw)
        case.check(not whole, "%s looks complete" % target)
    else:
        data = raw
        case.check(b"content-length: %d" % MIB in head, "the length stays")
        case.check(len(raw) < MIB, "%s looks complete" % target)
    case.check(data == pattern(len(data)), "%s: other bytes" % target)
    return len(data)


def cut_points():
    points = range(0, MIB, STEP * (1 if SCALE > 1 else 4))
    for count in points:
        for framing, end in (("length", "fin"), ("length", "reset"),
                             ("chunked", "fin"), ("chunked", "reset")):
            yield framing, end, count
    for end in ("fin", "bad-chunk", "long-chunk", "no-crlf"):
        for count in (0, 1, 100, STEP, MIB // 2, MIB):
            yield "chunked", end, count


def truncation(case):
    matapalo = case.matapalo(legacy=cut_server(case).url, workers=2)
    ledger = Ledger(case, matapalo)
    jobs = [(method, framing, end, count, i)
            for i, (framing, end, count) in enumerate(cut_points())
            for method in ("GET", "POST")]
    got = {}

    def job(i):
        method, framing, end, count, number = jobs[i]
        target = "/%s/%s/%d?n=%d" % (framing, end, count, number)
        got[method, target] = see_cut(case, matapalo.port, method, target), \
            count
    in_parallel(len(jobs), 8, job)
    ledger.settle("after %d cut answers" % len(jobs))
    events = matapalo.await_exchanges(len(jobs))
    case.equal(len(events), len(jobs), "one event each")
    for event in events:
        request = event["request"]
        seen, sent = got[request["method"], request["target"]]
        if event.get("answered_by") == "matapalo":
            case.equal(event["response"]["status"], 502, "a cut head")
            continue
        case.equal(event["outcome"], "aborted", request["target"])
        bytes_in = event["response"]["body_bytes"]
        case.check(seen <= bytes_in <= sent + 5,
                   "%s: the event says %d bytes, the caller saw %d"
                   % (request["target"], bytes_in, seen))
    law(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")


# ---- U3 -------------------------------------------------------------------

IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
OTHERS = ("POST", "PATCH")
MOMENTS = ("head", "body", "half-head", "answer")


def counting_server(case, executions):
    """Fails at the moment that the target names; /ok keeps alive."""
    def serve(connection, head):
        target = target_of(head)
        moment = target.split("/")[1].split("?")[0]
        executions[target] += 1
        if moment == "head":
            reset_now(connection.socket)
            return False
        connection.exactly(length_of(head))
        if moment == "half-head":
            connection.send(b"HTTP/1.1 200 OK\r\nConte")
        elif moment == "answer":
            connection.send(HEAD % 1000 + b"some")
        elif moment == "ok":
            connection.send(HEAD % 0)
            return True
        return False
    return Upstream(case, serve)


def retry_once(case, port, executions, request):
    method, moment, target, warm = request
    if warm:
        outcome(port, make_request("GET", "/ok?warm"))
    body = b"x" * 10 if method in ("PUT", "POST", "PATCH") else None
    got = outcome(port, make_request(method, target, body), method)
    most = 2 if method in IDEMPOTENT else 1
    case.check(got in (502, CUT) or (method == "HEAD" and moment == "answer"),
               "%s %s: %s" % (method, target, got))
    case.check(1 <= executions[target] <= most, "%s %s ran %d times"
               % (method, target, executions[target]))


def retries(case):
    executions = collections.Counter()
    matapalo = case.matapalo(legacy=counting_server(case, executions).url)
    number, before = 0, 0
    for method in IDEMPOTENT + OTHERS:
        for moment in MOMENTS:
            for warm in (False, True) * 3 * SCALE:
                number += 1
                target = "/%s?n=%d" % (moment, number)
                retry_once(case, matapalo.port, executions,
                           (method, moment, target, warm))
    twice = sum(n - 1 for t, n in executions.items() if "warm" not in t)
    retried = sum(value for name, value in matapalo.metrics().items()
                  if name.startswith("matapalo_upstream_retried_total"))
    case.check(twice <= retried, "%d sent again, %d counted"
               % (twice, retried))
    case.check(before == 0 and retried > 0, "stale connections were met")
    law(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")


def never_left(case, origin):
    """Nothing of the request left: any method may go elsewhere."""
    down = Refusing(case)
    rules = {"version": 1, "targets": {"legacy": {
        "url": [down.url, origin.url]}}}
    matapalo = case.matapalo(rules=case.rules(rules, "elsewhere.json"))
    for method in IDEMPOTENT + OTHERS:
        case.equal(outcome(matapalo.port, make_request(
            method, "/x?n=1", b"z" if method in OTHERS else None), method),
            200, method + " to another address")
    case.equal(matapalo.stop(), 0, "exit status")


TOGETHER = 12


def is_stopped(matapalo):
    """Whether no thread runs any more: a signal is not at once."""
    for path in glob.glob("/proc/%d/task/*/stat" % matapalo.pid):
        with open(path) as f:
            if f.read().rsplit(")", 1)[1].split()[0] != "T":
                return False
    return True


def unasked(case):
    """What a kept connection says before it was asked answers nobody, also
    when it has been chosen for a request by then."""
    held, all_here = [], threading.Event()

    def serve(connection, _head):
        held.append(connection)
        if len(held) == TOGETHER:
            all_here.set()
        all_here.wait(20)
        connection.send(HEAD % 2 + b"ok")
        return True

    rules = {"version": 1, "targets": {"legacy": {
        "url": Upstream(case, serve).url, "retries": "100%"}}}
    matapalo = case.matapalo(rules=case.rules(rules, "unasked.json"))
    clients = [Client(matapalo.port) for _ in range(TOGETHER)]
    for path in (b"/1", b"/2"):
        if path == b"/2":
            matapalo.signal(signal.SIGSTOP)
            lib.wait_for(lambda: is_stopped(matapalo), "the stop", 5)
        for client in clients:
            client.send(b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % path)
        if path == b"/2":
            for connection in list(held):
                connection.send(HEAD % 4 + b"evil")
            matapalo.signal(signal.SIGCONT)
        for client in clients:
            answer = client.read()
            case.equal((answer.status, answer.body), (200, b"ok"),
                       "an answer to " + path.decode())
    case.equal(matapalo.stop(), 0, "exit status")


SURPLUS = (b"left\r\nover\r\n\r\n", b"\0", b"HTTP/1.1 ",
           b"HTTP/1.1 200 OK\nContent-Length: 0\n\n")


def late_server(case, executions):
    """A connection's first request is answered; what is asked behind it is
    met by what was left of that answer. /bad lies in any case."""
    asked = collections.Counter()

    def serve(connection, head):
        target = target_of(head)
        executions[target] += 1
        asked[connection] += 1
        connection.exactly(length_of(head))
        if asked[connection] == 1 and not target.startswith("/bad"):
            connection.send(HEAD % 2 + b"ok")
            return True
        connection.send(SURPLUS[len(executions) % len(SURPLUS)] +
                        HEAD % 4 + b"evil")
        await_end(connection)
        return False
    return Upstream(case, serve)


def late_surplus(case):
    """The rest of an earlier answer comes when the next request is on its
    way: it is no answer, and what may be asked again is (RFC 9110 9.2.2)."""
    executions = collections.Counter()
    rules = {"version": 1, "targets": {"legacy": {
        "url": late_server(case, executions).url, "retries": "100%"}}}
    matapalo = case.matapalo(rules=case.rules(rules, "late.json"), workers=1)
    wants = [(m, "", 200, 2) for m in IDEMPOTENT * len(SURPLUS)]
    wants += [(m, "", 502, 1) for m in OTHERS]
    wants += [("GET", "bad", 502, 2), ("POST", "bad", 502, 1)]
    for number, (method, name, status, times) in enumerate(wants):
        # The pool is LIFO: one that has answered once lies there.
        with Client(matapalo.port) as client:
            client.request("GET", "/warm?n=%d" % number)
        target = "/%s?n=%d" % (name, number)
        body = b"x" if method in ("PUT",) + OTHERS else None
        got = outcome(matapalo.port, make_request(method, target, body),
                      method)
        case.equal((got, executions[target]), (status, times),
                   "%s %s: status, and how often it was sent" %
                   (method, target))
    case.check(matapalo.metrics()[
        'matapalo_upstream_retried_total{reason="surplus"}'] > 0, "counted")
    law(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")


def scenario(case):
    origin = case.origin("legacy")
    timeouts_are_kept(case, origin)
    not_reading(case, origin)
    mass(case, origin)
    truncation(case)
    retries(case)
    never_left(case, origin)
    unasked(case)
    late_surplus(case)


lib.main(scenario, 240 * SCALE)
