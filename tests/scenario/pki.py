# SPDX-License-Identifier: Apache-2.0
"""Certificates for a scenario, made by the openssl command."""
import hashlib
import os
import ssl
import subprocess

EXTENSIONS = """
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
[leaf]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = %s
[plain]
basicConstraints = critical, CA:false
"""


class Pki:
    """A folder of keys and certificates; names are files without endings."""

    def __init__(self, case):
        self.dir = case.path("pki")
        os.mkdir(self.dir)
        self.serial = 0

    def path(self, name):
        return os.path.join(self.dir, name)

    def openssl(self, *args):
        subprocess.run(("openssl",) + args, check=True, cwd=self.dir,
                       capture_output=True, timeout=30)

    def key(self, name):
        if name.endswith("-rsa"):
            self.openssl("genrsa", "-out", name + ".key", "2048")
            return
        self.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout",
                     "-out", name + ".key")

    def authority(self, name):
        """A root certificate NAME.pem of its own key."""
        self.make(name, "/CN=" + name, name, "root", 30)

    def leaf(self, name, sans, by, days=30, subject=None):
        """NAME.pem (certificate and chain) and NAME.key, signed by `by`."""
        self.make(name, subject or "/CN=" + name, by, "leaf", days, sans)

    def self_signed(self, name, sans):
        self.make(name, "/CN=" + name, name, "leaf", 30, sans)

    def make(self, name, subject, by, section, days, sans=""):
        self.key(name)
        with open(self.path("extensions"), "w") as f:
            f.write(EXTENSIONS % (sans or "DNS:unused.example"))
        self.openssl("req", "-new", "-key", name + ".key", "-subj", subject,
                     "-out", "request")
        self.serial += 1
        when = ["-days", str(days)]
        sign = ["-CA", by + ".pem", "-CAkey", by + ".key",
                "-set_serial", str(self.serial)]
        if by == name:
            sign = ["-signkey", name + ".key"]
        self.openssl("x509", "-req", "-in", "request", "-sha256",
                     "-extfile", "extensions", "-extensions", section,
                     "-out", name + ".pem", *sign, *when)

    def number(self, name):
        """The certificate's serial number, as the index has it."""
        done = subprocess.run(["openssl", "x509", "-noout", "-serial", "-in",
                               self.pem(name)], check=True,
                              capture_output=True, timeout=30, text=True)
        return done.stdout.strip().split("=")[1]

    def index(self, revoked, valid=()):
        """What an authority has revoked, in its file of all."""
        with open(self.path("index.txt"), "w") as f:
            for name in valid:
                f.write("V\t491231235959Z\t\t%s\tunknown\t/CN=%s\n"
                        % (self.number(name), name))
            for name in revoked:
                f.write("R\t491231235959Z\t200101000000Z\t%s\tunknown\t"
                        "/CN=%s\n" % (self.number(name), name))

    def revocations(self, by, revoked=(), last=None, until=None):
        """BY.crl, in one step; dates as 20200101000000Z."""
        self.index(revoked)
        with open(self.path("ca.conf"), "w") as f:
            f.write("[ca]\ndefault_ca = x\n[x]\ndatabase = index.txt\n"
                    "default_md = sha256\n")
        when = ["-crl_lastupdate", last, "-crl_nextupdate", until] \
            if until else ["-crldays", "30"]
        self.openssl("ca", "-gencrl", "-config", "ca.conf", "-cert",
                     by + ".pem", "-keyfile", by + ".key", "-out",
                     "new.crl", *when)
        os.rename(self.path("new.crl"), self.path(by + ".crl"))

    def staple(self, name, by, signer, revoked=(), to=None):
        """NAME.pem.ocsp: what `signer` says about it, for an hour."""
        self.index(revoked, valid=[] if revoked else [name])
        self.openssl("ocsp", "-issuer", by + ".pem", "-cert", name + ".pem",
                     "-reqout", "request.der", "-no_nonce")
        self.openssl("ocsp", "-index", "index.txt", "-CA", by + ".pem",
                     "-rsigner", signer + ".pem", "-rkey", signer + ".key",
                     "-reqin", "request.der", "-respout", "new.der",
                     "-nmin", "60")
        os.rename(self.path("new.der"), self.path(
            (to or name) + ".pem.ocsp"))

    def fingerprint(self, name):
        """SHA-256 of the certificate, as lower case digits."""
        with open(self.pem(name)) as f:
            der = ssl.PEM_cert_to_DER_cert(f.read())
        return hashlib.sha256(der).hexdigest()

    def pem(self, name):
        return self.path(name + ".pem")

    def keyfile(self, name):
        return self.path(name + ".key")
