"""How sure the judgement wants to be, for the whole migration; what is harmless on one route says its `Tolerance`.

Frozen like that one: whoever turns these while a rollout runs is peeking, and the promises are void.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rollout.core.alpha import Alpha
from router.core.model import PPM


@dataclass(frozen=True, slots=True)
class Margin:
    """What a promotion has to disprove: that new fails `ratio` times as often as legacy, and at a rate of `rate`."""

    share: int
    """From this share on, in ppm."""
    ratio: float
    rate: float


MARGINS = (
    Margin(0, 5.0, 0.01),
    Margin(PPM * 5 // 100, 3.0, 0.005),
    Margin(PPM * 25 // 100, 2.0, 0.002),
    Margin(PPM * 50 // 100, 1.5, 0.002),
)
"""They tighten with exposure, so that each step needs a sample that a route can pay."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Thresholds and times (in seconds) of the judgement."""

    alpha: Alpha = field(default_factory=Alpha)
    margins: tuple[Margin, ...] = MARGINS
    """By rising share."""
    caution: float = 20.0
    """E from which nothing is promoted any more ..."""
    calm: float = 10.0
    """... until it has fallen below this."""
    renewal: float = 3600.0
    """How often fresh copies join."""
    warm_up: float = 60.0
    """Slow answers do not count before new has answered for so long in this run ..."""
    warm_up_requests: int = 50
    """... and so many requests: caches and pools are cold."""
    stale: float = 300.0
    """Without any evidence for longer a route is held."""
    breaker: int = 10
    """Failures in a row that trip the breaker."""
    legacy_factor: float = 3.0
    """Legacy is in trouble when its rate of failures is so many times what it was in the hour before ..."""
    legacy_least: int = 10
    """... and so many requests have failed within five minutes."""
    legacy_patience: float = 6 * 3600.0
    """Trouble that has lasted longer is how legacy is now."""

    def margin(self, share: int) -> Margin:
        """The margin of a step at this share."""
        return [margin for margin in self.margins if margin.share <= share][-1]
