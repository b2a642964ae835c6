# SPDX-License-Identifier: Apache-2.0
"""`matapalo diff`: rules, endpoints, clusters and examples, as a table, as
JSON by its schema, side by side, and as a page that no body or path can put
markup into; next to a running process, offline, and after kill -9."""
import html.parser
import json
import os

import lib
import schemas
from lib import Client

EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>&\"'"
TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3",
        "p", "span", "b", "table", "tr", "th", "td", "details", "summary"}
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class"}


def legacy_answer(method, path, headers, body):
    if path.startswith("/any/nothing"):
        return 404, {"error": "no"}
    return 200, {"id": path.rsplit("/", 1)[1], "note": EVIL,
                 "items": [{"price": 1}, {"price": 2}],
                 EVIL: 1, "pin": "canary-legacy", "at": 1}


def candidate_answer(method, path, headers, body):
    if path.startswith("/any/nothing"):
        return 404, {"error": "no"}
    n = path.rsplit("/", 1)[1]
    if path.startswith("/same/"):
        return legacy_answer(method, path, headers, body)
    return 200, {"id": n, "note": EVIL + "!", "pin": "canary-candidate",
                 "items": [{"price": 1}, {"price": 3}], EVIL: 2, "at": 2}


class Page(html.parser.HTMLParser):
    def __init__(self, case):
        super().__init__()
        self.case = case
        self.text, self.depth = [], 0

    def handle_starttag(self, tag, attrs):
        self.case.check(tag in TAGS, "an element <%s>" % tag)
        for name, value in attrs:
            self.case.check(name in ATTRIBUTES, "an attribute %s" % name)
        self.depth += tag != "meta"

    def handle_endtag(self, tag):
        self.depth -= 1

    def handle_data(self, data):
        self.text.append(data)


def report(case, matapalo, *args):
    out = matapalo.command("diff", "--json", *args)
    case.equal(out.returncode, 0, "diff --json: " + out.stderr)
    value = json.loads(out.stdout)
    if schemas.jsonschema:
        schemas.validators()["urn:matapalo:schema:diff:v1"].validate(value)
    return value


def by_name(value):
    return {r["rule"]: {e["endpoint"]: e for e in r["endpoints"]}
            for r in value["rules"]}


def call_all(case, matapalo):
    with Client(matapalo.port) as client:
        for n in range(100, 110):
            client.request("GET", "/same/%d" % n)
            client.request("GET", "/any/users/%d?q=%%3Cb%%3E" % n)
            client.request("GET", "/any/nothing%d" % n)
        client.request("GET", "/any/<script>alert(1)</script>")

    def counted():
        sums = matapalo.status()["shadow"]["rules"]
        return sum(r["samples"] for r in sums) == 31
    lib.wait_for(counted, "31 verdicts", 20)


def numbers(case, matapalo):
    value = report(case, matapalo)
    found = by_name(value)
    same = found["same"]["GET /same/{id}"]
    case.equal((same["samples"], same["matches"], same["clusters"]),
               (10, 10, []), "the rule's template")
    case.equal(same["latency"]["pairs"], 10, "latencies of pairs")
    users = found["any"]["GET /any/users/{id}"]
    case.equal((users["samples"], users["differences"]), (10, 10), "by path")
    case.equal(found["any"]["GET (not found)"]["samples"], 10, "no endpoint")
    places = {(c["pointer"], c["kind"]): c for c in users["clusters"]}
    prices = places[("/items/*/price", "value")]
    case.equal(prices["count"], 10, "indices are folded")
    case.check(2 <= len(prices["examples"]) <= 5, "a few examples")
    case.check(prices["first_us"] < prices["last_us"], "first and last")
    case.check(("/at", "value") not in places, "what is ignored")
    only = report(case, matapalo, "--rule", "any", "--path", "users")
    case.equal([list(e) for e in by_name(only).values()],
               [["GET /any/users/{id}"]], "--rule and --path")
    return prices["examples"][0]["exchange"]


def table(case, matapalo):
    out = matapalo.command("diff")
    case.equal(out.returncode, 0, "diff: " + out.stderr)
    for words in ("GET /same/{id}", "100.00 %", "/items/*/price", "P99"):
        case.check(words in out.stdout, words + " in " + out.stdout)


def side_by_side(case, matapalo, exchange):
    out = matapalo.command("diff", "--example", exchange)
    case.equal(out.returncode, 0, "--example: " + out.stderr)
    lines = {tuple(line.split()[:2]) for line in out.stdout.splitlines()}
    case.check(("!", "/items/1/price") in lines, "marked: " + out.stdout)
    case.check(("~", "/at") in lines, "unlike, but ignored: " + out.stdout)
    case.check(("/items/0/price", "1") in lines, "equal: " + out.stdout)
    case.check("canary" not in out.stdout, "secrets stay digests")
    case.check("redacted:" in out.stdout, "as digests")
    out = matapalo.command("diff", "--example",
                           "01890a5d-ac96-774b-bcce-b302099a8057")
    case.equal(out.returncode, 1, "an unknown exchange")


