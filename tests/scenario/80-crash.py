# SPDX-License-Identifier: Apache-2.0
"""Promises D1 and D7: SIGKILL under load, at random moments and at every
named point: around each write and fsync of the log, inside a checkpoint, inside
retention, inside a reload of the rules, and while the next process starts.
Whatever was acknowledged under `strict` is in the journal, nothing is there
twice, every request event has exactly one end, and every exchange that its
rule's `emit` asks for has exactly one domain event."""
import json
import os
import random
import socket
import sys

import lib
import strike
from faulty import law

KILLS = int(os.environ.get("CRASH_KILLS", "20"))
RATE = int(os.environ.get("CRASH_RATE", "3000"))
ROUNDS = int(os.environ.get("CRASH_ROUNDS", "1"))
CONNECTIONS = 8
HAMMER_SECONDS = min(150 + (KILLS - 20) * 2 + (ROUNDS - 1) * 25, 600)
# Each with how many passes there may be before it strikes.
POINTS = (("log-write", 300), ("log-written", 300), ("log-sync", 100),
          ("log-synced", 100), ("db-write", 30), ("db-written", 30),
          ("db-sync", 1), ("db-synced", 1), ("rules", 1), ("rules-read", 1))
AT_START = (("log-write", 20), ("log-sync", 1), ("open", 3))
SEED = int(os.environ.get("CRASH_SEED", random.randrange(1 << 30)))
# A sanitizer's process does less in the same time.
ACKS = 5000 if lib.is_sanitized() else 50000
TERMINAL = "matapalo.exchange.v1"
REQUEST = "matapalo.request.v1"


PLACED = {"type": "shop.placed.v1", "when": {"status": "2xx"},
          "subject": "{query.n}", "data": {"n": "{query.n}"}}
SEEN = {"type": "shop.seen.v1", "when": {"status": "200"},
        "subject": "{query.n}", "data": {"by": "{request.method}"}}
NEVER = {"type": "shop.refused.v1", "when": {"status": "4xx"}, "data": {}}


def domain_rule(name, method, emit):
    return {"name": name, "match": {"method": method, "path": "/{rest...}"},
            "emit": [emit, NEVER]}


