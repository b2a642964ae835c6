# SPDX-License-Identifier: Apache-2.0
"""Random conversations through a real matapalo: what was meant, what the
origin received and what the journal says must be one and the same.

Usage: check_random.py [SECONDS [SEED]], for less once MUTATIONS (in the
environment) requests were sent. A conversation is a connection with
a few requests, cut into packets at random; some are damaged on the way. Of
a conversation that is not damaged everything is known beforehand; of the
others the origin, the journal and the client must still agree.
"""
import base64
import os
import random
import re
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import judge  # noqa: E402
from judge import lib  # noqa: E402
from recorder import Recorder, line_of  # noqa: E402

METHODS = [b"GET"] * 6 + [b"POST"] * 5 + [
    b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"HEAD", b"PROPFIND"]
WORDS = [b"a", b"bc", b"shop", b"%20", b"%2F", b"..", b".", b"~x", b"a=b",
         b"caf%C3%A9", b";v=1", b"@", b"+", b"123", b"index.html"]
FIELDS = [b"Accept: */*", b"X-A: 1", b"x-a: 2", b"X-Long: " + b"y" * 900,
          b"Cookie: a=b; c=d", b"User-Agent: random", b"X-Empty:",
          b"X-Tab:\ta\tb\t", b"X-Text: caf\xc3\xa9", b"Keep-Alive: 5",
          b"Connection: keep-alive", b"Connection: X-Drop\r\nX-Drop: 1",
          b"If-None-Match: \"x\"", b"Range: bytes=0-", b"TE: trailers",
          b"X-Quote: \"a\\\"b\"", b"Accept-Encoding: gzip, br",
          b"X-Colon: a:b", b"Authorization: Basic eDp5", b"Via: 1.1 front"]
# Fields that the journal keeps no plain text of, and those that end here.
NOT_COMPARED = {b"cookie", b"authorization", b"keep-alive", b"connection",
                b"x-drop", b"te", b"via", b"host", b"content-length",
                b"transfer-encoding", b"trailer", b"expect"}
DAMAGE = [b"\r", b"\n", b"\x00", b" ", b"\t", b":", b"0", b"\r\n", b";",
          b"\x0b", b"\xff", b",", b"/", b"5", b"chunked", b"Host: x\r\n",
          b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n",
          b"GET / HTTP/1.1\r\n\r\n"]


class Meant:
    """A request as its sender means it."""

    def __init__(self, method, target, body, fields):
        self.method, self.target, self.body = method, target, body
        self.fields = fields

    def line(self):
        return line_of(self.method, self.target, self.body)


