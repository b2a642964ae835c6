# SPDX-License-Identifier: Apache-2.0
"""The proxies that are measured, each doing the same work: keep-alive on
both sides, Host kept, Forwarded, X-Forwarded-* and Via set, no log, bodies
passed on as they come."""
import json
import os
import resource
import shutil
import socket
import subprocess

import lib

KIB = 1024
ORIGIN = os.path.join(lib.BUILD, "bench", "origin")
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"
ENVOY = os.environ.get("ENVOY") or shutil.which("envoy")

NGINX_COMMON = """
daemon off;
worker_processes %(workers)d;
pid %(dir)s/%(name)s.pid;
error_log %(dir)s/%(name)s.log error;
events { worker_connections 15000; }
http {
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_max_body_size 0;
    ssl_session_cache off;
    client_body_temp_path %(dir)s/%(name)s-body;
    proxy_temp_path %(dir)s/%(name)s-proxy;
    fastcgi_temp_path %(dir)s/%(name)s-fastcgi;
    uwsgi_temp_path %(dir)s/%(name)s-uwsgi;
    scgi_temp_path %(dir)s/%(name)s-scgi;
    %(http)s
}
"""
NGINX_PROXY = """
    upstream origin {
        server 127.0.0.1:%(origin)d;
        keepalive 2048;
        keepalive_requests 1000000000;
        keepalive_timeout 600s;
    }
    %(more)s
    server {
        listen 127.0.0.1:%(port)d reuseport backlog=4096;
        listen 127.0.0.1:%(tls_port)d ssl reuseport backlog=4096;
        ssl_certificate %(dir)s/cert.pem;
        ssl_certificate_key %(dir)s/key.pem;
        location / {
            %(mirror)s
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_request_buffering %(buffering)s;
            proxy_max_temp_file_size 0;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header Forwarded
                "for=$remote_addr;host=\\"$http_host\\";proto=$scheme";
            proxy_set_header Via "1.1 nginx";
        }
        %(locations)s
    }
"""
NGINX_MIRROR = """
        location = /copy {
            internal;
            proxy_pass http://copies$request_uri;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
        }
"""
NGINX_COPIES = """
    upstream copies {
        server 127.0.0.1:%d;
        keepalive 2048;
        keepalive_requests 1000000000;
        keepalive_timeout 600s;
    }
"""
HAPROXY_PROXY = """
global
    nbthread %(workers)d
    maxconn 15000
    ulimit-n %(descriptors)d
    no strict-limits
    no log
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
    http-reuse always
    option forwardfor
frontend in
    bind 127.0.0.1:%(port)d backlog 4096
    bind 127.0.0.1:%(tls_port)d backlog 4096 ssl crt %(dir)s/both.pem
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %%[req.hdr(host)]
    http-request set-header Forwarded for=%%[src];proto=http
    http-request set-header Via "1.1 haproxy"
    default_backend out
backend out
    server origin 127.0.0.1:%(origin)d
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def version_of(argv):
    out = subprocess.run(argv, capture_output=True, text=True)
    return (out.stdout + out.stderr).strip().splitlines()[0]


def pinned(cores, argv):
    """cores: "0", "0,1", or None."""
    return ["taskset", "-c", cores] + argv if cores else argv


class Proxy:
    """A running proxy: its name in the table, ports and root process."""

    def __init__(self, name, port, process, tls_port=None):
        self.name, self.port, self.process = name, port, process
        self.tls_port = tls_port

    def pids(self):
        """The process and its children (nginx has a master)."""
        root = self.process.pid
        with open("/proc/%d/task/%d/children" % (root, root)) as f:
            return [root] + [int(x) for x in f.read().split()]


def make_certificate(case):
    """For a day or two; its key stays in the case's directory."""
    cert, key = case.path("cert.pem"), case.path("key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
         "/CN=bench.test", "-addext", "subjectAltName=DNS:bench.test",
         "-keyout", key, "-out", cert], check=True, capture_output=True)
    with open(case.path("both.pem"), "w") as both:
        for path in (cert, key):
            with open(path) as f:
                both.write(f.read())


def start_nginx(case, name, http, cores, workers=1, **values):
    port, file = free_port(), name.replace(" ", "-")
    values.update(port=port, tls_port=free_port(), dir=case.dir, name=file,
                  workers=workers)
    path = case.path(file + ".conf")
    with open(path, "w") as f:
        f.write(NGINX_COMMON % dict(values, http=http % values))
    process = case.start(file, pinned(cores, [NGINX, "-c", path, "-e",
                                              case.path(file + ".log")]))
    return Proxy(name, port, process, values["tls_port"])


def start_origin(case, cores, name="origin"):
    process = case.start(name, pinned(cores, [ORIGIN]))
    port = int(lib.wait_for(process.out, "the origin's port"))
    return Proxy(name, port, process)


