# SPDX-License-Identifier: Apache-2.0
"""One group, services in C (libmatapalo), Python and shell (`consume
--exec`), each ended by kill -9 at any moment while requests flow: each caller
gets one answer, its own; what is given twice says so, has the same id, and is
done once. LANGUAGES_KILLS makes it long (make languages)."""
import json
import os
import random
import sys
import threading
import time

import lib
import nng

KILLS = int(os.environ.get("LANGUAGES_KILLS", "5"))
SEED = int(os.environ.get("LANGUAGES_SEED", "0")) or \
    random.randrange(1, 1 << 30)
ANSWERER = os.path.join(lib.BUILD, "tests", "tools", "answerer")
COMMAND = "shop.thing.do.v1"
CALLERS = 8
PAUSE = (0.02, 0.15)

PYTHON = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import nng
url, group, kind, directory, log = sys.argv[2:]
log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
def do_once(id, text):
    path = os.path.join(directory, id)
    own = "%s.p%d" % (path, os.getpid())
    with open(own, "w") as f:
        f.write(text)
    try:
        os.link(own, path)
    except FileExistsError:
        pass
    os.unlink(own)
    with open(path) as f:
        return json.load(f)
bus, acks = nng.Bus(url), []
who = {"group": group, "consumer": "python-%d" % os.getpid()}
while True:
    batch = bus.call("fetch", filter={"type": kind}, max=3, wait_ms=1000,
                     acks=acks, **who)["events"]
    acks = []
    for item in batch:
        e = item["event"]
        os.write(log, ("p %s %s %d\\n" % (
            e["id"], str(item["redelivered"]).lower(),
            item["attempt"])).encode())
        answer = do_once(e["id"], json.dumps({"status": 200, "json": {
            "n": e["data"]["request"]["json"]["n"],
            "token": os.urandom(8).hex()}}))
        bus.call("reply", correlationid=e["correlationid"],
                 causationid=e["id"], sequence=item["sequence"], **who,
                 **answer)
        acks.append(item["sequence"])
"""
SHELL = r"""printf 's %s %s %s\n' "$CE_ID" "$CE_REDELIVERED" "$CE_ATTEMPT" \
>>"$THINGS_LOG"
own="$THINGS/$CE_ID.s$$"
n=$(sed 's/.*"n":"\([0-9]*\)".*/\1/')
printf '{"status": 200, "json": {"n": "%s", "token": "%s"}}' "$n" "$$" >"$own"
ln "$own" "$THINGS/$CE_ID" 2>/dev/null
rm "$own"
cat "$THINGS/$CE_ID"
"""


class Services:
    def __init__(self, case, matapalo):
        self.case, self.matapalo = case, matapalo
        self.done = os.environ["THINGS"] = case.path("things")
        self.log = os.environ["THINGS_LOG"] = case.path("given")
        os.mkdir(self.done)
        self.script = case.path("service.py")
        with open(self.script, "w") as f:
            f.write(PYTHON)
        self.running = {name: self.start(name)
                        for name in ("c", "python", "shell")}

    def start(self, name):
        last = [self.matapalo.bus, "things", COMMAND, self.done, self.log]
        argv = {
            "c": [ANSWERER] + last,
            "python": [sys.executable, "-S", self.script, os.path.dirname(
                os.path.abspath(lib.__file__))] + last,
            "shell": [lib.MATAPALO, "consume", "--data", self.matapalo.data,
                      "--group", "things", "--type", COMMAND, "--parallel",
                      "2", "--exec", SHELL]}[name]
        return self.case.start(name, argv)

    def kill(self, name):
        self.running[name].kill_group()
        self.running[name] = self.start(name)

    def given(self):
        """[language, event, redelivered, attempt] of each delivery."""
        try:
            with open(self.log) as f:
                return [line.split() for line in f]
        except FileNotFoundError:
            return []

    def languages(self):
        return {row[0] for row in self.given()}


class Callers:
    """Requests all the time, each with a number of its own."""

    def __init__(self, port):
        self.port, self.answers, self.wrong = port, {}, []
        self.stop, self.lock, self.next = False, threading.Lock(), 0
        self.threads = [threading.Thread(target=self.run)
                        for _ in range(CALLERS)]
        for t in self.threads:
            t.start()

    def number(self):
        with self.lock:
            self.next += 1
            return str(self.next)

    def run(self):
        with lib.Client(self.port, timeout=60) as client:
            while not self.stop:
                n = self.number()
                answer = client.request(
                    "POST", "/things", json.dumps({"n": n}).encode(),
                    [("Content-Type", "application/json")])
                if answer.status != 200 or answer.json()["n"] != n:
                    self.wrong.append((n, answer.status, answer.body))
                self.answers[n] = answer.body

    def end(self):
        self.stop = True
        for t in self.threads:
            t.join()


def check_books(case, matapalo, services, callers):
    case.equal(callers.wrong[:3], [], "each caller has its own answer")
    case.equal(len(callers.answers), callers.next, "none is lost")
    done = {}
    for name in os.listdir(services.done):
        if "." not in name:
            with open(os.path.join(services.done, name)) as f:
                done[name] = json.load(f)["json"]
    case.equal(len(done), callers.next, "one command for each request")
    for said in done.values():
        case.equal(json.loads(callers.answers[said["n"]]), said,
                   "the answer is what was done")
    given = {}
    for _, event, redelivered, attempt in services.given():
        given.setdefault(event, []).append((redelivered, int(attempt)))
    case.equal(sorted(given), sorted(done), "nothing else was given")
    again = [g for g in given.values() if len(g) > 1]
    for g in again:
        case.check(sum(r == "false" for r, _ in g) <= 1,
                   "a second delivery says so: %s" % g)
    replies = matapalo.query(
        "SELECT count(*), count(DISTINCT correlationid), sum(data ->> "
        "'$.late' IS NULL) FROM events WHERE type = 'matapalo.reply.v1'")[0]
    case.equal(replies[1:], (callers.next, callers.next),
               "one reply in time for each command")
    return len(again), replies[0] - callers.next


def scenario(case):
    if nng.LIB is None:
        lib.skip("no libnng")
    print("LANGUAGES_SEED=%d" % SEED)
    rng = random.Random(SEED)
    legacy = case.origin("legacy")
    matapalo = case.matapalo(rules=case.rules({
        "version": 1, "targets": {"legacy": {"url": legacy.url},
                                  "things": {"command": COMMAND,
                                             "reply_within": "50s"}},
        "rules": [{"name": "things", "match": {"path": "/things"},
                   "stage": "migrated", "target": "things"}]}))
    made = matapalo.command("groups", "create", "things", "--type", COMMAND,
                            "--max-attempts", "100", "--backoff", "10ms")
    case.equal(made.returncode, 0, "groups create: " + made.stderr)
    services = Services(case, matapalo)
    callers = Callers(matapalo.port)
    names = sorted(services.running)
    try:
        lib.wait_for(lambda: len(services.languages()) == 3,
                     "all three to be given something")
        for i in range(KILLS):
            # Any moment of the work is as good as another.
            time.sleep(rng.uniform(*PAUSE))
            services.kill(names[i % 3] if i < 3 else rng.choice(names))
    finally:
        callers.end()
    again, late = check_books(case, matapalo, services, callers)
    print("%d requests, %d kills, %d commands given again, %d replies more"
          % (callers.next, KILLS, again, late))
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario, 240 if KILLS < 50 else 3600)
