# SPDX-License-Identifier: Apache-2.0
"""Hostile requests: small tables and their products.

A case has a stable id, a reason in one line, the bytes, and what must become
of it: REFUSE (a 4xx or 5xx of matapalo's own and a close, and nothing of it
reaches the origin), CUT (the head may have gone on, the message is never
completed), FORWARD (odd, but right: callers send it), or EITHER (both are
safe, as long as every origin reads what matapalo read). A new case is a new
row in a table.
"""
import collections

REFUSE, CUT, FORWARD, EITHER = "refuse", "cut", "forward", "either"
Case = collections.namedtuple("Case", "id why data want")

HOST = b"Host: a.example"
CHUNKED = b"Transfer-Encoding: chunked"
TOKEN = (b"!#$%&'*+-.^_`|~0123456789"
         b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
BAD = b"\x00\x01\x08\x0b\x0c\x1b\x1f\x7f"

# How a refused case is answered; 400 when its family is not named here.
STATUSES = {
    "coding-empty": {400, 501}, "coding-hello": {400, 501},
    "codings": {400, 501}, "both": {400, 501}, "1.0-coding": {400, 501},
    "expect": {400, 417}, "greeting": {400, 501, 505},
    "version": {400, 505}, "start": {400, 501, 505}, "method": {400, 405},
    "target-huge": {414}, "head-huge": {400, 431}, "method-huge": {501},
    "byte-method": {400, 501}, "byte-before": {400, 501},
    "method-unknown": {501}, "coding-alias": {400, 501},
}


def refusals(case):
    return STATUSES.get(case.id.split("/")[0], {400})


def head(*lines, start=b"GET /echo HTTP/1.1", host=HOST):
    all_lines = [start] + ([host] if host else []) + list(lines)
    return b"\r\n".join(all_lines) + b"\r\n\r\n"


def post(*lines, body=b"", **kw):
    return head(*lines, start=b"POST /echo HTTP/1.1", **kw) + body


def name(data):
    """Bytes as a part of an id; long ones by their begin and length."""
    text = "".join(chr(c) if 33 <= c < 127 and c != 92 else "\\x%02x" % c
                   for c in data[:64]) or "empty"
    return text if len(text) <= 60 else "%s~%d" % (text[:50], len(data))


def rows(family, why, want, values, make):
    for value in values:
        label = name(value if isinstance(value, bytes) else b",".join(value))
        yield Case("%s/%s" % (family, label), why, make(value), want)


# ---- framing ---------------------------------------------------------------

def lengths():
    def one(value):
        return post(b"Content-Length: " + value, body=b"hello")

    def two(pair):
        return post(b"Content-Length: " + pair[0],
                    b"Content-Length: " + pair[1], body=b"hello")

    yield from rows("length", "Content-Length is 1*DIGIT (RFC 9110 8.6)",
                    REFUSE, [
        b"-1", b"-0", b"+5", b"5 5", b"5,5", b"5, 6", b"5, 5", b"0x5", b"05x",
        b"5a", b"a", b"5.0", b"1e1", b"", b"''", b"\"5\"", b"\xb5", b"5;5",
        b"5\t5", b"5\x0b", b"\x0b5", b"5\x00", b"\x005", b"\xef\xbc\x95",
        b"5_0", b"1_000", b"5\xc2\xa0", b"\xc2\xa05", b"0b101", b"0o5",
        b"18446744073709551616", b"18446744073709551621",
        b"9223372036854775807", b"9223372036854775808",
        b"18446744073709551615", b"1152921504606846977",
        b"99999999999999999999999", b"340282366920938463463374607431768211461",
        b"9" * 300, b"5,", b",5", b"5;", b"5/1", b"*", b"5\\", b"(5)",
        b"5 ; a=b", b"5 #", b"\xd9\xa5", b"5\x1f", b"%35", b"NaN", b"inf",
        b"true", b"null", b"5\x85"], one)
    yield from rows("length-huge", "longer than any body that follows", CUT, [
        b"4294967301", b"2147483653", b"1000000000000",
        b"1152921504606846976"], one)
    yield from rows("length-zeros", "leading zeros are digits", FORWARD, [
        b"05", b"0005", b"0" * 30 + b"5", b"5 ", b" 5", b"\t5"], one)
    yield from rows("lengths", "more than one Content-Length", REFUSE, [
        (b"5", b"6"), (b"0", b"5"), (b"5", b"0"), (b"5", b"5"), (b"5", b""),
        (b"", b"5"), (b"05", b"5"), (b"5", b"-5"), (b"5", b"5 "),
        (b"5", b"0x5"), (b"0", b"0")], two)
    spellings = [b"content-length", b"CONTENT-LENGTH", b"Content-length"]
    yield from rows("lengths-spelt", "the same field in another case",
                    REFUSE, spellings, lambda s: post(
                        b"Content-Length: 5", s + b": 0", body=b"hello"))
    yield from rows("length-alias", "no such field: it must not frame",
                    REFUSE, [b"Content-Length ", b"Content-Length\t",
                             b" Content-Length", b"\tContent-Length",
                             b"Content-Length\x00", b"\x00Content-Length",
                             b"Content-Length\x0b", b"Content Length",
                             b"Content-Length\xa0", b"\xefContent-Length",
                             b"Content-Length:", b"Content-Length\r",
                             b"Content\xadLength", b"Content-\rLength"],
                    lambda s: head(s + b": 5") + b"hello")
    yield from rows("length-like", "another field, and so no body", FORWARD, [
        b"Content_Length", b"X-Content-Length", b"Content-Lengthx",
        b"Content.Length", b"HTTP_CONTENT_LENGTH", b"Contentlength",
        b"Content-Length-", b"ContentLength", b"Content-Len"],
        lambda s: head(s + b": 5"))


CODINGS_BAD = [
    b"gzip", b"identity", b"x", b"chunkedd", b"xchunked", b"chunked, gzip",
    b"gzip, chunked", b"chunked, chunked", b"chunked, identity",
    b"identity, chunked", b"chunked;q=1", b"chunked ; a=b", b"\"chunked\"",
    b"'chunked'", b"chunked\x0b", b"chunked\x00", b"\x0bchunked",
    b"\x00chunked", b"chunk ed", b"", b",", b", ,", b"chu\xc3\xa7ked",
    b"cow", b"deflate", b"compress", b"br", b"chunked x", b"x chunked",
    b"\xe2\x80\x8bchunked", b"chunked\xa0", b"chunked\x1f", b"chunked\x7f",
    b"chunked\\", b"c\xe0\xb8hunked", b"chunked,", b",chunked", b"chunked;",
    b"chunked,,", b"chunked\x85", b"(chunked)", b"chunked/1", b"chunke",
    b"hunked", b"CHUNKED, identity", b"chunked\xef\xbb\xbf",
    b"\xef\xbb\xbfchunked", b"trailers, chunked", b"chunked=1", b"chunked\x0c",
    b"\x0cchunked", b"\x1cchunked", b"chun\x00ked", b"chunked\x08"]


def codings():
    # An empty element of a list may be ignored (RFC 9110 5.6.1).
    lenient = {b"chunked,", b",chunked", b"chunked,,"}
    why = "a coding that is not exactly chunked"
    for body, tag in ((b"0\r\n\r\n", "empty"),
                      (b"5\r\nhello\r\n0\r\n\r\n", "hello")):
        yield from rows("coding-" + tag, why, REFUSE,
                        [c for c in CODINGS_BAD if c not in lenient],
                        lambda c, b=body: post(b"Transfer-Encoding: " + c,
                                               body=b))
    yield from rows("coding-list", "what a list may have around its element",
                    EITHER, sorted(lenient | {b"chunked\t"}), lambda c: post(
                        b"Transfer-Encoding: " + c, body=b"0\r\n\r\n"))
    yield from rows("coding-spelt", "coding names have no case", FORWARD, [
        b"chunked", b"Chunked", b"CHUNKED", b"chUNKed", b"chunked ",
        b"\tchunked", b"  chunked  "], lambda c: post(
            b"Transfer-Encoding:" + c, body=b"5\r\nhello\r\n0\r\n\r\n"))
    second = [b"gzip", b"chunked", b"identity", b"cow", b"", b"x"]
    for c in second:
        for order in (0, 1):
            lines = [CHUNKED, b"Transfer-Encoding: " + c]
            if order:
                lines.reverse()
            yield Case("codings/%s-%d" % (name(c), order),
                       "two Transfer-Encoding lines",
                       post(*lines, body=b"0\r\n\r\n"), REFUSE)
    yield from rows("coding-alias", "no such field: it must not frame",
                    REFUSE, [
        b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked",
        b" Transfer-Encoding: chunked", b"\tTransfer-Encoding: chunked",
        b"X: y\nTransfer-Encoding: chunked",
        b"X: y\rTransfer-Encoding: chunked",
        b"X: y\n\rTransfer-Encoding: chunked",
        b"X: y\r\rTransfer-Encoding: chunked",
        b"X: y\x00Transfer-Encoding: chunked",
        b"Transfer-Encoding\x00: chunked", b"\x00Transfer-Encoding: chunked",
        b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding:\n chunked",
        b"Transfer-Encoding:\r\n\tchunked", b"Transfer-Encoding\r\n: chunked",
        b"Transfer-Encoding\n: chunked", b"Transfer-Encoding\x0b: chunked",
        b"Transfer Encoding: chunked", b"Transfer-Encoding:\x0bchunked",
        b"Transfer-Encoding:\x00chunked", b"Transfer-Encoding chunked",
        b"Transfer-Encoding\xa0: chunked", b"Transfer-Encoding;: chunked",
        b"Transfer-\x08Encoding: chunked", b"Transfer-Encoding: chunked\r",
        b"Transfer-Encoding: chunked\n", b"Transfer-Encoding:: chunked",
        b"X:\r\n Transfer-Encoding: chunked",
        b"X: y\r\n\x20\r\nTransfer-Encoding: chunked"],
        lambda line: post(line, body=b"0\r\n\r\n"))
    yield from rows("coding-like", "another field, and so no body", FORWARD, [
        b"Transfer_Encoding", b"X-Transfer-Encoding", b"Transfer.Encoding",
        b"Transfer-Encodin", b"Transfer-Encodings", b"TransferEncoding",
        b"Transfer-encoding-x", b"HTTP_TRANSFER_ENCODING"],
        lambda s: head(s + b": chunked"))


def both():
    """Content-Length against Transfer-Encoding, in every costume."""
    smuggled = b"GET /SMUGGLED HTTP/1.1\r\nHost: b\r\n\r\n"
    bodies = {"last": b"0\r\n\r\n", "extra": b"0\r\n\r\nX",
              "chunk": b"5\r\nhello\r\n0\r\n\r\n",
              "hidden": b"0\r\n\r\n" + smuggled,
              "inside": b"%x\r\n%s\r\n0\r\n\r\n" % (len(smuggled), smuggled)}
    hats = {"plain": CHUNKED, "case": b"transfer-ENCODING: CHUNKED",
            "list": b"Transfer-Encoding: x, chunked",
            "identity": b"Transfer-Encoding: identity",
            "cow": b"Transfer-Encoding: cow",
            "empty": b"Transfer-Encoding:",
            "tab": b"Transfer-Encoding:\tchunked",
            "vt": b"Transfer-Encoding: \x0bchunked",
            "quoted": b"Transfer-Encoding: \"chunked\"",
            "space": b"Transfer-Encoding : chunked",
            "folded": b"Transfer-Encoding:\r\n chunked",
            "comma": b"Transfer-Encoding: chunked,"}
    for hat, coding in hats.items():
        for kind, body in bodies.items():
            for n in (0, 4, len(body)):
                length = b"Content-Length: %d" % n
                for order, lines in (("CL.TE", (length, coding)),
                                     ("TE.CL", (coding, length))):
                    yield Case("both/%s-%s-%s-%d" % (order, hat, kind, n),
                               "a length and a coding describe two bodies",
                               post(*lines, body=body), REFUSE)
    for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"PUT"):
        yield Case("both/%s" % method.decode(), "whatever the method",
                   head(b"Content-Length: 5", CHUNKED,
                        start=method + b" /echo HTTP/1.1") + b"0\r\n\r\n",
                   REFUSE)


