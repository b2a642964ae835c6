# SPDX-License-Identifier: Apache-2.0
"""The library as a stranger meets it: installed, found by pkg-config, linked;
and the examples, each run against a live matapalo."""
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import lib
import pki

EXAMPLES = os.path.join(lib.SOURCE, "examples")
INTERNAL = ("base/", "bus/", "lib/", "payload/", "nng", "cJSON")


def run(case, argv, stdin="", env=None, status=0):
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True,
                          timeout=60, env=dict(os.environ, **(env or {})))
    case.equal(done.returncode, status, "status of %s: %s%s"
               % (" ".join(argv), done.stdout[-2000:], done.stderr[-2000:]))
    return done.stdout


class Installed:
    """`make install` below a directory of the test's own."""

    def __init__(self, case):
        self.root = case.path("root")
        make = {k: v for k, v in os.environ.items()
                if not k.startswith(("MAKE", "MFLAGS"))}
        done = subprocess.run(
            ["make", "-C", lib.BUILD, "install", "DESTDIR=" + self.root],
            env=make, capture_output=True, text=True, timeout=200)
        case.equal(done.returncode, 0, "make install: "
                   + done.stderr[-2000:])
        self.pc = self.find("libmatapalo.pc")
        self.lib = os.path.dirname(self.find("libmatapalo.so"))
        self.header = self.find("matapalo.h")
        self.env = {"PKG_CONFIG_SYSROOT_DIR": self.root,
                    "PKG_CONFIG_LIBDIR": os.path.dirname(self.pc) + ":" +
                    self.system_path(),
                    "LD_LIBRARY_PATH": self.lib}

    def find(self, name):
        for top, _, names in os.walk(self.root):
            if name in names:
                return os.path.join(top, name)
        raise lib.Failed("%s is not installed" % name)

    def system_path(self):
        return subprocess.run(
            ["pkg-config", "--variable", "pc_path", "pkg-config"],
            capture_output=True, text=True).stdout.strip()

    def flags(self, case, *how):
        """Only what pkg-config says may be needed."""
        return shlex.split(run(case, ["pkg-config", *how, "--cflags",
                                      "--libs", "libmatapalo"],
                               env=self.env))

    def static_flags(self, case):
        """The same with the archive in the place of the shared library."""
        archive = os.path.join(self.lib, "libmatapalo.a")
        return [archive if flag == "-lmatapalo" else flag
                for flag in self.flags(case, "--static")]


def check_header(case, installed):
    with open(installed.header) as f:
        text = f.read()
    for name in INTERNAL:
        case.check("<" + name not in text and '"' + name not in text,
                   "the header includes nothing of " + name)
    for language, std in (("c", "c99"), ("c++", "c++11")):
        compiler = os.environ.get("LINT_CC", "cc").split()
        done = subprocess.run(
            compiler + ["-x", language, "-std=" + std, "-Wall", "-Wextra",
                        "-Werror", "-fsyntax-only", "-"],
            input='#include "%s"\n' % installed.header, text=True,
            capture_output=True)
        if language == "c++" and "cc1plus" in done.stderr:
            continue
        case.equal(done.returncode, 0, "the header in %s: %s"
                   % (std, done.stderr))


def check_symbols(case, installed):
    out = run(case, ["nm", "-D", "--defined-only",
                     os.path.join(installed.lib, "libmatapalo.so")])
    names = [line.split()[2].split("@")[0] for line in out.splitlines()]
    names = [n for n in names if n != "MATAPALO_0" and
             not n.startswith(("__asan", "__ubsan", "__odr"))]
    with open(installed.header) as f:
        declared = f.read()
    for name in names:
        case.check(name.startswith("matapalo_") and name in declared,
                   "%s is exported and in the header" % name)
    for name in re.findall(r"\b(matapalo_\w+)\((?!\d)",
                           declared):
        case.check(name in names, "%s is in the header and exported" % name)
    out = run(case, ["objdump", "-p",
                     os.path.join(installed.lib, "libmatapalo.so")])
    case.check("libmatapalo.so.0" in out, "the soname has its number")


