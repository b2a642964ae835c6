# SPDX-License-Identifier: Apache-2.0
"""Moving an endpoint is editing one word: every stage, sticky shares, and
reloads that either work or change nothing."""
import json
import re
import signal
import socket

import lib
from lib import fetch

USERS = 400


def closed_port():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    return s, s.getsockname()[1]


def rules_of(legacy, new, dead_port, share="30%", moved="mirror"):
    return {
        "version": 1,
        "targets": {
            "legacy": {"url": legacy.url},
            "new": {"url": new.url},
            "dead": {"url": "http://127.0.0.1:%d" % dead_port}},
        "default": {"stage": "mirror"},
        "rules": [
            {"name": "plain", "match": {"path": "/plain"},
             "stage": "passthrough"},
            {"name": "moved", "match": {"path": "/moved/{rest...}"},
             "stage": moved, "target": "new"},
            {"name": "canary", "match": {"path": "/canary/{id}"},
             "stage": "canary", "target": "new", "share": share,
             "stick_to": "header:X-User"},
            {"name": "by-cookie", "match": {"path": "/by-cookie"},
             "stage": "canary", "target": "new", "share": "50%",
             "stick_to": "cookie:session"},
            {"name": "fallback", "match": {"path": "/fallback"},
             "stage": "migrated", "target": "dead",
             "on_failure": "legacy"},
            {"name": "gone", "match": {"path": "/gone"},
             "stage": "retired"},
            {"name": "by-header", "match": {
                "path": "/by-header", "header": {"X-Beta": "yes"}},
             "stage": "migrated", "target": "new"},
            {"name": "by-query", "match": {
                "path": "/by-query", "query": {"beta": "1"}},
             "stage": "migrated", "target": "new"},
            {"name": "by-host", "match": {
                "path": "/by-host", "host": "beta.example"},
             "stage": "migrated", "target": "new"},
            {"name": "by-method", "match": {
                "path": "/by-method", "method": "PUT"},
             "stage": "migrated", "target": "new"}]}


def who(port, target, fields=(), method="GET", **kw):
    answer = fetch(port, method, target, fields=fields, **kw)
    return answer.get("Origin-Name") or answer.status


def each_stage(case, port):
    case.equal(who(port, "/anything"), "legacy", "the default is legacy")
    case.equal(who(port, "/plain"), "legacy", "passthrough")
    case.equal(who(port, "/moved/1"), "legacy", "mirror")
    case.equal(who(port, "/fallback"), "legacy", "fallback to the legacy")
    case.equal(who(port, "/gone"), 410, "retired")
    for path in ("/by-header", "/by-query", "/by-host", "/by-method"):
        case.equal(who(port, path), "legacy", path + ": does not hold")
    case.equal(who(port, "/by-header", [("x-beta", "yes")]), "new", "header")
    case.equal(who(port, "/by-header", [("X-Beta", "no")]), "legacy",
               "another header value")
    case.equal(who(port, "/by-query?a=2&beta=1"), "new", "query")
    case.equal(who(port, "/by-query?beta=2"), "legacy", "another query")
    case.equal(who(port, "/by-host", host="beta.example:80"), "new", "host")
    case.equal(who(port, "/by-method", method="PUT"), "new", "method")
    for disguised in ("/%67one", "/x/../gone", "//gone", "/./gone"):
        case.equal(who(port, disguised), 410, "no way around a rule: "
                   + disguised)


def placed(port, users):
    """Who answers each user on the canary endpoint."""
    with lib.Client(port) as client:
        return {u: client.request(
            "GET", "/canary/%d" % i, fields=[("X-User", "u%d" % u)]
        ).get("Origin-Name") for i, u in enumerate(users)}


def part_moved(places):
    return sum(1 for x in places.values() if x == "new") / len(places)


def sticky_share(case, matapalo, reload_with):
    port, users = matapalo.port, range(USERS)
    at_30 = placed(port, users)
    case.check(0.2 < part_moved(at_30) < 0.4,
               "30%% share moved %.2f" % part_moved(at_30))
    case.equal(placed(port, users), at_30, "the same callers again")
    reload_with(share="60%")
    lib.wait_for(lambda: part_moved(placed(port, users)) > 0.45,
                 "the larger share")
    at_60 = placed(port, users)
    case.check(0.5 < part_moved(at_60) < 0.7,
               "60%% share moved %.2f" % part_moved(at_60))
    back = [u for u in users if at_30[u] == "new" and at_60[u] != "new"]
    case.equal(back, [], "callers who were moved back by a raise")
    reload_with(share="30%")
    lib.wait_for(lambda: part_moved(placed(port, users)) < 0.45,
                 "the smaller share")
    case.equal(placed(port, users), at_30, "places survive two reloads")
    by_cookie = {u: who(port, "/by-cookie",
                        [("Cookie", "a=b; session=s%d" % u)])
                 for u in range(60)}
    case.equal(sorted(set(by_cookie.values())), ["legacy", "new"],
               "both sides of a cookie canary")
    again = {u: who(port, "/by-cookie",
                    [("Cookie", "session=s%d; z=1" % u)])
             for u in range(60)}
    case.equal(again, by_cookie, "cookie callers stay")
    return at_30