def silent():
    """0.CL, CL.0, TE.0: a body where some server expects none."""
    smuggled = b"GET /SMUGGLED HTTP/1.1\r\nX: y\r\n\r\n"
    for method in (b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"POST", b"PUT",
                   b"PATCH", b"PROPFIND", b"SEARCH", b"REPORT"):
        m = method.decode()
        start = method + b" /echo HTTP/1.1"
        yield Case("CL.0/" + m, "a body that looks like a request",
                   head(b"Content-Length: %d" % len(smuggled), start=start) +
                   smuggled, FORWARD)
        yield Case("TE.0/" + m, "chunks that look like a request",
                   head(CHUNKED, start=start) + b"%x\r\n%s\r\n0\r\n\r\n"
                   % (len(smuggled), smuggled), FORWARD)
        yield Case("0.CL/" + m, "a length of zero before more",
                   head(b"Content-Length: 0", start=start), FORWARD)
        yield Case("none/" + m, "no framing is no body",
                   head(start=start), FORWARD)
        yield Case("CL.short/" + m, "what follows a body begins a message",
                   head(b"Content-Length: 1", start=start) + b"x" + smuggled,
                   REFUSE if m in () else EITHER)
        yield Case("cut-length/" + m, "the body never ends",
                   head(b"Content-Length: 99999", start=start) + smuggled,
                   CUT)


def old():
    for line in (b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip",
                 b"Transfer-Encoding: identity",
                 b"Transfer-Encoding: chunked\r\nContent-Length: 5"):
        for extra in (b"", b"\r\nConnection: keep-alive"):
            yield Case("1.0-coding/%s" % name(line + extra),
                       "HTTP/1.0 has no transfer codings (RFC 9112 6.1)",
                       head(line + extra, start=b"POST /echo HTTP/1.0") +
                       b"0\r\n\r\n", REFUSE)
    for line in (b"X: y", b"Connection: keep-alive", b"Connection: close",
                 b"Keep-Alive: timeout=5\r\nConnection: Keep-Alive"):
        yield Case("1.0/" + name(line), "HTTP/1.0 closes after it",
                   head(line, start=b"GET /echo HTTP/1.0"), EITHER)
    yield Case("1.0/no-host", "HTTP/1.0 needs no Host",
               head(start=b"GET /echo HTTP/1.0", host=None), EITHER)
    yield Case("1.0/post", "HTTP/1.0 with a length",
               head(b"Content-Length: 5", start=b"POST /echo HTTP/1.0") +
               b"hello", EITHER)
    yield Case("1.0/post-no-length", "HTTP/1.0 without one has no body",
               head(start=b"POST /echo HTTP/1.0") + b"hello", EITHER)
    yield Case("1.0/expect", "HTTP/1.0 has no 100 (RFC 9110 10.1.1)",
               head(b"Expect: 100-continue", b"Content-Length: 5",
                    start=b"POST /echo HTTP/1.0") + b"hello", EITHER)


