"""The metrics page says what the slots and the engine say, in a format that Prometheus reads."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from control.metrics import Metrics, escape
from rollout.core.verdict import Breadth, Span, Standing, Verdict
from rollout.core.verdict import Kind as Does
from rollout.core.verdict import Metric as By
from rollout.core.verdict import Scope as Of
from router.core.attempt import Stage as Try
from router.core.decide import Reason
from router.core.orders import Kind, Reach, Scope
from router.core.wire import endpoint_key
from router.live import Change
from router.telemetry import BusyBlock, EndpointBlock, Metric, RouteBlock, WorkerSlot
from tests.control.stage import ROUTES, Stage, many_routes


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    await stage.start()
    return stage


async def page(stage: Stage) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """All samples by name and labels, as Prometheus' own parser reads them."""
    text = b"".join(await Metrics(stage.live, stage.files).scrape()).decode()
    found: dict[str, Any] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = tuple(sorted(sample.labels.items()))
            assert key not in found.setdefault(sample.name, {}), f"{sample.name} {key} stands twice"
            found[sample.name][key] = sample.value
    return found


def labels(**pairs: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(pairs.items()))


async def test_requests_are_counted_by_route_side_code_and_reason(stage: Stage) -> None:
    """Over all workers; what never happened has no series."""
    stage.worker(0).count("product", side=1, times=3)
    stage.worker(1).count("product", side=1, times=1)
    stage.worker(1).count("product", side=0, code="5xx", reason=Reason.ROLLBACK, times=2)
    assert (await page(stage))[Metric.REQUESTS] == {
        labels(route="product", side="new", code_class="2xx", reason="weight"): 4,
        labels(route="product", side="legacy", code_class="5xx", reason="rollback"): 2,
    }


async def test_durations_are_a_histogram(stage: Stage) -> None:
    """Cumulative buckets up to +Inf, the sum in seconds, and the count."""
    stage.worker().count("product", side=1, times=4)
    found = await page(stage)
    mine = {"route": "product", "side": "new"}
    buckets = found[f"{Metric.DURATION}_bucket"]
    assert (0, 4, 4) == tuple(buckets[labels(**mine, le=bound)] for bound in ("0.001", "0.0025", "+Inf"))
    assert found[f"{Metric.DURATION}_sum"] == {labels(**mine): 0.006}
    assert found[f"{Metric.DURATION}_count"] == {labels(**mine): 4}


async def test_counters_never_run_backwards(stage: Stage) -> None:
    """Not when a worker dies, and not when its route leaves the file."""
    stage.worker(0).count("product", times=3)
    stage.worker(5).count("product", times=4)
    before = await page(stage)
    stage.worker(0)
    smaller = (
        ROUTES[: ROUTES.index('  - {path: "/v1/products/{productNo}"')] + ROUTES[ROUTES.index("  - {path: /v1/pr") :]
    )
    assert isinstance(await stage.live.load(smaller.encode(), actor="file", allow_removal=True), Change)
    assert before[Metric.REQUESTS] == (await page(stage))[Metric.REQUESTS]


async def test_the_share_is_told_as_declared_and_as_in_force(stage: Stage) -> None:
    """Between 0 and 1, one series a route and layer."""
    await stage.live.weight(Scope(Reach.ROUTE, "product"), 500_000, reason="more", actor="kim")
    shares = (await page(stage))[Metric.SHARE]
    assert shares[labels(route="product", layer="declared")] == 0.25
    assert shares[labels(route="product", layer="effective")] == 0.5


async def test_orders_reloads_revisions_and_rollbacks_are_told(stage: Stage) -> None:
    """What dashboards and alerts ask of the control side."""
    await stage.live.rollback(Scope(Reach.ALL), reason="fire", actor="kim")
    await stage.live.load(b"nonsense", actor="file", watched=True)
    found = await page(stage)
    assert found[Metric.ORDERS] == {labels(kind=kind): int(kind == "rollback") for kind in Kind}
    assert found[Metric.RELOADS] == {labels(result="ok"): 1, labels(result="unchanged"): 0, labels(result="refused"): 1}
    assert found[Metric.REVISION] == {labels(worker="0"): 2, labels(worker="1"): 2}
    assert found[Metric.LAST_GOOD] == {(): stage.clock.time}
    assert found[Metric.ROLLBACK] == {(): 0}


