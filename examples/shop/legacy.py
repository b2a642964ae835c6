# SPDX-License-Identifier: Apache-2.0
"""The legacy shop: it does everything, and nobody dares to touch it."""
import itertools
import threading
import time

import http_service

PRODUCTS = [
    {"id": i, "sku": "SKU-%03d" % i, "name": name, "price": price,
     "tags": ["wood", "garden"] if i % 2 else ["metal"]}
    for i, (name, price) in enumerate(
        [("Bench", 129.0), ("Table", 249.0), ("Chair", 79.5),
         ("Lantern", 24.9), ("Trellis", 39.0), ("Planter", 18.75),
         ("Swing", 199.0), ("Gate", 320.0)], 1)]
CUSTOMERS = {1: {"id": 1, "name": "Ana"}, 2: {"id": 2, "name": "Bruno"}}

order_ids = itertools.count(1)
orders, lock = {}, threading.Lock()


def products(_body):
    return 200, {"generated_at": time.time(), "products": PRODUCTS}


def product(_body, number):
    for each in PRODUCTS:
        if each["id"] == int(number):
            return 200, dict(each, generated_at=time.time())
    return 404, {"error": "no such product"}


def place_order(body):
    with lock:
        number = next(order_ids)
        orders[number] = dict(body or {}, id=number, by="legacy")
    return 201, orders[number]


def order(_body, number):
    found = orders.get(int(number))
    return (200, found) if found else (404, {"error": "no such order"})


def customer(_body, number):
    found = CUSTOMERS.get(int(number))
    return (200, found) if found else (404, {"error": "no such customer"})


def stock(_body, number):
    return 200, {"product": int(number), "left": 40 + int(number)}


def old_report(_body):
    return 200, {"report": "from 2009", "lines": []}


def health(_body):
    return 200, {"ok": True}


if __name__ == "__main__":
    http_service.serve("legacy-shop", [
        ("GET", r"/products", products),
        ("GET", r"/products/(\d+)", product),
        ("POST", r"/orders", place_order),
        ("GET", r"/orders/(\d+)", order),
        ("GET", r"/customers/(\d+)", customer),
        ("GET", r"/stock/(\d+)", stock),
        ("GET", r"/reports/old", old_report),
        ("GET", r"/health", health)])
