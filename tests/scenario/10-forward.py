# SPDX-License-Identifier: Apache-2.0
"""Forwarding: what the origin gets and what the client gets back."""
import json
import socket
import threading
import time
import zlib

import lib
from lib import Client, fetch, make_request, pattern

MEGABYTES_20 = 20 * 1000 * 1000
PROXY_MAY_GROW_KIB = 24 * 1024


def headers_of(echo):
    return [(n.lower(), v) for n, v in echo["headers"]]


def only(echo, name):
    values = [v for n, v in headers_of(echo) if n == name]
    return values[0] if len(values) == 1 else values


def methods_and_framing(case, port):
    body = b'{"hello": "world"}'
    with Client(port) as client:
        for method in ("GET", "DELETE", "OPTIONS"):
            echo = client.request(method, "/echo?a=1&b=%20").json()
            case.equal(echo["method"], method, "method at the origin")
            case.equal(echo["target"], "/echo?a=1&b=%20", "target")
            case.equal(echo["body_bytes"], 0, method + " has no body")
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            for chunked in (False, True):
                echo = client.request(method, "/echo", body,
                                      chunked=chunked).json()
                what = "%s %s" % (method, "chunked" if chunked else "length")
                case.equal(echo["method"], method, what)
                case.equal(echo["body_crc32"], zlib.crc32(body), what)
        for target in ("/bytes/12345", "/chunked/12345"):
            answer = client.request("HEAD", target)
            case.equal(answer.status, 200, "HEAD " + target)
            case.equal(answer.body, b"", "HEAD has no body")
            answer = client.request("GET", target)
            case.check(answer.body == pattern(12345), target + " body")
        case.equal(client.request("HEAD", "/bytes/99").get("Content-Length"),
                   "99", "HEAD keeps the length")
        for status in (201, 202, 204, 301, 304, 400, 404, 418, 500, 503):
            answer = client.request("GET", "/status/%d" % status)
            case.equal(answer.status, status, "status passes")
        case.equal(client.request("POST", "/echo", b"").json()["body_bytes"],
                   0, "empty body")
        case.equal(client.request("OPTIONS", "*").json()["target"], "*",
                   "OPTIONS *")


def answer_framings(case, port):
    answer = fetch(port, "GET", "/until-close/5000")
    case.check(answer.body == pattern(5000), "close-delimited body is whole")
    answer = fetch(port, "GET", "/http10")
    case.equal((answer.version, answer.body), ("HTTP/1.1", b"old"),
               "HTTP/1.0 origin")
    with Client(port) as client:
        answer = client.request("GET", "/hints")
        case.equal(answer.body, b"hinted", "103 does not hurt")
        case.equal(client.request("GET", "/status/200").status, 200,
                   "next answer after a 103")


def more_than_the_answer(case, matapalo):
    """Bytes behind an answer are nobody's: their connection is not used
    again, whenever they come."""
    open_now = "matapalo_upstream_connections_open"
    for i in range(60):
        with Client(matapalo.port) as client:
            if i % 2 == 0:
                answer = client.request("HEAD", "/head-lie")
                case.equal(answer.status, 200, "HEAD with a lying origin")
            else:
                answer = client.request("GET", "/extra")
                case.equal(answer.body, b"right", "the answer itself")
            lib.wait_for(lambda: matapalo.metrics()[open_now] == 0,
                         "the upstream connection to be given up", 5)
            case.check(client.request("GET", "/bytes/9").body == pattern(9),
                       "the next answer is the next request's")
            client.request("GET", "/until-close/1")