# ---- chunks ----------------------------------------------------------------

def chunks(family, why, want, bodies):
    return rows(family, why, want, bodies,
                lambda body: post(CHUNKED, body=body))


def chunk_sizes():
    def sized(value):
        return post(CHUNKED, body=value + b"\r\nhello\r\n0\r\n\r\n")

    yield from rows("size", "chunk-size is 1*HEXDIG (RFC 9112 7.1)", CUT, [
        b"x", b"-5", b"+5", b"0x5", b"0X5", b" 5", b"5 ", b"\t5", b"5\t",
        b"5h", b"5,5", b"5\x00", b"\x005", b"5\x0b", b"", b" ", b"\"5\"",
        b"\xef\xbc\x95", b"5_", b"0_5", b"5.", b"5e0", b"(5)", b"5 5",
        b"#5", b"5#", b"5\\", b"\xb5", b"5\xa0", b"\xa05", b"5%", b"g",
        b"-0", b"+0", b"0x0", b"5=5", b"5&", b"5:", b"5\x7f", b"\x0b5",
        b"5\r5", b"\r5", b"5\x1f", b"--5", b"5-", b"0x", b"h5", b"5\x85"],
        sized)
    yield from rows("size-overflow", "a size beyond 64 bits", CUT, [
        b"10000000000000005", b"ffffffffffffffff1", b"fffffffffffffffff",
        b"100000000000000000000000000000005", b"1" + b"0" * 40 + b"5",
        b"f" * 100], sized)
    yield from rows("size-huge", "a size that nothing fills", CUT, [
        b"ffffffffffffffff", b"fffffffffffffffb", b"8000000000000005",
        b"7fffffffffffffff", b"ffffffff", b"80000000", b"100000005",
        b"7ffffffffffffffb"], sized)
    yield from rows("size-right", "zeros and case of digits", FORWARD, [
        b"5", b"05", b"005", b"0000000005", b"0" * 15 + b"5"], sized)
    yield from rows("size-many-zeros", "zeros without end", EITHER, [
        b"0" * n + b"5" for n in (16, 17, 32, 100, 1000, 5000)], sized)
    yield from rows("size-hex", "hexadecimal in both cases", FORWARD, [
        b"a", b"A", b"0a", b"0A"], lambda s: post(
            CHUNKED, body=s + b"\r\n0123456789\r\n0\r\n\r\n"))
    yield from rows("size-last", "the last chunk's size", CUT, [
        b"0x0", b"+0", b"-0", b" 0", b"0 ", b"0\x00", b"\x000", b"0h", b"",
        b"0,0", b"o", b"0.0", b"0\t", b"\t0", b"00x"], lambda s: post(
            CHUNKED, body=b"5\r\nhello\r\n" + s + b"\r\n\r\n"))
    yield from rows("size-last-zeros", "a zero is a zero", FORWARD, [
        b"0", b"00", b"0000", b"0000000000000000"], lambda s: post(
            CHUNKED, body=b"5\r\nhello\r\n" + s + b"\r\n\r\n"))


def chunk_ends():
    yield from chunks("chunk-end", "each line of a chunk ends in CRLF", CUT, [
        b"5\nhello\r\n0\r\n\r\n", b"5\rhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n", b"5\r\nhello\r0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n", b"5\r\nhello\r\n0\n\r\n",
        b"5\r\nhello\r\n0\r\r\n", b"5\n\nhello\r\n0\r\n\r\n",
        b"5\r\n\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\r\n0\r\n\r\n",
        b"5\r\nhello\n\r0\r\n\r\n", b"5\r\nhello\r\n\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX", b"5\r\nhell\r\n0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n", b"4\r\nhello\r\n0\r\n\r\n",
        b"6\r\nhello\r\n0\r\n\r\n", b"5\r\nhello \r\n0\r\n\r\n",
        b"5\r\nhello\x00\r\n0\r\n\r\n", b"\r\n5\r\nhello\r\n0\r\n\r\n",
        b"\n5\r\nhello\r\n0\r\n\r\n", b"5\r\n\nhello\r\n0\r\n\r\n",
        b"5\x0b\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n 0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\n", b"5\r\nhello\r\n0\n\n",
        b"5\nhello\n0\n\n", b"5\rhello\r0\r\r"])
    yield from chunks("chunk-missing", "a body that never ends", CUT, [
        b"", b"5", b"5\r", b"5\r\n", b"5\r\nhel", b"5\r\nhello",
        b"5\r\nhello\r", b"5\r\nhello\r\n"])
    yield from chunks("chunk-pieces", "many small ones are one body",
                      FORWARD, [
        b"1\r\nh\r\n" * 5 + b"0\r\n\r\n", b"1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n",
        b"2\r\n\r\n\r\n0\r\n\r\n", b"5\r\n0\r\n\r\n\r\n0\r\n\r\n",
        b"1\r\nx\r\n" * 3000 + b"0\r\n\r\n",
        b"4000\r\n" + b"a" * 16384 + b"\r\n0\r\n\r\n"])


def extensions():
    """Where a lone LF, a quote or an odd byte in a chunk extension makes two
    parsers disagree (TERM.EXT, EXT.TERM)."""
    smuggled = b"GET /SMUGGLED HTTP/1.1\r\nHost: b\r\n\r\n"

    def extended(value):
        return post(CHUNKED, body=b"5" + value + b"\r\nhello\r\n0\r\n\r\n")

    def at_last(value):
        return post(CHUNKED, body=b"5\r\nhello\r\n0" + value + b"\r\n\r\n")

    bad = [b";\n", b";a\n", b";a=\n", b";a=b\n", b";a=\"b\n", b";a=\"b\n\"",
           b"; \n", b";\r", b";a\r", b";a=b\rx", b";\x00", b";a\x00b",
           b";a=\"\x00\"", b";a=\"\r\"", b";a=\"\r\n\"", b";a=\"b", b";\x0b",
           b";a=\x0c", b";\x7f", b";\x1b[31m", b";a=\"\\\r\"", b";a=\"\\\n\"",
           b" ;a\n", b";a=b;\n", b";a\r\r", b";a=\x01", b";a;\x00",
           b"\n;a", b"\r;a", b"\x00;a", b";\n\n", b";\n5\r\nhello\r\n0\r\n"]
    for value in bad:
        for where, make in (("size", extended), ("last", at_last)):
            yield Case("ext-%s/%s" % (where, name(value)),
                       "a byte that ends a line for somebody", make(value),
                       CUT)
    odd = [b";", b"; a", b" ;a", b" ; a = b", b";a=", b";=b", b";a b",
           b";a;b", b";a=b;c=d", b";a=\"b\" ", b";\"a\"", b";a=\"\\\"\"",
           b";a=\"b\"c", b";a==b", b";a,b", b";a=(b)", b";\xe9", b";a=\"\xe9\"",
           b";a=\"\t\"", b";\t", b";a=b=c", b";/", b";{}", b";a=@", b";;",
           b";a=\"" + b"x" * 2000 + b"\"", b";" + b"a" * 5000,
           b";a=b" * 1000, b";a=\"b;c\"", b";a=\"5\\\\\""]
    for value in odd:
        for where, make in (("size", extended), ("last", at_last)):
            yield Case("ext-odd-%s/%s" % (where, name(value)),
                       "an extension that need not be understood",
                       make(value), EITHER)
    right = [b";a", b";a=b", b";a=\"b\"", b";a=\"b\";c", b";a=\"b c\"",
             b";chunk-signature=0123456789abcdef"]
    for value in right:
        for where, make in (("size", extended), ("last", at_last)):
            yield Case("ext-right-%s/%s" % (where, name(value)),
                       "a well-formed extension", make(value), FORWARD)
    # The published shapes: what hides a chunk from one of two parsers.
    hidden = b"0\r\n\r\n" + smuggled
    for end in (b"\n", b"\r", b"\n\n", b"\x00", b"\x0b", b"\n\r"):
        yield Case("TERM.EXT/" + name(end),
                   "an extension's line ended by something else",
                   post(CHUNKED, body=b"2;" + end + b"xx\r\n%x\r\n" %
                        len(hidden) + hidden + b"\r\n0\r\n\r\n"), CUT)
        yield Case("EXT.TERM/" + name(end),
                   "an end of line taken for a part of the extension",
                   post(CHUNKED, body=b"2;" + end + b"\r\nxx\r\n0\r\n\r\n" +
                        smuggled), CUT)
        yield Case("TERM.SPILL/" + name(end),
                   "chunk data with another end",
                   post(CHUNKED, body=b"5\r\nhello" + end + b"%x\r\n" %
                        len(hidden) + hidden + b"\r\n0\r\n\r\n"), CUT)
        yield Case("SPILL.TERM/" + name(end),
                   "one byte too many behind chunk data",
                   post(CHUNKED, body=b"5\r\nhello" + end + b"\r\n0\r\n\r\n" +
                        smuggled), CUT)


