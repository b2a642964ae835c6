# SPDX-License-Identifier: Apache-2.0
"""Thousands of requests that wait for their replies at once, on one worker:
no thread for any of them, little memory, each gets its own answer or, in
time, a 504 that says which exchange it was."""
import json
import os
import resource

import lib

COMMAND = "shop.order.place.v1"
# `make waiting` has 10,000 of them.
WAITING = int(os.environ.get("WAITING", "2000"))
ROOM_KIB = 24           # of one that waits, with its connection
PATIENCE_MS = 700


def threads(process):
    return len(os.listdir("/proc/%d/task" % process.pid))


def call(case, matapalo, name, **options):
    argv = [lib.CALLERS, "--to", "127.0.0.1:%d" % matapalo.port, "--log",
            case.path(name), "--connections", str(WAITING), "--count",
            str(WAITING), "--seconds", "120"]
    for option, value in options.items():
        argv += ["--" + option, str(value)]
    return case.start("callers", argv)


def result(case, callers):
    case.equal(callers.wait(120), 0, "the callers")
    return json.loads(callers.out())


def all_wait(case, matapalo):
    """Returns the callers, all of whose commands wait for a consumer."""
    case.equal(lib.fetch(matapalo.port, "GET", "/x?n=1").status, 200, "ready")
    before, rss = threads(matapalo), matapalo.rss_kib()
    callers = call(case, matapalo, "all-wait")
    lib.wait_for(lambda: matapalo.status()["bus"]["commands_waiting"] ==
                 WAITING, "%d to wait" % WAITING, 60)
    case.equal(threads(matapalo), before, "threads while %d wait" % WAITING)
    room = (matapalo.rss_kib() - rss) / WAITING
    print("%d wait on one worker: %.1f KiB each" % (WAITING, room))
    if not lib.is_sanitized():
        case.check(room < ROOM_KIB, "%.1f KiB for one that waits" % room)
    return callers


def all_answered(case, matapalo, callers):
    servant = case.servant(matapalo, COMMAND, "--threads", "4")
    done = result(case, callers)
    case.equal(done["statuses"], {"201": WAITING}, "each has its answer")
    case.equal((done["crossed"], done["broken"], done["odd"]), (0, 0, 0),
               "another's, none, or without a name")
    case.equal(matapalo.status()["bus"]["commands_waiting"], 0, "left")
    servant.signal(lib.signal.SIGTERM)
    case.equal(servant.wait(), 0, "the servant")
    case.equal(json.loads(servant.out())["executed"], WAITING, "executed")
    return done["seconds"]


def none_answered(case, matapalo):
    """Whose service is not there learns it in time, all of them."""
    done = result(case, call(case, matapalo, "unheard", path="/unheard",
                             first=1000000))
    case.equal(done["statuses"], {"504": WAITING}, "nobody is forgotten")
    case.equal((done["crossed"], done["broken"], done["odd"]), (0, 0, 0),
               "504s are problems that name their exchange")
    rows = matapalo.query("SELECT count(DISTINCT correlationid) FROM events "
                          "WHERE type = 'matapalo.exchange.v1' AND "
                          "data ->> '$.error' = 'command.timeout'")
    case.equal(rows[0][0], WAITING, "timeouts in the journal")


def scenario(case):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < WAITING * 3 // 2:
        lib.skip("too few descriptors for %d connections" % WAITING)
    origin = case.origin("legacy")
    matapalo = case.matapalo(workers=1, args=[
        "--max-connections", str(WAITING * 6 // 5)], rules=case.rules({
        "version": 1,
        "targets": {
            "legacy": {"url": origin.url},
            "orders": {"command": COMMAND, "reply_within": "100s"},
            "unheard": {"command": "shop.unheard.v1",
                        "reply_within": "%dms" % PATIENCE_MS}},
        "rules": [
            {"name": "place-order", "stage": "migrated", "target": "orders",
             "match": {"method": "POST", "path": "/orders"}},
            {"name": "unheard", "stage": "migrated", "target": "unheard",
             "match": {"method": "POST", "path": "/unheard"}}]}))
    seconds = all_answered(case, matapalo, all_wait(case, matapalo))
    print("all %d answered %.1f s after the first was sent"
          % (WAITING, seconds))
    none_answered(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario)
