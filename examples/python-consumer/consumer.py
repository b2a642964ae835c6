#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A consumer of matapalo's bus in Python, with pynng and nothing else.

    pip install pynng
    ./consumer.py ipc:///var/lib/matapalo/bus.ipc orders shop.order.place.v1

It leases commands, answers each, and acknowledges with the next fetch. An
exception in handle() hands the event back; after `max_attempts` it is a dead
letter (`matapalo dlq list`). docs/bus-protocol.md has all operations."""
import json
import os
import socket
import sys
import uuid

import pynng


class Refused(Exception):
    """The bus understood the request and said no."""


class Bus:
    def __init__(self, url, timeout_ms=70000):
        # Long polls take up to a minute: re-sending is for broken
        # connections, which nng sees by itself.
        self.socket = pynng.Req0(resend_time=-1, recv_timeout=timeout_ms,
                                 send_timeout=timeout_ms)
        self.socket.recv_max_size = 64 << 20
        self.socket.dial(url, block=True)

    def call(self, op, **members):
        self.socket.send(json.dumps({"op": op, **members}).encode())
        answer = json.loads(self.socket.recv())
        if not answer["ok"]:
            error = answer["error"]
            raise Refused(f"{error['code']}: {error['message']}")
        return answer


def handle(event):
    """Place an order. A command may come twice, so the order's number is
    taken from the event: doing it again changes nothing."""
    request = event["data"]["request"]
    order = {"order": event["id"], "lines": request.get("json")}
    return {"status": 201, "json": order,
            "headers": {"Location": "/orders/" + event["id"]}}


def deal_with(bus, delivery):
    """Returns None when it went well, else why it did not."""
    event = delivery["event"]
    try:
        answer = handle(event)
        if "correlationid" in event:
            bus.call("reply", correlationid=event["correlationid"],
                     causationid=event["id"], **answer)
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}"
    return None


def consume(bus, group, event_type, rounds=None):
    name = f"{socket.gethostname()}-{os.getpid()}"
    acks, naks = [], []
    while rounds is None or rounds > 0:
        # The same text goes out again if nng has to send twice, and then
        # the same events come back.
        batch = bus.call("fetch", group=group, consumer=name, max=20,
                         wait_ms=30000 if rounds is None else 1000,
                         filter={"type": event_type}, acks=acks, naks=naks,
                         request=str(uuid.uuid4()))
        acks, naks = [], []
        for delivery in batch["events"]:
            problem = deal_with(bus, delivery)
            if problem is None:
                acks.append(delivery["sequence"])
            else:
                naks.append({"sequence": delivery["sequence"],
                             "reason": problem})
        if rounds is not None:
            rounds -= 1


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(f"usage: {sys.argv[0]} URL GROUP TYPE [ROUNDS]")
    rounds = int(sys.argv[4]) if len(sys.argv) == 5 else None
    consume(Bus(sys.argv[1]), sys.argv[2], sys.argv[3], rounds)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
