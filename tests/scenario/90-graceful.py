# SPDX-License-Identifier: Apache-2.0
"""SIGTERM under load: what was accepted is answered and recorded, the end is
announced, and the exit status is 0."""
import json
import signal
import time

import lib
from lib import Client, make_request


def in_flight(case, matapalo):
    """Requests that are being answered when the signal comes."""
    clients = [Client(matapalo.port) for _ in range(20)]
    idle = Client(matapalo.port)
    idle.request("GET", "/x?n=1")
    for i, client in enumerate(clients):
        method, path = (("GET", "/slow-head/600"), ("GET", "/slow-body/600"),
                        ("POST", "/slow-head/600"))[i % 3]
        client.send(make_request(method, path,
                                 b"x" if method == "POST" else None))
    seen = 'matapalo_upstream_connections_open'
    lib.wait_for(lambda: matapalo.metrics()[seen] >= 20,
                 "all requests to be at the origin")
    matapalo.signal(signal.SIGTERM)
    case.check(idle.is_closed(), "an idle connection is closed")
    for i, client in enumerate(clients):
        answer = client.read()
        case.equal(answer.status, 200, "request %d in flight" % i)
        case.check(client.is_closed(), "then the connection is closed")
        client.close()
    case.equal(matapalo.wait(10), 0, "exit status")
    rows = matapalo.query("SELECT count(*) FROM events WHERE type = "
                          "'matapalo.exchange.v1'")
    case.equal(rows[0][0], 21, "all of them are recorded")


def stop_under_load(case, origin, round_number):
    matapalo = case.matapalo(legacy=origin.url, workers=2)
    log = case.path("acks-%d" % round_number)
    hammer = case.hammer(matapalo.port, log, seconds=30, connections=8,
                         rate=4000, timeout_ms=3000)
    answered = "matapalo_exchanges_answered_total"
    lib.wait_for(lambda: matapalo.metrics()[answered] > 500, "load")
    start = time.monotonic()
    code = matapalo.stop(15)
    took = time.monotonic() - start
    case.equal(code, 0, "exit status under load")
    case.check(took < 5, "it took %.1f s" % took)
    hammer.signal(signal.SIGTERM)
    case.equal(hammer.wait(), 0, "the load driver")
    totals = json.loads(hammer.out())
    case.equal(totals["crossed"], 0, "answers of somebody else")
    with open(log) as f:
        acked = {int(line.split()[1]) for line in f}
    case.check(len(acked) >= 500, "%d acknowledged" % len(acked))
    rows = matapalo.query("SELECT data ->> '$.request.target' FROM events "
                          "WHERE type = 'matapalo.exchange.v1'")
    on_disk = {int(r[0].rsplit("=", 1)[1]) for r in rows}
    case.equal(sorted(acked - on_disk)[:5], [], "acknowledged, not on disk")
    # A request that was read was answered: what broke was never read, that
    # is, it has no event at all.
    answered_rows = matapalo.query(
        "SELECT count(*) FROM events WHERE type = 'matapalo.exchange.v1' "
        "AND data ->> '$.outcome' <> 'response'")
    case.equal(answered_rows[0][0], 0, "accepted requests that were lost")
    case.check(len(on_disk - acked) <= 8,
               "%d accepted requests without answer" % len(on_disk - acked))


def second_signal(case, origin):
    """Someone in a hurry: the second SIGTERM ends the drain."""
    matapalo = case.matapalo(legacy=origin.url)
    with Client(matapalo.port) as client:
        client.send(make_request("GET", "/slow-head/20000"))
        seen = 'matapalo_upstream_connections_open'
        lib.wait_for(lambda: matapalo.metrics()[seen] >= 1, "the request")
        matapalo.signal(signal.SIGTERM)
        time.sleep(0.2)
        matapalo.signal(signal.SIGTERM)
        matapalo.wait(8)
        case.check(True, "a second SIGTERM does not wait for the drain")


def scenario(case):
    origin = case.origin("legacy")
    in_flight(case, case.matapalo(legacy=origin.url))
    for round_number in range(3):
        stop_under_load(case, origin, round_number)
    second_signal(case, origin)


lib.main(scenario)
