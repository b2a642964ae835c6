# SPDX-License-Identifier: Apache-2.0
"""A rule's web hook: told of each kept answer, at least once, over refusals
and kill -9, and of no other rule's; what a client names is never asked. An
answer that is too large is refused to its consumer, who sends its address."""
import json

import lib
import nng
from lib import Client

COMMAND = "shop.report.make.v1"
OWN = {"Content-Type": "application/json"}


def ask(client, path, n, **fields):
    answer = client.request("POST", path, b'{"n": %d}' % n,
                            list(dict(OWN, **fields).items()))
    return answer


class Hook:
    """Refuses with what it is told, then takes everything."""

    def __init__(self, case):
        self.refuse, self.taken = [], []
        self.app = lib.App(case, self.answer)

    def answer(self, method, path, headers, body):
        if self.refuse:
            return self.refuse.pop(0), {}
        event = json.loads(body)
        self.taken.append((method, path, headers["Content-Type"], event))
        return 200, {}

    def ids(self):
        return {event["correlationid"] for _, _, _, event in self.taken}


def rules_of(origin, hook, stranger):
    def rule(name, **more):
        return dict({"name": name, "match": {"path": "/" + name},
                     "stage": "migrated", "target": "reports",
                     "respond": "async"}, **more)
    return {
        "version": 1,
        "targets": {
            "legacy": {"url": origin.url},
            "hook": {"url": hook.app.url + "/told"},
            "gone": {"url": stranger.app.url + "/gone"},
            "reports": {"command": COMMAND, "reply_within": "5s"},
            "unheard": {"command": "shop.unheard.v1"}},
        "rules": [rule("reports", hook="hook"), rule("silent"),
                  rule("gone", hook="gone"),
                  rule("unheard", target="unheard", hook="hook")]}


def told(case, hook, correlation, state, status):
    lib.wait_for(lambda: correlation in hook.ids(), "the hook", 20)
    method, path, content, event = [
        t for t in hook.taken if t[3]["correlationid"] == correlation][0]
    case.equal((method, path, content), (
        "POST", "/told", "application/cloudevents+json; charset=utf-8"),
        "how it is told")
    case.equal((event["type"], event["data"]["state"],
                event["data"]["status"]),
               ("matapalo.operation.v1", state, status), "what it is told")
    return event


def too_large(case, matapalo, bus):
    """The consumer is told, nothing is lost, and an address will do."""
    with Client(matapalo.port) as client:
        answer = ask(client, "/silent", -1)
        place = answer.get("Location")
        event = bus.call("fetch", group="reports", consumer="c", max=1,
                         wait_ms=5000, filter={"type": COMMAND})["events"][0]
        to = {"correlationid": event["event"]["correlationid"],
              "causationid": event["event"]["id"]}
        try:
            bus.call("reply", **to, body="x" * (1100 << 10))
            case.check(False, "a large answer was taken")
        except nng.Refused as e:
            case.equal(e.args[0]["code"], "too_large", "why not")
            case.check("answer_size" in e.args[0]["message"], "what to do")
        case.equal(client.request("GET", place).get("Matapalo-Operation"),
                   "pending", "it is still to be answered")
        bus.call("reply", **to, status=303, headers={"Location": "/files/7"})
        bus.call("ack", group="reports", consumer="c",
                 sequence=event["sequence"])
        answer = client.request("GET", place)
        case.equal((answer.status, answer.get("Location")),
                   (303, "/files/7"), "its address")


def scenario(case):
    if nng.LIB is None:
        lib.skip("libnng is missing")
    origin, hook, gone = case.origin("legacy"), Hook(case), Hook(case)
    rules = case.rules(rules_of(origin, hook, gone))
    matapalo = case.matapalo(rules=rules)
    bus = nng.Bus("ipc://%s/bus.sock" % matapalo.data)
    too_large(case, matapalo, bus)
    servant = case.servant(matapalo, COMMAND, "--group", "reports")
    hook.refuse, gone.refuse = [503, 302], [410]
    asked = []
    with Client(matapalo.port) as client:
        for n in range(3):
            asked.append(ask(client, "/reports", n, Callback=gone.app.url,
                             **{"Webhook": gone.app.url}).json())
        ask(client, "/silent", 4)
        ask(client, "/gone", 5)
        place = ask(client, "/unheard", 6)
        answer = client.request("DELETE", place.get("Location"))
        case.equal(answer.json()["state"], "cancelled", "taken back")
    told(case, hook, place.json()["correlationid"], "cancelled", 409)
    first = told(case, hook, asked[2]["correlationid"], "done", 201)
    case.equal(first["subject"], "reports", "the rule")
    letters = lib.wait_for(lambda: matapalo.query(
        "SELECT reason FROM dead_letters WHERE group_name = "
        "'adapter.hook.gone'"), "410 Gone is final")
    case.check("410" in letters[0][0], "and says why: %s" % letters)
    # Two were refused, and may wait for a second while matapalo dies.
    matapalo.kill_group()
    matapalo = case.matapalo(rules=rules, data=matapalo.data)
    for answer in asked:
        told(case, hook, answer["correlationid"], "done", 201)
    case.equal(hook.ids(), {a["correlationid"] for a in asked} |
               {place.json()["correlationid"]}, "told, and of nothing else")
    case.equal((gone.taken, [s[1] for s in gone.app.seen]), ([], ["/gone"]),
               "what a client names is never asked")
    text = json.dumps([t[3] for t in hook.taken])
    case.check(".matapalo/status" not in text and '"n"' not in text,
               "neither the answer nor its address")
    metrics = matapalo.metrics()
    case.check(metrics['matapalo_adapter_events_total{result="delivered"}']
               >= 1, "counted")
    servant.signal(lib.signal.SIGTERM)
    case.equal(servant.wait(), 0, "the servant")
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario)
