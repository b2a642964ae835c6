# SPDX-License-Identifier: Apache-2.0
"""Commands whose caller does not wait: 202, a status resource that survives
kill -9, long polls, strangers, and the end of what is kept."""
import os
import sqlite3
import threading
import time

import lib
from lib import Client
from strike import Strike

COMMAND = "shop.report.make.v1"
PREFIX = "/.matapalo/status/"
DAY = 24 * 3600
# Works once it may, and says how often it worked for whom.
WORK = """
n = event["data"]["request"]["json"]["n"]
while not os.path.exists(%(go)r) and n >= 0:
    time.sleep(0.01)
with open(%(done)r, "a") as f:
    f.write("%%d %%s\\n" %% (n, event["id"]))
reply(201, {"n": n}, **{"X-Handler": "reports", "Set-Cookie": "s=secret-7"})
"""


def lines(path):
    try:
        with open(path) as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


def touch(path):
    with open(path, "w"):
        pass


def ask(client, n, path="/reports", *fields):
    return client.request("POST", path, b'{"n": %d}' % n,
                          [("Content-Type", "application/json"), *fields])


def accepted(case, client, n, path="/reports", *fields):
    answer = ask(client, n, path, *fields)
    case.equal(answer.status, 202, "accepted: %r" % answer.body)
    place = answer.get("Location")
    case.check(place.startswith(PREFIX), "its place: %s" % place)
    case.check(answer.get("Retry-After"), "when to ask")
    return place, answer


def poll(port, place, *fields):
    with Client(port) as client:
        return client.request("GET", place, b"", list(fields))


def settled(port, place, *fields):
    def done():
        answer = poll(port, place, *fields)
        return answer if answer.get("Matapalo-Operation") != "pending" \
            else None
    return lib.wait_for(done, "the answer at " + place, 20)


def preferences(case, matapalo):
    """As the client prefers, where the rule lets it."""
    with Client(matapalo.port) as client:
        answer = ask(client, -1, "/choice")
        case.equal((answer.status, answer.get("Vary")), (201, "Prefer"),
                   "who prefers nothing waits, and caches are told")
        place, answer = accepted(case, client, 1, "/choice",
                                 ("Prefer", "foo;x=\"a,b\", Respond-Async"))
        case.equal(answer.get("Preference-Applied"), "respond-async",
                   "what was applied")
        case.equal(answer.get("Vary"), "Prefer", "vary")
        answer = ask(client, -2, "/choice", ("Prefer", "respond-async"),
                     ("Prefer", "wait=5"))
        case.equal((answer.status, answer.json()), (201, {"n": -2}),
                   "an answer within the wait")
        start = time.monotonic()
        place, answer = accepted(case, client, 2, "/choice",
                                 ("Prefer", "respond-async, wait=1"))
        took = time.monotonic() - start
        case.check(0.9 < took < 3, "202 after the wait: %.2f s" % took)
        case.equal(answer.get("Preference-Applied"), "respond-async, wait=1",
                   "both were applied")
    return place


def pending(case, matapalo, place):
    answer = poll(matapalo.port, place)
    case.equal((answer.status, answer.json()["state"]), (200, "pending"),
               "pending")
    case.check(answer.get("Retry-After"), "when to ask again")
    case.equal(answer.get("Cache-Control"), "no-store", "nobody stores it")
    case.equal(poll(matapalo.port, place, ("Prefer", "wait=0")).status, 200,
               "a wait of nothing")
    with Client(matapalo.port) as client:
        answer = client.request("PUT", place)
        case.equal((answer.status, answer.get("Allow")),
                   (405, "GET, HEAD, DELETE"), "asked for or cancelled")
        answer = client.request("DELETE", place)
        case.equal((answer.status, answer.json()["code"]),
                   (409, "operation.too_late"), "a consumer has it")


