# SPDX-License-Identifier: Apache-2.0
"""Promise D3: every write, fsync, truncate and open of the journal fails, each
in turn, with EIO, ENOSPC, EDQUOT or half of the bytes. Closed routes say 503,
open ones pass and leave a counted gap; nothing is acknowledged that is not
there; afterwards all goes on by itself."""
import errno
import json
import os

import lib
import strike
from faulty import law
from lib import Client

if lib.is_sanitized():
    lib.skip("a sanitizer wants to be loaded first")

LONG = bool(os.environ.get("DISK_ERRORS_LONG"))
BODY = b"x" * 60000     # recorded: a checkpoint comes after some hundred
GAP = "matapalo.gap.v1"


class Book:
    """A caller, and what it was told, by number."""

    def __init__(self, case, port):
        self.case, self.number, self.port = case, 0, port
        self.acked, self.refused, self.open = [], [], []
        self.cut_short, self.client = 0, None

    def request(self, method, target, body=None):
        """None when the answer was cut short: its event was not on disk
        when its last bytes were due."""
        self.number += 1
        self.client = self.client or Client(self.port)
        try:
            answer = self.client.request(method, target % self.number, body)
        except (EOFError, ConnectionError):
            answer = None
        if not answer or answer.get("Connection") == "close":
            self.client.close()
            self.client = None
        return answer

    def post(self, body=b"{}"):
        """True when acknowledged."""
        answer = self.request("POST", "/p?n=%d", body)
        if answer and answer.status == 200:
            self.acked.append(self.number)
            return True
        if answer:
            self.case.equal(answer.status, 503, "a closed route")
            self.case.equal(answer.get("Content-Type"),
                            "application/problem+json", "the 503")
        else:
            self.cut_short += 1
        self.refused.append(self.number)
        return False

    def get(self):
        answer = self.request("GET", "/g?n=%d")
        self.case.check(answer and answer.status == 200, "an open route")
        self.open.append(self.number)


def recovered(book):
    lib.wait_for(lambda: book.post(), "strict requests again", 10)


def small_load(book):
    for _ in range(3):
        book.post()
        book.get()
    book.get()


def each_in_turn(case, book, faults, point, how):
    """The n-th pass of the point fails, for every n up to the first run
    without a failure."""
    failures = 0
    for n in range(1, 1000):
        faults.arm(point, nth=n, **how)
        small_load(book)
        struck = faults.disarm()
        recovered(book)
        if not struck:
            break
        failures += struck
    case.check(failures > 0, "%s never failed" % point)
    return failures


def for_a_while(case, book, faults, point, how):
    """It fails and goes on failing; then the disk is well."""
    faults.arm(point, more=strike.FOR_EVER, **how)
    for _ in range(10):
        book.get()
    case.check(lib.wait_for(lambda: not book.post(), "a refusal"),
               "refused")
    small_load(book)
    faults.disarm()
    recovered(book)


def in_a_checkpoint(case, book, faults, point, how):
    """Nobody waits for a checkpoint, so nobody is told; it is made up for."""
    for n in (1, 2, 5) if LONG else (1, 2):
        if point.endswith("sync") and n > 1:
            break
        faults.arm(point, nth=n, **how)
        for _ in range(600):
            book.post(BODY)
            if faults.struck():
                break
        case.equal(faults.disarm(), 1, "%s failed" % point)
        book.post()
        recovered(book)


def all_hows():
    for number in strike.ERRORS:
        yield {"action": strike.FAIL, "number": number}


def hows(point):
    yield from all_hows()
    if point == "log-write":
        yield {"action": strike.SHORT}


def at_work(case, book, faults):
    total = 0
    for point in ("log-write", "log-sync"):
        for how in hows(point):
            total += each_in_turn(case, book, faults, point, how)
            for_a_while(case, book, faults, point, how)
    for point in ("db-write", "db-sync"):
        for how in list(hows(point))[:None if LONG else 1]:
            in_a_checkpoint(case, book, faults, point, how)
    return total


def starting(case, data, rules, faults):
    """A start on a bad disk ends with a message, or works."""
    ended, n = 0, 0
    for point in ("open", "log-write", "log-sync", "db-write", "rename"):
        for n in range(1, 100):
            faults.arm(point, strike.FAIL, nth=n)
            try:
                matapalo = case.matapalo(rules=rules, data=data,
                                         env=faults.environment)
            except lib.Failed:
                matapalo = case.processes[-1]
            struck = faults.disarm()
            if matapalo.alive():
                case.equal(matapalo.stop(), 0, "exit status")
            else:
                ended += 1
                case.check(struck, "ended without a failure")
                case.equal(matapalo.popen.returncode, 2, "exit status")
                case.check("journal.db" in matapalo.err() or
                           "run.json" in matapalo.err(), "says what failed")
            if not struck or not LONG and n >= 3:
                break
    return ended


def numbers(matapalo, method):
    rows = matapalo.query(
        "SELECT data ->> '$.request.target' FROM events WHERE type = "
        "'matapalo.exchange.v1' AND data ->> '$.outcome' = 'response' AND "
        "data ->> '$.request.method' = ?", method)
    found = [int(row[0].rsplit("=", 1)[1]) for row in rows]
    return found


def verdict(case, book, matapalo):
    posts, gets = numbers(matapalo, "POST"), numbers(matapalo, "GET")
    case.equal(len(posts), len(set(posts)), "an end each")
    lost = sorted(set(book.acked) - set(posts))
    case.equal(lost[:5], [], "%d false acknowledgements" % len(lost))
    case.equal(sorted(set(gets) - set(book.open))[:5], [], "invented")
    rows = matapalo.query("SELECT total(data ->> '$.count') FROM events "
                          "WHERE type = ?", GAP)
    missing = len(book.open) - len(gets)
    case.equal(int(rows[0][0]), missing, "the gaps' count")
    case.equal(matapalo.query("PRAGMA integrity_check"), [("ok",)],
               "integrity_check")
    return missing


def scenario(case):
    origin, faults = case.origin("legacy"), strike.Strike(case)
    rules = case.rules({
        "version": 1, "targets": {"legacy": {"url": origin.url}},
        "rules": []})
    data = case.path("data")
    os.mkdir(data)
    matapalo = case.matapalo(rules=rules, data=data,
                             env=faults.environment)
    book = Book(case, matapalo.port)
    recovered(book)
    total = at_work(case, book, faults)
    recovered(book)
    law(case, matapalo)
    metrics = matapalo.metrics()
    case.equal(matapalo.stop(), 0, "exit status")
    missing = verdict(case, book, matapalo)
    ended = starting(case, data, rules, faults)
    verdict(case, book, matapalo)
    print("%d calls failed in turn; %d acknowledged, 0 lost; %d refused; "
          "(%d cut short); %d open ones passed, %d in gaps; %d journal "
          "errors; %d of the starts ended"
          % (total, len(book.acked), len(book.refused),
             book.cut_short, len(book.open),
             missing, metrics["matapalo_journal_errors_total"], ended))


lib.main(scenario, seconds=600 if LONG else 200)