def trailers():
    def trailed(lines):
        return post(CHUNKED, body=b"5\r\nhello\r\n0\r\n" + lines + b"\r\n")

    yield from rows("trailer-bad", "a trailer is a field line", CUT, [
        b"X : y\r\n", b" X: y\r\n", b"\tX: y\r\n", b"X\x00: y\r\n",
        b"X: y\n", b"X: y\r", b"X\r\n", b": y\r\n", b"X: a\x00b\r\n",
        b"X: a\x01b\r\n", b"X(: y\r\n", b"X: y\r\n folded\r\n",
        b"X: y\r\n\tfolded\r\n", b"X\xe9: y\r\n", b"X: a\x7f\r\n",
        b"X y\r\n", b"X: a\rb\r\n", b"X: y\n\r\n", b"X:y\r\n\n",
        b"X: \x1b[2J\r\n", b"\x00\r\n", b"\"X\": y\r\n"], trailed)
    fields = [b"Content-Length: 0", b"Content-Length: 99",
              b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip",
              b"Host: b.example", b"Connection: close",
              b"Connection: Content-Length", b"Authorization: Basic eDp5",
              b"Cookie: a=b", b"Content-Type: text/html", b"Trailer: X",
              b"Expect: 100-continue", b"TE: trailers", b"Upgrade: h2c",
              b"Content-Encoding: gzip", b"Range: bytes=0-1",
              b"X-Forwarded-For: 192.0.2.1", b"Forwarded: for=192.0.2.1",
              b"Via: 1.1 x", b"Matapalo-Exchange: 1", b"Keep-Alive: x",
              b"Set-Cookie: a=b", b"Proxy-Authorization: Basic eDp5",
              b"Max-Forwards: 0", b"X-Forwarded-Host: evil.example",
              b"Content-Range: bytes 0-1/2", b"Traceparent: 00-1-1-1"]
    yield from rows("trailer-field", "a trailer that frames or routes",
                    EITHER, fields, lambda f: trailed(f + b"\r\n"))
    yield from rows("trailer-right", "a trailer is dropped or sent on",
                    FORWARD, [
        b"X: y\r\n", b"X:\r\n", b"X: y\r\nZ: w\r\n", b"X:y\r\n",
        b"X: \xe9\r\n", b"x-checksum: 0123\r\n"], trailed)
    yield from rows("trailer-many", "trailers without end", EITHER, [
        b"X: y\r\n" * n for n in (50, 300, 3000)], trailed)
    yield from rows("trailer-long", "a long trailer", EITHER, [
        b"X: " + b"y" * n + b"\r\n" for n in (5000, 20000, 90000)], trailed)


# ---- every byte, in every place --------------------------------------------

def bytes_everywhere():
    for c in range(256):
        b = bytes([c])
        text = c == 9 or 32 <= c < 127 or c >= 128
        yield Case("byte-value/%02x" % c, "field-value (RFC 9110 5.5)",
                   head(b"X: a" + b + b"b"), FORWARD if text else REFUSE)
        # A tab or a blank here is no part of a name.
        yield Case("byte-name/%02x" % c, "field-name is a token",
                   head(b"X" + b + b"Y: z"),
                   FORWARD if b in TOKEN else
                   FORWARD if b == b":" else REFUSE)
        yield Case("byte-target/%02x" % c, "request-target (RFC 9112 3.2)",
                   head(start=b"GET /a" + b + b"b HTTP/1.1"),
                   REFUSE if c <= 32 or c == 127 or b in b"#\\" else
                   FORWARD if b in b"-._~!$&'()*+,;=:@/?" or
                   (b in TOKEN and b not in b"#%^`|") else EITHER)
        yield Case("byte-query/%02x" % c, "query (RFC 3986 3.4)",
                   head(start=b"GET /?a" + b + b"b HTTP/1.1"),
                   REFUSE if c <= 32 or c == 127 or b in b"#\\" else
                   FORWARD if b in b"-._~!$&'()*+,;=:@/?" or
                   (b in TOKEN and b not in b"#%^`|") else EITHER)
        yield Case("byte-host/%02x" % c, "uri-host (RFC 3986 3.2.2)",
                   head(host=b"Host: a" + b + b"b"),
                   FORWARD if b in b"-._~" or b.isalnum() else
                   EITHER if b in b"!$&'()*+,;=%:[]" else REFUSE)
        yield Case("byte-method/%02x" % c, "method is a known token",
                   head(start=b"GE" + b + b"T /echo HTTP/1.1"), REFUSE)
        yield Case("byte-before/%02x" % c, "a byte before the message",
                   b + head(), EITHER if b in b"\r\n" else REFUSE)
        yield Case("byte-size/%02x" % c, "a byte behind a chunk size",
                   post(CHUNKED, body=b"5" + b + b"\r\nhello\r\n0\r\n\r\n"),
                   EITHER if b == b";" else CUT)


# ---- lines -----------------------------------------------------------------

