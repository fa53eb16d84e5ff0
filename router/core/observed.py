"""What has been observed of the places where requests can go: the third layer, never written into the other two.

Control finds out (probes, what the workers meet, DNS) and tells the workers; a worker that is told nothing takes every
endpoint for healthy.  Observations are no revision: they come and go by themselves, and nobody has to confirm them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from router.core.model import PPM, Endpoint


def target_key(upstream: str, endpoint: Endpoint, address: str = "") -> str:
    """What is observed by itself: an endpoint, or one address of an endpoint that is written as a name."""
    key = f"{upstream} {endpoint}"
    return f"{key} at {address}" if address else key


@dataclass(frozen=True, slots=True)
class Observed:
    """One observation of everything."""

    levels: Mapping[str, int] = field(default_factory=dict)
    """By `target_key`, in ppm: the part of its weight that a target may take.  0: none, it is down.  Between: it has
    returned and is brought back slowly.  Targets that are not named are whole."""
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By `target_key` of an endpoint that is written as a name: its addresses, of which there is at least one.  An
    endpoint that is not named here is connected to as it is written."""

    def level(self, target: str) -> int:
        return self.levels.get(target, PPM)

    def targets(self, upstream: str, endpoint: Endpoint) -> tuple[str, ...]:
        """The targets behind an endpoint."""
        addresses = self.addresses.get(target_key(upstream, endpoint), ())
        return tuple(target_key(upstream, endpoint, each) for each in addresses) or (target_key(upstream, endpoint),)


UNOBSERVED = Observed()
"""Everything is whole."""
