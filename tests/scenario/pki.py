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

    def fingerprint(self, name):
        """SHA-256 of the certificate, as lower case digits."""
        with open(self.pem(name)) as f:
            der = ssl.PEM_cert_to_DER_cert(f.read())
        return hashlib.sha256(der).hexdigest()

    def pem(self, name):
        return self.path(name + ".pem")

    def keyfile(self, name):
        return self.path(name + ".key")
