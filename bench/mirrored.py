# SPDX-License-Identifier: Apache-2.0
"""A copy of all traffic: nginx and Envoy send each request to a second
origin as well, matapalo records it durably; and what callers notice when
matapalo's journal stops, is locked or is full."""
import ctypes
import os
import resource
import signal
import sqlite3
import statistics

import lib
import measure
import proxies
import rows

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
CPU_ROWS = (rows.Row("get1k", 32, 1, False, 0),
            rows.Row("get1k", 256, 1, False, 0),
            rows.Row("post1k", 32, 1, False, 0))
PACE = rows.Row("get1k", 64, 1, False, 4000)
JOURNAL_ROUNDS, JOURNAL_MS, JOURNAL_WARM_MS = 16, 250, 50
DROPPED = "matapalo_exchanges_dropped_total"


def compare(run):
    wanted = [row for row in CPU_ROWS if run.is_wanted("mirrored", row.name)]
    if not wanted:
        return
    case, proxy_core, other = run.case, run.proxy_core, run.other_core
    origin = proxies.start_origin(case, other)
    copies = proxies.start_origin(case, other, "copies")
    found = [start(case, origin, proxy_core, 1, copies)
             for name, start in proxies.peers() if name != "haproxy"]
    found.append(recording(run, origin, proxy_core))
    # A mirrored copy may be lost: like for like, POST in class bounded.
    found.append(proxies.start_matapalo(
        case, "matapalo bounded", "mirror", origin, proxy_core,
        os.path.join(run.options.data, "bounded"), durability="bounded"))
    for proxy in [origin, copies] + found:
        lib.wait_for(lambda: proxies.answers(proxy), proxy.name)
    for row in wanted:
        loads = [measure.Load(case, p, other, row.level, row) for p in found]
        patience = measure.Patience(len(loads) * run.options.rounds // 2)
        windows = {}
        for _ in range(run.options.rounds):
            for load in loads:
                windows.setdefault(load.proxy.name, []).append(
                    run.window(row, load, patience))
        for load in loads:
            load.close()
        run.store.put("mirrored", row.name, {"proxies": windows})
        print("mirrored %-15s %s" % (row.name, "; ".join(
            "%s %.2f us" % (name, statistics.median(
                x["cpu_us"] for x in w)) for name, w in windows.items())),
            flush=True)
    for proxy in found[-2:]:
        settled(proxy, "after the mirrored rows")
    for proxy in [origin, copies] + found:
        end(case, proxy)


def recording(run, origin, cores):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)   # inherited: see full()
    return proxies.start_matapalo(
        run.case, "matapalo recorded", "mirror", origin, cores,
        os.path.join(run.options.data, "mirrored"), restore_signals=False)


def end(case, proxy):
    proxy.process.kill_group()
    case.processes.remove(proxy.process)


# ---- a journal in trouble --------------------------------------------------

class Trouble:
    """What is done to the journal before the windows and undone after."""

    def __init__(self, proxy):
        self.pid = proxy.process.pid
        self.data = proxy.process.data

    def begin(self):
        pass

    def end(self):
        pass


class Stopped(Trouble):
    """The writing thread, and only it, is stopped by a debugger's means."""

    def thread(self):
        folder = "/proc/%d/task" % self.pid
        for tid in os.listdir(folder):
            with open("%s/%s/comm" % (folder, tid)) as f:
                if f.read().strip() == "journal":
                    return int(tid)
        raise measure.Insane("no thread is called journal")

    def ptrace(self, request):
        call = lib.LIBC.ptrace
        call.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                         ctypes.c_void_p]
        call.restype = ctypes.c_long
        if call(request, self.tid, None, None) < 0:
            raise measure.Insane("ptrace: " +
                                 os.strerror(ctypes.get_errno()))

    def begin(self):
        self.tid = self.thread()
        self.ptrace(PTRACE_SEIZE)
        self.ptrace(PTRACE_INTERRUPT)
        os.waitpid(self.tid, 0x40000000)    # __WALL

    def end(self):
        self.ptrace(PTRACE_DETACH)


class Locked(Trouble):
    """Another process holds SQLite's write lock."""

    def begin(self):
        self.db = sqlite3.connect(os.path.join(self.data, "journal.db"),
                                  isolation_level=None, timeout=10)
        self.db.execute("BEGIN IMMEDIATE")

    def end(self):
        self.db.execute("ROLLBACK")
        self.db.close()


