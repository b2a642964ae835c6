# SPDX-License-Identifier: Apache-2.0
"""How the figures are taken: windows of load, memory, system calls."""
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time

import lib
import proxies

TICK = os.sysconf("SC_CLK_TCK")
LOAD = os.path.join(lib.BUILD, "bench", "load")
STEAL_MOST = 0.02
WARM_MS = 150
PATIENT_MS = 4000       # a window in which somebody must have an answer
SOURCES = 4             # client addresses; ports of one could run out


class Insane(Exception):
    """A measurement that must not be believed."""


def cpu_seconds(pid):
    """Of all its threads: CLOCK_PROCESS_CPUTIME_ID of another process."""
    return time.clock_gettime((~pid << 3) | 2)


def stolen_seconds():
    """Time that the hypervisor gave to others; 0 on real hardware."""
    with open("/proc/stat") as f:
        return int(f.readline().split()[8]) / TICK


def rss_kib(proxy):
    """Exact, other than VmRSS, which the kernel sums up now and then."""
    total = 0
    for pid in proxy.pids():
        with open("/proc/%d/smaps_rollup" % pid) as f:
            total += int(re.search(r"Rss: +(\d+)", f.read()).group(1))
    return total


class Load:
    """The load driver (bench/load.c) with its connections to one proxy."""

    def __init__(self, case, proxy, cores, connections, row=None):
        self.proxy = proxy
        port = proxy.tls_port if row and row.tls else proxy.port
        argv = [LOAD, "--to", "127.0.0.1:%d" % port, "--connections",
                str(connections), "--sources", str(SOURCES)]
        if row:
            argv += ["--method", row.method, "--path", row.path,
                     "--body", str(row.up)] + (["--tls"] if row.tls else [])
        else:
            argv += ["--path", "/1024"]
        for pid in proxy.pids():
            argv += ["--pid", str(pid)]
        self.errors = open(case.path(case.unique("load.err")), "w+")
        self.popen = subprocess.Popen(
            proxies.pinned(cores, argv), text=True, stderr=self.errors,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        case.cleanups.append(self.close)
        self.expect("ready")
        self.touch()    # a deadline for the first request may be short

    def read(self):
        line = self.popen.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise Insane("the load driver ended (%s): %s"
                         % (self.proxy.name, self.errors.read()[-500:]))
        return line.strip()

    def expect(self, word):
        line = self.read()
        if line != word:
            raise Insane("expected %r, the load driver said %r"
                         % (word, line))

    def tell(self, line):
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()

    def touch(self):
        """One request on each connection."""
        self.tell("touch")
        self.check(json.loads(self.read()))

    def window(self, ms, rate=0, warm_ms=WARM_MS):
        stolen = stolen_seconds()
        self.tell("window %d %d %g" % (warm_ms, ms, rate))
        result = json.loads(self.read())
        took = stolen_seconds() - stolen
        self.expect("drained")
        self.check(result)
        result["steal"] = took * 1000 / (warm_ms + ms)
        if result["requests"] == 0 and ms < PATIENT_MS:
            return self.window(PATIENT_MS, rate, warm_ms)
        if result["requests"] == 0:
            raise Insane("%s answered nothing" % self.proxy.name)
        return result

    def check(self, result):
        if result["broken"] or result["refused"]:
            self.errors.seek(0)
            raise Insane("%s: %d broken, %d not 200: %s" % (
                self.proxy.name, result["broken"], result["refused"],
                self.errors.read()[-500:]))

    def close(self):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        self.popen.stdin.close()
        self.popen.stdout.close()
        self.errors.close()


class Patience:
    """How many spoiled windows may be made again; shared by a row."""

    def __init__(self, more):
        self.more = more

    def best(self, make):
        """A window during which the hypervisor took more than 2 % of the
        time says nothing about a proxy; the least disturbed counts."""
        best = make()
        while best["steal"] > STEAL_MOST and self.more > 0:
            self.more -= 1
            again = make()
            best = min(best, again, key=lambda w: w["steal"])
        return best


def kept(row, window):
    """What the page is made of."""
    requests = row.requests_of(window)
    return {"cpu_us": round(window["cpu"] / requests * 1e6, 3),
            "rate": round(requests / window["seconds"], 1),
            "steal": round(window["steal"], 4),
            "driver_us": round(window["own_cpu"] / requests * 1e6, 3),
            "p50_ms": window["p50_ms"], "p99_ms": window["p99_ms"],
            "p999_ms": window["p999_ms"]}


def raise_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 40000:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (40000, 40000))
        except (ValueError, OSError):
            pass                # not permitted: with what there is
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def idle_kib(case, proxy, count, cores):
    """Memory of a connection that has had an answer and waits. Before any
    load: a heap that was once full would hide what they take."""
    first = Load(case, proxy, cores, 50)
    before = rss_kib(proxy)
    more = Load(case, proxy, cores, count)
    after = rss_kib(proxy)
    first.close()
    more.close()
    return (after - before) / count


def system_calls(case, proxy, cores):
    """{name: calls per request} under strace, or None without it."""
    strace = shutil.which("strace")
    if not strace:
        return None
    path = case.path("strace")
    argv = [strace, "-f", "-c", "-U", "calls,name", "-o", path]
    for pid in proxy.pids():
        argv += ["-p", str(pid)]
    load = Load(case, proxy, cores, 32)
    tracer = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    try:
        if "attached" not in tracer.stderr.readline():
            return None         # not permitted here
        time.sleep(0.1)         # every thread of it
        requests = load.window(1000, warm_ms=0)["requests"]
    finally:
        load.close()
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
    with open(path) as f:
        rows = re.findall(r"^ *(\d+) +(\w+)$", f.read(), re.M)
    return {name: round(int(calls) / requests, 4) for calls, name in rows
            if name != "total" and int(calls) / requests >= 0.005}
