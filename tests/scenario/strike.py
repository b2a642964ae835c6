# SPDX-License-Identifier: Apache-2.0
"""The file that strike.so looks at: where it strikes next, and how."""
import errno
import mmap
import os
import struct

import lib

LIBRARY = os.path.join(lib.BUILD, "tests", "tools", "strike.so")
# As in strike.c.
POINTS = ("nowhere", "log-write", "log-written", "log-sync", "log-synced",
          "db-write", "db-written", "db-sync", "db-synced", "open",
          "truncate", "unlink", "rename", "delete", "rules", "rules-read")
KILL, FAIL, SHORT, HANG = 1, 2, 3, 4
FOR_EVER = 1 << 30
ERRORS = (errno.EIO, errno.ENOSPC, errno.EDQUOT)


class Strike:
    def __init__(self, case):
        path = case.path(case.unique("strike"))
        size = 4 * (8 + len(POINTS))
        with open(path, "wb") as f:
            f.write(bytes(size))
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), size)
        self.environment = dict(os.environ, LD_PRELOAD=os.path.abspath(
            LIBRARY), STRIKE_FILE=path)
        # A sanitizer wants to be loaded first: nothing will ever strike.
        self.works = not lib.is_sanitized()
        if not self.works:
            del self.environment["LD_PRELOAD"]

    def _get(self, i):
        return struct.unpack_from("i", self.map, 4 * i)[0]

    def _put(self, i, value):
        struct.pack_into("i", self.map, 4 * i, value)

    def arm(self, point, action, nth=1, more=0, number=errno.EIO):
        """The nth pass of `point` from now on, and `more` that follow."""
        self.disarm()
        for i, value in ((1, action), (2, number), (3, nth), (4, more),
                         (5, 0)):
            self._put(i, value)
        self._put(0, POINTS.index(point))

    def disarm(self):
        """Returns how often it struck."""
        self._put(0, 0)
        return self.struck()

    def struck(self):
        return self._get(5)

    def passed(self, point):
        return self._get(6 + POINTS.index(point))

    def clock(self, jump=0, frozen_at=0):
        """Moves the wall clock by seconds, or lets it stand still."""
        self._put(6 + len(POINTS), jump)
        self._put(7 + len(POINTS), frozen_at)
