# SPDX-License-Identifier: Apache-2.0
"""Promise H4, no request forgery: whatever a client names, or an origin in a
redirect, only the configured origin is asked, and nobody is looked up."""
import itertools
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import judge  # noqa: E402
from judge import lib  # noqa: E402
from recorder import Recorder  # noqa: E402

METHODS = ("GET", "POST", "OPTIONS", "CONNECT", "TRACE")


def targets(port):
    """Every way to name a server that is not the configured one."""
    at = "127.0.0.1:%d" % port
    hosts = [at, "localhost:%d" % port, "a@" + at, at + "@a", "a:b@" + at,
             "a\\@" + at, "a#@" + at, "a%%40%s" % at, "a%%23@%s" % at,
             "2130706433:%d" % port, "0x7f000001:%d" % port,
             "0177.0.0.1:%d" % port, "127.1:%d" % port, "0:%d" % port,
             "[::ffff:127.0.0.1]:%d" % port, "[::1]:%d" % port,
             "[::1%%25lo]:%d" % port, "[fe80::1%%25eth0]:%d" % port,
             "[::1%%lo]:%d" % port, "[v1.a]:%d" % port, "127.0.0.1.:%d" % port,
             "\u2460\u2461.example:%d" % port, "bait.example:%d" % port,
             "metadata.invalid", "169.254.169.254"]
    schemes = ["http://", "HTTP://", "https://", "http:/", "http:", "ftp://",
               "file://", "gopher://", "unix:", "//", "/\\", "\\\\", "/http://",
               "/?url=http://", "", "http://legacy@", "/x#http://", "*http://"]
    for scheme, host in itertools.product(schemes, hosts):
        for path in ("", "/x"):
            yield scheme + host + path


def requests(port):
    """(method, bytes). The fields name a server as well: nobody calls back."""
    at = "127.0.0.1:%d" % port
    fields = "".join("%s\r\n" % line for line in (
        "X-Forwarded-Host: " + at, 'Forwarded: host="%s"' % at,
        "X-Original-URL: http://%s/" % at, "X-Rewrite-URL: http://%s/" % at,
        "X-Callback-Url: http://%s/done" % at, "Reply-To: http://%s/" % at,
        "Prefer: respond-async", "Link: <http://%s/>; rel=monitor" % at,
        "ce-source: http://%s/" % at, "Location: http://%s/" % at,
        "Referer: http://%s/" % at, "Origin: http://" + at))
    for number, target in enumerate(targets(port)):
        method = METHODS[number % len(METHODS)]
        host = (at, "shop.example", "a@" + at)[number % 3]
        yield method, ("%s %s HTTP/1.1\r\nHost: %s\r\n%sConnection: close"
                       "\r\n\r\n" % (method, target, host, fields)).encode()


class Watch:
    """The connects of a process, where strace may look at it."""

    def __init__(self, case, matapalo):
        self.path, self.process = case.path("connects"), None
        if not shutil.which("strace"):
            return
        self.process = case.start("strace", [
            "strace", "-f", "-e", "trace=connect,sendto,sendmsg", "-o",
            self.path, "-p", str(matapalo.pid)])
        lib.wait_for(lambda: "attached" in self.process.err() or
                     not self.process.alive(), "strace to attach")
        if not self.process.alive():
            self.process = None

    def destinations(self):
        """{(port, address)} of all connects and datagrams; None: unseen."""
        if not self.process:
            return None
        self.process.kill_group()
        self.process.wait()
        found = set()
        with open(self.path) as f:
            for line in f:
                to = re.search(r"sin6?_port=htons\((\d+)\).*?\"([^\"]+)\"",
                               line)
                if to:
                    found.add((int(to.group(1)), to.group(2)))
                elif re.search(r"connect\(\d+, \{sa_family=AF_UNIX", line):
                    found.add((0, line.strip()))
        return found


def ask_all(case, matapalo, bait):
    counts, sent = {}, 0
    for method, data in requests(bait.port):
        sent += 1
        statuses = judge.Talk(matapalo.port, data, 5).statuses()
        counts[statuses[0]] = counts.get(statuses[0], 0) + 1
        if method in ("CONNECT", "TRACE"):
            case.check(statuses[0] in (400, 405, 501), "%s: %d, %r"
                       % (method, statuses[0], data[:60]))
    at = "127.0.0.1:%d" % bait.port
    for line in ("CONNECT bait.example:443", "CONNECT " + at, "TRACE /x",
                 "TRACE http://%s/x" % at):
        status = judge.Talk(matapalo.port, (
            "%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            % line).encode(), 5).statuses()[0]
        case.check(status in (405, 501), "%s: %d" % (line, status))
    print("%d targets: answers %s" % (sent, counts))
    case.check(counts.get(200, 0) > 10, "some were forwarded")


def redirect(case, matapalo, bait):
    """A redirect is the client's to follow."""
    for status in (301, 302, 303, 307, 308):
        talk = judge.Talk(matapalo.port, judge.plain(
            "/redirect/%d" % status, "Connection: close"), 5)
        case.equal(talk.statuses(), [status], "a redirect goes through")
        case.check(b"http://127.0.0.1:%d/" % bait.port in talk.heard,
                   "with its Location")


def scenario(case):
    bait = Recorder(case, strict=False)

    def answer(reading):
        status = re.match(rb"/redirect/(\d+)", reading.target)
        return b"HTTP/1.1 %s X\r\nLocation: http://127.0.0.1:%d/\r\n" \
            b"Refresh: 0; url=http://127.0.0.1:%d/\r\n" \
            b"Content-Length: 0\r\n\r\n" % (
                status.group(1) if status else b"200", bait.port, bait.port)
    origin = Recorder(case, answer=answer)
    matapalo = judge.matapalo(case, origin.url)
    watch = Watch(case, matapalo)
    ask_all(case, matapalo, bait)
    redirect(case, matapalo, bait)
    case.equal(bait.connections, 0, "connections to a server of the client's")
    case.equal(origin.flaws, [], "flaws")
    seen = watch.destinations()
    if seen is None:
        print("strace may not look: connects to others were not watched")
    else:
        case.equal(seen, {(origin.port, "127.0.0.1")}, "all connects")
    case.equal(matapalo.stop(), 0, "exit status")


lib.main(scenario)
