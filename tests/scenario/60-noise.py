# SPDX-License-Identifier: Apache-2.0
"""Noise: what the legacy disagrees with itself about (a time, a random id, the
order of a list) is learned by asking it twice and no difference any more; a
wrong price is, also inside that list, and so is a noisy member of another
kind. Writes are asked once, and a rule that compares otherwise learns anew."""
import itertools
import json
import random

import lib
from lib import Client

CLOCK = itertools.count(1000)
PAIRS = 45


def answer(wrong=()):
    def one(method, path, headers, body):
        items = [{"sku": "s%d" % n, "price": n} for n in range(3)]
        value = {"price": 10, "at": next(CLOCK), "items": items,
                 "token": "%x" % random.getrandbits(64)}
        if "price" in wrong:
            value["price"] = 11
        if "item" in wrong:
            items[1]["price"] = 7
        if "kind" in wrong:
            value["at"] = "soon"
        if "missing" in wrong:
            del value["token"]
        random.shuffle(items)
        return 200, value
    return one


CALLS = []


def call(matapalo, n, method="GET", fields=()):
    with Client(matapalo.port) as client:
        for _ in range(n):
            client.request(method, "/things/7",
                           b"{}" if method == "POST" else None,
                           fields=fields)
            CALLS.append(method)


def sums(matapalo):
    rules = matapalo.status()["shadow"]["rules"]
    return rules[0] if rules else {"samples": 0, "matches": 0}


def compare(matapalo, n):
    """n more calls: how many of them match."""
    before = judged(matapalo)
    call(matapalo, n)
    return judged(matapalo) - before


def judged(matapalo):
    """Matches, once all calls have their verdict."""
    lib.wait_for(lambda: sums(matapalo)["samples"] == len(CALLS),
                 "%d verdicts" % len(CALLS), 20)
    return sums(matapalo)["matches"]


def noise(case, matapalo):
    out = matapalo.command("diff", "--json")
    case.equal(out.returncode, 0, out.stderr)
    rows = [r for r in json.loads(out.stdout)["noise"]
            if r["endpoint"] == "GET /things/{id}"]
    return rows[0] if rows else {"pairs": 0, "places": []}


def learn(case, matapalo, pairs):
    def enough():
        call(matapalo, 5)
        return noise(case, matapalo)["pairs"] >= pairs
    lib.wait_for(enough, "%d pairs" % pairs, 60)


def states(case, matapalo):
    return {(p["pointer"], p["kind"]): p["state"]
            for p in noise(case, matapalo)["places"]}


def again(legacy):
    return [s for s in legacy.seen if "Matapalo-Shadow" in s[2]]


def newest(matapalo, verdict):
    return matapalo.query(
        "SELECT correlationid, data FROM events WHERE type = "
        "'matapalo.shadow.verdict.v1' AND json_extract(data, '$.verdict') = "
        "? ORDER BY sequence DESC LIMIT 1", verdict)[0]


def suppressed(case, matapalo, legacy, candidate, rules):
    case.equal(compare(matapalo, 100), 100, "a correct candidate matches")
    found = states(case, matapalo)
    case.equal((found[("/at", "value")], found[("/token", "value")],
                found[("/items/*/price", "value")]),
               ("noise", "noise", "order only"), "what was learned")
    case.check(all(m == "GET" for m, *_ in again(legacy)), "safe only")
    exchange, data = newest(matapalo, "match")
    places = {s["pointer"] for s in json.loads(data)["suppressed"]}
    case.check({"/at", "/token"} <= places, "the verdict says so: %s" % places)
    out = matapalo.command("diff", "--why", exchange)
    case.check("/token" in out.stdout and "suppressed as noise" in out.stdout,
               out.stdout + out.stderr)
    out = matapalo.command("diff", "--replay", exchange)
    case.equal(out.returncode, 0, "equal but for noise: " + out.stdout)
    case.check("no: noise: the legacy disagrees with itself in" in out.stdout,
               out.stdout)
    out = matapalo.command("backtest", "--target", candidate.url, "--rules",
                           rules, "--rate", "0", "--require", "100%")
    case.equal(out.returncode, 0, "the past knows it, too: " + out.stdout)
    page = case.path("noise.html")
    out = matapalo.command("diff", "--html", page)
    with open(page, encoding="utf-8") as f:
        case.check("order only" in f.read(), "the page: " + out.stderr)
    out = matapalo.command("diff")
    case.check("suppressed as noise" in out.stdout and
               "order only" in out.stdout, out.stdout)


def found(case, matapalo, candidate):
    for wrong, pointer in (("price", "/price"), ("item", "/items/"),
                           ("kind", "/at"), ("missing", "/token")):
        candidate.answer = answer((wrong,))
        case.equal(compare(matapalo, 20), 0, "%s is found" % wrong)
        exchange, data = newest(matapalo, "difference")
        at = [d["pointer"] for d in json.loads(data)["differences"]]
        case.check(at and all(p.startswith(pointer) for p in at),
                   "%s: at %s" % (wrong, at))
        out = matapalo.command("diff", "--replay", exchange)
        case.equal(out.returncode, 1, "%s: differs" % wrong)
    candidate.answer = answer()
    case.equal(compare(matapalo, 20), 20, "mended")


def writes(case, matapalo, legacy, candidate):
    before = len(again(legacy))
    call(matapalo, 30, "POST")
    lib.wait_for(lambda: sum(s[0] == "POST" for s in candidate.seen) == 30,
                 "copies of writes", 20)
    case.equal(len(again(legacy)), before, "a write is not asked twice")
    call(matapalo, 30, fields=[("Authorization", "Bearer x")])
    judged(matapalo)
    case.equal(len(again(legacy)), before, "nor is what carried a secret")


def scenario(case):
    legacy = lib.App(case, answer())
    candidate = lib.App(case, answer())

    def rules(**compare):
        return case.rules({
            "version": 1,
            "targets": {"legacy": {"url": legacy.url},
                        "new": {"url": candidate.url}},
            "rules": [{"name": "things", "match": {"path": "/things/{id}"},
                       "stage": "shadow", "target": "new",
                       "shadow_unsafe": True,
                       "compare": dict(compare, noise="100%")}]})
    path = rules()
    matapalo = case.matapalo(rules=path)
    case.equal(compare(matapalo, 5), 0, "before anything is learned")
    learn(case, matapalo, PAIRS)
    suppressed(case, matapalo, legacy, candidate, path)
    found(case, matapalo, candidate)
    writes(case, matapalo, legacy, candidate)
    before = noise(case, matapalo)["pairs"]
    case.equal(matapalo.stop(), 0, "exit status")
    matapalo = case.matapalo(rules=path, data=matapalo.data)
    case.check(noise(case, matapalo)["pairs"] >= before, "kept")
    case.equal(compare(matapalo, 20), 20, "still known after a restart")
    rules(headers=["content-type"])
    matapalo.signal(lib.signal.SIGHUP)
    lib.wait_for(lambda: compare(matapalo, 2) == 0,
                 "another way to compare begins anew", 20)
    lib.wait_for(lambda: noise(case, matapalo)["pairs"] < PAIRS,
                 "the old pairs to be gone", 20)
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario)
