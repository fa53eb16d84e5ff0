"""The metrics page: everything the slots and the engine know, in Prometheus' text format.

The library's own collectors cost 4 µs a line; 1,500 busy routes make 70,000 lines, which would hold up control, and
with it a rollback, for a third of a second at each scrape.  So the lines over the slots are written here, in slices
between which the event loop turns, and the library writes what is said about the control process itself.

Series of routes and endpoints exist once there was something to count.  Route labels are names, never paths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest

from control.counters import GAUGES, CounterFiles, sliced
from control.observer import Seen
from control.shadowing import Totals
from rollout.core.progress import STAGES, Look, Why
from rollout.core.run import Run
from rollout.core.verdict import Verdict
from router.core.attempt import Stage
from router.core.capture import Count
from router.core.explain import filling
from router.core.health import Status
from router.core.model import PPM, Side
from router.core.orders import Kind
from router.live import Live
from router.telemetry import (
    CODE_CLASSES,
    DURATION_BOUNDS,
    FALLBACK_CAUSES,
    REASON_SLOTS,
    REASONS,
    EndpointBlock,
    Metric,
    RouteBlock,
    WorkerSlot,
    requests_of,
)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_HELP: Final[Mapping[str, tuple[str, str]]] = {
    Metric.REQUESTS: ("counter", "Exchanges that ended, by route, side, class of the status and reason for the side."),
    Metric.DURATION: ("histogram", "Seconds from the head of the request to the end of the answer."),
    Metric.FALLBACKS: ("counter", "Requests that legacy answered after the new side had failed, by cause."),
    Metric.IN_FLIGHT: ("gauge", "Exchanges under way."),
    Metric.TUNNELS: ("gauge", "Open tunnels (WebSocket)."),
    Metric.BREAKER_OPEN: ("gauge", "Workers whose breaker has pulled the route to legacy."),
    Metric.BREAKER_TRIPS: ("counter", "How often a breaker has done so."),
    Metric.ENDPOINT_UP: ("gauge", "1 while probes and traffic find an endpoint well, or nothing is known; else 0."),
    Metric.ENDPOINT_LEVEL: ("gauge", "The part of its weight that an endpoint may take, 0 to 1."),
    Metric.ENDPOINT_TRANSITIONS: ("counter", "How often an endpoint came up or went down, since control was started."),
    Metric.SITE_HEALTHY: ("gauge", "The healthy part of an upstream's endpoints at a site, by weight, 0 to 1."),
    Metric.SITE_OPEN: ("gauge", "0 while an operator keeps requests from a site, else 1."),
    Metric.UPSTREAM_ERRORS: ("counter", "Tries that failed at an endpoint, by the stage in which they did."),
    Metric.UPSTREAM_CONNECTIONS: ("gauge", "Open connections to an endpoint."),
    Metric.CONNECTIONS: ("gauge", "Open connections of clients."),
    Metric.ROLLOUT_STATE: (
        "gauge",
        "1 for what the newest rollout of a route does, and what is known of its step.",
    ),
    Metric.ROLLOUT_STEP: ("gauge", "Share of the step that the newest rollout of a route has taken or takes, 0 to 1."),
    Metric.ROLLOUT_ARMED: ("gauge", "1: the last drill of the judgement found its fault; 0: nothing is promoted."),
    Metric.ROLLOUT_EVIDENCE: (
        "gauge",
        "Evidence of what governs a rollout, as logarithm, by that of its threshold: from 1 on the verdict is due.",
    ),
    Metric.ROLLOUT_JUDGED: ("gauge", "Requests that this was counted from, by side and outcome."),
    Metric.SHADOW_COMPARED: ("counter", "Requests whose answers of both sides were compared, by verdict."),
    Metric.SHADOW_FAILED: ("counter", "Of the mismatched: a side failed, which says nothing about parity."),
    Metric.SHADOW_COPIED: ("counter", "Requests copied to the side that does not answer them."),
    Metric.SHADOW_DROPPED: ("counter", "Requests that were not copied, or whose copies came to nothing, by reason."),
    Metric.LIMITS: ("counter", "How often a limit was reached or an uncommon path was taken."),
    Metric.SHARE: ("gauge", "Share of the new side, 0 to 1: as declared in routes.yaml, and as in force."),
    Metric.ORDERS: ("gauge", "Orders in force."),
    Metric.REVISION: ("gauge", "Revision that the worker has in force."),
    Metric.RELOADS: ("counter", "Loads of routes.yaml by result."),
    Metric.LAST_GOOD: ("gauge", "Unix time at which the routes.yaml in force was accepted."),
    Metric.WORKER_UP: ("gauge", "1 while control hears from the worker."),
    Metric.CONFIG_OK: ("gauge", "1 while the watched routes.yaml is what is in force; 0: it is refused or missing."),
    Metric.PERSISTED: ("gauge", "1 while everything that is in force is recorded on disk."),
    Metric.MIGRATION_APIS: ("gauge", "Routes by stage and group; unlisted: 1 while requests come that no route names."),
    Metric.MIGRATION_TRAFFIC: ("gauge", "The part of the last hour's traffic that did not need legacy, 0 to 1."),
    Metric.MIGRATION_STUCK: ("gauge", "What waits for a person, by kind."),
    Metric.ROLLBACK: ("gauge", "Seconds that the last rollback took until every worker had confirmed it."),
}

_SIDES: Final = tuple(side.label for side in Side)
_BOUNDS: Final = (*map(str, DURATION_BOUNDS), "+Inf")
_MICROSECONDS: Final = 1_000_000
_REQUEST_LABELS: Final = tuple(
    f'",side="{side}",code_class="{code}",reason="{REASONS[reason] if reason < len(REASONS) else reason}"}} '
    for side in _SIDES
    for code in CODE_CLASSES
    for reason in range(REASON_SLOTS)
)
"""In the order of `requests_of`."""


def escape(value: str) -> str:
    """A label's value as the format wants it."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


