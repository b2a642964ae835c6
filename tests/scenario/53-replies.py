# SPDX-License-Identifier: Apache-2.0
"""Replies of every kind as HTTP answers: any status, fields and bytes; what
is the proxy's own business is left out, and what is no answer is refused to
the consumer, who may then send a better one."""
import base64
import os
import threading

import lib
import nng

COMMAND = "shop.thing.do.v1"
BYTES = bytes(range(256)) * 40
LARGE = os.urandom(3 << 20)
NOT_SENT = ("Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer",
            "Transfer-Encoding", "Upgrade")


def in64(data):
    return base64.b64encode(data).decode()


# What the consumer says, and what the client gets: status, body, fields.
ANSWERS = (
    ({}, 200, b"", {"Content-Length": ["0"]}),
    ({"status": 201, "json": {"a": [1, None, "\u00e9"]}}, 201,
     b'{"a":[1,null,"\xc3\xa9"]}', {"Content-Type": ["application/json"]}),
    ({"status": 200, "json": None}, 200, b"null", {}),
    ({"json": {}, "headers": {"content-type": "application/hal+json"}}, 200,
     b"{}", {"Content-Type": ["application/hal+json"]}),
    ({"body": "h\u00e9\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"}, 200,
     "h\u00e9\r\n\r\nHTTP/1.1 200 OK\r\n\r\n".encode(),
     {"Content-Type": []}),
    ({"body": ""}, 200, b"", {"Content-Length": ["0"]}),
    ({"body_base64": in64(BYTES), "headers": {
        "Content-Type": "application/octet-stream"}}, 200, BYTES,
     {"Content-Length": [str(len(BYTES))]}),
    ({"body_base64": in64(LARGE)}, 200, LARGE, {}),
    ({"status": 204}, 204, b"", {"Content-Length": []}),
    ({"status": 204, "body": "none of it"}, 204, b"",
     {"Content-Length": []}),
    ({"status": 205, "body": "none of it"}, 205, b"",
     {"Content-Length": ["0"]}),
    ({"status": 304, "headers": {"ETag": '"7"'}, "body": "none of it"}, 304,
     b"", {"ETag": ['"7"'], "Content-Length": []}),
    ({"status": 303, "headers": {"Location": "/orders/7"}}, 303, b"",
     {"Location": ["/orders/7"]}),
    ({"status": 422, "json": {"title": "no"}, "headers": {
        "Content-Type": "application/problem+json"}}, 422,
     b'{"title":"no"}', {"Content-Type": ["application/problem+json"]}),
    ({"status": 503, "headers": {"Retry-After": "9"}}, 503, b"",
     {"Retry-After": ["9"]}),
    ({"status": 599, "body": "odd"}, 599, b"odd", {}),
    ({"headers": {"Set-Cookie": ["a=1", "b=2; Path=/", "a=3"], "X-One":
                  ["only"], "Link": [], "X-Empty": "", "X-Space": "  a b\t"}},
     200, b"", {"Set-Cookie": ["a=1", "b=2; Path=/", "a=3"],
                "X-One": ["only"], "Link": [], "X-Empty": [""],
                "X-Space": ["a b"]}),
    ({"headers": {"X-Latin": "caf\u00e9", "Server": "orders/1",
                  "Date": "Thu, 01 Jan 1970 00:00:00 GMT"}, "body": "x"},
     200, b"x", {"X-Latin": ["caf\u00c3\u00a9"], "Server": ["orders/1"]}),
    ({"headers": dict({name: "x-gone, close" for name in NOT_SENT},
                      **{"Content-Length": "999", "X-Gone": "1",
                         "X-Gone-Not": "2"}), "body": "all"}, 200, b"all",
     dict({name: [] for name in NOT_SENT},
          **{"Content-Length": ["3"], "X-Gone": [], "X-Gone-Not": ["2"]})),
    ({"headers": {"Connection": ["keep-alive", "foo ,x-Bar"], "X-BAR": "1",
                  "Foo": "2", "Transfer-encoding": "chunked"},
      "body": "0\r\n\r\n"}, 200, b"0\r\n\r\n",
     {"X-Bar": [], "Foo": [], "Transfer-Encoding": [],
      "Content-Length": ["5"]}),
    ({"headers": {"X-%d" % i: "v" * 200 for i in range(250)}}, 200, b"",
     {"X-249": ["v" * 200]}),
)
REFUSED = (
    {"status": 99}, {"status": 100}, {"status": 101}, {"status": 199},
    {"status": 600}, {"status": "200"}, {"status": None}, {"status": -200},
    {"headers": []}, {"headers": "a: b"}, {"headers": {"": "a"}},
    {"headers": {"a b": "1"}}, {"headers": {"a:": "1"}},
    {"headers": {"a\r\nb": "1"}}, {"headers": {"a": 1}},
    {"headers": {"a": None}}, {"headers": {"a": ["1", 2]}},
    {"headers": {"a": "1\r\nSet-Cookie: b=1"}}, {"headers": {"a": "1\nb"}},
    {"headers": {"a": "1\x7f"}}, {"headers": {"a": {"b": "c"}}},
    {"headers": {"x": ["1"] * 257}}, {"headers": {"x": "v" * 66000}},
    {"body": "a", "json": 1}, {"body": 1}, {"body": None},
    {"body_base64": "a"}, {"body_base64": "@@@@"}, {"body_base64": 7},
    {"body": "a", "body_base64": "YQ=="},
)


