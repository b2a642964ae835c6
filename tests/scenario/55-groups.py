# SPDX-License-Identifier: Apache-2.0
"""Groups in an operator's hand: made, moved, paused and deleted while a
consumer is at work; a wall clock that jumps changes nothing of it."""
import json
import os

import lib

HANDLER = """
with open(os.environ["CASE_LOG"], "a") as f:
    f.write("%s %s %s\\n" % (int(event["sequence"]), os.environ["CE_ATTEMPT"],
                            os.environ["CE_REDELIVERED"]))
"""


def said(case, matapalo, *words, status=0):
    done = matapalo.command("groups", *words)
    case.equal(done.returncode, status, "status of groups %s: %s"
               % (" ".join(words), done.stderr))
    return done.stdout if status == 0 else done.stderr


def handled(log):
    if not os.path.exists(log):
        return []
    with open(log) as f:
        return [tuple(line.split()) for line in f]


def one(case, matapalo, name):
    return json.loads(said(case, matapalo, "show", name))


def send(matapalo, n):
    for i in range(n):
        with lib.Client(matapalo.port) as c:
            c.request("GET", "/x%d" % i)
    matapalo.await_exchanges(n)


def scenario(case):
    origin = case.origin("legacy")
    matapalo = case.matapalo(legacy=origin.url)
    log = os.environ["CASE_LOG"] = case.path("handled")
    send(matapalo, 6)
    said(case, matapalo, "create", "g", "--subject", "GET /*,!GET /x3",
         "--backoff", "10ms", "--from", "2")
    case.equal(one(case, matapalo, "g")["settings"]["filter"],
               {"subject": "GET /*,!GET /x3"}, "the filter")
    case.check("exists" in said(case, matapalo, "create", "g", status=1),
               "a second create is refused")
    consumer = case.consume(matapalo, "g", HANDLER)
    lib.wait_for(lambda: len(handled(log)) == 4, "four events")
    case.equal([int(h[0]) for h in handled(log)], [2, 3, 5, 6], "sequences")

    said(case, matapalo, "pause", "g")
    case.equal(one(case, matapalo, "g")["paused"], True, "paused")
    case.check("paused" in said(case, matapalo, "list"), "the list says so")
    said(case, matapalo, "reset", "g")
    said(case, matapalo, "set", "g", "--rate", "50", "--lease", "1m")
    case.equal(len(handled(log)), 4, "events while it is paused")
    said(case, matapalo, "resume", "g")
    lib.wait_for(lambda: len(handled(log)) == 9, "all events again")
    case.equal([int(h[0]) for h in handled(log)[4:]], [1, 2, 3, 5, 6],
               "sequences after a reset")

    said(case, matapalo, "seek", "g", "2999-01-01T00:00:00Z")
    case.equal(one(case, matapalo, "g")["lag_events"], 0, "lag at the end")
    said(case, matapalo, "seek", "g", "6")
    lib.wait_for(lambda: len(handled(log)) == 10, "the last event")
    case.check("has consumers" in said(case, matapalo, "delete", "g",
                                       status=1), "a delete is refused")
    metrics = matapalo.metrics()
    for name in "lag_events", "lag_seconds", "in_flight", "retrying":
        case.check("matapalo_group_%s{group=\"g\"}" % name in metrics,
                   "metric of %s" % name)
    case.equal([g["name"] for g in json.loads(matapalo.get_admin("/groups")[1])
                ][:1], ["g"], "/groups")

    consumer.signal(lib.signal.SIGTERM)
    case.equal(consumer.wait(), 0, "the consumer's end")
    said(case, matapalo, "delete", "g", "--force")
    said(case, matapalo, "show", "g", status=1)
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario)
