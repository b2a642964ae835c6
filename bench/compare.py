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
import rows  # noqa: E402

STAGES = {"plain": "passthrough", "recorded": "mirror"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", metavar="A")
    parser.add_argument("new", metavar="B")
    parser.add_argument("--stage", choices=STAGES, default="plain")
    parser.add_argument("--row", default="get1k c=256 w=1",
                        help='a row of docs/benchmarks.md (%(default)s); '
                        '"at 4000/s" behind it sets a pace')
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--ms", type=int, default=400, help="a window's time")
    parser.add_argument("--calls", action="store_true",
                        help="count system calls too")
    parser.add_argument("--no-pin", action="store_true")
    return parser.parse_args()


def start_both(case, options, row, origin, cores):
    found = []
    for name, binary in (("A", os.path.abspath(options.old)),
                         ("B", os.path.abspath(options.new))):
        if not os.access(binary, os.X_OK):
            raise lib.Failed(binary + ": no such program")
        proxy = proxies.start_matapalo(
            case, name, STAGES[options.stage], origin, cores,
            case.path("data-" + name), binary, row.workers)
        lib.wait_for(lambda: proxies.answers(proxy), name + " to answer")
        found.append(proxy)
    return found


def quartiles(values):
    low, middle, high = statistics.quantiles(values, n=4,
                                             method="inclusive")
    return "%.3f (quartiles %.3f to %.3f)" % (middle, low, high)


def rounds(loads, row, options):
    """[(A's window, B's window)], each round in the other order."""
    pairs = []
    for number in range(options.rounds):
        order = loads if number % 2 == 0 else loads[::-1]
        window = {x.proxy.name: measure.kept(row, x.window(options.ms,
                                                           row.rate))
                  for x in order}
        a, b = window["A"], window["B"]
        pairs.append((a, b))
        print("round %2d: A %6.2f us, B %6.2f us, B/A %.3f, stolen %.1f %% "
              "and %.1f %%" % (number + 1, a["cpu_us"], b["cpu_us"],
                               b["cpu_us"] / a["cpu_us"], 100 * a["steal"],
                               100 * b["steal"]), flush=True)
    return pairs


def summary(row, options, pairs):
    calm = [p for p in pairs
            if max(w["steal"] for w in p) <= measure.STEAL_MOST]
    print("%s, %s, %d of %d rounds undisturbed"
          % (options.stage, row.name, len(calm), len(pairs)))
    calm = calm if len(calm) > 4 else pairs
    for key, unit in (("cpu_us", "CPU us/request"), ("p99_ms", "p99 ms"),
                      ("rate", "requests/s")):
        print("%-15s A %8.2f  B %8.2f  B/A %s"
              % (unit, statistics.median(p[0][key] for p in calm),
                 statistics.median(p[1][key] for p in calm),
                 quartiles([p[1][key] / p[0][key] for p in calm])
                 if len(calm) > 1 else "-"))


def compare(case, options, row):
    proxy_core, other = (None, None) if options.no_pin or \
        os.cpu_count() < 2 or row.workers > 1 else ("0", "1")
    measure.raise_limit()
    if row.tls:
        proxies.make_certificate(case)
    origin = proxies.start_origin(case, other)
    found = start_both(case, options, row, origin, proxy_core)
    loads = [measure.Load(case, p, other, row.level, row) for p in found]
    summary(row, options, rounds(loads, row, options))
    for proxy in found if options.calls else []:
        calls = measure.system_calls(case, proxy, other) or {}
        print("%s: %s" % (proxy.name, ", ".join(
            "%s %.2f" % x for x in sorted(calls.items(),
                                          key=lambda x: -x[1]))))


def scenario(case):
    options = arguments()
    row = rows.named(options.row)
    if not row:
        raise lib.Failed('no row "%s"; for example "post1k c=32 w=1"'
                         % options.row)
    for tool in (measure.LOAD, proxies.ORIGIN):
        if not shutil.which(tool):
            lib.skip(tool + " is missing")
    compare(case, options, row)


lib.main(scenario, seconds=1800)
