# SPDX-License-Identifier: Apache-2.0
"""Promise U12: half of what it can carry, for as long as SOAK_SECONDS says,
while upstreams fail and callers vanish. Descriptors and memory stay where
they were, no exchange is stuck, and every one of them is accounted for.
`make soak` is the long form; SOAK_RATE sets the load by hand."""
import json
import os
import random
import resource
import shutil
import socket
import ssl
import statistics
import threading
import time

import lib
from lib import Client, make_request, pattern
from pki import Pki

SECONDS = int(os.environ.get("SOAK_SECONDS", "12"))
RATE = int(os.environ.get("SOAK_RATE", "0"))
SEED = int(os.environ.get("SOAK_SEED", random.randrange(1 << 30)))
RATE_MOST = 1500 if SECONDS < 120 else 6000     # kind to the other tests
CONNECTIONS = 16
TROUBLES_PER_SECOND = 60
TROUBLE_THREADS = 6
SEGMENT = 240                   # one run of the load driver
# Of memory after the first third; caches fill up in the first minute.
GROWTH_KIB = 16384 if SECONDS < 120 else 4096
KEPT = 16                       # connections that copies are sent on
CUT = "cut"                     # the caller can see that bytes are missing


# ---- upstreams that fail ---------------------------------------------------

# What the origin does (tests/tools/origin_script.c), and what callers get.
FAULTS = (
    ("GET", "/reset", (502,)),
    ("GET", "/close-before", (502,)),
    ("POST", "/close-before", (502,)),
    ("GET", "/close-mid/200000", (CUT,)),
    ("GET", "/cut-chunk", (CUT,)),
    ("GET", "/garbage", (502,)),
    ("GET", "/two-lengths", (502,)),
    ("GET", "/slow-head/2500", (504,)),
    ("GET", "/slow-body/2500", (CUT,)),
    ("GET", "/slow-head/50", (200,)),
    ("GET", "/extra", (200,)),
    ("GET", "/bytes/300000", (200,)),
    ("GET", "/chunked/30000", (200,)),
    ("GET", "/until-close/30000", (200,)),
    ("GET", "/status/404", (404,)),
    ("GET", "/big-head/20", (200,)),
)
PATHS = sorted({"/" + path.split("/")[1] + ("/{n}" if path.count("/") > 1
                                            else "")
                for _, path, _ in FAULTS})


def rules_for(legacy, faulty):
    rules = [{"name": "fault-%d" % i, "match": {"path": path},
              "stage": "migrated", "target": "faulty"}
             for i, path in enumerate(PATHS)]
    rules.append({"name": "reads", "match": {"path": "/x"},
                  "stage": "passthrough"})
    rules.append({"name": "copied", "match": {"path": "/copied"},
                  "stage": "shadow", "target": "faulty"})
    return {"version": 1, "rules": rules, "targets": {
        "legacy": {"url": legacy.url},
        "faulty": {"url": faulty.url,
                   "timeout": {"head": "1s", "idle": "1s"}}}}