def fields():
    yield from rows("field", "not a field line", REFUSE, [
        b"X : y", b"X\t: y", b" X: y", b"\tX: y", b"X", b": y", b"X y: z",
        b"X: a\r\n folded", b"X: a\r\n\tfolded", b"X: a\r\n  \r\nY: b",
        b"X: a\nY: b", b"X: a\rY: b", b"X: a\x00b", b"X\x00: a", b"\x00: a",
        b"X: a\r\r\nY: b", b"X: a\n", b"X: a\r", b"\x00", b"X:\r a",
        b"X\r\n: a", b"X\n: a", b"=: a\x00", b"X: a\n\r\nY: b", b"\r",
        b"X: a\r\n\x0bY: b", b"X: a\r\n\x0cY: b", b"X: a\r\n\x00Y: b",
        b"X: a\r\n :b", b"X: a\n\nGET /SMUGGLED HTTP/1.1\nHost: b",
        b"X: a\n\r\n\rGET /SMUGGLED HTTP/1.1", b"X:a\x0d\x0bY:b",
        b"GET /SMUGGLED HTTP/1.1", b"Host", b"HTTP/1.1 200 OK"],
        lambda line: head(line))
    yield from rows("field-right", "odd, and right", FORWARD, [
        b"X:", b"X: ", b"X:y", b"X:\ty\t", b"X: \t y \t ", b"X: a:b:c",
        b"X: \"a\\\"b\"", b"X: caf\xe9", b"X: \xe2\x80\xae", b"X: =?utf-8?",
        b"X: a, b, , c", b"X: (comment (nested))", b"X: <script>",
        b"X: ${jndi:ldap://b}", b"X: %0d%0aSet-Cookie: a=b",
        b"X: %00", b"X: \\r\\nY: z", b"X: \xc4\x8d\xc4\x8a", b"X: () { :; }",
        b"__proto__: x", b"constructor: x", b"0: x", b"-: x", b"_: x",
        b"x.y: z", b"X: " + b"y" * 4000, b"X" * 200 + b": y",
        b"Accept: */*\r\nAccept: text/html", b"Cookie: a=b\r\nCookie: c=d",
        b"X: y\r\nx: z\r\nX: w", b"Content-Type: text/plain; charset=\"",
        b"Range: bytes=0-0,1-1", b"If-None-Match: *", b"Date: never"],
        lambda line: head(line))
    for end, tag in ((b"\n", "LF"), (b"\r", "CR"), (b"\n\r", "LFCR"),
                     (b"\r\r\n", "CRCRLF"), (b"\x0b", "VT"), (b"\x85", "NEL"),
                     (b"\xe2\x80\xa8", "LS"), (b"\r\n ", "fold"),
                     (b"\x00", "NUL"), (b"\r\x00\n", "CRNULLF")):
        whole = head(b"X: y", b"Z: w")
        yield Case("line-end/%s-all" % tag, "lines end in CRLF only",
                   whole.replace(b"\r\n", end) + b"\r\n\r\n", REFUSE)
        for i, line in enumerate((b"GET /echo HTTP/1.1", HOST, b"X: y")):
            if tag == "fold" and i == 0:
                continue    # a folded start line is a case of its own
            odd = whole.replace(line + b"\r\n", line + end, 1)
            want = REFUSE
            if tag in ("NEL", "LS") and i > 0:
                want = EITHER       # obs-text: the lines became one
            if tag == "VT" and i == 0:
                want = REFUSE
            yield Case("line-end/%s-%d" % (tag, i), "lines end in CRLF only",
                       odd, want)
        if tag not in ("fold",):
            yield Case("line-end/%s-last" % tag, "the empty line is CRLF",
                       whole[:-4] + end + end + b"\r\n\r\n",
                       EITHER if tag in ("NEL", "LS") else REFUSE)
    yield Case("line-end/fold-first", "a fold before any field",
               b"GET /echo HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n\r\n",
               REFUSE)
    for n in (1, 2, 3, 10):
        yield Case("empty-lines/%d" % n, "empty lines before a request",
                   b"\r\n" * n + head(), EITHER)
        yield Case("empty-lf/%d" % n, "bare LF before a request",
                   b"\n" * n + head(), EITHER)


def starts():
    yield from rows("start", "method SP target SP version CRLF", REFUSE, [
        b"GET  /echo HTTP/1.1", b"GET /echo  HTTP/1.1", b"GET\t/echo HTTP/1.1",
        b"GET /echo\tHTTP/1.1", b" GET /echo HTTP/1.1", b"\tGET / HTTP/1.1",
        b"GET /echo HTTP/1.1 ", b"GET /echo HTTP/1.1\t",
        b"GET /echo HTTP/1.1 x", b"GET /e cho HTTP/1.1", b"GET /echo",
        b"GET /echo ", b"GET", b"/echo HTTP/1.1", b"GET HTTP/1.1",
        b"GET /echo\x0bHTTP/1.1", b"GET\x0b/echo HTTP/1.1",
        b"GET\x0c/echo HTTP/1.1", b"GET\x00/echo HTTP/1.1",
        b"GET\xa0/echo HTTP/1.1", b"GET /echo\xa0HTTP/1.1",
        b"G@T /echo HTTP/1.1", b"GET: /echo HTTP/1.1", b"get /echo HTTP/1.1",
        b"Get /echo HTTP/1.1", b"GETS /echo HTTP/1.1", b"GE /echo HTTP/1.1",
        b"GET,POST /echo HTTP/1.1", b"GET /echo\x00 HTTP/1.1",
        b"GET /echo HTTP/1.1\rX: y", b"GET /echo\r HTTP/1.1",
        b"GET /echo\n HTTP/1.1", b"GET /a HTTP/1.1 /b HTTP/1.1",
        b"GET /a HTTP/1.1\x00", b"GET /a\rHTTP/1.1", b"GET /echo HTTP/1.1;",
        b"GET \"/echo\" HTTP/1.1", b"GET </echo> HTTP/1.1", b"GET ? HTTP/1.1",
        b"GET echo HTTP/1.1", b"GET .. HTTP/1.1", b"GET ./echo HTTP/1.1",
        b"GET * HTTP/1.1", b"POST * HTTP/1.1", b"GET *a HTTP/1.1",
        b"OPTIONS ** HTTP/1.1", b"OPTIONS */ HTTP/1.1", b"GET a:80 HTTP/1.1",
        b"OPTIONS *?a HTTP/1.1", b"GET a.example/ HTTP/1.1",
        b"GET @/ HTTP/1.1", b"GET :80/ HTTP/1.1", b"GET %2fecho HTTP/1.1",
        b"GET ;/echo HTTP/1.1", b"HTTP/1.1 200 OK", b"", b" ",
        b"GET /echo HTTP/1.1,HTTP/1.0"], lambda s: head(start=s))
    versions = [
        b"HTTP/1.2", b"HTTP/1.3", b"HTTP/1.9", b"HTTP/1.10", b"HTTP/2",
        b"HTTP/2.0", b"HTTP/3.0", b"HTTP/0.9", b"HTTP/0.0", b"HTTP/9.9",
        b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/1.1.1", b"http/1.1",
        b"Http/1.1", b"HTTP/01.1", b"HTTP/1.01", b"HTTP/-1.1", b"HTTP/+1.1",
        b"HTTP/1,1", b"HTTP 1.1", b"HTTP/x.y", b"HTTP/1.1\x00", b"XTTP/1.1",
        b"ICE/1.0", b"RTSP/1.0", b"HTTP/\xb9.1", b"HTTPS/1.1", b"HTTP/1.1a",
        b"HTTP/ 1.1", b"HTTP /1.1", b"HTTP//1.1", b"HTTP\\1.1", b"HTTP/1 .1",
        b"HTTP/11", b"HTTP/1.1/", b"HTTP/", b"HTTP", b"SHTTP/1.1",
        b"HTTP/1.-1", b"HTTP/0x1.1", b"HTTP/1.1\x0b", b"HTTP/2.1",
        b"HTTP/1.1#", b"HTTP/1.1?"]
    yield from rows("version", "HTTP/1.0 or HTTP/1.1", REFUSE, versions,
                    lambda v: head(start=b"GET /echo " + v))
    greetings = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                 b"PRI / HTTP/1.1\r\nHost: a\r\n\r\n",
                 b"PRI * HTTP/1.1\r\nHost: a\r\n\r\nSM\r\n\r\n",
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                 b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00" * 64, b"\xff" * 64,
                 b"EHLO a.example\r\n", b"USER a\r\n", b"<?xml?>\r\n\r\n",
                 b"{\"a\": 1}\r\n\r\n", b"*1\r\n$4\r\nPING\r\n",
                 b"GET\r\n\r\n", b"GET /\r\n\r\n", b"GET /\n\n",
                 b"\x05\x01\x00", b"stats\r\n", b"PROXY UNKNOWN\r\n",
                 b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
                 b"\r\n\r\n\x00\r\nQUIT\n"]
    yield from rows("greeting", "another protocol", REFUSE, greetings,
                    lambda g: g)


