# SPDX-License-Identifier: Apache-2.0
"""What `make bench-bus` measures: matapalo, and NATS JetStream as it is
delivered and with an fsync before each acknowledgement."""
import os
import re
import shutil
import subprocess
import time

import lib

NATS = os.environ.get("NATS", shutil.which("nats-server") or "")
BUILD = os.environ.get("TOP_BUILDDIR", ".")
TICKS = os.sysconf("SC_CLK_TCK")
NATS_CONF = """port: -1
host: 127.0.0.1
ports_file_dir: "%(dir)s"
max_payload: 1MB
jetstream { store_dir: "%(dir)s", max_file_store: 60GB%(sync)s }
"""


class Broker:
    """A server process and the driver that speaks its protocol."""

    def __init__(self, name, driver):
        self.name, self.stored = name, 0
        self.driver = os.path.join(BUILD, "bench", driver)

    def cpu(self):
        with open("/proc/%d/stat" % self.process.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_kib(self):
        """Its own; pages of files are the kernel's to take back."""
        with open("/proc/%d/status" % self.process.pid) as f:
            return int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1))


class Matapalo(Broker):
    def __init__(self, case):
        super().__init__("matapalo", "bus")
        self.process = case.matapalo("http://127.0.0.1:9")
        self.url = self.process.bus
        self.version = subprocess.run(
            [lib.MATAPALO, "--version"], capture_output=True,
            text=True).stdout.strip().splitlines()[0]


class Nats(Broker):
    def __init__(self, case, name, sync):
        super().__init__(name, "jetstream")
        folder = case.path(case.unique("nats"))
        os.mkdir(folder)
        conf = os.path.join(folder, "nats.conf")
        with open(conf, "w") as f:
            f.write(NATS_CONF % {"dir": folder, "sync": sync})
        self.process = case.start(case.unique("nats"), [NATS, "-c", conf])
        self.url = lib.wait_for(lambda: self.listens(folder),
                                "nats-server to listen")
        self.version = nats_version()

    def listens(self, folder):
        if not self.process.alive():
            raise lib.Failed("nats-server: " + self.process.err()[-500:])
        for name in os.listdir(folder):
            if name.endswith(".ports"):
                with open(os.path.join(folder, name)) as f:
                    found = re.search(r"nats://[0-9.:]+", f.read())
                    return found and found.group(0)
        return None


def nats_version():
    text = subprocess.run([NATS, "--version"], capture_output=True,
                          text=True).stdout
    return re.search(r"v?(\d+)\.(\d+)\.(\d+)", text).group(0)


def knows_sync_always():
    """Since 2.10."""
    numbers = [int(n) for n in re.findall(r"\d+", nats_version())]
    return numbers[:2] >= [2, 10]


def start(case):
    """Those that are there, and what is left out and why."""
    brokers, left_out = [Matapalo(case)], []
    if not NATS or not os.path.exists(os.path.join(BUILD, "bench",
                                                   "jetstream")):
        return brokers, ["NATS: nats-server or libnats-dev is missing"]
    brokers.append(Nats(case, "nats", ""))
    if knows_sync_always():
        brokers.append(Nats(case, "nats always", ", sync_interval: always"))
    else:
        left_out.append("nats always: %s does not know sync_interval: always"
                        % nats_version())
    time.sleep(1)
    return brokers, left_out
