# SPDX-License-Identifier: Apache-2.0
"""A crash leaves no core dump, since secrets would be in it; who asks for one
gets it. And the list of processes shows none."""
import mmap
import os
import resource
import shutil
import subprocess

import lib
import pki

TOKEN = "shop-token-0123456789-canary"
CALLER = "caller-secret-0123456789-canary"


def write(path, text):
    with open(path, "w") as f:
        os.fchmod(f.fileno(), 0o600)
        f.write(text)
    return path


def scalar(path):
    """The number that an elliptic key is."""
    said = subprocess.run(["openssl", "pkey", "-in", path, "-noout", "-text"],
                          check=True, capture_output=True, text=True,
                          timeout=30).stdout
    digits = said.split("priv:")[1].split("pub:")[0]
    return bytes.fromhex("".join(digits.split()).replace(":", ""))[-32:]


def forms_of_key(path):
    with open(path) as f:
        line = f.read().splitlines()[1]
    number = scalar(path)
    return [number, number[::-1], line.encode()]


def forms_of_hex(path):
    with open(path) as f:
        text = f.read().strip()
    return [text.encode(), bytes.fromhex(text)]


def allow_cores():
    """In the folder of the process, by the kernel."""
    with open("/proc/sys/kernel/core_pattern") as f:
        pattern = f.read().strip()
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if pattern[:1] in ("|", "/", "") or hard == 0:
        lib.skip("cores go to %r, their limit is %d" % (pattern, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    return hard


def found(path, secrets):
    with open(path, "rb") as f, \
            mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as core:
        return {name for name, forms in secrets.items()
                if any(core.find(form) >= 0 for form in forms)}


class Victim:
    def __init__(self, case, certs, files):
        self.folder = case.path(case.unique("cores"))
        os.mkdir(self.folder)
        self.case = case
        origin = case.origin(case.unique("legacy"))
        self.process = p = case.matapalo(
            legacy=origin.url, cwd=self.folder,
            binary=os.path.abspath(lib.MATAPALO), args=[
                "--listen", "127.0.0.1:0,tls", "--tls-certificate",
                certs.pem("front"), "--tls-key", certs.keyfile("front"),
                "--bus", "tls+tcp://127.0.0.1:0", "--bus-tokens",
                files["tokens"], "--bus-tls-certificate", certs.pem("bus"),
                "--bus-tls-key", certs.keyfile("bus")])
        self.options = ("--token-file", files["token"], "--bus",
                        p.info["bus"][1], "--bus-ca", certs.pem("ca"),
                        "--bus-name", "bus.example")
        lib.fetch(p.port, "POST", "/", body=CALLER.encode(),
                  fields=[("Authorization", "Bearer " + CALLER)])
        p.await_exchanges(1)
        done = p.command("groups", "list", *self.options)
        case.equal(done.returncode, 0, done.stderr)
        self.secrets = {
            "a token": [TOKEN.encode()], "the caller's": [CALLER.encode()],
            "redact.key": forms_of_hex(os.path.join(p.data, "redact.key")),
            "admin.token": forms_of_hex(os.path.join(p.data, "admin.token")),
            "the front's key": forms_of_key(certs.keyfile("front")),
            "the bus's key": forms_of_key(certs.keyfile("bus"))}

    def crash(self):
        """The paths of cores."""
        self.process.signal(lib.signal.SIGABRT)
        self.process.wait()
        self.case.processes.remove(self.process)    # it was to die
        return [os.path.join(self.folder, n) for n in os.listdir(self.folder)]

    def raise_limit(self, limit):
        resource.prlimit(self.process.pid, resource.RLIMIT_CORE,
                         (limit, limit))


def processes(case, victim):
    """Arguments and environment, of the server and of a consumer."""
    consumer = case.consume(victim.process, "g", "time.sleep(60)",
                            args=victim.options)
    lib.wait_for(lambda: "g" in victim.process.command(
        "groups", "list", *victim.options).stdout.split(), "the group")
    texts = [form for forms in victim.secrets.values() for form in forms]
    for pid in victim.process.pid, consumer.pid:
        for name in "cmdline", "environ":
            with open("/proc/%d/%s" % (pid, name), "rb") as f:
                shown = f.read()
            case.check(not any(text in shown for text in texts), name)
    consumer.kill_group()


def scenario(case):
    if lib.is_sanitized():
        lib.skip("a sanitized program leaves no core")
    if not shutil.which("openssl"):
        lib.skip("openssl is missing")
    limit = allow_cores()
    certs = pki.Pki(case)
    certs.authority("ca")
    certs.leaf("front", "DNS:front.example", "ca")
    certs.leaf("bus", "DNS:bus.example", "ca")
    files = {"token": write(case.path("token"), TOKEN + "\n"),
             "tokens": write(case.path("tokens"), "shop %s all *\n" % TOKEN)}
    victim, small, whole = (Victim(case, certs, files) for _ in range(3))
    processes(case, victim)
    case.equal(victim.crash(), [], "cores")

    small.raise_limit(limit)
    core = small.crash()[0]
    case.check(os.path.getsize(core) < 4 << 20, "a core without memory has %d"
               " bytes" % os.path.getsize(core))

    whole.raise_limit(limit)
    with open("/proc/%d/coredump_filter" % whole.process.pid, "w") as f:
        f.write("0x33")
    core = whole.crash()[0]
    there = found(core, whole.secrets)
    print("with memory, %d bytes: %s" % (os.path.getsize(core),
                                         sorted(there)))
    case.check({"redact.key", "the bus's key"} <= there,
               "the search finds what is there: %s" % there)
    os.unlink(core)


lib.main(scenario)