def methods():
    body = b"hello"
    for m in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS",
              b"PATCH", b"PROPFIND", b"REPORT", b"MKCOL", b"LOCK", b"SEARCH",
              b"PURGE", b"M-SEARCH", b"LINK"):
        start = m + b" /echo HTTP/1.1"
        yield Case("method/%s-body" % m.decode(), "any method may have one",
                   head(b"Content-Length: 5", start=start) + body, FORWARD)
    for m in (b"CONNECT", b"TRACE"):
        for target in (b"/echo", b"a.example:443", b"*", b"127.0.0.1:22",
                       b"http://a.example/", b"[::1]:80"):
            for extra in (b"X: y", b"Content-Length: 0", CHUNKED):
                yield Case("method/%s-%s-%s" % (m.decode(), name(target),
                                                name(extra)[:8]),
                           "no tunnel and no echo is made here",
                           head(extra, start=m + b" " + target +
                                b" HTTP/1.1"), REFUSE)
    yield from rows("method-unknown", "a method that no parser knows",
                    REFUSE, [
        b"FOO", b"GET0", b"GeT", b"X", b"G", b"SMUGGLE", b"TRACK",
        b"DEBUG", b"INDEX", b"__PROTO__", b"A" * 100, b"A" * 20000,
        b"GETGET", b"POSTGET", b"HEA", b"HEADS", b"0", b"-", b"~"],
        lambda m: head(start=m + b" /echo HTTP/1.1"))
    yield from rows("method-no-token", "what is no token is no method", REFUSE,
                    [b"GET/", b"GE(T", b"FOO@", b"{FOO}", b"F\xc3\xb6O"],
                    lambda m: head(start=m + b" /echo HTTP/1.1"))


def targets():
    yield from rows("target", "not an origin-form or http absolute-form",
                    REFUSE, [
        b"ftp://a/", b"file:///etc/passwd", b"http:///echo", b"http:/echo",
        b"http://", b"http:", b"http://a@b/echo", b"http://u:p@b/echo",
        b"http://a.example\\@b/", b"http://a.example#@b/", b"//b#c",
        b"http://b\\c/", b"http://a:b/", b"http://a:80:80/",
        b"http://a:99999999/", b"http://:80/", b"http://[::1/",
        b"http://[::1]x/", b"http://a b/", b"http://a,b@c/", b"ws://a/",
        b"gopher://a/_x", b"data:,x", b"javascript:x", b"urn:a:b",
        b"http:\\\\a\\", b"http://\xe9/", b"http://a\x00/", b"HTTP:/a",
        b"http://?a", b"http://#a", b"\\\\a\\b", b"\\/a", b"/a#b", b"/#",
        b"/a\\..\\b", b"http://a%00b/", b"https:a", b"mailto:a@b",
        b"http//a/", b"://a/", b"@a/", b"/\x7f", b"http://a/#b",
        b"http://a\tb/", b"http://[fe80::1%25eth0]@b/"],
        lambda t: head(start=b"GET " + t + b" HTTP/1.1"))
    yield from rows("target-absolute", "its authority never chooses a server",
                    EITHER, [
        b"http://a.example/echo", b"HTTP://a.example/echo",
        b"http://b.example/echo", b"http://127.0.0.1:1/echo",
        b"http://2130706433/echo", b"http://0x7f000001/echo",
        b"http://017700000001/echo", b"http://127.1/echo",
        b"http://[::1]/echo", b"http://[::ffff:127.0.0.1]/echo",
        b"http://[fe80::1%25lo]/echo", b"http://169.254.169.254/latest",
        b"http://localhost:22/", b"http://a.example", b"http://a.example?q",
        b"http://a.example?", b"http://a.example?/../x", b"http://a.example?@b/",
        b"http://a.example:80/echo", b"http://a.example:/echo",
        b"http://a.example./echo", b"http://A.EXAMPLE/echo",
        b"http://a%2eexample/echo", b"http://a.example;b/echo",
        b"http://a..example/echo", b"http://-/echo", b"http://a_b/echo",
        b"http://a.example//echo", b"http://a.example/http://b.example/",
        b"https://a.example/echo", b"http://[::1]:1/echo",
        b"http://[::]:1/echo", b"http://0/echo", b"http://0.0.0.0:1/echo",
        b"http://xn--a-0ga/echo", b"http://a.example:00080/echo",
        b"http://127.0.0.1.nip.invalid/echo", b"http://a*b/echo"],
        lambda t: head(start=b"GET " + t + b" HTTP/1.1"))
    yield from rows("path", "odd bytes of a path reach the origin untouched",
                    EITHER, [
        b"//", b"///", b"//echo", b"//b.example/echo", b"/a//b", b"/a/./b",
        b"/a/../b", b"/../a", b"/..", b"/.", b"/a/..", b"/a/.", b"/a/...",
        b"/%2e%2e/a", b"/a/%2e%2e/b", b"/a/%2E./b", b"/a/.%2e/b",
        b"/a%2fb", b"/a%2Fb", b"/%2f", b"/%2f%2fb.example", b"/a%5cb",
        b"/..%2fa", b"/..%5ca", b"/%2e%2e%2fa", b"/a;b", b"/a;b=c/d",
        b"/a/..;/b", b"/;/a", b"/a/;x/../b", b"/.;/a", b"/a%3bb",
        b"/%00", b"/a%00b", b"/a%00/../b", b"/a%", b"/a%2", b"/a%zz",
        b"/a%%32e", b"/a%252e%252e/b", b"/%c0%ae%c0%ae/a", b"/%c0%af",
        b"/%e0%80%af", b"/%f0%80%80%af", b"/%ff", b"/caf%C3%A9",
        b"/caf%c3%a9", b"/%u002e%u002e/a", b"/a%0d%0aX:y", b"/a%0a", b"/a%09",
        b"/a%20b", b"/a+b", b"/%41", b"/%61dmin", b"/ADMIN", b"/admin.",
        b"/admin%20", b"/admin%2e", b"/admin/.", b"/a%3fb", b"/a%23b",
        b"/a?b?c", b"/a?", b"/?", b"/a?b#".rstrip(b"#"), b"/a?../b",
        b"/a?%00", b"/a?%0d%0a", b"/a?a=1&a=2", b"/a?a[]=1", b"/a?a=%",
        b"/a?http://b/", b"/a/http://b/", b"/a:80", b"/a@b", b"/@b",
        b"/a&b", b"/a=b", b"/!$&'()*+,;=:@", b"/~a", b"/-._~", b"/a'b",
        b"/a\"b", b"/a<b>", b"/a^b", b"/a`b", b"/a|b", b"/a{b}", b"/a[b]",
        b"/\xc3\xa9", b"/\xe9", b"/\xc0\xae", b"/a?\xe9", b"/%2a", b"/*",
        b"/.%00./a", b"/a/%2e%2e%00/b", b"/%ef%bc%8e%ef%bc%8e/a",
        b"/a\xef\xbc\x8fb", b"/." * 500, b"/.." * 500, b"/" * 500,
        b"/a" * 500, b"/%2e" * 500],
        lambda t: head(start=b"GET " + t + b" HTTP/1.1"))
    for m in (b"OPTIONS",):
        yield Case("target/options-star", "OPTIONS * (RFC 9112 3.2.4)",
                   head(start=b"OPTIONS * HTTP/1.1"), EITHER)
    for n in (1000, 4000, 7000, 8000, 15000):
        yield Case("target-long/%d" % n, "a long target",
                   head(start=b"GET /" + b"a" * n + b" HTTP/1.1"), EITHER)
        yield Case("query-long/%d" % n, "a long query",
                   head(start=b"GET /?" + b"a" * n + b" HTTP/1.1"), EITHER)
    for n in (17000, 20000, 66000, 70000, 300000):
        yield Case("target-huge/%d" % n, "beyond 16 KiB",
                   head(start=b"GET /" + b"a" * n + b" HTTP/1.1"), REFUSE)


