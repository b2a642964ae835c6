# SPDX-License-Identifier: Apache-2.0
"""`matapalo consume` under kill -9 of itself, of its handlers and of matapalo:
every event is handled, in the order of its key, and what comes twice says so.
CONSUME_KILLS makes it long (make bus-long)."""
import os
import random
import time

import lib
import nng

KILLS = int(os.environ.get("CONSUME_KILLS", "8"))
SEED = int(os.environ.get("CONSUME_SEED", "0")) or random.randrange(1, 1 << 30)
CONSUMERS = 3
KEYS = 5
EACH = 25	# events between two kills
# One line for each run, then one of seven dies before its event is settled.
HANDLER = """printf '%s %s %s\\n' "$CE_SUBJECT" "$CE_PARTITIONKEY" \
"$CE_REDELIVERED" >>"$CASE_LOG"; [ $(($$ % 7)) -ne 0 ] || kill -9 $$"""


class Case:
    def __init__(self, case):
        self.case, self.published, self.consumers = case, 0, []
        self.log = os.environ["CASE_LOG"] = case.path("handled")
        self.rules = case.origin("legacy").url
        self.matapalo = case.matapalo(legacy=self.rules)

    def publish(self):
        bus = nng.Bus(self.matapalo.bus)
        first = self.published
        self.published += EACH
        bus.call("publish", events=[
            {"type": "note.made.v1", "subject": str(n),
             "partitionkey": "k%d" % (n % KEYS)}
            for n in range(first, self.published)])
        bus.close()

    def fill(self):
        """As many consumers as there should be."""
        self.consumers = [c for c in self.consumers if c.alive()]
        while len(self.consumers) < CONSUMERS:
            self.consumers.append(self.case.start("consume", [
                lib.MATAPALO, "consume", "--group", "g", "--data",
                self.matapalo.data, "--batch", "4", "--exec", HANDLER]))

    def kill_consumer(self, rng):
        victim = rng.choice(self.consumers)
        victim.kill_group()
        self.fill()

    def kill_matapalo(self):
        self.matapalo.kill_group()
        self.matapalo = self.case.matapalo(legacy=self.rules,
                                           data=self.matapalo.data)
        self.fill()

    def group(self):
        for g in self.matapalo.status()["bus"]["groups"]:
            if g["name"] == "g":
                return g
        return None

    def are_all_here(self):
        """The newest may still be starting, deaf to signals."""
        g = self.group()
        return g and g["consumers"] == CONSUMERS

    def is_through(self):
        g = self.group()
        return g and not (g["lag_events"] or g["in_flight"] or
                          g["retrying"])

    def lines(self):
        with open(self.log) as f:
            return [line.split() for line in f]


def check_books(case, lines, published):
    seen, newest, twice = set(), {}, 0
    for subject, key, redelivered in lines:
        n = int(subject)
        if n in seen:
            twice += 1
            case.equal(redelivered, "true", "%d came again and says so" % n)
        elif redelivered == "false":
            case.check(n > newest.get(key, -1), "%d of %s came after %d"
                       % (n, key, newest.get(key, -1)))
            newest[key] = n
        seen.add(n)
    case.equal(sorted(set(range(published)) - seen), [], "never handled")
    print("%d events, %d runs of a handler, %d of them again"
          % (published, len(lines), twice))


def scenario(case):
    if nng.LIB is None:
        lib.skip("no libnng")
    print("CONSUME_SEED=%d" % SEED)
    rng = random.Random(SEED)
    run = Case(case)
    made = run.matapalo.command("groups", "create", "g", "--type", "note.*",
                                "--max-attempts", "100", "--backoff", "10ms")
    case.equal(made.returncode, 0, "groups create: " + made.stderr)
    run.fill()
    for i in range(KILLS):
        run.publish()
        # Any moment of the work is as good as another.
        time.sleep(rng.uniform(0, 0.2))
        if i % 4 == 2:
            run.kill_matapalo()
        else:
            run.kill_consumer(rng)
    lib.wait_for(run.is_through, "all events to be settled", 60)
    case.equal(run.group()["dead"], 0, "dead letters")
    check_books(case, run.lines(), run.published)
    lib.wait_for(run.are_all_here, "all consumers to be connected", 30)
    for c in run.consumers:
        c.signal(lib.signal.SIGTERM)
    for c in run.consumers:
        case.equal(c.wait(), 0, "exit status of consume")


lib.main(scenario)
