"""Reloads and rollbacks: what is concluded from what was seen."""

from __future__ import annotations

import math

import pytest

from bench.processes import BenchError
from bench.reload import Write, waits
from bench.rollback import Scope, Start, Trial, judged, summary

SCOPE = Scope("one route", {"route": "r0"}, frozenset({b"/a"}))
MS = 1_000_000


def test_a_write_that_was_overtaken_waits_for_the_later_one() -> None:
    """Two writes that were taken up as one are both in force when the second is."""
    writes = [Write(1, 10.0), Write(2, 10.25)]

    assert [0.5, 0.25] == waits(writes, [Write(2, 10.5)])


def test_a_write_that_was_never_confirmed_waits_for_ever() -> None:
    """A lost change cannot hide in a median of those that were seen."""
    assert [math.inf] == waits([Write(2, 10.0)], [Write(1, 10.5)])


def test_a_rollback_is_over_with_the_last_request_of_its_scope_on_the_new_side() -> None:
    """Requests of other routes and those on legacy do not count, whenever they start."""
    starts = [
        Start("new", 103 * MS, b"/a"),
        Start("new", 107 * MS, b"/a"),
        Start("new", 190 * MS, b"/b"),
        Start("legacy", 195 * MS, b"/a"),
    ]

    assert Trial(20.0, True, 7.0, 1) == judged(SCOPE, 100 * MS, 120 * MS, True, starts)


def test_without_a_request_after_the_command_the_new_side_stopped_at_once() -> None:
    """Requests that began before the command say nothing about it."""
    starts = [Start("new", 99 * MS, b"/a"), Start("legacy", 130 * MS, b"/a")]

    assert 0.0 == judged(SCOPE, 100 * MS, 120 * MS, True, starts).last_new


def test_a_rollback_without_traffic_proves_nothing() -> None:
    """Zero requests on the new side are only good news when legacy got some."""
    with pytest.raises(BenchError, match="nothing was measured"):
        summary("one route", [Trial(1.0, True, 0.0, 0)])
