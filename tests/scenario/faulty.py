# SPDX-License-Identifier: Apache-2.0
"""Peers that misbehave on purpose: upstreams by hand, descriptors, gauges."""
import os
import socket
import statistics
import struct
import threading
import time

import lib
from lib import Client

# Short in `make check`, long behind `make faults`.
SCALE = int(os.environ.get("FAULTS_SCALE", "1"))


def accepted_client(accepted):
    client = Client.__new__(Client)
    client.socket, client.buffer = accepted, b""
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


class Upstream:
    """Runs serve(connection, head) for each request head it receives; a
    connection is a Client on the accepting side. When serve returns False,
    or fails, the connection is closed."""

    def __init__(self, case, serve, backlog=1024):
        self.serve, self.heads = serve, []
        self.listener = socket.create_server(("127.0.0.1", 0),
                                             backlog=backlog)
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
        connection = accepted_client(accepted)
        try:
            while True:
                head = connection.until(b"\r\n\r\n").decode("latin-1")
                self.heads.append(head)
                if self.serve(connection, head) is False:
                    break
        except (EOFError, OSError):
            pass
        accepted.close()


def target_of(head):
    return head.split(" ", 2)[1]


def method_of(head):
    return head.split(" ", 1)[0]


def length_of(head):
    for line in head.lower().split("\r\n"):
        if line.startswith("content-length:"):
            return int(line.split(":")[1])
    return 0


def await_end(connection):
    """Reads, and says nothing, until the peer goes away."""
    try:
        while connection.socket.recv(65536):
            pass
    except OSError:
        pass


class Refusing:
    """A port that is bound and does not listen."""

    def __init__(self, case):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.socket.getsockname()[1]
        case.cleanups.append(self.socket.close)


class Blackhole:
    """A listener whose queue is full: a SYN gets no answer."""

    def __init__(self, case):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.url = "http://127.0.0.1:%d" % self.port
        self.fillers = []
        while self.filler_is_taken():
            pass
        case.cleanups.append(self.close)

    def filler_is_taken(self):
        s = socket.socket()
        s.settimeout(0.3)
        self.fillers.append(s)
        try:
            s.connect(("127.0.0.1", self.port))
        except TimeoutError:
            return False
        return len(self.fillers) < 10

    def close(self):
        for s in self.fillers + [self.listener]:
            s.close()


# ---- what a process holds -------------------------------------------------

def descriptors(process):
    return len(os.listdir("/proc/%d/fd" % process.pid))


def gauges(matapalo):
    m = matapalo.metrics()
    return {"clients": m["matapalo_client_connections_open"],
            "upstreams": m["matapalo_upstream_connections_open"]}


class Ledger:
    """Descriptors that no open connection explains; it must not grow."""

    def __init__(self, case, matapalo):
        self.case, self.matapalo = case, matapalo
        self.before = self.unexplained()

    def unexplained(self):
        open_now = gauges(self.matapalo)
        return descriptors(self.matapalo) - sum(open_now.values())

    def settle(self, what, upstreams=0, others=0):
        """No client is left, at most so many idle upstreams (and others,
        such as the shadow's own), and nothing else that was not before."""
        def settled():
            now = gauges(self.matapalo)
            return now["clients"] == 0 and now["upstreams"] <= upstreams \
                and self.unexplained() <= self.before + others
        try:
            lib.wait_for(settled, "descriptors", 15)
        except lib.Failed:
            self.case.check(False, "%s: %s, %d descriptors, %d before"
                            % (what, gauges(self.matapalo),
                               descriptors(self.matapalo), self.before))
        self.case.check(True, what)


def law(case, matapalo):
    """Whatever happened: answered = recorded + dropped by reason."""
    def holds():
        m = matapalo.metrics()
        dropped = sum(v for k, v in m.items()
                      if k.startswith("matapalo_exchanges_dropped_total"))
        return m["matapalo_exchanges_answered_total"] == \
            m["matapalo_exchanges_recorded_total"] + dropped
    lib.wait_for(holds, "answered = recorded + dropped")
    case.check(True, "conservation")


# ---- many at once ---------------------------------------------------------

def in_parallel(count, threads, job):
    """job(i) for i below count; the first exception ends it and is raised."""
    numbers, lock, failures = iter(range(count)), threading.Lock(), []

    def work():
        while not failures:
            with lock:
                i = next(numbers, None)
            if i is None:
                return
            try:
                job(i)
            except BaseException as e:  # raised again below
                failures.append(e)
    pool = [threading.Thread(target=work, daemon=True)
            for _ in range(threads)]
    for t in pool:
        t.start()
    for t in pool:
        t.join()
    if failures:
        raise failures[0]


class Probe:
    """Small requests, one after the other, on a route of its own: what
    everybody else notices."""

    def __init__(self, port, target="/x?n=1"):
        self.port, self.target = port, target
        self.times, self.end = [], threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()

    def run(self):
        with Client(self.port) as client:
            while not self.end.is_set():
                start = time.monotonic()
                client.request("GET", self.target)
                self.times.append(time.monotonic() - start)
                self.end.wait(0.002)

    def median(self):
        return statistics.median(self.times)

    def worst(self):
        return max(self.times)


def reset_now(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
    sock.close()
