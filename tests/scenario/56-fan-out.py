# SPDX-License-Identifier: Apache-2.0
"""Fifty groups of different speeds under live traffic, first with all of them
at work, then with one that is stopped: the others and the live path do not
notice. FANOUT_SECONDS makes the windows long and then checks the ratios."""
import os
import threading
import time

import lib

SECONDS = float(os.environ.get("FANOUT_SECONDS", "3"))
LONG = SECONDS >= 20
GROUPS = 50
CALLERS = 4
RATE = 50	# a caller, requests a second
WORKER = os.path.join(os.environ.get("TOP_BUILDDIR", "."),
                      "tests/bus/test_proof")


class Live:
    """Callers that send at their times, whatever the answers take."""

    def __init__(self, port):
        self.port, self.ms, self.lock = port, [], threading.Lock()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.call)
                        for _ in range(CALLERS)]
        for t in self.threads:
            t.start()

    def call(self):
        due = time.monotonic()
        with lib.Client(self.port) as c:
            while not self.stopping.is_set():
                due += 1 / RATE
                time.sleep(max(0, due - time.monotonic()))
                began = time.monotonic()
                answer = c.request("GET", "/live")
                assert answer.status == 200
                with self.lock:
                    self.ms.append((time.monotonic() - began) * 1000)

    def window(self, seconds):
        """Latencies of the next seconds: count, p50, p99."""
        with self.lock:
            self.ms = []
        time.sleep(seconds)
        with self.lock:
            ms = sorted(self.ms)
        return len(ms), ms[len(ms) // 2], ms[len(ms) * 99 // 100]

    def end(self):
        self.stopping.set()
        for t in self.threads:
            t.join()


def lines(path):
    with open(path, "rb") as f:
        return f.read().count(b"\n")


def measure(live, logs, seconds):
    before = [lines(p) for p in logs]
    latency = live.window(seconds)
    return latency, [lines(p) - n for p, n in zip(logs, before)]


def show(what, latency, counts, rss):
    others = counts[:-1]
    print("%s: %d requests, p50 %.2f ms, p99 %.2f ms; %d events to %d groups "
          "(slowest %d), %d to the last; rss %d KiB"
          % (what, *latency, sum(others), len(others), min(others),
             counts[-1], rss))


def lags(matapalo):
    return {g["name"]: g["lag_events"]
            for g in matapalo.status()["bus"]["groups"]}


def drain(matapalo):
    """What was missed comes once the consumer is back. How long that takes is
    the consumer's affair, which works on each event; that it goes on is not."""
    last = "g%d" % (GROUPS - 1)
    first, began = lags(matapalo), time.monotonic()
    behind = sum(first.values())
    while behind:
        lib.wait_for(lambda: sum(lags(matapalo).values()) < behind,
                     "less than %d events to come" % behind, 20)
        behind = sum(lags(matapalo).values())
    seconds = time.monotonic() - began
    print("%d events, %d of them of the one that was stopped, in %.1f s, "
          "%.0f/s" % (sum(first.values()), first[last], seconds,
                      first[last] / seconds))


def scenario(case):
    if not os.path.exists(WORKER):
        lib.skip("tests/bus/test_proof is not built")
    origin = case.origin("legacy")
    matapalo = case.matapalo(legacy=origin.url)
    url = "ipc://" + os.path.join(matapalo.data, "bus.sock")
    logs, workers = [], []
    live = Live(matapalo.port)
    try:
        for i in range(GROUPS):
            logs.append(case.path("log-%d" % i))
            workers.append(case.start(
                "worker-%d" % i, ["worker", url, "g%d" % i, logs[-1],
                                  str(i * 40), "0"], executable=WORKER))
        lib.wait_for(lambda: all(os.path.exists(p) and lines(p) > 20
                                 for p in logs), "fifty consumers at work")
        all_latency, all_counts = measure(live, logs, SECONDS)
        rss = matapalo.rss_kib()
        show("all at work", all_latency, all_counts, rss)
        workers[-1].signal(lib.signal.SIGSTOP)
        latency, counts = measure(live, logs, SECONDS)
        show("one stopped", latency, counts, matapalo.rss_kib())
    finally:
        live.end()
        workers[-1].signal(lib.signal.SIGCONT)
    case.equal(counts[-1] <= 32, True, "the stopped one does nothing")
    case.check(min(counts[:-1]) > 0, "every other group gets its events")
    grown = matapalo.rss_kib() - rss
    print("grown by %d KiB while one was stopped" % grown)
    if LONG:
        rate = sum(counts[:-1]) / sum(all_counts[:-1])
        print("ratios: throughput of the others %.3f, live p99 %.3f"
              % (rate, latency[2] / all_latency[2]))
        case.check(rate >= 0.95, "the others keep their throughput")
        case.check(latency[2] <= 1.05 * all_latency[2] + 1,
                   "the live path keeps its p99")
        case.check(grown < 16384, "memory is bounded")
    drain(matapalo)
    for w in workers:
        w.kill_group()
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario, seconds=int(120 + 15 * SECONDS))
