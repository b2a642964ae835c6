# SPDX-License-Identifier: Apache-2.0
"""Who may do what on the bus: tokens from the file to the commands, and the
stranger who acks, forges, floods and speaks other protocols. Whatever he
does is refused and counted, and moves no group's place."""
import os
import socket
import struct

import lib
import nng

ROWS = """
shop  shop-token-0123456789  consume,publish  orders
mall  mall-token-0123456789  consume          mallory-*
boss  boss-token-0123456789  all              *,=vault
vault vault-token-012345678  consume          =vault
chief chief-token-012345678  all              *
"""
HELLO = b"\0SP\0\0\x30\0\0"    # of a REQ socket
CONNECTIONS = 20


def write(path, text, mode=0o600):
    with open(path + ".new", "w") as f:
        os.fchmod(f.fileno(), mode)
        f.write(text)
    os.rename(path + ".new", path)


class As:
    """A bus client that is somebody."""

    def __init__(self, url, token):
        self.bus, self.token = nng.Bus(url), token

    def call(self, op, **members):
        return self.bus.call(op, token=self.token, **members)

    def code(self, op, **members):
        try:
            self.call(op, **members)
        except nng.Refused as e:
            return e.args[0]["code"]
        return "ok"


def raw(port, data=b""):
    s = socket.create_connection(("127.0.0.1", port), timeout=10)
    if data:
        try:
            s.sendall(data)
        except OSError:
            pass
    return s


def refused(metrics, reason):
    return metrics["matapalo_bus_refused_total{reason=\"%s\"}" % reason]


def refuses_to_start(case, why, *args):
    data = case.path(case.unique("data"))
    os.mkdir(data)
    done = lib.command("run", "--legacy", "http://127.0.0.1:9", "--data", data,
                       "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
                       *args)
    case.check(done.returncode in (1, 2), "%s is refused" % (args,))
    case.check(why in done.stderr, "%s: %s" % (args, done.stderr))


def starts(case, tokens):
    write(tokens, ROWS, 0o644)
    refuses_to_start(case, "chmod 600", "--bus-tokens", tokens)
    refuses_to_start(case, "--bus-tokens", "--bus", "tcp://0.0.0.0:0")
    public = case.path("public")
    os.mkdir(public)
    os.chmod(public, 0o1777)
    refuses_to_start(case, "others may write", "--bus",
                     "ipc://%s/bus.ipc" % public)
    write(case.path("a-file"), "precious")
    refuses_to_start(case, "no socket", "--bus", "ipc://" + case.path("a-file"))
    with open(case.path("a-file")) as f:
        case.equal(f.read(), "precious", "what is no socket of ours")


def commands(case, matapalo, files):
    said = matapalo.command("groups", "list")
    case.equal(said.returncode, 1, "groups without a token")
    case.check("unauthorized" in said.stderr, said.stderr)
    said = matapalo.command("groups", "list", "--token-file", files["shop"])
    case.check("forbidden" in said.stderr, said.stderr)
    said = matapalo.command("groups", "list", "--token-file", files["boss"])
    case.equal(said.returncode, 0, said.stderr)
    os.environ["MATAPALO_BUS_TOKEN_FILE"] = files["shop"]
    case.consume(matapalo, "orders", "", args=("--limit", "1")).wait()
    del os.environ["MATAPALO_BUS_TOKEN_FILE"]


def thief(case, url, owner, boss):
    """He knows the group, the consumer's name and the numbers."""
    held = owner.call("fetch", group="orders", consumer="owner", max=2)
    numbers = [e["sequence"] for e in held["events"]]
    case.equal(len(numbers), 2, "events held")

    def seen():
        return boss.call("groups", group="orders")["groups"][0]
    # What `consume` acknowledged reaches the disk a little later.
    lib.wait_for(lambda: seen()["cursor"] > 0, "the consumer's own step")
    before = seen()
    mall = As(url, "mall-token-0123456789")
    for op in "ack", "nak", "term", "touch", "release":
        case.equal(mall.code(op, group="orders", consumer="owner",
                             sequences=numbers), "forbidden", op)
    case.equal(mall.code("fetch", group="orders", acks=numbers), "forbidden",
               "acks with a fetch")
    for op in "group_seek", "group_reset", "group_delete", "replay":
        case.equal(mall.code(op, group="orders", to="newest", force=True),
                   "forbidden", op)
    # one's own group, other people's numbers; the right group, another name
    mall.call("fetch", group="mallory-1", max=0)
    case.equal(mall.call("ack", group="mallory-1", sequences=numbers)["stale"],
               2, "numbers of another group")
    other = As(url, owner.token)
    case.equal(other.call("ack", group="orders", consumer="other",
                          sequences=numbers + [10 ** 15])["settled"], 0,
               "another consumer's events")
    case.equal(mall.code("reply", json=1, correlationid=
                         "fff00000-0000-7000-8000-000000000001"),
               "unknown_correlation", "a forged command")
    after = seen()
    for name in "cursor", "in_flight", "dead", "retrying":
        case.equal(after[name], before[name], "the group's " + name)
    case.equal(owner.call("ack", group="orders", consumer="owner",
                          sequences=numbers)["settled"], 2, "its owner's acks")
    case.equal(owner.call("ack", group="orders", consumer="owner",
                          sequences=numbers)["stale"], 2, "a replay of them")


