# SPDX-License-Identifier: Apache-2.0
"""Promises B9 and D7 of commands whose callers wait: kill -9 of matapalo, of
the service, and of the connection between them, at random moments and at
every named point of the log, among them right around the taking back of a
command for the legacy. Nothing is executed twice, but for the same event
again; the client gets 2xx, 503, 504 or a closed connection, and its own
answer; each command has one end. `make command-kills` is the long form."""
import json
import os
import random
import socket
import threading
import time

import lib
import strike

COMMAND = "shop.order.place.v1"
KILLS = int(os.environ.get("COMMAND_KILLS", "20"))
SEED = int(os.environ.get("COMMAND_SEED", "0")) or random.randrange(1, 1 << 30)
CALLERS = 12
MORE = 20               # answers between two kills
POINTS = ("log-write", "log-written", "log-sync", "log-synced")
TERMINAL = "matapalo.exchange.v1"


class Relay:
    """Stands between the service and the bus, and can cut all lines."""

    def __init__(self, case, target):
        self.path, self.target = case.path("relay.sock"), target
        self.open, self.lock = [], threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()
        case.cleanups.append(self.listener.close)

    def accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            far = self.reach()
            if not far:
                return
            with self.lock:
                self.open += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=pair,
                                 daemon=True).start()

    def reach(self):
        """Waits for the next life: what is cut off in its first bytes makes
        nng's dialer give up."""
        while self.listener.fileno() >= 0:
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(self.target)
                return far
            except OSError:
                far.close()
                time.sleep(0.005)
        return None

    def carry(self, source, to):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                to.sendall(data)
        except OSError:
            pass
        for end in (source, to):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        with self.lock:
            cut, self.open = self.open, []
        for end in cut:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()


class Shop:
    def __init__(self, case, rng):
        self.case, self.rng = case, rng
        self.strike = strike.Strike(case)
        self.legacy = lib.App(case, lambda method, path, headers, body: (
            200, {"n": json.loads(body or b'{"n": 0}')["n"]}))
        self.data, self.port = case.path("data"), self.free_port()
        os.mkdir(self.data)
        self.rules = case.rules(self.rules_of())
        self.relay = Relay(case, os.path.join(self.data, "bus.sock"))
        self.start()
        self.serve()
        self.callers = [self.call("/orders", 1, 1),
                        self.call("/fall", 2, 1000001)]

    @staticmethod
    def free_port():
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", 0))
            return s.getsockname()[1]

    def rules_of(self):
        def rule(path, **more):
            return dict({"name": path, "stage": "migrated", "target": path,
                         "match": {"method": "POST", "path": "/" + path}},
                        **more)
        return {
            "version": 1,
            "targets": {
                "legacy": {"url": self.legacy.url},
                "orders": {"command": COMMAND, "reply_within": "3s"},
                "fall": {"command": COMMAND, "reply_within": "40ms"}},
            "rules": [rule("orders"), rule("fall", on_failure="legacy")]}

    def start(self):
        environment = None if lib.is_sanitized() else \
            self.strike.environment
        self.matapalo = self.case.matapalo(
            rules=self.rules, data=self.data, workers=2,
            listen="127.0.0.1:%d" % self.port, env=environment)

    def serve(self):
        # In flight are so many that some are given before their time is
        # over and some are not.
        self.servant = self.case.servant(
            self.matapalo, COMMAND, "--threads", "2", "--batch", "5",
            "--delay-ms", "8", "--lease-ms", "1000", log="executed",
            url="ipc://" + self.relay.path)

    def call(self, path, n, first):
        return self.case.start("callers-%d" % n, [
            lib.CALLERS, "--to", "127.0.0.1:%d" % self.port, "--log",
            self.case.path("callers-%d" % n), "--connections", str(CALLERS),
            "--count", "900000", "--first", str(first), "--path", path,
            "--seconds", "900"])

    def outcomes(self, n):
        with open(self.case.path("callers-%d" % n)) as f:
            return [[int(x) for x in line.split()] for line in f
                    if line.endswith("\n")]

    def answered(self):
        """About how many: a line has 6 to 12 bytes."""
        names = [self.case.path("callers-%d" % n) for n in (1, 2)]
        return sum(os.path.getsize(name) for name in names
                   if os.path.exists(name)) // 10

    def more(self):
        goal = self.answered() + MORE
        lib.wait_for(lambda: self.answered() >= goal, "more answers", 30)

    def kill_matapalo(self):
        self.matapalo.kill_group()
        self.start()

    def kill_at(self, point):
        """Every second time nobody serves, and nearly all that is written
        is a command, its taking back, and the end that the legacy gave; who
        serves then must be given none of what was taken back."""
        alone = self.rng.random() < 0.5
        if alone:
            self.servant.kill_group()
            self.more()
        self.strike.arm(point, strike.KILL,
                        self.rng.randint(1, 12 if alone else 40))
        self.matapalo.wait(30)
        self.case.equal(self.strike.disarm(), 1, "killed at " + point)
        self.start()
        if alone:
            self.serve()

    def kill_servant(self):
        self.servant.kill_group()
        if self.rng.random() < 0.5:
            self.more()         # nobody serves: the legacy does
        self.serve()

    def kill(self, number):
        self.more()
        self.supervise()
        kind = number % 4
        if kind == 0:
            self.kill_servant()
        elif kind == 1:
            self.relay.cut()
        elif kind == 2 or not self.strike.works:
            self.kill_matapalo()
        else:
            self.kill_at(self.rng.choice(POINTS))

    def end(self):
        self.more()
        results = []
        for callers in self.callers:
            callers.signal(lib.signal.SIGTERM)
        for callers in self.callers:
            self.case.equal(callers.wait(30), 0, "callers")
            results.append(json.loads(callers.out()))
        try:
            lib.wait_for(self.through, "what is left to be served", 60)
        except lib.Failed:
            print("left:", self.matapalo.status()["bus"]["groups"])
            raise
        self.servant.signal(lib.signal.SIGTERM)
        self.case.equal(self.servant.wait(), 0, "the servant")
        return results

    def supervise(self):
        """As a service manager would: nng may have locked itself out."""
        if not self.servant.alive():
            print("the servant ended by itself:", self.servant.wait())
            self.serve()

    def through(self):
        self.supervise()
        for g in self.matapalo.status()["bus"]["groups"]:
            if g["name"] == "servants":
                return not (g["lag_events"] or g["in_flight"] or
                            g["retrying"])
        return False


