# SPDX-License-Identifier: Apache-2.0
"""The proxies that are measured, each doing the same work with one worker:
keep-alive on both sides, Host kept, X-Forwarded-* and Via added, no log."""
import os
import shutil
import socket
import subprocess

import lib

BODY_BYTES = 1024
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"

NGINX_COMMON = """
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid %(dir)s/%(name)s.pid;
error_log %(dir)s/%(name)s.log error;
events { worker_connections 30000; }
http {
    access_log %(access_log)s;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_temp_path %(dir)s/%(name)s-body;
    proxy_temp_path %(dir)s/%(name)s-proxy;
    fastcgi_temp_path %(dir)s/%(name)s-fastcgi;
    uwsgi_temp_path %(dir)s/%(name)s-uwsgi;
    scgi_temp_path %(dir)s/%(name)s-scgi;
    %(http)s
}
"""
NGINX_ORIGIN = """
    server {
        listen 127.0.0.1:%(port)d reuseport;
        location / { return 200 "%(body)s"; }
    }
"""
NGINX_PROXY = """
    upstream origin {
        server 127.0.0.1:%(origin)d;
        keepalive 512;
        keepalive_requests 1000000000;
    }
    server {
        listen 127.0.0.1:%(port)d;
        location / {
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header Forwarded
                "for=$remote_addr;host=\\"$http_host\\";proto=$scheme";
            proxy_set_header Via "1.1 nginx";
        }
    }
"""
HAPROXY_PROXY = """
global
    nbthread 1
    maxconn 9000
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
    bind 127.0.0.1:%(port)d
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


def pinned(core, argv):
    return ["taskset", "-c", str(core)] + argv if core is not None else argv


class Proxy:
    """A running proxy: its name in the table, port and root process."""

    def __init__(self, name, port, process):
        self.name, self.port, self.process = name, port, process

    def pids(self):
        """The process and its children (nginx has a master)."""
        root = self.process.pid
        with open("/proc/%d/task/%d/children" % (root, root)) as f:
            return [root] + [int(x) for x in f.read().split()]


def start_nginx(case, name, http, core, access_log="off", **values):
    port, file = free_port(), name.replace(", ", "-").replace(" ", "-")
    values.update(port=port, dir=case.dir, name=file,
                  access_log=access_log % {"dir": case.dir})
    path = case.path(file + ".conf")
    with open(path, "w") as f:
        f.write(NGINX_COMMON % dict(values, http=http % values))
    process = case.start(file, pinned(core, [NGINX, "-c", path, "-e",
                                             case.path(file + ".log")]))
    return Proxy(name, port, process)


def start_origin(case, core):
    return start_nginx(case, "origin", NGINX_ORIGIN, core,
                       body="x" * BODY_BYTES)


def start_haproxy(case, origin, core):
    port = free_port()
    path = case.path("haproxy.conf")
    with open(path, "w") as f:
        f.write(HAPROXY_PROXY % {"port": port, "origin": origin.port})
    process = case.start("haproxy", pinned(core, [HAPROXY, "-f", path,
                                                  "-db"]))
    return Proxy("haproxy", port, process)


def start_matapalo(case, name, stage, origin, core, data,
                   binary=lib.MATAPALO):
    shutil.rmtree(data, ignore_errors=True)
    os.makedirs(data)
    rules = {"version": 1, "default": {"stage": stage}, "targets": {
        "legacy": {"url": "http://127.0.0.1:%d" % origin.port}}}
    path = case.rules(rules, name.replace(" ", "-") + ".json")
    process = case.matapalo(rules=path, data=data, core=core,
                            args=["--idle", "10m", "--log-level", "error"],
                            binary=binary)
    return Proxy(name, process.port, process)


def start_all(case, origin, core, data):
    """Every proxy that is installed, in the order of the table."""
    found = [start_nginx(case, "nginx", NGINX_PROXY, core,
                         origin=origin.port),
             start_nginx(case, "nginx, access log", NGINX_PROXY, core,
                         "%(dir)s/access.log combined buffer=64k",
                         origin=origin.port)]
    if os.access(HAPROXY, os.X_OK):
        found.append(start_haproxy(case, origin, core))
    found.append(start_matapalo(case, "matapalo plain", "passthrough",
                                origin, core, os.path.join(data, "plain")))
    found.append(start_matapalo(case, "matapalo recorded", "mirror", origin,
                                core, os.path.join(data, "recorded")))
    for proxy in [origin] + found:
        lib.wait_for(lambda: answers(proxy), proxy.name + " to answer")
    return found


def answers(proxy):
    try:
        answer = lib.fetch(proxy.port, "GET", "/")
    except OSError:
        return False
    return answer.status == 200 and len(answer.body) == BODY_BYTES


def versions():
    found = [version_of([NGINX, "-v"])]
    if os.access(HAPROXY, os.X_OK):
        found.append(version_of([HAPROXY, "-v"]))
    found.append(version_of([lib.MATAPALO, "version"]))
    found.append(version_of(["wrk", "-v"]).split(" Copyright")[0])
    return found
