# SPDX-License-Identifier: Apache-2.0
"""What docs/bus-protocol.md shows to be typed: nngcat over TLS, with the
certificate of a client and a token."""
import json
import os
import re
import shutil
import subprocess

import lib
import pki

DOCUMENT = os.path.join(lib.SOURCE, "docs", "bus-protocol.md")
ADDRESS = "tls+tcp://localhost:7443"
TOKENS = "shop shop-token-0123456789 all *\n"


def examples():
    """(command, answer) of each, from the page."""
    with open(DOCUMENT, encoding="utf-8") as f:
        text = f.read()
    return re.findall(r"^    \$ (nngcat (?:.*\\\n)*.*)\n    (\{.*)$", text, re.M)


def shows(want, got):
    """All that is named is there."""
    if isinstance(want, dict):
        return isinstance(got, dict) and all(
            k in got and shows(v, got[k]) for k, v in want.items())
    if isinstance(want, list):
        return isinstance(got, list) and len(want) == len(got) and all(
            shows(w, g) for w, g in zip(want, got))
    return want == got


def scenario(case):
    for tool in "nngcat", "openssl":
        if not shutil.which(tool):
            lib.skip(tool + " is missing")
    certs = pki.Pki(case)
    certs.authority("ca")
    certs.leaf("bus", "DNS:localhost", "ca")
    certs.leaf("shop", "DNS:shop.example", "ca")
    tokens = case.path("tokens")
    with open(tokens, "w", encoding="utf-8") as f:
        os.fchmod(f.fileno(), 0o600)
        f.write(TOKENS)
    matapalo = case.matapalo(legacy=case.origin("legacy").url, args=[
        "--bus", "tls+tcp://127.0.0.1:0", "--bus-tokens", tokens,
        "--bus-tls-certificate", certs.pem("bus"),
        "--bus-tls-key", certs.keyfile("bus"),
        "--bus-tls-client-ca", certs.pem("ca")])
    port = matapalo.info["bus"][1].rsplit(":", 1)[1]
    found = examples()
    case.equal(len(found), 3, "examples of the page")
    for command, answer in found:
        case.check(ADDRESS in command, command)
        done = subprocess.run(
            ["sh", "-c", command.replace(ADDRESS, "tls+tcp://localhost:" +
                                         port)],
            cwd=certs.dir, capture_output=True, text=True, timeout=30)
        case.equal(done.returncode, 0, command + done.stderr)
        case.check(shows(json.loads(answer), json.loads(done.stdout)),
                   "%s\n%s\n%s" % (command, answer, done.stdout))
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario)
