# SPDX-License-Identifier: Apache-2.0
"""Targets with several addresses: ejection, health, breaker, limits, queue,
names, deadlines."""
import os
import queue
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import lib
from lib import Client, Failed, fetch, wait_for
from peer import Peer, read_message
from pki import Pki

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BAD = b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno"
HOSTS = "/etc/hosts"


class Backend(Peer):
    """Answers what `say` is; counts connections, requests, and how many of
    them run at a time. `gate` holds answers back."""

    def __init__(self, case):
        self.lock, self.gate = threading.Lock(), threading.Event()
        self.gate.set()
        self.work_s = 0
        self.connections = self.running = self.most = self.requests = 0
        self.order = []
        super().__init__(case)
        self.say = OK

    def run(self, accepted):
        with self.lock:
            self.connections += 1
        try:
            super().run(accepted)
        finally:
            with self.lock:
                self.connections -= 1

    def play(self, connection):
        head, _ = read_message(connection)
        with self.lock:
            self.requests += 1
            self.running += 1
            self.most = max(self.most, self.running)
            self.order.append(head.split(b" ")[1].decode())
        self.gate.wait(20)
        time.sleep(self.work_s)
        with self.lock:     # before the answer, which lets others come
            self.running -= 1
        connection.send(self.say)
        return True


