# SPDX-License-Identifier: Apache-2.0
"""Malformed requests are answered with an error and a close, and no byte of
them reaches the origin; neither does what was sent behind them."""
import lib
from lib import Client

BEHIND = (b"GET /SMUGGLED HTTP/1.1\r\nHost: behind.example\r\n\r\n")
HOST = b"Host: a.example"


def head(*lines, start=b"GET /echo HTTP/1.1", host=HOST):
    all_lines = [start] + ([host] if host else []) + list(lines)
    return b"\r\n".join(all_lines) + b"\r\n\r\n"


def post(*lines, body=b"", **kw):
    return head(*lines, start=b"POST /echo HTTP/1.1", **kw) + body


def length_cases():
    values = [b"-1", b"+5", b"5 5", b"5,5", b"5, 6", b"0x5", b"5a", b"a",
              b"5.0", b"1e1", b"", b" ", b"''", b"\"5\"", b"\xb5",
              b"18446744073709551616", b"99999999999999999999999",
              b"5;5", b"5\t5", b"5\x0b", b"5\x00", b"\xef\xbc\x95"]
    for value in values:
        yield ("length %r" % value,
               post(b"Content-Length: " + value, body=b"hello"), {400})
    pairs = [(b"5", b"6"), (b"0", b"5"), (b"5", b"5"), (b"5", b""),
             (b"05", b"5"), (b"5", b"-5")]
    for one, two in pairs:
        yield ("lengths %r %r" % (one, two),
               post(b"Content-Length: " + one, b"Content-Length: " + two,
                    body=b"hello"), {400})
    yield ("lengths of two spellings",
           post(b"Content-Length: 5", b"content-length: 0", body=b"hello"),
           {400})


def both_cases():
    chunks = b"0\r\n\r\n"
    te = b"Transfer-Encoding: chunked"
    yield ("CL.TE", post(b"Content-Length: 6", te, body=chunks + b"X"), {400})
    yield ("TE.CL", post(te, b"Content-Length: 4", body=b"5c\r\n"), {400})
    yield ("TE and length 0", post(te, b"Content-Length: 0", body=chunks),
           {400})
    yield ("length and TE identity",
           post(b"Content-Length: 5", b"Transfer-Encoding: identity",
                body=b"hello"), {400, 501})
    yield ("GET with CL.TE", head(b"Content-Length: 5", te) + chunks, {400})