def compile_examples(case, installed):
    flags = installed.flags(case)
    programs = {}
    for name in ("consumer", "publisher", "service"):
        programs[name] = case.path(name)
        compiler = shlex.split(os.environ.get("LINT_CC", "cc"))
        run(case, compiler + ["-Wall", "-Wextra", "-Werror", "-Wshadow",
                              os.path.join(EXAMPLES, "c", name + ".c"),
                              "-o", programs[name]] + flags)
    return programs


def link_statically(case, matapalo, installed):
    """The archive is enough: no libmatapalo.so is asked for."""
    program = case.path("static")
    run(case, shlex.split(os.environ.get("LINT_CC", "cc")) +
        [os.path.join(EXAMPLES, "c", "publisher.c"), "-o", program] +
        installed.static_flags(case))
    case.check("libmatapalo" not in run(case, ["objdump", "-p", program]),
               "the program needs no shared libmatapalo")
    out = run(case, [program, matapalo.bus, "static.made.v1"], stdin="1\n")
    case.check(int(out) > 0, "and publishes")


def compile_manual(case, installed):
    """Each .EX of a page is a program that compiles."""
    compiler = shlex.split(os.environ.get("LINT_CC", "cc"))
    pages = [name for name in os.listdir(os.path.join(lib.SOURCE, "docs"))
             if name.endswith(".3")]
    programs = 0
    for name in sorted(pages):
        with open(os.path.join(lib.SOURCE, "docs", name)) as f:
            text = f.read()
        for example in re.findall(r"^\.EX\n(.*?)^\.EE$", text, re.M | re.S):
            example = example.replace("\\&", "").replace("\\-", "-")
            run(case, compiler + ["-Wall", "-Wextra", "-Werror", "-x", "c",
                                  "-", "-o", case.path("page")] +
                installed.flags(case),
                stdin=example.replace("\\e", "\\"))
            programs += 1
    case.check(programs > 0, "programs in the manual")


def publish_and_consume(case, matapalo, installed, programs):
    lines = "".join('{"n":%d}\n' % n for n in range(20))
    env = installed.env
    out = run(case, [programs["publisher"], matapalo.bus, "note.made.v1"],
              stdin=lines, env=env)
    sequences = [int(line) for line in out.split()]
    case.equal(len(set(sequences)), 20, "sequences of the publisher")
    out = run(case, [programs["consumer"], matapalo.bus, "notes",
                     "note.*", "20"], env=env)
    seen = [line.split(" ", 2) for line in out.splitlines()]
    case.equal([int(s[0]) for s in seen], sequences, "what came out")
    case.equal([json.loads(s[2])["n"] for s in seen], list(range(20)),
               "the data")
    group = [g for g in matapalo.status()["bus"]["groups"]
             if g["name"] == "notes"][0]
    case.equal((group["lag_events"], group["in_flight"], group["dead"]),
               (0, 0, 0), "all are settled")
    run(case, [programs["publisher"], matapalo.bus, "matapalo.own.v1"],
        stdin="1\n", env=env, status=1)
    run(case, [programs["consumer"], "ipc:///nowhere/bus", "g", "x", "1"],
        env=env, status=1)


def serve(case, matapalo, installed, program):
    service = case.start("service", [program, matapalo.bus, "orders",
                                     "shop.order.place.v1", "2"],
                         env=dict(os.environ, **installed.env))
    fields = [("Content-Type", "application/json")]
    answer = lib.fetch(matapalo.port, "POST", "/orders", b'{"sku":"a"}',
                       fields)
    case.equal(answer.status, 201, "the service's answer")
    case.equal(answer.get("Location"),
               "/orders/" + answer.json()["order"], "its location")
    answer = lib.fetch(matapalo.port, "POST", "/orders", b"{}", fields)
    case.equal(answer.status, 422, "an order without sku")
    case.equal(service.wait(), 0, "exit status of the service")