def cancelled(case, matapalo):
    """Of two commands that nobody was given one is taken back: it says so
    from then on, and the other one only is ever given."""
    with Client(matapalo.port) as client:
        place, answer = accepted(case, client, 5, "/never")
        own, _ = accepted(case, client, 5, "/mine-never",
                          ("Authorization", "Bearer a"))
        case.equal(client.request("DELETE", own).status, 404,
                   "a stranger cancels nothing")
        answer = client.request("DELETE", place)
        case.equal((answer.status, answer.json()["state"]),
                   (200, "cancelled"), "taken back")
        answer = client.request("GET", place)
        case.equal((answer.status, answer.json()["code"]),
                   (409, "operation.cancelled"), "and final")
        answer = client.request("DELETE", place)
        case.equal((answer.status, answer.json()["code"]),
                   (409, "operation.too_late"), "once")
    given = case.path("given")
    case.consume(matapalo, "unheard", """
with open(%r, "a") as f:
    f.write(event["correlationid"] + "\\n")
""" % given, ["--type", "shop.unheard.v1", "--from", "oldest"])
    lib.wait_for(lambda: len(lines(given)) >= 2, "the other ones")
    case.check(answer.json()["correlationid"] not in lines(given),
               "what was taken back is given to nobody")
    case.equal(len(set(lines(given))), 2, "commands given")
    with Client(matapalo.port) as client:
        answer = client.request("DELETE", own, b"",
                                [("Authorization", "Bearer a")])
        case.equal(answer.status, 409, "given, so it stays")
    return place


def doomed(case, matapalo):
    """A dead letter is no answer, but said; after `keep` it is final."""
    with Client(matapalo.port) as client:
        place, _ = accepted(case, client, 6, "/doomed")
        case.equal(poll(matapalo.port, place).json()["state"], "pending",
                   "nobody yet")
    consumer = case.consume(matapalo, "doomed", "raise SystemExit(1)",
                            ["--type", "shop.doomed.v1", "--from", "oldest",
                             "--max-attempts", "1"])
    lib.wait_for(lambda: poll(matapalo.port, place).json().get("state")
                 == "failed", "the dead letter to be said")
    answer = poll(matapalo.port, place)
    case.equal((answer.status, answer.get("Matapalo-Operation")),
               (200, "pending"), "it may be redriven")
    case.check(answer.json()["gives_up"] > answer.json()["failed"], "an end")
    answer = poll(matapalo.port, place, ("Prefer", "wait=10"))
    case.equal((answer.status, answer.json()["code"]),
               (504, "operation.given_up"), "the end, told who waited")
    return place, consumer


def strangers(case, matapalo, origin, place):
    """404 for what is not there and for what is somebody else's; nothing
    under the path is ever forwarded."""
    wrong = place[:-1] + ("0" if place[-1] != "0" else "1")
    for path in (wrong, PREFIX, PREFIX + "x", place + "/answer",
                 "/.matapalo//status/" + "0" * 36,
                 "/%2ematapalo/status/%00"):
        answer = poll(matapalo.port, path)
        case.check(answer.status in (400, 404), "%s: %d" % (path,
                                                            answer.status))
    with Client(matapalo.port) as client:
        own, _ = accepted(case, client, -3, "/mine",
                          ("Authorization", "Bearer a"))
    for fields in ((), (("Authorization", "Bearer b"),)):
        case.equal(poll(matapalo.port, own, *fields).status, 404,
                   "a stranger's question")
    answer = settled(matapalo.port, own, ("Authorization", "Bearer a"))
    case.equal(answer.status, 303, "done, and elsewhere")
    answer = poll(matapalo.port, answer.get("Location"),
                  ("Authorization", "Bearer a"))
    case.equal((answer.status, answer.json()), (201, {"n": -3}), "there")
    seen = matapalo.query("SELECT count(*) FROM exchanges WHERE path LIKE "
                          "'%matapalo/status%'")
    case.equal(seen[0][0], 0, "questions leave no events")


