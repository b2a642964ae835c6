# SPDX-License-Identifier: Apache-2.0
"""Keeping: backup under load and restore, verify, retention by size with a
group in the way, and the questions of docs/journal.md."""
import json
import os
import re
import threading

import lib
from lib import Client, fetch

DIGEST = ("SELECT sequence, id, time, type, subject, source, correlationid,"
          " data FROM events WHERE sequence <= ? ORDER BY sequence")


class Load:
    """Calls, one after another on a connection, until it is stopped."""

    def __init__(self, port):
        self.port, self.count, self.failed = port, 0, 0
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(4)]
        for thread in self.threads:
            thread.start()

    def run(self):
        with Client(self.port) as client:
            while not self.stopped.is_set():
                answer = client.request("POST", "/orders?n=%d" % self.count,
                                        b"x" * 2000)
                self.count += 1
                self.failed += answer.status != 200

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def backup_under_load(case, matapalo):
    load = Load(matapalo.port)
    target = os.path.join(case.dir, "copy.db")
    try:
        lib.wait_for(lambda: load.count > 500, "some traffic", 60)
        out = matapalo.command("backup", "--to", target)
    finally:
        load.stop()
    case.equal(out.returncode, 0, out.stdout + out.stderr)
    case.equal(load.failed, 0, "calls that failed meanwhile")
    mark = int(out.stdout.split("exact up to event ")[1].split()[0])
    case.check(mark > 500, "marked at %d" % mark)
    case.equal(os.listdir(case.dir).count("copy.db.partial"), 0, "no rest")
    restored = os.path.join(case.dir, "restored")
    back = lib.command("restore", "--from", target, "--data", restored)
    case.equal(back.returncode, 0, back.stdout + back.stderr)
    other = lib.sqlite3.connect(os.path.join(restored, "journal.db"))
    copies = other.execute(DIGEST, (mark + 1000000,)).fetchall()
    other.close()
    case.equal(len(copies), mark, "events in the copy")
    case.check(copies == matapalo.query(DIGEST, mark), "equal event sets")
    again = lib.command("restore", "--from", target, "--data", restored)
    case.equal(again.returncode, 2, "a directory that holds something")
    case.check("holds journal.db" in again.stderr, again.stderr)
    again = matapalo.command("backup", "--to", target)
    case.equal(again.returncode, 1, "a file that exists")
    return restored


def verify(case, matapalo):
    out = matapalo.command("verify", "--json")
    report = json.loads(out.stdout)
    case.equal((out.returncode, report["fault_count"]), (0, 0), out.stdout)
    case.equal(report["structure_checked"], False, "a process writes")
    out = matapalo.command("verify", "--full")
    case.equal(out.returncode, 0, out.stdout + out.stderr)
    out = lib.command("verify", "--file", os.path.join(case.dir, "copy.db"))
    case.check("no fault" in out.stdout, out.stdout)


def restored_serves(case, origin, restored):
    matapalo = case.matapalo(legacy=origin.url, data=restored)
    before = matapalo.status()["journal"]["last_sequence"]
    case.equal(fetch(matapalo.port, "GET", "/").status, 200, "a call")
    lib.wait_for(lambda: matapalo.status()["journal"]["last_sequence"] >
                 before, "the restored journal to go on")
    case.equal(matapalo.stop(), 0, "exit status")


def over_the_limit(case, matapalo, origin, data):
    """A group that never comes keeps what it needs; the operator is told,
    and may decide otherwise."""
    consume = matapalo.command("consume", "--group", "slow", "--exec", "true",
                               "--from", "oldest", "--limit", "2")
    case.equal(consume.returncode, 0, consume.stderr)
    matapalo.stop()
    size = os.path.getsize(os.path.join(data, "journal.db"))
    case.check(size > 2 << 20, "more than the limit: %d" % size)
    matapalo = case.matapalo(args=["--retain-size", "1"], legacy=origin.url,
                             data=data)
    journal = lib.wait_for(lambda: over(matapalo), "the warning")
    case.check("group slow" in journal["held_by"], journal["held_by"])
    code, text = matapalo.get_admin("/readyz", token=None)
    case.equal(code, 200, "ready all the same")
    case.check("warning: the journal is over" in text, text)
    case.equal(matapalo.metrics()["matapalo_journal_over_limit"], 1, "gauge")
    case.equal(matapalo.query("SELECT first, last FROM gaps"), [(2, 2)],
               "only what is settled and no dead letter is gone")
    case.check("journal.over-limit" in matapalo.err(), "the log")
    matapalo.stop()
    matapalo = case.matapalo(args=["--retain-size", "1", "--retain-full", "drop"],
                             legacy=origin.url, data=data)
    lib.wait_for(lambda: matapalo.query(
        "SELECT min(first) FROM gaps WHERE kind = 'forced'") == [(10,)],
        "what is dropped to be noted")
    lib.wait_for(lambda: matapalo.status()["journal"]["used_bytes"] <=
                 1 << 20, "the size")
    case.equal(over(matapalo), None, "no warning")
    case.equal(matapalo.query("SELECT count(*) FROM events WHERE sequence"
                              " BETWEEN 3 AND 9"), [(7,)], "what is held")
    out = matapalo.command("verify")
    case.equal(out.returncode, 0, out.stdout)
    return matapalo


