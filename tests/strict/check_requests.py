# SPDX-License-Identifier: Apache-2.0
"""Hostile requests, one reading: what matapalo forwards is read the same by
the byte-recording origin, by every real origin that is installed, and by
its own event; the rest is refused and nothing of it is forwarded.

Usage: check_requests.py [EVERY [ORIGIN...]]: every EVERYth case goes to the
real origins (all go to the recording one).
"""
import base64
import collections
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import corpus  # noqa: E402
import judge  # noqa: E402
import origins  # noqa: E402
from judge import lib  # noqa: E402
from recorder import Recorder, line_of  # noqa: E402

Seen = collections.namedtuple("Seen", "lines behind waited statuses")


def verdict_problem(case, talk, lines, behind):
    """None, or what is wrong with matapalo's verdict on the case."""
    statuses = talk.statuses()
    if talk.endless:
        return "the connection never ends, answers %s" % statuses
    good = [s for s in statuses if s == 200]
    if len(good) != len(lines) + behind:
        return "%d requests read, %d answered" % (len(lines) + behind,
                                                  len(good))
    if case.want == corpus.REFUSE:
        if lines or behind or len(statuses) != 1 or \
                statuses[0] not in corpus.refusals(case):
            return "not refused: %s" % statuses
        body = talk.answers[0][1]       # none of it for HEAD
        if body and json.loads(body)["status"] != statuses[0]:
            return "another status in the body: %r" % talk.heard[:300]
    elif case.want == corpus.CUT:
        if lines or behind or (statuses and statuses != [400]):
            return "not cut: %s" % statuses
    elif case.want == corpus.FORWARD:
        if not lines or not behind:
            return "not forwarded: %s" % statuses
    elif not lines and not behind and not statuses and not talk.waited:
        return "no answer"
    return None


def recorded_run(case, cases):
    """All cases against the recording origin; what was read of each."""
    recorder = Recorder(case)
    matapalo = judge.matapalo(case, recorder.url)
    run = judge.Judge(matapalo.port, recorder.lines, quiet_s=0.1)
    seen, wrong = {}, []
    for number, each in enumerate(cases):
        flaws = len(recorder.flaws)
        talk, lines, behind = run.run(number, each)
        problem = verdict_problem(each, talk, lines, behind)
        if len(recorder.flaws) > flaws:
            problem = "not in normal form: %s" % recorder.flaws[flaws]
        if problem:
            wrong.append("%s (%s): %s" % (each.id, each.why, problem))
        seen[each.id] = Seen(lines, behind, talk.waited, talk.statuses())
    wrong += ["%s (%s): a part of it was forwarded" % (each.id, each.why)
              for each in leaked(cases, recorder)]
    for text in wrong[:50]:
        print("WRONG:", text)
    case.equal(len(wrong), 0, "cases with a wrong verdict")
    case.checks += len(cases)
    check_events(case, matapalo, recorder)
    rejected = matapalo.metrics()["matapalo_requests_rejected_total"]
    refused = sum(c.want == corpus.REFUSE for c in cases)
    case.check(rejected >= refused, "%d rejections counted of %d"
               % (rejected, refused))
    case.equal(matapalo.stop(), 0, "exit status")
    return seen


def leaked(cases, recorder):
    """Refused cases of which the origin saw a part all the same."""
    seen = set(re.findall(rb"(?i)\nX-Forwarded-For: 127\.1\.(\d+)\.(\d+)\r",
                          b"".join(recorder.partial)))
    numbers = {int(high) * 256 + int(low) for high, low in seen}
    return [c for n, c in enumerate(cases)
            if n in numbers and c.want == corpus.REFUSE]


def event_line(event):
    request = event["request"]
    body = request.get("body", "").encode()
    if "body_base64" in request:
        body = base64.b64decode(request["body_base64"])
    if request.get("truncated"):
        body = b""
    return line_of(request["method"].encode(), request["target"].encode(
        "utf-8", "surrogateescape"), body)


