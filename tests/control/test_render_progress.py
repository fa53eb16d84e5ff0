"""What a lead sees of the migration: the whole first, then stages, groups, and what waits for a person."""

from __future__ import annotations

from typing import Any

from control.render_progress import progress
from control.terminal import Style
from rollout.core.progress import STAGES, Why

NAMES = [stage.value for stage in STAGES]


def standing(**apis: int) -> dict[str, Any]:
    counts = dict.fromkeys(NAMES, 0) | apis
    total = sum(counts.values()) - counts["unlisted"]
    return {
        "apis": counts,
        "total": total,
        "finished": counts["done"],
        "percent": 100 * counts["done"] / total if total else None,
        "share": 41.5,
        "traffic": 12.5 if total else None,
        "traffic_by_stage": dict.fromkeys(NAMES, 20.0) if total else dict.fromkeys(NAMES),
        "forecast": None,
        "no_forecast": "there are no 3 weeks of history yet",
    }


def found(**more: Any) -> dict[str, Any]:
    whole = standing(legacy=3, done=1, unlisted=1)
    groups = [{"group": "catalog", "owner": "team-catalog"} | whole, {"group": "", "owner": ""} | standing()]
    return {"all": whole, "stages": NAMES, "groups": groups, "window": 3600, "stuck": [], "more_stuck": 0} | more


def stuck(why: Why, **more: Any) -> dict[str, Any]:
    return {"why": why.value, "days": 61, "route": "", "order": "", "share": 50.0, "kind": None} | more


def text(said: dict[str, Any]) -> str:
    return "\n".join(progress(said, Style(width=100)))


def test_the_whole_stands_first() -> None:
    """By count and by traffic."""
    assert (
        "1 of 4 APIs are finished (25 %); 12.5 % of what came in the last 1 h needed no legacy"
        == text(found()).splitlines()[0]
    )


def test_stages_without_routes_are_left_out_and_nobody_counts_what_is_unlisted() -> None:
    """One line a stage."""
    lines = text(found()).splitlines()[1:4]
    assert ["unlisted", "?", "legacy", "3", "done", "1"] == [word for line in lines for word in line.split()[:2]]


def test_no_forecast_says_why() -> None:
    """And none is made up."""
    assert "no forecast: there are no 3 weeks of history yet" in text(found())


def test_a_forecast_is_a_range() -> None:
    """With what it is drawn from; an end that nobody knows is said to be unknown."""
    said = found()
    said["all"]["forecast"] = {"earliest": 1e9, "likely": 1.1e9, "latest": 1.2e9, "weekly": 3.5, "weeks": 8}
    assert "between 2001-09-0" in text(said)
    assert "3.5 a week over the last 8 weeks" in text(said)
    said["all"]["forecast"]["latest"] = None
    assert "nobody knows when on a bad run" in text(said)


def test_what_is_stuck_is_named_with_its_time() -> None:
    """Every kind has its sentence; names cannot command the terminal, and what is too much is counted."""
    each = [stuck(why, route="a\x1b[2J" if why is Why.PARTIAL else "", order="R-7", kind="freeze") for why in Why]
    said = text(found(stuck=each * 5, more_stuck=7))
    assert "waits for a person (32)" in said
    assert "a\N{REPLACEMENT CHARACTER}[2J: stands at 50 % since 61 days" in said
    assert "R-7: freeze in force since 61 days" in said
    assert "and 12 more" in said


def test_an_empty_file_divides_by_nothing() -> None:
    """No routes, no percentages."""
    assert "0 of 0 APIs are finished" == text(found(all=standing(), groups=[])).splitlines()[0]