class Maker:
    def __init__(self, rng):
        self.rng = rng

    def target(self):
        path = b"/" + b"/".join(self.rng.choices(
            WORDS, k=self.rng.randrange(5)))
        if self.rng.random() < 0.3:
            path += b"?" + b"&".join(self.rng.choices(
                WORDS, k=self.rng.randrange(1, 4)))
        return path

    def body(self):
        kind = self.rng.randrange(10)
        if kind == 0:
            return b""
        if kind == 1:       # looks like a message
            return b"GET /SMUGGLED HTTP/1.1\r\nHost: b\r\n\r\n0\r\n\r\n"
        if kind == 2:
            return self.rng.randbytes(self.rng.randrange(1, 20000))
        return self.rng.randbytes(self.rng.randrange(1, 200))

    def chunks(self, body):
        out, at = [], 0
        while at < len(body):
            n = self.rng.choice([1, 2, 16, 100, 4096, len(body)])
            part = body[at:at + n]
            size = b"%x" % len(part)
            if self.rng.random() < 0.2:
                size = b"0" * self.rng.randrange(1, 4) + size.upper()
            if self.rng.random() < 0.1:
                size += self.rng.choice([b";a", b";a=b", b";a=\"b\""])
            out.append(size + b"\r\n" + part + b"\r\n")
            at += n
        out.append(b"0\r\n")
        if self.rng.random() < 0.2:
            out.append(b"X-Trailer: t\r\n")
        return b"".join(out) + b"\r\n"

    def request(self):
        rng = self.rng
        method, target = rng.choice(METHODS), self.target()
        fields = rng.sample(FIELDS, rng.randrange(6))
        body, wire = b"", b""
        has_body = method not in (b"GET", b"HEAD") or rng.random() < 0.1
        if has_body:
            body = self.body()
            if rng.random() < 0.5:
                fields.append(b"Content-Length: %d" % len(body))
                wire = body
            else:
                fields.append(rng.choice([b"Transfer-Encoding: chunked",
                                          b"transfer-encoding:Chunked"]))
                wire = self.chunks(body)
        shown = target
        if rng.random() < 0.1:
            shown = b"http://abs.example" + target
        fields.append(b"Host: h%d.example" % rng.randrange(3))
        rng.shuffle(fields)
        head = b"\r\n".join([method + b" " + shown + b" HTTP/1.1"] + fields)
        return head + b"\r\n\r\n" + wire, Meant(method, target, body, fields)

    def damage(self, data):
        rng = self.rng
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(data))
            kind = rng.randrange(5)
            if kind == 0:
                data = data[:at] + data[at + 1:]
            elif kind == 1:
                data = data[:at] + rng.choice(DAMAGE) + data[at:]
            elif kind == 2:
                data = data[:at] + rng.randbytes(1) + data[at + 1:]
            elif kind == 3:     # a line doubled, or moved to another place
                lines = data.split(b"\r\n")
                line = rng.choice(lines)
                lines.insert(rng.randrange(len(lines) + 1), line)
                data = b"\r\n".join(lines)
            else:
                end = min(len(data), at + rng.randrange(1, 30))
                data = data[:at] + data[end:]
            data = data or b"x"
        return data

    def conversation(self):
        """(bytes, list of Meant or None when they were damaged)."""
        made = [self.request() for _ in range(self.rng.randrange(1, 6))]
        wires = [wire for wire, _ in made]
        if self.rng.random() < 0.5:
            i = self.rng.randrange(len(wires))
            wires[i] = self.damage(wires[i])
            return b"".join(wires), None
        return b"".join(wires), [meant for _, meant in made]


def send_cut(sock, rng, data):
    """In one packet, in a few, or nearly byte by byte."""
    most = rng.choice([1 << 20, 1 << 20, 1500, 200, 17])
    if most < 100 and len(data) > 4000:
        most = 1500
    for at in range(0, len(data), most):
        sock.sendall(data[at:at + most])


class Conversation(judge.Talk):
    """Damaged bytes may be cut off by us (half-close) at once: nothing is
    waited for that does not come."""

    def __init__(self, port, rng, data):
        self.rng = rng
        super().__init__(port, data, 10, half_close=True)

    def send(self, sock, data):
        try:
            send_cut(sock, self.rng, data)
        except OSError:
            pass


def plain_fields(fields):
    """What must arrive: {name: [values]} of everything compared."""
    seen = {}
    for line in b"\r\n".join(fields).split(b"\r\n"):
        name, _, value = line.partition(b":")
        name = name.lower()
        if name not in NOT_COMPARED:
            seen.setdefault(name, []).append(value.strip(b" \t"))
    return seen


def reading_fields(reading):
    seen = {}
    for name, value in reading.fields:
        if name not in NOT_COMPARED and not \
                name.startswith((b"x-forwarded", b"forwarded")):
            seen.setdefault(name, []).append(value)
    return seen