def executions(case, shop):
    """{number: events}, and how often the legacy did it."""
    executed, legacy, runs = {}, {}, 0
    with open(case.path("executed")) as f:
        for line in f:
            n, event, _ = line.split()
            executed.setdefault(int(n), set()).add(event)
            runs += 1
    for method, path, _, body in shop.legacy.seen:
        if method == "POST":
            n = json.loads(body)["n"]
            legacy[n] = legacy.get(n, 0) + 1
    twice = [n for n, events in executed.items() if len(events) > 1]
    case.equal(twice[:5], [], "two commands of one request")
    case.equal([n for n, times in legacy.items() if times > 1][:5], [],
               "twice at the legacy")
    both = sorted(set(executed) & set(legacy))
    case.equal(both[:5], [], "%d executed by the service and by the legacy"
               % len(both))
    print("%d commands executed, %d of them more than once as the same event;"
          " %d requests by the legacy" % (len(executed),
                                          runs - len(executed), len(legacy)))
    return executed, legacy


def answers(case, shop, results, executed, legacy):
    for n, allowed in ((1, {201, 503, 504, 0}), (2, {200, 201, 503, 504, 0})):
        outcomes = shop.outcomes(n)
        statuses = {status for _, status in outcomes}
        case.check(statuses <= allowed, "callers %d got %s" % (n, statuses))
        done = {number for number, status in outcomes if status == 201}
        case.equal(sorted(done - set(executed))[:5], [], "answered by nobody")
        done = {number for number, status in outcomes if status == 200}
        case.equal(sorted(done - set(legacy))[:5], [], "by no legacy")
    for result in results:
        case.equal((result["crossed"], result["odd"]), (0, 0),
                   "somebody else's answer, or an odd one: %s" % result)
    print("answers: %s" % [r["statuses"] for r in results],
          "broken: %s" % [r["broken"] for r in results])


def ends(case, matapalo):
    rows = matapalo.query(
        "SELECT c.correlationid, count(t.id) FROM events c LEFT JOIN "
        "(SELECT id, correlationid FROM events WHERE type = ?) t "
        "ON t.correlationid = c.correlationid WHERE c.type = ? "
        "GROUP BY c.correlationid HAVING count(t.id) <> 1",
        TERMINAL, COMMAND)
    case.equal(rows[:3], [], "%d commands without exactly one end"
               % len(rows))
    rows = matapalo.query("SELECT data ->> '$.outcome', count(*) FROM events "
                          "WHERE type = ? GROUP BY 1", TERMINAL)
    print("ends:", dict(rows))


def scenario(case):
    print("COMMAND_SEED=%d" % SEED)
    shop = Shop(case, random.Random(SEED))
    for number in range(KILLS):
        shop.kill(number)
    results = shop.end()
    executed, legacy = executions(case, shop)
    case.check(len(legacy) > KILLS // 4, "the legacy was asked, too")
    answers(case, shop, results, executed, legacy)
    ends(case, shop.matapalo)
    case.equal(shop.matapalo.stop(), 0, "exit status of the last life")


lib.main(scenario, seconds=900)
