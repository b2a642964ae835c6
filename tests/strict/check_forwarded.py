# SPDX-License-Identifier: Apache-2.0
"""Promise H7: what a stranger says of its own past is removed, whatever it
is called; a trusted chain is honoured; what is written is RFC 7239."""
import itertools
import os
import random
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import judge  # noqa: E402
from judge import lib  # noqa: E402
from recorder import Recorder, all_values  # noqa: E402

NAMES = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host",
         "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Prefix",
         "X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Forwarded-By",
         "X-Forwarded", "X-Forwarded-User", "X-Real-IP", "Forwarded"]
# Whatever they say, it has the mark 66 in it.
VALUES = ["66.6.6.6", "66.6.6.6, 127.0.0.1", "127.0.0.1, 66.6.6.6",
          "for=66.6.6.6", "for=66.6.6.6;proto=https;host=h66.example",
          'for="[2001:db8::66]:4711"', 'for="66.6.6.6', "for=66.6.6.6;;;,,=",
          'for="66.6.6.6\\"";by=_66', "for=_66, for=unknown", "https66",
          "h66.example", "h66.example:443", "66", "66.6.6.6:80", "[::66]",
          "::ffff:66.6.6.6", ",,,66.6.6.6,,,", "  66.6.6.6\t", '"66.6.6.6"',
          "66.6.6.6;for=1", ", ".join(["66.6.6.6"] * 1000),
          ",".join(["for=66.6.6.6"] * 1000), "\xe9\xff66", "6" * 4000]
NODE = r'(?:\d+(?:\.\d+){3}|"\[[0-9a-f:.]+\](?::\d+)?"|"\d+(?:\.\d+){3}:\d+"' \
    r'|unknown|_[\w.-]+|"_[\w.-]+:\d+")'
PAIR = r'(?:for=%s|host="[^"\\]*"|proto=[a-z]+|by=%s)' % (NODE, NODE)
FORWARDED = re.compile(r"%s(?:;%s)*(?:, %s(?:;%s)*)*" % ((PAIR,) * 4))


def spellings(name):
    """As it is, in other cases, and with underscores."""
    yield name
    yield name.lower()
    yield name.upper()
    if "-" in name:
        yield name.replace("-", "_")
        yield name.replace("-", "_", 1)
        yield name.lower().replace("-", "_")


def heard_by(matapalo, origin, lines, source="127.0.0.1"):
    """The fields that the origin got, or None when it was refused."""
    before = len(origin.readings)
    talk = judge.Talk(matapalo.port, (
        "GET /x HTTP/1.1\r\nHost: shop.example\r\n" +
        "".join(line + "\r\n" for line in lines) +
        "Connection: close\r\n\r\n").encode("latin-1"), 5, source=source)
    if talk.statuses() != [200]:
        return None
    return origin.readings[before].fields


def one(fields, name):
    values = all_values(fields, name)
    return values[0].decode("latin-1") if len(values) == 1 else values


def check_told(case, matapalo, fields, client, what):
    case.equal(one(fields, b"x-forwarded-for"), client, what)
    case.equal(one(fields, b"x-forwarded-proto"), "http", what)
    case.equal(one(fields, b"x-forwarded-host"), "shop.example", what)
    case.equal(one(fields, b"x-forwarded-port"), str(matapalo.port), what)
    case.equal(one(fields, b"forwarded"),
               'for=%s;host="shop.example";proto=http' % client, what)


def strangers(case, origin):
    matapalo = judge.matapalo(case, origin.url)
    # One at a time, then many together.
    all_lines = ["%s: %s" % (spelling, value) for name, value in
                 itertools.product(NAMES, VALUES)
                 for spelling in spellings(name)]
    cases = [[line] for line in all_lines]
    chance = random.Random(7)
    cases += [chance.sample(all_lines, 6) for _ in range(200)]
    passed = 0
    for lines in cases:
        fields = heard_by(matapalo, origin, lines)
        if fields is None:          # too large together: refused
            continue
        passed += 1
        what = " | ".join(line[:60] for line in lines)
        check_told(case, matapalo, fields, "127.0.0.1", what)
        for name, value in fields:
            said = name.replace(b"_", b"-")
            if said.startswith((b"x-forwarded", b"forwarded", b"x-real-ip")):
                case.check(b"_" not in name and b"66" not in value.replace(
                    b"%d" % matapalo.port, b""), "%s: %r got through as %r"
                           % (what, value[:80], name))
    print("%d of a stranger's words, %d forwarded without them"
          % (len(cases), passed))
    case.check(passed > 1800, "most are forwarded")
    case.equal(matapalo.stop(), 0, "exit status")


# A trusted peer's words, and the chain that goes on; it is 127.0.0.9.
CHAINS = [
    ("192.0.2.6", "192.0.2.6", "for=192.0.2.6"),
    ("6.6.6.6, 192.0.2.6", "192.0.2.6", "for=192.0.2.6"),
    ("192.0.2.6, 127.0.0.3", "192.0.2.6, 127.0.0.3",
     "for=192.0.2.6, for=127.0.0.3"),
    ("2001:DB8::0:1", "2001:db8::1", 'for="[2001:db8::1]"'),
    ("192.0.2.6:80", "192.0.2.6", 'for="192.0.2.6:80"'),
    (", ".join(["6.6.6.6"] * 999 + ["192.0.2.6"]), "192.0.2.6",
     "for=192.0.2.6")]


def trusted(case, origin):
    rules = {"version": 1, "targets": {"legacy": {"url": origin.url}},
             "default": {"stage": "passthrough"}}
    matapalo = case.matapalo(rules=case.rules(rules, "trusted.json"), args=[
        "--trusted-proxy", "127.0.0.0/8"])
    for came, told, quoted in CHAINS:
        fields = heard_by(matapalo, origin, ["X-Forwarded-For: " + came],
                          "127.0.0.9")
        case.equal(one(fields, b"x-forwarded-for"), told + ", 127.0.0.9",
                   came[-60:])
        case.check(one(fields, b"forwarded").startswith(
            quoted + ", for=127.0.0.9;"), "%s: %s" % (
                came[-60:], one(fields, b"forwarded")))
    for name, value in itertools.product(
            ("X-Forwarded-For", "X_Forwarded_For", "Forwarded",
             "X-Forwarded-Host", "X-Forwarded-Proto"), VALUES):
        fields = heard_by(matapalo, origin, ["%s: %s" % (name, value)],
                          "127.0.0.9")
        if fields is None:
            continue
        case.check(FORWARDED.fullmatch(one(fields, b"forwarded")),
                   "%s: %s becomes %s" % (name, value[:60],
                                          one(fields, b"forwarded")[:200]))
        case.check("127.0.0.9" in one(fields, b"x-forwarded-for"), name)
        case.equal(all_values(fields, b"x_forwarded_for"), [], "underscores")
    case.equal(matapalo.stop(), 0, "exit status")


def scenario(case):
    origin = Recorder(case)
    strangers(case, origin)
    trusted(case, origin)
    case.equal(origin.flaws, [], "flaws")


lib.main(scenario)
