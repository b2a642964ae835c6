# SPDX-License-Identifier: Apache-2.0
"""The operator's side: probes, token, metrics, status, and the law that
answered = recorded + dropped, whatever happened to the exchanges."""
import json
import os
import shutil
import stat
import subprocess

import lib
from lib import Client, fetch, make_request

OPEN = ("/healthz", "/readyz")
GUARDED = ("/metrics", "/status")


def access(case, matapalo):
    for path in OPEN:
        case.equal(matapalo.get_admin(path, token=None)[0], 200, path)
    for path in GUARDED:
        case.equal(matapalo.get_admin(path, token=None)[0], 401,
                   path + " without token")
        for wrong in ("x", "", matapalo.token()[:-1],
                      matapalo.token() + "x"):
            case.equal(matapalo.get_admin(path, token=wrong)[0], 401,
                       path + " with a wrong token")
        case.equal(matapalo.get_admin(path)[0], 200, path + " with token")
    case.equal(matapalo.get_admin("/absent")[0], 404, "unknown path")
    host, port = matapalo.admin.rsplit(":", 1)
    case.equal(host, "127.0.0.1", "loopback")
    with Client(int(port)) as client:
        case.equal(client.request("GET", "/healthz").status, 421,
                   "a foreign Host (DNS rebinding) is refused")
    with Client(int(port)) as client:
        answer = client.request("DELETE", "/status", host=matapalo.admin)
        case.check(answer.status in (401, 405), "DELETE is refused")
    for name in ("admin.token", "journal.db", "run.json"):
        mode = os.stat(os.path.join(matapalo.data, name)).st_mode
        case.equal(stat.S_IMODE(mode) & 0o077, 0, name + " is private")


def metrics_text(case, matapalo):
    code, text = matapalo.get_admin("/metrics")
    case.equal(code, 200, "metrics")
    seen, current = set(), None
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            current = line.split()[2]
            case.check(current not in seen, current + " is typed once")
            seen.add(current)
        elif line and not line.startswith("#"):
            name = line.split("{")[0].split(" ")[0]
            case.check(name in seen, name + " has a type")
            float(line.rsplit(" ", 1)[1])
    case.check("matapalo_exchanges_answered_total" in seen, "the main one")
    promtool = shutil.which("promtool")
    if promtool:
        out = subprocess.run([promtool, "check", "metrics"], input=text,
                             text=True, capture_output=True)
        case.equal(out.returncode, 0, "promtool: " + out.stdout + out.stderr)


def by_rule(case, matapalo):
    m = matapalo.metrics()
    case.equal(m['matapalo_rule_requests_total{rule="plain"}'], 10, "plain")
    case.equal(m['matapalo_rule_answered_total{rule="plain",by="legacy"}'],
               10, "by the legacy")
    gone = 'matapalo_rule_answered_total{rule="gone",by="matapalo"}'
    case.equal(m[gone], 2, "by matapalo")
    case.check(m['matapalo_rule_errors_total{rule="default"}'] >= 4,
               "errors of the default rule")
    case.check('matapalo_group_lag_events{group="matapalo.shadow"}' in m,
               "lag of a group")
    before = len(m)
    for i in range(200):        # H15: callers make no series
        with Client(matapalo.port) as client:
            client.request("M%d" % i, "/plain/%d" % i, host="h%d.test" % i)
    case.equal(len(matapalo.metrics()), before, "series by callers")


def law(metrics):
    dropped = sum(v for k, v in metrics.items()
                  if k.startswith("matapalo_exchanges_dropped_total"))
    return (metrics["matapalo_exchanges_answered_total"],
            metrics["matapalo_exchanges_recorded_total"], dropped)


def traffic(case, port):
    """Every way an exchange can end; returns how many were recorded."""
    n = 0
    for path in ("/echo", "/status/404", "/chunked/9000", "/close-before",
                 "/close-mid/9000", "/reset", "/gone"):
        for method, body in (("GET", None), ("POST", b"x")):
            with Client(port) as client:
                client.send(make_request(method, path, body))
                client.to_end() if "mid" in path else client.read()
            n += 1
    for _ in range(5):
        client = Client(port)
        client.send(make_request("GET", "/slow-head/300"))
        client.reset()
    for _ in range(10):
        fetch(port, "GET", "/plain")
    with Client(port) as client:
        client.send(b"NOT HTTP\r\n\r\n")
        client.to_end()
    return n


def conservation(case, matapalo, at_least):
    def settled():
        answered, recorded, dropped = law(matapalo.metrics())
        return answered == recorded + dropped and answered >= at_least + 10
    lib.wait_for(settled, "answered = recorded + dropped (%s)"
                 % (law(matapalo.metrics()),))
    answered, recorded, dropped = law(matapalo.metrics())
    case.equal(answered, recorded + dropped, "conservation")
    case.equal(dropped, 10, "only passthrough was dropped")
    rows = matapalo.query("SELECT count(*), count(DISTINCT correlationid) "
                          "FROM events WHERE type = 'matapalo.exchange.v1'")
    case.equal(rows[0], (recorded, recorded), "events on disk")
    outcomes = {x["outcome"] for x in matapalo.exchanges()}
    case.check("response" in outcomes and "aborted" in outcomes,
               "outcomes %s" % outcomes)


def status(case, matapalo):
    value = matapalo.status()
    case.check(isinstance(value, dict) and value, "status is an object")
    out = matapalo.command("status", "--json")
    case.equal(out.returncode, 0, "status --json: " + out.stderr)
    case.equal(sorted(json.loads(out.stdout)), sorted(value),
               "the command shows the same members")
    out = matapalo.command("status")
    case.equal(out.returncode, 0, "status: " + out.stderr)
    case.check("gone" in out.stdout, "status names the rules")


def wrong_usage(case):
    for args in (["run", "--nonsense"], ["run", "--listen", "nowhere"],
                 ["frobnicate"], ["check"],
                 ["check", case.path("absent.json")],
                 ["run", "--rules", case.path("absent.json"), "--data",
                  case.path("d")]):
        out = lib.command(*args)
        case.equal(out.returncode, 2, "exit status of %s" % args)
        case.check(out.stderr, "a message for %s" % args)
    out = lib.command("--help")
    case.equal(out.returncode, 0, "--help")
    for command in ("run", "check", "explain", "status", "tail", "consume",
                    "dlq"):
        case.check(command in out.stdout, "help names " + command)


def scenario(case):
    origin = case.origin("legacy")
    rules = {
        "version": 1, "targets": {"legacy": {"url": origin.url}},
        "rules": [{"name": "plain", "match": {"path": "/plain"},
                   "stage": "passthrough"},
                  {"name": "gone", "match": {"path": "/gone"},
                   "stage": "retired"}]}
    matapalo = case.matapalo(rules=case.rules(rules), workers=2)
    access(case, matapalo)
    n = traffic(case, matapalo.port)
    conservation(case, matapalo, n)
    metrics_text(case, matapalo)
    by_rule(case, matapalo)
    status(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")
    case.check(not os.path.exists(os.path.join(matapalo.data, "run.json")),
               "run.json is gone after a graceful stop")
    wrong_usage(case)


lib.main(scenario)
