# SPDX-License-Identifier: Apache-2.0
"""An origin that keeps every byte and reads them by the letter.

It knows one form of a message, the normal form that matapalo promises to
write, and calls everything else a flaw. It is also what stands behind the
web servers among the real origins: what they read is what they pass on.
"""
import collections
import re
import socket
import threading

Reading = collections.namedtuple(
    "Reading", "method target body fields connection")

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
START = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~\x80-\xff]+) "
                   rb"HTTP/1\.([01])")
VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
HOP_BY_HOP = {b"keep-alive", b"proxy-connection"}
NOT_IN_TRAILERS = {
    b"content-length", b"transfer-encoding", b"host", b"connection",
    b"authorization", b"cookie", b"content-type", b"content-encoding",
    b"content-range", b"trailer", b"te", b"upgrade", b"expect", b"range",
    b"max-forwards", b"proxy-authorization", b"set-cookie", b"keep-alive"}


class Flaw(Exception):
    """What arrived is not in normal form."""


def line_of(method, target, body):
    """How every origin tells what it read."""
    return "%s %s %s" % (method.hex(), target.hex(), body.hex() or "-")


def split_fields(lines):
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.fullmatch(name):
            raise Flaw("field line %r" % line[:80])
        value = value.strip(b" \t")
        if not VALUE.fullmatch(value):
            raise Flaw("value %r" % line[:80])
        fields.append((name.lower(), value))
    return fields


def all_values(fields, name):
    return [v for n, v in fields if n == name]


def check_hops(fields):
    """Only what this hop needs: an upgrade or trailers, and then named."""
    named = {token.strip().lower() for v in all_values(fields, b"connection")
             for token in v.split(b",")}
    if not named <= {b"upgrade", b"te"}:
        raise Flaw("Connection: %r" % named)
    for name, _ in fields:
        if name in HOP_BY_HOP:
            raise Flaw("hop-by-hop %r" % name)
        if name in (b"upgrade", b"te") and name not in named:
            raise Flaw("%r, which Connection does not name" % name)


def framing_of(fields):
    """(chunked, length) by exactly one field, or by none."""
    lengths = all_values(fields, b"content-length")
    codings = all_values(fields, b"transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise Flaw("framed twice: %r %r" % (lengths, codings))
    if codings and codings[0] != b"chunked":
        raise Flaw("coding %r" % codings[0])
    if lengths and not re.fullmatch(rb"0|[1-9][0-9]*", lengths[0]):
        raise Flaw("length %r" % lengths[0])
    return bool(codings), int(lengths[0]) if lengths else 0


class Stream:
    """Reads a socket and keeps all of it."""

    def __init__(self, sock):
        self.sock, self.data, self.at = sock, bytearray(), 0

    def fill(self):
        try:
            more = self.sock.recv(262144)
        except OSError:
            more = b""
        if not more:
            raise EOFError
        self.data += more

    def until(self, mark):
        start = self.at
        while True:
            end = self.data.find(mark, start)
            if end >= 0:
                part = bytes(self.data[self.at:end])
                self.at = end + len(mark)
                return part
            start = max(self.at, len(self.data) - len(mark) + 1)
            self.fill()

    def exactly(self, n):
        while len(self.data) - self.at < n:
            self.fill()
        part = bytes(self.data[self.at:self.at + n])
        self.at += n
        return part

    def chunked(self):
        parts = []
        while True:
            line = self.until(b"\r\n")
            if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", line):
                raise Flaw("chunk size %r" % line[:80])
            size = int(line, 16)
            if size == 0:
                break
            parts.append(self.exactly(size))
            if self.exactly(2) != b"\r\n":
                raise Flaw("no CRLF behind a chunk")
        lines = []
        while True:
            line = self.until(b"\r\n")
            if not line:
                break
            lines.append(line)
        for name, _ in split_fields(lines):
            if name in NOT_IN_TRAILERS:
                raise Flaw("trailer %r" % name)
        return b"".join(parts)


class Recorder:
    """readings: complete requests in order; flaws: what broke the normal
    form; partial: what began and did not end. answer(reading) may give the
    bytes of another answer than the echo."""

    def __init__(self, case=None, strict=True, answer=None):
        self.readings, self.flaws, self.partial = [], [], []
        self.strict, self.answer = strict, answer
        self.lock, self.connections = threading.Lock(), 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.url = "http://127.0.0.1:%d" % self.port
        threading.Thread(target=self.accept, daemon=True).start()
        if case:
            case.cleanups.append(self.listener.close)

    def lines(self, since=0):
        with self.lock:
            return [line_of(r.method, r.target, r.body)
                    for r in self.readings[since:]]

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self.serve, daemon=True,
                             args=(sock, self.connections)).start()

    def serve(self, sock, number):
        stream, begun = Stream(sock), 0
        try:
            while True:
                begun = stream.at
                reading = self.read(stream, number)
                with self.lock:
                    self.readings.append(reading)
                sock.sendall(self.reply(reading))
                if (b"connection", b"close") in reading.fields:
                    return
        except EOFError:
            if stream.at > begun or len(stream.data) > begun:
                self.partial.append(bytes(stream.data[begun:]))
        except Flaw as flaw:
            self.flaws.append("%s in %r" % (
                flaw, bytes(stream.data[begun:begun + 600])))
        except OSError:
            pass
        finally:
            sock.close()

    def read(self, stream, number):
        head = stream.until(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        start = START.fullmatch(lines[0])
        if not start or b"\n" in head.replace(b"\r\n", b""):
            raise Flaw("start line or line ends")
        fields = split_fields(lines[1:])
        if self.strict:
            check_hops(fields)
            if start.group(3) != b"1" or \
                    len(all_values(fields, b"host")) != 1:
                raise Flaw("version or Host")
        chunked, length = framing_of(fields)
        if all_values(fields, b"expect"):
            stream.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = stream.chunked() if chunked else stream.exactly(length)
        return Reading(start.group(1), start.group(2), body, fields, number)

    def reply(self, reading):
        if self.answer:
            return self.answer(reading)
        text = line_of(reading.method, reading.target, reading.body) + "\n"
        head = "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text)
        if reading.method == b"HEAD":
            text = ""
        return (head + text).encode()