class Load:
    """Threads that GET all the time; every answer is counted by status."""

    def __init__(self, port, threads, target="/bytes/100"):
        self.port, self.target = port, target
        self.stopped, self.statuses = threading.Event(), queue.Queue()
        self.threads = [threading.Thread(target=self.work, daemon=True)
                        for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def work(self):
        with Client(self.port) as client:
            while not self.stopped.is_set():
                try:
                    self.statuses.put(
                        client.request("GET", self.target).status)
                except (EOFError, OSError) as e:
                    self.statuses.put(repr(e))
                    return
                time.sleep(0.001)

    def stop(self):
        """How many answers of each kind there were."""
        self.stopped.set()
        for thread in self.threads:
            thread.join(20)
        seen = {}
        while not self.statuses.empty():
            status = self.statuses.get()
            seen[status] = seen.get(status, 0) + 1
        return seen


def target(status, name="legacy"):
    return [t for t in status["targets"] if t["name"] == name][0]


def states(matapalo, name="legacy"):
    return {a["address"]: a["state"]
            for a in target(matapalo.status(), name)["addresses"]}


def run(case, targets, rules=(), **kw):
    text = {"version": 1, "targets": targets, "rules": list(rules)}
    return case.matapalo(rules=case.rules(text, case.unique("rules.json")),
                         **kw)


def kill_one(case):
    """A backend dies under load: no caller sees it; it comes back slowly."""
    origins = [case.origin(str(i)) for i in range(3)]
    matapalo = run(case, {"legacy": {
        "url": [o.url for o in origins], "slow_start": "5s",
        "eject": {"for": "300ms", "at_most": "600ms"}}}, workers=2)
    victim = origins[1]
    address = "127.0.0.1:%d" % victim.port
    load = Load(matapalo.port, 8)
    wait_for(lambda: load.statuses.qsize() > 500, "some load")
    victim.signal(9)
    victim.wait()
    wait_for(lambda: states(matapalo)[address] == "ejected", "an ejection")
    wait_for(lambda: matapalo.metrics()["matapalo_upstream_ejections_total"]
             >= 2, "a second ejection, after a failed return")
    again = case.start("origin", [lib.ORIGIN, "--port", str(victim.port)])
    wait_for(again.out, "the origin to be back")
    wait_for(lambda: states(matapalo)[address] == "up", "its return")

    def asked():
        return int(fetch(victim.port, "GET", "/count").body)

    first, n = asked(), load.statuses.qsize()
    wait_for(lambda: load.statuses.qsize() > n + 500, "load after it")
    early = (asked() - first) / 500.0
    seen = load.stop()
    case.equal(list(seen), [200], "what callers saw: %r" % seen)
    case.check(early < 0.25, "a slow start: %.2f of the requests" % early)
    metrics = matapalo.metrics()
    case.equal(metrics['matapalo_address_up{target="legacy",address="%s"}'
                       % address], 1, "the metric of the address")
    case.equal(matapalo.stop(), 0, "exit status")


def half_at_most(case):
    """All addresses refuse: no more than half are ejected, all are asked."""
    down = [socket.socket() for _ in range(4)]
    for s in down:
        s.bind(("127.0.0.1", 0))
    matapalo = run(case, {"legacy": {
        "url": ["http://127.0.0.1:%d" % s.getsockname()[1] for s in down],
        "eject": {"for": "60s"}}})
    for _ in range(6):
        case.equal(fetch(matapalo.port, "POST", "/", b"x").json()["code"],
                   "upstream.connect", "nobody answers")
    found = sorted(states(matapalo).values())
    case.equal(found, ["ejected"] * 2 + ["up"] * 2, "half are ejected")
    for s in down:
        s.close()
    matapalo.stop()


def health(case):
    """The prober takes an address out and brings it back; each is asked on a
    connection of its own."""
    good, ill = Backend(case), Backend(case)
    matapalo = run(case, {"legacy": {
        "url": [good.url, ill.url],
        "health": {"path": "/healthz", "every": "50ms", "timeout": "1s"}}})
    address = "127.0.0.1:%d" % ill.port
    case.equal(states(matapalo)[address], "up", "at first")
    ill.say = BAD
    wait_for(lambda: states(matapalo)[address] == "down", "to be down")
    asked = len([t for t in ill.order if t != "/healthz"])
    for _ in range(10):
        case.equal(fetch(matapalo.port, "GET", "/x").status, 200, "others")
    case.equal(len([t for t in ill.order if t != "/healthz"]), asked,
               "requests to an address that is down")
    good.say = BAD
    wait_for(lambda: set(states(matapalo).values()) == {"down"}, "both down")
    case.equal(fetch(matapalo.port, "GET", "/x").status, 500,
               "when none is up, all are asked")
    case.check(matapalo.metrics()["matapalo_upstream_panics_total"] >= 1,
               "it is counted")
    good.say = ill.say = OK
    wait_for(lambda: set(states(matapalo).values()) == {"up"}, "both up")
    case.equal(fetch(matapalo.port, "GET", "/x").status, 200, "again")
    ill.gate.clear()
    wait_for(lambda: states(matapalo)[address] == "down", "one that hangs")
    ill.gate.set()
    case.equal(matapalo.stop(), 0, "exit status")


def health_over_tls(case):
    """The prober is verified, verifies and names the host as requests do."""
    if not shutil.which("openssl"):
        print("health_over_tls: no openssl command, not tried")
        return
    pki, asked = Pki(case), []
    pki.authority("root")
    pki.leaf("service", "DNS:shop.internal", "root")
    pki.leaf("me", "DNS:me.internal", "root")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.pem("service"), pki.keyfile("service"))
    context.load_verify_locations(pki.pem("root"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    class Secure(Backend):
        def run(self, accepted):
            try:
                super().run(context.wrap_socket(accepted, server_side=True))
            except OSError:
                accepted.close()

    def tls(name):
        return {"ca": pki.pem("root"), "server_name": name,
                "certificate": pki.pem("me"), "key": pki.keyfile("me")}

    backend = Secure(case)
    url = "https://127.0.0.1:%d" % backend.port
    check = {"path": "/healthz", "every": "50ms", "unhealthy": 1}
    matapalo = run(case, {
        "legacy": {"url": url, "tls": tls("shop.internal"), "health": check},
        "wrong": {"url": url, "tls": tls("other.internal"), "health": check}},
        [{"name": "w", "match": {"path": "/w"}, "stage": "migrated",
          "target": "wrong"}])
    wait_for(lambda: "down" in states(matapalo, "wrong").values(),
             "a certificate of another name to be noticed")
    wait_for(lambda: backend.order.count("/healthz") > 3, "some questions")
    case.equal(list(states(matapalo).values()), ["up"], "the right name")
    case.equal(set(asked), {"shop.internal", "other.internal"}, "SNI")
    case.equal(fetch(matapalo.port, "GET", "/x").status, 200, "a request")
    case.equal(matapalo.stop(), 0, "exit status")


def breaker(case):
    """Opens at half, leaves the target alone, tries it, closes."""
    legacy, new = Backend(case), Backend(case)
    matapalo = run(case, {
        "legacy": {"url": legacy.url},
        "new": {"url": new.url, "breaker": {
            "errors": "50%", "requests": 6, "window": "10s",
            "open_for": "400ms", "half_open": 2}}},
        [{"name": "back", "match": {"path": "/back"}, "stage": "migrated",
          "target": "new", "on_failure": "legacy"},
         {"name": "hard", "match": {"path": "/hard"}, "stage": "migrated",
          "target": "new"}], workers=2)

    def get(path):
        return fetch(matapalo.port, "GET", path)

    def state():
        return target(matapalo.status(), "new")["breaker"]

    case.equal(state(), "closed", "at first")
    new.say = BAD
    for _ in range(6):
        case.equal(get("/back").status, 500, "while it is closed")
    case.equal(state(), "open", "after six failures")
    asked = new.requests
    case.equal(get("/back").status, 200, "the legacy answers at once")
    case.equal(len(legacy.order), 1, "the legacy was asked")
    answer = get("/hard")
    case.equal(answer.status, 503, "without a fallback")
    case.equal(answer.json()["code"], "upstream.breaker_open", "its code")
    case.check(answer.get("Retry-After"), "when to come again")
    case.equal(new.requests, asked, "it was left alone")
    time.sleep(0.45)        # time itself is what is waited for
    case.equal(get("/hard").status, 500, "a trial, in vain")
    case.equal(state(), "open", "one failure opens it again")
    new.say = OK
    time.sleep(0.45)
    case.equal([get("/hard").status for _ in range(2)], [200, 200], "trials")
    case.equal(state(), "closed", "after two good answers")
    log = matapalo.err()
    for word in ("open", "half-open", "closed"):
        case.check("target.breaker-" + word in log, "log line: " + word)
    metrics = matapalo.metrics()
    case.equal(metrics["matapalo_breaker_opened_total"], 2, "openings")
    case.equal(metrics["matapalo_breaker_refused_total"], 2, "refusals")
    case.equal(matapalo.stop(), 0, "exit status")


def in_background(function, *args):
    answers = queue.Queue()

    def work():
        try:
            answers.put(function(*args))
        except (EOFError, OSError) as e:
            answers.put(e)

    threading.Thread(target=work, daemon=True).start()
    return answers


def queued(matapalo):
    return target(matapalo.status())["queued"]


def line(case):
    """A queue: first come, first served; a deadline; an end."""
    backend = Backend(case)
    matapalo = run(case, {"legacy": {
        "url": backend.url, "max_connections": 1,
        "queue": {"max": 4, "wait": "1s"}}})
    backend.gate.clear()
    waiting = []
    for i in range(5):
        waiting.append(in_background(fetch, matapalo.port, "GET", "/%d" % i))
        if i == 0:
            wait_for(lambda: backend.requests == 1, "the first to arrive")
        else:
            wait_for(lambda: queued(matapalo) == i, "%d in the queue" % i)
    answer = fetch(matapalo.port, "GET", "/full")
    case.equal((answer.status, answer.json()["code"]),
               (503, "upstream.queue_full"), "one too many")
    backend.gate.set()
    case.equal([a.get(timeout=20).status for a in waiting], [200] * 5,
               "all that waited")
    case.equal(backend.order, ["/%d" % i for i in range(5)], "their order")
    backend.gate.clear()
    first = in_background(fetch, matapalo.port, "GET", "/a")
    wait_for(lambda: backend.requests == 6, "the first to arrive")

    def late():
        answer = fetch(matapalo.port, "GET", "/late")
        case.equal((answer.status, answer.json()["code"]),
                   (503, "upstream.queue_timeout"), "one that waited too long")

    in_time(case, late, 0.95, 1.1, "the queue's deadline")
    gone = Client(matapalo.port)
    gone.send(lib.make_request("GET", "/gone"))
    wait_for(lambda: queued(matapalo) == 1, "one that will leave")
    gone.reset()
    wait_for(lambda: queued(matapalo) == 0, "it to leave the queue")
    backend.gate.set()
    case.equal(first.get(timeout=20).status, 200, "the first")
    case.equal(fetch(matapalo.port, "GET", "/z").status, 200, "the next")
    case.check("/gone" not in backend.order, "who left was not asked for")
    case.equal(backend.most, 1, "requests at a time")
    metrics = matapalo.metrics()
    case.equal(metrics["matapalo_upstream_queue_refused_total"], 1, "refused")
    case.equal(metrics["matapalo_upstream_queue_expired_total"], 1, "expired")
    case.equal(matapalo.stop(), 0, "exit status")


def called_too_late(case):
    """A connection is free in the same moment in which the deadline of the
    one that waits for it passes: that is not the server's failure."""
    backends = [Backend(case), Backend(case)]
    matapalo = run(case, {"legacy": {
        "url": [b.url for b in backends], "max_connections": 1,
        "breaker": {"requests": 1, "errors": "50%"},
        "queue": {"max": 4, "wait": "500ms"}, "eject": {"after": 1}}})
    for b in backends:
        b.gate.clear()
    first = in_background(fetch, matapalo.port, "GET", "/first")
    wait_for(lambda: sum(b.requests for b in backends) == 1, "the first")
    late = in_background(fetch, matapalo.port, "GET", "/late")
    wait_for(lambda: queued(matapalo) == 1, "the second to wait")
    matapalo.signal(signal.SIGSTOP)
    for b in backends:
        b.gate.set()
    time.sleep(0.6)         # its deadline passes meanwhile
    matapalo.signal(signal.SIGCONT)
    case.equal(first.get(timeout=20).status, 200, "the first")
    answer = late.get(timeout=20)
    if answer.status != 200:
        case.equal(answer.json()["code"], "upstream.queue_timeout", "late")
    case.equal(set(states(matapalo).values()), {"up"}, "both addresses")
    case.equal(target(matapalo.status())["breaker"], "closed", "the breaker")
    case.equal(fetch(matapalo.port, "GET", "/next").status, 200, "the next")
    case.equal(matapalo.stop(), 0, "exit status")


def limited_later(case):
    """A limit that comes by a reload: idle connections from before it do not
    keep others waiting."""
    backends = [Backend(case) for _ in range(3)]
    legacy = {"url": [b.url for b in backends[:2]]}
    text = {"version": 1, "targets": {"legacy": legacy}}
    path = case.rules(text, "later.json")
    matapalo = case.matapalo(rules=path)
    for _ in range(4):
        case.equal(fetch(matapalo.port, "GET", "/x").status, 200, "before")
    case.equal(target(matapalo.status())["connections"], 2, "idle ones")
    legacy.update({"url": [b.url for b in backends], "max_connections": 2,
                   "queue": {"max": 4, "wait": "300ms"}})
    case.rules(text, "later.json")
    wait_for(lambda: len(states(matapalo)) == 3, "the reload")
    for _ in range(6):
        case.equal(fetch(matapalo.port, "GET", "/x").status, 200, "after")
    case.equal(matapalo.stop(), 0, "exit status")


def limit(case):
    """No more connections than allowed, over two workers; nobody starves."""
    backend, most = Backend(case), 3
    backend.work_s = 0.002
    matapalo = run(case, {"legacy": {
        "url": backend.url, "max_connections": most,
        "queue": {"max": 1000, "wait": "10s"}}}, workers=2)
    load = Load(matapalo.port, 16, "/x")
    counts = []
    while load.statuses.qsize() < 1500:
        counts.append(target(matapalo.status())["connections"])
    seen = load.stop()
    case.equal(list(seen), [200], "what callers saw: %r" % seen)
    case.equal(backend.most, most, "requests at a time")
    case.check(max(counts) <= most, "connections: %r" % counts)
    case.check(matapalo.metrics()["matapalo_upstream_queued_total"] > 0,
               "some had to wait")
    # Both workers can have one, although the other keeps what is left.
    for _ in range(20):
        case.equal(fetch(matapalo.port, "GET", "/y").status, 200, "later")
    case.equal(matapalo.stop(), 0, "exit status")


def turns(case):
    """One connection, two workers that both have a queue all the time: the
    one that has the connection lets go of it now and then."""
    backend = Backend(case)
    backend.work_s = 0.01
    matapalo = run(case, {"legacy": {
        "url": backend.url, "max_connections": 1,
        "queue": {"max": 1000, "wait": "1500ms"}}}, workers=2)
    load = Load(matapalo.port, 12, "/x")
    time.sleep(2.5)         # longer than anybody may wait
    seen = load.stop()
    case.equal(list(seen), [200], "what callers saw: %r" % seen)
    case.equal(backend.most, 1, "requests at a time")
    case.equal(matapalo.stop(), 0, "exit status")


def in_time(case, what, least, most, name):
    """A busy machine is late now and then, a wrong deadline always: one of
    three tries has to be in time. None may be early."""
    tries = []
    while not tries or tries[-1] >= most and len(tries) < 3:
        begun = time.monotonic()
        what()
        tries.append(time.monotonic() - begun)
        case.check(least < tries[-1], "%s: %.3f s" % (name, tries[-1]))
    case.check(tries[-1] < most, "%s: %s s" % (name, tries))


def deadlines(case):
    """connect, head, idle and total, each within a tenth."""
    def silent(connection):
        read_message(connection)
        connection.until(b"never")

    def drip(connection):
        read_message(connection)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            connection.send(b"x")
            time.sleep(0.1)

    def stall(connection):
        read_message(connection)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
        connection.until(b"never")

    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = []
    for _ in range(4):      # until the kernel's queue takes no more
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(full.getsockname())
        fillers.append(s)
    kinds = [
        ("connect", "http://127.0.0.1:%d" % full.getsockname()[1], 504),
        ("head", Peer(case, silent).url, 504),
        ("idle", Peer(case, stall).url, None),
        ("total", Peer(case, drip).url, None),
    ]
    targets = {"legacy": {"url": kinds[1][1]}}
    rules = []
    for kind, url, _ in kinds:
        targets[kind] = {"url": url, "timeout": {kind: "800ms"}}
        rules.append({"name": kind, "match": {"path": "/" + kind},
                      "stage": "migrated", "target": kind})
    targets["both"] = {"url": kinds[1][1], "timeout": {"total": "800ms"}}
    rules.append({"name": "both", "match": {"path": "/both"},
                  "stage": "migrated", "target": "both"})
    kinds.append(("both", None, 504))
    matapalo = run(case, targets, rules)
    for kind, _, status in kinds:
        def ask(kind=kind, status=status):
            try:
                got = fetch(matapalo.port, "GET", "/" + kind).status
            except EOFError:
                got = None
            case.equal(got, status, kind)

        in_time(case, ask, 0.79, 0.88, kind)
    for s in fillers + [full]:
        s.close()
    case.equal(matapalo.stop(), 0, "exit status")


def elsewhere(case):
    """Nothing of a chunked upload left: it goes to another address."""
    down, up = socket.socket(), Backend(case)
    down.bind(("127.0.0.1", 0))
    dead = "http://127.0.0.1:%d" % down.getsockname()[1]
    matapalo = run(case, {"legacy": {"url": [dead, up.url],
                                     "eject": {"for": "1ms",
                                               "at_most": "1ms"}}})
    for i in range(8):
        answer = fetch(matapalo.port, "POST", "/c%d" % i, b"y" * 9000,
                       chunked=True)
        case.equal(answer.status, 200, "a chunked POST")
    case.equal(sorted(up.order), ["/c%d" % i for i in range(8)],
               "each was executed once")
    case.check(matapalo.metrics()[
        'matapalo_upstream_retried_total{reason="connect"}'] > 0, "counted")
    down.close()
    matapalo.stop()


def budget(case):
    """Retries cannot double the load of a target that fails."""
    def closes(connection):
        read_message(connection)
        with lock:
            asked.append(1)
        return False

    lock, asked = threading.Lock(), []
    matapalo = run(case, {"legacy": {"url": Peer(case, closes).url}})
    n = 600
    for _ in range(n):
        case.equal(fetch(matapalo.port, "GET", "/").status, 502, "it fails")
    extra = len(asked) - n
    metrics = matapalo.metrics()
    case.check(100 <= extra <= 100 + 0.2 * n + 200,
               "%d of %d requests were sent again" % (extra, n))
    case.check(metrics["matapalo_upstream_retries_denied_total"] > 0,
               "the budget said no")
    matapalo.stop()


def backlog(case):
    """A Unix socket whose backlog is full: a short wait, then 503."""
    path = case.path("full.sock")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(0)
    filler = socket.socket(socket.AF_UNIX)
    filler.connect(path)
    matapalo = run(case, {"legacy": {"url": "unix:" + path,
                                     "timeout": {"connect": "500ms"}}})
    answer = fetch(matapalo.port, "POST", "/", b"x")
    case.equal((answer.status, answer.json()["code"]),
               (503, "upstream.backlog_full"), "nobody accepts")
    waiting = in_background(fetch, matapalo.port, "POST", "/", b"x")
    time.sleep(0.1)
    server.accept()[0].close()      # the filler
    connection = server.accept()[0]
    connection.recv(65536)
    connection.sendall(OK)
    case.equal(waiting.get(timeout=20).status, 200, "once there is room")
    matapalo.stop()


def unknown_name(case):
    """The proxy starts although a name is unknown; check warns."""
    up = Backend(case)
    rules = {"version": 1, "targets": {
        "legacy": {"url": up.url},
        "new": {"url": "http://%s:80" % ("a" * 70)}},
        "rules": [{"name": "n", "match": {"path": "/n"}, "stage": "migrated",
                   "target": "new"}]}
    path = case.rules(rules, "unknown.json")
    out = lib.command("check", path)
    case.equal(out.returncode, 0, "check: " + out.stderr)
    case.check("cannot be found now" in out.stdout + out.stderr, "a warning")
    matapalo = case.matapalo(rules=path)
    answer = fetch(matapalo.port, "GET", "/n")
    case.equal((answer.status, answer.json()["code"]),
               (503, "upstream.no_address"), "no address")
    case.equal(fetch(matapalo.port, "GET", "/x").status, 200, "the others")
    rules["rules"][0]["on_failure"] = "legacy"
    case.rules(rules, "unknown.json")
    wait_for(lambda: fetch(matapalo.port, "GET", "/n").status == 200,
             "the fallback")
    case.equal(matapalo.stop(), 0, "exit status")


def can_bind_hosts(path):
    """Whether this user may have a hosts file of its own."""
    return shutil.which("unshare") and subprocess.run(
        ["unshare", "-rm", "sh", "-c", "mount --bind %s %s" % (path, HOSTS)],
        capture_output=True).returncode == 0


def names(case):
    """A host name gets another address while requests run."""
    path = case.path("hosts")

    def say(*addresses):
        with open(path, "w") as f:
            f.write("127.0.0.1 localhost\n")
            for address in addresses:
                f.write("%s shop.test\n" % address)

    say("127.0.0.2")
    if not can_bind_hosts(path):
        print("names: no user namespace, not tried")
        return
    old, new = Backend(case), Backend(case)
    old.listener.close()
    new.listener.close()
    old.listener = socket.create_server(("127.0.0.2", 0))
    port = old.listener.getsockname()[1]
    new.listener = socket.create_server(("127.0.0.3", port))
    for b in (old, new):
        threading.Thread(target=b.accept, daemon=True).start()
        case.cleanups.append(b.listener.close)
    rules = case.rules({"version": 1, "targets": {"legacy": {
        "url": "http://shop.test:%d" % port, "resolve": "100ms"}}})
    wrapper = case.path("matapalo-in-namespace")
    with open(wrapper, "w") as f:
        f.write("#!/bin/sh\nexec unshare -rm sh -c 'mount --bind %s %s && "
                "exec \"$@\"' sh %s \"$@\"\n" % (path, HOSTS, lib.MATAPALO))
    os.chmod(wrapper, 0o700)
    matapalo = case.matapalo(rules=rules, binary=wrapper)

    def known():
        return sorted(states(matapalo))

    with Client(matapalo.port) as client:
        case.equal(client.request("GET", "/1").status, 200, "the first")
        case.equal((old.requests, new.requests), (1, 0), "who was asked")
        old.gate.clear()
        running = in_background(fetch, matapalo.port, "GET", "/running")
        wait_for(lambda: old.requests == 2, "a running request")
        say("127.0.0.3")
        wait_for(lambda: known() == ["127.0.0.3:%d" % port], "the change")
        # The worker takes the new list when it wakes next.
        wait_for(lambda: client.request("GET", "/2").status == 200 and
                 new.requests == 1, "the new address to be asked")
        asked = old.requests
        case.equal(client.request("GET", "/3").status, 200, "the next")
        case.equal((old.requests, new.requests), (asked, 2), "who was asked")
        old.gate.set()
        case.equal(running.get(timeout=20).status, 200, "it ends well")
        wait_for(lambda: old.connections == 0, "idle connections to close")
    say()
    wait_for(lambda: "cannot be found" in matapalo.err(), "a warning")
    case.equal(fetch(matapalo.port, "GET", "/3").status, 200,
               "the known address stays")
    say("127.0.0.3", "127.0.0.2")
    wait_for(lambda: len(known()) == 2, "two addresses")
    case.equal(matapalo.stop(), 0, "exit status")


def targets(case):
    for part in (kill_one, half_at_most, health, health_over_tls, breaker,
                 line, called_too_late, limited_later, limit, turns,
                 deadlines, elsewhere, budget, backlog, unknown_name,
                 names):
        begun = time.monotonic()
        try:
            part(case)
        except Exception as e:
            raise Failed("%s: %r" % (part.__name__, e)) from e
        print("%s: %.1f s" % (part.__name__, time.monotonic() - begun))


lib.main(targets)
