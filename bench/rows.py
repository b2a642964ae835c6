# SPDX-License-Identifier: Apache-2.0
"""The rows of the comparison: what is asked for, over how many connections,
with how many workers, with or without TLS on the client's side."""
import collections
import itertools
import re

KIB = 1024
LEVELS = (4, 32, 256, 2000)

# name: method, path at the origin, bytes up, bytes down
REQUESTS = collections.OrderedDict([
    ("get1k", ("GET", "/1024", 0, KIB)),
    ("post1k", ("POST", "/100", KIB, 100)),
    ("get64k", ("GET", "/65536", 0, 64 * KIB)),
    ("post64k", ("POST", "/100", 64 * KIB, 100)),
    ("get1m", ("GET", "/1048576", 0, KIB * KIB)),
])


class Row(collections.namedtuple("Row", "request level workers tls rate")):
    """rate 0: each connection asks again as soon as it is answered; else
    so many requests a second, whether answers come or not."""

    @property
    def name(self):
        return "%s c=%d w=%d%s%s" % (
            self.request, self.level, self.workers,
            " tls" if self.tls else "",
            " at %d/s" % self.rate if self.rate else "")

    @property
    def method(self):
        return REQUESTS[self.request][0]

    @property
    def path(self):
        return REQUESTS[self.request][1]

    @property
    def up(self):
        return REQUESTS[self.request][2]

    @property
    def down(self):
        return REQUESTS[self.request][3]

    @property
    def bytes_at_once(self):
        return self.level * max(self.up, self.down)

    def requests_of(self, window):
        """Large bodies by bytes: two thousand halves are a thousand."""
        if self.up >= 64 * KIB:
            return window["bytes_out"] / self.up
        if self.down >= 64 * KIB:
            return window["bytes_in"] / self.down
        return window["requests"]


def every():
    found = [Row(request, level, workers, tls, 0)
             for tls, workers, request, level in itertools.product(
                 (False, True), (1, 2), REQUESTS, LEVELS)]
    return found + [Row("get1k", 64, 1, tls, 8000) for tls in (False, True)]


def is_main(row):
    """What `make bench` measures: one change at a time from 1 KiB GET."""
    changes = (row.request != "get1k") + (row.workers != 1) + row.tls
    if row.rate:
        return not row.tls
    return changes == 0 or changes == 1 and row.level == 32


def named(text):
    """A row from its name; None for names of other versions."""
    match = re.fullmatch(r"(\w+) c=(\d+) w=(\d+)( tls)?(?: at (\d+)/s)?",
                         text)
    if not match or match.group(1) not in REQUESTS:
        return None
    return Row(match.group(1), int(match.group(2)), int(match.group(3)),
               bool(match.group(4)), int(match.group(5) or 0))


def selected(which, pattern):
    """In the order of the page; which is "main" or "all"."""
    return [row for row in every() if (which == "all" or is_main(row)) and
            re.search(pattern, row.name)]