def free_port():
    """A port that the kernel gave once; it is ours until the end."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def read_acks(path):
    acks = {"G": set(), "P": set()}
    with open(path) as f:
        for line in f:
            kind, number = line.split()
            case_set = acks[kind]
            if int(number) in case_set:
                raise lib.Failed("number %s acknowledged twice" % number)
            case_set.add(int(number))
    return acks


def acked_so_far(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


class Victim:
    """One data directory and one port, one process after the other."""

    def __init__(self, case, origin):
        self.case, self.strike, self.kills = case, strike.Strike(case), 0
        self.rules = case.rules({
            "version": 1, "targets": {"legacy": {"url": origin.url}},
            "rules": [domain_rule("placed", "POST", PLACED),
                      domain_rule("seen", "GET", SEEN)]})
        self.data, self.port = case.path("data"), free_port()
        os.mkdir(self.data)
        self.log = case.path("acks")
        self.start()

    def start(self):
        environment = None if lib.is_sanitized() else \
            self.strike.environment
        self.process = self.case.matapalo(
            rules=self.rules, data=self.data, workers=2,
            listen="127.0.0.1:%d" % self.port, env=environment)

    def await_acks(self):
        before = acked_so_far(self.log)
        lib.wait_for(lambda: acked_so_far(self.log) > before + 1000,
                     "acknowledgements after a restart")

    def kill_within(self, seconds):
        """Lets acknowledgements flow, then kills at a random moment."""
        self.await_acks()
        try:
            self.process.popen.wait(random.uniform(0, seconds))
            raise lib.Failed("matapalo ended by itself: status %s"
                             % self.process.popen.returncode)
        except lib.subprocess.TimeoutExpired:
            self.process.kill_group()
        self.died()

    def died(self):
        self.kills += 1

    def kill_at(self, point, passes):
        self.await_acks()
        self.strike.arm(point, strike.KILL, random.randint(1, passes))
        if point.startswith("rules"):
            self.process.signal(lib.signal.SIGHUP)
        code = self.process.wait(30)
        self.case.equal((code, self.strike.disarm()), (-9, 1),
                        "killed at " + point)
        self.died()

    def kill_starting(self, point, passes):
        """The start after a kill is killed, too, if it passes there."""
        self.await_acks()
        self.process.kill_group()
        self.died()
        self.strike.arm(point, strike.KILL, random.randint(1, passes))
        try:
            self.start()
        except lib.Failed:
            self.case.equal(self.strike.struck(), 1, "killed at the start")
            self.died()
            self.start()
        self.strike.disarm()


def answered_numbers(matapalo):
    """{number: terminal events} of the load driver's numbers. An end that
    recovery wrote (`unknown`) does not count: whoever had the whole answer
    was promised that its event was on disk before the last byte."""
    rows = matapalo.query(
        "SELECT data ->> '$.request.target', count(*) FROM events "
        "WHERE type = ? AND data ->> '$.outcome' = 'response' GROUP BY 1",
        TERMINAL)
    return {int(t.rsplit("=", 1)[1]): n for t, n in rows
            if t and "?n=" in t}


def opened_and_closed(case, matapalo):
    """Exactly one terminal event for each request event."""
    rows = matapalo.query(
        "SELECT r.correlationid, count(t.id) FROM events r LEFT JOIN "
        "(SELECT id, correlationid FROM events WHERE type = ?) t "
        "ON t.correlationid = r.correlationid WHERE r.type = ? "
        "GROUP BY r.correlationid HAVING count(t.id) <> 1",
        TERMINAL, REQUEST)
    case.equal(rows[:3], [], "request events without exactly one end")
    rows = matapalo.query("SELECT correlationid, count(*) FROM events WHERE "
                          "type = ? GROUP BY 1 HAVING count(*) > 1",
                          TERMINAL)
    case.equal(rows[:3], [], "exchanges with two terminal events")
    rows = matapalo.query("SELECT count(*), count(DISTINCT id) FROM events")
    case.equal(rows[0][0], rows[0][1], "event ids")
    rows = matapalo.query("SELECT data ->> '$.outcome', count(*) FROM events "
                          "WHERE type = ? GROUP BY 1", TERMINAL)
    return dict(rows)


def domain_events(case, matapalo):
    """What each recorded exchange had to emit is there once, right behind
    it, and nothing else."""
    due = matapalo.query(
        "SELECT id, sequence, data ->> '$.request.method', "
        "data ->> '$.request.target' FROM events WHERE type = ? AND "
        "data ->> '$.response.status' = 200 AND "
        "data ->> '$.answered_by' IS NULL", TERMINAL)
    types = {"POST": PLACED["type"], "GET": SEEN["type"]}
    due = sorted((cause, sequence + 1, types[method],
                  target.rsplit("n=", 1)[1])
                 for cause, sequence, method, target in due)
    made = sorted(matapalo.query(
        "SELECT causationid, sequence, type, subject FROM events "
        "WHERE type LIKE 'shop.%'"))
    missing, extra = set(due) - set(made), set(made) - set(due)
    case.equal(sorted(missing)[:3], [], "%d exchanges without their domain "
               "event" % len(missing))
    case.equal(sorted(extra)[:3], [], "%d domain events that nobody made"
               % len(extra))
    case.equal(len(made), len(due), "domain events, none twice")
    kinds = [sum(1 for e in made if e[2] == t) for t in types.values()]
    case.check(min(kinds) > ACKS / 10, "domain events of both kinds: %s"
               % kinds)
    print("%d domain events of %d exchanges" % (len(made), len(due)))


def verdict(case, matapalo, log, first, sent, kills):
    acks = read_acks(log)
    on_disk = answered_numbers(matapalo)
    strict_lost = sorted(n for n in acks["P"] if n not in on_disk)
    case.equal(strict_lost[:10], [], "%d acknowledged strict exchanges lost"
               % len(strict_lost))
    bounded_lost = sum(1 for n in acks["G"] if n not in on_disk)
    # A commit window is 50 ms; half of the load is bounded; a kill may cost
    # one window, and a busy machine stretches it: twice that is the limit.
    allowed = kills * (int(RATE * 0.05) + CONNECTIONS)
    case.check(bounded_lost <= allowed, "%d bounded exchanges lost, one "
               "commit window per kill is %d" % (bounded_lost, allowed))
    invented = [n for n in on_disk if not first <= n < first + sent]
    case.equal(invented[:5], [], "events of requests that nobody sent")
    print("%d kills; acknowledged: %d strict, %d lost; %d bounded, %d lost"
          % (kills, len(acks["P"]), len(strict_lost), len(acks["G"]),
             bounded_lost))
    return len(acks["P"]) + len(acks["G"])


def all_kills(victim):
    for _ in range(KILLS):
        victim.kill_within(1.2)
        victim.start()
    if lib.is_sanitized():
        return          # the sanitizer wants to be loaded first
    for _ in range(ROUNDS):
        for point, passes in POINTS:
            victim.kill_at(point, passes)
            victim.start()
        for point, passes in AT_START:
            victim.kill_starting(point, passes)


def scenario(case):
    print("seed", SEED, "(set CRASH_SEED to repeat)")
    sys.stdout.flush()
    random.seed(SEED)
    victim, first = Victim(case, case.origin("legacy")), 1000000
    hammer = case.hammer(victim.port, victim.log, seconds=HAMMER_SECONDS,
                         connections=CONNECTIONS, rate=RATE, first=first,
                         timeout_ms=5000)
    all_kills(victim)
    lib.wait_for(lambda: acked_so_far(victim.log) / 10 > ACKS,
                 "%d acknowledgements" % ACKS, 60)
    hammer.signal(lib.signal.SIGTERM)
    case.equal(hammer.wait(), 0, "the load driver")
    matapalo = victim.process
    law(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status of the last life")
    totals = json.loads(hammer.out())
    sent = totals["acked"] + totals["refused"] + totals["broken"] + \
        CONNECTIONS
    acked = verdict(case, matapalo, victim.log, first, sent, victim.kills)
    case.check(acked >= ACKS, "%d acknowledged" % acked)
    case.equal(totals["crossed"], 0, "answers of somebody else")
    outcomes = opened_and_closed(case, matapalo)
    domain_events(case, matapalo)
    rows = matapalo.query("PRAGMA integrity_check")
    case.equal(rows, [("ok",)], "integrity_check")
    print("outcomes %s; %d requests broken by kills"
          % (outcomes, totals["broken"]))


lib.main(scenario, seconds=HAMMER_SECONDS + 90)
