# SPDX-License-Identifier: Apache-2.0
"""Too many clients, too fast ones, too slow ones (promises U6 and U8)."""
import os
import resource
import select
import socket
import threading
import time

import lib
from lib import Client, fetch, make_request

OPEN = "matapalo_client_connections_open"
TICK = os.sysconf("SC_CLK_TCK")
MANY = 1000 if lib.is_sanitized() else 5000


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def few_files(case, origin):
    """256 descriptors and 2,000 callers: all are served in their turn."""
    wrapper = case.path("few-files")
    with open(wrapper, "w") as f:
        f.write('#!/bin/sh\nulimit -n 256\nexec "%s" "$@"\n' % lib.MATAPALO)
    os.chmod(wrapper, 0o755)
    matapalo = case.matapalo(legacy=origin.url, workers=2, binary=wrapper)
    sockets = [socket.create_connection(("127.0.0.1", matapalo.port))
               for _ in range(2000)]
    before = cpu_seconds(matapalo.pid)
    time.sleep(1)               # what is measured is that nothing happens
    used = cpu_seconds(matapalo.pid) - before
    case.check(used < 0.2, "%.2f s CPU a second while all are silent" % used)
    case.check(matapalo.status(), "the console has its descriptors")
    for number, s in enumerate(sockets):
        try:
            s.sendall(make_request("GET", "/x?n=%d" % number))
        except OSError:
            pass                # was ended; the poll says so, too
    waiting, statuses = {s.fileno(): s for s in sockets}, []
    poll = select.poll()
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    while waiting:
        ready = poll.poll(20000)
        case.check(ready, "%d callers wait for ever" % len(waiting))
        for fd, _ in ready:
            s = waiting.pop(fd)
            poll.unregister(fd)
            try:
                statuses.append(s.recv(4096)[9:12])
            except ConnectionResetError:
                statuses.append(b"")    # its request met the end
            s.close()
    # Some of those that were silent for a second made room for others.
    ended = statuses.count(b"")
    case.check(ended <= 96, "%d connections are ended" % ended)
    unlike = [x for x in statuses if x not in (b"200", b"503", b"")]
    case.equal(unlike[:3], [], "answers but 200 and 503")
    served = statuses.count(b"200")
    case.check(served > 500, "%d of 2000 were served" % served)
    case.equal(served + ended + statuses.count(b"503"), 2000, "all of them")
    start = time.monotonic()
    case.equal(fetch(matapalo.port, "POST", "/x?n=1", b"x").status, 200,
               "served and recorded afterwards")
    case.check(time.monotonic() - start < 5, "at once")
    case.check(matapalo.metrics()["matapalo_accept_pauses_total"] > 0,
               "it did pause")
    case.equal(matapalo.stop(), 0, "exit status")


def stages(case, origin):
    matapalo = case.matapalo(legacy=origin.url,
                             args=["--max-connections", "40"])
    port = matapalo.port
    idle = []
    for number in range(36):
        idle.append(Client(port))
        answer = idle[-1].request("GET", "/x?n=%d" % number)
        case.equal(answer.status, 200, "caller %d" % number)
        time.sleep(0.002)       # ages are told apart by milliseconds
    case.check(idle[0].is_closed(), "the longest idle is closed at 90 %")
    case.equal(idle[30].request("GET", "/x?n=1").status, 200,
               "a younger one goes on")
    for client in idle:
        client.close()
    lib.wait_for(lambda: matapalo.metrics()[OPEN] == 0, "all to be gone")
    busy = [Client(port) for _ in range(36)]
    for client in busy:
        client.send(make_request("GET", "/slow-head/1500"))
    lib.wait_for(lambda: matapalo.metrics()[
        "matapalo_upstream_connections_open"] >= 36, "36 at the origin")
    with Client(port) as client:
        answer = client.request("GET", "/x?n=2")
        case.equal(answer.status, 200, "an answer at 90 %")
        case.equal(answer.get("Connection"), "close", "but no keep-alive")
    more = [Client(port) for _ in range(2)]
    lib.wait_for(lambda: matapalo.metrics()[OPEN] >= 38, "38 connections")
    answer = more[1].request("GET", "/x?n=2")
    case.equal(answer.status, 503, "at 95 %")
    case.check(int(answer.get("Retry-After")) > 0, "Retry-After")
    case.equal(busy[0].read().status, 200, "those before are served")
    metrics = matapalo.metrics()
    case.check(metrics['matapalo_shed_total{what="connection"}'] > 0 and
               metrics['matapalo_shed_total{what="request"}'] > 0, "counted")
    case.equal(matapalo.stop(), 0, "exit status")


