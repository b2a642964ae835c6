#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A handler that lasts, in Python: a line for each event in, its verdict out.

    matapalo consume --group orders --exec-persistent ./handler.py

Standard output belongs to the verdicts; what is to be read by people goes to
standard error. An event may come twice: what handle() does must bear that.
"""
import json
import sys


def handle(delivery):
    """The verdict, without the id."""
    event = delivery["event"]
    data = event.get("data") or {}
    if delivery.get("command"):
        order = data["request"].get("json") or {}
        if "sku" not in order:
            return {"reply": {"status": 422, "body": "no sku"}}
        return {"reply": {"status": 201, "json": {"order": event["id"]}}}
    if not isinstance(data, dict):
        return {"term": "the data is no object"}
    if data.get("busy") and delivery["attempt"] == 1:
        return {"nak": {"delay_ms": 100, "reason": "busy"}}
    return {"ack": True}


def main():
    for line in sys.stdin:
        delivery = json.loads(line)
        verdict = handle(delivery)
        verdict["id"] = delivery["event"]["id"]
        print(json.dumps(verdict), flush=True)


if __name__ == "__main__":
    main()