def keep_alive_and_pipelining(case, port):
    with Client(port) as client:
        for i in range(20):
            answer = client.request("GET", "/x?n=%d" % i)
            case.equal(answer.body, b"/x?n=%d" % i, "keep-alive answer")
    with Client(port) as client:
        client.send(b"".join(make_request("GET", "/x?n=%d" % i)
                             for i in range(50)))
        for i in range(50):
            case.equal(client.read().body, b"/x?n=%d" % i, "pipelined GET")
    with Client(port) as client:
        client.send(b"".join(
            make_request("POST", "/orders?n=%d" % i, b"x" * i,
                         chunked=i % 2 == 1) for i in range(50)))
        for i in range(50):
            case.equal(client.read().body, b"/orders?n=%d" % i,
                       "pipelined POST")
    with Client(port) as client:
        client.send(make_request("GET", "/x?n=1",
                                 fields=[("Connection", "close")]) +
                    make_request("GET", "/x?n=2"))
        answer = client.read()
        case.equal(answer.body, b"/x?n=1", "answer before the close")
        case.equal(answer.get("Connection", "").lower(), "close",
                   "the close is announced")
        case.check(client.is_closed(), "nothing is read after a close")


def byte_by_byte(case, port):
    with Client(port) as client:
        for byte in make_request("POST", "/echo", b"drip", chunked=True):
            client.send(bytes([byte]))
        case.equal(client.read().json()["body"], "drip", "dripped request")


def http10_client(case, port):
    with Client(port) as client:
        client.send(b"GET /chunked/3000 HTTP/1.0\r\nHost: a\r\n\r\n")
        answer = client.read()
        case.check(answer.get("Transfer-Encoding") is None,
                   "no chunked to an HTTP/1.0 client")
        case.check(answer.body == pattern(3000), "HTTP/1.0 body is whole")
        case.check(client.is_closed(), "HTTP/1.0 connection is closed")


def expect_continue(case, port):
    fields = [("Expect", "100-continue")]
    with Client(port) as client:
        whole = make_request("POST", "/echo", b"payload", fields)
        client.send(whole[:-7])
        interim = client.until(b"\r\n\r\n")
        case.check(interim.startswith(b"HTTP/1.1 100"), "100 Continue comes")
        client.send(b"payload")
        case.equal(client.read().json()["body"], "payload", "after the 100")
        case.equal(client.request("GET", "/x?n=1").body, b"/x?n=1",
                   "the connection goes on")


def forwarding_fields(case, port):
    fields = [("Connection", "X-Private, keep-alive"), ("X-Private", "1"),
              ("Keep-Alive", "timeout=5"), ("TE", "trailers"),
              ("Proxy-Connection", "keep-alive"), ("X-Public", "2"),
              ("X-Twice", "a"), ("X-Twice", "b"), ("x-lower", "c"),
              ("X-Empty", "")]
    echo = fetch(port, "GET", "/echo", fields=fields,
                 host="shop.example:8443").json()
    names = [n for n, _ in headers_of(echo)]
    for name in ("x-private", "keep-alive", "proxy-connection", "te",
                 "transfer-encoding"):
        case.check(name not in names, name + " ends at the proxy")
    case.equal(only(echo, "x-public"), "2", "end-to-end field")
    case.equal(only(echo, "x-twice"), ["a", "b"], "order of equal names")
    case.equal(only(echo, "x-empty"), "", "empty value")
    case.check(["x-lower", "c"] in echo["headers"], "names as they came")
    case.equal(only(echo, "host"), "shop.example:8443", "Host is kept")
    case.check("1.1 " in only(echo, "via"), "Via names the protocol")
    case.equal(only(echo, "x-forwarded-for"), "127.0.0.1", "X-F-For")
    case.equal(only(echo, "x-forwarded-proto"), "http", "X-F-Proto")
    case.equal(only(echo, "x-forwarded-host"), "shop.example:8443",
               "X-F-Host")
    forwarded = only(echo, "forwarded").lower()
    for part in ("for=127.0.0.1", "proto=http", 'host="shop.example:8443"'):
        case.check(part in forwarded, "Forwarded has " + part)


