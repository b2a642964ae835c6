# SPDX-License-Identifier: Apache-2.0
"""Promise U7: one allocation fails, every one in turn, while requests of
all kinds run. No crash, no hang, no wrong answer, and the next is right."""
import collections
import mmap
import os
import random
import shutil
import struct

import lib
from lib import Client, make_request, pattern
from faulty import SCALE, Ledger, law

LIBRARY = os.path.join(lib.BUILD, "tests", "tools", "scarce.so")
QUIET_ROUNDS = 5        # rounds without a failure: every one had its turn
# In `make check` every second, one half or the other.
STEP = 2 if SCALE == 1 else 1
FIRST = random.randrange(STEP)
START_STEP = 400 if SCALE == 1 else 3
SHADOWS = 64 + 4        # connections kept for copies and questions again


class Scarce:
    """The file that scarce.so looks at: countdown, failures, allocations,
    failures while nng opens a socket."""

    def __init__(self, case):
        path = case.path("scarce")
        with open(path, "wb") as f:
            f.write(bytes(32))
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 32)
        self.environment = dict(os.environ, LD_PRELOAD=os.path.abspath(
            LIBRARY), SCARCE_FILE=path)

    def fail_at(self, n):
        self.map[:8] = struct.pack("q", n)

    def failures(self):
        return struct.unpack("q", self.map[8:16])[0]

    def allocations(self):
        return struct.unpack("q", self.map[16:24])[0]

    def in_nng_open(self):
        return struct.unpack("q", self.map[24:32])[0]


# method, target, body, chunked?, the right body or None
MIX = [("GET", "/x?n=%d", None, False, lambda t: t.encode()),
       ("POST", "/x?n=%d", b"z" * 100, False, lambda t: t.encode()),
       ("PUT", "/x?n=%d", b"z" * 30000, True, lambda t: t.encode()),
       ("GET", "/bytes/100000?n=%d", None, False, lambda t: pattern(100000)),
       ("GET", "/chunked/50000?n=%d", None, False, lambda t: pattern(50000)),
       ("GET", "/big-head/100?n=%d", None, False, lambda t: b"big"),
       ("GET", "/close-before?n=%d", None, False, None),
       ("GET", "/gone?n=%d", None, False, None),
       ("POST", "/copied?n=%d", b'{"a": 1}', False, None)]


def one_request(case, client, row, number, statuses):
    """False when the connection is of no more use."""
    method, target, body, chunked, right = row
    target %= number
    try:
        got = client.request(method, target, body, chunked=chunked)
    except (EOFError, OSError):
        statuses["closed"] += 1
        return False
    statuses[got.status] += 1
    if got.status == 200 and right:
        case.check(got.body == right(target), "%s: another body" % target)
    case.check(got.status in (200, 410, 431, 500, 502, 503, 504),
               "%s: %d" % (target, got.status))
    return got.get("Connection") != "close"


def one_round(case, port, first, statuses):
    client = Client(port)
    for i, row in enumerate(MIX):
        try:
            useful = one_request(case, client, row, first + i, statuses)
        except TimeoutError:
            raise lib.Failed("%s hangs" % (row,))
        if not useful:
            client.close()
            client = Client(port)
    client.close()


def check_alive(case, matapalo, n):
    if not matapalo.alive():
        raise lib.Failed("allocation %d: ended with status %s"
                         % (n, matapalo.popen.returncode))
    # The journal is tried again after 20 ms; until then strict is closed.
    lib.wait_for(lambda: lib.fetch(matapalo.port, "POST", "/x?n=1", b"z")
                 .status == 200, "recovery from allocation %d" % n, 5)


def every_allocation(case, matapalo, scarce, statuses):
    """Up to the first rounds in which the countdown does not end."""
    n, quiet, rounds = FIRST, 0, 0
    while quiet < QUIET_ROUNDS:
        n, rounds, before = n + STEP, rounds + 1, scarce.failures()
        scarce.fail_at(n)
        one_round(case, matapalo.port, rounds * 100, statuses)
        scarce.fail_at(0)
        quiet = quiet + 1 if scarce.failures() == before else 0
        check_alive(case, matapalo, n)
    return n