def start_nginx_proxy(case, origin, cores, workers, copies=None):
    """With `copies` each request also goes there. A mirrored body has to be
    read before: nginx's documentation, proxy_request_buffering."""
    return start_nginx(
        case, "nginx", NGINX_PROXY, cores, workers, origin=origin.port,
        more=NGINX_COPIES % copies.port if copies else "",
        mirror="mirror /copy;" if copies else "",
        buffering="on" if copies else "off",
        locations=NGINX_MIRROR if copies else "")


def start_haproxy(case, origin, cores, workers):
    values = {"port": free_port(), "tls_port": free_port(), "dir": case.dir,
              "origin": origin.port, "workers": workers,
              "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[0]}
    path = case.path("haproxy.conf")
    with open(path, "w") as f:
        f.write(HAPROXY_PROXY % values)
    process = case.start("haproxy", pinned(cores, [HAPROXY, "-f", path,
                                                   "-db"]))
    return Proxy("haproxy", values["port"], process, values["tls_port"])


def start_envoy(case, origin, cores, workers, copies=None):
    import envoy
    ports = free_port(), free_port()
    path = case.path("envoy.json")
    with open(path, "w") as f:
        json.dump(envoy.config(ports, origin.port, copies and copies.port,
                               case.path("cert.pem"), case.path("key.pem")),
                  f, indent=1)
    process = case.start("envoy", pinned(cores, [
        ENVOY, "-c", path, "--concurrency", str(workers), "-l", "error",
        "--disable-hot-restart"]))
    return Proxy("envoy", ports[0], process, ports[1])


def tls_listener(case):
    """None of it while there is no certificate (bench-compare)."""
    if not os.path.exists(case.path("cert.pem")):
        return []
    return ["--listen", "127.0.0.1:0,tls", "--tls-certificate",
            case.path("cert.pem"), "--tls-key", case.path("key.pem")]


def start_matapalo(case, name, stage, origin, cores, data,
                   binary=lib.MATAPALO, workers=1, durability=None, **kw):
    shutil.rmtree(data, ignore_errors=True)
    os.makedirs(data)
    rules = {"version": 1, "default": {"stage": stage}, "targets": {
        "legacy": {"url": "http://127.0.0.1:%d" % origin.port}}}
    if durability:
        rules["rules"] = [{"name": "all", "match": {"path": "/{all...}"},
                           "stage": stage, "durability": durability}]
    # A closed loop of large bodies is faster than the disk; in a variable,
    # which older builds do not look at.
    kw.setdefault("env", dict(os.environ, MATAPALO_RECORD_MEMORY="8192"))
    path = case.rules(rules, name.replace(" ", "-") + ".json")
    process = case.matapalo(rules=path, data=data, core=cores,
                            args=["--idle", "10m", "--log-level", "error",
                                  "--max-connections", "15000"] +
                            tls_listener(case), binary=binary,
                            workers=workers, **kw)
    ports = [int(address.split(",")[0].rsplit(":", 1)[1])
             for address in process.info["listen"]]
    return Proxy(name, ports[0], process, *ports[1:])


def peers():
    """Which of the others are installed, in the order of the table."""
    found = [("nginx", start_nginx_proxy)]
    if os.access(HAPROXY, os.X_OK):
        found.append(("haproxy", start_haproxy))
    if ENVOY:
        found.append(("envoy", start_envoy))
    return found


def start_all(case, origin, cores, workers, data, with_recorded):
    found = [start(case, origin, cores, workers) for _, start in peers()]
    found.append(start_matapalo(case, "matapalo", "passthrough", origin,
                                cores, os.path.join(data, "plain"),
                                workers=workers))
    if with_recorded:
        found.append(start_matapalo(
            case, "matapalo recorded", "mirror", origin, cores,
            os.path.join(data, "recorded"), workers=workers))
    for proxy in [origin] + found:
        lib.wait_for(lambda: answers(proxy), proxy.name + " to answer")
    return found


def answers(proxy):
    if not proxy.process.alive():
        raise lib.Failed(proxy.name + " ended by itself")
    try:
        answer = lib.fetch(proxy.port, "GET", "/1024")
    except (OSError, EOFError):
        return False
    return answer.status == 200 and len(answer.body) == KIB


def versions():
    found = [version_of([NGINX, "-v"])]
    if os.access(HAPROXY, os.X_OK):
        found.append(version_of([HAPROXY, "-v"]).split(" - http")[0])
    if ENVOY:
        found.append("envoy " + version_of([ENVOY, "--version"])
                     .split("version: ")[-1].split("/")[1])
    found.append(version_of([lib.MATAPALO, "version"]))
    return found
