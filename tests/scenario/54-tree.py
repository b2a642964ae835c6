# SPDX-License-Identifier: Apache-2.0
"""`matapalo trace`: a request, its command, attempts, replies in time and
not, events of consumers, dead letters and verdicts are one tree, because
correlationid and causationid are set by whoever consumes for another."""
import json
import os
import shutil
import sqlite3
import sys

import lib
import nng

try:
    from google.protobuf import json_format
    from opentelemetry.proto.trace.v1 import trace_pb2
except ImportError:
    trace_pb2 = None

COMMAND = "shop.order.place.v1"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
# The first attempt fails; the second publishes and replies.
ORDERS = """
if [ "$CE_ATTEMPT" = 1 ]; then echo no stock >&2; exit 1; fi
echo '{"n": 1}' | %s publish shop.stock.taken.v1 --subject shelf/3 || exit 1
echo '{"status": 201, "json": {"id": 31}}'
""" % lib.MATAPALO
MAILS = """#!%s -S
import json, sys
for line in sys.stdin:
    e = json.loads(line)["event"]
    print(json.dumps({"id": e["id"], "ack": True, "publish": [
        {"type": "shop.mail.sent.v1", "subject": e["subject"],
         "data": {"to": "ann"}}]}), flush=True)
""" % sys.executable


def start(case):
    app = lib.App(case, lambda *_: (200, {"price": 1}))
    other = lib.App(case, lambda *_: (200, {"price": 2}))
    return case.matapalo(rules=case.rules({
        "version": 1,
        "targets": {"legacy": {"url": app.url}, "new": {"url": other.url},
                    "orders": {"command": COMMAND, "reply_within": "10s"}},
        "rules": [
            {"name": "place", "match": {"method": "POST", "path": "/orders"},
             "stage": "migrated", "target": "orders",
             "emit": [{"type": "shop.order.placed.v1",
                       "when": {"status": "201"},
                       "subject": "order/{response.body/id}",
                       "data": {"id": "{response.body/id}"}}]},
            {"name": "price", "match": {"path": "/price"},
             "stage": "shadow", "target": "new"}]}))


def consumers(case, matapalo):
    for name, kind in (("orders", COMMAND), ("stock", "shop.stock.taken.v1")):
        made = matapalo.command("groups", "create", name, "--type", kind,
                                "--backoff", "10ms", "--max-attempts",
                                "2" if name == "stock" else "5")
        case.equal(made.returncode, 0, made.stderr)
    script = case.path("mails.py")
    with open(script, "w") as f:
        f.write(MAILS)
    os.chmod(script, 0o700)
    base = [lib.MATAPALO, "consume", "--data", matapalo.data, "--group"]
    case.start("orders", base + ["orders", "--type", COMMAND, "--exec",
                                 ORDERS])
    case.start("stock", base + ["stock", "--type", "shop.stock.taken.v1",
                                "--exec", "echo empty shelf >&2; exit 1"])
    case.start("mails", base + ["mails", "--type", "shop.order.placed.v1",
                                "--exec-persistent", script])


def trace(case, matapalo, key, *args, status=0):
    done = matapalo.command("trace", key, *args)
    case.equal(done.returncode, status, done.stderr)
    return done.stderr if status else \
        json.loads(done.stdout) if args and args[0] != "--limit" \
        else done.stdout


def place_order(case, matapalo):
    with lib.Client(matapalo.port) as client:
        answer = client.request("POST", "/orders", b'{"sku":"a"}', [
            ("traceparent", "00-%s-%s-01" % (TRACE, CALLER))])
    case.equal(answer.status, 201, "the order")
    command = matapalo.query("SELECT id, correlationid FROM events WHERE "
                             "type = ?", COMMAND)[0]
    bus = nng.Bus(matapalo.bus)
    # Another reply, which says neither its cause nor who it is.
    again = bus.call("reply", correlationid=command[1], status=200,
                     id="01890000-0000-7000-8000-000000000099")
    case.check(again["late"], "the second reply is late")
    bus.close()
    return command


