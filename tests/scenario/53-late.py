# SPDX-License-Identifier: Apache-2.0
"""Promise B11: replies after the timeout. The client gets one 504, the
connection goes on, and the late reply never reaches a later request on it; it
is recorded as late. A service with faults, which replies twice and to
commands that nobody was given, reaches nobody else either: promise B9's
cross-talk."""
import json
import os

import lib

COMMAND = "shop.order.place.v1"
# `make late` has 100,000 late replies, `make crosstalk` a million answers.
LATE = int(os.environ.get("LATE_REPLIES", "600"))
CROSSTALK = int(os.environ.get("CROSSTALK", "1000"))
SECONDS = 850
LATE_METRIC = "matapalo_commands_late_replies_total"


def call(case, matapalo, name, path, count, connections, first):
    callers = case.start("callers", [
        lib.CALLERS, "--to", "127.0.0.1:%d" % matapalo.port, "--log",
        case.path(name), "--connections", str(connections), "--count",
        str(count), "--first", str(first), "--path", path, "--seconds",
        str(SECONDS)])
    case.equal(callers.wait(SECONDS + 10), 0, "the callers")
    return json.loads(callers.out())


def ended(case, servant):
    servant.signal(lib.signal.SIGTERM)
    case.equal(servant.wait(60), 0, "the servant")
    return json.loads(servant.out())


def replies(matapalo, mark):
    return matapalo.query(
        "SELECT count(*) FROM events WHERE type = 'matapalo.reply.v1' AND "
        "data ->> ?", "$." + mark)[0][0]


def late(case, matapalo):
    """Each connection is used again and again while its replies come late."""
    servant = case.servant(matapalo, COMMAND, "--threads", "4", "--batch",
                           "1000", "--delay-ms", "250")
    done = call(case, matapalo, "late", "/brief", LATE, min(LATE // 4, 1000),
                1)
    case.equal(done["statuses"], {"504": LATE}, "one 504 each")
    case.equal((done["crossed"], done["odd"], done["broken"]), (0, 0, 0),
               "late replies on a connection that is used again")
    lib.wait_for(lambda: matapalo.metrics()[LATE_METRIC] == LATE,
                 "all replies, late", 120)
    end = ended(case, servant)
    case.equal((end["late"], end["executed"]), (LATE, LATE), "as they know")
    case.equal((replies(matapalo, "late"), replies(matapalo, "duplicate")),
               (LATE, 0), "recorded as late")
    return done


def crosstalk(case, matapalo):
    """Many at once; each good reply is followed by bad ones."""
    bad = ["--twice", "--foreign"] if CROSSTALK < 100000 else []
    before = replies(matapalo, "foreign")
    servant = case.servant(matapalo, COMMAND, "--threads", "8", "--batch",
                           "200", *bad, log="crosstalk.log")
    done = call(case, matapalo, "crosstalk", "/orders", CROSSTALK,
                min(CROSSTALK, 1000), 10000000)
    answered = done["statuses"].get("201", 0)
    print("%d of %d answered in %.1f s" % (answered, CROSSTALK,
                                           done["seconds"]))
    case.equal(done["crossed"], 0, "answers of somebody else")
    case.equal((done["odd"], done["broken"]), (0, 0), "odd or broken")
    case.check(set(done["statuses"]) <= {"201", "504"}, "%s" % done)
    case.check(answered > CROSSTALK * 0.98 or CROSSTALK > 100000,
               "answered in time: %s" % done)
    end = ended(case, servant)
    if bad:
        case.equal(end["refused"], CROSSTALK, "foreign replies are refused")
        case.equal((replies(matapalo, "foreign"),
                    replies(matapalo, "duplicate")),
                   (CROSSTALK + before, CROSSTALK),
                   "and recorded as what they are")
        metrics = matapalo.metrics()
        case.equal([metrics["matapalo_commands_%s_replies_total" % kind]
                    for kind in ("foreign", "duplicate")],
                   [CROSSTALK + before, CROSSTALK], "and counted")


def swapped(case, matapalo):
    """A service that takes its callers for one another gives nobody the
    other one's answer: the cause gives it away."""
    servant = case.servant(matapalo, COMMAND, "--batch", "40", "--swapped",
                           log="swapped.log")
    done = call(case, matapalo, "swapped", "/swapped", 40, 40, 20000000)
    case.equal((done["crossed"], done["odd"], done["broken"]), (0, 0, 0),
               "answers under another's cause")
    case.check(done["statuses"].get("504", 0) >= 20, "%s" % done)
    case.check(ended(case, servant)["refused"] >= 20, "most are refused")


def scenario(case):
    origin = case.origin("legacy")
    # What is counted in the journal at the end has to be there.
    short = ["--retain-age", "60s"] if CROSSTALK >= 100000 else []
    matapalo = case.matapalo(workers=2, args=short, rules=case.rules({
        "version": 1,
        "targets": {
            "legacy": {"url": origin.url},
            "orders": {"command": COMMAND, "reply_within": "20s"},
            "swapped": {"command": COMMAND, "reply_within": "500ms"},
            "brief": {"command": COMMAND, "reply_within": "120ms"}},
        "rules": [
            {"name": "place-order", "stage": "migrated", "target": "orders",
             "match": {"method": "POST", "path": "/orders"}},
            {"name": "swapped", "stage": "migrated", "target": "swapped",
             "match": {"method": "POST", "path": "/swapped"}},
            {"name": "brief", "stage": "migrated", "target": "brief",
             "match": {"method": "POST", "path": "/brief"}}]}))
    if LATE:
        done = late(case, matapalo)
        print("%d late replies, %.1f s" % (LATE, done["seconds"]))
    if LATE and CROSSTALK:
        swapped(case, matapalo)
    if CROSSTALK:
        crosstalk(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario, seconds=2 * SECONDS)
