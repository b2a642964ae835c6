# SPDX-License-Identifier: Apache-2.0
"""Real origins, each with the smallest application that tells what was read.

Applications write one line for each request before they answer it: method,
target and body in hexadecimal (recorder.line_of). Web servers pass requests
on to a recorder of their own; what they read is what they pass on.
"""
import os
import shutil
import subprocess
import sys

import judge  # noqa: F401  (makes lib importable)
import lib
from recorder import Recorder

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"     # the one that has Debian's packages


class Origin:
    """name with version, url, lines(since)."""

    def __init__(self, name, process, port, lines):
        self.name, self.process, self.lines = name, process, lines
        self.port, self.url = port, "http://127.0.0.1:%d" % port

    def stop(self):
        if self.process:
            self.process.kill_group()


class LineFile:
    """The lines that a process has printed, read once each."""

    def __init__(self, path):
        self.path, self.offset, self.seen, self.rest = path, 0, [], ""

    def __call__(self, since):
        with open(self.path) as f:
            f.seek(self.offset)
            data = f.read()
        self.offset += len(data)
        parts = (self.rest + data).split("\n")
        self.rest = parts.pop()
        self.seen += [line for line in parts if line.count(" ") == 2]
        return self.seen[since:]


def version(argv, words=3):
    try:
        done = subprocess.run(argv, capture_output=True, text=True,
                              timeout=20)
    except OSError:
        return "?"
    text = (done.stdout + done.stderr).strip().split("\n")[0]
    return " ".join(text.split()[:words])


def free_port():
    """A port that is free now; servers that cannot take port 0 need it."""
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(origin):
    try:
        talk = judge.Talk(origin.port, judge.plain("/", "Connection: close"),
                          5)
    except OSError:
        return False
    return talk.statuses() == [200]


def finish(case, name, process, port, lines):
    origin = Origin(name, process, port, lines)

    def ready():
        if not process.alive():
            raise lib.Failed("%s ended: %s" % (name, process.err()[-2000:]))
        return answers(origin)
    lib.wait_for(ready, name + " to answer", 60)
    return origin


# ---- web servers in front of a recorder ------------------------------------

def web_server(case, name, argv, conf, **kw):
    backend = Recorder(case, strict=False)
    port = free_port()
    folder = case.path(name)
    os.mkdir(folder)
    path = os.path.join(folder, "conf")
    with open(path, "w") as f:
        f.write(conf % {"dir": folder, "port": port, "to": backend.port})
    process = case.start(name, [a % {"conf": path, "dir": folder}
                                for a in argv], **kw)
    return finish(case, name, process, port, backend.lines)


def nginx(case):
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    origin = web_server(case, "nginx", [
        program, "-c", "%(conf)s", "-p", "%(dir)s", "-e", "%(dir)s/error"], """
daemon off; master_process off; pid %(dir)s/pid; error_log %(dir)s/error;
events { worker_connections 512; }
http {
  access_log off; client_body_temp_path %(dir)s/b; proxy_temp_path %(dir)s/p;
  fastcgi_temp_path %(dir)s/f; uwsgi_temp_path %(dir)s/u;
  scgi_temp_path %(dir)s/s; client_max_body_size 0; keepalive_requests 99999;
  server {
    listen 127.0.0.1:%(port)d; location / {
      proxy_pass http://127.0.0.1:%(to)d; proxy_http_version 1.1;
      proxy_set_header Host x; proxy_set_header Connection "";
    } } }
""")
    origin.name = version([program, "-v"]).replace("nginx version: ", "")
    return origin


def apache(case):
    program = shutil.which("apache2", path="/usr/sbin:/usr/bin")
    modules = "/usr/lib/apache2/modules"
    origin = web_server(case, "apache2", [
        program, "-X", "-d", "%(dir)s", "-f", "%(conf)s"], "\n".join(
            "LoadModule %s_module %s/mod_%s.so" % (m, modules, m)
            for m in ("mpm_event", "authz_core", "proxy", "proxy_http")) + """
ServerName x
Listen 127.0.0.1:%(port)d
PidFile %(dir)s/pid
ErrorLog %(dir)s/error
Mutex file:%(dir)s
MaxKeepAliveRequests 0
AllowEncodedSlashes NoDecode
StartServers 1
ServerLimit 1
ThreadLimit 32
ThreadsPerChild 32
MaxRequestWorkers 32
ProxyPass "/" "http://127.0.0.1:%(to)d/" nocanon
""")
    origin.name = version([program, "-v"]).replace("Server version: ", "")
    return origin


