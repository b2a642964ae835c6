# SPDX-License-Identifier: Apache-2.0
"""Domain events of a rule: types kept, conditions, what is missing, no
secrets, and one for each exchange, also over a kill."""
import json
import signal
import threading

import lib

SECRETS = ("s3cret-header", "s3cret-query", "s3cret-card", "s3cret-auth")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

PLACED = {
    "type": "shop.order.placed.v1", "schema": "urn:shop:placed:v1",
    "when": {"status": "2xx", "body": {"/state": "open", "/n": 31.0},
             "header": {"x-kind": "order"},
             "request_body": {"/sku": {"present": True}}},
    "subject": "order/{response.body/id}",
    "partition_key": "{path.customer}",
    "data": {"order": "{response.body}", "n": "{response.body/n}",
             "customer": "{path.customer}", "ref": "{query.ref}",
             "by": "{request.header.X-User}", "key": "{request.header.x-key}",
             "auth": "{request.header.authorization}",
             "token": "{query.token}", "card": "{request.body/card}",
             "status": "{response.status}", "text": "{{{rule}}} {query.ref}",
             "none": "{response.body/none}", "part": "a {query.none}",
             "list": [1, "{response.body/tags/1}", None]}}
SKIPPED = {"type": "shop.skipped.v1", "missing": "skip",
           "data": {"x": "{response.body/none}"}}
NAMELESS = {"type": "shop.nameless.v1", "data": {},
            "subject": "{response.body/none}"}
OTHER = {"type": "shop.refused.v2", "when": {"status": "4xx"},
         "subject": "{request.method}", "data": "{response.body}"}


def answer(_method, path, headers, body):
    n = path.rsplit("ref=", 1)[-1].split("&")[0] if "ref=" in path else ""
    if "refused" in path:
        return 422, {"why": "no stock"}
    return 201, {"id": n, "n": 31, "state": "open", "big":
                 12345678901234567890, "tags": ["a", "b"]}


def rules(case, legacy):
    placed = json.loads(json.dumps(PLACED))
    del placed["when"]["header"]
    return case.rules({
        "version": 1,
        "targets": {"legacy": {"url": legacy}},
        "redact": {"headers": ["x-key"], "query": ["token"],
                   "json": ["/card"]},
        "rules": [{"name": "place", "match": {
            "method": "POST", "path": "/c/{customer}/orders"},
            "emit": [placed, SKIPPED, NAMELESS, OTHER]}],
        "expect": [
            {"request": "POST /c/7/orders", "rule": "place", "status": 201,
             "emits": ["shop.order.placed.v1", "shop.skipped.v1",
                       "shop.nameless.v1"]},
            {"request": "POST /c/7/orders", "rule": "place", "status": 404,
             "emits": ["shop.refused.v2"]},
            {"request": "GET /", "rule": "default", "emits": []}]})


def order(port, target, timeout=20):
    body = json.dumps({"sku": "a", "card": SECRETS[2]}).encode()
    with lib.Client(port, timeout) as client:
        return client.request("POST", target, body, [
            ("X-User", "ann"), ("X-Key", SECRETS[0]),
            ("Authorization", "Bearer " + SECRETS[3]),
            ("Content-Type", "application/json"), ("traceparent", TRACE)])


def events(matapalo, pattern="shop.%"):
    rows = matapalo.query(
        "SELECT e.seq, t.text, e.subject, e.data, e.partition_key, "
        "e.correlation, e.extensions FROM event e JOIN name t ON t.id = "
        "e.type WHERE t.text LIKE ? ORDER BY e.seq", pattern)
    return rows


def one_order(case, matapalo):
    got = order(matapalo.port, "/c/A%20b/orders?ref=1%2B1+x&token=" +
                SECRETS[1])
    case.equal(got.status, 201, "answer")
    matapalo.await_exchanges(1)
    rows = events(matapalo)
    case.equal([row[1] for row in rows], ["shop.order.placed.v1"],
               "one event, the others lack values")
    _, _, subject, data, key, correlation, extensions = rows[0]
    exchange = matapalo.query(
        "SELECT sequence, correlationid, id FROM events WHERE type = "
        "'matapalo.exchange.v1'")[0]
    case.equal(correlation, exchange[1], "correlation")
    case.check(TRACE in json.dumps(extensions), "the trace goes on")
    case.check("urn:shop:placed:v1" in json.dumps(extensions), "dataschema")
    case.check(str(exchange[2]) in json.dumps(extensions), "causation: %s %s"
               % (exchange, extensions))
    case.equal(key, "A b", "partition key")
    check_data(case, subject, json.loads(data), data)


