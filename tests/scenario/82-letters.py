# SPDX-License-Identifier: Apache-2.0
"""Promise B4: dead letters under kill -9. At every moment an event that its
group is past is handled, or waits to be tried again, or is a dead letter:
never neither, never both. A redrive goes on where the kill found it.
LETTERS_KILLS=200 is the long form (`make crash`)."""
import os
import random
import sys
import threading
import time

import lib
import nng

KILLS = int(os.environ.get("LETTERS_KILLS", "10"))
SEED = int(os.environ.get("LETTERS_SEED", random.randrange(1 << 30)))
ATTEMPTS = 3
EVENTS = 40     # published in each life, half of them poison
CALM = 20
GROUP = "orders"


class Books:
    """What the driver knows; it lives outside the victim."""

    def __init__(self):
        self.lock = threading.Lock()
        self.good, self.poison = set(), set()   # sequences on disk
        self.handled = {}                       # sequence: times
        self.redriven = {}
        self.tries = {}                         # first-hand, by sequence
        self.unmarked = []
        self.kills = 0

    def published(self, sequence, poison):
        with self.lock:
            (self.poison if poison else self.good).add(sequence)

    def delivered(self, d):
        """Returns whether the event is to be acknowledged."""
        n, poison = d["sequence"], d["event"]["subject"] == "poison"
        with self.lock:
            if d.get("redriven"):
                self.redriven[n] = self.redriven.get(n, 0) + 1
                if not d["redelivered"]:
                    self.unmarked.append(n)
                return True
            if poison:
                self.tries.setdefault(n, []).append(d["attempt"])
                return False
            self.handled[n] = self.handled.get(n, 0) + 1
            return True


class Worker(threading.Thread):
    """A consumer in one life of matapalo; it ends with it."""

    def __init__(self, books, url):
        super().__init__(daemon=True)
        self.books, self.url = books, url
        self.over = False
        self.start()

    def work(self, bus):
        acks, naks = [], []
        while not self.over:
            answer = bus.call("fetch", group=GROUP, consumer="one", max=20,
                              wait_ms=100, acks=acks, naks=naks,
                              max_attempts=ATTEMPTS, backoff_ms=[1])
            acks, naks = [], []
            for d in answer["events"]:
                if self.books.delivered(d):
                    acks.append(d["sequence"])
                else:
                    naks.append({"sequence": d["sequence"],
                                 "reason": "poison, as ever"})
        if acks or naks:
            bus.call("fetch", group=GROUP, consumer="one", max=0, acks=acks,
                     naks=naks)

    def run(self):
        try:
            bus = nng.Bus(self.url, 2000)
        except nng.Lost:
            return
        try:
            self.work(bus)
        except nng.Lost:
            pass
        bus.close()


def publish(books, url, n):
    try:
        bus = nng.Bus(url, 2000)
    except nng.Lost:
        return
    try:
        for i in range(n):
            poison = i % 2 == 1
            answer = bus.call("publish", type="shop.order.v1",
                              subject="poison" if poison else "good",
                              data={"n": i, "text": "\u00e9\u4e2d"})
            books.published(answer["sequence"], poison)
    except nng.Lost:
        pass
    bus.close()


def conservation(case, matapalo, books):
    """On the file as the kill left it."""
    rows = matapalo.query("SELECT cursor FROM groups WHERE name = ?", GROUP)
    cursor = rows[0][0] if rows else 0
    dead = [r[0] for r in matapalo.query(
        "SELECT sequence FROM dead_letters WHERE group_name = ?", GROUP)]
    waits = {r[0] for r in matapalo.query(
        "SELECT seq FROM retry WHERE group_name = ?", GROUP)}
    case.equal(len(dead), len(set(dead)), "dead letters, each once")
    case.equal(sorted(set(dead) & waits), [], "dead and alive")
    with books.lock:
        past = {n for n in books.poison if n <= cursor}
        lost = past - set(dead) - waits - set(books.redriven)
    case.equal(sorted(lost), [], "events lost between the group and its "
               "dead letters (cursor %d)" % cursor)
    return set(dead), waits


def life(case, data, books, act):
    """One life: act, and a kill at any moment of it."""
    matapalo = start(case, data)
    worker = Worker(books, matapalo.bus)
    actor = threading.Thread(target=act, args=(matapalo,), daemon=True)
    actor.start()
    time.sleep(random.uniform(0, 0.25))    # the moment is the test's subject
    matapalo.kill_group()
    books.kills += 1
    worker.over = True
    actor.join(10)
    worker.join(10)
    case.check(not actor.is_alive() and not worker.is_alive(),
               "the driver's threads end with the process")
    return conservation(case, matapalo, books)


def start(case, data):
    return case.matapalo(legacy="http://127.0.0.1:9", data=data)


def count_dead(matapalo):
    return matapalo.query("SELECT count(*) FROM dead_letters")[0][0]


def complete(case, matapalo, books):
    """Events whose publisher was never told are events all the same."""
    rows = dict(matapalo.query("SELECT sequence, subject FROM events WHERE "
                               "type = 'shop.order.v1'"))
    known = books.good | books.poison
    case.equal(sorted(known - set(rows)), [], "acknowledged events lost")
    for sequence in set(rows) - known:
        books.published(sequence, rows[sequence] == "poison")