def lighttpd(case):
    program = shutil.which("lighttpd", path="/usr/sbin:/usr/bin")
    origin = web_server(case, "lighttpd", [
        program, "-D", "-f", "%(conf)s"], """
server.modules = ( "mod_proxy" )
server.bind = "127.0.0.1"
server.port = %(port)d
server.document-root = "%(dir)s"
server.errorlog = "%(dir)s/error"
server.max-keep-alive-requests = 10000
server.http-parseopts = ( "url-normalize" => "disable",
  "url-ctrls-reject" => "disable" )
proxy.server = ( "" => (( "host" => "127.0.0.1", "port" => %(to)d )) )
""")
    origin.name = version([program, "-v"], 1)
    return origin


def haproxy(case):
    program = shutil.which("haproxy", path="/usr/sbin:/usr/bin")
    origin = web_server(case, "haproxy", [
        program, "-db", "-f", "%(conf)s"], """
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 5s
listen x
  bind 127.0.0.1:%(port)d
  server s 127.0.0.1:%(to)d
""")
    origin.name = version([program, "-v"])
    return origin


# ---- applications ----------------------------------------------------------

def application(case, name, argv, **kw):
    """A program that serves on the port in its last argument."""
    port = free_port()
    process = case.start(name, argv + [str(port)], **kw)
    return finish(case, name, process, port, LineFile(process.out_path))


def node(case):
    origin = application(case, "node", ["node",
                                        os.path.join(HERE, "echo.js")])
    origin.name = "node " + version(["node", "--version"])
    return origin


def go(case):
    program = case.path("echo-go")
    subprocess.run(["go", "build", "-o", program,
                    os.path.join(HERE, "echo.go")], check=True, timeout=300,
                   env=dict(os.environ, GO111MODULE="off", CGO_ENABLED="0"))
    origin = application(case, "go", [program])
    origin.name = version(["go", "version"]).replace("go version ", "")
    return origin


def microhttpd(case):
    program = os.path.join(lib.BUILD, "tests", "strict", "echo_mhd")
    origin = application(case, "libmicrohttpd", [program])
    origin.name = version([program])
    return origin


def python_app(case, name):
    argv = [PYTHON, os.path.join(HERE, "echo_app.py"), name]
    origin = application(case, name, argv)
    origin.name = version(argv)
    return origin


def has(program):
    return lambda: shutil.which(program, path=os.environ.get("PATH", "") +
                                ":/usr/sbin")


def has_module(*names):
    return lambda: subprocess.run(
        [PYTHON, "-c", "import " + ",".join(names)],
        capture_output=True).returncode == 0


KINDS = {
    "nginx": (has("nginx"), nginx),
    "apache2": (has("apache2"), apache),
    "lighttpd": (has("lighttpd"), lighttpd),
    "haproxy": (has("haproxy"), haproxy),
    "node": (has("node"), node),
    "libmicrohttpd": (lambda: True, microhttpd),
    "gunicorn": (has_module("gunicorn"),
                 lambda c: python_app(c, "gunicorn")),
    "aiohttp": (has_module("aiohttp"), lambda c: python_app(c, "aiohttp")),
    "h11": (has_module("uvicorn", "h11"), lambda c: python_app(c, "h11")),
    "httptools": (has_module("uvicorn", "httptools"),
                  lambda c: python_app(c, "httptools")),
    "tornado": (has_module("tornado"), lambda c: python_app(c, "tornado")),
    "waitress": (has_module("waitress"),
                 lambda c: python_app(c, "waitress")),
    "go": (has("go"), go),
}
# Building Go's takes longer than all the others' runs.
LONG = {"go"}


def start_all(case, names=()):
    """Starts them one by one, as they are asked for."""
    for name, (is_there, start) in KINDS.items():
        if names and name not in names and "all" not in names:
            continue
        if not names and name in LONG:
            continue
        if not is_there():
            print("%s is not installed" % name)
            continue
        yield start(case)
    sys.stdout.flush()
