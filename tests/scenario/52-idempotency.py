# SPDX-License-Identifier: Apache-2.0
"""Idempotency-Key: one command a key, with 200 repeats at one time and across
kill -9; the answer again, and who must not get it."""
import threading

import lib
from lib import Client
from strike import Strike

COMMAND = "shop.pay.v1"
DAY = 24 * 3600
PAY = """
n = event["data"]["request"]["json"]["n"]
reply(402 if n < 0 else 201, {"n": n, "by": event["id"]})
"""


def pay(client, n, key=None, path="/pay", *fields):
    fields = [("Content-Type", "application/json"), *fields]
    if key is not None:
        fields.append(("Idempotency-Key", key))
    return client.request("POST", path, b'{"n": %d}' % n, fields)


def commands(matapalo):
    return matapalo.query("SELECT count(*) FROM events WHERE type = ?",
                          COMMAND)[0][0]


def wrong_keys(case, client):
    for key in (None, '""', '"a', '"a"b', "a, b", '"%s"' % ("x" * 256)):
        answer = pay(client, 1, key)
        case.equal(answer.status, 400, "key %r" % key)
        case.check(answer.json()["code"].startswith("idempotency."),
                   "says why: %r" % answer.body)
    answer = pay(client, 1, '"a"', "/pay", ("Idempotency-Key", '"b"'))
    case.equal(answer.status, 400, "two keys")
    case.equal(pay(client, 1, None, "/free").status, 201, "none is needed")


def repeats(case, client, matapalo):
    before = commands(matapalo)
    first = pay(client, 7, '"k-7"')
    case.equal(first.status, 201, "the first: %r" % first.body)
    case.equal(first.get("Idempotency-Replayed"), None, "is new")
    for key in ('"k-7"', "k-7", '"k-7";x=1'):
        again = pay(client, 7, key)
        case.equal((again.status, again.body), (201, first.body), key)
        case.equal(again.get("Idempotency-Replayed"), "true", "is marked")
    failed = pay(client, -1, '"bad"')
    case.equal(failed.status, 402, "an error is an answer")
    case.equal(pay(client, -1, '"bad"').body, failed.body, "and repeated")
    case.equal(commands(matapalo) - before, 2, "commands of seven requests")


def mismatches(case, client):
    case.equal(pay(client, 8, '"k-7"').status, 422, "another body")
    case.equal(pay(client, 7, '"k-7"', "/pay?x").status, 422,
               "another target")
    case.equal(pay(client, 7, '"k-7"', "/pay", ("X-Currency", "EUR")).status,
               422, "another value of a field that counts")
    case.equal(pay(client, 7, '"k-7"', "/pay", ("X-Else", "1")).status, 201,
               "a field that does not")
    other = pay(client, 7, '"k-7"', "/pay", ("X-Account", "b"))
    case.equal((other.status, other.get("Idempotency-Replayed")),
               (201, None), "another caller's key is another key")


def later(case, client):
    places = [pay(client, 3, '"l"', "/later").get("Location")
              for _ in range(3)]
    case.equal(len(set(places)), 1, "one place: %r" % places)
    case.equal(pay(client, 4, '"l"', "/later").status, 422, "another body")


def parallel(case, matapalo, key, n, count=200):
    got, lock = [], threading.Lock()

    def one():
        try:
            with Client(matapalo.port) as client:
                answer = pay(client, n, key)
            with lock:
                got.append((answer.status, answer.body))
        except (OSError, EOFError, lib.Failed):
            pass

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


def at_one_time(case, matapalo):
    before = commands(matapalo)
    got = parallel(case, matapalo, '"same"', 9)
    case.equal(len(got), 200, "answers")
    case.equal({s for s, _ in got} - {201, 409}, set(), "their statuses")
    case.equal(len({b for s, b in got if s == 201}), 1, "one answer")
    case.equal(commands(matapalo) - before, 1, "commands of 200 repeats")


def outstanding(case, client, matapalo):
    first = pay(client, 1, '"o"', "/nobody")
    case.equal(first.status, 504, "nobody there")
    answer = pay(client, 1, '"o"', "/nobody")
    case.equal((answer.status, answer.get("Retry-After")), (409, "1"),
               "it may be done yet")
    case.equal(pay(client, 2, '"o"', "/nobody").status, 422, "and differs")


def killed(case, matapalo, strike, again):
    """Whatever the moment: after the restart the same key gets one answer of
    one command."""
    points = ("log-write", "log-written", "log-sync", "log-synced")
    for i, point in enumerate(points * 2):
        key, n = '"killed-%d"' % i, 1000 + i
        strike.arm(point, 1, 1 + i)
        got = {b for s, b in parallel(case, matapalo, key, n, 12)
               if s == 201}
        strike.disarm()
        matapalo.kill_group()
        matapalo = again()

        def settled():
            with Client(matapalo.port) as client:
                answer = pay(client, n, key)
            return answer if answer.status == 201 else None
        got.add(lib.wait_for(settled, "an answer to " + key).body)
        case.equal(len(got), 1, "answers to %s: %r" % (key, got))
        rows = matapalo.query(
            "SELECT count(*) FROM events WHERE type = ? AND "
            "data ->> '$.request.json.n' = ?", COMMAND, n)
        case.equal(rows[0][0], 1, "commands of " + key)
    return matapalo


def expiry(case, matapalo, strike):
    strike.clock(jump=DAY + 60)
    with Client(matapalo.port) as client:
        case.equal(pay(client, 7, '"k-7"').get("Idempotency-Replayed"),
                   "true", "the clock ends nothing")
        case.equal(pay(client, 7, '"b"', "/brief").status, 201, "brief")
        lib.wait_for(lambda: pay(client, 7, '"b"', "/brief").get(
            "Idempotency-Replayed") is None, "a key to be new")
        case.equal(pay(client, 1, '"o"', "/nobody").status, 409,
                   "what is outstanding has no end")
    strike.clock()


def rule(name, target="pay", required=False, **more):
    return dict({"name": name, "match": {"path": "/" + name},
                 "stage": "migrated", "target": target,
                 "caller": "header:X-Account",
                 "idempotency": {"required": required,
                                 "headers": ["X-Currency"]}}, **more)


def scenario(case):
    origin, strike = case.origin("legacy"), Strike(case)
    rules = case.rules({
        "version": 1,
        "targets": {"legacy": {"url": origin.url},
                    "pay": {"command": COMMAND, "reply_within": "10s"},
                    "nobody": {"command": "shop.unheard.v1",
                               "reply_within": "300ms"}},
        "rules": [rule("pay", required=True), rule("free"),
                  rule("brief", keep="2s"),
                  rule("later", respond="async"),
                  rule("nobody", "nobody")]})
    matapalo = case.matapalo(rules=rules, workers=2, env=strike.environment)
    data = matapalo.data
    case.consume(matapalo, "pay", PAY, ["--type", COMMAND, "--reply",
                                        "--from", "oldest"])
    with Client(matapalo.port) as client:
        wrong_keys(case, client)
        repeats(case, client, matapalo)
        mismatches(case, client)
        later(case, client)
        outstanding(case, client, matapalo)
    at_one_time(case, matapalo)
    matapalo = killed(case, matapalo, strike, lambda: case.matapalo(
        rules=rules, workers=2, data=data, env=strike.environment))
    if strike.works:
        expiry(case, matapalo, strike)
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario)