def summary(tree):
    """(kind or type, what it is below) of each event, as it is shown."""
    name = {e["sequence"]: e["type"] if e["kind"] == "event" else e["kind"]
            for e in tree["events"]}
    return [(name[e["sequence"]], name.get(e.get("parent")), e["depth"])
            for e in tree["events"]]


def check_tree(case, matapalo, correlation):
    def whole():
        tree = trace(case, matapalo, correlation, "--json")
        return len(tree["events"]) == 7 and [
            g for e in tree["events"] for g in e["groups"]
            if g["state"] == "dead"] and tree
    tree = lib.wait_for(whole, "everything to be in the tree")
    case.equal(sorted(summary(tree), key=str), sorted([
        ("command", None, 0), ("shop.stock.taken.v1", "command", 1),
        ("reply", "command", 1), ("reply", "command", 1),
        ("exchange", "command", 1), ("shop.order.placed.v1", "exchange", 2),
        ("shop.mail.sent.v1", "shop.order.placed.v1", 3)], key=str), "the tree")
    case.equal((tree["open"], tree["causes_missing"], tree["cut"]),
               (False, 0, False), "complete")
    replies = [e for e in tree["events"] if e["kind"] == "reply"]
    case.equal([e.get("mark") for e in replies], [None, "duplicate"],
               "the second is a duplicate")
    case.equal((replies[0]["group"], replies[0]["attempt"]), ("orders", 2),
               "who replied")
    case.check(tree["events"][0]["time"] < replies[0]["given"] <=
               replies[0]["time"], "when it was handed out")
    stock = [e for e in tree["events"]
             if e["type"] == "shop.stock.taken.v1"][0]["groups"][0]
    case.equal((stock["group"], stock["state"], stock["attempts"],
                [a["reason"].endswith("empty shelf")
                 for a in stock["history"]]),
               ("stock", "dead", 2, [True, True]), "the dead letter")
    return tree


def check_ids(case, matapalo, tree):
    """The same tree by each id in it, and by the beginning of one."""
    correlation = tree["correlationid"]
    for event in tree["events"]:
        if event["id"].startswith("01890000"):
            continue
        case.equal(trace(case, matapalo, event["id"], "--json"), tree,
                   "by %s" % event["kind"])
    case.equal(trace(case, matapalo, "01890000-0000-7000-8000-000000000099",
                     "--json"), tree, "by an id of another time")
    case.equal(trace(case, matapalo, correlation[:30].upper(), "--json"),
               tree, "by a beginning")
    for wrong, word in (("019", "at least 8"), (correlation[:-6] + "ffffff",
                                                "nothing in this journal"),
                        ("no-id-at-all", "nothing in this journal")):
        case.check(word in trace(case, matapalo, wrong, status=1), wrong)
    case.check("begin so" in trace(case, matapalo, correlation[:8],
                                   status=1), "two begin so")
    text = trace(case, matapalo, correlation)
    for word in ("DEAD LETTER", "DUPLICATE", "empty shelf", "consumer ",
                 "attempt 2", "POST /orders"):
        case.check(word in text, "%s in %s" % (word, text))
    case.check("more than these 3 events" in trace(
        case, matapalo, correlation, "--limit", "3"), "cut")


def spans_of(message):
    return [s for r in message["resourceSpans"] for c in r["scopeSpans"]
            for s in c["spans"]]


