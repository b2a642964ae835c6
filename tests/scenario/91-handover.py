# SPDX-License-Identifier: Apache-2.0
"""A new process takes the listening sockets over (SIGUSR2), or gets them by
socket activation: no connection is refused and no request fails."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

import lib
from lib import Client, Matapalo, make_request

ROUNDS = 2 if lib.is_sanitized() else 10


class Callers:
    """Threads that make a new connection for each request, all the time."""

    def __init__(self, connect, threads=4):
        self.connect, self.failed, self.served = connect, [], 0
        self.stopping, self.lock = False, threading.Lock()
        self.threads = [threading.Thread(target=self.call, args=(i,))
                        for i in range(threads)]
        for thread in self.threads:
            thread.start()

    def one(self, number):
        with self.connect() as s:
            s.settimeout(20)
            method = "POST" if number % 5 == 0 else "GET"
            s.sendall(make_request(method, "/x?n=%d" % number,
                                   b"x" if method == "POST" else None,
                                   [("Connection", "close")]))
            data = b""
            while True:
                part = s.recv(65536)
                if not part:
                    break
                data += part
        if not data.startswith(b"HTTP/1.1 200 "):
            raise EOFError("answer %r" % data[:60])

    def call(self, first):
        number = first
        while not self.stopping:
            try:
                self.one(number)
                with self.lock:
                    self.served += 1
            except (OSError, EOFError) as e:
                with self.lock:
                    self.failed.append(repr(e))
            number += len(self.threads)

    def more(self, n):
        goal = self.served + n
        lib.wait_for(lambda: self.served >= goal or self.failed,
                     "%d more requests" % n)

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()


def run_info(data):
    try:
        with open(os.path.join(data, "run.json")) as f:
            return json.load(f)
    except (OSError, ValueError):
        return {}


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def hand_over(case, matapalo, pid):
    """SIGUSR2 to pid; returns the process that serves from then on."""
    os.kill(pid, signal.SIGUSR2)
    lib.wait_for(lambda: run_info(matapalo.data).get("pid") not in
                 (None, pid), "another process in run.json")
    lib.wait_for(lambda: lib.is_gone(pid), "the old process to end")
    matapalo.info = run_info(matapalo.data)
    matapalo.admin = matapalo.info["admin"]
    lib.wait_for(matapalo._ready, "the new process to be ready")
    return matapalo.info["pid"]


def end(case, matapalo, pid):
    os.kill(pid, signal.SIGTERM)
    lib.wait_for(lambda: lib.is_gone(pid), "the end")
    case.check(not run_info(matapalo.data), "run.json is removed")


def under_load(case, origin):
    matapalo = case.matapalo(legacy=origin.url, workers=2)
    callers = Callers(lambda: socket.create_connection(
        ("127.0.0.1", matapalo.port), 20))
    before, pids = descriptors(matapalo.pid), [matapalo.pid]
    try:
        for _ in range(ROUNDS):
            callers.more(100)
            pids.append(hand_over(case, matapalo, pids[-1]))
        callers.more(100)
    finally:
        callers.stop()
    case.equal(callers.failed[:3], [], "requests that failed, of %d"
               % callers.served)
    case.equal(len(set(pids)), ROUNDS + 1, "that many processes")
    # Beside what its callers keep open at the origin.
    lib.wait_for(lambda: descriptors(pids[-1]) <= before + 12,
                 "no descriptor to pile up")
    end(case, matapalo, pids[-1])
    rows = matapalo.query("SELECT count(*) FROM events WHERE type = "
                          "'matapalo.exchange.v1'")
    case.equal(rows[0][0], callers.served, "every exchange has its event")
    rows = matapalo.query("SELECT count(*) FROM events WHERE type = "
                          "'matapalo.exchange.v1' AND "
                          "data ->> '$.outcome' <> 'response'")
    case.equal(rows[0][0], 0, "none is aborted or unknown")


def what_still_runs(case, origin):
    """A long answer outlives the hand-over; one that waits for its head in
    time has its event; an idle connection is closed."""
    matapalo = case.matapalo(legacy=origin.url,
                             args=["--handover", "300ms"])
    old, port = matapalo.pid, matapalo.port
    long = Client(port)
    long.send(make_request("GET", "/slow-body/2500"))
    short = Client(port)
    short.send(make_request("GET", "/slow-head/100"))
    idle = Client(port)
    idle.request("GET", "/x?n=1")
    lib.wait_for(lambda: matapalo.metrics()[
        "matapalo_upstream_connections_open"] >= 2, "both at the origin")
    os.kill(old, signal.SIGUSR2)
    case.equal(short.read().status, 200, "a short one")
    case.check(idle.is_closed(), "an idle connection is closed")
    lib.wait_for(lambda: run_info(matapalo.data).get("pid") not in
                 (None, old), "another process in run.json")
    with Client(port) as client:
        case.equal(client.request("GET", "/x?n=2").status, 200, "served")
    case.check(not lib.is_gone(old), "the old one still has something to do")
    case.equal(long.read().status, 200, "a long answer arrives whole")
    lib.wait_for(lambda: lib.is_gone(old), "the old process to end")
    end(case, matapalo, run_info(matapalo.data)["pid"])
    rows = matapalo.query("SELECT count(*) FROM events WHERE type = "
                          "'matapalo.exchange.v1'")
    case.equal(rows[0][0], 3, "events of all but the long one")


def stopped_meanwhile(case, origin):
    """SIGTERM while open requests are waited for: nobody serves, and what
    was accepted is finished."""
    matapalo = case.matapalo(legacy=origin.url, args=["--handover", "20s"])
    with Client(matapalo.port) as client:
        client.send(make_request("GET", "/slow-head/1500"))
        lib.wait_for(lambda: matapalo.metrics()[
            "matapalo_upstream_connections_open"] >= 1, "the request")
        matapalo.signal(signal.SIGUSR2)
        lib.wait_for(lambda: not matapalo._ready(), "the new one's READY")
        case.equal(matapalo.stop(), 0, "exit status")
        case.equal(client.read().status, 200, "what was accepted")
    case.check(not run_info(matapalo.data), "run.json is removed")
    with socket.socket() as s:
        case.check(s.connect_ex(("127.0.0.1", matapalo.port)) != 0,
                   "nobody listens any more")
    case.equal(len(matapalo.exchanges()), 1, "its event")


def unix_socket(case, origin):
    path = case.path("front.sock")
    matapalo = Matapalo(case, case.unique("matapalo"), [
        "--listen", "unix:%s,mode=0600" % path, "--listen", "127.0.0.1:0",
        "--admin", "127.0.0.1:0", "--workers", "2",
        "--bus", "ipc://" + case.path("unix-bus.sock"),
        "--legacy", origin.url], case.path("unix-data"), ready=False)
    case.processes.append(matapalo)
    lib.wait_for(lambda: run_info(matapalo.data).get("pid"), "a start")

    def connect():
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        return s

    case.equal(os.stat(path).st_mode & 0o777, 0o600, "the mode")
    callers = Callers(connect, threads=2)
    try:
        callers.more(20)
        pid = hand_over(case, matapalo, matapalo.pid)
        callers.more(20)
        pid = hand_over(case, matapalo, pid)
        callers.more(20)
    finally:
        callers.stop()
    case.equal(callers.failed[:3], [], "on a Unix socket")
    end(case, matapalo, pid)
    case.check(not os.path.exists(path), "the last one removes the file")


def worker_counts(case, origin):
    """Every inherited socket is read, with fewer and with more workers."""
    settings, data = case.path("settings"), case.path("workers-data")
    os.mkdir(data)

    def write(workers):
        with open(settings, "w") as f:
            f.write("listen = 127.0.0.1:0\nadmin = 127.0.0.1:0\n"
                    "legacy = %s\nworkers = %d\nbus = ipc://%s/bus.sock\n"
                    % (origin.url, workers, data))
    write(3)
    matapalo = Matapalo(case, case.unique("matapalo"),
                        ["--settings", settings], data)
    case.processes.append(matapalo)
    pid = matapalo.pid
    callers = Callers(lambda: socket.create_connection(
        ("127.0.0.1", matapalo.port), 20))
    try:
        for workers in (1, 4):
            callers.more(50)
            write(workers)
            pid = hand_over(case, matapalo, pid)
        callers.more(100)
    finally:
        callers.stop()
    case.equal(callers.failed[:3], [], "with other numbers of workers")
    end(case, matapalo, pid)


IMPOSTOR = """#!%s -S
import os
import signal
import sys
import time
fd = int(os.environ["MATAPALO_INHERITED_SOCKETS"].split(":")[0])
say = lambda: os.write(fd, b"R")
hear = lambda: os.read(fd, 1)
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
hang = lambda: time.sleep(600)
%s
"""
# What a new process does, what is logged of it, and whether the old one has
# let go of its journal by then.
IMPOSTORS = (
    ("sys.exit(4)", "ended with status 4", False),
    ("die()", "ended with signal 9", False),
    ("hang()", "was not ready in time", False),
    ("os.write(fd, b'x'); hear()", "ended with signal 9", False),
    ("say(); die()", "ended with signal 9", True),
    ("say(); hear(); sys.exit(3)", "ended with status 3", True),
    ("say(); hear(); die()", "ended with signal 9", True),
    ("say(); hear(); os.write(fd, b'x'); hear()", "ended with signal 9",
     True),
    ("say(); hear(); hang()", "does not serve in time", True),
)


def half_prepared(case, origin):
    """One that fails with the sockets in hand takes nothing away."""
    settings, data = case.path("half"), case.path("half-data")
    path = case.path("half.sock")
    os.mkdir(data)

    def write(more):
        with open(settings, "w") as f:
            f.write("listen = 127.0.0.1:0, unix:%s%s\nadmin = 127.0.0.1:0\n"
                    "legacy = %s\nbus = ipc://%s/bus.sock\n"
                    % (path, more, origin.url, data))
    write("")
    matapalo = Matapalo(case, case.unique("matapalo"),
                        ["--settings", settings], data)
    case.processes.append(matapalo)
    write(", 127.0.0.1:%d" % origin.port)
    matapalo.signal(signal.SIGUSR2)
    lib.wait_for(lambda: "run.handover-failed" in matapalo.err(),
                 "the failure to be logged")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(make_request("GET", "/x?n=1"))
        case.check(s.recv(100).startswith(b"HTTP/1.1 200"), "still there")
    case.equal(matapalo.stop(), 0, "exit status")
    case.check(not os.path.exists(path), "and removed at the end")


def replace(path, text):
    with open(path + ".new", "w") as f:
        f.write(text)
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)


def impostors(case, origin):
    """New processes that die or hang at each step. The old one serves on;
    where it has closed its journal, the binary that served until then is
    started again, from its image. Nobody is refused."""
    for number, (does, logged, late) in enumerate(IMPOSTORS):
        binary = case.path("matapalo%d" % number)
        data = case.path("impostor%d" % number)
        shutil.copy(lib.MATAPALO, binary)
        os.mkdir(data)
        matapalo = Matapalo(case, case.unique("matapalo"), [
            "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
            "--bus", "ipc://" + data + "/bus.sock", "--legacy", origin.url,
            "--handover", "300ms", "--handover-start",
            "1500ms" if does.endswith("hang()") else "60s", "--workers", "1"], data, binary=binary)
        case.processes.append(matapalo)
        replace(binary, IMPOSTOR % (sys.executable, does))
        callers = Callers(lambda: socket.create_connection(
            ("127.0.0.1", matapalo.port), 20), threads=2)
        try:
            callers.more(10)
            pid = matapalo.pid
            if late:
                pid = hand_over(case, matapalo, pid)
            else:
                matapalo.signal(signal.SIGUSR2)
            lib.wait_for(lambda: logged in matapalo.err(),
                         "%s: %s" % (does, logged))
            callers.more(10)
        finally:
            callers.stop()
        case.equal(callers.failed[:3], [], does)
        case.equal(run_info(data).get("pid"), pid, "who serves: " + does)
        end(case, matapalo, pid)
        rows = matapalo.query("SELECT count(*) FROM events WHERE type = "
                              "'matapalo.exchange.v1'")
        case.equal(rows[0][0], callers.served, "events: " + does)


def many_sockets(case, origin):
    """More sockets than most have: none is forgotten."""
    matapalo = case.matapalo(legacy=origin.url, workers=64,
                             args=["--listen", "127.0.0.1:0"] * 4)
    listen = matapalo.info["listen"]
    pid = hand_over(case, matapalo, matapalo.pid)
    case.equal(matapalo.info["listen"], listen, "5 addresses, 320 sockets")
    end(case, matapalo, pid)


def new_one_fails(case, origin):
    """One that cannot start leaves the old one as it was; so does one that
    cannot be started."""
    rules = case.rules({"version": 1, "targets": {
        "legacy": {"url": origin.url}}, "default": {"stage": "mirror"}})
    matapalo = case.matapalo(rules=rules)
    with open(rules, "w") as f:
        f.write("{")
    lib.wait_for(lambda: "rules.reload-failed" in matapalo.err(),
                 "the reload to be refused")
    matapalo.signal(signal.SIGUSR2)
    lib.wait_for(lambda: "run.handover-failed" in matapalo.err(),
                 "the failure to be logged")
    with Client(matapalo.port) as client:
        case.equal(client.request("POST", "/x?n=1", b"x").status, 200,
                   "the old one carries on")
    case.equal(run_info(matapalo.data)["pid"], matapalo.pid, "and is it")
    case.equal(matapalo.stop(), 0, "exit status")


def admin_address(case, origin):
    """An admin address that cannot be had ends a start before anybody was
    served, and a hand-over before the old one has let go of anything. One
    that the old one has, under the name that it has or another, passes on."""
    with socket.create_server(("127.0.0.1", 0)) as taken, \
            socket.create_server(("127.0.0.1", 0)) as free:
        bad = "127.0.0.1:%d" % taken.getsockname()[1]
        good = "127.0.0.1:%d" % free.getsockname()[1]
        free.close()
        settings, data = case.path("admin"), case.path("admin-data")
        os.mkdir(data)

        def write(admin):
            with open(settings, "w") as f:
                f.write("listen = 127.0.0.1:0\nadmin = %s\nlegacy = %s\n"
                        "bus = ipc://%s/bus.sock\n"
                        % (admin, origin.url, data))
        write(bad)
        got = subprocess.run([lib.MATAPALO, "run", "--settings", settings,
                              "--data", data], capture_output=True,
                             timeout=20)
        case.equal(got.returncode, 2, "a start with an address in use")
        case.check(bad.encode() in got.stderr, "and says which")
        case.check(not os.path.exists(data + "/journal.db"),
                   "before the journal was opened")
        write(good)
        matapalo = Matapalo(case, case.unique("matapalo"),
                            ["--settings", settings], data)
        case.processes.append(matapalo)
        pid = hand_over(case, matapalo, matapalo.pid)
        case.equal(matapalo.admin, good, "the same address")
        write("localhost" + good[good.index(":"):])
        pid = hand_over(case, matapalo, pid)
        write(bad)
        callers = Callers(lambda: socket.create_connection(
            ("127.0.0.1", matapalo.port), 20), threads=2)
        try:
            callers.more(10)
            os.kill(pid, signal.SIGUSR2)
            lib.wait_for(lambda: "run.handover-failed" in matapalo.err(),
                         "the failure to be logged")
            callers.more(10)
        finally:
            callers.stop()
    case.equal(callers.failed[:3], [], "nobody has noticed")
    case.check("given the sockets" not in matapalo.err(), "nothing was given")
    case.equal(run_info(data).get("pid"), pid, "the old one serves")
    end(case, matapalo, pid)


def stopped_before_serving(case, origin):
    """SIGTERM while the new one has the journal and does not serve yet is
    obeyed at once, and what the old one has accepted is finished."""
    binary, data = case.path("matapalo-late"), case.path("late-data")
    shutil.copy(lib.MATAPALO, binary)
    os.mkdir(data)
    path = case.path("late.sock")
    matapalo = Matapalo(case, case.unique("matapalo"), [
        "--listen", "127.0.0.1:0", "--listen", "unix:" + path, "--admin",
        "127.0.0.1:0", "--bus", "ipc://" + data + "/bus.sock", "--legacy",
        origin.url, "--handover", "100ms", "--workers", "1"], data,
        binary=binary)
    case.processes.append(matapalo)
    told = case.path("told")
    replace(binary, IMPOSTOR % (
        sys.executable, "say(); hear(); open(%r, 'w').close(); hang()"
        % told))
    with Client(matapalo.port) as client:
        client.send(make_request("GET", "/slow-body/3000"))
        lib.wait_for(lambda: matapalo.metrics()[
            "matapalo_upstream_connections_open"] >= 1, "the request")
        matapalo.signal(signal.SIGUSR2)
        lib.wait_for(lambda: os.path.exists(told), "GO")
        case.equal(matapalo.stop(), 0, "exit status")
        case.equal(client.read().status, 200, "what was accepted")
    case.check("does not serve in time" not in matapalo.err(),
               "it has not waited for the new one")
    case.check(not run_info(data), "run.json is removed")
    case.check(not os.path.exists(path), "and so is the socket")


def activated(case, origin, listener, data, extra=()):
    """Started as a service manager does with a socket unit."""
    script = 'exec 3<&%d; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"' \
        % listener.fileno()
    argv = ["sh", "-c", script, "sh", lib.MATAPALO, "run", "--data", data,
            "--admin", "127.0.0.1:0", "--legacy", origin.url,
            "--bus", "ipc://" + data + "/bus.sock", *extra]
    process = case.start("activated", argv, pass_fds=[listener.fileno()])
    process.data = data
    lib.wait_for(lambda: run_info(data).get("pid") == process.pid,
                 "the activated process")
    return process


def activation(case, origin):
    """The manager keeps the socket: restarts refuse nobody."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        port = listener.getsockname()[1]
        data = case.path("activated-data")
        os.mkdir(data)
        callers = Callers(lambda: socket.create_connection(
            ("127.0.0.1", port), 20))
        try:
            for number in range(ROUNDS):
                # As it is, and by its address.
                extra = ("--listen", "127.0.0.1:%d" % port)
                process = activated(case, origin, listener, data,
                                    extra if number % 2 else ())
                callers.more(50)
                process.signal(signal.SIGTERM)
                case.equal(process.wait(), 0, "exit status")
        finally:
            # Those that wait in the kernel are served by the last one.
            process = activated(case, origin, listener, data)
            callers.stop()
        case.equal(callers.failed[:3], [], "requests that failed, of %d"
                   % callers.served)
        process.signal(signal.SIGTERM)
        case.equal(process.wait(), 0, "exit status")


