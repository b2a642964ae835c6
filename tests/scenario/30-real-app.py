# SPDX-License-Identifier: Apache-2.0
"""A real application that nobody here wrote (httpbin under gunicorn), driven
by a real client (curl), with and without matapalo in front: the same bytes,
and one event per request."""
import json
import os
import re
import shutil
import subprocess
import zlib

import lib

GUNICORN = shutil.which("gunicorn") or "/usr/bin/gunicorn"
CURL = shutil.which("curl")
# A bodiless PATH, or (PATH, curl's own arguments).
REQUESTS = [
    "/", "/get", "/get?a=1&b=two&a=3", "/get?q=%C3%A9%20%2F", "/headers",
    "/ip", "/user-agent", "/uuid-like/absent", "/html", "/json", "/xml",
    "/robots.txt", "/deny", "/encoding/utf8", "/gzip", "/deflate",
    "/status/200", "/status/201", "/status/204", "/status/304",
    "/status/400", "/status/404", "/status/418", "/status/500",
    "/status/503", "/redirect/1", "/relative-redirect/2",
    "/absolute-redirect/1", "/redirect-to?url=/get&status_code=307",
    "/cookies", "/cookies/set?k1=v1&k2=v2", "/cookies/delete?k1",
    "/bytes/1?seed=1", "/bytes/1024?seed=2", "/bytes/100000?seed=3",
    "/stream/1", "/stream/20", "/stream-bytes/5000?seed=4",
    "/stream-bytes/100000?seed=5&chunk_size=999", "/range/1024",
    "/drip?duration=0.2&numbytes=5&delay=0", "/delay/0", "/links/5/0",
    "/image/png", "/image/jpeg", "/image/svg", "/base64/aGVsbG8=",
    "/cache/60", "/etag/abc", "/response-headers?X-A=1&X-A=2",
    "/basic-auth/u/p", "/hidden-basic-auth/u/p", "/bearer",
    "/anything/deep/path?x=1",
    ("/get", ["-H", "Accept: application/json", "-H", "X-Own: yes"]),
    ("/html", ["-I"]), ("/image/png", ["-I"]), ("/bytes/77?seed=6", ["-I"]),
    ("/gzip", ["-H", "Accept-Encoding: gzip"]),
    ("/gzip", ["--compressed"]), ("/deflate", ["--compressed"]),
    ("/redirect/3", ["-L"]), ("/absolute-redirect/2", ["-L"]),
    ("/cookies", ["-b", "a=1; b=2"]),
    ("/cookies/set?flavour=oat", ["-L", "-c", "/dev/null", "-b", "x=y"]),
    ("/basic-auth/u/p", ["-u", "u:p"]),
    ("/basic-auth/u/p", ["-u", "u:wrong"]),
    ("/bearer", ["-H", "Authorization: Bearer t0ken"]),
    ("/range/2048", ["-r", "100-199"]), ("/range/2048", ["-r", "-10"]),
    ("/range/2048", ["-r", "9000-"]),
    ("/etag/abc", ["-H", 'If-None-Match: "abc"']),
    ("/etag/abc", ["-H", 'If-Match: "other"']),
    ("/cache", ["-H", "If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT"]),
    ("/post", ["-d", "a=1&b=2"]),
    ("/post", ["-H", "Content-Type: application/json", "-d", '{"a":[1]}']),
    ("/post", ["-H", "Content-Type: multipart/form-data; boundary=XyZ",
               "--data-binary", "--XyZ\r\nContent-Disposition: form-data; "
               "name=\"f\"; filename=\"n.txt\"\r\n\r\ntext\r\n--XyZ--\r\n"]),
    ("/post", ["-H", "Content-Type: application/octet-stream",
               "--data-binary", "@BINARY"]),
    ("/post", ["-H", "Expect: 100-continue", "--data-binary", "@BINARY"]),
    ("/post", ["-d", ""]), ("/put", ["-X", "PUT", "-d", "x=1"]),
    ("/patch", ["-X", "PATCH", "-d", "x=1"]),
    ("/delete", ["-X", "DELETE"]), ("/get", ["-X", "OPTIONS"]),
    ("/get", ["-X", "POST", "-d", "wrong=method"]),
    ("/anything", ["-T", "BINARY"]), ("/get", ["-0"]),
    ("/stream/3", ["-0"]),
]
# What RFC 9110 7.6.1 and matapalo's manual say changes on the way.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te",
              "trailer", "upgrade", "proxy-connection"}
ADDED = ["Via", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto",
         "X-Forwarded-Host", "X-Forwarded-Port"]


def free_of(fields):
    return [(n.lower(), v) for n, v in fields
            if n.lower() not in HOP_BY_HOP | {"date"}]


def split_heads(text):
    """curl -D: the heads of every answer of a redirect chain."""
    heads = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        lines = [line for line in block.split("\n") if line]
        if not lines or " 100" in lines[0]:
            continue
        fields = [tuple(x.strip() for x in line.split(":", 1))
                  for line in lines[1:]]
        heads.append((lines[0].split(" ")[1], free_of(fields)))
    return heads