class Page:
    """The lines of all families; those of one family must stand together, so they are kept apart until the end."""

    def __init__(self) -> None:
        self._families: dict[str, list[str]] = {name: [] for name in _HELP}

    def lines(self, metric: str) -> list[str]:
        return self._families[metric]

    def add(self, metric: str, value: float, **labels: str) -> None:
        text = ",".join(f'{name}="{escape(label)}"' for name, label in labels.items())
        self.lines(metric).append(f"{metric}{{{text}}} {value}" if text else f"{metric} {value}")

    def text(self) -> Iterator[bytes]:
        """One piece a family; families without a series are left out."""
        for metric, lines in self._families.items():
            if lines:
                kind, what = _HELP[metric]
                yield "\n".join((f"# HELP {metric} {what}", f"# TYPE {metric} {kind}", *lines, "")).encode()


class Metrics:
    """Answers a scrape."""

    def __init__(
        self,
        live: Live,
        files: CounterFiles,
        blocks: Callable[[], Mapping[str, int]] | None = None,
        *,
        progress: Callable[[], Look] | None = None,
        rollouts: Callable[[], tuple[Iterable[Run], bool]] | None = None,
        verdicts: Callable[[], Iterable[tuple[str, Verdict]]] | None = None,
        seen: Callable[[], Iterable[Seen]] = tuple,
        shadow: Callable[[], Totals] | None = None,
    ) -> None:
        """`seen`: every target that is watched."""
        self._live = live
        self._seen = seen
        self._shadow = shadow
        self._progress = progress
        self._rollouts = rollouts
        self._verdicts = verdicts
        self._files = files
        self._routes = blocks or (lambda: live.blocks.routes)
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)

    async def scrape(self) -> list[bytes]:
        """The page in pieces."""
        page = Page()
        self._files.refresh()
        self._add_workers(page)
        self._add_control(page)
        if self._live.started:
            current = {worker.id for worker in self._live.workers()}
            async for name, start in sliced(self._routes()):
                self._add_route(page, name, start, current)
            async for key, start in sliced(self._live.blocks.endpoints):
                self._add_endpoint(page, key, start, current)
            self._add_shares(page)
            _add_places(page, self._live, self._seen())
            if self._progress is not None:
                _add_progress(page, self._progress())
            if self._rollouts is not None:
                _add_rollouts(page, *self._rollouts())
            if self._verdicts is not None:
                _add_evidence(page, self._verdicts())
            if self._shadow is not None:
                _add_shadow(page, self._shadow())
        return [*page.text(), generate_latest(self._registry)]

    def _add_route(self, page: Page, name: str, start: int, current: set[int]) -> None:
        slots = self._files.route(start)
        if slots is None:
            return
        route = escape(name)
        _requests(page.lines(Metric.REQUESTS), route, slots)
        _durations(page.lines(Metric.DURATION), route, slots)
        for cause, count in zip(FALLBACK_CAUSES, slots[RouteBlock.FALLBACKS :], strict=False):
            if count:
                page.add(Metric.FALLBACKS, count, route=name, cause=cause)
        self._add_breaker(page, name, start, slots, current)
        for number, side in enumerate(_SIDES):
            gauges = self._files.side(start, number, current)
            in_flight, tunnels = RouteBlock.IN_FLIGHT - RouteBlock.SIDES, RouteBlock.TUNNELS - RouteBlock.SIDES
            page.add(Metric.IN_FLIGHT, gauges[in_flight] if gauges else 0, route=name, side=side)
            if gauges and gauges[tunnels]:
                page.add(Metric.TUNNELS, gauges[tunnels], route=name, side=side)

    def _add_breaker(self, page: Page, name: str, start: int, slots: list[int], current: set[int]) -> None:
        """Of a route whose breaker has tripped at least once."""
        of_new = Side.NEW * RouteBlock.SIDE
        if trips := slots[RouteBlock.BREAKER_TRIPS + of_new]:
            (tripped,) = self._files.block(start + RouteBlock.BREAKER_OPEN + of_new, 1, current) or [0]
            page.add(Metric.BREAKER_OPEN, tripped, route=name)
            page.add(Metric.BREAKER_TRIPS, trips, route=name)

    def _add_endpoint(self, page: Page, key: str, start: int, current: set[int]) -> None:
        upstream, _, endpoint = key.rpartition(" ")
        slots = self._files.block(start, EndpointBlock.SIZE)
        if slots is None:
            return
        for stage in Stage:
            if count := slots[EndpointBlock.ERRORS + stage]:
                page.add(Metric.UPSTREAM_ERRORS, count, upstream=upstream, endpoint=endpoint, stage=stage.label)
        gauges = self._files.block(start + EndpointBlock.OPEN, 1, current) or [0]
        page.add(Metric.UPSTREAM_CONNECTIONS, gauges[0], upstream=upstream, endpoint=endpoint)

    def _add_workers(self, page: Page) -> None:
        for worker in self._live.workers():
            page.add(Metric.REVISION, worker.revision, worker=str(worker.id))
            page.add(Metric.WORKER_UP, int(worker.connected), worker=str(worker.id))
            page.add(Metric.CONNECTIONS, self._files.slot(worker.id, WorkerSlot.CONNECTIONS), worker=str(worker.id))
        for slot in WorkerSlot:
            if slot not in GAUGES:
                page.add(Metric.LIMITS, self._files.total(slot), limit=slot.name.lower())

    def _add_control(self, page: Page) -> None:
        live = self._live
        kinds = Counter(order.kind for order in live.orders)
        for kind in Kind:
            page.add(Metric.ORDERS, kinds[kind], kind=kind.value)
        for result in ("ok", "unchanged", "refused"):
            page.add(Metric.RELOADS, live.reloads[result], result=result)
        page.add(Metric.CONFIG_OK, int(live.source.status == "ok"))
        page.add(Metric.PERSISTED, int(live.persisted))
        if live.source.last_good_at:
            page.add(Metric.LAST_GOOD, live.source.last_good_at)
        if live.rollback_ms is not None:
            page.add(Metric.ROLLBACK, live.rollback_ms / 1000)

    def _add_shares(self, page: Page) -> None:
        lines = page.lines(Metric.SHARE)
        for route, entry in zip(self._live.table.routes, self._live.state.routes, strict=True):
            name = escape(route.name)
            lines.append(f'{Metric.SHARE}{{route="{name}",layer="declared"}} {route.weight / PPM}')
            lines.append(f'{Metric.SHARE}{{route="{name}",layer="effective"}} {entry.share / PPM}')


