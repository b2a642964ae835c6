# SPDX-License-Identifier: Apache-2.0
"""Promise D1, short form: SIGKILL under load, twenty times. Whatever was
acknowledged under `strict` is in the journal; nothing is there twice."""
import json
import os
import random
import socket
import sys

import lib

KILLS = int(os.environ.get("CRASH_KILLS", "20"))
RATE = int(os.environ.get("CRASH_RATE", "3000"))
CONNECTIONS = 8
SEED = int(os.environ.get("CRASH_SEED", random.randrange(1 << 30)))
# A sanitizer's process does less in the same time.
ACKS = 5000 if lib.is_sanitized() else 50000
TERMINAL = "matapalo.exchange.v1"
REQUEST = "matapalo.request.v1"


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


def one_life(case, matapalo, log, moment):
    """Lets acknowledgements flow, then kills at a random moment."""
    before = acked_so_far(log)
    lib.wait_for(lambda: acked_so_far(log) > before + 1000,
                 "acknowledgements after a restart")
    matapalo.popen.poll()
    try:
        matapalo.popen.wait(moment)
        raise lib.Failed("matapalo ended by itself: status %s"
                         % matapalo.popen.returncode)
    except lib.subprocess.TimeoutExpired:
        matapalo.kill_group()


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


def verdict(case, matapalo, log, first, sent):
    acks = read_acks(log)
    on_disk = answered_numbers(matapalo)
    strict_lost = sorted(n for n in acks["P"] if n not in on_disk)
    case.equal(strict_lost[:10], [], "%d acknowledged strict exchanges lost"
               % len(strict_lost))
    bounded_lost = sum(1 for n in acks["G"] if n not in on_disk)
    # A commit window is 50 ms; half of the load is bounded; a kill may cost
    # one window, and a busy machine stretches it: twice that is the limit.
    allowed = KILLS * (int(RATE * 0.05) + CONNECTIONS)
    case.check(bounded_lost <= allowed, "%d bounded exchanges lost, one "
               "commit window per kill is %d" % (bounded_lost, allowed))
    invented = [n for n in on_disk if not first <= n < first + sent]
    case.equal(invented[:5], [], "events of requests that nobody sent")
    print("%d kills; acknowledged: %d strict, %d lost; %d bounded, %d lost"
          % (KILLS, len(acks["P"]), len(strict_lost), len(acks["G"]),
             bounded_lost))
    return len(acks["P"]) + len(acks["G"])


def scenario(case):
    print("seed", SEED, "(set CRASH_SEED to repeat)")
    sys.stdout.flush()
    random.seed(SEED)
    origin = case.origin("legacy")
    data, port = case.path("data"), free_port()
    os.mkdir(data)
    listen, log = "127.0.0.1:%d" % port, case.path("acks")
    matapalo = case.matapalo(legacy=origin.url, data=data, listen=listen,
                             workers=2)
    first = 1000000
    hammer = case.hammer(port, log, seconds=150, connections=CONNECTIONS,
                         rate=RATE, first=first, timeout_ms=5000)
    for _ in range(KILLS):
        one_life(case, matapalo, log, random.uniform(0, 1.2))
        matapalo = case.matapalo(legacy=origin.url, data=data,
                                 listen=listen, workers=2)
    lib.wait_for(lambda: acked_so_far(log) / 10 > ACKS,
                 "%d acknowledgements" % ACKS, 60)
    hammer.signal(lib.signal.SIGTERM)
    case.equal(hammer.wait(), 0, "the load driver")
    case.equal(matapalo.stop(), 0, "exit status of the last life")
    totals = json.loads(hammer.out())
    sent = totals["acked"] + totals["refused"] + totals["broken"] + \
        CONNECTIONS
    acked = verdict(case, matapalo, log, first, sent)
    case.check(acked >= ACKS, "%d acknowledged" % acked)
    case.equal(totals["crossed"], 0, "answers of somebody else")
    outcomes = opened_and_closed(case, matapalo)
    rows = matapalo.query("PRAGMA integrity_check")
    case.equal(rows, [("ok",)], "integrity_check")
    print("outcomes %s; %d requests broken by kills"
          % (outcomes, totals["broken"]))


lib.main(scenario, seconds=240)
