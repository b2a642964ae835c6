# SPDX-License-Identifier: Apache-2.0
"""The results as a file: each row and part is replaced as a whole, because
ratios hold within one run only, and is on disk as soon as it is known."""
import hashlib
import json
import os
import platform
import subprocess
import time

import lib

FORMAT = 1
PATH = os.path.join(lib.BUILD, "bench", "results.json")
PARTS = ("rows", "idle", "calls", "mirrored", "journal")


def binary_id():
    with open(lib.MATAPALO, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()[:12]


def machine(data):
    model = "unknown processor"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    kind = subprocess.run(["stat", "-f", "-c", "%T", data],
                          capture_output=True, text=True).stdout.strip()
    return {"processor": model, "cores": os.cpu_count(),
            "kernel": platform.release(), "journal_on": kind}


class Store:
    def __init__(self, path=PATH):
        self.path, self.all = path, {"format": FORMAT}
        if os.path.exists(path):
            with open(path) as f:
                self.all = json.load(f)
        if self.all.get("format") != FORMAT:
            raise lib.Failed("%s is of format %s, not %d: remove it"
                             % (path, self.all.get("format"), FORMAT))

    def part(self, name):
        return self.all.setdefault(name, {})

    def put(self, part, key, value):
        value = dict(value, when=time.strftime("%Y-%m-%d %H:%M",
                                               time.gmtime()),
                     binary=binary_id(), load=os.getloadavg()[0])
        self.part(part)[key] = value
        self.save()

    def has(self, part, key):
        """Measured, and with this very program."""
        found = self.part(part).get(key)
        return found is not None and found["binary"] == binary_id()

    def set(self, key, value):
        self.all[key] = value
        self.save()

    def merge(self, other):
        """What the other has is newer."""
        for name in PARTS:
            self.part(name).update(other.part(name))
        for name in ("machine", "versions"):
            if name in other.all:
                self.all[name] = other.all[name]
        self.save()

    def save(self):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with open(self.path + ".new", "w") as f:
            json.dump(self.all, f, indent=1)
            f.write("\n")
        os.rename(self.path + ".new", self.path)
