# SPDX-License-Identifier: Apache-2.0
"""Hostile answers: what an origin may say that no client should believe.

A case is the bytes of an answer and what the client must see of it: BAD (a
502 of matapalo's own), SHORT (the answer began and the client can see that
its end is missing), GOOD (status and body, framed anew), or EITHER of GOOD
and BAD. Whatever it is, the connection to the origin is not used again when
the answer was odd (`reuse` is False), and the next request on the client's
connection gets its own answer.
"""
import collections

BAD, SHORT, GOOD, EITHER = "bad", "short", "good", "either"
Answer = collections.namedtuple("Answer", "id why data want body reuse close")

OK = b"HTTP/1.1 200 OK\r\n"
FIVE = b"Content-Length: 5\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
SMUGGLED = (b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nSMUGGLED")


def name(data):
    text = "".join(chr(c) if 33 <= c < 127 and c != 92 else "\\x%02x" % c
                   for c in data[:64]) or "empty"
    return text if len(text) <= 60 else "%s~%d" % (text[:50], len(data))


def rows(family, why, want, values, make, body=b"hello", reuse=False,
         close=True):
    for value in values:
        yield Answer("%s/%s" % (family, name(value)), why, make(value), want,
                     body, reuse, close)


def starts():
    yield from rows("status", "not HTTP-version SP 3DIGIT SP reason", BAD, [
        b"HTTP/1.1 99 X", b"HTTP/1.1 1000 X", b"HTTP/1.1 600 X",
        b"HTTP/1.1 999 X", b"HTTP/1.1 000 X", b"HTTP/1.1 2OO OK",
        b"HTTP/1.1 -200 OK", b"HTTP/1.1 +200 OK", b"HTTP/1.1 20 OK",
        b"HTTP/1.1  200 OK", b"HTTP/1.1\t200 OK", b"HTTP/1.1200 OK",
        b"HTTP/2 200 OK", b"HTTP/2.0 200 OK", b"HTTP/0.9 200 OK",
        b"HTTP/3.0 200 OK", b"http/1.1 200 OK", b"HTTPS/1.1 200 OK",
        b"ICY 200 OK", b"RTSP/1.0 200 OK", b" HTTP/1.1 200 OK",
        b"\x00HTTP/1.1 200 OK", b"HTTP/1.1 200 O\x00K",
        b"HTTP/1.1 200 O\rK", b"HTTP/1.1 200 O\nK", b"HTTP/1.1 200 OK\n",
        b"HTTP/1.1 200 OK\r", b"HTTP/1.1", b"200 OK", b"",
        b"GET / HTTP/1.1", b"SSH-2.0-x", b"<html>", b"HTTP/1.1 2 00 OK",
        b"HTTP/1.1 200\x00 OK", b"HTTP/1.1 0x200 OK", b"HTTP/1.12 200 OK",
        b"HTTP/11 200 OK", b"HTTP/1.1, 200 OK", b"\xef\xbb\xbfHTTP/1.1 200",
        b"HTTP/1.1 200.0 OK", b"HTTP/1.1 OK 200"],
        lambda s: s + b"\r\n" + FIVE + b"\r\nhello")
    yield from rows("status-right", "odd, and right", GOOD, [
        b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK", b"HTTP/1.1 200 \xe9",
        b"HTTP/1.1 200 " + b"x" * 300, b"HTTP/1.1 299 Odd",
        b"HTTP/1.1 404 Not Found", b"HTTP/1.1 599 X", b"HTTP/1.1 451 X",
        b"HTTP/1.1 200 OK\tOK", b"HTTP/1.1 418 I'm a teapot: yes"],
        lambda s: s + b"\r\n" + FIVE + b"\r\nhello", reuse=True, close=False)
    yield from rows("status-odd", "obsolete, and seen", EITHER, [
        b"HTTP/1.1 200", b"HTTP/1.0 200 OK", b"HTTP/1.0 200"],
        lambda s: s + b"\r\n" + FIVE + b"\r\nhello")


def lengths():
    yield from rows("length", "Content-Length is 1*DIGIT", BAD, [
        b"-5", b"+5", b"0x5", b"5 5", b"5, 6", b"5, 5", b"5,", b"five", b"",
        b"5a", b"5.0", b"\"5\"", b"5\x0b", b"5\x00", b"\xef\xbc\x95",
        b"18446744073709551616", b"99999999999999999999999", b"5;5",
        b"18446744073709551615", b"9223372036854775807", b"5_0",
        b"9" * 200], lambda v: OK + b"Content-Length: " + v +
        b"\r\n\r\nhello")
    yield from rows("lengths", "more than one", BAD, [
        b"5|6", b"5|5", b"0|5", b"5|0", b"5|", b"|5", b"5|-1"],
        lambda v: OK + b"".join(b"Content-Length: %s\r\n" % n
                                for n in v.split(b"|")) + b"\r\nhello!")
    yield from rows("length-short", "the origin closes before the end",
                    SHORT, [b"6", b"100", b"1152921504606846976"],
                    lambda v: OK + b"Content-Length: " + v + b"\r\n\r\nhello")
    for n in (0, 1, 4):
        yield Answer("length-extra/%d" % n, "bytes behind the answer",
                     OK + b"Content-Length: %d\r\n\r\nhello" % n, GOOD,
                     b"hello"[:n], False, False)
    yield Answer("length-extra/answer", "a whole answer behind the answer",
                 OK + FIVE + b"\r\nhello" + SMUGGLED, GOOD, b"hello", False,
                 False)
    yield Answer("length-extra/crlf", "an empty line behind the answer",
                 OK + FIVE + b"\r\nhello\r\n", GOOD, b"hello", False, False)


def both():
    for n in (0, 3, 5, 15, 100):
        for order in (0, 1):
            lines = [b"Content-Length: %d\r\n" % n, CHUNKED]
            if order:
                lines.reverse()
            yield Answer("both/%d-%d" % (n, order), "framed twice (6.3)",
                         OK + b"".join(lines) + b"\r\n" + HELLO + SMUGGLED,
                         BAD, b"", False, False)
    yield from rows("coding", "a coding that is not chunked", EITHER, [
        b"gzip", b"identity", b"chunked, gzip", b"x", b"chunkedd", b"",
        b"\x0bchunked", b"chunked;q=1", b"\"chunked\"", b"gzip, chunked",
        b"chunked, chunked", b"chunked,", b",chunked"],
        lambda v: OK + b"Transfer-Encoding: " + v + b"\r\n\r\n" + HELLO,
        body=None)
    for line in (b"Transfer-Encoding : chunked\r\n",
                 b" Transfer-Encoding: chunked\r\n",
                 b"X: y\nTransfer-Encoding: chunked\r\n",
                 b"Transfer-Encoding:\r\n chunked\r\n",
                 b"Transfer-Encoding\x00: chunked\r\n",
                 b"X: y\rTransfer-Encoding: chunked\r\n"):
        yield Answer("coding-alias/" + name(line), "no field line",
                     OK + line + FIVE + b"\r\n" + HELLO, BAD, b"", False,
                     False)


def chunks():
    yield from rows("chunks-bad", "not chunks", SHORT, [
        b"x\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n", b"5;\n\r\nhello\r\n0\r\n\r\n",
        b"5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", b"5;\x00\r\nhello\r\n0\r\n\r\n",
        b"ffffffffffffffff1\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\n", b"5\r\nhello\r\n0\nX: y\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        b"5\r\nhello\r\n0\r\n X: y\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX: a\x00b\r\n\r\n", b"\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\nz\r\n\r\n", b"5\r\nhello\r\n-0\r\n\r\n"],
        lambda v: OK + CHUNKED + b"\r\n" + v, close=False)
    yield from rows("chunks-cut", "no last chunk", SHORT, [
        b"", b"5", b"5\r\n", b"5\r\nhel", b"5\r\nhello", b"5\r\nhello\r\n",
        b"5\r\nhello\r\n0\r\n", b"5\r\nhello\r\n0\r\n\r",
        b"5\r\nhello\r\n0\r\nX: y\r\n", b"ffffff\r\nhello"],
        lambda v: OK + CHUNKED + b"\r\n" + v)
    yield from rows("chunks-right", "chunks", GOOD, [
        HELLO, b"05\r\nhello\r\n00\r\n\r\n", b"5;a=b\r\nhello\r\n0;c\r\n\r\n",
        b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX-T: y\r\n\r\n"],
        lambda v: OK + CHUNKED + b"\r\n" + v, reuse=True, close=False)
    yield Answer("chunks-extra/answer", "an answer behind the last chunk",
                 OK + CHUNKED + b"\r\n" + HELLO + SMUGGLED, GOOD, b"hello",
                 False, False)
    yield from rows("trailer", "a trailer that frames, routes or sets",
                    GOOD, [
        b"Transfer-Encoding: chunked",
        b"Set-Cookie: a=b", b"Connection: close", b"Location: /",
        b"Content-Encoding: gzip", b"Host: x", b"Via: x"],
        lambda v: OK + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n" + v +
        b"\r\n\r\n", reuse=True, close=False)
    # llhttp 9 breaks off here, 8 does not; either is safe.
    yield Answer("trailer/length", "a trailer that frames",
                 OK + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n"
                 b"Content-Length: 9\r\n\r\n", EITHER, b"hello", None,
                 False)


def fields():
    yield from rows("field", "not a field line", BAD, [
        b" : y", b" X: y", b"X", b": y", b"X : y\n", b"X \r\n: y",
        b"X \x0b: y", b"X y : z", b"X y: z", b"X: a\r\n folded",
        b"X: a\r\n\tfolded", b"X: a\nY: b", b"X: a\rY: b", b"X: a\x00b",
        b"X\x00: a", b"X: a\x01b", b"X: a\x1b[2Jb", b"X: a\x7fb",
        b"X(: a", b"X\xe9: a", b"X: a\r\r\nY: b", b"X: a\n", b"X: a\r",
        b"\x00", b"HTTP/1.1 200 OK", b"X: a\x0bb", b"\"X\": a",
        b"Set-Cookie: a=b\nSet-Cookie: c=d", b"Location: /\rX: y"],
        lambda line: OK + line + b"\r\n" + FIVE + b"\r\nhello")
    yield from rows("space-colon", "space that a proxy removes (5.1)", GOOD, [
        b"X : y", b"X\t: y", b"X \t  \t: y", b"X :", b"X : y : z",
        b"X : y\r\nY : z\r\nZ: z", b"X" + b" " * 3000 + b": y"],
        lambda line: OK + line + b"\r\n" + FIVE + b"\r\nhello",
        reuse=True, close=False)
    yield from rows("space-framing", "framed by a mended line (5.1)", GOOD, [
        b"Content-Length : 5\r\n\r\nhello",
        b"Transfer-Encoding : chunked\r\n\r\n" + HELLO], lambda v: OK + v,
        reuse=True, close=False)
    yield Answer("space-both", "a mended line counts (6.3)",
                 OK + b"Content-Length : 6\r\n" + FIVE + b"\r\nhello",
                 BAD, b"", False, False)
    yield Answer("space-interim", "in an interim answer, too",
                 b"HTTP/1.1 103 X\r\nLink : y\r\n\r\n" + OK + FIVE +
                 b"\r\nhello", GOOD, b"hello", True, False)
    for c in range(256):
        b = bytes([c])
        good = c == 9 or 32 <= c < 127 or c >= 128
        yield Answer("byte-value/%02x" % c, "field-value",
                     OK + b"X: a" + b + b"b\r\n" + FIVE + b"\r\nhello",
                     GOOD if good else BAD, b"hello", good, not good)
    for end, tag in ((b"\n", "LF"), (b"\r", "CR"), (b"\n\r", "LFCR"),
                     (b"\r\r\n", "CRCRLF"), (b"\x0b", "VT")):
        for i, part in enumerate((b"200 OK", b"X: y", b"Length: 5")):
            whole = OK + b"X: y\r\n" + FIVE + b"\r\nhello"
            yield Answer("line-end/%s-%d" % (tag, i), "lines end in CRLF",
                         whole.replace(part + b"\r\n", part + end), BAD, b"",
                         False, True)
    yield Answer("line-end/LF-all", "lines end in CRLF", (
        OK + b"X: y\r\n" + FIVE + b"\r\nhello").replace(b"\r\n", b"\n"),
        BAD, b"", False, True)
    yield from rows("hop", "ends at this hop", GOOD, [
        b"Connection: X-Private\r\nX-Private: 1", b"Keep-Alive: timeout=9",
        b"Proxy-Connection: x", b"Trailer: X", b"TE: x", b"Upgrade: h2c",
        b"Connection: Upgrade\r\nUpgrade: h2c", b"Connection: keep-alive"],
        lambda line: OK + line + b"\r\n" + FIVE + b"\r\nhello", reuse=None,
        close=False)
    yield from rows("head-large", "an answer's head has a limit", EITHER, [
        b"X: " + b"y" * n for n in (8000, 30000, 60000, 70000, 300000)],
        lambda line: OK + line + b"\r\n" + FIVE + b"\r\nhello")
    yield from rows("head-many", "so has the number of fields", EITHER, [
        b"X: y\r\n" * n + b"Z: w" for n in (100, 250, 300, 3000)],
        lambda line: OK + line + b"\r\n" + FIVE + b"\r\nhello")


def interim():
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
    final = OK + FIVE + b"\r\nhello"
    yield from rows("interim", "1xx before the answer", GOOD, [
        hints, go_on, hints + hints, go_on + hints, hints * 5],
        lambda v: v + final, reuse=True, close=False)
    yield from rows("interim-flood", "1xx without end", EITHER, [
        hints * 100, go_on * 1000, hints * 3000], lambda v: v + final)
    yield from rows("interim-framed", "1xx has no body (RFC 9112 6.3)",
                    EITHER, [
        b"HTTP/1.1 103 X\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 103 X\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 X\r\nContent-Length: 5\r\n\r\n"], lambda v: v + final)
    yield from rows("interim-bad", "1xx is a head like any other", BAD, [
        b"HTTP/1.1 103 X\nLink: y\r\n\r\n", b"HTTP/1.1 103 X\r\nX : y\n\r\n",
        b"HTTP/1.1 103 X\r\nX: a\r\n b\r\n\r\n",
        b"HTTP/1.1 103 X\r\nX: a\x00b\r\n\r\n"], lambda v: v + final)
    yield from rows("switch", "101 that nobody asked for", BAD, [
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c"
        b"\r\n\r\n", b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nContent-Length: 5\r\n\r\nhello"],
        lambda v: v + SMUGGLED, close=False)
    yield Answer("interim-only/103", "and then nothing", hints, BAD, b"",
                 False, True)


def bodiless():
    for status in (b"204 No Content", b"304 Not Modified"):
        for line in (b"", FIVE, CHUNKED, b"Content-Length: 0\r\n"):
            for tail in (b"", b"hello", HELLO, SMUGGLED):
                yield Answer("bodiless/%s-%s-%s" % (
                    status[:3].decode(), name(line), name(tail)),
                    "no body whatever it says (RFC 9112 6.3)",
                    b"HTTP/1.1 " + status + b"\r\n" + line + b"\r\n" + tail,
                    EITHER, b"", None if not tail else False, False)


def until_close():
    yield from rows("until-close", "the end is the close", GOOD, [
        b"", b"Connection: close\r\n", b"X: y\r\n"],
        lambda v: OK + v + b"\r\nhello")
    yield Answer("nothing/close", "no answer at all", b"", BAD, b"", False,
                 True)
    yield from rows("cut-head", "the head breaks off", BAD, [
        b"H", b"HTTP/1.1", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"], lambda v: v)


FAMILIES = (starts, lengths, both, chunks, fields, interim, bodiless,
            until_close)


def cases():
    for family in FAMILIES:
        yield from family()
