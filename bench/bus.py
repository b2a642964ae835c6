# SPDX-License-Identifier: Apache-2.0
"""`make bench-bus`: events into the bus and out of it, beside NATS JetStream,
window by window in turn. Results are lines of a JSON file and the tables of
docs/benchmarks.md between its bus marks."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tests", "scenario")]

import brokers  # noqa: E402
import lib  # noqa: E402

BEGIN, END = "<!-- bus:begin -->", "<!-- bus:end -->"
PATH = os.path.join(lib.BUILD, "bench", "bus-results.json")
GOALS = (("stored/s, in lists", "in", "matapalo", "per_second", 150000, 1),
         ("stored/s, the journal alone", "journal", "journal", "per_second",
          150000, 1),
         ("delivered/s with acks", "out acks", "matapalo", "per_second",
          300000, 1),
         ("delivered/s, read", "out none", "matapalo", "per_second", 300000,
          1),
         ("p50 us at 1000/s", "live", "matapalo", "p50_us", 2000, -1))


class Bench:
    def __init__(self, case, options):
        self.options, self.windows, self.groups = options, [], 0
        self.end = time.monotonic() + options.minutes * 60
        self.brokers, self.left_out = brokers.start(case)
        self.memory = {b.name: [b.memory_kib()] for b in self.brokers}

    def window(self, broker, row, args):
        before = broker.cpu()
        done = subprocess.run(
            [broker.driver] + [str(a) for a in args[:1]] + [broker.url] +
            [str(a) for a in args[1:]], capture_output=True, text=True,
            timeout=180)
        if done.returncode:
            raise lib.Failed("%s %s: %s" % (broker.name, row, done.stderr))
        w = json.loads(done.stdout)
        w.update(row=row, broker=broker.name, load=os.getloadavg()[0],
                 server_cpu_us=(broker.cpu() - before) * 1e6 /
                 max(1, w["events"]))
        self.windows.append(w)
        print("%-12s %-10s %8.0f/s  server %6.2f us  driver %6.2f us%s" % (
            broker.name, row, w["per_second"], w["server_cpu_us"],
            w["driver_cpu_us"], "  p50 %d p99 %d us" % (
                w["p50_us"], w["p99_us"]) if "p50_us" in w else ""),
            flush=True)
        return w

    def name(self):
        self.groups += 1
        return "g%d" % self.groups

    def publish(self, broker, row, seconds, events):
        broker.stored += self.window(
            broker, row, ("in", 2, self.options.batch, seconds,
                          events))["events"]

    def round(self):
        o = self.options
        for b in self.brokers:
            self.publish(b, "in", o.seconds, 10 ** 9)
        for acks in ("acks", "none"):
            for b in self.brokers:
                self.window(b, "out " + acks, (
                    "out", 2, o.batch, min(b.stored, o.events), 15, acks,
                    self.name()))

    def live(self, row, groups, rate):
        for b in self.brokers:
            self.window(b, row, ("live", groups, 200, rate,
                                 self.options.seconds, self.name()))
            b.stored += self.windows[-1]["sent"]

    def journal(self):
        done = subprocess.run(
            [os.path.join(lib.BUILD, "bench", "journal"), self.options.data,
             "200000"], capture_output=True, text=True, timeout=120)
        w = json.loads(done.stdout.splitlines()[0])
        w.update(row="journal", broker="journal",
                 server_cpu_us=w["cpu_ns_per_event"] / 1e3)
        self.windows.append(w)
        print("journal alone: %d/s" % w["per_second"], flush=True)

    def backlog(self):
        """Not of who is too slow to get there: an fsync for each."""
        for b in self.brokers:
            if b.name.endswith("always"):
                continue
            self.publish(b, "fill", 120, max(
                2, self.options.backlog - b.stored))
            self.memory[b.name].append(b.memory_kib())
            self.window(b, "drain", ("out", 1, self.options.batch,
                                     b.stored, 60, "acks", self.name()))
            self.memory[b.name].append(b.memory_kib())

    def run(self):
        for i in range(self.options.rounds):
            if i and time.monotonic() > self.end - 100:
                break
            self.round()
            self.live("live", 1, 1000)
            self.live("fan-out", 10, 1000)
            self.journal()
        self.backlog()
        return {"when": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
                "versions": sorted({b.driver.rsplit("/", 1)[1] + ": " +
                                    b.version for b in self.brokers}),
                "left_out": self.left_out, "windows": self.windows,
                "memory": self.memory, "backlog": self.options.backlog,
                "batch": self.options.batch}


# ---- the page ----

def table(head, lines):
    marks = ["---"] * 2 + ["---:"] * (len(head) - 2)
    return ["| %s |" % " | ".join(str(x) for x in line)
            for line in [head, marks] + lines] + [""]


def figure(results, row, broker, key):
    values = [w[key] for w in results["windows"]
              if w["row"] == row and w["broker"] == broker and key in w]
    return statistics.median(values) if values else None


def rows_of(results):
    seen = []
    for w in results["windows"]:
        if (w["row"], w["broker"]) not in seen:
            seen.append((w["row"], w["broker"]))
    order = ("in", "journal", "out acks", "out none", "live", "fan-out",
             "fill", "drain")
    return sorted(seen, key=lambda x: order.index(x[0]))


def number(value):
    if value is None:
        return ""
    return "%.2f" % value if value < 100 else "%d" % value


def paired(results, row, peer, key):
    """The median of the ratios of windows that were next to each other."""
    ours, theirs = [[w[key] for w in results["windows"]
                     if w["row"] == row and w["broker"] == name and
                     w.get(key)] for name in ("matapalo", peer)]
    ratios = [a / b for a, b in zip(ours, theirs)]
    return statistics.median(ratios) if ratios else None


def ratios_of(results):
    lines = []
    for row, peer in rows_of(results):
        found = [paired(results, row, peer, key)
                 for key in ("per_second", "server_cpu_us", "p50_us",
                             "p99_us")]
        if peer.startswith("nats") and any(found):
            lines.append([row, peer] + [number(x) for x in found])
    return lines


def text(results):
    loads = [w["load"] for w in results["windows"] if "load" in w]
    lines = ["Measured %s UTC; %s; load average %.1f to %.1f." % (
        results["when"], "; ".join(results["versions"]), min(loads),
        max(loads)), ""]
    lines += ["Left out: %s.\n" % x for x in results["left_out"]]
    lines += table(["goal", "", "measured", "wanted"], [
        [what, "met" if sign * (found - wanted) >= 0 else "MISSED",
         number(found), wanted]
        for what, row, broker, key, wanted, sign in GOALS
        for found in [figure(results, row, broker, key)] if found])
    lines += table(
        ["row", "broker", "events/s", "server CPU us/event",
         "driver CPU us/event", "p50 us", "p99 us"],
        [[row, broker] + [number(figure(results, row, broker, key))
                          for key in ("per_second", "server_cpu_us",
                                      "driver_cpu_us", "p50_us", "p99_us")]
         for row, broker in rows_of(results)])
    lines += table(
        ["matapalo divided by", "", "events/s", "server CPU", "p50", "p99"],
        ratios_of(results))
    lines += table(
        ["memory of its own, MiB", "", "at start", "%d events" %
         results["backlog"], "after reading them"],
        [[name, ""] + ["%.1f" % (kib / 1024) for kib in found]
         for name, found in results["memory"].items() if len(found) > 1])
    return "\n".join(lines).rstrip()


def write(page, results):
    with open(page) as f:
        old = f.read()
    head, rest = old.split(BEGIN, 1)
    with open(page + ".new", "w") as f:
        f.write(head + BEGIN + "\n" + text(results) + "\n" + END +
                rest.split(END, 1)[1])
    os.rename(page + ".new", page)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--events", type=int, default=100000,
                        help="read by each consumer in a window")
    parser.add_argument("--backlog", type=int, default=1000000)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--data", default=lib.BUILD)
    parser.add_argument("--page")
    options = parser.parse_args()
    os.environ["TMPDIR"] = os.path.abspath(options.data)
    lib.main(lambda case: measure(case, options), 3600)


def measure(case, options):
    results = Bench(case, options).run()
    with open(PATH, "w") as f:
        json.dump(results, f, indent=1)
        f.write("\n")
    case.check(results["windows"], "something was measured")
    if options.page:
        write(options.page, results)


if __name__ == "__main__":
    main()
