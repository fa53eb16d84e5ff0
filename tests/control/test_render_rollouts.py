"""What `strangler rollout` shows: the state in a line, what it waits for, and what a plan would take."""

from __future__ import annotations

from typing import Any

import pytest

from control import render_rollouts as render
from control.terminal import Style

NOW = 1_700_000_600.0
STEPS = [
    {"name": "1 %", "share": 1.0, "gate": "automatic", "min_time": 600.0},
    {"name": "50 %", "share": 50.0, "gate": "manual", "min_time": 86_400.0},
]


def run(**more: Any) -> dict[str, Any]:
    usual = {
        "route": "p", "run": 2, "plan": "careful", "step": 1, "steps": STEPS, "phase": "judging", "since": NOW - 120,
        "started": NOW - 3600, "actor": "kim", "paused": None, "held": None, "waits": ["evidence: inconclusive"],
        "standing": "inconclusive", "verdict": None, "text": "judging step 1 of 2, 1 %, inconclusive",
    }  # fmt: skip
    return usual | more


def said(lines: Any) -> str:
    return "\n".join(lines)


def test_the_list_has_a_line_for_each_and_begins_with_those_that_need_somebody() -> None:
    """Paused ones first, with the reason; then what the others wait for."""
    found = {"armed": True, "rollouts": [run(), run(route="q", paused="kim: lunch", standing="no-data")]}
    lines = said(render.many(found, Style(), NOW)).splitlines()
    assert ["ROUTE", "q", "p"] == [line.split()[0] for line in lines]
    assert ["q", "2", "1/2", "1", "%", "paused", "2", "min", "ago", "kim:", "lunch"] == lines[1].split()
    assert lines[2].endswith("judging  2 min ago  evidence: inconclusive")


def test_a_judgement_that_does_not_fire_stands_above_everything() -> None:
    """Nobody may overlook that nothing is promoted."""
    for lines in (render.many({"armed": False, "rollouts": [run()]}, Style(), NOW),
                  render.one({"armed": False, "rollouts": [run()]}, Style(), NOW)):  # fmt: skip
        assert "nothing is promoted" in next(iter(lines))


def test_one_is_shown_with_its_steps_and_its_verdict() -> None:
    """Where it is, who has to say what, and what was judged in words."""
    found = {"armed": True, "rollouts": [run(verdict={"sentence": "HOLD route p; errors"})]}
    text = said(render.one(found, Style(), NOW))
    assert "p, run 2 of plan careful, started 1 h ago by kim" in text
    assert ">      1 %  at least 10 min" in text
    assert "50 %  at least 1 d, a person promotes it" in text
    assert "judged: HOLD route p; errors" in text


def test_a_shadow_step_names_the_command_that_says_where_answers_differ() -> None:
    """As it can be typed; other steps, and what is over, have nothing to look at there."""
    steps = [{"name": "shadow", "share": 0.0, "gate": "automatic", "min_time": 600.0}, *STEPS]

    def text(**more: Any) -> str:
        return said(render.one({"armed": True, "rollouts": [run(route="GET /a", steps=steps, **more)]}, Style(), NOW))

    assert text().endswith("strangler shadow report 'GET /a'")
    assert "shadow report" not in text(step=2) + text(phase="aborted")


def test_nothing_of_somebodys_text_reaches_the_terminal_as_a_command() -> None:
    """Reasons come from people and programs."""
    found = {"armed": True, "rollouts": [run(paused="\x1b[2J", text="\x1b[2J", actor="\x1b[2J", route="\x1b[2J")]}
    for lines in (render.many(found, Style(), NOW), render.one(found, Style(), NOW), render.acted(found, Style())):
        assert "\x1b" not in said(lines)


@pytest.mark.parametrize("explain", [False, True])
def test_a_forecast_says_what_each_step_takes(explain: bool) -> None:
    """And that it would never end where it would not; how the figures come about only when asked."""
    steps = [
        STEPS[0] | {"requests": 1234, "seconds": 7200.0, "detectable": 2.5, "harm": 15},
        STEPS[1] | {"requests": None, "seconds": None, "detectable": None, "harm": None},
    ]
    found = {"route": "p", "requests_per_second": 0.25, "failing": 0.5, "seconds": None, "steps": steps}
    text = said(render.forecast(found, Style(), explain=explain))
    assert "p: 0.25 requests a second, legacy fails 0.5 % of them" in text
    assert ["1", "%", "1,234", "2", "h", "2.5", "%", "15"] == text.splitlines()[2].split()
    assert "in all: never at this traffic" in text
    assert explain is ("finds:" in text)


def test_the_calendar_says_what_to_do_with_the_slow_ones() -> None:
    """Begin higher up, or pool; a long list is cut."""
    slow = [{"route": f"r{number}", "seconds": None, "begin": None} for number in range(50)]
    slow[0] |= {"seconds": 1_000_000.0, "begin": 25.0}
    text = said(render.calendar({"routes": 1500, "day": 22, "week": 134, "month": 505, "slow": slow}, Style()))
    assert "134 of 1,500 routes with a plan within a week, each for itself: 22 within a day, 505 within 30 days" in text
    assert "start it at 25 %" in text
    assert "pool it" in text
    assert "and 10 more" in text


def test_verdicts_the_self_test_and_the_drill_are_plain_words() -> None:
    """Good and bad ones."""
    assert "the recorded evidence says nothing" == said(render.verdicts([], Style()))
    verdict = {"at": 0.0, "sentence": "ROLLBACK route p"}
    assert "1970-01-01 00:00:00  ROLLBACK route p" == said(render.verdicts([verdict], Style()))
    test = {"requests": 1000, "failures": 3, "repeats": 100, "rollbacks": 0, "holds": 2, "share": 1.0}
    assert "0 false rollbacks and 2 holds in 100 repeats" in said(render.self_test(test, Style()))
    assert "no evidence" in said(render.self_test(test | {"requests": 0}, Style()))
    assert "after 4 failed requests" in said(render.drilled({"fired": True, "failed": 4, "why": ""}, Style()))
    assert "nothing is promoted by itself: it slept" in said(
        render.drilled({"fired": False, "failed": 0, "why": "it slept"}, Style())
    )
