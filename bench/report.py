# SPDX-License-Identifier: Apache-2.0
"""docs/benchmarks.md's tables and pictures, from the results alone:
`report.py PAGE [--merge OTHER.json]`."""
import argparse
import os
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tests", "scenario")]

import chart  # noqa: E402
import rows  # noqa: E402

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
OURS, RECORDED = "matapalo", "matapalo recorded"
BOUNDED = "matapalo bounded"
GOALS = {"nginx": 0.70, "haproxy": 0.65}    # plain 1 KiB GET
GOAL_ANY, GOAL_RECORDED, GOAL_IDLE_KIB = 1.0, 1.5, 32
GOAL_MIRRORED, GOAL_P99 = 0.6, 1.05


def median(windows, key):
    return statistics.median(w[key] for w in windows)


def spread(windows, key):
    values = [w[key] for w in windows]
    return (max(values) - min(values)) / statistics.median(values)


class Figures:
    """The rows of a store, in the page's order, by name of the proxy."""

    def __init__(self, store):
        found = store.part("rows")
        self.rows = [(r, found[r.name]["proxies"]) for r in rows.every()
                     if r.name in found]

    def ratios(self, peer, key="cpu_us", wanted=lambda row: True):
        """[(our share of the peer's figure, row)]"""
        return [(median(p[OURS], key) / median(p[peer], key), row)
                for row, p in self.rows
                if wanted(row) and peer in p and OURS in p]

    def peers(self):
        found = []
        for _, proxies in self.rows:
            found += [n for n in proxies if n not in found and
                      n not in (OURS, RECORDED)]
        return found


def table(head, lines):
    marks = ["---"] + ["---:"] * (len(head) - 1)
    return ["| %s |" % " | ".join(str(x) for x in line)
            for line in [head, marks] + lines]


def cpu_table(figures):
    peers = figures.peers()
    head = ["row", OURS] + peers + ["of " + p for p in peers] + [
        "recorded", "spread", "steal"]
    lines = []
    for row, p in figures.rows:
        if OURS not in p:
            continue
        ours = median(p[OURS], "cpu_us")
        others = [median(p[n], "cpu_us") if n in p else None for n in peers]
        lines.append(
            [row.name, "%.2f" % ours] +
            ["%.2f" % x if x else "-" for x in others] +
            ["%.2f" % (ours / x) if x else "-" for x in others] +
            ["%.2f" % median(p[RECORDED], "cpu_us") if RECORDED in p
             else "", "%.0f %%" % (100 * max(spread(w, "cpu_us")
                                             for w in p.values())),
             "%.1f %%" % (100 * max(median(w, "steal")
                                    for w in p.values()))])
    return table(head, lines)


def time_table(figures):
    names = figures.peers() + [OURS, RECORDED]
    lines = []
    for row, p in figures.rows:
        lines.append([row.name] + [
            "%.0f / %.2f / %.2f" % tuple(median(p[n], key) for key in (
                "rate", "p50_ms", "p99_ms")) if n in p else ""
            for n in names])
    return table(["row"] + names, lines)


def worst_table(figures):
    """Of each peer the row that is worst for us, and how many are lost."""
    lines = []
    for peer in figures.peers():
        found = figures.ratios(peer)
        if found:
            worst = max(found)
            lost = [r for r in found if r[0] > GOAL_ANY]
            lines.append([peer, worst[1].name, "%.2f" % worst[0], "%.2f" %
                          statistics.median(r[0] for r in found),
                          "%d of %d" % (len(lost), len(found))])
    return table(["peer", "worst row", "ratio", "median ratio",
                  "rows above 1.0"], lines)


def above_one(figures):
    found = ["%s: %.2f of %s" % (row.name, ratio, peer)
             for peer in figures.peers()
             for ratio, row in figures.ratios(peer) if ratio > GOAL_ANY]
    return ["CPU above a peer's: " + ("; ".join(found) if found
                                      else "in no row") + "."]


