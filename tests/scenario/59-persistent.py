# SPDX-License-Identifier: Apache-2.0
"""`consume --exec-persistent` and `--parallel`: handlers that last, killed,
hanging, talking nonsense, and drained; and the examples."""
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import time

import lib
import nng

EXAMPLES = os.path.join(lib.SOURCE, "examples", "persistent")
SEED = int(os.environ.get("PERSIST_SEED", "0")) or random.randrange(1, 1 << 30)
EVENTS = int(os.environ.get("PERSIST_EVENTS", "400"))
KEYS = 7
# One line in the log for each event that was begun, and for each pid.
HANDLER = """#!%s -S
import json, os, sys, time
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def write(*words):
    os.write(log, (" ".join(str(w) for w in words) + "\\n").encode())
def say(**verdict):
    print(json.dumps(verdict), flush=True)
write("pid", os.getpid())
for line in sys.stdin:
    d = json.loads(line)
    e = d["event"]
    id, subject, first = e["id"], e["subject"], d["attempt"] == 1
    write("begin", subject, e.get("partitionkey", "-"), d["attempt"],
          d["redelivered"], os.getpid())
%s
    write("end", subject, e.get("partitionkey", "-"), d["attempt"])
    say(id=id, ack=True)
write("eof", os.getpid())
"""
WAITS = """
    while not os.path.exists(sys.argv[1] + ".go"):
        time.sleep(0.01)
"""
BAD = """
    if first and subject == "words":
        print("hello", flush=True)
    elif first and subject == "other":
        say(id="x", ack=True)
    elif first and subject == "both":
        say(id=id, ack=True, term="x")
    elif first and subject == "loud":
        sys.stdout.write("x" * 5000000)
    elif first and subject == "hang":
        time.sleep(60)
    elif first and subject == "dies":
        sys.stderr.write("no stock\\n")
        sys.exit(3)
    elif first and subject == "closes":
        os.close(1)
        time.sleep(60)
    elif first and subject == "later":
        say(id=id, nak={"delay_ms": 10, "reason": "not now"})
        continue
    elif subject == "never":
        say(id=id, term="for good")
        continue
    elif first and subject == "twice":
        say(id=id, ack=True)
"""


class Handlers:
    """A group, the handler's script and what it logged."""

    def __init__(self, case, matapalo, name, body=""):
        self.case, self.matapalo, self.name = case, matapalo, name
        self.log = case.path(name + ".log")
        self.script = case.path(name + ".py")
        with open(self.script, "w") as f:
            f.write(HANDLER % (sys.executable, body))
        os.chmod(self.script, 0o700)
        made = matapalo.command("groups", "create", name, "--type",
                                name + ".*", "--backoff", "10ms",
                                "--max-attempts", "50")
        case.equal(made.returncode, 0, "groups create: " + made.stderr)

    def start(self, *args):
        return self.case.start("consume-" + self.name, [
            lib.MATAPALO, "consume", "--group", self.name, "--data",
            self.matapalo.data, "--exec-persistent",
            "%s %s" % (self.script, self.log)] + list(args))

    def publish(self, events):
        bus = nng.Bus(self.matapalo.bus)
        for at in range(0, len(events), 500):
            bus.call("publish", events=[
                dict(e, type=self.name + ".made.v1")
                for e in events[at:at + 500]])
        bus.close()

    def lines(self, kind):
        if not os.path.exists(self.log):
            return []
        with open(self.log) as f:
            words = [line.split() for line in f]
        return [w[1:] for w in words if w and w[0] == kind]

    def group(self):
        return [g for g in self.matapalo.status()["bus"]["groups"]
                if g["name"] == self.name][0]

    def await_settled(self):
        def is_settled():
            g = self.group()
            return not (g["lag_events"] or g["in_flight"] or g["retrying"])
        lib.wait_for(is_settled, self.name + " to be settled", 60)


# ---- kill -9 ----------------------------------------------------------------

def check_order(case, begun):
    newest = {}
    for subject, key, attempt, redelivered, _ in begun:
        if attempt == "1" and redelivered == "False":
            case.check(int(subject) > newest.get(key, -1),
                       "%s of %s after %s" % (subject, key, newest.get(key)))
            newest[key] = int(subject)


