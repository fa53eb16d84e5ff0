"""What every process of the router gives up before it does anything: for itself and, by inheritance, its children.

Files it makes are its owner's alone (umask 077), no program it starts gains rights (no_new_privs), and no crash writes
its memory, with everybody's cookies in it, to a disk (no core dumps).  It never takes anything back.
"""

from __future__ import annotations

import ctypes
import os
import resource
from typing import Final

UMASK: Final = 0o077
_PR_SET_NO_NEW_PRIVS: Final = 38


def harden() -> None:
    """Safe to call again; what the kernel does not know is left out."""
    os.umask(UMASK)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