def over_tls(case, installed, programs):
    """Certificates of both sides and a token: without any of them nothing."""
    if not shutil.which("openssl"):
        print("no openssl: nothing goes over TLS")
        return
    certs, tokens = pki.Pki(case), case.path("tokens")
    for name in "ca", "other":
        certs.authority(name)
    certs.leaf("bus", "DNS:bus.example", "ca")
    certs.leaf("shop", "DNS:shop.example", "ca")
    certs.leaf("thief", "DNS:shop.example", "other")
    with open(tokens, "w") as f:
        os.fchmod(f.fileno(), 0o600)
        f.write("shop shop-token-0123456789 all *\n")
    matapalo = case.matapalo(legacy=case.origin("tls").url, args=[
        "--bus", "tls+tcp://127.0.0.1:0", "--bus-tokens", tokens,
        "--bus-tls-certificate", certs.pem("bus"),
        "--bus-tls-key", certs.keyfile("bus"),
        "--bus-tls-client-ca", certs.pem("ca")])
    url = matapalo.info["bus"][1]
    env = dict(installed.env, BUS_TOKEN="shop-token-0123456789",
               BUS_CA=certs.pem("ca"), BUS_NAME="bus.example",
               BUS_CERTIFICATE=certs.pem("shop"),
               BUS_KEY=certs.keyfile("shop"))
    for wrong in ({"BUS_TOKEN": "shop-token-0123456780"},
                  {"BUS_CA": certs.pem("other")}, {"BUS_NAME": "a.example"},
                  {"BUS_CERTIFICATE": certs.pem("thief"),
                   "BUS_KEY": certs.keyfile("thief")}):
        run(case, [programs["publisher"], url, "tls.made.v1"], stdin="0\n",
            env=dict(env, **wrong), status=1)
    out = run(case, [programs["publisher"], url, "tls.made.v1"],
              stdin="1\n2\n", env=env)
    case.equal(out, "1\n2\n", "what was published, and nothing before")
    out = run(case, [programs["consumer"], url, "g", "tls.*", "2"], env=env)
    case.equal(out, "1 tls.made.v1 1\n2 tls.made.v1 2\n", "what came out")
    case.equal(matapalo.stop(), 0, "exit status")


def by_hand(case, matapalo):
    if not shutil.which("nngcat"):
        print("no nngcat (nng-utils): that example is not run")
        return
    def script(name, *words):
        return json.loads(run(case, ["sh", os.path.join(
            EXAMPLES, "nngcat", name), matapalo.bus] + list(words)))
    published = script("publish.sh", "hand.made.v1", '{"text":"hello"}')
    fetched = script("fetch.sh", "hands", "hand.made.v1")
    sequence = fetched["events"][0]["sequence"]
    case.equal(sequence, published["sequence"], "nngcat gets what it gave")
    case.equal(script("ack.sh", "hands", str(sequence))["settled"], 1,
               "and settles it")


def in_python(case, matapalo):
    if importlib.util.find_spec("pynng") is None:
        print("no pynng: that example is not run")
        return
    consumer = case.start("pynng", [
        sys.executable, os.path.join(EXAMPLES, "python-consumer",
                                     "consumer.py"),
        matapalo.bus, "python", "shop.order.place.v1", "40"])
    answer = lib.fetch(matapalo.port, "POST", "/orders", b'{"sku":"p"}',
                       [("Content-Type", "application/json")])
    case.equal((answer.status, answer.json()["lines"]), (201, {"sku": "p"}),
               "the answer of the Python service")
    consumer.kill_group()


def scenario(case):
    if not shutil.which("pkg-config") or not shutil.which("nm"):
        lib.skip("no pkg-config or no nm")
    if lib.is_sanitized():
        lib.skip("a program that is not sanitized cannot use the library")
    rules = case.rules({
        "version": 1,
        "targets": {
            "legacy": {"url": case.origin("legacy").url},
            "orders": {"command": "shop.order.place.v1",
                       "reply_within": "20s"}},
        "default": {"stage": "passthrough"},
        "rules": [{"name": "place", "match": {"method": "POST",
                                              "path": "/orders"},
                   "stage": "migrated", "target": "orders"}]})
    installed = Installed(case)
    check_header(case, installed)
    check_symbols(case, installed)
    programs = compile_examples(case, installed)
    compile_manual(case, installed)
    matapalo = case.matapalo(rules=rules)
    link_statically(case, matapalo, installed)
    publish_and_consume(case, matapalo, installed, programs)
    serve(case, matapalo, installed, programs["service"])
    over_tls(case, installed, programs)
    by_hand(case, matapalo)
    in_python(case, matapalo)


lib.main(scenario)