def killed(case, matapalo):
    """Handlers die at any moment: nothing is lost, keys keep their order,
    and no key is at two handlers."""
    rng = random.Random(SEED)
    h = Handlers(case, matapalo, "killed", "    time.sleep(0.002)\n")
    h.publish([{"subject": str(n), "partitionkey": "k%d" % (n % KEYS)}
               for n in range(EVENTS)])
    consume = h.start("--parallel", "4", "--batch", "16")
    kills = 0
    while h.group()["lag_events"]:
        time.sleep(rng.uniform(0, 0.05))
        pids = [int(p[0]) for p in h.lines("pid")]
        if pids:
            try:
                os.kill(rng.choice(pids[-4:]), lib.signal.SIGKILL)
                kills += 1
            except ProcessLookupError:
                pass
    h.await_settled()
    ended = {int(w[0]) for w in h.lines("end")}
    case.equal(sorted(set(range(EVENTS)) - ended), [], "never handled")
    case.equal(h.group()["dead"], 0, "dead letters")
    begun = h.lines("begin")
    check_order(case, begun)
    case.check(kills > 0, "kills")
    case.check(len(begun) <= EVENTS + kills, "a kill costs an attempt of one")
    print("PERSIST_SEED=%d: %d events, %d kills, %d begun"
          % (SEED, EVENTS, kills, len(begun)))
    consume.signal(lib.signal.SIGTERM)
    case.equal(consume.wait(), 0, "exit status")


# ---- what handlers do wrong --------------------------------------------------

def bad(case, matapalo):
    h = Handlers(case, matapalo, "bad", BAD)
    subjects = ["words", "other", "both", "loud", "hang", "dies", "closes",
                "later", "never", "twice"]
    events = []
    for subject in subjects:
        events += [{"subject": subject}, {"subject": "good-" + subject}]
    h.publish(events)
    consume = h.start("--timeout", "3s", "--parallel", "3")
    h.await_settled()
    consume.signal(lib.signal.SIGTERM)
    case.equal(consume.wait(), 0, "exit status")
    tries = {}
    for subject, _, attempt, _, _ in h.lines("begin"):
        tries[subject] = max(tries.get(subject, 0), int(attempt))
    for subject in subjects:
        want = 1 if subject in ("never", "twice") else 2
        case.equal(tries[subject], want, "attempts of " + subject)
        if subject != "twice":
            # Who was given the event before the second line was read has
            # lost an attempt.
            case.equal(tries["good-" + subject] <= 2, True, subject)
    case.equal(h.group()["dead"], 1, "dead letters")
    said = consume.err()
    for words in ("no JSON object: hello", "has not the id", "is needed",
                  "printed too much", "took too long", "no stock",
                  "exit status 3"):
        case.check(words in said, "`%s' in the log" % words)
    letter = json.loads(matapalo.command("dlq", "list", "--group", "bad",
                                         "--json").stdout)
    case.check("for good" in json.dumps(letter), "the reason")


def does_not_start(case, matapalo):
    """Nobody has tried an event that no handler has read."""
    h = Handlers(case, matapalo, "broken")
    h.publish([{"subject": "one"}])
    os.chmod(h.script, 0o600)
    consume = h.start("--limit", "1")
    lib.wait_for(lambda: consume.err().count("exit status 126") > 1, "tries")
    os.chmod(h.script, 0o700)
    case.equal(consume.wait(), 0, "exit status")
    case.equal([w[2] for w in h.lines("begin")], ["1"], "attempts")


# ---- SIGTERM -----------------------------------------------------------------

def drained(case, matapalo):
    """What is begun is finished, the rest is anybody's, at once."""
    h = Handlers(case, matapalo, "drained", WAITS)
    h.publish([{"subject": str(n)} for n in range(20)])
    consume = h.start("--parallel", "2", "--batch", "20")
    lib.wait_for(lambda: len(h.lines("begin")) >= 2, "two to begin")
    consume.signal(lib.signal.SIGTERM)
    lib.wait_for(lambda: h.group()["in_flight"] <= 2, "a release")
    with open(h.log + ".go", "w"):
        pass
    case.equal(consume.wait(), 0, "exit status")
    begun = len(h.lines("begin"))
    case.equal((begun, len(h.lines("end"))), (2, 2), "begun is finished")
    case.equal(len(h.lines("eof")), 2, "handlers see the end of file")
    group = h.group()
    case.equal((group["lag_events"], group["in_flight"], group["retrying"]),
               (18, 0, 0), "the rest was released")
    bus = nng.Bus(matapalo.bus)
    got = bus.call("fetch", group="drained", consumer="other")["events"]
    bus.call("ack", group="drained", consumer="other",
             sequences=[e["sequence"] for e in got])
    bus.close()
    case.equal({e["attempt"] for e in got}, {1}, "without an attempt")
    late = Handlers(case, matapalo, "late", "    time.sleep(60)\n")
    late.publish([{"subject": "0"}])
    consume = late.start("--drain", "200ms")
    lib.wait_for(lambda: late.lines("begin"), "it to begin")
    consume.signal(lib.signal.SIGTERM)
    case.equal(consume.wait(), 0, "exit status")
    case.equal(late.group()["retrying"], 1, "what did not end comes again")