def spoofed_forwarding(case, port):
    """What a stranger says of its own past is not repeated (H7)."""
    fields = [("X-Forwarded-For", "192.0.2.6"), ("X_Forwarded_For", "1.1.1.1"),
              ("X-Forwarded-For", ", ".join(["192.0.2.7"] * 1000)),
              ("Forwarded", "for=192.0.2.6"), ("X-Forwarded-Proto", "https"),
              ("X-Forwarded-Host", "evil.example"), ("X-Real-IP", "1.2.3.4"),
              ("X-Forwarded-Prefix", "/evil"), ("Via", "1.0 fred")]
    echo = fetch(port, "GET", "/echo", fields=fields).json()
    case.equal(only(echo, "x-forwarded-for"), "127.0.0.1", "X-F-For")
    case.equal(only(echo, "x-forwarded-proto"), "http", "X-F-Proto")
    case.equal(only(echo, "x-forwarded-port"), str(port), "X-F-Port")
    case.equal(only(echo, "x-real-ip"), "127.0.0.1", "X-Real-IP")
    for word in ("192.0.2", "evil", "1.1.1.1"):
        case.check(word not in str(echo["headers"]), word + " is removed")
    via = ", ".join(v for n, v in headers_of(echo) if n == "via")
    case.check(via.startswith("1.0 fred") and "1.1 " in via, "Via grows")


def trusted_forwarding(case, origin):
    """A trusted proxy's chain is read and appended to; the client is the
    right-most address that is not trusted, in events as well."""
    matapalo = case.matapalo(legacy=origin.url, args=[
        "--trusted-proxy", "127.0.0.0/8", "--trusted-proxy", "10.0.0.0/8"])
    echo = fetch(matapalo.port, "GET", "/echo?n=1", fields=[
        ("X-Forwarded-For", "6.6.6.6, 192.0.2.6"),
        ("X-Forwarded-For", "10.1.1.1"), ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Prefix", "/shop"), ("X_Forwarded_For", "6.6.6.6"),
        ("Forwarded", "for=6.6.6.6")]).json()
    case.equal(only(echo, "x-forwarded-for"),
               "192.0.2.6, 10.1.1.1, 127.0.0.1", "the chain is cut")
    case.equal(only(echo, "x-forwarded-proto"), "https", "its X-F-Proto")
    case.equal(only(echo, "x-forwarded-prefix"), "/shop", "X-F-Prefix")
    case.check("6.6.6.6" not in str(echo["headers"]), "a stranger's word")
    case.check(only(echo, "forwarded").startswith(
        "for=192.0.2.6;proto=https, for=10.1.1.1, for=127.0.0.1;"),
        "Forwarded: " + only(echo, "forwarded"))
    case.equal(matapalo.stop(), 0, "exit status")
    rows = matapalo.query("SELECT data ->> '$.request.client' FROM events "
                          "WHERE type = 'matapalo.exchange.v1'")
    case.equal(rows, [("192.0.2.6",)], "the client in the event")


def absolute_form(case, port):
    with Client(port) as client:
        client.send(b"GET http://other.example/echo?q=1 HTTP/1.1\r\n"
                    b"Host: ignored.example\r\n\r\n")
        echo = client.read().json()
    case.equal(echo["target"], "/echo?q=1", "absolute-form becomes origin")
    case.equal(only(echo, "host"), "other.example", "its authority is Host")


def response_fields(case, port):
    with Client(port) as client:
        answer = client.request("GET", "/hop")
        case.check(answer.get("X-Private") is None, "named field removed")
        case.check(answer.get("Keep-Alive") is None, "Keep-Alive removed")
        case.equal(answer.get("X-Public"), "2", "end-to-end response field")
        case.equal(answer.body, b"hop", "body after hop-by-hop fields")
        case.equal(answer.get("Date"), "Mon, 01 Jan 2024 00:00:00 GMT",
                   "the origin's Date is kept")
        case.equal(len(answer.all("Date")), 1, "one Date")
    case.check(fetch(port, "GET", "/http10").get("Date"), "Date is added")