def anybody():
    """A client's context: whom it speaks to is not what is tested."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Troubles:
    """Threads that each do one odd thing after the other."""

    def __init__(self, port, tls_port, seed):
        self.port, self.tls_port = port, tls_port
        self.done, self.wrong = {}, []
        self.odd = ODD if tls_port else tuple(
            name for name in ODD if "tls" not in name)
        self.stop, self.lock = threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True,
                                         args=(random.Random(seed + i),))
                        for i in range(TROUBLE_THREADS)]
        for thread in self.threads:
            thread.start()

    def run(self, dice):
        pause = TROUBLE_THREADS / TROUBLES_PER_SECOND
        while not self.stop.is_set():
            name = dice.choice(self.odd)
            try:
                if name == "fault":
                    self.fault(*dice.choice(FAULTS))
                else:
                    getattr(self, name)(dice)
            except Exception as e:      # told by the main thread
                with self.lock:
                    self.wrong.append("%s: %r" % (name, e))
            with self.lock:
                self.done[name] = self.done.get(name, 0) + 1
            self.stop.wait(dice.uniform(0, 2 * pause))

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(30)

    def client(self, port=None):
        return Client(port or self.port, timeout=20)

    def fault(self, method, path, expected):
        with self.client() as client:
            try:
                got = client.request(method, path, b"{}" if method == "POST"
                                     else None).status
            except (EOFError, ConnectionResetError):
                got = CUT
        # A machine that is busy enough lets any upstream time out.
        if got not in expected and got != 504:
            raise lib.Failed("%s %s: %s" % (method, path, got))

    def copied(self, _):
        with self.client() as client:
            if client.request("GET", "/copied").status != 200:
                raise lib.Failed("a copied request was refused")

    def over_tls(self, dice):
        client = self.client(self.tls_port)
        client.socket = anybody().wrap_socket(client.socket)
        if client.request("GET", "/x?n=1").status != 200:
            raise lib.Failed("a request over TLS was refused")
        self.leave(client, dice)

    # ---- callers that vanish ----

    def half_a_tls_hello(self, dice):
        client = self.client(self.tls_port)
        client.send(b"\x16\x03\x01\x02\x00\x01\x00")
        self.leave(client, dice)

    def half_head(self, dice):
        client = self.client()
        client.send(b"GET /x?n=1 HTTP/1.1\r\nHost: a\r\nX-Half")
        self.leave(client, dice)

    def no_word(self, dice):
        self.leave(self.client(), dice)

    def before_the_answer(self, dice):
        client = self.client()
        client.send(make_request("GET", "/slow-head/300"))
        time.sleep(dice.uniform(0, 0.05))
        self.leave(client, dice)

    def within_an_upload(self, dice):
        client = self.client()
        client.send(make_request("POST", "/orders?n=1", pattern(300000))
                    [:dice.randrange(100, 200000)])
        self.leave(client, dice)

    def within_a_download(self, dice):
        client = self.client()
        client.send(make_request("GET", "/bytes/3000000"))
        client.fill()
        self.leave(client, dice)

    def pipelined(self, dice):
        client = self.client()
        client.send(make_request("GET", "/x?n=1") * 5)
        if dice.random() < 0.5:
            client.read()
        self.leave(client, dice)

    def half_closed(self, _):
        with self.client() as client:
            client.send(make_request("GET", "/x?n=1"))
            client.socket.shutdown(socket.SHUT_WR)
            client.to_end()

    def idle(self, dice):
        with self.client() as client:
            client.request("GET", "/x?n=1")
            self.stop.wait(dice.uniform(0, 3))

    def malformed(self, _):
        with self.client() as client:
            client.send(b"GET / HTTP/1.1\r\nBad Name: 1\r\n\r\n")
            if client.read().status != 400:
                raise lib.Failed("a malformed head was taken")

    def leave(self, client, dice):
        if dice.random() < 0.5:
            client.reset()
        else:
            client.close()


ODD = ("fault",) * 8 + (
    "copied", "half_head", "no_word", "before_the_answer",
    "within_an_upload", "within_a_download", "pipelined", "half_closed",
    "idle", "malformed", "over_tls", "half_a_tls_hello")


# ---- looking at it ----------------------------------------------------------

class Watch:
    """Samples of what must not grow."""

    def __init__(self, matapalo):
        self.matapalo, self.start = matapalo, time.monotonic()
        self.samples = []       # seconds, descriptors, KiB

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.matapalo.pid))

    def look(self):
        self.samples.append((time.monotonic() - self.start,
                             self.descriptors(), self.matapalo.rss_kib()))

    def after_warm_up(self):
        end = self.samples[-1][0]
        return [s for s in self.samples if s[0] > end / 3]

    def growth_kib(self):
        """Over the time after the warm-up, by the line through the samples:
        a single peak is no growth."""
        rows = self.after_warm_up()
        line = statistics.linear_regression([r[0] for r in rows],
                                            [r[2] for r in rows])
        return line.slope * (rows[-1][0] - rows[0][0])

    def thirds(self, which):
        """The median at the begin and at the end of that time."""
        values = [r[which] for r in self.after_warm_up()]
        n = max(1, len(values) // 3)
        return (statistics.median(values[:n]),
                statistics.median(values[-n:]))


def half_of_what_it_carries(case, port):
    if RATE:
        return RATE
    hammer = case.hammer(port, case.path("calibration"), seconds=2,
                         connections=CONNECTIONS, posts=20)
    case.equal(hammer.wait(), 0, "the load driver")
    most = json.loads(hammer.out())["rate"]
    return max(20, min(RATE_MOST, int(most / 2)))


def load(case, port, rate, seconds, totals):
    """The honest callers: their answers are all right, all the time."""
    hammer = case.hammer(port, case.path("acks"), seconds=seconds, rate=rate,
                         connections=CONNECTIONS, posts=20,
                         first=1000000 + totals.get("acked", 0))
    return hammer


def add_up(case, hammer, totals):
    case.equal(hammer.wait(), 0, "the load driver")
    for name, value in json.loads(hammer.out()).items():
        totals[name] = totals.get(name, 0) + value
    os.unlink(case.path("acks"))
    case.processes.remove(hammer)


def law(matapalo):
    """None on the way: begun = answered = recorded + dropped."""
    m = matapalo.metrics()
    begun = sum(v for k, v in m.items()
                if k.startswith("matapalo_exchanges_by_stage_total"))
    dropped = sum(v for k, v in m.items()
                  if k.startswith("matapalo_exchanges_dropped_total"))
    answered = m["matapalo_exchanges_answered_total"]
    return begun == answered and m["matapalo_client_connections_open"] == 0 \
        and answered == m["matapalo_exchanges_recorded_total"] + dropped


def at_rest(matapalo):
    """Descriptors that are no kept upstream connection."""
    open_now = matapalo.metrics()["matapalo_upstream_connections_open"]
    return len(os.listdir("/proc/%d/fd" % matapalo.pid)) - open_now


def settle(case, matapalo, before):
    try:
        lib.wait_for(lambda: law(matapalo), "no exchange on the way, begun = "
                     "answered = recorded + dropped", 60)
    except lib.Failed:
        print(json.dumps({k: v for k, v in matapalo.metrics().items()
                          if "exchange" in k or "open" in k}, indent=1))
        raise
    lib.wait_for(lambda: at_rest(matapalo) <= before + KEPT, "descriptors as "
                 "before (%d, now %d)" % (before, at_rest(matapalo)))
    lib.wait_for(lambda: matapalo.status()["shadow"]["in_flight"] == 0,
                 "no copy on its way")
    case.check(True, "at rest")


def tls_listener(case):
    """Its options; none without the openssl command."""
    if not shutil.which("openssl"):
        return []
    pki = Pki(case)
    pki.self_signed("soak", "DNS:soak.example")
    return ["--listen", "127.0.0.1:0,tls", "--tls-certificate",
            pki.path("soak.pem"), "--tls-key", pki.path("soak.key")]


def tls_port(matapalo):
    listen = matapalo.info["listen"]
    return int(listen[1].split(",")[0].rsplit(":", 1)[1]) \
        if len(listen) > 1 else None


def soak(case, matapalo, rate):
    watch, totals = Watch(matapalo), {}
    troubles = Troubles(matapalo.port, tls_port(matapalo), SEED)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        seconds = max(2, min(SEGMENT, int(end - time.monotonic())))
        hammer = load(case, matapalo.port, rate, seconds, totals)
        while hammer.alive():
            time.sleep(min(5, SECONDS / 48))
            watch.look()
        add_up(case, hammer, totals)
        print("%5.0f s: %d acknowledged, %d descriptors, %.1f MiB" % (
            watch.samples[-1][0], totals["acked"], watch.samples[-1][1],
            watch.samples[-1][2] / 1024), flush=True)
    troubles.end()
    return watch, totals, troubles


def scenario(case):
    print("seed", SEED, "(set SOAK_SEED to repeat)", flush=True)
    # More callers and upstreams than a shell's usual limit allows for.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    legacy, faulty = case.origin("legacy"), case.origin("faulty")
    matapalo = case.matapalo(rules=case.rules(rules_for(legacy, faulty)),
                             workers=2, args=["--log-level", "error"] +
                             tls_listener(case))
    rate = half_of_what_it_carries(case, matapalo.port)
    lib.wait_for(lambda: law(matapalo), "rest before the load")
    before = at_rest(matapalo)
    watch, totals, troubles = soak(case, matapalo, rate)
    print("%d a second for %d s; %d acknowledged, %d refused; odd: %s" % (
        rate, SECONDS, totals["acked"], totals["refused"],
        ", ".join("%s %d" % x for x in sorted(troubles.done.items()))))
    case.equal(troubles.wrong[:5], [], "%d unexpected ends"
               % len(troubles.wrong))
    case.equal((totals["broken"], totals["crossed"]), (0, 0),
               "honest callers' broken and crossed answers")
    case.check(totals["refused"] <= totals["acked"] / 1000,
               "%d of %d honest requests refused"
               % (totals["refused"], totals["acked"]))
    settle(case, matapalo, before)
    first, last = watch.thirds(1)
    print("descriptors %d, later %d; memory %.1f MiB, later %.1f MiB, "
          "growth %.2f MiB" % (
              (first, last) + tuple(x / 1024 for x in watch.thirds(2)) +
              (watch.growth_kib() / 1024,)))
    case.check(last <= first + 40, "descriptors grew: %d, %d"
               % (first, last))
    if not lib.is_sanitized():
        case.check(watch.growth_kib() < GROWTH_KIB,
                   "memory grew by %.0f KiB" % watch.growth_kib())
    case.equal(matapalo.stop(30), 0, "exit status")
    case.equal(matapalo.query("PRAGMA integrity_check"), [("ok",)],
               "integrity")


lib.main(scenario, seconds=SECONDS * 2 + 240)
