# SPDX-License-Identifier: Apache-2.0
"""A few hundred calls through every stage, from forty customers, and who
answered them. Usage: traffic.py http://127.0.0.1:PORT"""
import collections
import http.client
import json
import sys
import urllib.parse

CUSTOMERS = 40


def calls():
    """(endpoint as people name it, method, path, customer, body)"""
    for customer in range(CUSTOMERS):
        yield "GET /products", "GET", "/products", customer, None
        for product in (customer % 8 + 1, (customer + 3) % 8 + 1):
            yield ("GET /products/{id}", "GET", "/products/%d" % product,
                   customer, None)
        yield ("GET /stock/{product}", "GET",
               "/stock/%d" % (customer % 8 + 1), customer, None)
        yield ("GET /customers/{id}", "GET",
               "/customers/%d" % (customer % 2 + 1), customer, None)
        if customer % 4 == 0:
            yield ("POST /orders", "POST", "/orders", customer,
                   {"product": customer % 8 + 1, "count": 1,
                    "card": "4111 1111 1111 1111"})
        if customer % 10 == 0:
            yield "GET /health", "GET", "/health", customer, None
            yield "GET /reports/old", "GET", "/reports/old", customer, None


def who(answer):
    """Every service says its name in `Server`; matapalo does not."""
    server = answer.getheader("Server", "matapalo").split(" ")[0]
    return "%s (%d)" % (server, answer.status)


def main():
    address = urllib.parse.urlsplit(sys.argv[1]).netloc
    connection = http.client.HTTPConnection(address, timeout=20)
    answered = collections.OrderedDict()
    for endpoint, method, path, customer, body in calls():
        data = json.dumps(body) if body is not None else None
        headers = {"X-Customer": "customer-%d" % customer}
        if data:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        answer.read()
        answered.setdefault(endpoint, collections.Counter())[
            who(answer)] += 1
    print("%-22s %8s  %s" % ("ENDPOINT", "CALLS", "WHO ANSWERED"))
    for endpoint, count in answered.items():
        print("%-22s %8d  %s" % (endpoint, sum(count.values()), ", ".join(
            "%s %d" % item for item in count.most_common())))


if __name__ == "__main__":
    main()
