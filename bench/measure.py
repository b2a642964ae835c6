# SPDX-License-Identifier: Apache-2.0
"""How the figures are taken: CPU, rate, latency, memory, system calls."""
import os
import re
import resource
import shutil
import signal
import subprocess
import time

import lib

TICK = os.sysconf("SC_CLK_TCK")


class Insane(Exception):
    """A measurement that must not be believed."""


def cpu_seconds(proxy):
    """utime + stime of all threads, those of ended ones included."""
    total = 0
    for pid in proxy.pids():
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def rss_kib(proxy):
    """Exact, other than VmRSS, which the kernel sums up now and then."""
    total = 0
    for pid in proxy.pids():
        with open("/proc/%d/smaps_rollup" % pid) as f:
            total += int(re.search(r"Rss: +(\d+)", f.read()).group(1))
    return total


def to_ms(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def wrk(port, connections, seconds, core):
    argv = ["wrk", "-t1", "-c%d" % connections, "-d%ds" % seconds,
            "--timeout", "10s", "--latency", "http://127.0.0.1:%d/" % port]
    if core is not None:
        argv = ["taskset", "-c", str(core)] + argv
    out = subprocess.run(argv, capture_output=True, text=True).stdout
    found = re.search(r"(\d+) requests in", out)
    if not found or int(found.group(1)) == 0:
        raise Insane("wrk counted no request: " + out)
    if "Non-2xx" in out or "Socket errors" in out:
        raise Insane("not every answer was a 200: " + out)
    return {"requests": int(found.group(1)),
            "rate": float(re.search(r"Requests/sec: +([\d.]+)",
                                    out).group(1)),
            "p50_ms": to_ms(re.search(r"50% +(\S+)", out).group(1)),
            "p99_ms": to_ms(re.search(r"99% +(\S+)", out).group(1))}


def stolen_seconds():
    """Time that the hypervisor gave to others; 0 on real hardware."""
    with open("/proc/stat") as f:
        return int(f.readline().split()[8]) / os.sysconf("SC_CLK_TCK")


STEAL_MOST = 0.02
ATTEMPTS = 3


def one_window(proxy, connections, seconds, core):
    """The best of a few attempts: one in which the hypervisor took more than
    2 % of the time says nothing about a proxy and is made again."""
    best = None
    for _ in range(ATTEMPTS):
        row = one_attempt(proxy, connections, seconds, core)
        if best is None or row["steal"] < best["steal"]:
            best = row
        if best["steal"] <= STEAL_MOST:
            break
    return best


def one_attempt(proxy, connections, seconds, core):
    """Warm up, then a window."""
    wrk(proxy.port, connections, 1, core)
    time.sleep(0.3)
    return counted(proxy, connections, seconds, core)


def counted(proxy, connections, seconds, core):
    """CPU over exactly the requests of one wrk run. What the proxy still
    writes 300 ms later (a commit) counts as well."""
    before, stolen = cpu_seconds(proxy), stolen_seconds()
    result = wrk(proxy.port, connections, seconds, core)
    time.sleep(0.3)
    used = cpu_seconds(proxy) - before
    if used <= 0:
        raise Insane("%s used no CPU" % proxy.name)
    result["cpu_us"] = used / result["requests"] * 1e6
    result["steal"] = (stolen_seconds() - stolen) / (seconds + 0.3)
    return result


def raise_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def idle_kib(proxy, count):
    """Memory of a connection that has had an answer and waits. Before any
    load: a heap that was once full would hide what they take."""
    clients = [lib.Client(proxy.port) for _ in range(50)]
    for client in clients:
        client.request("GET", "/")
    before = rss_kib(proxy)
    more = []
    for _ in range(count):
        client = lib.Client(proxy.port)
        if client.request("GET", "/").status != 200:
            raise Insane("an idle connection had no answer")
        more.append(client)
    after = rss_kib(proxy)
    for client in clients + more:
        client.close()
    return (after - before) / count


def system_calls(case, proxy, core):
    """{name: calls per request} under strace, or None without it."""
    strace = shutil.which("strace")
    if not strace:
        return None
    path = case.path("strace-" + proxy.name.replace(" ", "-"))
    argv = [strace, "-f", "-c", "-U", "calls,name", "-o", path]
    for pid in proxy.pids():
        argv += ["-p", str(pid)]
    tracer = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    line = tracer.stderr.readline()
    if "attached" not in line:
        tracer.wait()
        return None             # not permitted here
    requests = wrk(proxy.port, 32, 3, core)["requests"]
    tracer.send_signal(signal.SIGINT)
    tracer.communicate()
    with open(path) as f:
        rows = re.findall(r"^ *(\d+) +(\w+)$", f.read(), re.M)
    return {name: int(calls) / requests for calls, name in rows
            if name != "total"}
