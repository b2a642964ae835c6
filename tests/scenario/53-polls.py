# SPDX-License-Identifier: Apache-2.0
"""Promise B10: what a status resource says never goes back, under kill -9
after the 202 and while thousands ask; a foreign caller, an unknown id and an
expired one get 404 and 410; the ids are random. `make polls` asks 100,000
times. And a new process that takes over (SIGUSR2) with callers who wait, and
with questions that wait: none is lost."""
import json
import os
import random
import threading

import lib
from lib import Client

COMMAND = "shop.report.make.v1"
POLLS = int(os.environ.get("POLLS", "1500"))
OPERATIONS = max(30, min(POLLS // 100, 400))
KILLS = max(2, min(POLLS // 5000, 20))
ASKERS = 4
# What may follow what.
ORDER = {"pending": 0, "done": 1, "expired": 2, "forgotten": 3}


def free_port():
    with lib.socket.socket() as s:
        s.setsockopt(lib.socket.SOL_SOCKET, lib.socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def state_of(answer, n):
    if answer.status == 200 and \
            answer.get("Matapalo-Operation") == "pending":
        return "pending"
    if answer.status == 201 and answer.json() == {"n": n} and \
            answer.get("Matapalo-Operation") == "done":
        return "done"
    if answer.status == 410:
        return "expired"
    if answer.status == 404:
        return "forgotten"
    raise lib.Failed("operation %d: %d %r" % (n, answer.status, answer.body))


class Askers:
    """Ask for one operation after the other, over restarts."""

    def __init__(self, port, places):
        self.port, self.places, self.wrong = port, places, []
        self.seen = {n: set() for n in places}
        self.newest = {n: 0 for n in places}
        self.asked, self.stopping = 0, False
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.work, args=(i,))
                        for i in range(ASKERS)]
        for thread in self.threads:
            thread.start()

    def work(self, seed):
        rng = random.Random(seed)
        while not self.stopping:
            try:
                with Client(self.port) as client:
                    self.ask_on(client, rng)
            except (OSError, EOFError, AttributeError, ValueError):
                pass            # a kill
            except lib.Failed as e:
                self.wrong.append(str(e))
                return

    def ask_on(self, client, rng):
        while not self.stopping:
            n = rng.choice(list(self.places))
            with self.lock:
                floor = self.newest[n]
            answer = client.request("GET", self.places[n], None,
                                    [("Authorization", "a-%d" % (n % 3))])
            if answer.status == 503:
                continue
            order = ORDER[state_of(answer, n)]
            with self.lock:
                self.asked += 1
                if order < floor:
                    self.wrong.append("%d went back to %d from %d"
                                      % (n, order, floor))
                self.newest[n] = max(order, self.newest[n])

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()


def report(client, n, path="/reports"):
    answer = client.request("POST", path, b'{"n": %d}' % n, [
        ("Content-Type", "application/json"),
        ("Authorization", "a-%d" % (n % 3))])
    if answer.status != 202:
        raise lib.Failed("%d: %r" % (answer.status, answer.body))
    return answer.get("Location")


def strangers(case, port, places):
    rng, refused = random.Random(1), 0
    with Client(port) as client:
        for n, place in list(places.items())[:20]:
            for who in ("a-%d" % ((n + 1) % 3), "", None):
                fields = [("Authorization", who)] if who is not None else []
                answer = client.request("GET", place, None, fields)
                case.equal(answer.status, 404, "a stranger's question")
            bits = bytearray.fromhex(place.rsplit("/", 1)[1].replace("-", ""))
            bits[rng.randrange(16)] ^= 1 << rng.randrange(8)
            h = bits.hex()
            near = "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:]))
            answer = client.request(
                "GET", place.rsplit("/", 1)[0] + "/" + near, None,
                [("Authorization", "a-%d" % (n % 3))])
            case.equal(answer.status, 404, "one bit beside")
            refused += 1
    return refused


def are_random(case, places):
    """Every bit is one in about half of the ids."""
    ids = [int(p.rsplit("/", 1)[1].replace("-", ""), 16)
           for p in places.values()]
    case.equal(len(set(ids)), len(ids), "no id twice")
    free = sum(1 for bit in range(128)
               if 0 < sum(i >> bit & 1 for i in ids) < len(ids))
    case.check(free >= 122, "bits that vary: %d" % free)


def under_kills(case, start, matapalo, port):
    places = {}
    for kill in range(KILLS):
        with Client(port) as client:
            for _ in range(OPERATIONS // KILLS):
                n = len(places) + 1
                places[n] = report(client, n)
        if kill == 0:
            servant = case.servant(matapalo, COMMAND, "--batch", "4",
                                   "--delay-ms", "5", "--lease-ms", "1000")
            askers = Askers(port, dict(places))
        askers.places = dict(places)
        for n in places:
            askers.newest.setdefault(n, 0)
        goal = askers.asked + POLLS // (KILLS + 1)
        lib.wait_for(lambda: askers.asked >= goal or askers.wrong,
                     "questions", 120)
        matapalo.kill_group()
        matapalo = start()
    lib.wait_for(lambda: askers.asked >= POLLS or askers.wrong, "questions",
                 120)
    lib.wait_for(lambda: min(askers.newest.values()) >= 1 or askers.wrong,
                 "all answers", 60)
    askers.stop()
    case.equal(askers.wrong[:3], [], "what was wrong")
    print("%d questions about %d operations over %d kills"
          % (askers.asked, len(places), KILLS))
    are_random(case, places)
    strangers(case, port, places)
    return matapalo, servant


def expired(case, port):
    with Client(port) as client:
        place = report(client, 3, "/brief")
        states = []

        def is_gone():
            answer = client.request("GET", place, None,
                                    [("Authorization", "a-0")])
            states.append(ORDER[state_of(answer, 3)])
            return states[-1] == ORDER["forgotten"]
        lib.wait_for(is_gone, "the end of what is kept")
    case.equal(states, sorted(states), "pending, done, 410, 404")
    case.equal(set(states) - {0}, {1, 2, 3}, "each of them")


def ask_in_thread(port, got, name, *request):
    def run():
        try:
            got[name] = lib.fetch(port, *request)
        except (OSError, EOFError) as e:
            got[name] = e
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def run_info(data):
    try:
        with open(os.path.join(data, "run.json")) as f:
            return json.load(f)
    except (OSError, ValueError):
        return {}


def hand_over(case, matapalo, port):
    """One waits whose reply comes while the old process still waits for it,
    one whose reply comes later, one that would be sent away, one question."""
    go, got = case.path("go"), {}
    fields = [("Authorization", "a-0"),
              ("Content-Type", "application/json")]
    threads = [
        ask_in_thread(port, got, "soon", "POST", "/sync", b'{"n": 1}',
                      fields),
        ask_in_thread(port, got, "late", "POST", "/held", b'{"n": 2}',
                      fields),
        ask_in_thread(port, got, "away", "POST", "/held-reports",
                      b'{"n": 3}', fields + [("Prefer", "wait=50")])]
    with Client(port) as client:
        place = report(client, 3, "/held-reports")
    threads.append(ask_in_thread(port, got, "poll", "GET", place, None,
                                 fields + [("Prefer", "wait=50")]))
    lib.wait_for(lambda: matapalo.metrics()["matapalo_commands_total"] >= 4 +
                 matapalo.commands_before, "all commands", 10)
    held = case.servant(matapalo, "shop.held.v1", "--group", "held",
                        "--hold", go, "--batch", "1", "--threads", "4",
                        log="held.log")
    lib.wait_for(lambda: len(open(case.path("held.log")).readlines()) >= 3
                 if os.path.exists(case.path("held.log")) else False,
                 "the held commands to be given")
    old = matapalo.pid
    slow = case.servant(matapalo, "shop.sync.v1", "--group", "sync",
                        "--delay-ms", "200", log="sync.log")
    lib.wait_for(lambda: os.path.exists(case.path("sync.log")) and
                 os.path.getsize(case.path("sync.log")) > 0, "the soon one")
    start = lib.time.monotonic()
    os.kill(old, lib.signal.SIGUSR2)
    lib.wait_for(lambda: run_info(matapalo.data).get("pid") not in
                 (None, old), "another process in run.json")
    for thread in threads:
        thread.join()
    took = lib.time.monotonic() - start
    case.equal((got["soon"].status, got["soon"].json()), (201, {"n": 1}),
               "a reply in time goes through")
    case.equal((got["late"].status, got["late"].json()["code"]),
               (504, "command.timeout"), "a later one does not")
    case.equal(got["away"].status, 202, "sent away")
    case.equal((got["poll"].status, got["poll"].json()["state"]),
               (200, "pending"), "told how it is")
    case.check(took < 15, "nobody waited to the end: %.1f s" % took)
    with open(go, "w"):
        pass
    for where, n in ((place, 3), (got["away"].get("Location"), 3)):
        lib.wait_for(lambda: state_of(lib.fetch(
            port, "GET", where, None, fields), n) == "done", "its answer")
    lib.wait_for(lambda: matapalo.query(
        "SELECT 1 FROM events WHERE type = 'matapalo.reply.v1' AND "
        "data ->> '$.late'"), "the late reply, recorded as such")
    for servant in (held, slow):
        servant.signal(lib.signal.SIGTERM)
        servant.wait()
    pid = run_info(matapalo.data)["pid"]
    os.kill(pid, lib.signal.SIGTERM)
    lib.wait_for(lambda: not run_info(matapalo.data), "the end")


def rules_of(origin):
    def rule(name, target, **more):
        return dict({"name": name, "match": {"path": "/" + name},
                     "stage": "migrated", "target": target,
                     "caller": "header:Authorization"}, **more)
    return {
        "version": 1,
        "targets": {
            "legacy": {"url": origin.url},
            "reports": {"command": COMMAND, "reply_within": "60s"},
            "sync": {"command": "shop.sync.v1", "reply_within": "60s"},
            "held": {"command": "shop.held.v1", "reply_within": "60s"}},
        "rules": [rule("reports", "reports", respond="async"),
                  rule("brief", "reports", respond="async", keep="1s"),
                  rule("sync", "sync"), rule("held", "held"),
                  rule("held-reports", "held", respond="async")]}


def scenario(case):
    origin, port, data = case.origin("legacy"), free_port(), \
        case.path("data")
    os.mkdir(data)
    rules = case.rules(rules_of(origin))

    def start():
        return case.matapalo(rules=rules, workers=2, data=data, args=[
            "--handover", "500ms"], listen="127.0.0.1:%d" % port)
    matapalo, servant = under_kills(case, start, start(), port)
    expired(case, port)
    matapalo.commands_before = matapalo.metrics()["matapalo_commands_total"]
    hand_over(case, matapalo, port)
    servant.signal(lib.signal.SIGTERM)
    servant.wait()


lib.main(scenario, seconds=600)
