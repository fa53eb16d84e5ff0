"""What the handlers work with."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from aiohttp import web

from control.counters import RecentTraffic
from control.metrics import Metrics
from control.observer import Observer
from control.progress import Progress
from control.rollouts.service import Rollouts
from control.series import Series
from control.shadowing import Shadowing
from router.core.explain import compiled
from router.core.match import Matcher
from router.core.model import Table
from router.live import Live
from router.ports import Compiler


async def nothing_known(request_id: str) -> tuple[Mapping[str, Any], ...]:  # noqa: ARG001  # as the real one asks
    """Nobody remembers."""
    return ()


async def nobody_counts() -> tuple[Mapping[str, Any] | None, ...]:
    """There are no workers."""
    return ()


async def no_breakers(route: str) -> tuple[int, ...]:  # noqa: ARG001  # as the real one is asked
    """There are no workers."""
    return ()


async def nobody_says() -> Mapping[str, tuple[int, int]] | None:
    """What is under way where is not known."""
    return None


@dataclass
class Context:
    """One for the life of the admin address."""

    live: Live
    traffic: RecentTraffic
    metrics: Metrics
    checker: Compiler
    """Reads a routes.yaml that is only asked about; nothing it says takes force."""
    exchanges: Callable[[str], Awaitable[Sequence[Mapping[str, Any]]]] = nothing_known
    """What the workers remember of exchanges with a request id, newest first."""
    watch: Progress | None = None
    """None: nobody remembers how the migration went; the present is told all the same."""
    series: Series | None = None
    """None: nobody looks at the last hour."""
    unlisted: Callable[[], Awaitable[Sequence[Mapping[str, Any] | None]]] = nobody_counts
    """What each worker was asked for that no route takes; None: it does not answer."""
    access_log: str = ""
    """Where the workers write it: a path, `-` for standard output, empty for nowhere."""
    shadowing: Shadowing | None = None
    """None: no answers are compared here."""
    rollouts: Rollouts | None = None
    """None: no rollouts are run here."""
    observer: Observer | None = None
    """None: nobody watches the places."""
    close_breaker: Callable[[str], Awaitable[tuple[int, ...]]] = no_breakers
    """Has the workers close their breakers of a route; those that have not answered."""
    left_at_places: Callable[[], Awaitable[Mapping[str, tuple[int, int]] | None]] = nobody_says
    """Exchanges and tunnels under way, by endpoint; None: the workers do not say."""
    listeners: int = 0
    """Open event streams."""
    listening: Counter[str] = field(default_factory=Counter)
    """The same by the token's name."""
    was_ready: bool = False
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    _matcher: tuple[Table, Matcher[int]] | None = None

    @cached_property
    def progress(self) -> Progress:
        """How far the migration is."""
        return self.watch or Progress(self.live, self.traffic.sums, self.traffic.clock, self.live.events)

    def matcher(self) -> Matcher[int]:
        """Of the table in force; made anew when that has changed."""
        table = self.live.table
        if self._matcher is None or self._matcher[0] is not table:
            self._matcher = (table, compiled(table))
        return self._matcher[1]


CONTEXT = web.AppKey("context", Context)
