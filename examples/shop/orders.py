#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The new order service: no web server, one event in, one reply out.

`matapalo consume --group orders --type shop.order.place.v1 --reply --exec
./orders.py` runs it for each command. Exit status 0 settles the event; any
other has it delivered again, and in the end makes it a dead letter. A command
may come twice (at least once is the promise), so the order's number is the
event's id: doing it again writes the same file."""
import json
import os
import sys

event = json.load(sys.stdin)
order = event["data"]["request"].get("json") or {}
order.update(id=event["id"], by="order-service")

folder = os.environ.get("ORDERS", "orders")
os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, event["id"] + ".json"), "w") as f:
    json.dump(order, f)

print(json.dumps({"status": 201, "json": order,
                  "headers": {"Server": "order-service"}}))