# ---- --exec, in parallel -----------------------------------------------------

def parallel(case, matapalo):
    h = Handlers(case, matapalo, "once")
    h.publish([{"subject": str(n), "partitionkey": "k%d" % (n % 3)}
               for n in range(12)])
    log = os.environ["ONCE_LOG"] = case.path("once.log")
    command = ("echo begin $CE_SUBJECT $CE_PARTITIONKEY >>$ONCE_LOG; "
               "sleep 0.1; echo end $CE_SUBJECT $CE_PARTITIONKEY "
               ">>$ONCE_LOG")
    began = time.monotonic()
    consume = case.start("consume-once", [
        lib.MATAPALO, "consume", "--group", "once", "--data", matapalo.data,
        "--exec", command, "--parallel", "3", "--limit", "12"])
    case.equal(consume.wait(), 0, "exit status")
    took = time.monotonic() - began
    newest, busy, most = {}, {}, 0
    with open(log) as f:
        for kind, subject, key in (line.split() for line in f):
            if kind == "end":
                del busy[key]
                continue
            case.check(key not in busy, "%s is at one handler" % key)
            busy[key] = subject
            most = max(most, len(busy))
            case.check(int(subject) > newest.get(key, -1), "order of " + key)
            newest[key] = int(subject)
    case.check(most > 1, "handlers at a time: %d" % most)
    print("12 sleeps of 100 ms in three lanes: %.2f s" % took)


# ---- examples ----------------------------------------------------------------

def build_example(case):
    """The handler in C, or None."""
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libcjson"],
                           capture_output=True, text=True) \
        if shutil.which("pkg-config") else None
    if not flags or flags.returncode:
        return None
    program = case.path("handler")
    done = subprocess.run(
        shlex.split(os.environ.get("LINT_CC", "cc")) +
        ["-std=c99", "-Wall", "-Wextra", "-Werror",
         os.path.join(EXAMPLES, "handler.c"), "-o", program] +
        shlex.split(flags.stdout), capture_output=True, text=True)
    case.equal(done.returncode, 0, "cc handler.c: " + done.stderr)
    return program


def run_example(case, matapalo, name, command, events=3):
    h = Handlers(case, matapalo, name)
    h.publish([{"subject": "s%d" % n, "data": {"busy": True}}
               for n in range(events)])
    consume = case.start("consume-" + name, [
        lib.MATAPALO, "consume", "--group", name, "--data", matapalo.data,
        "--exec-persistent", command, "--idle-exit", "250ms"])
    case.equal(consume.wait(), 0, "exit status of " + name)
    case.equal(h.group()["lag_events"], 0, name + " has settled all")


def examples(case, matapalo):
    log = case.path("notes")
    python = shlex.quote(sys.executable) + " " + os.path.join(EXAMPLES,
                                                              "handler.py")
    run_example(case, matapalo, "python", python)
    for name, program in (("shell", "sh %s/handler.sh" % EXAMPLES
                           if shutil.which("jq") else None),
                          ("c", build_example(case))):
        if not program:
            print("the example in %s is not run" % name)
            continue
        run_example(case, matapalo, name, "%s %s" % (program, log + name))
        with open(log + name) as f:
            case.equal(f.read(), "s0\ns1\ns2\n", "what it wrote")
    consume = case.start("consume-orders", [
        lib.MATAPALO, "consume", "--group", "orders", "--type",
        "shop.order.place.v1", "--data", matapalo.data, "--exec-persistent",
        python])
    fields = [("Content-Type", "application/json")]
    answer = lib.fetch(matapalo.port, "POST", "/orders", b'{"sku":"a"}',
                       fields)
    case.equal((answer.status, "order" in answer.json()), (201, True),
               "the reply of a handler that lasts")
    answer = lib.fetch(matapalo.port, "POST", "/orders", b"{}", fields)
    case.equal((answer.status, answer.body), (422, b"no sku"), "and again")
    consume.signal(lib.signal.SIGTERM)
    case.equal(consume.wait(), 0, "exit status of the service")


def scenario(case):
    if nng.LIB is None:
        lib.skip("no libnng")
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
    matapalo = case.matapalo(rules=rules)
    for part in (killed, bad, does_not_start, drained, parallel, examples):
        began = time.monotonic()
        part(case, matapalo)
        print("%s: %.1f s" % (part.__name__, time.monotonic() - began))


lib.main(scenario)