def long_polls(case, matapalo, place, go):
    """Forty wait at one time, on one connection each and no thread."""
    got = []

    def one():
        start = time.monotonic()
        answer = poll(matapalo.port, place, ("Prefer", "wait=20"))
        got.append((answer.status, time.monotonic() - start))

    start = time.monotonic()
    answer = poll(matapalo.port, place, ("Prefer", "wait=1"))
    case.check(0.9 < time.monotonic() - start < 3, "a wait that is over")
    case.equal(answer.get("Preference-Applied"), "wait=1", "applied")
    case.equal(answer.json()["state"], "pending", "and nothing came")
    threads = [threading.Thread(target=one) for _ in range(40)]
    for thread in threads:
        thread.start()
    lib.wait_for(lambda: matapalo.metrics()[
        "matapalo_operation_requests_total"] >= 40, "all to ask")
    touch(go)
    for thread in threads:
        thread.join()
    case.equal({status for status, _ in got}, {201}, "the answer to all")
    case.check(max(took for _, took in got) < 15, "as soon as it is there")


def whole(case, port, place, n):
    answer = settled(port, place)
    case.equal((answer.status, answer.json()), (201, {"n": n}), "the answer")
    case.equal(answer.get("X-Handler"), "reports", "its field")
    case.equal(answer.get("Set-Cookie"), "s=secret-7", "its cookie")
    case.equal(answer.get("Matapalo-Operation"), "done", "its mark")
    with Client(port) as client:
        head = client.request("HEAD", place)
        case.equal((head.status, head.body), (201, b""), "HEAD of it")


def sealed(case, matapalo):
    """The answer is stored whole, but not to be read."""
    for name in os.listdir(matapalo.data):
        if name.startswith("journal.db"):
            with open(os.path.join(matapalo.data, name), "rb") as f:
                case.check(b"secret-7" not in f.read(), "a cookie in " + name)


def killed(case, matapalo, strike, again, done):
    """202 is a promise: what came before kill -9 is done, and can be asked
    for. A consumer may be given a command again, but it is the same one."""
    places = {}
    for round_no in range(5):
        base = 100 * (round_no + 1)
        strike.arm(("log-write", "log-sync", "log-synced", "log-written",
                    "db-write")[round_no], 1, 6 + 4 * round_no)
        for n in range(base, base + 20):
            try:
                with Client(matapalo.port) as client:
                    answer = ask(client, n)
            except (OSError, EOFError, lib.Failed):
                break
            if answer.status == 202:
                places[n] = answer.get("Location")
        strike.disarm()
        matapalo.kill_group()
        matapalo = again()
    for n, place in places.items():
        answer = settled(matapalo.port, place)
        case.equal((answer.status, answer.json()), (201, {"n": n}),
                   "the answer to %d" % n)
    worked = {tuple(line.split()) for line in lines(done)}
    commands = [int(n) for n, _ in worked]
    case.equal([n for n in places if commands.count(n) != 1], [],
               "promised, and not one command")
    print("# %d answers promised over 5 kills" % len(places))
    return matapalo, places


def expiry(case, matapalo, strike, again, place):
    before = poll(matapalo.port, place).status
    case.equal(before, 201, "kept until its time")
    strike.clock(jump=DAY + 60)
    case.equal(poll(matapalo.port, place).status, 201, "the clock jumps")
    with Client(matapalo.port) as client:
        brief, _ = accepted(case, client, -9, "/brief")
    settled(matapalo.port, brief)
    lib.wait_for(lambda: poll(matapalo.port, brief).status == 410, "its end")
    lib.wait_for(lambda: poll(matapalo.port, brief).status == 404,
                 "it to be forgotten")
    matapalo.stop()
    matapalo = again()
    case.equal(poll(matapalo.port, place).status, 201, "a later process")
    matapalo.stop()
    new_boot(matapalo)
    matapalo = again()
    case.equal(poll(matapalo.port, place).status, 410, "a later boot, a day")
    lib.wait_for(lambda: matapalo.query(
        "SELECT count(*) FROM operations WHERE state = 'done'")[0][0] == 0,
        "answers past their time to be deleted", 20)
    case.equal(poll(matapalo.port, place).status, 410, "it was there once")
    rows = matapalo.query("SELECT state, count(*) FROM operations "
                          "GROUP BY state")
    case.check([r for r in rows if r[0] == "pending"],
               "what has no answer is never deleted: %r" % rows)
    strike.clock()
    return matapalo