def over(matapalo):
    journal = matapalo.status()["journal"]
    return journal if journal["over_limit"] else None


def holds(case, matapalo):
    """Added, listed and removed; each is an event and in the views."""
    def hold(*args):
        return matapalo.command("hold", *args)
    out = hold("add", "case-7", "--from", "3", "--to", "9", "--reason",
               "court order 7/26")
    case.equal(out.returncode, 0, out.stdout + out.stderr)
    case.equal(hold("add", "case-7", "--from", "4").returncode, 1, "taken")
    case.equal(hold("add", "o", "--type", "shop.*").returncode, 0, "a filter")
    case.equal(hold("add", "p", "--from", "9", "--to", "3").returncode, 1,
               "an empty range")
    case.equal(hold("add", "p", "--from", "x").returncode, 2, "no number")
    case.equal(hold("remove", "p").returncode, 1, "nobody's hold")
    lines = [json.loads(x) for x in hold("list", "--json").stdout.split("\n")
             if x]
    case.equal([x["name"] for x in lines], ["case-7", "o"], "list")
    case.check("court order" in hold("list").stdout, "a table")
    case.equal(hold("remove", "o").returncode, 0, "removed")
    case.equal(matapalo.query("SELECT name, first, last FROM holds"),
               [("case-7", 3, 9)], "the view")
    rows = matapalo.query("SELECT data FROM events WHERE type ="
                          " 'matapalo.hold.v1' ORDER BY sequence")
    case.equal([(json.loads(d)["action"], json.loads(d)["name"])
                for d, in rows], [("added", "case-7"), ("added", "o"),
                                  ("removed", "o")], "audited")


def questions(case, matapalo):
    """Every example of docs/journal.md, as it stands there."""
    with open(os.path.join(lib.SOURCE, "docs", "journal.md")) as f:
        text = f.read()
    found = re.findall(r'^    sqlite3 -readonly DIR/journal\.db "(.*?)"$',
                       text, re.M | re.S)
    case.check(len(found) >= 11, "%d examples" % len(found))
    rows = {sql: matapalo.query(sql) for sql in found}
    for sql, got in rows.items():
        empty = ("FROM gaps ORDER" in sql or "lag(sequence" in sql or
                 "<> 'response'" in sql)
        case.equal(not got, empty, "an answer to " + sql)
    def answer(words):
        return [r for sql, r in rows.items() if words in sql][0]
    case.equal([(r[2], r[4]) for r in answer("'$.request.body'")],
               [("PUT", "paid")], "who changed order 7")
    case.equal([r[2] for r in answer("correlationid =")],
               ["matapalo.request.v1", "matapalo.exchange.v1"], "an exchange")
    case.equal([r[2] for r in answer("causationid = (")],
               ["matapalo.exchange.v1"], "an effect")
    case.equal([(r[1], r[2]) for r in answer("0af7651916cd43dd")],
               [("matapalo.request.v1", "PUT /orders/7"),
                ("matapalo.exchange.v1", "PUT /orders/7")], "a trace")
    case.equal([r[7] for r in answer("AS numbers")], [7], "what is held")
    case.equal([r[0] for r in answer("FROM dead_letters")], ["hopeless"],
               "dead letters")


def traffic(case, matapalo):
    """What the questions are about."""
    case.equal(fetch(matapalo.port, "PUT", "/orders/7", b"paid", [
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-"
         "b7ad6b7169203331-01")]).status, 200, "a change")
    fetch(matapalo.port, "GET", "/orders/7?full=1")
    out = matapalo.command("consume", "--group", "hopeless", "--exec", "false",
                           "--max-attempts", "1", "--limit", "1")
    case.equal(out.returncode, 0, out.stderr)
    lib.wait_for(lambda: matapalo.query("SELECT 1 FROM dead_letters"),
                 "a dead letter")


def scenario(case):
    origin = case.origin()
    data = os.path.join(case.dir, "data")
    os.mkdir(data)
    matapalo = case.matapalo(legacy=origin.url, data=data, workers=2)
    restored = backup_under_load(case, matapalo)
    verify(case, matapalo)
    restored_serves(case, origin, restored)
    holds(case, matapalo)
    traffic(case, matapalo)
    questions(case, matapalo)
    case.equal(matapalo.command("groups", "delete", "hopeless",
                                "--force").returncode, 0, "out of the way")
    matapalo = over_the_limit(case, matapalo, origin, data)
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario, seconds=180)