class Full(Trouble):
    """No file of it may grow: as on a full disk, EFBIG for ENOSPC."""

    def begin(self):
        self.limits = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE,
                         (1, self.limits[1]))

    def end(self):
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, self.limits)


TROUBLES = (("healthy", Trouble), ("stopped", Stopped), ("locked", Locked),
            ("full", Full))


def law(proxy):
    """Answered, recorded, and dropped by reason."""
    m = proxy.process.metrics()
    dropped = {k[len(DROPPED) + 9:-2]: int(v) for k, v in m.items()
               if k.startswith(DROPPED)}
    return (int(m["matapalo_exchanges_answered_total"]),
            int(m["matapalo_exchanges_recorded_total"]), dropped)


def settled(proxy, what):
    """The counters once answered = recorded + dropped, exactly."""
    def holds():
        found = law(proxy)
        return found[0] == found[1] + sum(found[2].values()) and found
    return lib.wait_for(holds, "answered = recorded + dropped, %s (%s)"
                        % (what, law(proxy)), 30)


def is_recording(proxy):
    return proxy.name in ("matapalo recorded", "matapalo bounded")


def with_the_rest(row, proxy, make):
    """A window whose CPU is that of all its exchanges until they are on disk:
    a journal that is behind would do its work in somebody else's window, or
    in nobody's. In bodies' bytes where a row is counted by them: halves at
    the window's edges are few beside the whole."""
    before, cpu = settled(proxy, "before a window"), seconds(proxy)
    window = make()
    after = settled(proxy, "after a window")
    if after[2] != before[2]:
        raise measure.Insane("%s dropped: %s" % (proxy.name, after[2]))
    window["cpu"] = (seconds(proxy) - cpu) / (after[0] - before[0]) * \
        row.requests_of(window)
    return window


def seconds(proxy):
    return sum(map(measure.cpu_seconds, proxy.pids()))


def rounds(plain, recorded):
    """[(plain's p99, ours in trouble, plain's again)], one behind the other:
    a machine that gets slower meanwhile is on both sides of ours."""
    patience = measure.Patience(JOURNAL_ROUNDS)
    return [tuple(patience.best(lambda: load.window(
        JOURNAL_MS, PACE.rate, JOURNAL_WARM_MS))["p99_ms"]
        for load in (plain, recorded, plain)) for _ in range(JOURNAL_ROUNDS)]


def journal(run):
    wanted = [(name, kind) for name, kind in TROUBLES
              if run.is_wanted("journal", name)]
    if not wanted:
        return
    # Not pinned: that the journal's thread takes its time from the worker
    # is an artefact of two cores.
    origin = proxies.start_origin(run.case, None)
    plain = proxies.start_matapalo(
        run.case, "matapalo", "passthrough", origin, None,
        os.path.join(run.options.data, "plain"))
    recorded = recording(run, origin, None)
    loads = [measure.Load(run.case, p, None, PACE.level, PACE)
             for p in (plain, recorded)]
    for name, kind in wanted:
        before = settled(recorded, "before " + name)
        trouble = kind(recorded)
        trouble.begin()
        try:
            found = rounds(*loads)
        finally:
            trouble.end()
        after = settled(recorded, "after " + name)
        put(run, name, found, before, after)
    for load in loads:
        load.close()
    for proxy in (origin, plain, recorded):
        end(run.case, proxy)


def put(run, name, found, before, after):
    dropped = {k: v - before[2].get(k, 0) for k, v in after[2].items()}
    row = {
        "plain_ms": statistics.median(p for p, _, _ in found),
        "ms": statistics.median(r for _, r, _ in found),
        "ratio": statistics.median(r / (p * q) ** 0.5 for p, r, q in found),
        "answered": after[0] - before[0], "recorded": after[1] - before[1],
        "dropped": ", ".join("%s %d" % x for x in dropped.items() if x[1])
        or "0",
    }
    run.store.put("journal", name, row)
    print("journal %-8s p99 %.2f ms, plain %.2f ms, ratio %.2f; %d answered "
          "= %d recorded + dropped %s" % (
              name, row["ms"], row["plain_ms"], row["ratio"],
              row["answered"], row["recorded"], row["dropped"]), flush=True)
