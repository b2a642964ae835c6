# SPDX-License-Identifier: Apache-2.0
"""What every scenario shares: processes, HTTP by hand, checks, logs.

A scenario is a function of a Case, run by `main(function)`. Whatever happens,
every process it started is ended, and on failure all logs are printed.
"""
import atexit
import ctypes
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import schemas

SKIP = 77
HANDLER_HEAD = """#!%s -S
import json, os, sys, time
event = json.load(sys.stdin)
def reply(status, body, **headers):
    print(json.dumps({"status": status, "headers": headers, "json": body}))
"""
BUILD = os.environ.get("TOP_BUILDDIR", ".")
SOURCE = os.environ.get("TOP_SRCDIR", ".")
MATAPALO = os.environ.get("MATAPALO", os.path.join(BUILD, "matapalo"))
ORIGIN = os.path.join(BUILD, "tests", "tools", "origin")
HAMMER = os.path.join(BUILD, "tests", "tools", "hammer")
CALLERS = os.path.join(BUILD, "tests", "tools", "callers")
SERVANT = os.path.join(BUILD, "tests", "tools", "servant")
LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """A check that did not hold, or a wait that ran out."""


def skip(why):
    print("skipped:", why)
    sys.exit(SKIP)


def is_sanitized():
    """Shadow memory and quarantine make figures of memory meaningless."""
    with open(MATAPALO, "rb") as f:
        program = f.read()
    return b"__asan_init" in program or b"__tsan_init" in program


def is_gone(pid):
    """A process that has ended, whoever has to reap it."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def wait_for(condition, what, seconds=20.0):
    """Polls until condition() is truthy and returns that value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed("waited %gs in vain for %s" % (seconds, what))
        time.sleep(0.01)


def pattern(n, start=0):
    """The origin's endless body 0 1 2 .. 250 0 1 .."""
    period = bytes(range(251))
    return (period * ((start + n) // 251 + 1))[start:start + n]


# ---- processes ------------------------------------------------------------

class Process:
    """A child in a session of its own, its output in two log files."""

    def __init__(self, case, name, argv, **kw):
        self.name, self.argv = name, argv
        self.out_path = os.path.join(case.logs, name + ".out")
        self.err_path = os.path.join(case.logs, name + ".err")
        with open(self.out_path, "ab") as out, \
                open(self.err_path, "ab") as err:
            self.popen = subprocess.Popen(
                argv, stdin=kw.pop("stdin", subprocess.DEVNULL), stdout=out,
                stderr=err, start_new_session=True,
                preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG,
                                              signal.SIGKILL), **kw)
        self.pid = self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, seconds=20):
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed("%s did not end in %gs" % (self.name, seconds))

    def kill_group(self):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()

    def out(self):
        with open(self.out_path, errors="replace") as f:
            return f.read()

    def err(self):
        with open(self.err_path, errors="replace") as f:
            return f.read()

    def rss_kib(self):
        with open("/proc/%d/status" % self.pid) as f:
            for line in f:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        return 0


def command(*args):
    """Runs `matapalo ARGS` to its end."""
    return subprocess.run(
        [MATAPALO] + list(args), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=30)