def hosts():
    yield from rows("host", "exactly one valid Host (RFC 9112 3.2)", REFUSE, [
        b"", b"Host:", b"Host: ", b"Host: a b", b"Host: a/b", b"Host: a@b",
        b"Host: a\\b", b"Host: a?b", b"Host: a#b", b"Host: [::1",
        b"Host: a:b", b"Host: a:80:80", b"Host: a:99999999", b"Host: a:65536", b"Host: :80",
        b"Host: a\x00b", b"Host: <a>", b"Host: \"a\"", b"Host: a\xe9",
        b"Host: a\r\nHost: a", b"Host: a\r\nHost: b", b"Host: a\r\nhost: b",
        b"Host: a\r\nHost:", b"Host:\r\nHost: a", b"Host : a", b"Host\t: a",
        b" Host: a", b"Host: a\r\n b", b"Host: a\x0bb", b"Host: a, b",
        b"Host: http://a/", b"Host: a:80/", b"Host: u:p@a", b"Host: a|b",
        b"Host: a^b", b"Host: {a}", b"Host: a`b", b"Host: [::1]a",
        b"Host: [::1]:b", b"Host: a:-1", b"Host: a:+80",
        b"Host: a: 80", b"Host: a :80", b"Hosts: a", b"X-Host: a",
        b"H\x00ost: a", b"Host: a\nX: y", b"Host: " + b"a" * 300,
        b"Host: a\r\nX: y\r\nHOST: c", b"Host: %", b"Host: a%zz",
        b"Host: [a]", b"Host: []", b"Host: a[", b"Host: ]a", b"Host: [::1]]",
        b"Host: a[::1]", b"Host: [::1%lo]", b"Host: a%00b",
        b"Host: a%0d%0ab", b"Host: [gggg::1]"],
        lambda h: head(host=h))
    yield from rows("host-right", "names, addresses, ports", FORWARD, [
        b"Host: a", b"Host: a.example:8080", b"Host: [::1]",
        b"Host: [::1]:8080", b"Host: 127.0.0.1", b"Host: A.EXAMPLE",
        b"host:a", b"HOST: a", b"Host: a.example.", b"Host: xn--a-0ga"],
        lambda h: head(host=h))
    yield from rows("host-odd", "what is legal and strange", EITHER, [
        b"Host: a,b", b"Host: a;b", b"Host: a_b", b"Host: -", b"Host: .",
        b"Host: a..b", b"Host: a%41", b"Host: a:0", b"Host: a:00080",
        b"Host: a:", b"Host: [::1]:", b"Host: 2130706433",
        b"Host: 0x7f.1", b"Host: [v1.a]", b"Host: a!b", b"Host: a*b",
        b"Host: *", b"Host: $a", b"Host: a'b", b"Host: (a)", b"Host: a=b",
        b"Host: a+b", b"Host: a&b", b"Host: ~", b"Host: 169.254.169.254",
        b"Host: localhost", b"Host: " + b"a" * 250],
        lambda h: head(host=h))
    for target, h in ((b"http://a.example/", b"Host: b.example"),
                      (b"http://a.example/", b"Host: a.example:80"),
                      (b"http://a.example:81/", b"Host: a.example"),
                      (b"http://127.0.0.1/", b"Host: a.example"),
                      (b"http://a.example?x", b"Host: b.example"),
                      (b"//b.example/", b"Host: a.example"),
                      (b"/http://b.example/", b"Host: a.example")):
        yield Case("host-mismatch/%s-%s" % (name(target), name(h[6:])),
                   "the target's authority wins (RFC 9112 3.2.2)",
                   head(start=b"GET " + target + b" HTTP/1.1", host=h),
                   EITHER)
    for h in (None, b"Host:", b"Host: a@b", b"Host: a\r\nHost: b"):
        yield Case("host-absolute/%s" % name(h or b"none"),
                   "absolute-form does not excuse the field",
                   head(start=b"GET http://a.example/ HTTP/1.1", host=h),
                   REFUSE)


# ---- hop by hop, expectations, other protocols -----------------------------

END_TO_END = [
    b"Host", b"Content-Length", b"Content-Type", b"Content-Encoding",
    b"Content-Range", b"Authorization", b"Proxy-Authorization", b"Cookie",
    b"Via", b"Forwarded", b"X-Forwarded-For", b"X-Forwarded-Proto",
    b"X-Forwarded-Host", b"X-Forwarded-Port", b"X-Real-IP", b"Expect",
    b"Prefer", b"Range", b"If-Match", b"If-None-Match",
    b"If-Modified-Since", b"If-Unmodified-Since", b"If-Range",
    b"Cache-Control", b"Origin", b"Max-Forwards", b"Matapalo-Exchange",
    b"Idempotency-Key", b"Traceparent", b"Tracestate", b"Date", b"Referer", b"Accept", b"User-Agent"]


def connection():
    why = "Connection must not name an end-to-end field"
    for f in END_TO_END:
        for value, tag in ((f, "alone"), (b"close, " + f, "second"),
                           (f.lower() + b",keep-alive", "lower"),
                           (f.upper(), "upper")):
            yield Case("connection/%s-%s" % (f.decode(), tag), why,
                       head(b"Connection: " + value, f + b": 5"
                            if f not in (b"Host", b"Content-Length",
                                         b"Expect")
                            else b"X: y"), REFUSE)
        yield Case("connection/%s-twoline" % f.decode(), why,
                   head(b"Connection: keep-alive", b"Connection: " + f),
                   REFUSE)
    yield from rows("connection-own", "its own fields end here", EITHER, [
        b"X-Private", b"keep-alive, X-Private", b"x-private , close",
        b"X-Private,,", b",X-Private", b"close,close", b"Close", b"\"close\"",
        b"close;q=1", b"keep-alive", b"close, keep-alive", b"TE",
        b"TE, Trailer", b"Upgrade", b"Connection", b"Proxy-Connection",
        b"Keep-Alive", b"", b",", b"a b", b"close x", b"X-Private;",
        b"(close)", b"close=1", b"\xe9", b"X" * 5000, b"a," * 2000],
        lambda v: head(b"Connection: " + v, b"X-Private: 1",
                       b"Keep-Alive: timeout=9", b"Proxy-Connection: x"))
    yield from rows("hop", "ends at this hop", EITHER, [
        b"Keep-Alive: timeout=5", b"Proxy-Connection: keep-alive",
        b"TE: trailers", b"TE: chunked", b"TE: gzip;q=1", b"Trailer: X",
        b"Trailer: Content-Length", b"Upgrade: x", b"TE: trailers\r\n"
        b"Connection: TE", b"Proxy-Authenticate: Basic",
        b"Via: 1.1 a, 1.1 b", b"Via: 1.1 matapalo",
        b"Max-Forwards: 0", b"X-Forwarded-For: 192.0.2.1",
        b"X-Forwarded-For: a, b\r\nX-Forwarded-For: c",
        b"Forwarded: for=192.0.2.1", b"Forwarded: for=\"\\\"\"",
        b"Matapalo-Exchange: 1", b"X-Forwarded-Host: evil.example",
        b"X-Forwarded_For: 192.0.2.1", b"X_Forwarded_For: 192.0.2.1"],
        lambda line: head(line))


