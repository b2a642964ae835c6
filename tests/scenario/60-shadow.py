# SPDX-License-Identifier: Apache-2.0
"""Shadow traffic: candidates over HTTP and on the bus, honest match rates, a
planted difference with its place, and no effect on the live answer."""
import itertools
import json
import time

import lib
from lib import Client

CALLS = 60
PLANTED_EVERY = 10
COMMAND = "shop.stock.read.v1"
# The bus candidate agrees but for every tenth product.
STOCK = """
n = int(event["data"]["request"]["target"].rsplit("/", 1)[1])
reply(200, {"id": n, "left": 5 if n %% %d else 6})
""" % PLANTED_EVERY


def legacy_answer(clock):
    def answer(method, path, headers, body):
        n = int(path.rsplit("/", 1)[1]) if path[-1].isdigit() else 0
        if path.startswith("/stock/"):
            return 200, {"id": n, "left": 5}
        return 200, {"id": n, "price": 10, "name": "p%d" % n,
                     "generated_at": next(clock)}
    return answer


def candidate_answer(clock):
    def answer(method, path, headers, body):
        n = int(path.rsplit("/", 1)[1])
        if path.startswith("/down/"):
            return 500, {"error": "no"}
        wrong = path.startswith("/wrong/") and n % PLANTED_EVERY == 0
        return 200, {"generated_at": next(clock), "name": "p%d" % n,
                     "price": 11 if wrong else 10, "id": n}
    return answer


def verdict(matapalo, rule):
    for each in matapalo.status()["shadow"]["rules"]:
        if each["rule"] == rule:
            return each
    return {"samples": 0}


def await_samples(matapalo, rule, n):
    return lib.wait_for(lambda: verdict(matapalo, rule)["samples"] >= n
                        and verdict(matapalo, rule),
                        "%d samples of %s" % (n, rule), 30)


def call_all(case, port, prefix, fields=()):
    with Client(port) as client:
        for n in range(1, CALLS + 1):
            answer = client.request("GET", "%s/%d" % (prefix, n),
                                    fields=fields)
            case.equal(answer.json()["id"], n, "the legacy's answer")


def same(case, matapalo, candidate):
    secret = [("Authorization", "Bearer canary-1"),
              ("Cookie", "sid=canary-2"),
              ("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6"),
              ("X-Forwarded-Prefix", "/6.6.6.6")]
    call_all(case, matapalo.port, "/same", secret)
    found = await_samples(matapalo, "same", CALLS)
    case.equal((found["samples"], found["match_rate"]), (CALLS, 1),
               "identical but for the ignored member")
    case.check(0.9 < found["lower_bound"] < 1, "lower bound %s"
               % found["lower_bound"])
    seen = [s for s in candidate.seen if s[1].startswith("/same/")]
    case.equal(len(seen), CALLS, "copies at the candidate")
    for _, _, headers, _ in seen:
        lower = {k.lower(): v for k, v in headers.items()}
        case.check("matapalo-shadow" in lower, "copies are marked")
        case.check("canary" not in json.dumps(lower),
                   "secrets stay at home")
        case.check("6.6.6.6" not in json.dumps(lower), "a stranger's word")
        case.equal((lower["x-forwarded-for"], lower["x-forwarded-proto"]),
                   ("127.0.0.1", "http"), "who called")


def planted(case, matapalo):
    call_all(case, matapalo.port, "/wrong")
    found = await_samples(matapalo, "wrong", CALLS)
    bad = CALLS // PLANTED_EVERY
    rate = 1 - bad / CALLS
    case.equal(found["samples"], CALLS, "samples")
    case.check(abs(found["match_rate"] - rate) < 1e-6,
               "match rate %s, planted %s" % (found["match_rate"], rate))
    text = json.dumps(found)
    case.check('"/price"' in text, "the pointer is named: " + text)
    case.check("/generated_at" not in text and "/name" not in text,
               "nothing else is blamed: " + text)


