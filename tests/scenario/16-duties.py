# SPDX-License-Identifier: Apache-2.0
"""What a gateway owes (RFC 9110, RFC 9112): a table of what is sent, what
the origin says, and what each side must and must not see. Read it beside
docs/http.md. `{via}` stands for this instance's name in Via."""
import queue
import re
import socket

import lib
from lib import Client
from peer import Peer, read_message

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HOST = "Host: shop.example\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"


class Row:
    """One duty. Patterns are regular expressions over the raw bytes, in any
    case; a leading `!` means that it must not be there."""

    def __init__(self, section, name, send, say=OK, origin=(), client=()):
        self.section, self.name = section, name
        self.send = send if isinstance(send, bytes) else send.encode("ascii")
        self.say = say.encode("ascii") if isinstance(say, str) else say
        self.origin, self.client = origin, client

    def title(self):
        return "RFC %s %s" % (self.section, self.name)


def get(fields="", target="/x", method="GET", version="1.1", host=HOST):
    return "%s %s HTTP/%s\r\n%s%s\r\n" % (method, target, version, host,
                                          fields)


def post(body, fields="", method="POST"):
    return get(fields, method=method) + body


def said(fields, body="", status="200 OK", version="1.1"):
    return "HTTP/%s %s\r\n%s\r\n%s" % (version, status, fields, body)


NOTHING = object()      # the origin must not be asked