def _add_rollouts(page: Page, runs: Iterable[Run], armed: bool) -> None:
    """The newest run of each route; one that is over stays until another begins."""
    page.add(Metric.ROLLOUT_ARMED, int(armed))
    for run in runs:
        labels = {"route": run.route, "plan": run.plan.name, "paused": str(bool(run.paused)).lower()}
        page.add(Metric.ROLLOUT_STATE, 1, state=run.phase.value, standing=run.standing.value, **labels)
        page.add(Metric.ROLLOUT_STEP, run.now.share / PPM, route=run.route)


def _add_evidence(page: Page, verdicts: Iterable[tuple[str, Verdict]]) -> None:
    for route, verdict in verdicts:
        if verdict.log_e is not None and verdict.log_threshold:
            ratio = max(0.0, verdict.log_e / verdict.log_threshold)
            page.add(Metric.ROLLOUT_EVIDENCE, ratio, route=route, claim=verdict.metric.value)
        for side in _SIDES:
            bad = sum(getattr(span, f"{side}_bad") for span in verdict.spans)
            whole = sum(getattr(span, f"{side}_all") for span in verdict.spans)
            for outcome, count in (("bad", bad), ("good", whole - bad)):
                page.add(Metric.ROLLOUT_JUDGED, count, route=route, side=side, outcome=outcome)


