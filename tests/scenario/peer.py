# SPDX-License-Identifier: Apache-2.0
"""An origin that says exactly what it is told and keeps every byte that it
was sent: for tests about the wire."""
import queue
import socket
import threading

from lib import Client


def adopt(accepted):
    """A Client on the accepting side of a connection."""
    client = Client.__new__(Client)
    client.socket, client.buffer = accepted, b""
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    accepted.settimeout(20)
    return client


def field(head, name):
    """The value of the first field of that name in raw bytes, or None."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name.lower():
            return value.strip()
    return None


def read_message(connection):
    """A whole request as raw bytes; (head, body with its framing)."""
    head = connection.until(b"\r\n\r\n") + b"\r\n\r\n"
    if b"chunked" in (field(head, b"transfer-encoding") or b""):
        body = b""
        while True:
            line = connection.until(b"\r\n")
            body += line + b"\r\n"
            size = int(line.split(b";")[0], 16)
            if size == 0:
                break
            body += connection.exactly(size + 2)
        while line:
            line = connection.until(b"\r\n")
            body += line + b"\r\n"
        return head, body
    return head, connection.exactly(int(field(head, b"content-length") or 0))


class Peer:
    """Runs serve(connection, head) for each connection's requests, or, with
    no function of its own, reads a message and says `self.say`."""

    def __init__(self, case, serve=None):
        self.serve = serve or self.play
        self.say, self.seen = b"", queue.Queue()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.url = "http://127.0.0.1:%d" % self.port
        threading.Thread(target=self.accept, daemon=True).start()
        case.cleanups.append(self.listener.close)

    def accept(self):
        while True:
            try:
                accepted = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.run, args=(accepted,),
                             daemon=True).start()

    def run(self, accepted):
        connection = adopt(accepted)
        try:
            while self.serve(connection) is not False:
                pass
        except (EOFError, OSError):
            pass
        accepted.close()

    def play(self, connection):
        head, body = read_message(connection)
        self.seen.put(head + body)
        connection.send(self.say)
        # What has neither length nor chunks ends with the connection.
        final = self.say.split(b"\r\n\r\n")[0]
        return any(field(final, name) is not None for name in
                   (b"content-length", b"transfer-encoding")) or \
            b" 204 " in final or b" 304 " in final