def problem(case, answer, status, what):
    case.equal(answer.status, status, what)
    case.equal(answer.get("Content-Type"), "application/problem+json",
               what + ": type")
    case.equal(answer.json()["status"], status, what + ": member status")
    case.check(answer.json().get("title"), what + ": member title")


def bad_upstreams(case, port):
    for path in ("/close-before", "/reset", "/two-lengths", "/garbage"):
        for method in ("GET", "POST"):
            body = b"x" if method == "POST" else None
            answer = fetch(port, method, path, body)
            problem(case, answer, 502, "%s %s" % (method, path))
    for path, want in (("/close-mid/20000", 20000), ("/cut-chunk", None)):
        with Client(port) as client:
            client.send(make_request("GET", path))
            try:
                body = client.read().body
                raise lib.Failed("%s was presented as complete (%d bytes)"
                                 % (path, len(body)))
            except (EOFError, ConnectionResetError):
                case.check(True, path + " is visibly cut")
    answer = fetch(port, "POST", "/early", b"x" * 10)
    case.equal(answer.status, 413, "an early answer passes")


def large_bodies(case, matapalo):
    port = matapalo.port
    fetch(port, "GET", "/bytes/1000000")
    before = matapalo.rss_kib()
    data = pattern(MEGABYTES_20)
    crc = zlib.crc32(data)
    for target in ("/bytes/%d", "/chunked/%d"):
        answer = fetch(port, "GET", target % MEGABYTES_20)
        case.check(answer.body == data, "20 MB down " + target)
    for chunked in (False, True):
        echo = fetch(port, "POST", "/echo", data, chunked=chunked).json()
        case.equal((echo["body_bytes"], echo["body_crc32"]),
                   (MEGABYTES_20, crc), "20 MB up, chunked %s" % chunked)
    grown = matapalo.rss_kib() - before
    case.check(grown < PROXY_MAY_GROW_KIB or lib.is_sanitized(),
               "memory grew by %d KiB over 80 MB" % grown)


def slow_reader(case, matapalo):
    """A client that does not read must not make the proxy buffer."""
    limit = PROXY_MAY_GROW_KIB * (20 if lib.is_sanitized() else 1)
    before = matapalo.rss_kib()
    with Client(matapalo.port) as client:
        client.send(make_request("GET", "/bytes/%d" % MEGABYTES_20))
        client.until(b"\r\n\r\n")
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            grown = matapalo.rss_kib() - before
            case.check(grown < limit,
                       "a slow reader costs %d KiB" % grown)
            time.sleep(0.05)
        client.reset()
    case.equal(fetch(matapalo.port, "GET", "/x?n=1").status, 200,
               "others are served after a client's reset")


def client_aborts(case, matapalo):
    port = matapalo.port
    for i in range(30):
        client = Client(port)
        if i % 3 == 0:
            client.send(make_request("GET", "/slow-head/200"))
        elif i % 3 == 1:
            client.send(make_request("POST", "/echo", b"y" * 90000)[:-50000])
        else:
            client.send(make_request("GET", "/bytes/4000000"))
            client.until(b"\r\n\r\n")
        client.reset()
    case.equal(fetch(port, "GET", "/x?n=2").status, 200, "alive after aborts")

    def nothing_open():
        return matapalo.metrics()["matapalo_client_connections_open"] == 0
    lib.wait_for(nothing_open, "aborted connections to be gone")
    case.check(True, "no connection leaks")


def half_close(case, port):
    with Client(port) as client:
        client.send(make_request("GET", "/slow-head/100"))
        client.socket.shutdown(socket.SHUT_WR)
        case.equal(client.read().body, b"slow", "answer after a half-close")


def many_at_once(case, port):
    wrong = []

    def one(worker):
        with Client(port) as client:
            for i in range(100):
                target = "/x?n=%d" % (worker * 1000 + i)
                if client.request("GET", target).body != target.encode():
                    wrong.append(target)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    case.equal(wrong, [], "answers that belong to somebody else")


