# SPDX-License-Identifier: Apache-2.0
"""Operators move rules while it runs: promote, rollback, kill-switch; in
force at once on all workers, on disk, over restarts and new files."""
import json
import os
import signal
import threading

import lib
from lib import Client

CALLERS = 200


def rules(legacy, candidate, **members):
    rule = {"name": "item", "match": {"path": "/item/{id}"},
            "stage": "canary", "share": "10%", "target": "new",
            "stick_to": "header:X-User"}
    rule.update(members)
    return {"version": 1,
            "targets": {"legacy": {"url": legacy},
                        "new": {"url": candidate}},
            "rules": [rule, {"name": "old", "match": {"path": "/old"},
                             "stage": "migrated", "target": "new"}]}


def ask(client, user, path="/item/1"):
    answer = client.request("GET", path, fields=[("X-User", "u%d" % user)])
    return answer.json()["who"]


def at_target(matapalo):
    """Who of the callers is answered by the target, each on a connection of
    its own worker's luck."""
    found = set()
    for part in range(4):
        with Client(matapalo.port) as client:
            for user in range(part, CALLERS, 4):
                if ask(client, user) == "new":
                    found.add(user)
    return found


def order(matapalo, path, body, token="own"):
    code, text = matapalo.get_admin(path, token, body)
    return code, json.loads(text)


def rule_of(matapalo, name="item"):
    return matapalo.rule(name)


def run_info(matapalo):
    """Of whichever process serves, or None."""
    try:
        with open(os.path.join(matapalo.data, "run.json")) as f:
            return json.load(f)
    except (OSError, ValueError):
        return None


def run(case, matapalo, *args, status=0):
    done = matapalo.command(*args)
    case.equal(done.returncode, status, "%s: %s%s"
               % (" ".join(args), done.stdout, done.stderr))
    return done.stdout + done.stderr


def shares(case, matapalo):
    first = at_target(matapalo)
    case.check(5 <= len(first) <= 40, "10%%: %d" % len(first))
    case.check("canary 10% -> canary 50%" in
               run(case, matapalo, "promote", "item", "--to", "50%"), "said")
    second = at_target(matapalo)
    case.check(first < second and 70 <= len(second) <= 130,
               "50%%: %d, and who moved stays" % len(second))
    run(case, matapalo, "promote", "item", "--to", "migrated", "--reason",
        "evidence")
    case.equal(len(at_target(matapalo)), CALLERS, "migrated")
    said = run(case, matapalo, "promote", "item", "--to", "20%", status=1)
    case.check("rollback" in said, said)
    case.check("no rule" in run(case, matapalo, "promote", "nobody",
                                "--to", "20%", status=1), "unknown rule")
    rule = rule_of(matapalo)
    case.equal((rule["stage"], rule["moved_by"], rule["reason"],
                rule["file"]["stage"], rule["target_share"]),
               ("migrated", "operator", "evidence", "canary", 1), "status")
    said = run(case, matapalo, "explain", "GET", "/item/1")
    case.check("answered by new" in said and "moved       from canary 10%" in
               said, "explain: " + said)
    case.check("migrated, by operator" in run(case, matapalo, "status"),
               "terminal")


def access(case, matapalo):
    code, text = order(matapalo, "/kill-switch", {"all": True}, token="x")
    case.equal(code, 401, "without the token: %s" % text)
    code, _ = order(matapalo, "/rollback", {"rule": "item", "forse": True})
    case.equal(code, 400, "a misspelt member")
    case.equal(rule_of(matapalo)["stage"], "migrated", "nothing moved")


class Watch:
    """Asks all the time, and notes who answered a request that was begun
    after the switch's call had returned."""

    def __init__(self, port, number):
        self.port, self.number = port, number
        self.promised, self.asked, self.wrong = None, 0, []
        self.stopping = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        with Client(self.port) as client:
            while not self.stopping:
                promised = self.promised
                who = ask(client, self.number + self.asked % CALLERS)
                self.asked += 1
                # A promise that was taken back meanwhile is none.
                if promised and promised != who and \
                        promised == self.promised:
                    self.wrong.append((promised, who))

    def stop(self):
        self.stopping = True
        self.thread.join(20)


def kill(case, matapalo):
    """In force when the call returns: no request after it is the target's,
    on no worker and on no connection."""
    watches = [Watch(matapalo.port, 100 * n) for n in range(4)]
    for turn in range(20):
        for body, who in (({"rule": "item"}, "legacy"),
                          ({"rule": "item", "release": True}, "new")):
            for w in watches:
                w.promised = None
            code, answer = order(matapalo, "/kill-switch", body)
            case.equal(code, 200, str(answer))
            goals = [w.asked + 3 for w in watches]
            for w in watches:
                w.promised = who
            lib.wait_for(lambda: all(w.asked >= goal for w, goal in
                                     zip(watches, goals)), "requests")
    for w in watches:
        w.stop()
        case.equal(w.wrong, [], "after the call, of %d" % w.asked)
    run(case, matapalo, "kill-switch", status=2)
    run(case, matapalo, "kill-switch", "--all", "--reason", "three o'clock")
    case.equal(at_target(matapalo), set(), "everything is on the legacy")
    with Client(matapalo.port) as client:
        case.equal(ask(client, 1, "/old"), "legacy", "other rules, too")
    case.check("KILL-SWITCH" in run(case, matapalo, "status"), "said aloud")
    case.check("kill-switch" in matapalo.get_admin("/readyz")[1], "readyz")
    case.equal(matapalo.metrics()['matapalo_rule_killed{rule="old"}'], 1,
               "metrics")
    said = run(case, matapalo, "kill-switch", "old", "--release", status=1)
    case.check("not on" in said, said)