def explained(case, matapalo, at_30):
    user = next(u for u, side in at_30.items() if side == "new")
    out = matapalo.command("explain", "GET", "/canary/1",
                           "-H", "X-User: u%d" % user)
    case.equal(out.returncode, 0, "explain: " + out.stderr)
    case.check("canary" in out.stdout and "new" in out.stdout,
               "explain names rule and target: " + out.stdout)
    found = re.search(r"(\d+(\.\d+)?) ?%", out.stdout)
    case.check(found, "explain gives a percentage: " + out.stdout)


def reloads(case, matapalo, good, write):
    port = matapalo.port
    write(dict(good, moved="migrated"))
    lib.wait_for(lambda: who(port, "/moved/1") == "new",
                 "a reload by file change")
    case.check(True, "file change reloads")
    write(dict(good, moved="mirror"))
    matapalo.signal(signal.SIGHUP)
    lib.wait_for(lambda: who(port, "/moved/1") == "legacy",
                 "a reload by SIGHUP")
    case.check(True, "SIGHUP reloads")


def refused_reload(case, matapalo, text, where):
    key = 'matapalo_rules_reloads_total{result="refused"}'
    before = matapalo.metrics()[key]
    case.rules(text)
    matapalo.signal(signal.SIGHUP)
    lib.wait_for(lambda: matapalo.metrics()[key] > before,
                 "the refusal of a bad file")
    case.check(re.search(r"rules\.json:%s" % where, matapalo.err()),
               "the log says where (%s)" % where)
    case.equal(who(matapalo.port, "/gone"), 410, "old rules go on")
    case.equal(who(matapalo.port, "/moved/1"), "legacy", "old stages too")
    out = lib.command("check", case.path("rules.json"))
    case.check(out.returncode != 0, "check refuses it too")
    case.check(re.search(r"rules\.json:%s" % where,
                         out.stdout + out.stderr), "check says where: " +
               out.stdout + out.stderr)


def under_load(case, matapalo, good, write):
    """Reloads while requests fly: none fails."""
    port = matapalo.port
    hammer = case.hammer(port, case.path("acks"), seconds=3, connections=4,
                         rate=2000)
    count = 0
    while hammer.alive():
        stage = "migrated" if count % 2 == 0 else "mirror"
        write(dict(good, moved=stage))
        matapalo.signal(signal.SIGHUP)
        want = "new" if count % 2 == 0 else "legacy"
        lib.wait_for(lambda: who(port, "/moved/1") == want, "reload %d"
                     % count)
        count += 1
    case.equal(hammer.wait(), 0, "the load driver")
    totals = json.loads(hammer.out())
    case.equal((totals["refused"], totals["broken"], totals["crossed"]),
               (0, 0, 0), "failed requests over %d reloads" % count)
    case.check(totals["acked"] > 500 and count >= 5,
               "%d requests, %d reloads" % (totals["acked"], count))


def recorded(case, matapalo):
    lib.wait_for(lambda: any(x["request"]["target"] == "/gone"
                             for x in matapalo.exchanges()), "events")
    routes = {}
    for x in matapalo.exchanges():
        routes.setdefault(x["route"]["rule"], x["route"])
    case.check("plain" not in routes, "passthrough leaves no event")
    case.equal(routes["canary"]["path"], "/canary/{id}", "path template")
    case.equal(routes["gone"]["stage"], "retired", "stage of the rule")
    case.equal(routes["fallback"]["rule"], "fallback", "fallback's rule")
    case.equal(routes["moved"]["stage"], "mirror", "stage at that time")


def scenario(case):
    legacy, new = case.origin("legacy"), case.origin("new")
    held, dead_port = closed_port()
    good = {"share": "30%", "moved": "mirror"}

    def write(options):
        return case.rules(rules_of(legacy, new, dead_port, **options))

    path = write(good)
    matapalo = case.matapalo(rules=path, workers=2)
    out = lib.command("check", path)
    case.equal(out.returncode, 0, "check: " + out.stdout + out.stderr)
    each_stage(case, matapalo.port)

    def reload_with(**changes):
        write(dict(good, **changes))
        matapalo.signal(signal.SIGHUP)
    at_30 = sticky_share(case, matapalo, reload_with)
    explained(case, matapalo, at_30)
    recorded(case, matapalo)
    reloads(case, matapalo, good, write)
    refused_reload(case, matapalo, '{\n "version": 1,\n "targets": {,}\n}',
                   "3:")
    refused_reload(case, matapalo, '{\n "version": 1,\n "targets": {\n'
                   '  "legacy": {"url": "http://127.0.0.1:1"}},\n'
                   ' "rules": [{"name": "x", "match": {"path": "/x"},\n'
                   '   "stage": "canery"}]}', "6:")
    write(good)
    under_load(case, matapalo, good, write)
    case.equal(matapalo.stop(), 0, "exit status")
    held.close()


lib.main(scenario)