def check_meant(case, what, meant, readings, talk):
    case.check(len(readings) == len(meant), "%s: %d sent, %d received: %r"
               % (what, len(meant), len(readings), talk.heard[:300]))
    case.check(talk.statuses() == [200] * len(meant),
               "%s: answers %s" % (what, talk.statuses()))
    for i, (sent, got) in enumerate(zip(meant, readings)):
        case.check(sent.line() == line_of(got.method, got.target, got.body),
                   "%s: request %d was received as %r"
                   % (what, i, got[:2]))
        case.check(plain_fields(sent.fields) == reading_fields(got),
                   "%s: fields of request %d: %r became %r" % (
                       what, i, plain_fields(sent.fields),
                       reading_fields(got)))


def check_order(case, what, readings, talk):
    """Answer n tells request n; HEAD's tells nothing."""
    good = [body for status, body in talk.answers if status == 200]
    case.check(len(good) == len(readings), "%s: %d received, %d answered"
               % (what, len(readings), len(good)))
    for got, body in zip(readings, good):
        line = line_of(got.method, got.target, got.body) + "\n"
        case.check(body in (b"", line.encode()),
                   "%s: an answer out of order: %r" % (what, body[:100]))


def as_text(value):
    """JSON has no bytes that are not UTF-8: the journal has U+FFFD there."""
    return re.sub("\ufffd+", "\ufffd", value.decode("utf-8", "replace"))


def event_body(side):
    if "body_base64" in side:
        return base64.b64decode(side["body_base64"])
    return side.get("body", "").encode()


def check_event(case, number, event, reading):
    request = event["request"]
    line = line_of(request["method"].encode(), request["target"].encode(
        "utf-8", "surrogateescape"), event_body(request))
    want = line_of(reading.method, reading.target, reading.body)
    case.check(line == want, "event %d: %s, received %s"
               % (number, line[:300], want[:300]))
    case.check(request.get("body_bytes", 0) == len(reading.body),
               "event %d: body_bytes" % number)
    headers = {name.encode(): [as_text(v.encode()) for v in
                               (value if isinstance(value, list)
                                else [value])]
               for name, value in request["headers"].items()}
    for name, values in reading_fields(reading).items():
        values = [as_text(v) for v in values]
        case.check(headers.get(name) == values, "event %d: %r is %r, "
                   "received %r" % (number, name, headers.get(name), values))


def scenario(case):
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 20261123
    print("seed %d, %g s" % (seed, seconds))
    recorder = Recorder(case)
    matapalo = judge.matapalo(case, recorder.url)
    most = int(os.environ.get("MUTATIONS", "0")) or float("inf")
    end, n, whole, requests = time.monotonic() + seconds, 0, 0, 0
    sent = 0
    while time.monotonic() < end and sent < most:
        rng = random.Random(seed * 1000003 + n)
        data, meant = Maker(rng).conversation()
        sent += len(meant) if meant else max(1, data.count(b" HTTP/1.1\r"))
        before = len(recorder.readings)
        what = "seed %d conversation %d" % (seed, n)
        talk = Conversation(matapalo.port, rng, data)
        case.check(not talk.endless, what + ": no end")
        case.check(not recorder.flaws, "%s: not in normal form: %s"
                   % (what, recorder.flaws[:1]))
        readings = recorder.readings[before:]
        if meant is not None:
            whole += 1
            check_meant(case, what, meant, readings, talk)
        check_order(case, what, readings, talk)
        requests += len(readings)
        n += 1
    total = int(matapalo.metrics()["matapalo_exchanges_answered_total"])
    events = [e for e in matapalo.await_exchanges(total)
              if e["outcome"] == "response" and e.get("answered_by") is None]
    case.equal(len(events), len(recorder.readings), "events")
    for i, (event, reading) in enumerate(zip(events, recorder.readings)):
        check_event(case, i, event, reading)
    print("%d conversations (%d damaged), %d requests sent, %d received and "
          "recorded" % (n, n - whole, sent, requests))
    case.check(n >= 50, "%d conversations in %g s" % (n, seconds))
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario, seconds=int(float(sys.argv[1]) if len(sys.argv) > 1
                               else 10) * 3 + 120)