def notification(case, origin):
    path = case.path("notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(20)
        matapalo = case.matapalo(legacy=origin.url,
                                 env=dict(os.environ, NOTIFY_SOCKET=path))
        case.check(s.recv(4096).startswith(b"READY=1"), "READY")
        matapalo.signal(signal.SIGHUP)
        case.check(s.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC="),
                   "RELOADING")
        case.check(s.recv(4096).startswith(b"READY=1"), "READY again")
        pid = hand_over(case, matapalo, matapalo.pid)
        case.equal(s.recv(4096), b"MAINPID=%d" % pid, "MAINPID")
        os.kill(pid, signal.SIGTERM)
        case.check(s.recv(4096).startswith(b"STOPPING=1"), "STOPPING")
        lib.wait_for(lambda: lib.is_gone(pid), "the end")


def port_in_use(case, origin):
    matapalo = case.matapalo(legacy=origin.url)
    second = subprocess.run(
        [lib.MATAPALO, "run", "--legacy", origin.url, "--listen",
         "127.0.0.1:%d" % matapalo.port, "--admin", "127.0.0.1:0",
         "--data", case.path("second")], capture_output=True, timeout=20)
    case.equal(second.returncode, 2, "a second process on the port")
    case.check(b"Address already in use" in second.stderr, "and says why")
    case.equal(matapalo.stop(), 0, "exit status")


def scenario(case):
    origin = case.origin("legacy")
    port_in_use(case, origin)
    under_load(case, origin)
    what_still_runs(case, origin)
    stopped_meanwhile(case, origin)
    unix_socket(case, origin)
    worker_counts(case, origin)
    many_sockets(case, origin)
    new_one_fails(case, origin)
    half_prepared(case, origin)
    impostors(case, origin)
    admin_address(case, origin)
    stopped_before_serving(case, origin)
    activation(case, origin)
    notification(case, origin)


lib.main(scenario)