def settle(case, matapalo, books):
    """A calm life until every poisonous event is a dead letter."""
    complete(case, matapalo, books)
    worker = Worker(books, matapalo.bus)
    lib.wait_for(lambda: count_dead(matapalo) == len(books.poison) and
                 set(books.handled) >= books.good, "all events settled", 30)
    worker.over = True
    worker.join(10)


def exactly_n(case, data, books):
    """Without kills: exactly N attempts, the bytes, the history."""
    matapalo = start(case, data)
    publish(books, matapalo.bus, CALM)
    settle(case, matapalo, books)
    for n, tries in books.tries.items():
        case.equal(tries, list(range(1, ATTEMPTS + 1)),
                   "attempts of event %d" % n)
    bus = nng.Bus(matapalo.bus)
    for letter in bus.call("dlq_list")["dead"]:
        case.equal(letter["attempts"], ATTEMPTS, "attempts as listed")
        case.equal(letter["reason"], "poison, as ever", "reason")
        shown = bus.call("dlq_show", id=letter["id"])["letter"]
        case.equal([a["attempt"] for a in shown["history"]], [1, 2, 3],
                   "history")
        stored = matapalo.query("SELECT data, id FROM events WHERE "
                                "sequence = ?", letter["sequence"])[0]
        case.equal((nng.json.loads(stored[0]), stored[1]),
                   (letter["event"]["data"], letter["event"]["id"]),
                   "the event")
    bus.close()
    metrics = matapalo.metrics()
    case.equal(metrics['matapalo_group_dead_letters{group="orders"}'],
               CALM // 2, "gauge of dead letters")
    case.check(metrics['matapalo_group_dead_letter_age_seconds'
                       '{group="orders"}'] > 0, "age of the oldest")
    case.equal(matapalo.stop(), 0, "exit status")


def redrive_under_kills(case, data, books, kills):
    """One job over many lives; nobody begins it anew."""
    matapalo = start(case, data)
    total = count_dead(matapalo)
    bus = nng.Bus(matapalo.bus)
    job = bus.call("dlq_redrive", group=GROUP, all=True,
                   rate=max(5, total / (kills * 0.2)))["job"]
    case.equal((job["state"], job["total"]), ("running", total), "the job")
    bus.close()
    matapalo.kill_group()
    for _ in range(kills):
        dead, waits = life(case, data, books, lambda m: None)
        if not dead:
            break
    matapalo = start(case, data)
    worker = Worker(books, matapalo.bus)
    bus = nng.Bus(matapalo.bus)
    ended = lib.wait_for(lambda: is_done(bus, job["id"]), "the job's end", 60)
    case.equal((ended["moved"], ended["skipped"]), (total, 0), "moved")
    lib.wait_for(lambda: set(books.redriven) == books.poison,
                 "each redriven event")
    case.equal(count_dead(matapalo), 0, "dead letters left")
    case.equal(books.unmarked, [], "redriven but not marked as redelivered")
    case.equal(set(books.redriven) & books.good, set(), "nobody else's")
    worker.over = True
    worker.join(10)
    bus.close()
    case.equal(matapalo.stop(), 0, "exit status")
    matapalo = start(case, data)    # and nothing comes once more
    worker = Worker(books, matapalo.bus)
    before = dict(books.redriven)
    bus = nng.Bus(matapalo.bus)
    lib.wait_for(lambda: bus.call("groups")["groups"][0]["lag_events"] == 0,
                 "an idle group")
    case.equal(books.redriven, before, "redriven once more")
    worker.over = True
    worker.join(10)
    bus.close()
    case.equal(matapalo.stop(), 0, "exit status of the last life")
    return total


def is_done(bus, number):
    job = bus.call("jobs", id=number)["job"]
    return job if job["state"] == "done" else None


def scenario(case):
    if not nng.LIB:
        lib.skip("no libnng.so")
    print("seed", SEED, "(set LETTERS_SEED to repeat)")
    sys.stdout.flush()
    random.seed(SEED)
    books, data = Books(), case.path("data")
    os.mkdir(data)
    exactly_n(case, data, books)
    half = KILLS // 2
    for _ in range(half):
        life(case, data, books, lambda m: publish(books, m.bus, EVENTS))
    matapalo = start(case, data)
    settle(case, matapalo, books)
    case.equal(matapalo.stop(), 0, "exit status")
    rows = matapalo.query("SELECT count(*) FROM dead_letters WHERE attempts "
                          "<> ?", ATTEMPTS)
    case.equal(rows[0][0], 0, "dead letters with another number of attempts")
    total = redrive_under_kills(case, data, books, KILLS - half)
    twice = sum(1 for n in books.redriven.values() if n > 1)
    print("%d kills; %d events, %d poisonous, 0 lost; %d redriven, %d of them "
          "delivered again after a kill" % (books.kills, len(books.good) +
                                            len(books.poison),
                                            len(books.poison), total, twice))


lib.main(scenario, seconds=60 + 5 * KILLS)
