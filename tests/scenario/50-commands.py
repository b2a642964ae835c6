# SPDX-License-Identifier: Apache-2.0
"""Commands on the bus, answered by a real consumer process; deliveries that
survive the consumer's death; dead letters; tail."""
import json
import os
import threading
import time

import lib
from lib import Client, fetch

COMMAND = "shop.order.place.v1"
REPLY_WITHIN = 2.0
ANSWER = """
n = event["data"]["request"]["json"]["n"]
reply(201, {"n": n, "by": "orders"}, **{"X-Handler": "orders"})
"""
# Says that it has begun, then works until it is told to end.
HANG = """
with open(%(begun)r, "a") as f:
    f.write(event["subject"] + "\\n")
while not os.path.exists(%(go)r):
    time.sleep(0.02)
"""
TOO_LATE = """
open(%(out)r, "w").close()
"""
POISON = """
with open(%(tried)r, "a") as f:
    f.write(event["subject"] + "\\n")
if "poison" in event["subject"] and not os.path.exists(%(cure)r):
    print("no cure for", event["subject"], file=sys.stderr)
    sys.exit(1)
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
    return path


def order(client, n):
    return client.request("POST", "/orders", b'{"n": %d}' % n,
                          [("Content-Type", "application/json")])


def nobody_there(case, matapalo):
    """No consumer: 504 in time, and the command waits in the journal."""
    start = time.monotonic()
    with Client(matapalo.port) as client:
        answer = order(client, 1)
        took = time.monotonic() - start
        case.equal(answer.status, 504, "no consumer")
        case.equal(answer.get("Content-Type"), "application/problem+json",
                   "the 504 is a problem")
        case.check(REPLY_WITHIN - 0.2 < took < REPLY_WITHIN + 1.5,
                   "504 after %.2f s" % took)
        case.equal(client.request("GET", "/x?n=1").body, b"/x?n=1",
                   "the connection goes on")
    rows = matapalo.query("SELECT count(*) FROM events WHERE type = ?",
                          COMMAND)
    case.equal(rows[0][0], 1, "the command is in the journal")


def late_reply(case, matapalo):
    """The consumer comes too late; its reply must reach nobody."""
    late = "matapalo_commands_late_replies_total"
    with Client(matapalo.port) as client:
        lib.wait_for(lambda: matapalo.metrics()[late] >= 1,
                     "the late reply to be counted")
        case.equal(client.request("GET", "/x?n=2").body, b"/x?n=2",
                   "no late reply on a waiting connection")


def answered(case, port):
    with Client(port) as client:
        for n in range(100, 110):
            answer = order(client, n)
            case.equal(answer.status, 201, "status of the reply")
            case.equal(answer.json(), {"n": n, "by": "orders"}, "its body")
            case.equal(answer.get("X-Handler"), "orders", "its field")
            case.equal(answer.get("Content-Type"), "application/json",
                       "its type")


def nobody_elses(case, port):
    wrong, statuses = [], []

    def one(worker):
        with Client(port) as client:
            for i in range(6):
                n = 1000 + worker * 100 + i
                answer = order(client, n)
                statuses.append(answer.status)
                if answer.status == 201 and answer.json()["n"] != n:
                    wrong.append((n, answer.json()))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    case.equal(wrong, [], "replies that reached somebody else")
    case.equal(set(statuses), {201}, "statuses of 48 concurrent commands")


def commands_recorded(case, matapalo):
    rows = lib.wait_for(lambda: matapalo.query(
        "SELECT c.correlationid FROM events c JOIN events t ON "
        "t.correlationid = c.correlationid AND t.type = "
        "'matapalo.exchange.v1' WHERE c.type = ?", COMMAND), "events")
    case.check(len(rows) >= 59, "commands with a terminal event: %d"
               % len(rows))
    replies = matapalo.query(
        "SELECT count(*) FROM events r JOIN events c ON r.correlationid = "
        "c.correlationid WHERE c.type = ? AND r.type LIKE '%reply%'",
        COMMAND)
    case.check(replies[0][0] >= 59, "reply events: %d" % replies[0][0])


def fallback(case, matapalo):
    """Handed to nobody, the legacy may answer: after the reply's time."""
    for body in (b"{}", b"x" * 300000, b""):
        answer = fetch(matapalo.port, "POST", "/echo", body)
        case.equal(answer.status, 200, "fallback of a command")
        case.equal(answer.json()["body_bytes"], len(body), "with its body")
    # Whoever comes later must not be handed what the legacy has done.
    out = case.path("too-late")
    late = case.consume(matapalo, "late", TOO_LATE % {"out": out},
                        ["--type", "shop.unheard.v1", "--from", "oldest"])

    def through():
        groups = matapalo.status()["bus"]["groups"]
        return any(g["name"] == "late" and g["lag_events"] == 0
                   for g in groups)
    lib.wait_for(through, "the late group to have seen everything")
    case.check(not os.path.exists(out),
               "a command that was taken back is given to nobody")
    late.signal(lib.signal.SIGTERM)
    case.equal(late.wait(), 0, "exit status of the late consumer")