def called_while_shedding(case):
    """Who was called from a target's queue, is answered at once and has the
    next request at hand is not idle."""
    path = case.path("limited.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(8)
    listener.settimeout(20)
    matapalo = case.matapalo(args=["--max-connections", "20"],
                             rules=case.rules({
        "version": 1, "rules": [], "targets": {"legacy": {
            "url": "unix:" + path, "max_connections": 1,
            "queue": {"max": 4, "wait": "20s"}}}}, "limited.json"))
    first, second = Client(matapalo.port), Client(matapalo.port)
    first.send(make_request("POST", "/x", b"x"))
    taken = listener.accept()[0]
    second.send(make_request("GET", "/a") + make_request("GET", "/b"))
    lib.wait_for(lambda: matapalo.metrics()[
        "matapalo_upstream_queued_total"] >= 1, "the second in the queue")
    more = [Client(matapalo.port) for _ in range(16)]
    lib.wait_for(lambda: matapalo.metrics()[OPEN] >= 18, "90 %")
    time.sleep(0.2)             # idle ones are looked for every 50 ms
    listener.close()
    os.unlink(path)
    taken.close()
    case.equal(first.read().status, 502, "the one that was at the target")
    case.equal([second.read().status for _ in range(2)], [502, 502],
               "both of the one that waited")
    for client in more:
        client.close()
    case.equal(matapalo.stop(), 0, "exit status")


def memory(case, origin):
    """Over its memory's limit it answers 503, and lives."""
    matapalo = case.matapalo(legacy=origin.url, args=["--max-memory", "2"])
    answer = fetch(matapalo.port, "GET", "/x?n=1")
    case.equal(answer.status, 503, "no memory to spare")
    case.check(int(answer.get("Retry-After")) > 0, "Retry-After")
    case.equal(matapalo.stop(), 0, "exit status")


def per_client(case, origin):
    matapalo = case.matapalo(legacy=origin.url, args=[
        "--client-connections", "5", "--client-rate", "20"])
    clients = [Client(matapalo.port) for _ in range(5)]
    statuses = [clients[0].request("GET", "/x?n=%d" % n).status
                for n in range(15)]
    case.equal(statuses, [200] * 15, "within the burst")
    with Client(matapalo.port) as sixth:
        case.check(sixth.is_closed(), "a sixth connection")
    answers = []
    while not answers or answers[-1].status == 200:
        case.check(len(answers) < 200, "a burst without end")
        answers.append(clients[1].request("GET", "/x?n=1"))
    case.equal(answers[-1].status, 429, "too many requests")
    case.check(int(answers[-1].get("Retry-After")) > 0, "Retry-After")
    clients[2].close()
    lib.wait_for(lambda: matapalo.metrics()[OPEN] <= 4, "one to be gone")
    case.check(matapalo.metrics()[
        'matapalo_client_limited_total{what="connection"}'] >= 1, "counted")
    lib.wait_for(lambda: fetch(matapalo.port, "GET",
                               "/x?n=2").status == 200, "room again")
    case.equal(matapalo.stop(), 0, "exit status")


def proxied(case, origin):
    """Behind a trusted proxy it is the named client that has a limit."""
    matapalo = case.matapalo(legacy=origin.url, args=[
        "--client-connections", "1", "--client-rate", "3",
        "--trusted-proxy", "127.0.0.1"])
    clients = [Client(matapalo.port) for _ in range(4)]

    def ask(who):
        return clients[0].request("GET", "/x?n=1", fields=[
            ("X-Forwarded-For", who)]).status
    case.equal([ask("192.0.2.%d" % n) for n in range(8)], [200] * 8,
               "many clients through one proxy")
    answers = []
    while 429 not in answers:   # that one ends the connection
        case.check(len(answers) < 200, "one of them without end")
        answers.append(ask("192.0.2.100"))
    case.equal(matapalo.stop(), 0, "exit status")


def slow_heads(case, origin):
    """Thousands of heads that never end do not hurt an honest caller."""
    matapalo = case.matapalo(legacy=origin.url, workers=2,
                             args=["--head", "4s"])
    rss = matapalo.rss_kib()
    slow = [socket.create_connection(("127.0.0.1", matapalo.port))
            for _ in range(MANY)]
    for s in slow:
        s.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n")
    times = []
    with Client(matapalo.port) as client:
        for number in range(300):
            start = time.monotonic()
            case.equal(client.request("GET", "/x?n=%d" % number).status, 200,
                       "honest caller")
            times.append(time.monotonic() - start)
    times.sort()
    case.check(times[296] < 0.25, "p99 %.1f ms" % (times[296] * 1e3))
    each = (matapalo.rss_kib() - rss) / MANY
    case.check(each < 64 or lib.is_sanitized(), "%.1f KiB each" % each)
    lib.wait_for(lambda: matapalo.metrics()[OPEN] < 10, "the slow ones to end")
    print("slow heads: p50 %.2f ms, p99 %.2f ms, %.1f KiB each"
          % (times[150] * 1e3, times[296] * 1e3, each))
    for s in slow:
        s.close()
    case.equal(matapalo.stop(), 0, "exit status")


class Dripper(threading.Thread):
    """A body that comes byte by byte; and one that is only slow."""

    def __init__(self, port, piece):
        super().__init__()
        self.client, self.piece, self.answer = Client(port), piece, None
        self.took = 0
        self.start()

    def run(self):
        start = time.monotonic()
        self.client.send(b"POST /x?n=1 HTTP/1.1\r\nHost: a\r\n"
                         b"Content-Length: 13000\r\n\r\n")
        sent = 0
        while sent < 13000 and not select.select([self.client.socket], [], [],
                                                 0.5)[0]:
            try:
                self.client.send(self.piece[:13000 - sent])
            except OSError:
                break
            sent += len(self.piece)
        self.answer = self.client.read()
        self.took = time.monotonic() - start


def scenario(case):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 7000:
        lib.skip("the limit of open files is %d" % hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000), hard))
    origin = case.origin("legacy")
    matapalo = case.matapalo(legacy=origin.url)
    drop = Dripper(matapalo.port, b"x")
    slow = Dripper(matapalo.port, b"x" * 500)
    few_files(case, origin)
    stages(case, origin)
    called_while_shedding(case)
    memory(case, origin)
    per_client(case, origin)
    proxied(case, origin)
    slow_heads(case, origin)
    drop.join()
    slow.join()
    case.equal(drop.answer.status, 408, "2 bytes a second")
    case.check(9 < drop.took < 15, "after %.1f s" % drop.took)
    case.equal(slow.answer.status, 200, "1000 bytes a second")
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario)