def check_otlp(case, matapalo, tree):
    message = trace(case, matapalo, tree["correlationid"], "--otlp", "-")
    spans = spans_of(message)
    by_id = {s["spanId"]: s for s in spans}
    case.equal((len(by_id), {s["traceId"] for s in spans}),
               (len(tree["events"]), {TRACE}), "one span an event")
    names = {s["name"]: by_id.get(s["parentSpanId"], {}).get("name",
             s["parentSpanId"]) for s in spans}
    case.equal(names, {
        "POST /orders": CALLER, "send " + COMMAND: "POST /orders",
        "reply": "send " + COMMAND,
        "send shop.stock.taken.v1": "send " + COMMAND,
        "send shop.order.placed.v1": "POST /orders",
        "send shop.mail.sent.v1": "send shop.order.placed.v1"}, "parents")
    for s in spans:
        case.check(int(s["startTimeUnixNano"]) <= int(s["endTimeUnixNano"]),
                   "%s ends after its beginning" % s["name"])
    stock = [s for s in spans if "stock" in s["name"]][0]
    case.equal(([e["name"] for e in stock["events"]], stock["status"]),
               (["attempt failed"] * 2 + ["dead letter"], {"code": 2}),
               "attempts are events of the span")
    got = []
    collector = lib.App(case, lambda method, path, headers, body: (
        got.append((method, path, headers["content-type"], body)) or
        (200, {})))
    done = matapalo.command("trace", tree["correlationid"], "--otlp-to",
                            collector.url + "/v1/traces")
    case.equal(done.returncode, 0, done.stderr)
    case.equal([g[:3] for g in got], [("POST", "/v1/traces",
                                       "application/json")], "posted")
    case.equal(json.loads(got[0][3]), message, "the same spans")
    check_oracle(case, message)


def check_oracle(case, message):
    """What protobuf's own mapping takes, with ids as OTLP wants them."""
    if not trace_pb2:
        print("note: no opentelemetry-proto: not parsed by it")
        return
    import base64
    for s in spans_of(message):
        for at in [s] + s["links"]:
            for name in ("traceId", "spanId", "parentSpanId"):
                if name in at:
                    at[name] = base64.b64encode(
                        bytes.fromhex(at[name])).decode()
    parsed = json_format.ParseDict(message, trace_pb2.TracesData())
    spans = [s for r in parsed.resource_spans for c in r.scope_spans
             for s in c.spans]
    case.equal({(len(s.trace_id), len(s.span_id)) for s in spans}, {(16, 8)},
               "ids as bytes")
    print("note: %d spans parsed by opentelemetry-proto" % len(spans))


def shadowed(case, matapalo):
    with lib.Client(matapalo.port) as client:
        client.request("GET", "/price")
    def verdict():
        rows = matapalo.query("SELECT correlationid FROM events WHERE type "
                              "= 'matapalo.shadow.verdict.v1'")
        return rows and rows[0][0]
    tree = trace(case, matapalo, lib.wait_for(verdict, "a verdict"),
                 "--json")
    case.equal([(e["kind"], e["depth"], e.get("verdict"))
                for e in tree["events"]],
               [("exchange", 0, None), ("verdict", 1, "difference")],
               "a verdict is below its exchange")


def retained(case, matapalo, tree):
    """A copy of the journal in which retention has been at work."""
    data = case.path("later")
    os.mkdir(data)
    shutil.copy(os.path.join(matapalo.data, "journal.db"), data)
    first = tree["events"][0]["sequence"]
    db = sqlite3.connect(os.path.join(data, "journal.db"))
    db.execute("DELETE FROM event WHERE seq <= ?", (first,))
    db.execute("INSERT INTO removed VALUES(1, ?, 'retention')", (first,))
    db.commit()
    db.close()
    done = lib.command("trace", tree["correlationid"], "--data", data)
    case.equal(done.returncode, 0, done.stderr)
    case.check("retention has deleted a part" in done.stdout and
               "its cause is not in the journal" in done.stdout,
               done.stdout)
    done = lib.command("trace", "01890000-0000-7000-8000-000000000001",
                       "--data", data)
    case.check(done.returncode == 1 and "retention has deleted what there "
               "was" in done.stderr, done.stderr)


def scenario(case):
    if not nng.LIB:
        lib.skip("no libnng for ctypes")
    matapalo = start(case)
    consumers(case, matapalo)
    command = place_order(case, matapalo)
    tree = check_tree(case, matapalo, command[1])
    shadowed(case, matapalo)
    check_ids(case, matapalo, tree)
    check_otlp(case, matapalo, tree)
    case.equal(matapalo.stop(), 0, "exit status")
    case.equal(trace(case, matapalo, tree["correlationid"], "--json"), tree,
               "offline")
    retained(case, matapalo, tree)


lib.main(scenario)
