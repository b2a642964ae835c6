# SPDX-License-Identifier: Apache-2.0
"""Promise U9: the wall clock jumps an hour, a day back, or stands still, while
requests and a consumer work. Nobody is refused, nothing expires, ids are
unique and rise, and the order of the events is the order of the calls."""
import collections
import json
import os
import random
import time

import lib
import strike
from faulty import law

JUMPS = int(os.environ.get("CLOCK_JUMPS", "20"))
# Seconds to add, or a moment that does not pass.
TIMES = ({"jump": 3600}, {"jump": -3600}, {"jump": -86400}, {},
         {"frozen_at": 1767323045})
HANDLER = """
with open(%r, "a") as f:
    f.write(event["id"] + "\\n")
"""


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path) as f:
        return f.read().split()


def jump_about(case, clock, log):
    seen = collections.Counter()
    for i in range(JUMPS):
        to = TIMES[i] if i < len(TIMES) else random.choice(TIMES)
        clock.clock(**to)
        seen[str(to)] += 1
        size = os.path.getsize(log)
        lib.wait_for(lambda: os.path.getsize(log) > size + 400,
                     "answers with the clock at %s" % to, 10)
    clock.clock()
    return seen


def order(case, matapalo, acked):
    """One worker: its ids rise along the sequence, whatever the clock."""
    rows = matapalo.query("SELECT sequence, id, data ->> '$.request.target' "
                          "FROM events WHERE type = 'matapalo.exchange.v1' "
                          "ORDER BY sequence")
    ids = [row[1] for row in rows]
    case.equal(len(ids), len(set(ids)), "ids")
    falls = [a for a, b in zip(ids, ids[1:]) if b <= a]
    case.equal(falls[:3], [], "%d ids that do not rise" % len(falls))
    called = [int(row[2].rsplit("=", 1)[1]) for row in rows if "?n=" in row[2]]
    case.equal(called, sorted(called), "the order of the calls")
    case.equal(sorted(acked - set(called))[:3], [], "acknowledged and lost")
    return len(ids)


def ramp(case, matapalo, passed):
    """A jump neither promotes nor lets time pass in a step."""
    rule = lib.wait_for(lambda: matapalo.rule("default")["ramp"]["pairs"] and
                        matapalo.rule("default"), "a compared pair")
    case.equal((rule["stage"], rule["target_share"]), ("shadow", 0), "ramp")
    case.check(rule["ramp"]["waits_for"].startswith("time: "), str(rule))
    case.check(rule["ramp"]["in_step_s"] <= passed + 10, str(rule["ramp"]))


def scenario(case):
    if lib.is_sanitized():
        lib.skip("a sanitizer wants to be loaded first")
    clock, origin = strike.Strike(case), case.origin("legacy")
    since = time.monotonic()
    matapalo = case.matapalo(rules=case.rules({
        "version": 1, "targets": {"legacy": {"url": origin.url},
                                  "new": {"url": origin.url}},
        "default": {"stage": "shadow", "target": "new", "sample": "1%",
                    "ramp": {"steps": ["50%"], "every": "30m",
                             "require": {"samples": 1}}}}),
        env=clock.environment)
    log, given = case.path("acks"), case.path("given")
    # One connection: its calls have one order.
    hammer = case.hammer(matapalo.port, log, seconds=60, connections=1,
                         rate=500)
    consumer = case.consume(matapalo, "clock", HANDLER % given)
    lib.wait_for(lambda: os.path.exists(log) and os.path.getsize(log) > 400
                 and lines(given), "traffic")
    seen = jump_about(case, clock, log)
    hammer.signal(lib.signal.SIGTERM)
    case.equal(hammer.wait(), 0, "the load driver")
    totals = json.loads(hammer.out())
    case.equal((totals["refused"], totals["broken"], totals["crossed"]),
               (0, 0, 0), "refused, broken, crossed")
    lib.wait_for(lambda: len(lines(given)) > 10, "deliveries", 30)
    ramp(case, matapalo, time.monotonic() - since)
    metrics = matapalo.metrics()
    for name in ("bus_leases_expired_total", "bus_redelivered_total",
                 "bus_dead_letters_total"):
        case.equal(metrics["matapalo_" + name], 0, name)
    law(case, matapalo)
    consumer.signal(lib.signal.SIGTERM)
    consumer.wait()
    case.equal(matapalo.stop(), 0, "exit status")
    case.equal(len(lines(given)), len(set(lines(given))), "each once")
    acked = {int(line.split()[1]) for line in open(log)}
    print("%d events in order over %d jumps %s"
          % (order(case, matapalo, acked), JUMPS, dict(seen)))


lib.main(scenario, seconds=150)