def new_boot(matapalo):
    """As if the machine had been started anew."""
    db = sqlite3.connect(os.path.join(matapalo.data, "journal.db"))
    db.execute("UPDATE state SET value = 'x' || value WHERE space = 'journal'"
               " AND key = 'time'")
    db.commit()
    db.close()


def stopped(case, matapalo, place):
    """Who waits while it ends is told how it is, and may ask the next."""
    got = []
    before = matapalo.metrics()["matapalo_operation_requests_total"]
    thread = threading.Thread(target=lambda: got.append(
        poll(matapalo.port, place, ("Prefer", "wait=30"))))
    thread.start()
    lib.wait_for(lambda: matapalo.metrics()[
        "matapalo_operation_requests_total"] > before, "it to ask")
    start = time.monotonic()
    case.equal(matapalo.stop(), 0, "exit status")
    thread.join()
    case.check(time.monotonic() - start < 8, "without waiting")
    case.equal((got[0].status, got[0].json()["state"]), (200, "pending"),
               "how it is")


def rules_of(origin):
    return {
        "version": 1,
        "targets": {
            "legacy": {"url": origin.url},
            "reports": {"command": COMMAND, "reply_within": "10s"},
            "doomed": {"command": "shop.doomed.v1"},
            "nobody": {"command": "shop.unheard.v1"}},
        "rules": [
            {"name": "reports", "match": {"path": "/reports"},
             "stage": "migrated", "target": "reports", "respond": "async"},
            {"name": "choice", "match": {"path": "/choice"},
             "stage": "migrated", "target": "reports", "respond": "prefer"},
            {"name": "mine", "match": {"path": "/mine"}, "stage": "migrated",
             "target": "reports", "respond": "async",
             "caller": "header:Authorization", "when_done": "redirect"},
            {"name": "brief", "match": {"path": "/brief"}, "keep": "2s",
             "stage": "migrated", "target": "reports", "respond": "async"},
            {"name": "doomed", "match": {"path": "/doomed"}, "keep": "2s",
             "stage": "migrated", "target": "doomed", "respond": "async"},
            {"name": "mine-never", "match": {"path": "/mine-never"},
             "stage": "migrated", "target": "nobody", "respond": "async",
             "caller": "header:Authorization"},
            {"name": "never", "match": {"path": "/never"},
             "stage": "migrated", "target": "nobody", "respond": "async"}]}


def scenario(case):
    origin, strike = case.origin("legacy"), Strike(case)
    rules = case.rules(rules_of(origin))
    go, done = case.path("go"), case.path("done")
    matapalo = case.matapalo(rules=rules, workers=2, env=strike.environment)
    data = matapalo.data

    def again():
        return case.matapalo(rules=rules, workers=2, data=data,
                             env=strike.environment)

    for _ in range(3):    # two of them will hang on what may not be done yet
        case.consume(matapalo, "reports", WORK % {"go": go, "done": done},
                     ["--type", COMMAND, "--reply", "--from", "oldest",
                      "--batch", "1"])
    with Client(matapalo.port) as client:
        never, _ = accepted(case, client, 1, "/never")
    place = preferences(case, matapalo)
    pending(case, matapalo, place)
    cancelled(case, matapalo)
    doomed(case, matapalo)
    strangers(case, matapalo, origin, place)
    long_polls(case, matapalo, place, go)
    whole(case, matapalo.port, place, 2)
    sealed(case, matapalo)
    matapalo, places = killed(case, matapalo, strike, again, done)
    whole(case, matapalo.port, place, 2)
    if strike.works:
        matapalo = expiry(case, matapalo, strike, again, place)
    stopped(case, matapalo, never)


lib.main(scenario)
