# SPDX-License-Identifier: Apache-2.0
"""`make bench`: nginx, HAProxy, Envoy and matapalo side by side in one run.
What is compared, and why so, stands in docs/benchmarks.md."""
import argparse
import os
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tests", "scenario")]

import lib  # noqa: E402
import measure  # noqa: E402
import mirrored  # noqa: E402
import proxies  # noqa: E402
import report  # noqa: E402
import rows  # noqa: E402
import store  # noqa: E402

MANY = 1000             # connections
HEAVY = 1 << 30         # bytes on their way; to end a window takes seconds
IDLE_RESERVE = 600      # descriptors that are no idle connection


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=("main", "all"), default="main",
                        help="which rows")
    parser.add_argument("--rows", default="", metavar="REGEX",
                        help='only rows with such a name, "get1k .* tls"')
    parser.add_argument("--parts", default="idle,calls,mirrored,journal,rows",
                        help="which parts (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ms", type=int, default=400, help="a window's time")
    parser.add_argument("--minutes", type=float, default=5.5,
                        help="nothing new begins after this time")
    parser.add_argument("--resume", action="store_true",
                        help="skip what this very program was measured for")
    parser.add_argument("--idle", type=int, default=10000, metavar="N",
                        help="idle connections")
    parser.add_argument("--data", default=os.path.join(lib.BUILD,
                                                       "bench-data"),
                        help="journals; must be a real disk")
    parser.add_argument("--results", default=store.PATH, metavar="FILE")
    parser.add_argument("--page", help="docs/benchmarks.md to update")
    parser.add_argument("--strict", action="store_true",
                        help="a missed goal is a failure")
    parser.add_argument("--no-pin", action="store_true")
    return parser.parse_args()