TRAILERS = [
    Row("9110 6.5", "request trailers go on",
        post("3\r\nabc\r\n0\r\nX-Sum: 1\r\nx-two:  2 \r\n\r\n",
             CHUNKED + "Trailer: X-Sum, X-Two\r\n"),
        origin=[r"\r\n0\r\nX-Sum: 1\r\nx-two: 2\r\n\r\n$",
                r"\r\nTrailer: X-Sum, X-Two\r\n"]),
    Row("9110 6.5", "response trailers go on", get(),
        said(CHUNKED + "Trailer: X-Sum\r\n",
             "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"),
        client=[r"\r\n0\r\nX-Sum: 1\r\n\r\n$", r"\r\nTrailer: X-Sum\r\n"]),
    Row("9110 6.5.1", "only fields that may stand there (request)",
        post("0\r\nHost: evil\r\nX-Kept: 1\r\n"
             "Authorization: Basic eA==\r\n"
             "X-Forwarded-For: 192.0.2.1\r\nVia: 1.1 x\r\nCookie: a=b\r\n"
             "Matapalo-Exchange: 1\r\nExpect: 100-continue\r\n"
             "If-Match: x\r\nConnection: close\r\nUpgrade: x\r\n\r\n",
             CHUNKED),
        origin=[r"\r\n0\r\nX-Kept: 1\r\n\r\n$"]),
    Row("9110 6.5.1", "only fields that may stand there (response)", get(),
        said(CHUNKED, "0\r\nSet-Cookie: a=b\r\nX-Kept: 1\r\n"
             "Location: /\r\nCache-Control: public\r\n\r\n"),
        client=[r"\r\n\r\n0\r\nX-Kept: 1\r\n\r\n$"]),
    Row("9110 6.5.1", "no framing behind the body", get(),
        said(CHUNKED, "0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        client=[r"!\n0\r\nTransfer"]),
    Row("9110 7.6.1", "what Connection names is no trailer either",
        post("0\r\nX-Mine: 1\r\nX-Kept: 1\r\n\r\n",
             CHUNKED + "Connection: x-mine\r\n"),
        origin=[r"\r\n0\r\nX-Kept: 1\r\n\r\n$"]),
    Row("9112 7.1.2", "a trailer without value, and one that repeats",
        post("0\r\nX-E:\r\nX-T: 1\r\nX-T: 2\r\n\r\n", CHUNKED),
        origin=[r"\r\n0\r\nX-E:\r\nX-T: 1\r\nX-T: 2\r\n\r\n$"]),
    Row("9110 6.5", "trailers end at an HTTP/1.0 client", get(version="1.0"),
        said(CHUNKED + "Trailer: X-Sum\r\n",
             "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"),
        client=[r"\r\n\r\nabc$", "!x-sum", "!chunked"]),
    Row("9110 6.6.2", "Trailer ends with a body that is not chunked",
        post("abc", "Content-Length: 3\r\nTrailer: X-Sum\r\n"),
        said("Content-Length: 2\r\nTrailer: X-Sum\r\n", "ok"),
        origin=["!trailer"], client=["!trailer"]),
    Row("9112 7.1.2", "a folded trailer is refused",
        post("0\r\nX-A: b\r\n c\r\n\r\n", CHUNKED),
        client=[r"^HTTP/1.1 400 "]),
    Row("9112 7.1.2", "more trailers than fit: 431",
        post("0\r\n" + "".join("X-%d: %s\r\n" % (i, "y" * 200)
                               for i in range(50)) + "\r\n", CHUNKED),
        client=[r"^HTTP/1.1 431 ", "request.trailers_too_large"]),
    Row("9112 7.1.2", "more trailers than counted: 431",
        post("0\r\n" + "a:\r\n" * 65 + "\r\n", CHUNKED),
        client=[r"^HTTP/1.1 431 "]),
    Row("9112 7.1.2", "an answer with too many trailers: 502", get(),
        said(CHUNKED, "0\r\n" + "a:\r\n" * 65 + "\r\n"),
        client=[r"^HTTP/1.1 502 "]),
]

HOPS = [
    Row("9110 10.1.4", "TE: trailers with its option goes on as our own",
        get("TE: trailers, deflate;q=0.5\r\nConnection: TE\r\n"),
        origin=[r"\r\nConnection: TE\r\nTE: trailers\r\n", "!deflate"]),
    Row("9110 10.1.4", "TE without its option ends here",
        get("TE: trailers\r\n"), origin=[r"!\r\nTE:", "!connection"]),
    Row("9110 10.1.4", "TE of an HTTP/1.0 client ends here",
        get("TE: trailers\r\nConnection: TE\r\n", version="1.0"),
        origin=[r"!\r\nTE:"]),
    Row("9110 7.6.1", "hop-by-hop fields end here",
        get("Connection: X-A, close\r\nConnection: x-b\r\nX-A: 1\r\n"
            "x-B: 2\r\nX-C: 3\r\nKeep-Alive: 5\r\n"
            "Proxy-Connection: keep-alive\r\n"),
        said("Connection: X-D\r\nX-D: 4\r\nKeep-Alive: timeout=5\r\n"
             "Proxy-Connection: x\r\nX-E: 5\r\nContent-Length: 0\r\n"),
        origin=["X-C: 3", "!x-a", "!x-b", "!keep-alive", "!connection"],
        client=["X-E: 5", "!x-d", "!keep-alive"]),
    Row("9110 7.6.3", "Via names the protocol and this instance",
        get("Via: 1.0 fred, 1.1 p.example\r\n"),
        origin=[r"\r\nVia: 1.0 fred, 1.1 p.example\r\n",
                r"\r\nVia: 1.1 matapalo-[0-9a-f]{12}\r\n"]),
    Row("9110 7.6.3", "Via of an HTTP/1.0 request", get(version="1.0"),
        origin=[r"\r\nVia: 1.0 matapalo-"]),
    Row("9110 7.6", "a request that has been here: 508",
        get("Via: 1.1 a, 1.1 {via} (x, y), 1.1 b\r\n"), NOTHING,
        client=[r"^HTTP/1.1 508 Loop Detected\r\n", "proxy.loop"]),
    Row("9110 7.6", "another instance is no loop",
        get("Via: 1.1 matapalo-000000000000\r\n"), client=[" 200 "]),
    Row("9110 5.1", "a client does not say which exchange it is",
        get("Matapalo-Exchange: forged\r\n"), origin=["!forged"]),
    Row("9110 7.6.2", "Max-Forwards on OPTIONS counts down",
        get("Max-Forwards: 7\r\nX-After: 1\r\n", method="OPTIONS"),
        origin=[r"\r\nMax-Forwards: 6\r\n", "!Max-Forwards: 7",
                "X-After: 1"]),
    Row("9110 7.6.2", "Max-Forwards of 0 on OPTIONS is answered here",
        get("Max-Forwards: 0\r\n", method="OPTIONS"), NOTHING,
        client=[r"^HTTP/1.1 200 OK\r\n", r"\r\nContent-Length: 0\r\n",
                r"\r\nDate: ", r"\r\n\r\n$"]),
    Row("9110 7.6.2", "Max-Forwards that is no number",
        get("Max-Forwards: x\r\n", method="OPTIONS"), NOTHING,
        client=[r"^HTTP/1.1 400 ", "request.max_forwards"]),
    Row("9110 7.6.2", "Max-Forwards twice",
        get("Max-Forwards: 1\r\nMax-Forwards: 2\r\n", method="OPTIONS"),
        NOTHING, client=[r"^HTTP/1.1 400 "]),
    Row("9110 7.6.2", "a great Max-Forwards does not wrap around",
        get("Max-Forwards: 18446744073709551616\r\n", method="OPTIONS"),
        origin=[r"\r\nMax-Forwards: 1\d{8}\r\n"]),
    Row("9110 7.6.2", "Max-Forwards on other methods goes on",
        get("Max-Forwards: 0\r\n"), origin=["Max-Forwards: 0"]),
    Row("9110 9.3.7", "none is added to OPTIONS",
        get(method="OPTIONS"), origin=["!max-forwards"]),
    Row("9110 9.1", "a method that llhttp does not know: 501",
        get(method="BREW"), NOTHING,
        client=[r"^HTTP/1.1 501 ", "request.unknown_method"]),
    Row("9110 9.3.8", "TRACE is refused", get(method="TRACE"), NOTHING,
        client=[r"^HTTP/1.1 405 "]),
]

TARGETS = [
    Row("9112 3.2.4", "OPTIONS * goes on as it is",
        get(target="*", method="OPTIONS"),
        origin=[r"^OPTIONS \* HTTP/1.1\r\n"]),
    Row("9112 3.2.4", "absolute-form without a path, but with a query",
        get(target="http://other.example?a=/b", method="OPTIONS"),
        origin=[r"^OPTIONS /\?a=/b HTTP/1.1\r\n", "Host: other.example"]),
    Row("9112 3.2.2", "absolute-form with a query and no path",
        get(target="http://other.example?a"),
        origin=[r"^GET /\?a HTTP/1.1\r\n", "Host: other.example"]),
    Row("9112 3.2.4", "absolute-form without a path becomes *",
        get(target="http://other.example", method="OPTIONS"),
        origin=[r"^OPTIONS \* HTTP/1.1\r\n", r"\r\nHost: other.example\r\n"]),
    Row("9112 3.2.2", "absolute-form: its authority becomes Host",
        get(target="http://other.example:81/a?b=c"),
        origin=[r"^GET /a\?b=c HTTP/1.1\r\n",
                r"\r\nHost: other.example:81\r\n", r"!\r\nHost: shop"]),
    Row("9112 3.2.2", "absolute-form without a path",
        get(target="http://other.example"), origin=[r"^GET / HTTP/1.1\r\n"]),
    Row("9110 7.7", "path and query go on byte for byte",
        get(target="//a/./b/../%2e%2E/%7e;p=1//c?x=%20&&=+/?y"),
        origin=[r"^GET //a/\./b/\.\./%2e%2E/%7e;p=1//c\?x=%20&&=\+/\?y "
                r"HTTP/1.1\r\n"]),
    Row("9112 2.3", "our own version towards the origin",
        get(version="1.0"), origin=[r"^GET /x HTTP/1.1\r\n"]),
    Row("9112 2.3", "our own version towards the client", get(),
        said("Content-Length: 2\r\n", "ok", version="1.0"),
        client=[r"^HTTP/1.1 200 OK\r\n"]),
]

CONTENT = [
    Row("9110 7.7", "no-transform: nothing is transformed",
        post("\x1f\x00body", "Content-Length: 6\r\n"
             "Cache-Control: no-transform\r\nContent-Encoding: gzip\r\n"),
        said("Content-Length: 4\r\nContent-Encoding: br\r\n"
             "Cache-Control: no-transform\r\nETag: \"a\"\r\n", "\x01\x02ab"),
        origin=["Cache-Control: no-transform", "Content-Encoding: gzip",
                "\r\n\r\n\x1f\x00body$"],
        client=["Content-Encoding: br", "ETag: \"a\"",
                "\r\n\r\n\x01\x02ab$"]),
    Row("9110 5.3", "lines of one name keep their order and stay apart",
        get("X-T: 1\r\nX-Other: o\r\nx-t: 2\r\nX-T: 3\r\n"),
        said("Set-Cookie: a=1\r\nVary: x\r\nSet-Cookie: b=2\r\n"
             "Content-Length: 0\r\n"),
        origin=[r"X-T: 1\r\nX-Other: o\r\nx-t: 2\r\nX-T: 3\r\n"],
        client=[r"Set-Cookie: a=1\r\nVary: x\r\nSet-Cookie: b=2\r\n"]),
    Row("9110 5.1", "unknown fields and methods go on",
        get("X-Never-Seen: 1\r\n", method="REPORT"),
        said("X-New: 2\r\nContent-Length: 0\r\n"),
        origin=[r"^REPORT /x HTTP/1.1", "X-Never-Seen: 1"],
        client=["X-New: 2"]),
    Row("9110 13.2.1", "conditionals are the origin's",
        get('If-None-Match: "a"\r\nIf-Modified-Since: x\r\nIf-Match: *\r\n'
            'If-Range: "b"\r\n'),
        said('ETag: "a"\r\nContent-Length: 99\r\n',
             status="304 Not Modified"),
        origin=['If-None-Match: "a"', "If-Modified-Since: x",
                "If-Match: \\*", 'If-Range: "b"'],
        client=[r"^HTTP/1.1 304 Not Modified\r\n", 'ETag: "a"',
                r"\r\n\r\n$"]),
    Row("9110 14", "ranges are the origin's",
        get("Range: bytes=0-1,5-\r\n"),
        said("Content-Range: bytes 0-1/9\r\nAccept-Ranges: bytes\r\n"
             "Content-Length: 2\r\n", "ok", status="206 Partial Content"),
        origin=["Range: bytes=0-1,5-"],
        client=[r"^HTTP/1.1 206 Partial Content\r\n",
                "Content-Range: bytes 0-1/9", "ok$"]),
    Row("9110 10.2.1", "Allow and challenges go on as they are",
        get("Authorization: Digest a=\"b\", c=d\r\n"),
        said("Allow: GET,  PUT\r\nWWW-Authenticate: Basic realm=\"x\"\r\n"
             "WWW-Authenticate: Digest\r\nContent-Length: 0\r\n",
             status="401 Unauthorized"),
        origin=['Authorization: Digest a="b", c=d\r\n'],
        client=[r"Allow: GET,  PUT\r\nWWW-Authenticate: Basic realm=\"x\""
                r"\r\nWWW-Authenticate: Digest\r\n"]),
    Row("9110 6.6.1", "Date is added to an answer without one", get(),
        client=[r"\r\nDate: \w{3}, \d\d \w{3} \d{4} [0-9:]{8} GMT\r\n"]),
    Row("9110 6.6.1", "the origin's Date stays", get(),
        said("Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
             "Content-Length: 0\r\n"),
        client=[r"Date: Mon, 01 Jan 2024", r"!(?s)Date:.*Date:"]),
    Row("9110 9.3.2", "HEAD: the length stays, no body comes",
        get(method="HEAD"), said("Content-Length: 5\r\n"),
        client=["Content-Length: 5", r"\r\n\r\n$"]),
    Row("9110 9.3.2", "HEAD: an answer that says it is chunked",
        get(method="HEAD"), said(CHUNKED), client=[r"\r\n\r\n$"]),
    Row("9110 8.6", "204 has no length, whatever it says", get(),
        said("Content-Length: 5\r\n", status="204 No Content"),
        client=[r"^HTTP/1.1 204 ", "!content-length", r"\r\n\r\n$"]),
    Row("9112 6.1", "204 is not chunked, whatever it says", get(),
        said(CHUNKED, status="204 No Content"),
        client=[r"^HTTP/1.1 204 ", "!transfer-encoding", r"\r\n\r\n$"]),
    Row("9112 6.3", "a close-delimited body is framed anew", get(),
        said("X: y\r\n", "body"),
        client=[r"\r\nTransfer-Encoding: chunked\r\n",
                r"\r\n\r\n4\r\nbody\r\n0\r\n\r\n$"]),
    Row("9112 6.1", "nothing chunked to an HTTP/1.0 client",
        get(version="1.0"), said(CHUNKED, "2\r\nok\r\n0\r\n\r\n"),
        client=[r"\r\n\r\nok$", "!chunked", "Connection: close"]),
    Row("9112 9.3", "an HTTP/1.0 client keeps a Content-Length",
        get("Connection: keep-alive\r\n", version="1.0"),
        client=["Content-Length: 2", "Connection: close", "ok$"]),
    Row("9112 6.1", "chunked in an HTTP/1.0 answer is faulty: 502", get(),
        said(CHUNKED, "2\r\nok\r\n0\r\n\r\n", version="1.0"),
        client=[r"^HTTP/1.1 502 "]),
    Row("9112 3.2", "HTTP/1.0 without Host gets one",
        get(version="1.0", host=""), origin=[r"\r\nHost: 127\.0\.0\.1:"]),
]

INTERIM = [
    Row("9110 15.2", "interim answers go on, all of them", get(),
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        "HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n"
        "HTTP/1.1 102 Processing\r\n\r\n" + OK.decode(),
        client=[r"^HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                r"HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n"
                r"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n"]),
    Row("9110 15.2", "none to an HTTP/1.0 client", get(version="1.0"),
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK.decode(),
        client=[r"^HTTP/1.1 200 OK\r\n", "!early"]),
    Row("9110 7.6.1", "an interim answer's hop-by-hop fields end here",
        get(), "HTTP/1.1 103 Early Hints\r\nConnection: X-A\r\nX-A: 1\r\n"
        "Link: </a>\r\nContent-Length: 9\r\nKeep-Alive: 1\r\n\r\n" +
        OK.decode(),
        client=[r"^HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                r"HTTP/1.1 200 OK\r\n"]),
    Row("9110 10.1.1", "an expectation goes on",
        post("abc", "Expect: 100-continue\r\nContent-Length: 3\r\n"),
        "HTTP/1.1 100 Continue\r\n\r\n" + OK.decode(),
        origin=["Expect: 100-continue"],
        client=[r"^HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"]),
    Row("9110 10.1.1", "HTTP/1.0 has no expectations",
        get("Expect: 100-continue\r\nContent-Length: 3\r\n", method="POST",
            version="1.0") + "abc", origin=["!expect"]),
    Row("9110 15.2", "101 that nobody asked for: 502", get(),
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
        "Upgrade: websocket\r\n\r\n",
        client=[r"^HTTP/1.1 502 ", "upstream.protocol"]),
]

FRAMING = [
    Row("9110 5.5", "NUL in a value", get("X: a\0b\r\n"), NOTHING,
        client=[r"^HTTP/1.1 400 "]),
    Row("9110 5.5", "a bare CR in a value", get("X: a\rb\r\n"), NOTHING,
        client=[r"^HTTP/1.1 400 "]),
    Row("9110 5.5", "a bare CR in an answer's value", get(),
        said("X: a\rb\r\nContent-Length: 0\r\n"),
        client=[r"^HTTP/1.1 502 "]),
    Row("9110 5.5", "octets beyond ASCII go on as they are",
        b"GET /x HTTP/1.1\r\nHost: a\r\nX: \xc3\xa9\xff\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \xe9\xfe\r\nContent-Length: 0\r\n\r\n",
        origin=["X: \xc3\xa9\xff\r\n"], client=["X: \xe9\xfe\r\n"]),
    Row("9112 2.2", "space before the first field",
        "GET /x HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n", NOTHING,
        client=[r"^HTTP/1.1 400 "]),
    Row("9112 3", "a target of more than 16 KiB: 414",
        get(target="/" + "a" * 17000), NOTHING, client=[r"^HTTP/1.1 414 "]),
    Row("9112 3.2", "no Host in HTTP/1.1", get(host=""), NOTHING,
        client=[r"^HTTP/1.1 400 ", "request.host"]),
    Row("9112 3.2", "two Hosts", get(HOST), NOTHING,
        client=[r"^HTTP/1.1 400 ", "request.host"]),
    Row("9112 5.1", "space before the colon", get("X : 1\r\n"), NOTHING,
        client=[r"^HTTP/1.1 400 "]),
    Row("9112 5.1", "space before the colon of an answer", get(),
        said("X : 1\r\nContent-Length\t : 0\r\n"),
        client=[r"^HTTP/1.1 200 ", r"\r\nX: 1\r\n"]),
    Row("9112 5.2", "a folded line", get("X: 1\r\n 2\r\n"), NOTHING,
        client=[r"^HTTP/1.1 400 "]),
    Row("9112 5.2", "a folded line in an answer", get(),
        said("X: 1\r\n 2\r\nContent-Length: 0\r\n"),
        client=[r"^HTTP/1.1 502 "]),
    Row("9112 6.1", "two framings in a request",
        post("0\r\n\r\n", CHUNKED + "Content-Length: 5\r\n"), NOTHING,
        client=[r"^HTTP/1.1 400 ", "Connection: close"]),
    Row("9112 6.1", "a coding that is not chunked: 501",
        post("x", "Transfer-Encoding: gzip\r\n"), NOTHING,
        client=[r"^HTTP/1.1 501 ", "Connection: close"]),
    Row("9112 6.3", "chunked is not the last coding",
        post("0\r\n\r\n", "Transfer-Encoding: chunked, gzip\r\n"),
        NOTHING, client=[r"^HTTP/1.1 (400|501) ", "Connection: close"]),
    Row("9112 6.3", "two framings in an answer", get(),
        said(CHUNKED + "Content-Length: 5\r\n", "0\r\n\r\n"),
        client=[r"^HTTP/1.1 502 "]),
    Row("9112 6.3", "lengths that differ in a request",
        post("abc", "Content-Length: 3\r\nContent-Length: 2\r\n"), NOTHING,
        client=[r"^HTTP/1.1 400 ", "Connection: close"]),
    Row("9112 6.3", "lengths that differ in an answer", get(),
        said("Content-Length: 3\r\nContent-Length: 2\r\n", "abc"),
        client=[r"^HTTP/1.1 502 "]),
    Row("9112 7.1", "a chunk size that would wrap around",
        post("1000000000000000a\r\nabc\r\n0\r\n\r\n", CHUNKED),
        client=[r"^HTTP/1.1 400 ", "Connection: close"]),
    Row("9112 7.1.1", "chunk extensions end here",
        post("3;a=b\r\nabc\r\n0;c\r\n\r\n", CHUNKED),
        said(CHUNKED, "3;d=e\r\nxyz\r\n0\r\n\r\n"),
        origin=[r"\r\n\r\n3\r\nabc\r\n0\r\n\r\n$"],
        client=[r"\r\n\r\n3\r\nxyz\r\n0\r\n\r\n$"]),
    Row("9112 9.3", "a body of no use is read or the connection closed",
        post("abc" * 10, CHUNKED + "Expect: 200-ok\r\n"), NOTHING,
        client=[r"^HTTP/1.1 417 ", "Connection: close"]),
    Row("9112 9.6", "close: answered, closed, nothing more is read",
        get("Connection: close\r\n") + get(target="/second"),
        client=["Connection: close", "ok$", r"!(?s)200.*200"]),
]

TABLE = TRAILERS + HOPS + TARGETS + CONTENT + INTERIM + FRAMING


def exchange(port, data):
    """Everything that comes back: a half-close ends the connection."""
    with Client(port) as client:
        client.send(data)
        client.socket.shutdown(socket.SHUT_WR)
        return client.to_end()


def look(case, row, side, data, patterns):
    for pattern in patterns:
        unwanted = pattern.startswith("!")
        found = re.search(pattern.lstrip("!").encode("latin-1"), data, re.I)
        case.check(bool(found) != unwanted, "%s: the %s %s %s in %r"
                   % (row.title(), side, "finds" if unwanted else "misses",
                      pattern, data[:1200]))


def drain(seen):
    try:
        while True:
            seen.get_nowait()
    except queue.Empty:
        pass


def run_row(case, port, peer, row, via):
    drain(peer.seen)
    asked = row.say is not NOTHING
    peer.say = row.say if asked else OK
    got = exchange(port, row.send.replace(b"{via}", via))
    look(case, row, "client", got, row.client)
    if row.origin:
        try:
            look(case, row, "origin", peer.seen.get(timeout=10), row.origin)
        except queue.Empty:
            case.check(False, "%s: the origin was not asked, the answer is "
                       "%r" % (row.title(), got[:600]))
    elif not asked:
        case.check(peer.seen.empty(), row.title() + ": the origin was asked")


def own_name(port, peer):
    peer.say = OK
    drain(peer.seen)
    exchange(port, get().encode())
    return re.search(rb"Via: 1.1 (\S+)", peer.seen.get(timeout=10)).group(1)


def table(case):
    """Twice: as a request that is passed through, and recorded strictly."""
    peer = Peer(case)
    rules = {"version": 1, "targets": {"legacy": {"url": peer.url}},
             "default": {"stage": "mirror", "durability": "strict"}}
    for settings in ({"legacy": peer.url},
                     {"rules": case.rules(rules, "strict.json")}):
        matapalo = case.matapalo(**settings)
        via = own_name(matapalo.port, peer)
        for row in TABLE:
            run_row(case, matapalo.port, peer, row, via)
        case.equal(matapalo.stop(), 0, "exit status")


def never_twice(case):
    """9110 9.2.2: what is not idempotent is not sent again."""
    seen = queue.Queue()

    def serve(connection):
        head, _ = read_message(connection)
        seen.put(head.split(b" ")[0])
        if seen.qsize() % 2 == 1:       # first a kept-alive connection
            connection.send(OK)
            return True
        return False
    matapalo = case.matapalo(legacy=Peer(case, serve).url)
    with Client(matapalo.port) as client:
        case.equal(client.request("GET", "/x").status, 200, "to keep alive")
        case.equal(client.request("POST", "/x", b"z").status, 502,
                   "9110 9.2.2: a POST whose connection ends")
    case.equal(list(seen.queue), [b"GET", b"POST"], "9110 9.2.2: sent once")
    case.equal(matapalo.stop(), 0, "exit status")


def scenario(case):
    table(case)
    never_twice(case)


lib.main(scenario)