def own_answers(case, origin):
    """502, 504 and 410: the three answers that rules can cause."""
    down = socket.socket()
    down.bind(("127.0.0.1", 0))     # bound, not listening: refused
    hung = socket.socket()
    hung.bind(("127.0.0.1", 0))
    hung.listen(16)                 # accepted by the kernel, never read
    rules = {
        "version": 1,
        "targets": {
            "legacy": {"url": origin.url},
            "down": {"url": "http://127.0.0.1:%d" % down.getsockname()[1]},
            "hung": {"url": "http://127.0.0.1:%d" % hung.getsockname()[1],
                     "timeout": {"head": "400ms"}}},
        "rules": [
            {"name": "down", "match": {"path": "/down"},
             "stage": "migrated", "target": "down"},
            {"name": "hung", "match": {"path": "/hung"},
             "stage": "migrated", "target": "hung"},
            {"name": "gone", "match": {"path": "/gone"},
             "stage": "retired"}]}
    matapalo = case.matapalo(rules=case.rules(rules))
    for method, body in (("GET", None), ("POST", b"x")):
        problem(case, fetch(matapalo.port, method, "/down", body), 502,
                method + " to a dead upstream")
        start = time.monotonic()
        problem(case, fetch(matapalo.port, method, "/hung", body), 504,
                method + " to a hung upstream")
        took = time.monotonic() - start
        case.check(0.35 < took < 2.0, "504 after %.2f s" % took)
        problem(case, fetch(matapalo.port, method, "/gone", body), 410,
                method + " to a retired endpoint")
    with Client(matapalo.port) as client:
        problem(case, client.request("GET", "/gone"), 410, "410 keep-alive")
        case.equal(client.request("GET", "/x?n=3").body, b"/x?n=3",
                   "the connection survives an own answer")
    case.equal(matapalo.stop(), 0, "exit status")
    down.close()
    hung.close()


def recorded(case, matapalo):
    """The bodies and fields of the exchange as the event has them."""
    secret = "Bearer canary-6581"
    fetch(matapalo.port, "POST", "/echo?recorded=yes", b'{"a": 1}',
          [("Content-Type", "application/json"), ("Authorization", secret),
           ("Cookie", "sid=canary-6582"), ("X-Tag", "t1")])
    fetch(matapalo.port, "GET", "/bytes/300?recorded=binary")

    def found():
        return [x for x in matapalo.exchanges()
                if "recorded=" in x["request"]["target"]]
    post, get = lib.wait_for(lambda: len(found()) == 2 and found(),
                             "two recorded exchanges")
    case.equal(post["request"]["method"], "POST", "recorded method")
    case.equal(json.loads(post["request"]["body"]), {"a": 1}, "its body")
    case.equal(post["request"]["headers"]["x-tag"], "t1", "its field")
    case.equal(post["response"]["status"], 200, "its status")
    case.equal(post["outcome"], "response", "its outcome")
    case.check("canary" not in json.dumps(post["request"]["headers"]),
               "secrets of the head are redacted")
    import base64
    case.check(base64.b64decode(get["response"]["body_base64"]) ==
               pattern(300), "binary body as base64")


def scenario(case):
    origin = case.origin("legacy")
    matapalo = case.matapalo(legacy=origin.url)
    port = matapalo.port
    methods_and_framing(case, port)
    answer_framings(case, port)
    more_than_the_answer(case, matapalo)
    keep_alive_and_pipelining(case, port)
    byte_by_byte(case, port)
    http10_client(case, port)
    expect_continue(case, port)
    forwarding_fields(case, port)
    spoofed_forwarding(case, port)
    absolute_form(case, port)
    response_fields(case, port)
    bad_upstreams(case, port)
    half_close(case, port)
    many_at_once(case, port)
    recorded(case, matapalo)
    large_bodies(case, matapalo)
    slow_reader(case, matapalo)
    client_aborts(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")
    trusted_forwarding(case, origin)
    own_answers(case, origin)


lib.main(scenario)