def on_the_bus(case, matapalo):
    consumer = case.consume(matapalo, "stock", STOCK,
                            ["--type", COMMAND, "--reply"])
    lib.wait_for(lambda: any(g["name"] == "stock" for g in
                             matapalo.status()["bus"]["groups"]),
                 "the candidate's group")
    call_all(case, matapalo.port, "/stock")
    found = await_samples(matapalo, "stock", CALLS)
    bad = CALLS // PLANTED_EVERY
    case.check(abs(found["match_rate"] - (1 - bad / CALLS)) < 1e-6,
               "match rate of the bus candidate %s" % found["match_rate"])
    case.check('"/left"' in json.dumps(found), "its pointer")
    consumer.signal(lib.signal.SIGTERM)
    consumer.wait()


def unsafe_methods(case, matapalo, candidate):
    with Client(matapalo.port) as client:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            client.request(method, "/same/7", b"{}")
        for method in ("POST", "PUT"):
            client.request(method, "/unsafe/7", b'{"a": 1}')
    await_samples(matapalo, "unsafe", 2)
    sent = [(m, p) for m, p, _, _ in candidate.seen if m != "GET"]
    case.equal(sorted(sent), [("POST", "/unsafe/7"), ("PUT", "/unsafe/7")],
               "unsafe copies: only where the rule says so")
    bodies = {b for m, p, _, b in candidate.seen if m == "POST"}
    case.equal(bodies, {b'{"a": 1}'}, "the copy's body")


def timed(case, matapalo, path):
    start = time.monotonic()
    call_all(case, matapalo.port, path)
    return time.monotonic() - start


def failing_candidate(case, matapalo):
    """A candidate that is down or hung costs the caller nothing."""
    healthy = timed(case, matapalo, "/same")
    for path in ("/hung", "/down"):
        took = timed(case, matapalo, path)
        case.check(took < 3 * healthy + 0.5, "%s: %d calls took %.2f s, "
                   "with a healthy one %.2f s" % (path, CALLS, took, healthy))
    lib.wait_for(lambda: verdict(matapalo, "down")["samples"] >= CALLS or
                 verdict(matapalo, "down").get("failures", 0) > 0,
                 "verdicts on a failing candidate")
    case.check(verdict(matapalo, "down").get("match_rate") != 1,
               "an error is no match")


def survive_restart(case, matapalo):
    before = verdict(matapalo, "wrong")
    case.equal(matapalo.stop(), 0, "exit status")
    again = case.matapalo(rules=case.path("rules.json"), data=matapalo.data)
    after = lib.wait_for(lambda: verdict(again, "wrong"), "the verdicts")
    case.equal((after["samples"], after.get("match_rate")),
               (before["samples"], before["match_rate"]),
               "verdicts after a restart")
    case.equal(again.stop(), 0, "exit status")


def rule(name, **more):
    return dict({"name": name, "match": {"path": "/%s/{id}" % name},
                 "stage": "shadow", "target": "new",
                 "compare": {"ignore": ["/generated_at"]}}, **more)


def scenario(case):
    clock = itertools.count(1)
    legacy = lib.App(case, legacy_answer(clock))
    candidate = lib.App(case, candidate_answer(clock))
    hung = lib.socket.socket()
    hung.bind(("127.0.0.1", 0))
    hung.listen(4)
    rules = {
        "version": 1,
        "targets": {
            "legacy": {"url": legacy.url},
            "new": {"url": candidate.url},
            "hung": {"url": "http://127.0.0.1:%d" % hung.getsockname()[1],
                     "timeout": "1s"},
            "stock": {"command": COMMAND, "reply_within": "60s"}},
        "rules": [rule("same"), rule("wrong"), rule("down"),
                  rule("hung", target="hung"),
                  rule("stock", target="stock"),
                  rule("unsafe", shadow_unsafe=True)]}
    matapalo = case.matapalo(rules=case.rules(rules))
    same(case, matapalo, candidate)
    planted(case, matapalo)
    on_the_bus(case, matapalo)
    unsafe_methods(case, matapalo, candidate)
    failing_candidate(case, matapalo)
    survive_restart(case, matapalo)
    hung.close()


lib.main(scenario)