async def test_upstream_errors_fallbacks_and_limits_are_told(stage: Stage) -> None:
    """By endpoint and stage, by route and cause, by limit."""
    slots = stage.worker().counters.slots
    endpoint = stage.live.table.upstreams["monolith"].endpoints[0]
    start = stage.live.blocks.endpoints[endpoint_key("monolith", endpoint)]
    slots[start + EndpointBlock.ERRORS + Try.TIMEOUT] = 3
    slots[start + EndpointBlock.OPEN] = 2
    slots[stage.live.blocks.routes["product"] + RouteBlock.FALLBACKS + RouteBlock.STATUS_CAUSE] = 4
    slots[WorkerSlot.HEAD_TIMEOUTS] = 5
    slots[WorkerSlot.CONNECTIONS] = 6
    found = await page(stage)
    place = {"upstream": "monolith", "endpoint": "http://127.0.0.1:9001"}
    assert found[Metric.UPSTREAM_ERRORS] == {labels(**place, stage="timeout"): 3}
    assert found[Metric.UPSTREAM_CONNECTIONS] == {labels(**place): 2}
    assert found[Metric.FALLBACKS] == {labels(route="product", cause="status"): 4}
    assert found[Metric.LIMITS][labels(limit="head_timeouts")] == 5
    assert found[Metric.CONNECTIONS][labels(worker="0")] == 6
    assert labels(limit="pid") not in found[Metric.LIMITS]


async def test_gauges_of_a_worker_that_is_gone_are_not_counted(stage: Stage) -> None:
    """Only those of today's workers; the counters of the others stay."""
    for number in (0, 9):
        worker = stage.worker(number)
        worker.count("product", side=1)
        block = stage.live.blocks.routes["product"]
        worker.busy("product", side=1)[BusyBlock.IN_FLIGHT] = 2
        worker.counters.slots[block + RouteBlock.TUNNELS + RouteBlock.SIDE] = 1
    found = await page(stage)
    assert found[Metric.IN_FLIGHT][labels(route="product", side="new")] == 2
    assert found[Metric.TUNNELS] == {labels(route="product", side="new"): 1}
    assert found[f"{Metric.DURATION}_count"][labels(route="product", side="new")] == 2


def test_a_label_is_escaped() -> None:
    """Whatever a name may hold one day, the page stays readable."""
    text = f'# TYPE x gauge\nx{{route="{escape(chr(34) + chr(92) + chr(10))}"}} 1\n'
    (family,) = text_string_to_metric_families(text)
    assert chr(34) + chr(92) + chr(10) == family.samples[0].labels["route"]


async def test_the_control_process_tells_about_itself(stage: Stage) -> None:
    """Memory and file descriptors, by the library's own collectors."""
    assert (await page(stage))["process_resident_memory_bytes"][()] > 0


async def test_before_anything_is_in_force_there_is_a_page(tmp_path: Path) -> None:
    """A scrape during the start is not an error."""
    assert Metric.RELOADS in await page(Stage(tmp_path))


async def test_1500_busy_routes_do_not_hold_up_the_event_loop(tmp_path: Path) -> None:
    """A scrape of 60,000 lines lets everybody else in between; a rollback does not wait for it."""
    stage = Stage(tmp_path)
    await stage.start(many_routes(1500))
    for number in (0, 1):
        worker = stage.worker(number)
        for route in stage.live.table.routes:
            for side in (0, 1):
                worker.count(route.name, side=side, times=number + 2)
    metrics = Metrics(stage.live, stage.files)
    await metrics.scrape()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(others())
    began = time.process_time()
    pieces = await metrics.scrape()
    spent = time.process_time() - began
    task.cancel()
    assert b"".join(pieces).count(b"\n") > 60_000
    assert turns >= 25
    assert spent < 1.0


async def test_the_evidence_of_a_rollout_is_told_by_its_threshold(stage: Stage) -> None:
    """1 is where a verdict is due; less than nothing is none, and where no test took part there is no series."""
    spans = (Span(10_000, 1, new_bad=2, new_all=20, legacy_bad=1, legacy_all=90), Span(50_000, 2, new_all=80))
    proven = Verdict(Does.HOLD, Standing.FAILED, Of(Breadth.ROUTE, "a"), By.ERRORS, 0.0, spans=spans)
    found = [
        ("half", replace(proven, log_e=4.0, log_threshold=8.0)),
        ("none", replace(proven, log_e=-3.0, log_threshold=8.0)),
        ("untested", proven),
    ]
    text = b"".join(await Metrics(stage.live, stage.files, verdicts=lambda: found).scrape()).decode()
    assert 'strangler_rollout_evidence_ratio{route="half",claim="errors"} 0.5' in text
    assert 'strangler_rollout_evidence_ratio{route="none",claim="errors"} 0.0' in text
    assert 'evidence_ratio{route="untested"' not in text
    assert 'strangler_rollout_judged_requests{route="half",side="new",outcome="bad"} 2' in text
    assert 'strangler_rollout_judged_requests{route="half",side="new",outcome="good"} 98' in text
