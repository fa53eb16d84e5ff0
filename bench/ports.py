"""Ports on loopback for the programs that benches and tests start.

One that the kernel chooses is chosen again for whoever asks next, or for a connection, before the program has taken
it.  So each process that needs some has a part of those below for itself while it lives.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Iterator
from functools import cache

from bench.processes import BenchError

PORTS = range(16_000, 32_000)
"""Below those that Linux takes for connections (32,768 and up by default)."""
PART = 500
"""So many are for one process."""


def free_port() -> int:
    """One that nobody holds, and that was not given lately.  Raises BenchError where there is none."""
    for port in itertools.islice(_own(), PART):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise BenchError(f"every port of {PORTS} that this process may take is in use")


@cache
def _own() -> Iterator[int]:
    """The part of this process, over and over: it holds a socket of that name for as long as it lives."""
    for first in PORTS[::PART]:
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0strangler-ports-{first}")
        except OSError:
            name.close()
        else:
            name.detach()
            return itertools.cycle(PORTS[first - PORTS.start :][:PART])
    raise BenchError(f"other processes have all of {PORTS}")
