# SPDX-License-Identifier: Apache-2.0
"""Sends a case through matapalo and tells what came of it."""
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                os.pardir, "scenario"))
import lib  # noqa: E402  (found by the line above)

BEHIND = "/behind-%d"
MARK = "/mark-%d"
STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) [^\r\n]*\r\n")


class Talk:
    """Everything that a client said and heard on one connection."""

    def __init__(self, port, data, quiet_s, half_close=False,
                 source="127.0.0.1"):
        self.heard, self.waited, self.endless = b"", False, False
        sock = socket.create_connection(("127.0.0.1", port), 10,
                                        (source, 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock:
            self.send(sock, data)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
            sock.settimeout(10 if half_close else quiet_s)
            self.listen(sock, half_close)
        self.answers = self.split()

    def send(self, sock, data):
        try:
            sock.sendall(data)
        except OSError:
            pass            # it had seen enough; the answer is there

    def listen(self, sock, half_close):
        while True:
            try:
                data = sock.recv(262144)
            except TimeoutError:
                if self.waited or half_close:
                    self.endless = True
                    return
                self.waited = True      # it waits for more than there is
                sock.settimeout(10)
                try:
                    sock.shutdown(socket.SHUT_WR)
                except OSError:
                    return
                continue
            except OSError:
                return
            if not data:
                return
            self.heard += data

    def split(self):
        """(status, body) of each answer; 1xx are left out. An answer whose
        end cannot be told is the last."""
        answers, rest = [], self.heard
        while rest:
            head, mark, rest = rest.partition(b"\r\n\r\n")
            found = STATUS.match(head + b"\r\n")
            if not mark or not found:
                answers.append((0, head))
                break
            status = int(found.group(1))
            if status < 200 and status != 101:
                continue
            length = re.search(rb"(?im)^content-length: *([0-9]+)\r?$", head)
            if b"transfer-encoding: chunked" in head.lower():
                body, rest = self.unchunk(rest)
            elif status in (204, 304) or length is None:
                body = b""
            else:
                # The answer to HEAD has a length and no body.
                n = int(length.group(1))
                body = rest[:n]
                if rest.startswith(b"HTTP/1.1 "):
                    body = b""
                rest = rest[len(body):]
            answers.append((status, body))
        return answers

    @staticmethod
    def unchunk(rest):
        body = b""
        while True:
            line, _, rest = rest.partition(b"\r\n")
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError:
                return body, rest       # no body was sent: HEAD
            if size == 0:
                return body, rest.partition(b"\r\n")[2]
            body += rest[:size]
            rest = rest[size + 2:]

    def statuses(self):
        return [status for status, _ in self.answers]


def plain(target, *lines):
    """A request beyond doubt."""
    text = ["GET %s HTTP/1.1" % target, "Host: plain.example"] + list(lines)
    return ("\r\n".join(text) + "\r\n\r\n").encode()


def address_of(number):
    """Each case has a client address of its own; what the origin is told
    of the client tells the case, however late it is seen."""
    return "127.1.%d.%d" % divmod(number, 256)


class Judge:
    """One matapalo in front of one origin. log(n) gives the lines that the
    origin has told beyond the first n."""

    def __init__(self, port, log, quiet_s=0.15):
        self.port, self.log, self.quiet_s = port, log, quiet_s
        self.marks, self.told = 0, len(log(0))

    def run(self, number, case, half_close=False):
        """(talk, lines read by the origin, was the request behind it read?)
        The lines of the case end with a request that was surely read."""
        behind = BEHIND % number
        talk = Talk(self.port, case.data +
                    plain(behind, "Connection: close"), self.quiet_s,
                    half_close, address_of(number))
        lines = self.log(self.told)
        wanted = self.line(behind)
        if wanted not in lines:
            return talk, self.settle(), False
        self.told += len(lines)
        lines.remove(wanted)
        return talk, lines, True

    def settle(self):
        """A request of its own on a kept upstream connection: what was left
        there would be read first."""
        self.marks += 1
        mark = MARK % self.marks
        talk = Talk(self.port, plain(mark, "Connection: close"), 5)
        lines = self.log(self.told)
        self.told += len(lines)
        if self.line(mark) not in lines or talk.statuses() != [200]:
            raise lib.Failed("the next request was not read: %r, %r" %
                             (talk.heard[:300], lines))
        lines.remove(self.line(mark))
        return lines

    @staticmethod
    def line(target):
        return "%s %s -" % (b"GET".hex(), target.encode().hex())


def matapalo(case, url, **target):
    """One that forwards everything to url and mirrors it; nothing waits for
    the disk, so that messages and not commits are measured."""
    rules = {"version": 1, "targets": {"legacy": dict(target, url=url)},
             "default": {"stage": "mirror", "durability": "bounded"}}
    return case.matapalo(rules=case.rules(rules, case.unique("rules.json")))