def check_data(case, subject, data, text):
    case.equal(subject[:6], "order/", "subject")
    case.equal(data["n"], 31, "a number stays a number")
    case.equal(data["order"]["tags"], ["a", "b"], "a whole body")
    case.check("12345678901234567890" in text, "digits are kept")
    case.equal((data["customer"], data["ref"]), ("A b", "1+1 x"), "decoded")
    case.equal((data["by"], data["status"]), ("ann", 201), "header, status")
    case.equal(data["text"], "{place} 1+1 x", "braces")
    case.equal((data["none"], data["part"]), (None, None), "missing: null")
    case.equal(data["list"], [1, "b", None], "arrays")
    for name in ("key", "auth", "token", "card"):
        case.check(data[name].find("redacted:") >= 0, "%s: %s"
                   % (name, data[name]))


def refused(case, matapalo):
    order(matapalo.port, "/c/refused/orders")
    matapalo.await_exchanges(2)
    case.equal([row[1:4] for row in events(matapalo)][-1],
               ("shop.refused.v2", "POST", '{"why":"no stock"}'), "a class")
    metrics = matapalo.metrics()
    case.equal(metrics['matapalo_emitted_total{result="emitted"}'], 2,
               "counted")
    case.equal(metrics['matapalo_emitted_total{result="missing"}'], 2,
               "counted")


def as_its_schema_says(case, matapalo, path):
    """The schema that is derived from the template, held against events."""
    shown = lib.command("schema", "show", "shop.refused.v2", "--rules", path)
    case.equal(json.loads(shown.stdout)["$id"],
               "urn:matapalo:emit:shop.refused:v2", "who it is")
    case.check("urn:matapalo:emit:shop.refused:v2" in
               json.dumps(events(matapalo, "shop.refused.v2")[0][6]),
               "dataschema")
    shown = lib.command("schema", "show", "shop.order.placed.v1", "--rules",
                        path)
    jsonschema = lib.schemas.jsonschema
    if jsonschema:
        validator = jsonschema.Draft202012Validator(json.loads(shown.stdout))
        for row in events(matapalo, "shop.order.placed.v1"):
            found = [e.message for e in validator.iter_errors(
                json.loads(row[3]))]
            case.equal(found, [], "the event as its schema says")


def changed_rules(case, matapalo, path):
    """A change that breaks consumers: counted, or refused by a key."""
    with open(path, encoding="utf-8") as f:
        content = json.load(f)
    emit = content["rules"][0]["emit"]
    del emit[0]["data"]["by"]
    before = 0
    for key, result in ((None, "ok"), ("FORWARD", "refused")):
        if key:
            content["emit_compatibility"] = key
            del emit[0]["data"]["ref"]
        with open(path, "w", encoding="utf-8") as f:
            json.dump(content, f)
        lib.wait_for(lambda: matapalo.metrics()[
            'matapalo_rules_reloads_total{result="%s"}' % result] == 1,
            "the reload is " + result)
        now = matapalo.metrics()["matapalo_rules_emit_breaks_total"]
        case.check(now > before, "counted: %s" % now)
        before = now


def no_secrets(case, matapalo):
    for name in ("journal.db", "journal.db-wal"):
        with open(matapalo.data + "/" + name, "rb") as f:
            stored = f.read()
        for secret in SECRETS:
            case.check(secret.encode() not in stored,
                       "%s is in %s" % (secret, name))


def hammer(port, acknowledged, number):
    n = 0
    try:
        while True:
            n += 1
            name = "%d-%d" % (number, n)
            if order(port, "/c/1/orders?ref=" + name).status == 201:
                acknowledged.append(name)
    except (OSError, EOFError, lib.Failed, ValueError):
        pass


def over_a_kill(case, matapalo, path):
    """Each acknowledged order has one event, and none has two; exchanges and
    events are the same in number."""
    acknowledged = []
    threads = [threading.Thread(target=hammer, args=(
        matapalo.port, acknowledged, i)) for i in range(4)]
    for thread in threads:
        thread.start()
    lib.wait_for(lambda: len(acknowledged) > 200, "some orders")
    matapalo.signal(signal.SIGKILL)
    matapalo.wait()
    for thread in threads:
        thread.join()
    again = case.matapalo(rules=path, data=matapalo.data)
    subjects = [row[2] for row in events(again, "shop.order.placed.v1")]
    case.equal(len(subjects), len(set(subjects)), "no event twice")
    lost = [n for n in acknowledged if "order/" + n not in subjects]
    case.equal(lost, [], "no event lost")
    answered = [e for e in again.exchanges()
                if e.get("response", {}).get("status") == 201]
    case.equal(len(answered), len(subjects), "exchanges and events")
    return again


def scenario(case):
    app = lib.App(case, answer)
    path = rules(case, app.url)
    checked = lib.command("check", path)
    case.equal(checked.returncode, 0, checked.stdout + checked.stderr)
    explained = lib.command("explain", "POST", "/c/7/orders", "--rules", path)
    case.check("emits       shop.order.placed.v1 on status 200-299, if 3 more"
               in explained.stdout, explained.stdout)
    matapalo = case.matapalo(rules=path)
    one_order(case, matapalo)
    refused(case, matapalo)
    no_secrets(case, matapalo)
    as_its_schema_says(case, matapalo, path)
    matapalo = over_a_kill(case, matapalo, path)
    changed_rules(case, matapalo, path)
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario)