def survive(case, matapalo, path):
    """kill -9, then the same state; a new file wins, a kill stays."""
    matapalo.kill_group()
    matapalo = case.matapalo(rules=path, data=matapalo.data, workers=2)
    case.equal(at_target(matapalo), set(), "the switch is on after kill -9")
    run(case, matapalo, "kill-switch", "--all", "--release")
    case.equal(len(at_target(matapalo)), CALLERS, "as it was before")
    run(case, matapalo, "kill-switch", "old")
    return matapalo


def handed_over(case, matapalo):
    """A new process goes on from there."""
    def is_new():
        info = run_info(matapalo)
        return info if info and info["pid"] != matapalo.pid else None
    matapalo.signal(signal.SIGUSR2)
    matapalo.admin = lib.wait_for(is_new, "the new process")["admin"]
    lib.wait_for(matapalo._ready, "it to be ready")
    case.equal((rule_of(matapalo)["stage"], rule_of(matapalo, "old")["stage"],
                rule_of(matapalo, "old")["killed"]),
               ("migrated", "mirror", True), "after a hand-over")
    case.equal(len(at_target(matapalo)), CALLERS, "callers, too")
    new = is_new()["pid"]
    os.kill(new, signal.SIGTERM)
    matapalo.wait()
    # Its file goes before its hold on the journal does.
    lib.wait_for(lambda: lib.is_gone(new), "its end")
    return case.matapalo(rules=case.path("rules.json"), data=matapalo.data,
                         workers=2)


def new_file(case, matapalo, ports):
    def is_loaded(share):
        return lambda: rule_of(matapalo)["file"]["share"] == share and \
            rule_of(matapalo)
    # The rule's own words are the same: what was ordered stays.
    before = matapalo.status()["rules"]["hash"]
    case.rules(rules(*ports, sample="50%"))
    lib.wait_for(lambda: matapalo.status()["rules"]["hash"] != before,
                 "the new file")
    case.equal(rule_of(matapalo)["stage"], "migrated", "an order stays")
    case.rules(rules(*ports, share="20%"))
    rule = lib.wait_for(is_loaded(0.2), "the next file")
    case.equal((rule["stage"], rule["share"], rule["moved_by"]),
               ("canary", 0.2, None), "the file has the last word")
    case.equal(rule_of(matapalo, "old")["killed"], True, "but for a kill")
    run(case, matapalo, "rollback", "item")
    rule = rule_of(matapalo)
    case.equal((rule["stage"], rule["held"]), ("shadow", False), "rollback")
    said = run(case, matapalo, "hold", "item", status=1)
    case.check("no \"ramp\"" in said, said)


def audit(case, matapalo):
    events = [json.loads(row[0]) for row in matapalo.query(
        "SELECT data FROM events WHERE type = 'matapalo.promotion.v1' "
        "ORDER BY sequence")]
    actions = [e["action"] for e in events]
    case.equal(actions[:2] + actions[-4:],
               ["promote", "promote", "release", "kill", "file", "rollback"],
               "one event a change")
    case.equal(len(actions), 2 + 40 + 1 + 4, "no more: %s" % actions)
    case.equal((events[0]["old"], events[0]["new"], events[0]["token"]),
               ({"stage": "canary", "share": 0.1},
                {"stage": "canary", "share": 0.5}, "admin"), "what moved")
    case.equal(events[1]["reason"], "evidence", "why")
    case.check("@" in events[0]["operator"], "who")


def changed_while_down(case, matapalo, ports):
    """The file has the last word also when nobody was there to see it."""
    case.equal(matapalo.stop(), 0, "exit status")
    path = case.rules(rules(*ports, share="30%"))
    again = case.matapalo(rules=path, data=matapalo.data, workers=2)
    case.equal((rule_of(again)["stage"], rule_of(again)["share"],
                rule_of(again, "old")["killed"]), ("canary", 0.3, True),
               "a file that was changed in between")
    last = json.loads(again.query(
        "SELECT data FROM events WHERE type = 'matapalo.promotion.v1' "
        "ORDER BY sequence DESC LIMIT 1")[0][0])
    case.equal((last["action"], last["old"]["stage"], last["new"]["share"]),
               ("file", "shadow", 0.3), "its event")
    return again


def scenario(case):
    legacy = lib.App(case, lambda *_: (200, {"who": "legacy"}))
    new = lib.App(case, lambda *_: (200, {"who": "new"}))
    ports = (legacy.url, new.url)
    path = case.rules(rules(*ports))
    matapalo = case.matapalo(rules=path, workers=2)
    shares(case, matapalo)
    access(case, matapalo)
    kill(case, matapalo)
    matapalo = survive(case, matapalo, path)
    matapalo = handed_over(case, matapalo)
    new_file(case, matapalo, ports)
    audit(case, matapalo)
    matapalo = changed_while_down(case, matapalo, ports)
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario)
