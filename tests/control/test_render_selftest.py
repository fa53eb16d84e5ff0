"""What `strangler rollout aa` shows: how far it is, the table, and what is not on the tape."""

from __future__ import annotations

from typing import Any

from control import render_selftest as render
from control.terminal import Style

SCORE = {
    "share": 5.0, "rollouts": 100, "rollbacks": 0, "errors": 0, "latency": 0, "expected": 0.08, "breakers": 0,
    "holds": 4, "sides": 0, "unruled": 21,
}  # fmt: skip


def known(**more: Any) -> dict[str, Any]:
    usual = {
        "route": "p", "phase": "done", "seconds": 60.0, "heard": 60.0, "left": 0.0, "answers": 12_034, "missed": 0,
        "silent": 0, "full": False, "clients": 412, "failures": 61, "errors": 9, "limits": [0.005, 0.1, None],
        "slow": [388, 12, 0], "rollouts": 100, "shares": [SCORE], "standing": "equal", "text": "told apart in none",
    }  # fmt: skip
    return usual | more


def said(**more: Any) -> str:
    return "\n".join(render.result(known(**more), Style()))


def test_the_table_stands_between_what_was_heard_and_what_it_comes_to() -> None:
    """Requests, clients, what counts of them, a row for each share."""
    lines = said().splitlines()
    assert "p: 12,034 answers of legacy to 412 clients within 1 min" == lines[0]
    assert "61 failed, of which 9 count" in lines[1]
    assert lines[1].endswith("388 (over 5 ms), 12 (over 100 ms), 0 (no limit)")
    assert ["5", "%", "100", "0", "0.08", "0", "4", "0", "21"] == lines[4].split()
    assert "told apart in none" == lines[-1]


def test_rollbacks_say_what_they_were_for() -> None:
    """Errors or slow answers, or both."""
    text = said(shares=[SCORE | {"rollbacks": 3, "latency": 3}, SCORE | {"rollbacks": 2, "errors": 1, "latency": 1}])
    assert "3 (3 latency)" in text
    assert "2 (1 errors, 1 latency)" in text


def test_what_is_not_on_the_tape_is_said() -> None:
    """It was full, answers were dropped, a worker was silent; limits that are not known are not shown."""
    text = said(full=True, missed=1200, silent=2, limits=[], slow=[])
    assert "the tape was full" in text
    assert "1,200 answers more came faster than they could be taped" in text
    assert "a worker was asked 2 times in vain" in text
    assert "slow answers that count" not in text


def test_without_a_result_there_is_no_table() -> None:
    """Stopped, or nothing came."""
    assert "stopped before there was a result" in said(phase="stopped", shares=[], standing=None, text="")
    text = said(answers=0, clients=0, shares=[SCORE | {"rollouts": 0}], text="is there traffic?", standing="unknown")
    assert ("p: 0 answers of legacy within 1 min", "is there traffic?") == tuple(text.splitlines())


def test_progress_is_a_line() -> None:
    """Of the tape, then of the rollouts."""
    assert "p: 12,034 answers of legacy, 20 s to go" == render.progress(known(phase="taping", left=20.0, shares=[]))
    assert "rollout 100 of 100 at each share" in render.progress(known(phase="judging"))
    assert "rollout 0 of 100" in render.progress(known(phase="judging", shares=[]))
