# SPDX-License-Identifier: Apache-2.0
"""The example shop of `./bootstrap demo`: its rules load, every stage answers
as its README says, and the planted mistake is found."""
import json
import os
import re
import subprocess
import sys

import lib

SHOP = os.path.join(lib.SOURCE, "examples", "shop")
ENV = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")


def service(case, name):
    process = case.start(name, [sys.executable,
                                os.path.join(SHOP, name + ".py")], env=ENV)
    process.port = int(lib.wait_for(process.out, "the port of " + name))
    return process


def traffic(matapalo):
    out = subprocess.run(
        [sys.executable, os.path.join(SHOP, "traffic.py"),
         "http://127.0.0.1:%d" % matapalo.port], env=ENV, timeout=60,
        capture_output=True, text=True)
    if out.returncode != 0:
        raise lib.Failed("traffic.py: " + out.stderr)
    return {re.split(r"  +", line)[0]: line
            for line in out.stdout.splitlines()}


def who_answered(case, lines):
    def has(endpoint, *words):
        for word in words:
            case.check(word in lines.get(endpoint, ""), "%s: %r in %r"
                       % (endpoint, word, lines.get(endpoint)))
    has("GET /health", "legacy-shop (200)")
    has("GET /customers/{id}", "legacy-shop (200) 40")
    has("GET /products/{id}", "legacy-shop (200) 80")
    has("GET /stock/{product}", "legacy-shop (200)", "catalog (200)")
    has("GET /products", "catalog (200) 40")
    has("POST /orders", "order-service (201) 10")
    has("GET /reports/old", "(410)")


def mistake_found(case, matapalo):
    def verdict():
        for each in matapalo.status()["shadow"]["rules"]:
            if each["rule"] == "product" and each["samples"] >= 80:
                return each
        return None
    found = lib.wait_for(verdict, "80 compared products")
    case.check(found["match_rate"] == 70 / 80, "match rate %s"
               % found["match_rate"])
    case.check('"/price"' in json.dumps(found), "the price is named")


def scenario(case):
    rules = os.path.join(SHOP, "rules.json")
    out = lib.command("check", rules)
    case.equal(out.returncode, 0, "check: " + out.stdout + out.stderr)
    with open(rules) as f:
        text = f.read()
    text = text.replace(":3000", ":%d" % service(case, "legacy").port)
    text = text.replace(":4001", ":%d" % service(case, "catalog").port)
    matapalo = case.matapalo(rules=case.rules(text))
    env = dict(ENV, ORDERS=case.path("orders"))
    consumer = case.start("consume", [
        lib.MATAPALO, "consume", "--data", matapalo.data, "--group",
        "orders", "--type", "shop.order.place.v1", "--reply", "--exec",
        "%s %s" % (sys.executable, os.path.join(SHOP, "orders.py"))],
        env=env)
    who_answered(case, traffic(matapalo))
    mistake_found(case, matapalo)
    case.equal(len(os.listdir(case.path("orders"))), 10, "orders on disk")
    rows = matapalo.query("SELECT count(*) FROM events WHERE data LIKE "
                          "'%4111 1111%'")
    case.equal(rows[0][0], 0, "card numbers in the journal")
    consumer.signal(lib.signal.SIGTERM)
    case.equal(consumer.wait(), 0, "exit status of consume")
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario)
