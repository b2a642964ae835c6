# SPDX-License-Identifier: Apache-2.0
"""Hostile answers: the client sees a good answer in normal form, or an own
502, or that the end is missing; never what somebody smuggled, and never the
answer to another request."""
import os
import re
import socket
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import answers  # noqa: E402
import judge  # noqa: E402
from judge import lib  # noqa: E402
from recorder import Flaw, Stream, VALUE, split_fields  # noqa: E402

HOP_BY_HOP = {b"keep-alive", b"proxy-connection", b"te", b"upgrade"}


class Liar:
    """Answers /lie/N with the bytes of case N, whole or in pieces, and
    everything else with its own target."""

    def __init__(self, case, cases):
        self.cases, self.lock = cases, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.count, self.last_lie = 0, 0
        self.next_on_same = False
        threading.Thread(target=self.accept, daemon=True).start()
        case.cleanups.append(self.listener.close)

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(sock, self.count),
                             daemon=True).start()

    def serve(self, sock, number):
        stream = Stream(sock)
        try:
            while True:
                head = stream.until(b"\r\n\r\n")
                target = head.split(b" ")[1].decode()
                if not target.startswith("/lie/"):
                    self.next_on_same = number == self.last_lie
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d"
                                 b"\r\n\r\n%s" % (len(target),
                                                  target.encode()))
                    continue
                self.last_lie = number
                _, _, index, step = target.split("/")
                lie = self.cases[int(index)]
                for at in range(0, len(lie.data), int(step)):
                    sock.sendall(lie.data[at:at + int(step)])
                if lie.close:
                    return
        except (EOFError, OSError):
            pass
        finally:
            sock.close()


class Heard(Stream):
    """Reads what matapalo says by the letter: any flaw is ours."""

    def answer(self, method):
        """(status, body, fields) of the next final answer; body is None
        when its end is missing."""
        while True:
            lines = self.until(b"\r\n\r\n").split(b"\r\n")
            found = re.fullmatch(rb"HTTP/1\.1 ([1-5][0-9][0-9]) (.*)",
                                 lines[0], re.S)
            if not found or not VALUE.fullmatch(found.group(2)):
                raise Flaw("status line %r" % lines[0][:80])
            fields = split_fields(lines[1:])
            status = int(found.group(1))
            if status >= 200 or status == 101:
                break
        return status, self.body(method, status, fields), fields

    def body(self, method, status, fields):
        names = [n for n, _ in fields]
        framing = [v for n, v in fields if n in (b"content-length",
                                                 b"transfer-encoding")]
        if HOP_BY_HOP & set(names):
            raise Flaw("hop-by-hop in %r" % names)
        if status in (204, 304) or method == "HEAD":
            if b"transfer-encoding" in names and status == 204:
                raise Flaw("204 with a coding")
            return b""
        if len(framing) != 1:
            raise Flaw("framed by %r" % framing)
        try:
            if framing[0] == b"chunked":
                return self.chunked()
            return self.exactly(int(framing[0]))
        except EOFError:
            return None


def problem_of(lie, status, body):
    own = status == 502
    good = not own and body is not None and (
        lie.body is None or status == 204 or status == 304 or
        body == lie.body)
    if b"SMUGGLED" in (body or b""):
        return "smuggled"
    if lie.want == answers.BAD and not own:
        return "expected 502"
    if lie.want == answers.GOOD and not good:
        return "expected the answer"
    if lie.want == answers.SHORT and not (own or body is None):
        return "expected an end that is missing"
    if lie.want == answers.EITHER and not (own or good or body is None):
        return "neither the answer nor 502"
    return None


def judge_one(port, liar, index, lie, step, method):
    """None, or what was wrong with what the client saw."""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(("%s /lie/%d/%d HTTP/1.1\r\nHost: a\r\n\r\n" % (
            method, index, step)).encode())
        heard = Heard(sock)
        try:
            status, body, _ = heard.answer(method)
        except EOFError:
            return "no answer"
        except Flaw as flaw:
            return "not in normal form: %s" % flaw
        wrong = problem_of(lie, status, body) if method == "GET" else None
        if wrong:
            return "%s, got %d %r" % (wrong, status, (body or b"")[:60])
        target = "/next/%d/%d" % (index, step)
        try:
            sock.sendall(judge.plain(target))
            status, body, _ = heard.answer("GET")
        except Flaw as flaw:
            return "the next answer is not in normal form: %s" % flaw
        except (EOFError, OSError):
            body = None             # closed, and that is safe
    # Bytes behind an answer that arrive after the next request was sent: it
    # is safe, and asked again on another connection (RFC 9110 9.2.2).
    if body is None:
        talk = judge.Talk(port, judge.plain(target, "Connection: close"), 5)
        status, body = talk.answers[0] if talk.answers else (0, b"")
    if (status, body) != (200, target.encode()):
        return "the next request got %d %r" % (status, body[:80])
    if liar.next_on_same and lie.reuse is False:
        return "the connection was used again"
    return None


def scenario(case):
    cases = list(answers.cases())
    liar = Liar(case, cases)
    matapalo = judge.matapalo(case, liar.url, retries="100%")
    wrong, sent = [], 0
    for index, lie in enumerate(cases):
        runs = [(1 << 20, "GET"), (1 << 20, "HEAD")]
        if len(lie.data) < 600:
            runs.append((7, "GET"))
        for step, method in runs:
            sent += 1
            problem = judge_one(matapalo.port, liar, index, lie, step,
                                method)
            if problem:
                wrong.append("%s by %d, %s (%s): %s" % (
                    lie.id, step, method, lie.why, problem))
    for text in wrong[:60]:
        print("WRONG:", text)
    case.checks += sent
    print("%d answers, sent in %d ways" % (len(cases), sent))
    case.equal(len(wrong), 0, "answers that went wrong")
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario, seconds=300)