def _add_shadow(page: Page, totals: Totals) -> None:
    """Routes that are compared, what they were compared to, and what became of their copies."""
    for route, found in totals.items():
        for verdict, count in found["verdicts"].items():
            page.add(Metric.SHADOW_COMPARED, count, route=route, verdict=verdict)
        for who, count in found["failures"].items():
            page.add(Metric.SHADOW_FAILED, count, route=route, who=who.removesuffix("_failed"))
        for what, count in found["copies"].items():
            if what == Count.COPIED:
                page.add(Metric.SHADOW_COPIED, count, route=route)
            else:
                page.add(Metric.SHADOW_DROPPED, count, route=route, reason=what)


def _add_progress(page: Page, look: Look) -> None:
    for group, tally in look.groups.items():
        for stage, count in zip(STAGES, tally.apis, strict=True):
            page.add(Metric.MIGRATION_APIS, count, stage=stage.value, group=group)
        if tally.ratio is not None:
            page.add(Metric.MIGRATION_TRAFFIC, tally.ratio, group=group)
    kinds = Counter(each.why for each in look.stuck)
    for why in Why:
        page.add(Metric.MIGRATION_STUCK, kinds[why], why=why.value)


def _add_places(page: Page, live: Live, seen: Iterable[Seen]) -> None:
    for each in seen:
        place = each.place
        labels = {"upstream": place.upstream, "endpoint": str(place.endpoint)}
        labels |= {"address": place.address} if place.address else {}
        page.add(Metric.ENDPOINT_UP, int(each.target.status is not Status.DOWN), **labels)
        page.add(Metric.ENDPOINT_LEVEL, each.level / PPM, **labels)
        for status, count in sorted(each.changes.items()):
            page.add(Metric.ENDPOINT_TRANSITIONS, count, **labels, to=status.value)
    for site in live.table.sites:
        page.add(Metric.SITE_OPEN, int(site not in live.state.drained_sites | live.state.held_sites), site=site)
    for upstream, rooms in filling(live.table, live.state, live.observed).rooms.items():
        for room in rooms:
            if room.site:
                page.add(Metric.SITE_HEALTHY, room.healthy / PPM, site=room.site, upstream=upstream)


def _requests(lines: list[str], route: str, slots: list[int]) -> None:
    prefix = f'{Metric.REQUESTS}{{route="{route}'
    counts = zip(_REQUEST_LABELS, requests_of(slots), strict=True)
    lines += [f"{prefix}{labels}{count}" for labels, count in counts if count]


def _durations(lines: list[str], route: str, slots: list[int]) -> None:
    for number, side in enumerate(_SIDES):
        start = RouteBlock.DURATIONS + number * RouteBlock.SIDE
        counts = slots[start + 1 : start + 1 + len(_BOUNDS)]
        if not any(counts):
            continue
        labels = f'route="{route}",side="{side}"'
        so_far = 0
        for bound, count in zip(_BOUNDS, counts, strict=True):
            so_far += count
            lines.append(f'{Metric.DURATION}_bucket{{{labels},le="{bound}"}} {so_far}')
        lines.append(f"{Metric.DURATION}_sum{{{labels}}} {slots[start] / _MICROSECONDS}")
        lines.append(f"{Metric.DURATION}_count{{{labels}}} {so_far}")
