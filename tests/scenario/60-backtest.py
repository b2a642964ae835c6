# SPDX-License-Identifier: Apache-2.0
"""`backtest`: a candidate is asked what was asked before, in each caller's
order and no faster than told, and scored as a shadow is; and `check --against
recorded`: which calls of the past would go elsewhere."""
import json
import socket
import threading
import time

import lib

EACH = 20	# requests of each caller
CALLERS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")


class Candidate:
    """Answers as the legacy did, but for what is broken."""

    def __init__(self, case, broken=""):
        self.lock, self.seen, self.broken = threading.Lock(), [], broken
        self.now, self.most, self.overlap = [], 0, False
        self.app = lib.App(case, self.answer)
        self.url = self.app.url

    def answer(self, method, path, headers, _body):
        caller = headers.get("x-forwarded-for")
        with self.lock:
            self.seen.append((caller, method, path, headers.get(
                "matapalo-shadow"), headers.get("matapalo-backtest")))
            self.overlap |= caller in self.now
            self.now.append(caller)
            self.most = max(self.most, len(self.now))
        time.sleep(0.005)
        with self.lock:
            self.now.remove(caller)
        return legacy(method, path, self.broken)


def legacy(method, path, broken=""):
    number = path.rsplit("/", 1)[1]
    if broken and number == broken:
        return 200, {"id": number, "price": 2, "at": 2}
    return 200, {"id": number, "price": 1, "at": 1 if not broken else 2}


def ask(port, address, method, path):
    with lib.Client(port) as client:
        client.socket.close()
        client.socket = socket.create_connection(
            ("127.0.0.1", port), 20, source_address=(address, 0))
        return client.request(method, path, b"{}" if method == "POST"
                              else None)


def record(case, rules):
    app = lib.App(case, lambda method, path, *_: legacy(method, path))
    matapalo = case.matapalo(rules=rules(app.url))
    for n in range(EACH):
        for address in CALLERS:
            case.equal(ask(matapalo.port, address, "GET", "/things/%d" % n)
                       .status, 200, "recorded")
    for n in range(3):
        ask(matapalo.port, CALLERS[0], "POST", "/things/%d" % (100 + n))
    matapalo.await_exchanges(EACH * len(CALLERS) + 3)
    return matapalo


def backtest(case, matapalo, candidate, *args, status=0):
    done = matapalo.command("backtest", "--target", candidate.url, "--json",
                            *args)
    case.equal(done.returncode, status, done.stdout[-300:] + done.stderr)
    return json.loads(done.stdout) if status < 2 else done.stderr


def in_order(case, candidate):
    for address in CALLERS:
        numbers = [int(path.rsplit("/", 1)[1]) for caller, method, path, *_
                   in candidate.seen if caller == address]
        case.equal(numbers, sorted(numbers), "order of " + address)
    case.equal({row[3:] for row in candidate.seen}, {("1", "1")}, "marked")
    case.check(not candidate.overlap, "one of a caller at a time")


def same(case, matapalo):
    good = Candidate(case)
    said = backtest(case, matapalo, good, "--rate", "0", "--require", "100%")
    n = EACH * len(CALLERS)
    case.equal((said["samples"], said["matches"], said["passed"],
                said["skipped_unsafe"], len(good.seen)),
               (n, n, True, 3, n), "all alike, none unsafe")
    case.check(0.9 < said["lower_bound"] < 1, "the bound")
    in_order(case, good)
    case.check(good.most > 1, "callers side by side")
    unsafe = Candidate(case)
    said = backtest(case, matapalo, unsafe, "--rate", "0", "--unsafe",
                    "--parallel", "1")
    case.equal((said["samples"], unsafe.most), (n + 3, 1), "unsafe, too")
    in_order(case, unsafe)


def slower(case, matapalo):
    candidate = Candidate(case)
    begun = time.monotonic()
    said = backtest(case, matapalo, candidate, "--rate", "40", "--to", "20",
                    "--rule", "things")
    took = time.monotonic() - begun
    case.check(said["samples"] >= 15 and
               took > (said["samples"] - 1) / 40, "the rate is kept: %d in "
               "%.2f s" % (said["samples"], took))


