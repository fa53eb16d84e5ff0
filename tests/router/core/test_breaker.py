"""When an API is pulled to legacy, and how it comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.core.breaker import MOST_HOLD, TRIALS, RouteBreaker, State
from router.core.model import Breaker, Resume


def fail(breaker: RouteBreaker, times: int, *, at: float = 0.0, well: int = 0) -> None:
    """So many failures after so many requests that went well."""
    for number in range(times):
        breaker.failed(at, well + number)


def tripped(**settings: object) -> RouteBreaker:
    breaker = RouteBreaker(Breaker(**settings))  # type: ignore[arg-type]
    fail(breaker, 20)
    assert State.OPEN is breaker.state
    return breaker


def test_it_trips_at_the_minimum_of_requests_and_not_before() -> None:
    """Nineteen failures of nineteen requests conclude nothing."""
    breaker = RouteBreaker(Breaker(minimum=20))
    fail(breaker, 19)
    assert not breaker.tripped
    assert breaker.failed(0.0, 19)
    assert (True, 1) == (breaker.tripped, breaker.trips)


def test_failures_below_the_ratio_are_the_apis_normal_life() -> None:
    """A third of the requests fails, half would have to."""
    breaker = RouteBreaker(Breaker())
    for number in range(200):
        breaker.failed(number / 100, number * 3)
    assert not breaker.tripped


def test_failures_of_another_window_are_forgotten() -> None:
    """Ten now and ten eleven seconds later are not twenty in ten seconds."""
    breaker = RouteBreaker(Breaker(minimum=20))
    fail(breaker, 15)
    fail(breaker, 15, at=11.0, well=15)
    assert not breaker.tripped


def test_only_a_safe_request_tries_again_alone_and_after_the_hold() -> None:
    """Not before its time, not a POST, not two at once."""
    breaker = tripped(hold=15.0)
    assert [False, False] == [breaker.try_again(14.9, safe=True), breaker.try_again(15.0, safe=False)]
    assert breaker.try_again(15.0, safe=True)
    assert not breaker.try_again(15.0, safe=True)
    breaker.undecided()
    assert breaker.try_again(15.0, safe=True)


def test_three_trials_in_a_row_close_it() -> None:
    """One good answer may be luck."""
    breaker = tripped(hold=15.0)
    said = []
    for _ in range(TRIALS):
        assert breaker.try_again(20.0, safe=True)
        said.append(breaker.passed(20.0))
    assert ([False, False, True], State.CLOSED, False) == (said, breaker.state, breaker.tripped)


def test_a_failed_trial_holds_twice_as_long_up_to_five_minutes() -> None:
    """Whatever is still sick is asked more and more seldom."""
    breaker, now, holds = tripped(hold=15.0), 0.0, []
    for _ in range(7):
        holds.append(breaker.until - now)
        now = breaker.until
        assert breaker.try_again(now, safe=True)
        breaker.failed(now, 0, trial=True)
    assert [15, 30, 60, 120, 240, MOST_HOLD, MOST_HOLD] == holds


def test_trouble_that_returns_soon_is_the_same_trouble() -> None:
    """An API that trips again a minute after it was closed stays away longer."""
    breaker = tripped(hold=15.0)
    breaker.close(20.0)
    fail(breaker, 20, at=80.0)
    assert 30.0 == breaker.until - 80.0
    breaker.close(120.0)
    fail(breaker, 20, at=1000.0)
    assert 15.0 == breaker.until - 1000.0


def test_one_that_a_person_has_to_close_never_tries_by_itself() -> None:
    """`resume: manual`."""
    breaker = tripped(resume=Resume.MANUAL)
    assert not breaker.try_again(1e9, safe=True)
    breaker.close(1e9)
    assert not breaker.tripped


def test_other_settings_leave_what_has_happened() -> None:
    """A reload is no cure."""
    breaker = tripped()
    breaker.take(Breaker(minimum=1000))
    assert (True, 1000) == (breaker.tripped, breaker.settings.minimum)


@given(st.lists(st.tuples(st.sampled_from(["fail", "ok", "try", "pass", "gone", "close"]), st.floats(0, 30))))
def test_whatever_happens_it_is_tripped_exactly_when_it_is_not_closed(steps: list[tuple[str, float]]) -> None:
    """And at most one request tries at a time."""
    breaker, now, finished, trying = RouteBreaker(Breaker(minimum=3)), 0.0, 0, False
    for step, pause in steps:
        now += pause
        if step == "fail":
            breaker.failed(now, finished, trial=trying)
            trying = False
        elif step == "ok":
            finished += 1
        elif step == "try" and breaker.tripped:
            got = breaker.try_again(now, safe=True)
            assert not (got and trying)
            trying = trying or got
        elif step == "pass" and trying:
            breaker.passed(now)
            trying = False
        elif step == "gone" and trying:
            breaker.undecided()
            trying = False
        elif step == "close":
            breaker.close(now)
            trying = False
        assert breaker.tripped == (breaker.state is not State.CLOSED)