def coding_cases():
    values = [b"gzip", b"identity", b"x", b"chunkedd", b"xchunked",
              b"chunked, gzip", b"gzip, chunked", b"chunked, chunked",
              b"chunked, identity", b"identity, chunked", b"chunked;q=1",
              b"\"chunked\"", b"chunked\x0b", b"chunked\x00", b"\x0bchunked",
              b"chunk ed", b"", b",", b"chu\xc3\xa7ked", b"cow", b"deflate",
              b"chunked x", b"\xe2\x80\x8bchunked"]
    for value in values:
        yield ("coding %r" % value,
               post(b"Transfer-Encoding: " + value, body=b"0\r\n\r\n"),
               {400, 501})
    lines = [(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip"),
             (b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"),
             (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
             (b"Transfer-Encoding: chunked", b"Transfer-encoding: cow"),
             (b"Transfer-Encoding : chunked",),
             (b"Transfer-Encoding\t: chunked",),
             (b" Transfer-Encoding: chunked",),
             (b"X: y\nTransfer-Encoding: chunked",),
             (b"X: y\rTransfer-Encoding: chunked",),
             (b"Transfer-Encoding\x00: chunked",),
             (b"Transfer-Encoding:\r\n chunked",),
             (b"Transfer-Encoding:\n chunked",)]
    for each in lines:
        yield ("codings %r" % (each,), post(*each, body=b"0\r\n\r\n"),
               {400, 501})
    yield ("coding in HTTP/1.0",
           head(b"Transfer-Encoding: chunked",
                start=b"POST /echo HTTP/1.0") + b"0\r\n\r\n", {400})


def field_cases():
    lines = [b"X : y", b"X\t: y", b" X: y", b"\tX: y", b"X", b": y",
             b"X y: z", b"X: a\r\n folded", b"X: a\r\n\tfolded",
             b"X: a\nY: b", b"X: a\rY: b", b"X: a\x00b", b"X\x00: a",
             b"X: \x01", b"X: a\x7fb", b"X: a\x1bb", b"X(: a", b"X@: a",
             b"X[]: a", b"X\": a", b"X{: a", b"X/Y: a", b"X=: a", b"X,Y: a",
             b"X\xe9: a", b"X?: a", b"X<: a", b"X;: a", b"X\x0b: a",
             b"X: a\x0bb\x0c", b"X: a\r\r\nY: b", b"X: a\n", b"\x00"]
    for line in lines:
        yield ("field %r" % line, head(line), {400})
    yield ("folded first line", head(b" folded", host=None), {400})
    yield ("bare LF everywhere", head(b"X: y").replace(b"\r\n", b"\n"),
           {400})
    yield ("bare LF at the end", head(b"X: y")[:-4] + b"\n\n", {400})
    yield ("bare CR everywhere",
           head(b"X: y").replace(b"\r\n", b"\r") + b"\r\n\r\n", {400})
    yield ("bare LF after the start",
           b"GET /echo HTTP/1.1\n" + HOST + b"\r\n\r\n", {400})


def start_cases():
    starts = [b"GET  /echo HTTP/1.1", b"GET /echo  HTTP/1.1",
              b"GET\t/echo HTTP/1.1", b"GET /echo\tHTTP/1.1",
              b" GET /echo HTTP/1.1", b"GET /echo HTTP/1.1 ",
              b"GET /echo HTTP/1.1 x", b"GET /e cho HTTP/1.1",
              b"GET /echo", b"GET", b"/echo HTTP/1.1", b"GET HTTP/1.1",
              b"G@T /echo HTTP/1.1", b"GET\x00 /echo HTTP/1.1",
              b"get /echo HTTP/1.1", b"G\xc9T /echo HTTP/1.1",
              b"GET /echo\x00 HTTP/1.1", b"GET /e\x01 HTTP/1.1",
              b"GET /e\x7f HTTP/1.1", b"GET /e#frag HTTP/1.1",
              b"GET \\echo HTTP/1.1", b"GET /a\\b HTTP/1.1",
              b"GET echo HTTP/1.1", b"GET * HTTP/1.1", b"GET ? HTTP/1.1",
              b"GET ftp://a/ HTTP/1.1", b"GET file:///etc HTTP/1.1",
              b"GET http:///echo HTTP/1.1", b"GET http:/echo HTTP/1.1",
              b"GET http://a@b/echo HTTP/1.1", b"GET a.example:80 HTTP/1.1",
              b"GET /echo HTTP/1.1\rX: y", b"GET /echo\r HTTP/1.1"]
    for start in starts:
        # Without a version it is HTTP/0.9: 505 is right as well.
        yield "start %r" % start, head(start=start), {400, 505}
    versions = [b"HTTP/1.2", b"HTTP/1.10", b"HTTP/2.0", b"HTTP/0.9",
                b"HTTP/9.9", b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/1.1.1",
                b"http/1.1", b"HTTP/01.1", b"HTTP/1.01", b"HTTP/-1.1",
                b"HTTP/+1.1", b"HTTP/1,1", b"HTTP 1.1", b"HTTP/x.y",
                b"HTTP/1.1\x00", b"XTTP/1.1", b"ICE/1.0", b"RTSP/1.0",
                b"HTTP/\xb9.1"]
    for version in versions:
        yield ("version %r" % version,
               head(start=b"GET /echo " + version), {400, 505})
    yield "HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}
    yield "TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", {400}
    yield "SSH", b"SSH-2.0-OpenSSH_9.2\r\n", {400}
    yield "zeros", b"\x00" * 64, {400}


def host_cases():
    hosts = [None, b"Host:", b"Host: ", b"Host: a b", b"Host: a/b",
             b"Host: a@b", b"Host: a\\b", b"Host: a,b", b"Host: a?b",
             b"Host: a#b", b"Host: [::1", b"Host: a:b", b"Host: a:80:80",
             b"Host: a:99999999", b"Host: :80", b"Host: a\x00b",
             b"Host: <a>", b"Host: \"a\"", b"Host: a\xe9",
             b"Host: a.example\r\nHost: a.example",
             b"Host: a.example\r\nHost: b.example",
             b"Host: a.example\r\nhost: b.example", b"Host : a.example"]
    allowed = {b"Host: a,b"}    # sub-delims of RFC 3986 reg-name
    for host in hosts:
        if host not in allowed:
            yield "host %r" % host, head(host=host), {400}
    yield ("no host in absolute form",
           head(start=b"GET http://a.example/echo HTTP/1.1", host=None),
           {400})


def refused_cases():
    yield ("CONNECT", head(start=b"CONNECT a.example:443 HTTP/1.1"),
           {400, 405, 501})
    yield "TRACE", head(start=b"TRACE /echo HTTP/1.1"), {405, 501}
    yield ("unknown expectation", post(b"Expect: 200-maybe",
                                       b"Content-Length: 0"), {417})
    for name in (b"Host", b"Content-Length", b"Authorization", b"Cookie",
                 b"X-Forwarded-For", b"Via"):
        yield ("Connection names " + name.decode(),
               post(b"Connection: " + name, b"Content-Length: 0"), {400})
    yield "long target", head(start=b"GET /" + b"a" * 20000 +
                              b" HTTP/1.1"), {414}
    yield "huge target", head(start=b"GET /" + b"a" * 70000 +
                              b" HTTP/1.1"), {414}
    yield "huge query", head(start=b"GET /?" + b"q=1&" * 20000 +
                             b" HTTP/1.1"), {414}
    yield "one huge field", head(b"X: " + b"a" * 100000), {431}
    yield "huge name", head(b"X" * 100000 + b": a"), {431}
    yield "many fields", head(*[b"X-%d: y" % i for i in range(2000)]), {431}
    yield "endless head", head(*[b"X: " + b"y" * 900] * 1000), {431}
    yield "endless method", b"G" * 100000, {400, 414, 431}


def head_cases():
    for cases in (length_cases, both_cases, coding_cases, field_cases,
                  start_cases, host_cases, refused_cases):
        yield from cases()


def body_cases():
    """The head is good: the origin may see it, but no complete body."""
    bodies = [b"x\r\nhello\r\n", b"-5\r\nhello\r\n", b"+5\r\nhello\r\n",
              b"0x5\r\nhello\r\n", b" 5\r\nhello\r\n", b"5 \r\nhello\r\n",
              b"5\nhello\r\n", b"5\rhello\r\n", b"5\r\nhelloX\r\n",
              b"5\r\nhello\n", b"5\r\nhello0\r\n\r\n", b"\r\nhello\r\n",
              b"ffffffffffffffff1\r\nhello\r\n",
              b"10000000000000005\r\nhello\r\n", b"5,5\r\nhello\r\n",
              b"5\x00\r\nhello\r\n", b"5h\r\nhello\r\n",
              b"\xef\xbc\x95\r\nhello\r\n", b"5\r\nhello\r\nz\r\n",
              b"5;\x00\r\nhello\r\n", b"5;a\nhello\r\n", b";a\r\nhello\r\n",
              b"5\r\nhello\r\n0\nX: y\r\n\r\n",
              b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
              b"5\r\nhello\r\n0\r\n X: y\r\n\r\n",
              b"5\r\nhello\r\n0\r\nX\x00: y\r\n\r\n"]
    for body in bodies:
        yield ("chunks %r" % body,
               post(b"Transfer-Encoding: chunked", body=body), {400})


def accepted_cases():
    """What looks odd and is right: refusing it would break callers."""
    chunked = b"Transfer-Encoding: chunked"
    for extension in (b";a", b";a=b", b';a="b"', b';a="b";c'):
        yield ("chunk extension %r" % extension,
               post(chunked, body=b"5" + extension + b"\r\nhello\r\n0" +
                    extension + b"\r\n\r\n"), b"hello")
    yield "zeros before a size", post(chunked, body=b"0005\r\nhello\r\n"
                                      b"000\r\n\r\n"), b"hello"
    yield "hexadecimal size", post(chunked, body=b"A\r\n0123456789\r\n"
                                   b"0\r\n\r\n"), b"0123456789"
    yield "trailer", post(chunked, body=b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"
                          ), b"hello"
    yield "Chunked", post(b"transfer-encoding: Chunked", body=b"0\r\n\r\n"
                          ), b""
    yield "empty line before", b"\r\n" + head(), b""
    yield "tabs around a value", head(b"X:\t y \t"), b""
    yield "no space after a colon", head(b"X:y"), b""
    yield "obs-text in a value", head(b"X: caf\xe9"), b""
    yield "port in the host", head(host=b"Host: a.example:8080"), b""
    yield "IPv6 host", head(host=b"Host: [::1]:8080"), b""
    yield "HTTP/1.0 without host", head(start=b"GET /echo HTTP/1.0",
                                        host=None), b""
    yield "unusual method", head(start=b"PROPFIND /echo HTTP/1.1"), b""
    yield "length with zeros", post(b"Content-Length: 005",
                                    body=b"hello"), b"hello"


def recording(path):
    with open(path, "rb") as f:
        return f.read()


def refuse(case, port, name, request, statuses):
    with Client(port, timeout=5) as client:
        try:
            client.send(request + BEHIND)
        except (ConnectionResetError, BrokenPipeError):
            pass                # it had seen enough; the answer is there
        try:
            answer = client.read()
        except (EOFError, ConnectionResetError) as e:
            raise lib.Failed("%s: no answer: %s" % (name, e))
        case.check(answer.status in statuses, "%s: expected %s, got %d"
                   % (name, sorted(statuses), answer.status))
        case.check(client.is_closed(), name + ": the connection is closed")
    if answer.body and answer.status in statuses:
        case.equal(answer.json()["status"], answer.status, name)


def scenario(case):
    record = case.path("record")
    origin = case.origin("legacy", record)
    matapalo = case.matapalo(legacy=origin.url)
    port = matapalo.port
    heads = list(head_cases())
    case.check(len(heads) >= 120, "%d malformed heads" % len(heads))
    for name, request, statuses in heads:
        before = len(recording(record))
        refuse(case, port, name, request, statuses)
        seen = recording(record)[before:]
        case.check(seen == b"", "%s: the origin saw %r" % (name, seen[:200]))
    for name, request, statuses in body_cases():
        refuse(case, port, name, request, statuses)
    seen = recording(record)
    case.check(b"SMUGGLED" not in seen, "nothing was smuggled")
    case.check(b"\r\n0\r\n" not in seen, "no bad body was completed")
    for name, request, body in accepted_cases():
        with Client(port) as client:
            client.send(request)
            answer = client.read()
            case.equal(answer.status, 200, name)
            if answer.status != 200:
                continue
            case.equal(answer.json()["body"].encode(), body, name)
    rejected = matapalo.metrics()["matapalo_requests_rejected_total"]
    case.check(rejected >= len(heads), "%d rejections counted of %d"
               % (rejected, len(heads)))
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario)