def different(case, matapalo, rules):
    bad = Candidate(case, broken="7")
    said = backtest(case, matapalo, bad, "--rate", "0", status=0)
    case.equal(said["matches"], 0, "`at` differs everywhere")
    said = backtest(case, matapalo, bad, "--rate", "0", "--rules",
                    rules("http://127.0.0.1:9"), "--require", "99%",
                    status=1)
    case.equal((said["samples"] - said["matches"], said["passed"]),
               (len(CALLERS), False), "only one thing is broken")
    rule = said["report"]["rules"][0]
    clusters = [c for e in rule["endpoints"] for c in e["clusters"]]
    case.equal([(c["pointer"], c["kind"], c["count"]) for c in clusters],
               [("/price", "value", len(CALLERS))], "where")
    correlation = clusters[0]["examples"][0]["exchange"] \
        if "exchange" in clusters[0]["examples"][0] else \
        clusters[0]["examples"][0]["correlationid"]
    case.equal(matapalo.query("SELECT path FROM exchanges WHERE "
                              "correlationid = ?", correlation),
               [("/things/7",)], "the example")
    done = matapalo.command("backtest", "--target", bad.url, "--rate", "0",
                            "--require", "90%")
    case.check(done.returncode == 1 and "/price" in done.stdout and
               "REFUSED" in done.stdout, done.stdout)


def refused(case, matapalo):
    for args, word in ((("--require", "many"), "--require"),
                       (("--from", "soon"), "--from"),
                       (("--rate", "x"), "--rate")):
        done = matapalo.command("backtest", "--target", "http://127.0.0.1:9",
                                *args)
        case.check(done.returncode == 2 and word in done.stderr, done.stderr)
    done = matapalo.command("backtest")
    case.check(done.returncode == 2 and "--target" in done.stderr,
               done.stderr)
    said = backtest(case, matapalo, Gone(), "--rate", "0", "--require", "1%",
                    status=1)
    case.equal(said["matches"], 0, "nobody there is a failure")


class Gone:
    url = "http://127.0.0.1:9"


def recorded(case, matapalo, app):
    moved = case.rules({
        "version": 1, "targets": {"legacy": {"url": app},
                                  "new": {"url": app},
                                  "orders": {"command": "x.y.v1"}},
        "rules": [
            {"name": "sevens", "match": {"path": "/things/7"},
             "stage": "migrated", "target": "new"},
            {"name": "writes", "match": {"method": "POST",
                                         "path": "/things/{id}"},
             "stage": "migrated", "target": "orders"}]}, "moved.json")
    done = lib.command("check", moved, "--against", "recorded", "--data",
                       matapalo.data)
    case.equal(done.returncode, 0, done.stderr)
    case.check("%d of %d recorded calls would go elsewhere"
               % (len(CALLERS) + 3, EACH * len(CALLERS) + 3) in done.stdout,
               done.stdout)
    rows = [line.split() for line in done.stdout.splitlines()
            if line.endswith(tuple("0123456789abcdef")) and "-" in line]
    case.equal(sorted(row[:-1] for row in rows if len(row) == 7), [
        ["3", "sevens", "GET", "/things/7", "legacy", "new"],
        ["3", "writes", "POST", "/things/{id}", "legacy", "orders"]],
        "by rule and endpoint")
    for row in rows:
        if len(row) == 7:
            case.equal(len(matapalo.query(
                "SELECT 1 FROM exchanges WHERE correlationid = ?", row[6])),
                1, "the example is one")
    done = lib.command("check", moved, "--against", "recorded", "--data",
                       matapalo.data, "--from", "newest")
    case.check("of 1 recorded calls" in done.stdout, done.stdout)


def scenario(case):
    def rules(url):
        return case.rules({
            "version": 1, "targets": {"legacy": {"url": url}},
            "rules": [{"name": "things", "match": {"path": "/things/{id}"},
                       "compare": {"ignore": ["/at"]}}]})
    matapalo = record(case, rules)
    same(case, matapalo)
    slower(case, matapalo)
    different(case, matapalo, rules)
    refused(case, matapalo)
    recorded(case, matapalo, "http://127.0.0.1:9")
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario)
