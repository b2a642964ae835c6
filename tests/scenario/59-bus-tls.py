# SPDX-License-Identifier: Apache-2.0
"""The bus over TLS: who is not the one that he should be is refused, on both
sides, and new certificates are met by the very next connection."""
import os
import shutil

import lib
import pki

TOKEN = "shop-token-0123456789"


def write(path, text):
    with open(path, "w") as f:
        os.fchmod(f.fileno(), 0o600)
        f.write(text)


def refuses_to_start(case, why, *args):
    data = case.path(case.unique("data"))
    os.mkdir(data)
    done = lib.command("run", "--legacy", "http://127.0.0.1:9", "--data", data,
                       "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
                       *args)
    case.check(done.returncode in (1, 2), "%s is refused" % (args,))
    case.check(why in done.stderr, "%s: %s" % (args, done.stderr))


def starts(case, certs):
    bus = ("--bus", "tls+tcp://127.0.0.1:0")
    refuses_to_start(case, "--bus-tls-certificate FILE", *bus)
    refuses_to_start(case, "nowhere.pem", *bus, "--bus-tls-certificate",
                     case.path("nowhere.pem"))
    refuses_to_start(case, "no private key", *bus,
                     "--bus-tls-certificate", certs.pem("bus"))
    other = ("--bus-tls-certificate", certs.pem("bus"),
             "--bus-tls-key", certs.keyfile("bus2"))
    refuses_to_start(case, "is not that of the first certificate in " +
                     certs.pem("bus"), *bus, *other)
    refuses_to_start(case, "no certificate in it", *bus, *other[:3],
                     certs.keyfile("bus"), "--bus-tls-client-ca",
                     certs.keyfile("bus"))
    for key, status in ("bus", 0), ("bus2", 2):
        write(case.path("matapalo.conf"), "legacy = http://127.0.0.1:9\n"
              "bus = tls+tcp://127.0.0.1:0\nbus_tls_certificate = %s\n"
              "bus_tls_key = %s\n" % (certs.pem("bus"), certs.keyfile(key)))
        done = lib.command("check", "--settings", case.path("matapalo.conf"))
        case.equal(done.returncode, status, done.stdout + done.stderr)
        case.equal("is not that of" in done.stdout + done.stderr, status == 2,
                   done.stdout + done.stderr)
    refuses_to_start(case, "--bus-tokens", "--bus", "tls+tcp://0.0.0.0:0",
                     "--bus-tls-certificate", certs.pem("bus"))


class Client:
    def __init__(self, matapalo, certs, token):
        self.matapalo, self.certs, self.token = matapalo, certs, token
        self.url = matapalo.info["bus"][1]

    def options(self, ca="ca", own="shop", name="bus.example", url=None):
        args = ["--token-file", self.token, "--bus", url or self.url]
        if ca:
            args += ["--bus-ca", self.certs.pem(ca)]
        if own:
            args += ["--bus-certificate", self.certs.pem(own),
                     "--bus-key", self.certs.keyfile(own)]
        return args + (["--bus-name", name] if name else [])

    def groups(self, **kw):
        return self.matapalo.command("groups", "list", *self.options(**kw))


def strangers(case, client, plain):
    case.equal(client.groups().returncode, 0, "the right one")
    for why, kw in (("--bus-ca", {"ca": None}), ("TLS", {"ca": "other"}),
                    ("TLS", {"name": None}), ("TLS", {"name": "a.example"}),
                    ("bus", {"own": None}), ("bus", {"own": "thief"}),
                    ("bus", {"url": plain.replace("tcp:", "tls+tcp:")}),
                    ("bus", {"url": client.url.replace("tls+", "")})):
        said = client.groups(**kw)
        case.equal(said.returncode, 1, "%s: %s" % (kw, said.stderr))
        case.check(why in said.stderr, "%s: %s" % (kw, said.stderr))
    said = client.matapalo.command("groups", "list", *client.options()[2:])
    case.check("unauthorized" in said.stderr, "no token: " + said.stderr)


def reload(case, client, server):
    certs, matapalo = client.certs, client.matapalo
    shutil.copy(certs.pem("ca"), server + ".key")     # no key at all
    matapalo.signal(lib.signal.SIGHUP)
    lib.wait_for(lambda: "bus.tls-failed" in matapalo.err(), "a complaint")
    shutil.copy(certs.keyfile("bus2"), server + ".key")    # another's
    matapalo.signal(lib.signal.SIGHUP)
    lib.wait_for(lambda: "is not that of" in matapalo.err(), "another one")
    case.equal(client.groups().returncode, 0, "the old certificate")
    shutil.copy(certs.pem("bus2"), server + ".pem")
    shutil.copy(certs.keyfile("bus2"), server + ".key")
    before = matapalo.err().count("in " + server + ".pem now")
    matapalo.signal(lib.signal.SIGHUP)
    lib.wait_for(lambda: matapalo.err().count("in " + server + ".pem now") >
                 before, "the new certificate")
    case.equal(client.groups().returncode, 1, "the old CA, at once")
    said = client.groups(ca="ca2")
    case.equal(said.returncode, 0, "the new CA: " + said.stderr)


def scenario(case):
    if not shutil.which("openssl"):
        lib.skip("openssl is missing")
    certs = pki.Pki(case)
    for name in "ca", "ca2", "other":
        certs.authority(name)
    certs.leaf("bus", "DNS:bus.example", "ca")
    certs.leaf("bus2", "DNS:bus.example", "ca2")
    certs.leaf("shop", "DNS:shop.example", "ca")
    certs.leaf("thief", "DNS:shop.example", "other")
    starts(case, certs)
    token, tokens = case.path("token"), case.path("tokens")
    server = case.path("server")
    write(token, TOKEN + "\n")
    write(tokens, "shop %s all *\n" % TOKEN)
    shutil.copy(certs.pem("bus"), server + ".pem")
    shutil.copy(certs.keyfile("bus"), server + ".key")
    origin = case.origin("legacy")
    matapalo = case.matapalo(legacy=origin.url, args=[
        "--bus-tokens", tokens, "--bus", "tls+tcp://127.0.0.1:0",
        "--bus", "tcp://0.0.0.0:0", "--bus-tls-certificate", server + ".pem",
        "--bus-tls-key", server + ".key",
        "--bus-tls-client-ca", certs.pem("ca")])
    client = Client(matapalo, certs, token)
    case.equal(matapalo.err().count("bus.plain-tcp"), 1, "a warning")
    case.check(client.url.startswith("tls+tcp://127.0.0.1:") and
               not client.url.endswith(":0"), client.url)
    strangers(case, client,
              matapalo.info["bus"][2].replace("0.0.0.0", "127.0.0.1"))
    lib.fetch(matapalo.port, "GET", "/1")
    matapalo.await_exchanges(1)
    consumer = case.consume(matapalo, "orders", "",
                            args=("--limit", "1", *client.options()))
    case.equal(consumer.wait(), 0, "a consumer over TLS")
    reload(case, client, server)
    case.equal(matapalo.stop(), 0, "exit status")
    case.check(TOKEN not in matapalo.err(), "a token in the log")


lib.main(scenario)
