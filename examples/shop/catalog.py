# SPDX-License-Identifier: Apache-2.0
"""The new catalogue service, with one difference that nobody has noticed
yet: product 4 has another price. Shadow traffic finds it."""
import time

import http_service
from legacy import PRODUCTS, stock

CATALOG = [dict(each, price=25.9 if each["id"] == 4 else each["price"])
           for each in PRODUCTS]


def products(_body):
    return 200, {"products": CATALOG, "generated_at": time.time()}


def product(_body, number):
    for each in CATALOG:
        if each["id"] == int(number):
            # The order of the tags means nothing, the rules say.
            return 200, dict(each, tags=sorted(each["tags"]),
                             generated_at=time.time())
    return 404, {"error": "no such product"}


if __name__ == "__main__":
    http_service.serve("catalog", [
        ("GET", r"/products", products),
        ("GET", r"/products/(\d+)", product),
        ("GET", r"/stock/(\d+)", stock)])