def decoded(data):
    """The body inside gzip or zlib, or the body itself."""
    try:
        return zlib.decompress(data, 47)
    except zlib.error:
        return data


def without_added(data):
    """A body that echoes the request: exactly our fields are taken out, from
    each line that is a JSON object with "headers" (or from the whole)."""
    text = decoded(data).decode("latin-1")
    out = []
    for part in [text] if text.startswith("{\n") else text.splitlines():
        try:
            value = json.loads(part)
            for name in ADDED + ["Connection"]:
                value["headers"].pop(name, None)
            part = json.dumps(value, sort_keys=True)
        except (ValueError, KeyError, TypeError):
            pass
        out.append(part)
    return out


class Run:
    def __init__(self, case, name, port):
        self.case, self.port, self.requests = case, port, 0
        self.dir = case.path(name)
        os.mkdir(self.dir)

    def curl(self, i, path, args):
        body = os.path.join(self.dir, "%03d.body" % i)
        head = os.path.join(self.dir, "%03d.head" % i)
        binary = self.case.path("binary")
        args = [a.replace("BINARY", binary) for a in args]
        # One Host for both runs, whatever the port.
        argv = [CURL, "-sS", "-m", "30", "-o", body, "-D", head,
                "--noproxy", "*", "-w", "%{num_redirects}", "--connect-to",
                "app.example:80:127.0.0.1:%d" % self.port,
                "-A", "scenario/1", *args, "http://app.example" + path]
        result = subprocess.run(argv, capture_output=True, text=True,
                                timeout=60)
        self.case.equal(result.returncode, 0, "curl %s %s: %s"
                        % (path, args, result.stderr))
        self.requests += 1 + int(result.stdout)
        data = b""
        if os.path.exists(body) and "-I" not in args:   # -I: the head again
            with open(body, "rb") as f:
                data = f.read()
        with open(head, newline="") as f:
            return split_heads(f.read()), data


def without_length(heads):
    return [(status, [f for f in fields if f[0] != "content-length"])
            for status, fields in heads]


def check_pair(case, what, direct, proxied):
    """Equal to the byte; or an echo of the request, whose body (and length)
    may differ by the forwarding fields and by nothing else."""
    if direct[1] == proxied[1]:
        case.equal(proxied[0], direct[0], what + ": heads")
        return
    case.check(b"headers" in decoded(direct[1]), what + ": bodies differ")
    case.equal(without_added(proxied[1]), without_added(direct[1]),
               what + ": bodies without the forwarding fields")
    case.equal(without_length(proxied[0]), without_length(direct[0]),
               what + ": heads")


def start_httpbin(case):
    # One Python worker, threads: keep-alive to the proxy needs them.
    process = case.start("gunicorn", [
        GUNICORN, "--bind", "127.0.0.1:0", "--worker-class", "gthread",
        "--threads", "8", "--keep-alive", "30", "httpbin:app"],
        cwd=case.dir)

    def port():
        found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)",
                          process.err())
        return found and int(found.group(1))
    process.port = lib.wait_for(port, "gunicorn to listen")
    lib.wait_for(lambda: is_up(process.port), "httpbin to answer")
    return process


def is_up(port):
    try:
        return lib.fetch(port, "GET", "/get").status == 200
    except OSError:
        return False


def counted_once(case, matapalo, n):
    """One terminal event per request, none twice; asked of sqlite3."""
    matapalo.await_exchanges(n)
    rows = matapalo.query(
        "SELECT count(*), count(DISTINCT correlationid) FROM events "
        "WHERE type = 'matapalo.exchange.v1'")
    case.equal(rows[0], (n, n), "events, exchanges of %d requests" % n)
    sqlite3 = shutil.which("sqlite3")
    if sqlite3:
        out = subprocess.run(
            [sqlite3, "-readonly", os.path.join(matapalo.data, "journal.db"),
             "SELECT count(*) FROM events WHERE type = "
             "'matapalo.exchange.v1'"], capture_output=True, text=True)
        case.equal(out.stdout.strip(), str(n), "sqlite3 -readonly counts")


def scenario(case):
    if not CURL or not os.access(GUNICORN, os.X_OK):
        lib.skip("curl and gunicorn are needed")
    probe = subprocess.run([GUNICORN, "--check-config", "httpbin:app"],
                           capture_output=True, cwd=case.dir)
    if probe.returncode != 0:
        lib.skip("httpbin is not installed (python3-httpbin)")
    with open(case.path("binary"), "wb") as f:
        f.write(lib.pattern(70001))
    httpbin = start_httpbin(case)
    matapalo = case.matapalo(legacy="http://127.0.0.1:%d" % httpbin.port)
    direct = Run(case, "direct", httpbin.port)
    proxied = Run(case, "proxied", matapalo.port)
    case.check(len(REQUESTS) >= 60, "%d requests" % len(REQUESTS))
    for i, request in enumerate(REQUESTS):
        path, args = request if isinstance(request, tuple) else (request, [])
        one = direct.curl(i, path, args)
        two = proxied.curl(i, path, args)
        check_pair(case, "%s %s" % (path, args), one, two)
    case.equal(proxied.requests, direct.requests, "redirects followed")
    counted_once(case, matapalo, proxied.requests)
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario)