def own_group(case, url):
    """A marked group: not even who may do everything reaches it."""
    vault = As(url, "vault-token-012345678")
    chief = As(url, "chief-token-012345678")
    held = vault.call("fetch", group="vault", consumer="owner", max=2)
    numbers = [e["sequence"] for e in held["events"]]
    for op in ("fetch", "ack", "nak", "term", "touch", "group_set",
               "group_seek", "group_reset", "group_pause", "group_delete",
               "dlq_list", "replay", "groups"):
        case.equal(chief.code(op, group="vault", consumer="owner", force=True,
                              sequences=numbers, to="newest", from_="oldest"),
                   "forbidden", op)
    case.equal(chief.code("groups"), "forbidden", "all groups")
    case.equal(chief.code("groups", group="orders"), "ok", "any other group")
    boss = As(url, "boss-token-0123456789")
    before = boss.call("groups", group="vault")["groups"][0]
    case.equal([before[n] for n in ("cursor", "in_flight", "dead")],
               [0, len(numbers), 0], "the group's place")
    case.equal(vault.call("ack", group="vault", consumer="owner",
                          sequences=numbers)["settled"], len(numbers),
               "the owner's acks")


def other_protocols(case, port):
    """Nothing is answered, the connection is closed or stays mute."""
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 64,
                 b"\0SP\0\0\x20\0\0",                    # PUB
                 HELLO + struct.pack(">Q", 1 << 40) + b"x" * 64,
                 HELLO + struct.pack(">Q", 2 ** 64 - 1),
                 HELLO + struct.pack(">Q", 3) + b"abc",  # no request id
                 HELLO + struct.pack(">Q", 1 << 20) + b"{"):
        with raw(port, data) as s:
            s.settimeout(0.3)
            try:
                got = s.recv(8, socket.MSG_WAITALL)
                case.check(s.recv(1) == b"", "an answer to %r" % data[:12])
            except (socket.timeout, ConnectionError):
                got = b""
            case.check(got in (b"", b"\0SP\0\0\x31\0\0"), repr(got))


def flood(case, port, n=10000, at_once=100):
    for _ in range(n // at_once):
        many = [raw(port, HELLO if i % 2 else b"") for i in range(at_once)]
        for s in many:
            s.close()


def scenario(case):
    if not nng.LIB:
        lib.skip("libnng cannot be loaded")
    tokens = case.path("bus.tokens")
    starts(case, tokens)
    write(tokens, ROWS)
    files = {}
    for name, token in (r.split()[:2] for r in ROWS.strip().splitlines()):
        files[name] = case.path(name)
        write(files[name], token + "\n")
    origin = case.origin("legacy")
    matapalo = case.matapalo(
        legacy=origin.url,
        args=["--bus-tokens", tokens, "--bus", "tcp://127.0.0.1:0",
              "--bus-connections", str(CONNECTIONS)])
    url = matapalo.info["bus"][1]
    port = int(url.rsplit(":", 1)[1])
    for i in range(6):
        lib.fetch(matapalo.port, "GET", "/%d" % i)
    matapalo.await_exchanges(6)
    commands(case, matapalo, files)
    owner = As(url, "shop-token-0123456789")
    boss = As(matapalo.bus, "boss-token-0123456789")
    thief(case, url, owner, boss)
    case.equal(As(url, "shop-token-012345678").code("hello"), "unauthorized",
               "a wrong token")

    own_group(case, url)
    other_protocols(case, port)
    flood(case, port)
    many = [raw(port, HELLO) for _ in range(3 * CONNECTIONS)]
    lib.wait_for(lambda: refused(matapalo.metrics(), "connections") > 0,
                 "connections to be refused")
    case.equal(lib.fetch(matapalo.port, "GET", "/7").status, 200, "a client")
    for s in many:
        s.close()
    metrics = matapalo.metrics()
    for reason in "token_missing", "token_wrong", "right", "group":
        case.check(refused(metrics, reason) > 0, reason)
    case.equal(owner.call("fetch", group="orders", consumer="owner", max=1)
               ["events"][0]["attempt"], 1, "the owner goes on")

    write(tokens, ROWS.replace("shop-token-0123456789", "shop-token-abcdefghi"))
    matapalo.signal(lib.signal.SIGHUP)
    lib.wait_for(lambda: owner.code("hello") == "unauthorized",
                 "the token to be taken away")
    owner.token = "shop-token-abcdefghi"
    case.equal(owner.code("hello"), "ok", "the new one")

    case.equal(matapalo.stop(), 0, "exit status")
    for folder in matapalo.data, case.logs:
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "rb") as f:
                case.check(b"-token-0123" not in f.read(),
                           "a token is in " + name)


lib.main(scenario)
