# SPDX-License-Identifier: Apache-2.0
"""A ramp: up step by step on good evidence, back within seconds of a breach,
held, restarted, and after the move the way back measured the other way round.
No caller gets anything but an answer."""
import itertools
import json
import threading
import time

import lib
from lib import Client

STEPS = [0.1, 0.5, 1]


class Callers:
    """Four connections that never stop asking, each time as somebody else."""

    def __init__(self, matapalo):
        self.port, self.bad, self.count = matapalo.port, [], 0
        self.stopping = False
        self.numbers = itertools.count(1)
        self.threads = [threading.Thread(target=self.run, daemon=True)
                        for _ in range(4)]
        for thread in self.threads:
            thread.start()

    def run(self):
        with Client(self.port) as client:
            while not self.stopping:
                n = next(self.numbers)
                answer = client.request("GET", "/item/%d" % n,
                                        fields=[("X-User", "u%d" % n)])
                self.count += 1
                if answer.status != 200 or answer.json()["id"] != n:
                    self.bad.append((answer.status, answer.body))
                time.sleep(0.001)

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(20)


def rules(legacy, new, **members):
    rule = {"name": "item", "match": {"path": "/item/{id}"},
            "stage": "shadow", "target": "new", "shadow": "legacy",
            "stick_to": "header:X-User", "on_failure": "legacy",
            "ramp": {"steps": ["10%", "50%", "100%"], "every": "100ms",
                     "require": {"samples": 20, "match": "80%",
                                 "errors": "1%"}}}
    rule.update(members)
    return {"version": 1, "targets": {"legacy": {"url": legacy},
                                      "new": {"url": new, "retries": "0%"}},
            "rules": [rule]}


def rule_of(matapalo):
    return matapalo.rule("item")


def await_share(matapalo, share, seconds=20):
    return lib.wait_for(lambda: rule_of(matapalo)["target_share"] == share,
                        "a share of %g: %s" % (share, rule_of(matapalo)),
                        seconds)


def events(matapalo):
    return [json.loads(row[0]) for row in matapalo.query(
        "SELECT data FROM events WHERE type = 'matapalo.promotion.v1' "
        "ORDER BY sequence")]


def check_steps(case, matapalo):
    """No step is left out, up or back, and each has its numbers."""
    places = [0] + STEPS
    for e in events(matapalo):
        if e["by"] != "ramp":
            continue
        old, new = (places.index(e[k]["share"]) for k in ("old", "new"))
        case.equal(new - old, 1 if e["action"] == "step_up" else -1,
                   "one step: %s" % e)
        n = e["numbers"]
        if e["action"] == "step_up":
            case.check(n["pairs"] >= 20 and n["lower_bound"] >= 0.8 and
                       n["in_step_ms"] >= 100, "numbers: %s" % n)
        else:
            case.check(n["target"]["failures"] >= 5, "numbers: %s" % n)


def up(case, matapalo):
    await_share(matapalo, 1)
    ups = [e["new"]["share"] for e in events(matapalo)]
    case.equal(ups, STEPS, "up, step by step")
    lib.wait_for(lambda: rule_of(matapalo)["ramp"]["waits_for"] ==
                 "this is the last step", "what it waits for")
    case.equal(rule_of(matapalo)["moved_by"], "ramp", "status")
    text = matapalo.command("status").stdout
    case.check("this is the last step" in text, "terminal: " + text)


def back(case, matapalo, state):
    """The candidate breaks: first step back within 10 s, all the way down
    as long as it is broken."""
    state["broken"] = True
    since = time.monotonic()
    lib.wait_for(lambda: rule_of(matapalo)["target_share"] < 1,
                 "the first step back", 10)
    case.check(time.monotonic() - since < 10, "within 10 s")
    await_share(matapalo, 0, 10)
    print("back at the legacy after %.2f s" % (time.monotonic() - since))
    rule = rule_of(matapalo)
    case.equal((rule["stage"], rule["held"]), ("shadow", True),
               "after three falls it holds itself: %s" % rule)
    case.check("errors" in rule["reason"], rule["reason"])
    state["broken"] = False


def held(case, matapalo):
    """Held it goes no step up; resumed it does."""
    lib.wait_for(lambda: rule_of(matapalo)["ramp"]["pairs"] >= 40 and
                 rule_of(matapalo)["ramp"]["in_step_s"] > 0.4, "evidence")
    case.equal(rule_of(matapalo)["ramp"]["waits_for"],
               "held until it is resumed", "why not")
    done = matapalo.command("resume", "item")
    case.equal(done.returncode, 0, done.stderr)
    await_share(matapalo, 0.1)
    case.equal(matapalo.command("hold", "item").returncode, 0, "hold")
    lib.wait_for(lambda: rule_of(matapalo)["ramp"]["pairs"] > 0, "evidence")


def restarted(case, matapalo):
    """Where it was, with what was known: also after kill -9."""
    share = rule_of(matapalo)["target_share"]
    case.equal(matapalo.stop(), 0, "exit status")
    again = case.matapalo(rules=case.path("rules.json"), data=matapalo.data,
                          workers=2)
    rule = rule_of(again)
    case.equal((rule["target_share"], rule["held"], rule["moved_by"]),
               (share, True, "ramp"), "after a restart")
    case.check(rule["ramp"]["pairs"] > 0, "what was known: %s" % rule)
    return again


def way_back(case, matapalo, state):
    """After the move the legacy is the shadow: may we go back?"""
    case.equal(matapalo.command("promote", "item", "--to",
                                "migrated").returncode, 0, "migrated")
    done = matapalo.command("rollback", "item")
    case.equal(done.returncode, 1, "nothing is known yet")
    case.check("--force" in done.stderr, done.stderr)
    callers = Callers(matapalo)
    lib.wait_for(lambda: rule_of(matapalo)["rollback"]["ready"],
                 "the legacy is fit")
    state["stale"] = True
    lib.wait_for(lambda: rule_of(matapalo)["rollback"]["lower_bound"] < 0.8,
                 "a legacy that has fallen behind")
    callers.stop()
    case.equal(callers.bad, [], "no caller sees any of it")
    done = matapalo.command("rollback", "item")
    case.equal(done.returncode, 1, "not without force")
    case.check("required 80.00 %" in done.stderr, done.stderr)
    case.check("rollback" in matapalo.command("status").stdout, "terminal")
    done = matapalo.command("rollback", "item", "--force")
    case.equal(done.returncode, 0, done.stderr)
    case.equal(rule_of(matapalo)["stage"], "shadow", "back")


def scenario(case):
    state = {"broken": False, "stale": False}

    def item(path):
        return {"id": int(path.rsplit("/", 1)[1])}

    def legacy_answer(method, path, headers, body):
        return 200, dict(item(path), **({"old": 1} if state["stale"] else {}))

    def new_answer(method, path, headers, body):
        if state["broken"] and "Matapalo-Shadow" not in headers:
            raise ConnectionError("no answer at all")
        return 200, item(path)

    legacy = lib.App(case, legacy_answer)
    new = lib.App(case, new_answer)
    path = case.rules(rules(legacy.url, new.url))
    matapalo = case.matapalo(rules=path, workers=2)
    callers = Callers(matapalo)
    up(case, matapalo)
    back(case, matapalo, state)
    held(case, matapalo)
    callers.stop()
    case.equal(callers.bad, [], "every caller had his answer")
    print("%d calls" % callers.count)
    check_steps(case, matapalo)
    matapalo = restarted(case, matapalo)
    way_back(case, matapalo, state)
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario)