def why(case, matapalo, rules, exchange):
    with open(rules, encoding="utf-8") as f:
        line = 1 + [n for n, text in enumerate(f) if '"/at"' in text][-1]
    out = matapalo.command("diff", "--why", exchange)
    case.equal(out.returncode, 0, "--why: " + out.stderr)
    rows = {row.split()[0]: row for row in out.stdout.splitlines()
            if row.startswith(("/", "header:"))}
    case.check(rows["/items/1/price"].endswith("yes"), out.stdout)
    case.check('no: "ignore" "/at" (%s:%d)' % (rules, line) in rows["/at"],
               "by which entry, and where: " + rows["/at"])
    case.check("canary" not in out.stdout, "secrets stay digests")
    out = matapalo.command("diff", "--why", "any")
    case.equal(out.returncode, 0, "--why RULE: " + out.stderr)
    row = [r.split() for r in out.stdout.splitlines()
           if r.startswith("ignore")][0]
    case.check(row[:3] == ["ignore", "/at", "(%s:%d)" % (rules, line)]
               and int(row[3]) > 1, "sums of an entry: " + out.stdout)
    for wrong in ("nobody", "01890a5d-ac96-774b-bcce-b302099a8057"):
        out = matapalo.command("diff", "--why", wrong)
        case.equal(out.returncode, 1, "--why " + wrong)


def replay(case, matapalo, rules, exchange, candidate, mended):
    seen = len(candidate.seen)
    out = matapalo.command("diff", "--replay", exchange)
    case.equal(out.returncode, 1, "still different: " + out.stderr)
    case.check("/items/1/price" in out.stdout and
               out.stdout.endswith("differs\n"), out.stdout)
    case.check("canary" not in out.stdout, "secrets stay digests")
    case.equal(len(candidate.seen), seen + 1, "exactly one request")
    method, path, headers, _body = candidate.seen[-1]
    case.equal(headers.get("Matapalo-Shadow"), "1", "marked")
    case.check(method == "GET" and path.startswith("/any/users/"), path)
    out = matapalo.command("diff", "--replay", exchange, "--target",
                           mended.url)
    case.equal((out.returncode, len(mended.seen)), (0, 1),
               "mended: " + out.stdout + out.stderr)
    case.check('"/at"' in out.stdout and out.stdout.endswith("equal\n"),
               out.stdout)
    out = matapalo.command("diff", "--replay", exchange, "--target",
                           "http://127.0.0.1:9", "--rules", rules)
    case.check(out.returncode == 1 and "did not answer" in out.stderr,
               out.stderr)


def unsafe(case, matapalo, rules, candidate):
    with Client(matapalo.port) as client:
        client.request("POST", "/any/users/1", b"{}")
    lib.wait_for(lambda: matapalo.query(
        "SELECT correlationid FROM exchanges WHERE method = 'POST'"), "POST")
    exchange, = matapalo.query(
        "SELECT correlationid FROM exchanges WHERE method = 'POST'")[0]
    seen = len(candidate.seen)
    out = matapalo.command("diff", "--replay", exchange)
    case.check(out.returncode == 2 and "shadow_unsafe" in out.stderr,
               out.stderr)
    case.equal(len(candidate.seen), seen, "nothing was sent")
    for args in (("--why", "any", "--json"), ("--target", candidate.url),
                 ("--replay", exchange, "--target", "here")):
        out = matapalo.command("diff", *args)
        case.equal(out.returncode, 2, "wrong usage: %s" % (args,))


def page(case, matapalo):
    path = case.path("report.html")
    out = matapalo.command("diff", "--html", path)
    case.equal(out.returncode, 0, "--html: " + out.stderr)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    reader = Page(case)
    reader.feed(text)
    reader.close()
    case.equal(reader.depth, 0, "every element ends")
    case.check(EVIL[:50] in "".join(reader.text), "markup of a body is text")
    case.check("canary" not in text, "secrets stay digests")
    case.check("http:" not in text and "https:" not in text and
               "url(" not in text, "nothing from elsewhere")
    case.check(len(text) < 64 * 1024, "%d bytes" % len(text))


def same(case, matapalo, before, when):
    case.check(by_name(report(case, matapalo)) == by_name(before),
               "the same report " + when)


def scenario(case):
    legacy = lib.App(case, legacy_answer)
    candidate = lib.App(case, candidate_answer)
    compare = {"ignore": ["/at"]}
    rules = case.rules({
        "version": 1,
        "targets": {"legacy": {"url": legacy.url},
                    "new": {"url": candidate.url}},
        "redact": {"json": ["/pin"]},
        "rules": [
            {"name": "same", "match": {"path": "/same/{id}"},
             "stage": "shadow", "target": "new", "compare": compare},
            {"name": "any", "match": {"path": "/any/{rest...}"},
             "stage": "shadow", "target": "new", "compare": compare}]})
    matapalo = case.matapalo(rules=rules)
    out = matapalo.command("diff")
    case.check("nothing was compared" in out.stdout, "before the first")
    call_all(case, matapalo)
    exchange = numbers(case, matapalo)
    table(case, matapalo)
    side_by_side(case, matapalo, exchange)
    why(case, matapalo, rules, exchange)
    mended = lib.App(case, lambda *call: (200, dict(legacy_answer(*call)[1],
                                                    at=3)))
    replay(case, matapalo, rules, exchange, candidate, mended)
    unsafe(case, matapalo, rules, candidate)
    page(case, matapalo)
    before = report(case, matapalo)
    matapalo.signal(lib.signal.SIGKILL)
    matapalo.wait()
    same(case, matapalo, before, "offline, after kill -9")
    again = case.matapalo(rules=rules, data=matapalo.data)
    same(case, again, before, "after the restart")
    case.equal(again.stop(), 0, "exit status")
    same(case, again, before, "stopped")


lib.main(scenario)
