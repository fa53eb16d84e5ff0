"""A verdict can be read aloud, and read by machines, without losing why."""

from __future__ import annotations

import json
from dataclasses import replace
from math import log

import pytest

from rollout.core.evidence import Mark
from rollout.core.verdict import Breadth, Kind, Metric, Scope, Span, Standing, Verdict, figure, sentence, verdict_json

VERDICT = Verdict(
    Kind.ROLLBACK,
    Standing.FAILED,
    Scope(Breadth.ROUTE, "GET /v1/products"),
    Metric.ERRORS,
    1_000.0,
    1,
    (Span(10_000, 3, 2, 100, 40, 9_900), Span(50_000, 4, 10, 140, 78, 13_860)),
    log(3_120),
    log(2_500),
    1.2,
    0.002,
    Mark(900.0, "a1"),
    Mark(999.0, "f7"),
)


def test_the_sentence_says_who_what_how_many_and_against_what() -> None:
    """Everything that somebody asks at 3 a.m."""
    assert (
        "ROLLBACK route GET /v1/products; errors, failed; new 12 of 240 and legacy 118 of 23,760 failed at 1 %, 5 %; "
        "E 3,120 of 2,500 against more than 1.2 times legacy's rate and a rate of 0.2 %; requests a1 to f7"
    ) == str(VERDICT)


def test_what_is_not_known_is_left_out() -> None:
    """No None, no empty parentheses."""
    bare = Verdict(Kind.HOLD, Standing.NO_DATA, Scope(Breadth.ALL), Metric.DATA, 0.0, note="nothing was counted")
    assert "HOLD everything; data, no-data; nothing was counted" == sentence(bare)
    alone = replace(VERDICT, spans=(Span(1_000_000, 5, 3, 90),), ratio=None, last=VERDICT.first)
    assert "new 3 of 90 failed at 100 %" in sentence(alone)
    assert "against more than a rate of 0.2 %; request a1" in sentence(alone)
    assert sentence(replace(alone, first=None)).endswith("; the last of them request a1")


@pytest.mark.parametrize(
    ("logarithm", "expected"),
    [(0.0, "1"), (log(20), "20"), (log(0.5), "0.5"), (log(3_120), "3,120"), (1_000.0, "10^434"), (-50.0, "10^-22")],
)
def test_e_is_written_as_people_read_it(logarithm: float, expected: str) -> None:
    """Also when it is too large, or too small, for a float."""
    assert expected == figure(logarithm)


def test_machines_get_every_number_and_the_sentence() -> None:
    """Nothing that decided is missing: metric, counts, shares, E, threshold, tolerance and requests."""
    document = json.loads(json.dumps(verdict_json(VERDICT)))
    assert str(VERDICT) == document["sentence"]
    assert {"share": 50_000, "revision": 4, "new_bad": 10, "new_all": 140, "legacy_bad": 78, "legacy_all": 13_860} == (
        document["spans"][1]
    )
    assert (log(3_120), log(2_500), 1.2, 0.002) == tuple(
        document[name] for name in ("log_e", "log_threshold", "ratio", "floor")
    )
    assert ([900.0, "a1"], [999.0, "f7"]) == (document["first"], document["last"])
    assert ("rollback", "failed", {"breadth": "route", "name": "GET /v1/products"}) == tuple(
        document[name] for name in ("kind", "standing", "scope")
    )
