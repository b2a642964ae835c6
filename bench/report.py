# SPDX-License-Identifier: Apache-2.0
"""The table, the goals, and docs/benchmarks.md."""
import os
import platform
import statistics
import subprocess
import time

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
GOAL_PLAIN, GOAL_RECORDED, GOAL_IDLE_KIB = 0.85, 1.5, 32


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def spread(rows, key):
    values = [row[key] for row in rows]
    return (max(values) - min(values)) / statistics.median(values)


def load_table(results, connections):
    base = median(results["nginx", connections], "cpu_us")
    lines = ["| proxy, c=%d | CPU us/request | of nginx | spread | "
             "requests/s | p50 ms | p99 ms |" % connections,
             "|---|---:|---:|---:|---:|---:|---:|"]
    for (name, c), rows in results.items():
        if c != connections:
            continue
        cpu = median(rows, "cpu_us")
        lines.append("| %s | %.2f | %.2f | %.0f %% | %.0f | %.2f | %.2f |"
                     % (name, cpu, cpu / base, 100 * spread(rows, "cpu_us"),
                        median(rows, "rate"), median(rows, "p50_ms"),
                        median(rows, "p99_ms")))
    return lines


def idle_table(idle, count):
    lines = ["| proxy | KiB per idle connection (%d) |" % count,
             "|---|---:|"]
    return lines + ["| %s | %.1f |" % item for item in idle.items()]


def call_table(calls):
    lines = ["| proxy | system calls/request | which |", "|---|---:|---|"]
    for name, found in calls.items():
        if found is None:
            continue
        top = sorted(found.items(), key=lambda x: -x[1])
        lines.append("| %s | %.2f | %s |" % (
            name, sum(found.values()),
            ", ".join("%s %.2f" % x for x in top if x[1] >= 0.01)))
    return lines


def goal(what, value, limit):
    return "| %s | %.2f | %.2f | %s |" % (
        what, value, limit, "met" if value <= limit else "MISSED")


def goal_table(results, idle, levels):
    lines = ["| goal | measured | at most | |", "|---|---:|---:|---|"]
    for c in levels:
        def cpu(name):
            return median(results[name, c], "cpu_us")
        lines.append(goal("plain / nginx, c=%d" % c,
                          cpu("matapalo plain") / cpu("nginx"), GOAL_PLAIN))
        lines.append(goal("recorded / plain, c=%d" % c,
                          cpu("matapalo recorded") / cpu("matapalo plain"),
                          GOAL_RECORDED))
    if idle:
        lines.append(goal("KiB per idle connection",
                          idle["matapalo plain"], GOAL_IDLE_KIB))
    return lines


def machine(data, versions, load):
    model, n = "unknown processor", os.cpu_count()
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    kind = subprocess.run(["stat", "-f", "-c", "%T", data],
                          capture_output=True, text=True).stdout.strip()
    return ["Measured %s on %s, %d cores, Linux %s, journal on %s; load "
            "average before the run %.1f."
            % (time.strftime("%Y-%m-%d", time.gmtime()), model, n,
               platform.release(), kind, load),
            "", "Versions: " + "; ".join(versions) + "."]


def write_between_markers(path, text):
    with open(path) as f:
        old = f.read()
    head, rest = old.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    with open(path + ".new", "w") as f:
        f.write(head + BEGIN + "\n" + text + "\n" + END + tail)
    os.rename(path + ".new", path)
