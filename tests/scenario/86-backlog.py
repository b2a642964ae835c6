# SPDX-License-Identifier: Apache-2.0
"""A backlog costs no memory: the server's own stays below a fixed number while
events are stored in lists and read by two groups, however many there are.
BACKLOG_EVENTS says how many (`make backlog`, `make backlog-long`)."""
import os
import re

import lib
import nng

EVENTS = int(os.environ.get("BACKLOG_EVENTS", "40000"))
BATCH = 500
EVENT = {"type": "backlog.v1", "data": {"fill": "x" * 1000}}
# SQLite's caches, a transaction of the writer, the requests and answers under
# way: 29 to 35 MiB were measured, for 60,000 events and for 1,000,000.
MOST_KIB = 64 << 10


def own_kib(proxy):
    """Pages of files are the kernel's to take back."""
    with open("/proc/%d/status" % proxy.pid) as f:
        return int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1))


def fill(case, bus, proxy):
    events, most = [EVENT] * BATCH, 0
    for _ in range(EVENTS // BATCH):
        answer = bus.call("publish", events=events)
        most = max(most, own_kib(proxy))
    case.check(answer["sequence"] + BATCH - 1 >= EVENTS, "all are stored")
    return most


def drain(case, bus, proxy, group):
    """Sequences are checked one by one: nothing twice, nothing left out."""
    acks, last, n, most = [], 0, 0, 0
    while n < EVENTS:
        answer = bus.call("fetch", group=group, max=BATCH, acks=acks,
                          start="oldest", max_in_flight=2 * BATCH,
                          filter={"type": "backlog.v1"} if group == "some"
                          else {}, wait_ms=5000)
        got = [e["sequence"] for e in answer["events"]]
        if not got or got != sorted(set(got)) or got[0] <= last:
            raise lib.Failed("%s: %d to %d after %d" % (
                group, got[0] if got else 0, got[-1] if got else 0, last))
        acks, last, n = [[got[0], got[-1]]], got[-1], n + len(got)
        most = max(most, own_kib(proxy))
    case.check(n == EVENTS, "%s has every event" % group)
    return most


def scenario(case):
    if not nng.LIB:
        lib.skip("no libnng")
    if lib.is_sanitized():
        lib.skip("figures of memory are meaningless under a sanitizer")
    proxy = case.matapalo("http://127.0.0.1:9")
    bus = nng.Bus(proxy.bus, 60000)
    start = own_kib(proxy)
    stored = fill(case, bus, proxy)
    read = [drain(case, bus, proxy, g) for g in ("all", "some")]
    print("KiB: %d at start, at most %d while %d events were stored, %d and "
          "%d while they were read" % (start, stored, EVENTS, *read))
    case.check(max([stored] + read) < MOST_KIB, "memory stays below %d KiB"
               % MOST_KIB)
    bus.close()


lib.main(scenario, 120 if EVENTS < 1000000 else 7200)