def slower(figures):
    """[(our p99 / the best peer's, row)] where ours is longer."""
    found = []
    for row, p in figures.rows:
        best = [median(p[n], "p99_ms") for n in figures.peers() if n in p]
        if best and OURS in p and median(p[OURS], "p99_ms") > min(best):
            found.append((median(p[OURS], "p99_ms") / min(best), row))
    return sorted(found, reverse=True)


def is_plain_get(row):
    return row.request == "get1k" and not row.tls and not row.rate


def goals(store):
    """[(what, measured, at most)], as far as it was measured."""
    figures, found = Figures(store), []
    for peer, limit in GOALS.items():
        for ratio, row in figures.ratios(peer, wanted=is_plain_get):
            found.append(("%s of %s" % (row.name, peer), ratio, limit))
    for peer in figures.peers():
        ratios = figures.ratios(peer)
        if ratios:
            worst = max(ratios)
            found.append(("any row of %s; worst: %s" % (
                peer, worst[1].name), worst[0], GOAL_ANY))
    late = slower(figures)
    if figures.rows:
        found.append(("rows whose p99 is above the best peer's", len(late),
                      0))
    for row, p in figures.rows:
        if RECORDED in p and row.request == "get1k" and row.level in (
                32, 256):
            found.append(("recorded / plain, " + row.name, median(
                p[RECORDED], "cpu_us") / median(p[OURS], "cpu_us"),
                GOAL_RECORDED))
    found += idle_goals(store) + mirrored_goals(store)
    return found


def idle_goals(store):
    kib = store.part("idle").get("idle", {}).get("kib", {})
    return [("KiB per idle connection", kib[OURS], GOAL_IDLE_KIB)] \
        if OURS in kib else []


def mirrored_goals(store):
    found = []
    for name, row in store.part("mirrored").items():
        cpu = {n: median(w, "cpu_us") for n, w in row["proxies"].items()}
        for ours in (RECORDED, BOUNDED):
            if "nginx" in cpu and ours in cpu:
                found.append(("%s: %s / nginx mirroring" % (name, ours),
                              cpu[ours] / cpu["nginx"], GOAL_MIRRORED))
    for name, row in store.part("journal").items():
        found.append(("p99 with the journal %s / plain" % name,
                      row["ratio"], GOAL_P99))
    return found


def goal_table(store):
    return table(["goal", "measured", "at most", ""], [
        [what, "%.2f" % value, "%.2f" % limit,
         "met" if value <= limit else "MISSED"]
        for what, value, limit in goals(store)])


def missed(store):
    return [what for what, value, limit in goals(store) if value > limit]


def idle_table(store):
    idle = store.part("idle").get("idle")
    if not idle:
        return []
    return table(["proxy", "KiB for each of %d idle connections"
                  % idle["count"]],
                 [[n, "%.2f" % x] for n, x in idle["kib"].items()])


def call_table(store):
    calls = store.part("calls").get("calls", {}).get("proxies", {})
    lines = []
    for name, found in calls.items():
        top = sorted((found or {}).items(), key=lambda x: -x[1])
        if top:
            lines.append([name, "%.2f" % sum(found.values()),
                          ", ".join("%s %.2f" % x for x in top)])
    return table(["proxy", "system calls/request", "which"], lines) \
        if lines else []


def mirrored_table(store):
    lines = []
    for name, row in store.part("mirrored").items():
        for proxy, windows in row["proxies"].items():
            lines.append([name, proxy] + ["%.2f" % median(windows, key)
                                          for key in ("cpu_us", "p50_ms",
                                                      "p99_ms")] +
                         ["%.0f" % median(windows, "rate")])
    return table(["row", "proxy", "CPU us/request", "p50 ms", "p99 ms",
                  "requests/s"], lines) if lines else []


