# SPDX-License-Identifier: Apache-2.0
"""When something runs out: the disk, descriptors, the caller's patience."""
import os
import resource
import select
import signal
import time

import lib
import strike
from lib import Client, fetch, make_request

TICK = os.sysconf("SC_CLK_TCK")
HEAVY = 'matapalo_exchanges_dropped_total{reason="ring_bytes"}'
DROPPED = 'matapalo_exchanges_dropped_total{reason="journal_unwritable"}'


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def full_disk(case, origin):
    """No file may grow: writes fail as on a full disk (EFBIG, not ENOSPC).
    Strict fails closed, bounded fails open and counts, then all is well."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)   # inherited
    matapalo = case.matapalo(legacy=origin.url, restore_signals=False)
    port = matapalo.port
    case.equal(fetch(port, "POST", "/x?n=1", b"x").status, 200, "before")
    limits = resource.prlimit(matapalo.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(matapalo.pid, resource.RLIMIT_FSIZE, (1, limits[1]))

    def refused():
        answer = fetch(port, "POST", "/x?n=2", b"x")
        return answer.status == 503 and answer
    answer = lib.wait_for(refused, "503 for a strict request")
    case.equal(answer.get("Content-Type"), "application/problem+json", "503")
    case.check(int(answer.get("Retry-After", "0")) > 0, "Retry-After")
    served = [fetch(port, "GET", "/x?n=3").status for _ in range(50)]
    case.equal(served, [200] * 50, "bounded requests go on")
    false_acks = [s for s in (fetch(port, "POST", "/x?n=4", b"x").status
                              for _ in range(20)) if s != 503]
    case.equal(false_acks, [], "strict requests acknowledged without disk")
    code, why = matapalo.get_admin("/readyz", token=None)
    case.equal(code, 503, "not ready: " + why)
    lib.wait_for(lambda: matapalo.metrics()[DROPPED] >= 50,
                 "the drops to be counted")
    resource.prlimit(matapalo.pid, resource.RLIMIT_FSIZE, limits)
    start = time.monotonic()
    lib.wait_for(lambda: fetch(port, "POST", "/x?n=5", b"x").status == 200,
                 "strict requests after space came back")
    took = time.monotonic() - start
    case.check(took < 5, "it resumed after %.1f s" % took)
    settle(case, matapalo)
    gaps = matapalo.query("SELECT type, data FROM events WHERE type LIKE "
                          "'matapalo.%gap%'")
    case.check(gaps, "a gap record says what is missing")
    case.equal(matapalo.stop(), 0, "exit status")
    case.equal(matapalo.query("PRAGMA integrity_check"), [("ok",)],
               "integrity")


def settle(case, matapalo):
    def law():
        m = matapalo.metrics()
        dropped = sum(v for k, v in m.items()
                      if k.startswith("matapalo_exchanges_dropped_total"))
        return m["matapalo_exchanges_answered_total"] == \
            m["matapalo_exchanges_recorded_total"] + dropped
    lib.wait_for(law, "answered = recorded + dropped")
    case.check(True, "conservation")


def disk_that_hangs(case, origin):
    """While a sync does not return, what waits for it takes a bounded amount
    of memory: bounded exchanges above it are dropped, counted, and answered
    all the same; strict ones wait, and nothing of them is lost."""
    if lib.is_sanitized():
        return                  # a sanitizer wants to be loaded first
    disk = strike.Strike(case)
    matapalo = case.matapalo(legacy=origin.url, workers=1,
                             env=disk.environment,
                             args=["--record-memory", "32"])
    with Client(matapalo.port) as client, Client(matapalo.port) as waits:
        client.request("GET", "/bytes/65536")
        settle(case, matapalo)
        before = matapalo.rss_kib()
        disk.arm("log-sync", strike.HANG)
        answers = [client.request("GET", "/bytes/65536")
                   for _ in range(1500)]
        grown = (matapalo.rss_kib() - before) // 1024
        dropped = matapalo.metrics()[HEAVY]
        waits.send(make_request("POST", "/x?n=strict", b"x"))
        case.check(is_silent(waits), "strict waits")
        disk.disarm()
        case.equal(waits.read().status, 200, "strict, in the end")
    case.equal({(a.status, len(a.body)) for a in answers}, {(200, 65536)},
               "answers while the disk hangs")
    case.check(grown < 72, "%d MiB more" % grown)
    case.check(dropped > 500, "%d dropped" % dropped)
    settle(case, matapalo)
    case.equal(matapalo.query("SELECT type FROM events WHERE data LIKE "
                              "'%n=strict%' ORDER BY sequence"),
               [("matapalo.request.v1",), ("matapalo.exchange.v1",)],
               "both events of the strict one")
    case.equal(matapalo.stop(), 0, "exit status")


def is_silent(client):
    """For a moment, that is: a commit takes a few milliseconds."""
    return client.buffer == b"" and not select.select([client.socket], [], [],
                                                      0.1)[0]


def no_descriptors(case, origin):
    matapalo = case.matapalo(legacy=origin.url, workers=2)
    fetch(matapalo.port, "GET", "/x?n=1")
    limits = resource.prlimit(matapalo.pid, resource.RLIMIT_NOFILE)
    few = descriptors(matapalo.pid) + 30
    resource.prlimit(matapalo.pid, resource.RLIMIT_NOFILE, (few, limits[1]))
    clients = [Client(matapalo.port, timeout=3) for _ in range(120)]
    for i, client in enumerate(clients):
        client.send(make_request("GET", "/x?n=%d" % i))
    before = cpu_seconds(matapalo.pid)
    time.sleep(1)               # what is measured is that nothing happens
    used = cpu_seconds(matapalo.pid) - before
    case.check(used < 0.3, "%.2f s CPU a second without descriptors" % used)
    case.check(matapalo.alive(), "it lives without descriptors")
    for client in clients:
        client.close()
    resource.prlimit(matapalo.pid, resource.RLIMIT_NOFILE, limits)
    start = time.monotonic()
    lib.wait_for(lambda: is_served(matapalo.port), "service again")
    took = time.monotonic() - start
    case.check(took < 5, "it recovered after %.1f s" % took)
    settle(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")


def is_served(port):
    try:
        with Client(port, timeout=1) as client:
            return client.request("GET", "/x?n=9").status == 200
    except (OSError, EOFError):
        return False


def impatience(case, origin):
    """Slow heads are ended as a whole, not per byte; idle connections too;
    an honest caller beside them does not notice."""
    matapalo = case.matapalo(legacy=origin.url, args=[
        "--head", "600ms", "--idle", "600ms"])
    port = matapalo.port
    slow = [Client(port, timeout=5) for _ in range(200)]
    start = time.monotonic()
    for client in slow:
        client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n")
    while time.monotonic() - start < 0.5:
        for client in slow[:20]:
            client.send(b"X: y\r\n")
        case.equal(fetch(port, "GET", "/x?n=1").status, 200, "honest caller")
        time.sleep(0.1)
    for client in slow:
        answer = client.read()
        case.equal(answer.status, 408, "a slow head")
        case.check(client.is_closed(), "and a close")
    took = time.monotonic() - start
    case.check(took < 2.5, "slow heads ended after %.1f s" % took)
    with Client(port, timeout=5) as client:
        client.request("GET", "/x?n=1")
        start = time.monotonic()
        case.check(client.is_closed(), "an idle connection is closed")
        took = time.monotonic() - start
        case.check(0.4 < took < 2.5, "after %.1f s" % took)
    case.equal(matapalo.stop(), 0, "exit status")


def scenario(case):
    origin = case.origin("legacy")
    impatience(case, origin)
    no_descriptors(case, origin)
    full_disk(case, origin)
    disk_that_hangs(case, origin)


lib.main(scenario)
