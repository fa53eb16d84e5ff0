"""One broken client is not taken for a hundred users, whatever is lost on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from control.rollouts.failures import ROUNDS, Failures
from rollout.core.counted import Counted, Outcomes, difference
from rollout.core.evidence import Mark, Tally
from router.core.clients import client_key


def failure(client: str, side: int = 1, at: float = 5.0, route: str = "p", request: str = "r-1") -> list[Any]:
    return [route, side, 10_000, 3, client_key(route, client.encode()), request, at]


class Workers:
    """They tell what they were given, each in its turn."""

    def __init__(self, *answers: Sequence[Mapping[str, Any] | None]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def ask(self) -> Sequence[Mapping[str, Any] | None]:
        self.asked += 1
        return self.answers.pop(0) if self.answers else ()


def told(*rows: list[Any], more: bool = False) -> dict[str, Any]:
    return {"found": list(rows), "dropped": 0, "more": more}


class Clock:
    time = 1000.0

    def now(self) -> float:
        return self.time


async def test_a_client_counts_once_within_the_hour_whichever_side_and_worker() -> None:
    """Its first failure; the others are repeats of the side on which they happened."""
    workers = Workers(
        [told(failure("a"), failure("a")), told(failure("a", side=0), failure("b", request="r-9", at=7.0))]
    )
    failures = Failures(workers.ask, Clock().now)
    await failures.gather(["p"])
    found = failures.entered("p", Counted(Outcomes(10, 1), Outcomes(10, 3)))
    assert (1, Mark(7.0, "r-9")) == (found.new.repeats, found.new.last)
    assert (1, None) == (found.legacy.repeats, found.legacy.last)


async def test_after_two_hours_a_client_counts_again() -> None:
    """A generation is an hour long, and two are remembered."""
    clock = Clock()
    workers = Workers([told(failure("a"))], [told(failure("a"))], [told(failure("a"))])
    failures = Failures(workers.ask, clock.now)
    await failures.gather(["p"])
    clock.time += 1800
    await failures.gather(["p"])
    clock.time += 7200
    await failures.gather(["p"])
    assert 1 == failures.entered("p", Counted()).new.repeats


async def test_a_full_list_is_emptied_but_not_for_ever() -> None:
    """A worker that always has more must not hold the loop up."""
    workers = Workers(*([told(failure("a"), more=True)] for _ in range(50)))
    await Failures(workers.ask, Clock().now).gather(["p"])
    assert ROUNDS == workers.asked


async def test_a_worker_that_says_nothing_takes_nothing_away() -> None:
    """Nor do routes that are not judged."""
    workers = Workers([None, told(failure("a", route="q"))])
    failures = Failures(workers.ask, Clock().now)
    await failures.gather(["p"])
    assert Counted() == failures.entered("p", Counted())
    assert Counted() == failures.entered("q", Counted())


def test_what_is_told_can_only_take_failures_out() -> None:
    """Repeats ahead of the counters, or a memory that began anew: a failure counts, rather than not."""
    usual = difference(Outcomes(10, 1, repeats=0), Outcomes(20, 6, repeats=3, last=Mark(1.0, "r")), ())
    assert usual is not None
    assert (10, 5, 7, Tally(2, Mark(1.0, "r"), Mark(1.0, "r"))) == (
        usual.requests, usual.failures, usual.trials, usual.errors,
    )  # fmt: skip
    late = difference(Outcomes(10, 1, repeats=4), Outcomes(20, 6, repeats=4), (), ahead=4)
    assert late is not None
    assert 1 == late.errors.count
    ahead = difference(Outcomes(10, 1), Outcomes(20, 2, repeats=9), ())
    assert ahead is not None
    assert (1, 0) == (ahead.failures, ahead.errors.count)
    anew = difference(Outcomes(10, 1, repeats=50), Outcomes(20, 6, repeats=0), ())
    assert anew is not None
    assert 5 == anew.errors.count