def killed_before_ack(case, matapalo):
    begun, go = case.path("begun"), case.path("go")
    handler = HANG % {"begun": begun, "go": go}
    args = ["--type", "matapalo.exchange.v1", "--subject", "GET /audited",
            "--from", "oldest"]
    consumer = case.consume(matapalo, "audit", handler, args)
    fetch(matapalo.port, "GET", "/audited")
    lib.wait_for(lambda: lines(begun), "the consumer to begin")
    consumer.kill_group()
    touch(go)
    consumer = case.consume(matapalo, "audit", handler, args)
    lib.wait_for(lambda: len(lines(begun)) >= 2, "a second delivery", 45)
    case.equal(lines(begun), ["GET /audited"] * 2, "the same event again")
    group = lib.wait_for(lambda: settled(matapalo, "audit"), "the ack")
    case.equal((group["in_flight"], group["dead"]), (0, 0), "settled")
    consumer.signal(lib.signal.SIGTERM)
    case.equal(consumer.wait(), 0, "exit status of consume")


def group_of(matapalo, name):
    for group in matapalo.status()["bus"]["groups"]:
        if group["name"] == name:
            return group
    return None


def settled(matapalo, name):
    group = group_of(matapalo, name)
    if group and group["lag_events"] == 0 and group["in_flight"] == 0 and \
            group["retrying"] == 0:
        return group
    return None


def listed(case, matapalo):
    out = matapalo.command("dlq", "list", "--json")
    case.equal(out.returncode, 0, "dlq list: " + out.stderr)
    return [json.loads(line) for line in out.stdout.splitlines()]


def dead_letters(case, matapalo):
    tried, cure = case.path("tried"), case.path("cure")
    handler = POISON % {"tried": tried, "cure": cure}
    consumer = case.consume(
        matapalo, "billing", handler,
        ["--type", "matapalo.exchange.v1", "--max-attempts", "2",
         "--from", "now"])
    lib.wait_for(lambda: group_of(matapalo, "billing"), "the group")
    for path in ("/good-1", "/poison", "/good-2", "/good-3"):
        fetch(matapalo.port, "GET", path)
    lib.wait_for(lambda: (group_of(matapalo, "billing") or {})
                 .get("dead") == 1, "the dead letter", 40)
    case.equal(lines(tried).count("GET /poison"), 2, "attempts, exactly")
    for path in ("GET /good-1", "GET /good-2", "GET /good-3"):
        case.equal(lines(tried).count(path), 1, "others are not held up")
    letters = lib.wait_for(lambda: listed(case, matapalo), "dlq list")
    out = matapalo.command("dlq", "list")
    case.check("billing" in out.stdout, "it names the group: " + out.stdout)
    case.equal(len(letters), 1, "one dead letter")
    case.equal(letters[0]["attempts"], 2, "attempts in the dead letter")
    case.check(letters[0]["reason"], "its reason")
    redriven(case, matapalo, letters[0], tried, cure)
    consumer.signal(lib.signal.SIGTERM)
    case.equal(consumer.wait(), 0, "exit status of consume")