class Matapalo(Process):
    """`matapalo run` with its data directory, ready for traffic."""

    def __init__(self, case, name, args, data, ready=True, core=None,
                 binary=MATAPALO, **kw):
        self.data = data
        argv = [binary, "run", "--data", data] + args
        if core is not None:
            argv = ["taskset", "-c", str(core)] + argv
        try:
            os.unlink(os.path.join(data, "run.json"))
        except FileNotFoundError:
            pass
        super().__init__(case, name, argv, **kw)
        if ready:
            self.await_ready()

    def await_ready(self, seconds=20):
        self.info = wait_for(self._run_info, self.name + " to start",
                             seconds)
        self.port = int(self.info["listen"][0].rsplit(":", 1)[1])
        self.admin = self.info["admin"]
        self.bus = self.info["bus"][0] if self.info.get("bus") else None
        wait_for(lambda: self._ready(), self.name + " to be ready", seconds)

    def _run_info(self):
        if not self.alive():
            raise Failed("%s ended with status %s"
                         % (self.name, self.popen.returncode))
        try:
            with open(os.path.join(self.data, "run.json")) as f:
                info = json.load(f)
        except (OSError, ValueError):
            return None
        return info if info.get("pid") == self.pid else None

    def _ready(self):
        return self.get_admin("/readyz", token=None)[0] == 200

    def token(self):
        with open(os.path.join(self.data, "admin.token")) as f:
            return f.read().strip()

    def get_admin(self, path, token="own", order=None):
        """Status and body of a GET on the admin listener, or of a POST of an
        order, which is an object."""
        request = urllib.request.Request("http://%s%s" % (self.admin, path))
        if order is not None:
            request.data = json.dumps(order).encode()
            request.add_header("Content-Type", "application/json")
        if token == "own":
            token = self.token()
        if token is not None:
            request.add_header("Authorization", "Bearer " + token)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
        except OSError:
            return 0, ""

    def status(self):
        code, text = self.get_admin("/status")
        if code != 200:
            raise Failed("/status answered %s: %s" % (code, text))
        return json.loads(text)

    def rule(self, name):
        """What the status says of one rule."""
        return next(r for r in self.status()["rules"]["list"]
                    if r["name"] == name)

    def metrics(self):
        """{'name{labels}': value} of /metrics."""
        code, text = self.get_admin("/metrics")
        if code != 200:
            raise Failed("/metrics answered %s" % code)
        lines = [x.rsplit(" ", 1) for x in text.splitlines()
                 if x and not x.startswith("#")]
        return {name: float(value) for name, value in lines}

    def journal(self):
        path = os.path.join(self.data, "journal.db")
        return sqlite3.connect("file:%s?mode=ro" % path, uri=True,
                               timeout=10)

    def query(self, sql, *args):
        db = self.journal()
        try:
            return db.execute(sql, args).fetchall()
        except sqlite3.OperationalError as e:
            raise Failed("%s: %s" % (sql, e))
        finally:
            db.close()

    def exchanges(self):
        """The data of all terminal events, oldest first."""
        rows = self.query("SELECT data FROM events WHERE type = "
                          "'matapalo.exchange.v1' ORDER BY sequence")
        return [json.loads(row[0]) for row in rows]

    def await_exchanges(self, n):
        """Waits until n terminal events are on disk, returns them all."""
        def enough():
            rows = self.query("SELECT count(*) FROM events WHERE type = "
                              "'matapalo.exchange.v1'")
            return rows[0][0] >= n
        wait_for(enough, "%d exchange events" % n)
        return self.exchanges()

    def command(self, *args):
        """Runs `matapalo ARGS --data DIR` to its end."""
        return command(*args, "--data", self.data)

    def stop(self, seconds=20):
        """SIGTERM; returns the exit status."""
        if self.alive():
            self.signal(signal.SIGTERM)
        return self.wait(seconds)


# ---- HTTP by hand ---------------------------------------------------------

class Answer:
    """One HTTP answer as it was on the wire."""

    def __init__(self, head, body, interim):
        lines = head.decode("latin-1").split("\r\n")
        parts = lines[0].split(" ", 2)
        self.head, self.body, self.interim = head, body, interim
        self.version, self.status = parts[0], int(parts[1])
        self.fields = [tuple(x.strip() for x in line.split(":", 1))
                       for line in lines[1:]]

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def get(self, name, default=None):
        return (self.all(name) or [default])[0]

    def json(self):
        return json.loads(self.body)


