"""Connections inside of another process's network: the one way to a server that has none with the world."""

from __future__ import annotations

import ctypes
import os
import socket
from concurrent.futures import ThreadPoolExecutor

_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET: the kind of namespace that is entered (setns(2))."""


def dial(pid: int, port: int, timeout_s: float) -> socket.socket:
    """A TCP connection to `port` on loopback as process `pid` of this machine sees it. Raises OSError.

    Only root may enter. It is done by a thread of its own, which ends with it: a socket stays where it was made.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_dial, pid, port, timeout_s).result()


def _dial(pid: int, port: int, timeout_s: float) -> socket.socket:
    place = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # os.setns came with Python 3.12.
        if ctypes.CDLL(None, use_errno=True).setns(place, _NEW_NETWORK):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(place)
    return socket.create_connection(("127.0.0.1", port), timeout_s)