def journal_table(store):
    lines = [[name, "%.2f" % row["plain_ms"], "%.2f" % row["ms"],
              "%.2f" % row["ratio"], "%d" % row["answered"],
              "%d" % row["recorded"], row["dropped"]]
             for name, row in store.part("journal").items()]
    return table(["journal", "p99 ms plain", "p99 ms recorded", "ratio",
                  "answered", "recorded", "dropped"], lines) if lines else []


def about(store):
    m = store.all.get("machine", {})
    whens = sorted(row["when"] for part in ("rows", "idle", "mirrored",
                                            "journal")
                   for row in store.part(part).values())
    loads = [row["load"] for row in store.part("rows").values()]
    binaries = {row["binary"] for row in store.part("rows").values()}
    if not whens:
        return ["Nothing was measured."]
    return ["Measured from %s to %s UTC on %s, %d cores, Linux %s, journal "
            "on %s; load average between the rows %.1f to %.1f%s."
            % (whens[0], whens[-1], m.get("processor"), m.get("cores", 0),
               m.get("kernel"), m.get("journal_on"),
               min(loads, default=0), max(loads, default=0),
               "" if len(binaries) < 2 else
               "; the rows are of %d builds" % len(binaries)),
            "", "Versions: " + "; ".join(store.all.get("versions", [])) +
            "."]


def section(title, lines):
    return ["### " + title, ""] + lines + [""] if lines else []


def text(store):
    figures = Figures(store)
    parts = about(store) + [""] + section("Goals", goal_table(store))
    if figures.rows:
        parts += section("The worst rows", worst_table(figures) + [""] +
                         above_one(figures) + [""] + late_rows(figures))
        parts += section("CPU per request, microseconds",
                         cpu_table(figures))
        parts += section("Requests/s, p50 and p99 in milliseconds",
                         time_table(figures))
    parts += section("Mirrored", mirrored_table(store))
    parts += section("A journal in trouble", journal_table(store))
    parts += section("Idle connections", idle_table(store))
    parts += section("System calls", call_table(store))
    return "\n".join(parts).rstrip()


def late_rows(figures):
    late = slower(figures)
    return ["p99 above the best peer's: " + ("; ".join(
        "%s: %.2f times" % (row.name, ratio) for ratio, row in late)
        if late else "in no row") + "."]


def picture(figures, title, wanted):
    groups = []
    for row, p in figures.rows:
        if not wanted(row) or OURS not in p:
            continue
        base = median(p["nginx"], "cpu_us")
        groups.append((row.name, [
            (n, median(p[n], "cpu_us") / base, "%.1f us (%.2f)" % (
                median(p[n], "cpu_us"), median(p[n], "cpu_us") / base))
            for n in figures.peers() + [OURS] if n in p]))
    return chart.bars(title, groups) if groups else None


def write(page, store):
    """The page between its markers, and the pictures beside it."""
    with open(page) as f:
        old = f.read()
    head, rest = old.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    put(page, head + BEGIN + "\n" + text(store) + "\n" + END + tail)
    figures = Figures(store)
    beside = page.rsplit(".", 1)[0]
    for name, title, wanted in (
            ("plain", "CPU per request, nginx = 1",
             lambda r: not r.tls and r.workers == 1),
            ("tls", "CPU per request under TLS, nginx = 1",
             lambda r: r.tls and r.workers == 1)):
        svg = picture(figures, title, wanted)
        if svg:
            put("%s-%s.svg" % (beside, name), svg)


def put(path, content):
    with open(path + ".new", "w") as f:
        f.write(content)
    os.rename(path + ".new", path)


def main():
    import store
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page")
    parser.add_argument("--results", default=store.PATH)
    parser.add_argument("--merge", metavar="FILE")
    options = parser.parse_args()
    results = store.Store(options.results)
    if options.merge:
        results.merge(store.Store(options.merge))
    write(options.page, results)


if __name__ == "__main__":
    main()
