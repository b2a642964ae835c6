# SPDX-License-Identifier: Apache-2.0
"""The PROXY protocol on a listener with the option proxy: by hand, and with
HAProxy in front where it is installed."""
import shutil
import socket
import struct
import time

import lib
from lib import Client, make_request

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
REFUSED = "matapalo_proxy_headers_refused_total"


def v2(command, family, block, tlv=b""):
    return SIGNATURE + struct.pack(">BBH", 0x20 | command, family,
                                   len(block) + len(tlv)) + block + tlv


V4 = socket.inet_aton("192.0.2.2") + socket.inet_aton("198.51.100.7") + \
    struct.pack(">HH", 4711, 8443)
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::3") * 2 + \
    struct.pack(">HH", 4711, 8443)


def told(echo):
    fields = {n.lower(): v for n, v in echo["headers"]}
    return fields["x-forwarded-for"], fields.get("x-forwarded-port")


def headers_are_read(case, port):
    rows = [
        (V1, ("192.0.2.1", "443")),
        (b"PROXY TCP6 2001:DB8::9 ::1 1 80\r\n", ("2001:db8::9", "80")),
        (b"PROXY UNKNOWN\r\n", ("127.0.0.1", str(port))),
        (v2(1, 0x11, V4), ("192.0.2.2", "8443")),
        (v2(1, 0x21, V6, b"\x04\0\x03abc"), ("2001:db8::3", "8443")),
        (v2(1, 0x11, V4, b"\x04" + struct.pack(">H", 60000) + b"x" * 60000),
         ("192.0.2.2", "8443")),
        (v2(0, 0, b""), ("127.0.0.1", str(port))),
        (v2(1, 0x31, b"/" * 216), ("127.0.0.1", str(port))),
    ]
    for header, expected in rows:
        with Client(port) as client:
            client.send(header + make_request("GET", "/echo?n=1"))
            case.equal(told(client.read().json()), expected,
                       repr(header[:30]))
            client.send(make_request("GET", "/echo?n=2"))
            case.equal(told(client.read().json()), expected, "kept alive")
    with Client(port) as client:
        for byte in v2(1, 0x21, V6, b"\x04\0\x03abc") + \
                make_request("GET", "/echo?n=3"):
            client.send(bytes([byte]))
        case.equal(told(client.read().json())[0], "2001:db8::3",
                   "byte by byte")


def others_are_refused(case, matapalo):
    before = matapalo.metrics()[REFUSED]
    bad = [make_request("GET", "/echo"), b"PROXY TCP4 1.2.3.4\r\n",
           b"PROXY  TCP4 1.1.1.1 1.1.1.1 1 1\r\n", v2(1, 0x12, V4),
           b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n"]
    for data in bad:
        with Client(matapalo.port) as client:
            client.send(data)
            case.check(client.is_closed(), "closed: %r" % data[:40])
    case.equal(matapalo.metrics()[REFUSED] - before, len(bad), "counted")
    with Client(matapalo.port) as client:
        client.send(V1 + V1 + make_request("GET", "/echo"))
        case.equal(client.read().status, 501, "one header only")


def deadline(case, origin):
    matapalo = case.matapalo(legacy=origin.url, listen="127.0.0.1:0,proxy",
                             args=["--head", "500ms"])
    with Client(matapalo.port) as client:
        start = time.monotonic()
        client.send(V1[:20])
        case.check(client.is_closed(), "half a header")
        took = time.monotonic() - start
        case.check(0.4 < took < 2, "closed after %.2f s" % took)
    case.equal(matapalo.stop(), 0, "exit status")


def only_trusted(case, origin):
    matapalo = case.matapalo(legacy=origin.url, listen="127.0.0.1:0,proxy",
                             args=["--trusted-proxy", "10.0.0.0/8"])
    with Client(matapalo.port) as client:
        client.send(V1 + make_request("GET", "/echo"))
        case.check(client.is_closed(), "a sender that is not trusted")
    case.equal(matapalo.stop(), 0, "exit status")


CONFIGURATION = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
listen one
    bind 127.0.0.1:%d
    server s 127.0.0.1:%d send-proxy
listen two
    bind 127.0.0.1:%d
    server s 127.0.0.1:%d send-proxy-v2
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def is_open(port):
    try:
        Client(port).close()
        return True
    except OSError:
        return False


def behind_haproxy(case, matapalo):
    haproxy = shutil.which("haproxy") or shutil.which("haproxy",
                                                      path="/usr/sbin")
    if not haproxy:
        print("haproxy is not installed: not tried")
        return
    ports = free_port(), free_port()
    with open(case.path("haproxy.cfg"), "w") as f:
        f.write(CONFIGURATION % (ports[0], matapalo.port, ports[1],
                                 matapalo.port))
    case.start("haproxy", [haproxy, "-db", "-f", case.path("haproxy.cfg")])
    for port in ports:
        lib.wait_for(lambda: is_open(port), "haproxy")
        with Client(port) as client:
            client.send(make_request("GET", "/echo"))
            case.equal(told(client.read().json()),
                       ("127.0.0.1", str(port)), "behind HAProxy")


def scenario(case):
    origin = case.origin("legacy")
    matapalo = case.matapalo(legacy=origin.url, listen="127.0.0.1:0,proxy")
    headers_are_read(case, matapalo.port)
    others_are_refused(case, matapalo)
    behind_haproxy(case, matapalo)
    case.equal(matapalo.stop(), 0, "exit status")
    deadline(case, origin)
    only_trusted(case, origin)


lib.main(scenario)