def expectations():
    yield from rows("expect", "only 100-continue is understood", REFUSE, [
        b"200-ok", b"100-continue, x", b"x", b"", b"100-continue;a",
        b"100", b"\"100-continue\"", b"100-continue x", b"100-continues",
        b"100_continue", b"100-continue\x0b", b"\x00"],
        lambda v: post(b"Expect: " + v, b"Content-Length: 5", body=b"hello"))
    for value in (b"100-continue", b"100-Continue", b"100-CONTINUE"):
        yield Case("expect-right/" + name(value), "names have no case",
                   post(b"Expect: " + value, b"Content-Length: 5",
                        body=b"hello"), FORWARD)
        yield Case("expect-chunked/" + name(value), "with chunks",
                   post(b"Expect: " + value, CHUNKED,
                        body=b"5\r\nhello\r\n0\r\n\r\n"), EITHER)
    yield Case("expect/get", "without a body there is nothing to expect",
               head(b"Expect: 100-continue"), EITHER)
    yield Case("expect/zero", "a body of nothing",
               post(b"Expect: 100-continue", b"Content-Length: 0"), EITHER)
    yield Case("expect/twice", "two lines", post(
        b"Expect: 100-continue", b"Expect: 100-continue",
        b"Content-Length: 5", body=b"hello"), EITHER)
    yield Case("expect/second", "the second line is another", post(
        b"Expect: 100-continue", b"Expect: x", b"Content-Length: 5",
        body=b"hello"), REFUSE)
    for order in (0, 1):
        lines = [b"Expect: 100-continue", b"Content-Length: 5"]
        if order:
            lines.reverse()
        yield Case("expect/no-body-%d" % order, "expects, and sends nothing",
                   post(*lines), EITHER)


def upgrades():
    behind = b"GET /SMUGGLED HTTP/1.1\r\nHost: b\r\n\r\n"
    h2c = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
           b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"]
    lists = {
        "h2c": h2c, "h2c-no-settings": h2c[:2],
        "h2c-no-connection": h2c[1:],
        "h2c-two": h2c + [b"Upgrade: websocket"],
        "h2c-split": [b"Connection: Upgrade", b"Connection: HTTP2-Settings",
                      b"Upgrade: h2c", h2c[2]],
        "tls": [b"Connection: Upgrade", b"Upgrade: TLS/1.0"],
        "h2": [b"Connection: Upgrade", b"Upgrade: h2"],
        "http2": [b"Connection: Upgrade", b"Upgrade: HTTP/2.0"],
        "list": [b"Connection: Upgrade", b"Upgrade: h2c, websocket"],
        "empty": [b"Connection: Upgrade", b"Upgrade:"],
        "no-connection": [b"Upgrade: websocket"],
        "no-upgrade": [b"Connection: Upgrade"],
        "no-version": [b"Connection: Upgrade", b"Upgrade: websocket",
                       b"Sec-WebSocket-Version: 777",
                       b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]}
    for tag, lines in lists.items():
        yield Case("upgrade/" + tag, "an upgrade is no way around the parser",
                   head(*lines), EITHER)
        yield Case("upgrade-behind/" + tag, "a request behind an upgrade",
                   head(*lines) + behind, EITHER)
        yield Case("upgrade-body/" + tag, "an upgrade with a body",
                   post(*lines, b"Content-Length: 5", body=b"hello"), EITHER)
        yield Case("upgrade-chunks/" + tag, "an upgrade with chunks",
                   post(*lines, CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"),
                   EITHER)


# ---- sizes and pipelines ----------------------------------------------------

def sizes():
    yield from rows("head-huge", "more than 64 KiB or 256 fields", REFUSE, [
        b"X: " + b"a" * 70000, b"X: " + b"a" * 300000, b"X" * 70000 + b": a",
        b"X: y\r\n" * 300 + b"Z: w", b"X: y\r\n" * 3000 + b"Z: w",
        (b"X: " + b"y" * 900 + b"\r\n") * 100 + b"Z: w",
        b":" * 70000, b"X: " + b" " * 70000 + b"a"],
        lambda line: head(line))
    yield from rows("head-large", "large, and allowed", EITHER, [
        b"X: " + b"a" * 3000, b"X: " + b"a" * 7000, b"X: " + b"a" * 20000,
        b"X: " + b"a" * 50000, b"X: y\r\n" * 90 + b"Z: w",
        b"X: y\r\n" * 200 + b"Z: w", b"X" * 1000 + b": y",
        b"X:" + b" " * 3000 + b"y", b"X: y" + b" " * 3000],
        lambda line: head(line))
    yield Case("method-huge", "a method without end", b"G" * 100000, REFUSE)
    for n in (1, 100, 4096, 8191, 16384, 65536):
        yield Case("body/%d" % n, "a body of that length",
                   post(b"Content-Length: %d" % n, body=b"b" * n), FORWARD)


def pipelines():
    get, six = head(), post(b"Content-Length: 6", body=b"GET / ")
    chunky = post(CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n")
    bad = head(b"X : y")
    pieces = {"get": get, "post": six, "chunks": chunky,
              "head": head(start=b"HEAD /echo HTTP/1.1"),
              "delete": head(b"Content-Length: 2",
                             start=b"DELETE /echo HTTP/1.1") + b"{}"}
    for a in pieces:
        for b in pieces:
            yield Case("pipeline/%s-%s" % (a, b), "two in one packet",
                       pieces[a] + pieces[b], FORWARD)
        yield Case("pipeline/%s-bad" % a, "the second is malformed",
                   pieces[a] + bad, EITHER)
        yield Case("pipeline/%s-garbage" % a, "garbage behind",
                   pieces[a] + b"\x00garbage\r\n\r\n", EITHER)
        yield Case("pipeline/%s-blank" % a, "an empty line between",
                   pieces[a] + b"\r\n" + pieces[a], EITHER)
        yield Case("pipeline/%s-close" % a, "nothing is read behind a close",
                   pieces[a].replace(HOST, HOST + b"\r\nConnection: close", 1)
                   + get, EITHER)
        yield Case("pipeline/%s-half" % a, "half a request behind",
                   pieces[a] + b"GET /SMUG", EITHER)
    yield Case("pipeline/fifty", "fifty in one packet", get * 50, FORWARD)
    yield Case("pipeline/extra-crlf", "a body one CRLF too long",
               post(b"Content-Length: 5", body=b"hello\r\n"), EITHER)
    yield Case("pipeline/short", "a body one byte too long",
               post(b"Content-Length: 4", body=b"hello"), EITHER)


FAMILIES = (
    lengths, codings, both, silent, old, chunk_sizes, chunk_ends, extensions,
    trailers, bytes_everywhere, fields, starts, methods, targets, hosts,
    connection, expectations, upgrades, sizes, pipelines)


def cases():
    """All of them, each id once."""
    seen = {}
    for family in FAMILIES:
        for case in family():
            n = seen.get(case.id, 0)
            seen[case.id] = n + 1
            if n:
                case = case._replace(id="%s#%d" % (case.id, n + 1))
            yield case