def scarce_rules(case, origin):
    return case.rules({
        "version": 1,
        "targets": {"legacy": {"url": origin.url},
                    "new": {"url": origin.url}},
        "rules": [{"name": "gone", "match": {"path": "/gone"},
                   "stage": "retired"},
                  {"name": "copied", "match": {"path": "/copied"},
                   "stage": "shadow", "target": "new",
                   "shadow_unsafe": True}]})


def at_work(case, origin):
    scarce, statuses = Scarce(case), collections.Counter()
    matapalo = case.matapalo(rules=scarce_rules(case, origin),
                             env=scarce.environment)
    for i in range(3):          # pools are filled
        one_round(case, matapalo.port, i * 100, statuses)
    before = scarce.allocations()
    one_round(case, matapalo.port, 0, statuses)
    case.check(scarce.allocations() > before, "the library counts")
    ledger = Ledger(case, matapalo)
    last = every_allocation(case, matapalo, scarce, statuses)
    print("%d allocations in all rounds, up to %d failed in turn, %d failures: %s"
          % (scarce.allocations() - before, last, scarce.failures(),
             dict(statuses)))
    case.check(scarce.failures() >= 50, "%d failed" % scarce.failures())
    ledger.settle("after scarce memory", upstreams=16, others=SHADOWS)
    law(case, matapalo)
    # What could not be read for want of memory is read again.
    case.equal(matapalo.query("SELECT group_name, reason FROM dead_letters"),
               [], "dead letters")
    case.equal(matapalo.stop(), 0, "exit status")


def one_start(case, scarce, rules, n):
    """It starts, or says why not; it does not die of it. nng may: its start
    cannot clean up after itself (decision 24). It must not hang there."""
    before, before_nng = scarce.failures(), scarce.in_nng_open()
    scarce.fail_at(n)
    data = case.path("start-%d" % n)
    os.mkdir(data)
    matapalo = lib.Matapalo(case, "start-%d" % n, [
        "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers",
        "1", "--bus", "ipc://" + os.path.join(data, "bus.sock"), "--rules",
        rules], data, ready=False, env=scarce.environment)
    case.processes.append(matapalo)
    run_file = os.path.join(data, "run.json")
    lib.wait_for(lambda: not matapalo.alive() or os.path.exists(run_file),
                 "a start or an end with allocation %d" % n)
    scarce.fail_at(0)
    if matapalo.alive():
        status = matapalo.stop()
        case.equal(status, 0, "stop after allocation %d" % n)
    else:
        status = matapalo.wait()
        of_nng = scarce.in_nng_open() > before_nng
        case.check(status in ((1, 2, -6, -11) if of_nng else (1, 2)),
                   "allocation %d: status %s: %s"
                   % (n, status, matapalo.err()[-300:]))
        case.check(matapalo.err(), "allocation %d: a message" % n)
    shutil.rmtree(data)
    return scarce.failures() > before, status


def at_start(case, origin):
    scarce, rules = Scarce(case), scarce_rules(case, origin)
    statuses, n, hit = collections.Counter(), 0, True
    while hit:
        # Before the log and the settings are there each one is tried.
        n += 1 if n < 8 else random.randrange(1, 2 * START_STEP)
        hit, status = one_start(case, scarce, rules, n)
        statuses[status] += 1
    print("starts with one of %d allocations failing: %s"
          % (n, dict(statuses)))


def scenario(case):
    if lib.is_sanitized() or not os.path.exists(LIBRARY):
        lib.skip("a sanitizer has an allocator of its own")
    origin = case.origin("legacy")
    at_work(case, origin)
    at_start(case, origin)


lib.main(scenario, 240 * SCALE)
