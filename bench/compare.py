# SPDX-License-Identifier: Apache-2.0
"""Two matapalo binaries on the same load, interleaved: A B B A A B ..
What counts is the ratio B / A of neighbouring windows; a noisy minute hits
both. `compare.py OLD NEW`, or `make bench-compare OLD=path/to/matapalo`."""
import argparse
import os
import shutil
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tests", "scenario")]

import lib  # noqa: E402
import measure  # noqa: E402
import proxies  # noqa: E402

STAGES = {"plain": "passthrough", "recorded": "mirror"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", metavar="A")
    parser.add_argument("new", metavar="B")
    parser.add_argument("--stage", choices=STAGES, default="plain")
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--no-pin", action="store_true")
    return parser.parse_args()


def start_both(case, options, origin, core):
    found = []
    for name, binary in (("A", os.path.abspath(options.old)),
                         ("B", os.path.abspath(options.new))):
        if not os.access(binary, os.X_OK):
            raise lib.Failed(binary + ": no such program")
        proxy = proxies.start_matapalo(
            case, name, STAGES[options.stage], origin, core,
            case.path("data-" + name), binary)
        lib.wait_for(lambda: proxies.answers(proxy), name + " to answer")
        measure.wrk(proxy.port, options.connections, 1, None)
        found.append(proxy)
    return found


def quartiles(values):
    low, middle, high = statistics.quantiles(values, n=4,
                                             method="inclusive")
    return "%.3f (quartiles %.3f to %.3f)" % (middle, low, high)


def rounds(found, options, core):
    """[(A's window, B's window)], each round in the other order."""
    pairs = []
    for number in range(options.rounds):
        order = found if number % 2 == 0 else found[::-1]
        row = {p.name: measure.counted(p, options.connections,
                                       options.seconds, core)
               for p in order}
        a, b = row["A"], row["B"]
        pairs.append((a, b))
        print("round %2d: A %6.2f us, B %6.2f us, B/A %.3f, stolen %.1f %% "
              "and %.1f %%" % (number + 1, a["cpu_us"], b["cpu_us"],
                               b["cpu_us"] / a["cpu_us"], 100 * a["steal"],
                               100 * b["steal"]), flush=True)
    return pairs


def compare(case, options):
    cores = (0, 1)
    if options.no_pin or os.cpu_count() < 2:
        cores = (None, None)
    measure.raise_limit()
    origin = proxies.start_origin(case, cores[1])
    found = start_both(case, options, origin, cores[0])
    pairs = rounds(found, options, cores[1])
    calm = [p for p in pairs
            if max(w["steal"] for w in p) <= measure.STEAL_MOST]
    print("%s, c=%d, %d of %d rounds undisturbed"
          % (options.stage, options.connections, len(calm), len(pairs)))
    calm = calm if len(calm) > 2 else pairs
    for key, unit in (("cpu_us", "CPU us/request"), ("p99_ms", "p99 ms")):
        print("%-15s A %8.2f  B %8.2f  B/A %s"
              % (unit, statistics.median(p[0][key] for p in calm),
                 statistics.median(p[1][key] for p in calm),
                 quartiles([p[1][key] / p[0][key] for p in calm])
                 if len(calm) > 1 else "-"))
    for proxy in found:
        calls = measure.system_calls(case, proxy, cores[1])
        if calls:
            print("%s: %s" % (proxy.name, ", ".join(
                "%s %.2f" % x for x in sorted(calls.items(),
                                              key=lambda x: -x[1])
                if x[1] >= 0.01)))


def scenario(case):
    options = arguments()
    for tool in ("wrk", "taskset", proxies.NGINX):
        if not shutil.which(tool):
            lib.skip(tool + " is not installed")
    compare(case, options)


lib.main(scenario, seconds=1800)