def redriven(case, matapalo, letter, tried, cure):
    touch(cure)
    out = matapalo.command("dlq", "redrive", str(letter["id"]), "--group",
                           "billing")
    case.equal(out.returncode, 0, "dlq redrive: " + out.stderr)
    lib.wait_for(lambda: lines(tried).count("GET /poison") == 3,
                 "the redriven event")
    lib.wait_for(lambda: settled(matapalo, "billing"), "its ack")
    case.equal(group_of(matapalo, "billing")["dead"], 0, "no dead letters")
    case.equal(lines(tried).count("GET /poison"), 3, "redriven once")


def tail(case, matapalo):
    out = matapalo.command("tail", "--type", COMMAND, "--from", "oldest",
                           "--limit", "3")
    case.equal(out.returncode, 0, "tail: " + out.stderr)
    events = [json.loads(line) for line in out.stdout.splitlines()]
    case.equal(len(events), 3, "events of tail")
    for event in events:
        case.equal(event["specversion"], "1.0", "a CloudEvent")
        case.equal(event["type"], COMMAND, "its type")
        for name in ("id", "source", "time", "subject", "correlationid",
                     "sequence", "data"):
            case.check(event.get(name), "attribute " + name)
        case.check(event["id"][14] == "7", "id is a UUIDv7")


def groups_survive(case, origin, matapalo):
    """Cursors are durable: after a kill -9 nothing comes twice to a group
    that had settled everything."""
    tried = case.path("after")
    lib.wait_for(lambda: matapalo.query(
        "SELECT 1 FROM groups WHERE name = 'billing' AND retrying = 0"),
        "the last ack to be on disk")
    matapalo.kill_group()
    again = case.matapalo(rules=case.path("rules.json"), data=matapalo.data)
    consumer = case.consume(again, "billing", POISON % {
        "tried": tried, "cure": case.path("cure")},
        ["--type", "matapalo.exchange.v1", "--max-attempts", "2"])
    fetch(again.port, "GET", "/fresh")
    lib.wait_for(lambda: "GET /fresh" in lines(tried), "a fresh event")
    case.equal([x for x in lines(tried) if x != "GET /fresh"], [],
               "settled events that came again")
    consumer.signal(lib.signal.SIGTERM)
    consumer.wait()
    case.equal(again.stop(), 0, "exit status")


def scenario(case):
    origin = case.origin("legacy")
    rules = {
        "version": 1,
        "targets": {
            "legacy": {"url": origin.url},
            "orders": {"command": COMMAND,
                       "reply_within": "%ds" % REPLY_WITHIN},
            "unheard": {"command": "shop.unheard.v1",
                        "reply_within": "200ms"}},
        "rules": [
            {"name": "place-order", "match": {
                "method": "POST", "path": "/orders"},
             "stage": "migrated", "target": "orders"},
            {"name": "unheard", "match": {"path": "/echo"},
             "stage": "migrated", "target": "unheard",
             "on_failure": "legacy"}]}
    matapalo = case.matapalo(rules=case.rules(rules), workers=2)
    nobody_there(case, matapalo)
    consumer = case.consume(matapalo, "orders", ANSWER,
                            ["--type", COMMAND, "--reply",
                             "--from", "oldest"])
    fallback(case, matapalo)
    late_reply(case, matapalo)
    answered(case, matapalo.port)
    nobody_elses(case, matapalo.port)
    commands_recorded(case, matapalo)
    tail(case, matapalo)
    killed_before_ack(case, matapalo)
    dead_letters(case, matapalo)
    case.check(consumer.alive(), "the consumer of commands is still there")
    consumer.signal(lib.signal.SIGTERM)
    case.equal(consumer.wait(), 0, "exit status of consume")
    groups_survive(case, origin, matapalo)


lib.main(scenario)
