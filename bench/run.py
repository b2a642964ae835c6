# SPDX-License-Identifier: Apache-2.0
"""`make bench`: nginx, haproxy and matapalo side by side in one run. What is
compared, and why so, stands in docs/benchmarks.md."""
import argparse
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tests", "scenario")]

import lib  # noqa: E402
import measure  # noqa: E402
import proxies  # noqa: E402
import report  # noqa: E402

PROXY_CORE, OTHER_CORE = 0, 1
LEVELS = (32, 256)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--idle", type=int, default=5000, metavar="N",
                        help="idle connections, 0: do not measure")
    parser.add_argument("--data", default=os.path.join(lib.BUILD,
                                                       "bench-data"),
                        help="journals; must be a real disk")
    parser.add_argument("--page", help="docs/benchmarks.md to update")
    parser.add_argument("--strict", action="store_true",
                        help="a missed goal is a failure")
    parser.add_argument("--no-pin", action="store_true")
    return parser.parse_args()


def under_load(found, options, core):
    """Interleaved: A B C, A B C; a slow minute hits all of them."""
    results = {}
    for number in range(options.rounds):
        for connections in LEVELS:
            for proxy in found:
                row = measure.one_window(proxy, connections,
                                         options.seconds, core)
                results.setdefault((proxy.name, connections), []).append(row)
                print("round %d c=%-3d %-18s %6.2f us %8.0f /s, "
                      "stolen %.1f %%"
                      % (number + 1, connections, proxy.name, row["cpu_us"],
                         row["rate"], 100 * row["steal"]), flush=True)
    return results


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
    cores = (PROXY_CORE, OTHER_CORE)
    if options.no_pin or os.cpu_count() < 2:
        cores = (None, None)
    load = os.getloadavg()[0]
    limit = measure.raise_limit()
    os.makedirs(options.data, exist_ok=True)
    origin = proxies.start_origin(case, cores[1])
    found = proxies.start_all(case, origin, cores[0], options.data)
    idle = {}
    count = min(options.idle, limit - 500)
    if count > 0:
        idle = {p.name: measure.idle_kib(p, count) for p in found}
    results = under_load(found, options, cores[1])
    check_recorded(found[-1])
    calls = {p.name: measure.system_calls(case, p, cores[1]) for p in found}
    goals = report.goal_table(results, idle, LEVELS)
    parts = [report.machine(options.data, proxies.versions(), load)]
    parts += [report.load_table(results, c) for c in LEVELS]
    parts += [report.idle_table(idle, count)] if idle else []
    parts += [report.call_table(calls)] if any(calls.values()) else []
    parts.append(goals)
    text = "\n\n".join("\n".join(part) for part in parts)
    print("\n" + text)
    if options.page:
        report.write_between_markers(options.page, text)
    case.check(not options.strict or "MISSED" not in "\n".join(goals),
               "a goal was missed")
    shutil.rmtree(options.data, ignore_errors=True)


def scenario(case):
    options = arguments()
    for tool in ("wrk", "taskset", proxies.NGINX):
        if not shutil.which(tool):
            lib.skip(tool + " is not installed")
    bench(case, options)


lib.main(scenario, seconds=1800)