class Client:
    """A keep-alive connection that sends exactly what it is told."""

    def __init__(self, port, timeout=20, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes with a reset, as a client that crashed would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def fill(self):
        data = self.socket.recv(262144)
        self.buffer += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buffer:
            if not self.fill():
                raise EOFError("closed in: %r" % self.buffer[:200])
        part, self.buffer = self.buffer.split(mark, 1)
        return part

    def exactly(self, n):
        parts, have = [self.buffer[:n]], min(n, len(self.buffer))
        self.buffer = self.buffer[n:]
        while have < n:
            data = self.socket.recv(min(n - have, 1 << 20))
            if not data:
                raise EOFError("closed after %d of %d bytes" % (have, n))
            parts.append(data)
            have += len(data)
        return b"".join(parts)

    def to_end(self):
        """What is left until the peer closes (or resets)."""
        try:
            while self.fill():
                pass
        except ConnectionResetError:
            pass
        data, self.buffer = self.buffer, b""
        return data

    def chunked(self):
        parts = []
        while True:
            size = int(self.until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            parts.append(self.exactly(size))
            self.until(b"\r\n")
        while self.until(b"\r\n"):
            pass
        return b"".join(parts)

    def read(self, method="GET"):
        """The next final answer, framed by RFC 9112 section 6.3."""
        interim = []
        while True:
            answer = Answer(self.until(b"\r\n\r\n"), b"", interim)
            if answer.status >= 200 or answer.status == 101:
                break
            interim.append(answer)
        length = answer.get("Content-Length")
        coding = answer.get("Transfer-Encoding", "").lower()
        if method == "HEAD" or answer.status in (101, 204, 304):
            pass
        elif "chunked" in coding:
            answer.body = self.chunked()
        elif length is not None:
            answer.body = self.exactly(int(length))
        else:
            answer.body = self.to_end()
        return answer

    def is_closed(self):
        """True when the peer closes; False when it says more or nothing."""
        try:
            return self.buffer == b"" and self.to_end() == b""
        except TimeoutError:
            return False

    def request(self, method, target, body=None, fields=(), chunked=False,
                host="test.example"):
        self.send(make_request(method, target, body, fields, chunked, host))
        return self.read(method)


def make_request(method, target, body=None, fields=(), chunked=False,
                 host="test.example"):
    lines = ["%s %s HTTP/1.1" % (method, target), "Host: " + host]
    lines += ["%s: %s" % field for field in fields]
    if body is None:
        body = b""
    elif chunked:
        lines.append("Transfer-Encoding: chunked")
        body = make_chunks(body)
    else:
        lines.append("Content-Length: %d" % len(body))
    return "\r\n".join(lines + ["", ""]).encode("latin-1") + body


def make_chunks(body, size=7000):
    out = []
    for at in range(0, len(body), size):
        part = body[at:at + size]
        out.append(b"%x\r\n%s\r\n" % (len(part), part))
    return b"".join(out) + b"0\r\n\r\n"


def fetch(port, method, target, body=None, fields=(), **kw):
    """One request on a connection of its own."""
    with Client(port) as client:
        return client.request(method, target, body, fields, **kw)


# ---- a JSON service in this process ---------------------------------------

class App:
    """An HTTP/1.1 service whose answers are a function of the request:
    answer(method, path, headers, body) -> (status, object). It remembers
    what it was asked."""

    def __init__(self, case, answer):
        app = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def serve(self):
                app.serve(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve
            do_HEAD = do_OPTIONS = serve

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.answer, self.seen, self.lock = answer, [], threading.Lock()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = "http://127.0.0.1:%d" % self.port
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       kwargs={"poll_interval": 0.05},
                                       daemon=True)
        self.thread.start()
        case.cleanups.append(self.close)

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, handler):
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        with self.lock:
            self.seen.append((handler.command, handler.path,
                              dict(handler.headers.items()), body))
        status, value = self.answer(handler.command, handler.path,
                                    handler.headers, body)
        data = json.dumps(value).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(data)


# ---- a case ---------------------------------------------------------------

class Case:
    def __init__(self, name):
        self.name, self.checks = name, 0
        self.dir = tempfile.mkdtemp(prefix="matapalo-%s-" % name)
        self.logs = os.path.join(self.dir, "logs")
        os.mkdir(self.logs)
        self.processes, self.cleanups, self.count = [], [], 0
        self.broken = 0

    def check(self, condition, what):
        """Counts a check; the first that does not hold ends the case (with
        KEEP_GOING=1 in the environment: is printed)."""
        if condition:
            self.checks += 1
        elif os.environ.get("KEEP_GOING"):
            print("DOES NOT HOLD:", what[:600], flush=True)
            self.broken += 1
        else:
            raise Failed(what)

    def equal(self, actual, expected, what):
        self.check(actual == expected, "%s: expected %r, got %r"
                   % (what, expected, actual))

    def path(self, name):
        return os.path.join(self.dir, name)

    def unique(self, name):
        self.count += 1
        return "%02d-%s" % (self.count, name)

    def start(self, name, argv, **kw):
        process = Process(self, self.unique(name), argv, **kw)
        self.processes.append(process)
        return process

    def origin(self, name="", record=None):
        argv = [ORIGIN, "--name", name]
        if record:
            argv += ["--record", record]
        process = self.start("origin", argv)
        process.port = int(wait_for(process.out, "the origin's port"))
        process.url = "http://127.0.0.1:%d" % process.port
        return process

    def rules(self, rules, name="rules.json"):
        """Writes a rules file in one step, as a deployment would."""
        path = self.path(name)
        with open(path + ".new", "w") as f:
            if isinstance(rules, str):
                f.write(rules)
            else:
                json.dump(rules, f, indent=2)
        os.rename(path + ".new", path)
        return path

    def matapalo(self, legacy=None, rules=None, data=None, listen=None,
                 args=(), **kw):
        if data is None:
            data = self.path(self.unique("data"))
            os.mkdir(data)
        argv = ["--listen", listen or "127.0.0.1:0",
                "--admin", "127.0.0.1:0", "--workers",
                str(kw.pop("workers", 1)),
                "--bus", "ipc://" + os.path.join(data, "bus.sock")]
        argv += ["--rules", rules] if rules else ["--legacy", legacy]
        process = Matapalo(self, self.unique("matapalo"),
                           argv + list(args), data, ready=False, **kw)
        self.processes.append(process)
        process.await_ready()
        return process

    def consume(self, matapalo, group, handler, args=()):
        """`matapalo consume`: handler is the text of a Python script that
        finds the event as a dictionary in `event`."""
        path = self.path(self.unique("handler.py"))
        with open(path, "w") as f:
            f.write(HANDLER_HEAD % sys.executable + handler)
        os.chmod(path, 0o700)
        return self.start("consume-" + group,
                          [MATAPALO, "consume", "--group", group, "--data",
                           matapalo.data, "--exec", path] + list(args))

    def servant(self, matapalo, command, *args, log="servant.log",
                url=None):
        """A fast service of the commands of that type; its log has a line
        for each that it executed."""
        return self.start("servant", [
            SERVANT, "--url", url or "ipc://" + os.path.join(
                matapalo.data, "bus.sock"), "--type", command, "--log",
            self.path(log)] + list(args))

    def hammer(self, port, log, **options):
        argv = [HAMMER, "--to", "127.0.0.1:%d" % port, "--log", log]
        for name, value in options.items():
            argv += ["--" + name.replace("_", "-"), str(value)]
        return self.start("hammer", argv)

    def close(self):
        for process in self.processes:
            process.kill_group()
        for cleanup in self.cleanups:
            cleanup()

    def print_logs(self):
        for name in sorted(os.listdir(self.logs)):
            with open(os.path.join(self.logs, name),
                      errors="replace") as f:
                lines = f.read().splitlines()
            if lines:
                print("---- %s (%d lines, the last 60)"
                      % (name, len(lines)))
                print("\n".join(line[:400] for line in lines[-60:]))


def check_dead(case):
    """A process that died by itself is a failure whoever noticed."""
    for process in case.processes:
        code = process.popen.poll()
        if isinstance(process, Matapalo) and code in (-6, -11, -4, -8, -7):
            raise Failed("%s died of signal %d" % (process.name, -code))
        if "ERROR: AddressSanitizer" in process.err() or \
                "WARNING: ThreadSanitizer" in process.err():
            raise Failed("a sanitizer spoke in %s" % process.name)


def check_schemas(case):
    """What a scenario left in its journals is as the schemas say."""
    if schemas.jsonschema is None:
        print("note: python3-jsonschema is missing: no event was held "
              "against its schema")
    journals = {os.path.join(p.data, "journal.db") for p in case.processes
                if isinstance(p, Matapalo)}
    found, _ = schemas.check(j for j in journals if os.path.exists(j))
    case.check(not found, "events against their schemas: %s" % found[:5])


def main(scenario, seconds=240):
    """Runs scenario(case) and exits: 0, 77, or 1 with everything known."""
    name = os.path.basename(sys.argv[0]).rsplit(".", 1)[0]
    if not os.access(MATAPALO, os.X_OK):
        sys.exit("%s: build matapalo first (make)" % MATAPALO)
    case = Case(name)
    atexit.register(shutil.rmtree, case.dir, ignore_errors=True)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP,
                   signal.SIGALRM):
        signal.signal(number, _interrupted)
    signal.alarm(seconds)
    code = 1
    try:
        scenario(case)
        check_dead(case)
        check_schemas(case)
        code = 1 if case.broken else 0
    except SystemExit as e:
        code = e.code
    except BaseException as e:
        _explain(case, e)
    finally:
        signal.alarm(0)
        case.close()
        if code == 1:
            case.print_logs()
            if os.environ.get("KEEP"):
                atexit.unregister(shutil.rmtree)
                print("kept:", case.dir)
    if code == 0:
        print("%s: %d checks passed" % (name, case.checks))
    sys.exit(code)


def _interrupted(number, _frame):
    raise Failed("stopped by signal %d (SIGALRM: took too long)" % number)


def _explain(case, error):
    import traceback
    traceback.print_exc(file=sys.stdout)
    print("FAILED after %d checks: %s: %s"
          % (case.checks, type(error).__name__, error))
