# SPDX-License-Identifier: Apache-2.0
"""A client of the bus on libnng itself, by ctypes: pynng is not everywhere."""
import ctypes
import ctypes.util
import json

ALLOC = 1


class _Socket(ctypes.Structure):
    _fields_ = [("id", ctypes.c_uint32)]


def load():
    """The library, or None."""
    name = ctypes.util.find_library("nng")
    if not name:
        return None
    nng = ctypes.CDLL(name)
    nng.nng_strerror.restype = ctypes.c_char_p
    nng.nng_free.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return nng


LIB = load()


class Lost(Exception):
    """No answer: the connection, or the time."""


class Refused(Exception):
    """The bus said no."""


class Bus:
    def __init__(self, url, timeout_ms=10000):
        self.socket = _Socket()
        self._must(LIB.nng_req0_open(ctypes.byref(self.socket)))
        for option, ms in ((b"recv-timeout", timeout_ms),
                           (b"send-timeout", timeout_ms),
                           (b"req:resend-time", -1)):
            self._must(LIB.nng_socket_set_ms(self.socket, option, ms))
        self._must(LIB.nng_socket_set_size(
            self.socket, b"recv-size-max", ctypes.c_size_t(64 << 20)))
        try:
            self._must(LIB.nng_dial(self.socket, url.encode(), None, 0))
        except Lost:
            self.close()
            raise

    def _must(self, rc):
        if rc:
            raise Lost(LIB.nng_strerror(rc).decode())

    def call(self, op, **members):
        frame = json.dumps({"op": op, **members}).encode()
        self._must(LIB.nng_send(self.socket, frame,
                                ctypes.c_size_t(len(frame)), 0))
        at, n = ctypes.c_void_p(), ctypes.c_size_t()
        self._must(LIB.nng_recv(self.socket, ctypes.byref(at),
                                ctypes.byref(n), ALLOC))
        text = ctypes.string_at(at, n.value)
        LIB.nng_free(at, n)
        answer = json.loads(text)
        if not answer["ok"]:
            raise Refused(answer["error"])
        return answer

    def close(self):
        LIB.nng_close(self.socket)