def check_events(case, matapalo, recorder):
    """The journal says exactly what the origin read, in that order."""
    want = recorder.lines()
    metrics = matapalo.metrics()
    total = int(metrics["matapalo_exchanges_answered_total"])
    events = matapalo.await_exchanges(total)
    got = [event_line(e) for e in events
           if e["outcome"] == "response" and e.get("answered_by") is None]
    case.equal(len(got), len(want), "events of what the origin read")
    for i, (a, b) in enumerate(zip(got, want)):
        if len(b) < 8192:
            case.check(a == b, "event %d says %s, the origin read %s"
                       % (i, a[:300], b[:300]))


def origin_run(case, origin, cases, seen):
    """The same cases in front of a real origin."""
    matapalo = judge.matapalo(case, origin.url)
    run = judge.Judge(matapalo.port, origin.lines, quiet_s=1)
    wrong, refused = [], collections.Counter()
    start = time.monotonic()
    for number, each in cases:
        was = seen[each.id]
        talk, lines, behind = run.run(number, each, half_close=was.waited)
        problem, by_origin = agreement(was, talk, lines, behind)
        for status in by_origin:
            refused[status] += 1
        if problem:
            wrong.append("%s: %s" % (each.id, problem))
    print("%-22s %5d messages, %3d refused by it %s, %d disagreements, "
          "%.1f s" % (origin.name, len(cases), sum(refused.values()),
                      dict(refused), len(wrong), time.monotonic() - start),
          flush=True)
    for text in wrong[:40]:
        print("DISAGREES:", origin.name, text)
    case.checks += len(cases)
    case.equal(matapalo.stop(), 0, "exit status")
    return len(wrong)


def agreement(was, talk, lines, behind):
    """What the origin read must be what the recording origin read, less
    what it refused with an answer of its own."""
    missing, rest = [], list(lines)
    if talk.endless:
        return "the connection never ends: %s" % talk.statuses(), []
    for line in was.lines:
        if rest and merged(rest[0]) == merged(line):
            rest.pop(0)
        else:
            missing.append(line)
    if rest:
        return "read %s instead of %s" % (brief(lines), brief(was.lines)), []
    statuses = talk.statuses()
    refusals = [s for s in statuses if s != 200]
    # A question about the server itself is answered by the server.
    missing = [m for m in missing if m.split(" ")[1] != b"*".hex()]
    if len(missing) > len(refusals):
        return "of %s it read %s, answers %s" % (
            brief(was.lines), brief(lines), statuses), []
    if was.behind and not behind and not refusals:
        return "the next request was lost, answers %s" % statuses, []
    return None, refusals[:len(missing)]


def merged(line):
    """Servers that merge slashes, or keep the path apart from the query,
    tell the target in their own words."""
    method, target, body = line.split(" ")
    path, mark, query = bytes.fromhex(target).partition(b"?")
    mark = mark if query else b""
    return method, re.sub(b"//+", b"/", path) + mark + query, body


def brief(lines):
    def text(line):
        method, target, body = line.split(" ")
        body = "" if body == "-" else body
        return "%s %s +%d" % (bytes.fromhex(method).decode("latin-1"),
                              bytes.fromhex(target).decode("latin-1")[:60],
                              len(body) // 2)
    return [text(line) for line in lines[:5]]


def scenario(case):
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    start = time.monotonic()
    cases = list(corpus.cases())
    seen = recorded_run(case, cases)
    reached = [(i, c) for i, c in enumerate(cases)
               if seen[c.id].lines or seen[c.id].behind or
               c.want == corpus.CUT]
    print("%d messages: %d refused or cut, %d forwarded, %.1f s"
          % (len(cases), sum(not s.lines for s in seen.values()),
             sum(bool(s.lines) for s in seen.values()),
             time.monotonic() - start))
    sample = reached[::every] if every > 1 else reached
    disagreements, told = 0, []
    for origin in origins.start_all(case, sys.argv[2:]):
        told.append(origin.name)
        disagreements += origin_run(case, origin, sample, seen)
        origin.stop()
    print("real origins: %s" % ", ".join(told))
    case.equal(disagreements, 0, "disagreements")


lib.main(scenario, seconds=1200)