def serve(bus, replies, errors):
    """Answers commands in their order with what is asked for."""
    acks = []
    for members in replies:
        event = None
        while not event:
            events = bus.call("fetch", group="things", consumer="c",
                              filter={"type": COMMAND}, max=1, wait_ms=5000,
                              acks=acks)["events"]
            acks, event = [], events and events[0]
        acks = [event["sequence"]]
        to = {"correlationid": event["event"]["correlationid"],
              "causationid": event["event"]["id"]}
        for wrong in members.get("before", ()):
            try:
                bus.call("reply", **to, **wrong)
                errors.append("taken: %r" % wrong)
            except nng.Refused as e:
                if e.args[0]["code"] != "bad_reply" or \
                        len(e.args[0]["message"]) < 20:
                    errors.append("%r: %s" % (wrong, e))
        try:
            bus.call("reply", **to, **members["reply"])
        except (nng.Refused, nng.Lost) as e:
            errors.append("%.200r: %s" % (members["reply"], e))
    bus.call("ack", group="things", consumer="c", sequence=acks[0])


def compare(case, answer, row):
    said, status, body, fields = row
    name = "%.120r" % said
    case.equal(answer.status, status, "status of " + name)
    case.check(answer.body == body, "body of %s: %.120r" % (name,
                                                            answer.body))
    for field, values in fields.items():
        case.equal(answer.all(field), values, "%s of %s" % (field, name))
    case.equal(len(answer.all("Date")), 1, "one Date of " + name)
    case.check("1970" not in answer.get("Date"), "the proxy's own Date")


def scenario(case):
    if nng.LIB is None:
        lib.skip("libnng is missing")
    origin = case.origin("legacy")
    matapalo = case.matapalo(rules=case.rules({
        "version": 1,
        "targets": {"legacy": {"url": origin.url},
                    "things": {"command": COMMAND, "reply_within": "20s"}},
        "rules": [{"name": "things", "stage": "migrated", "target": "things",
                   "match": {"path": "/things"}}]}))
    bus, errors = nng.Bus("ipc://%s/bus.sock" % matapalo.data), []
    replies = [{"reply": row[0]} for row in ANSWERS]
    replies += [{"reply": {"body": "four"}},
                {"reply": {"status": 201, "body": "in the end"},
                 "before": REFUSED}]
    thread = threading.Thread(target=serve, args=(bus, replies, errors))
    thread.start()
    with lib.Client(matapalo.port) as client:
        for row in ANSWERS:
            compare(case, client.request("POST", "/things", b"{}"), row)
        answer = client.request("HEAD", "/things")
        case.equal((answer.status, answer.get("Content-Length")),
                   (200, "4"), "a HEAD has the length and no body")
        answer = client.request("POST", "/things", b"{}")
        case.equal((answer.status, answer.body), (201, b"in the end"),
                   "after %d refused replies a good one" % len(REFUSED))
        case.equal(client.request("GET", "/x?n=1").status, 200,
                   "the same connection to the end")
    thread.join()
    case.equal(errors, [], "replies")
    rows = matapalo.query("SELECT count(*) FROM events WHERE type = "
                          "'matapalo.reply.v1'")
    case.equal(rows[0][0], len(replies), "replies recorded, none refused")
    bus.close()
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario)