class Bench:
    """One run: where it writes, where processes are pinned, until when."""

    def __init__(self, case, options):
        self.case, self.options = case, options
        self.store = store.Store(options.results)
        self.end = time.monotonic() + options.minutes * 60
        self.proxy_core, self.other_core = "0", "1"
        if options.no_pin or os.cpu_count() < 2:
            self.proxy_core = self.other_core = None
        self.limit = measure.raise_limit()
        self.origin = None
        self.left_out, self.failed = [], []

    def is_wanted(self, part, key):
        if self.options.resume and self.store.has(part, key):
            return False
        if time.monotonic() > self.end:
            self.left_out.append("%s %s" % (part, key))
            return False
        return True

    def cores(self, workers):
        """Of the proxy, of the load: with two workers on two cores nobody
        has one for himself."""
        if workers == 1:
            return self.proxy_core, self.other_core
        if self.other_core and os.cpu_count() >= 4:
            return "0,1", "2,3"
        return None, None

    def start(self, workers, with_recorded):
        """A fresh set of proxies; the last one is ended first."""
        self.stop()
        proxy, other = self.cores(workers)
        self.origin = proxies.start_origin(self.case, other)
        self.found = proxies.start_all(
            self.case, self.origin, proxy, workers, self.options.data,
            with_recorded)
        return self.found

    def stop(self):
        if self.origin:
            for proxy in [self.origin] + self.found:
                proxy.process.kill_group()
                self.case.processes.remove(proxy.process)
        self.origin = None

    def window(self, row, load, patience):
        """With many connections an answer takes long to come round."""
        ms, warm_ms = self.options.ms, measure.WARM_MS
        if row.level >= MANY:
            ms, warm_ms = 2 * ms, warm_ms + row.level // 4
        def make():
            return load.window(ms, row.rate, warm_ms)
        if not mirrored.is_recording(load.proxy):
            return measure.kept(row, patience.best(make))
        return measure.kept(row, patience.best(
            lambda: mirrored.with_the_rest(row, load.proxy, make)))

    def row(self, row, loads):
        """Interleaved: A B C, A B C; a slow minute hits all of them."""
        rounds = self.options.rounds
        if row.level >= MANY:
            rounds = min(rounds, 2 if row.bytes_at_once >= HEAVY else 3)
        patience = measure.Patience(len(loads) * rounds // 2)
        windows = {}
        for _ in range(rounds):
            for load in loads:
                windows.setdefault(load.proxy.name, []).append(
                    self.window(row, load, patience))
        self.store.put("rows", row.name, {"proxies": windows})
        print("%-22s %s" % (row.name, "; ".join(
            "%s %.2f us" % (name, report.median(w, "cpu_us"))
            for name, w in windows.items())), flush=True)

    def rows(self):
        wanted = rows.selected(self.options.set, self.options.rows)
        for workers in (1, 2):
            mine = [r for r in wanted if r.workers == workers and
                    not (self.options.resume and
                         self.store.has("rows", r.name))]
            if not mine:
                continue
            found = self.start(workers, workers == 1)
            for row in mine:
                if self.is_wanted("rows", row.name):
                    self.try_row(row, found)
            if workers == 1:
                check_recorded(found[-1])

    def try_row(self, row, found):
        """A row that cannot be believed is left out; the others count."""
        few = [p for p in found if (p.tls_port or not row.tls) and
               (rows.is_main(row) or p.name != report.RECORDED)]
        loads = []
        try:
            for proxy in few:
                loads.append(measure.Load(
                    self.case, proxy, self.cores(row.workers)[1], row.level,
                    row))
            self.row(row, loads)
        except measure.Insane as e:
            self.left_out.append("rows %s: %s" % (row.name, e))
            print(self.left_out[-1], flush=True)
        finally:
            for load in loads:
                load.close()

    def try_part(self, part):
        """One that fails does not take the others with it."""
        try:
            getattr(self, part)()
        except (measure.Insane, lib.Failed) as e:
            if "stopped by signal" in str(e):
                raise
            self.failed.append("%s: %s" % (part, e))
            print(self.failed[-1], flush=True)
            self.origin = None
            for process in self.case.processes:
                process.kill_group()
            self.case.processes.clear()

    def idle(self):
        count = min(self.options.idle, self.limit - IDLE_RESERVE)
        if not self.is_wanted("idle", "idle"):
            return
        found = self.start(1, True)
        kib = {p.name: measure.idle_kib(self.case, p, count,
                                        self.other_core) for p in found}
        self.store.put("idle", "idle", {"count": count, "kib": kib})
        print("KiB for each of %d idle connections: %s" % (count, "; ".join(
            "%s %.2f" % x for x in kib.items())), flush=True)

    def calls(self):
        if not self.is_wanted("calls", "calls"):
            return
        found = self.start(1, True)
        calls = {p.name: measure.system_calls(self.case, p, self.other_core)
                 for p in found}
        self.store.put("calls", "calls", {"proxies": calls})

    def mirrored(self):
        self.stop()
        mirrored.compare(self)

    def journal(self):
        self.stop()
        mirrored.journal(self)


def check_recorded(proxy):
    """A figure for recording counts only if everything was recorded."""
    def law():
        m = proxy.process.metrics()
        answered = m["matapalo_exchanges_answered_total"]
        return answered == m["matapalo_exchanges_recorded_total"] and m
    m = lib.wait_for(law, "every exchange of %s to be on disk (answered = "
                     "recorded, no drops)" % proxy.name, 30)
    print("%s: %d exchanges answered and recorded, 0 dropped"
          % (proxy.name, m["matapalo_exchanges_answered_total"]))


def bench(case, options):
    os.makedirs(options.data, exist_ok=True)
    case.cleanups.append(lambda: shutil.rmtree(options.data, True))
    proxies.make_certificate(case)
    run = Bench(case, options)
    run.store.set("machine", store.machine(options.data))
    run.store.set("versions", proxies.versions())
    for part in options.parts.split(","):
        run.try_part(part)
    run.stop()
    text = report.text(run.store)
    print("\n" + text)
    if run.left_out:
        print("\nno time was left for (run it again with --resume):\n  " +
              "\n  ".join(run.left_out))
    if options.page:
        report.write(options.page, run.store)
    case.equal(run.failed, [], "parts that could not be measured")
    missed = report.missed(run.store)
    case.check(not options.strict or not missed,
               "missed: " + "; ".join(missed))


def scenario(case):
    options = arguments()
    for tool in (measure.LOAD, proxies.ORIGIN):
        if not os.access(tool, os.X_OK):
            raise lib.Failed(tool + " is not built: make bench")
    for tool in ("openssl", "taskset", proxies.NGINX):
        if not shutil.which(tool):
            lib.skip(tool + " is not installed")
    bench(case, options)


if __name__ == "__main__":
    lib.main(scenario, seconds=3600)
