"""The timer wheel, turned by a clock of our own: never early, hardly late, and nothing left behind."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.planes.embedded.deadlines import NEVER, TICK, Wheel

JUST = 1e-6
"""What rounding may cost."""


class Timer:
    """One promised call."""

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """As much of an event loop as a wheel needs.  `late` is how much later than asked each timer is called."""

    def __init__(self, start: float = 1000.0, late: float = 0.0) -> None:
        self.now = start
        self.late = late
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        timer = Timer(self.now + delay, call)
        self.timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if not timer.cancelled and timer.when + self.late <= end]:
            timer = min(due, key=lambda one: one.when)
            self.timers.remove(timer)
            self.now = max(self.now, timer.when + self.late)
            timer.call()
        self.now = end


class Patient:
    """A waiter that notes when it expired."""

    def __init__(self, clock: Clock, then: Callable[[], None] = lambda: None) -> None:
        self.deadline = NEVER
        self.scheduled = NEVER
        self.expirations: list[float] = []
        self._clock = clock
        self._then = then

    def expired(self) -> None:
        self.expirations.append(self._clock.now)
        self._then()

    def wait(self, wheel: Wheel, deadline: float) -> None:
        """What every waiter of the data plane does."""
        self.deadline = deadline
        if deadline < self.scheduled:
            wheel.schedule(self)


def make_wheel(clock: Any) -> Wheel:
    return Wheel(clock, lambda: None)


# ------------------------------------------------------------------------------------------------ punctuality


@given(st.floats(0, 0.999), st.floats(0, 5), st.floats(0, 3))
def test_nobody_expires_early_or_more_than_a_tick_late(start: float, before: float, patience: float) -> None:
    """Wherever within a tick the wheel began, wherever the wait begins, however long it is."""
    clock = Clock(1000 + start)
    wheel = make_wheel(clock)
    clock.advance(before)
    waiter = Patient(clock)
    deadline = clock.now + patience
    waiter.wait(wheel, deadline)
    clock.advance(patience + 3 * TICK)
    assert 1 == len(waiter.expirations)
    assert deadline - JUST <= waiter.expirations[0] <= deadline + TICK + JUST


@given(st.floats(0, 0.999), st.floats(0.001, 0.3), st.floats(0, 3))
def test_a_busy_loop_makes_nobody_early(start: float, late: float, patience: float) -> None:
    """When every turn comes late, waiters are later by that much at most, and none is skipped."""
    clock = Clock(1000 + start, late)
    wheel = make_wheel(clock)
    waiter = Patient(clock)
    deadline = clock.now + patience
    waiter.wait(wheel, deadline)
    clock.advance(patience + 10)
    assert 1 == len(waiter.expirations)
    assert deadline - JUST <= waiter.expirations[0] <= deadline + 2 * (TICK + late)


def test_now_is_no_older_than_a_tick() -> None:
    """The wheel's time is what deadlines are computed from, so that nobody has to ask the clock."""
    clock = Clock()
    wheel = make_wheel(clock)
    for _ in range(50):
        clock.advance(0.037)
        assert clock.now - TICK - JUST <= wheel.now <= clock.now


def test_a_deadline_that_has_passed_already_expires_at_the_next_tick() -> None:
    """Nobody is called from within `schedule`."""
    clock = Clock()
    wheel = make_wheel(clock)
    waiter = Patient(clock)
    waiter.wait(wheel, clock.now - 100)
    assert [] == waiter.expirations
    clock.advance(TICK + JUST)
    assert 1 == len(waiter.expirations)


# ---------------------------------------------------------------------------------------------- moving deadlines


def test_a_deadline_that_moves_on_needs_no_call() -> None:
    """One assignment a request: the wheel looks at the old time and puts the waiter back."""
    clock = Clock()
    wheel = make_wheel(clock)
    waiter = Patient(clock)
    waiter.wait(wheel, clock.now + 1)
    for _ in range(20):
        clock.advance(0.9)
        waiter.deadline = clock.now + 1
    assert [] == waiter.expirations
    deadline = waiter.deadline
    clock.advance(2)
    assert 1 == len(waiter.expirations)
    assert deadline <= waiter.expirations[0] <= deadline + TICK + JUST


def test_a_deadline_that_moves_nearer_is_scheduled_anew() -> None:
    """And the old place on the wheel means nothing any more."""
    clock = Clock()
    wheel = make_wheel(clock)
    waiter = Patient(clock)
    waiter.wait(wheel, clock.now + 60)
    waiter.wait(wheel, clock.now + 1)
    clock.advance(1.2)
    assert 1 == len(waiter.expirations)
    clock.advance(100)
    assert 1 == len(waiter.expirations)


def test_a_deadline_of_never_drops_the_waiter_without_a_call() -> None:
    """The wheel looks once at the old time and lets go."""
    clock = Clock()
    wheel = make_wheel(clock)
    waiter = Patient(clock)
    waiter.wait(wheel, clock.now + 1)
    waiter.deadline = NEVER
    clock.advance(10)
    assert ([], NEVER) == (waiter.expirations, waiter.scheduled)


def test_a_waiter_that_has_expired_may_wait_again() -> None:
    """Also from within `expired`."""
    clock = Clock()
    wheel = make_wheel(clock)
    waiter = Patient(clock, lambda: waiter.wait(wheel, clock.now + 1))
    waiter.wait(wheel, clock.now + 1)
    clock.advance(5.9)
    assert 5 == len(waiter.expirations)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1), st.sampled_from(("wait", "move", "forget"))), max_size=30)
)
def test_whatever_waiters_do_none_is_early_and_none_is_forgotten(steps: list[tuple[int, float, str]]) -> None:
    """Three waiters that wait, move their deadlines and go: each expires at its last deadline or never."""
    clock = Clock()
    wheel = make_wheel(clock)
    waiters = [Patient(clock) for _ in range(3)]
    due = [NEVER] * 3
    for number, seconds, what in steps:
        waiter = waiters[number]
        if what == "wait":
            due[number] = clock.now + seconds
            waiter.wait(wheel, due[number])
        elif what == "move" and waiter.scheduled != NEVER:
            due[number] = max(waiter.deadline, clock.now + seconds)
            waiter.deadline = due[number]
        elif what == "forget":
            wheel.forget(waiter)
            due[number] = NEVER
        before = [len(waiter.expirations) for waiter in waiters]
        clock.advance(seconds / 2)
        for other, count in enumerate(before):
            fresh = waiters[other].expirations[count:]
            assert len(fresh) <= 1
            if fresh:
                assert due[other] - JUST <= fresh[0] <= due[other] + TICK + JUST
                due[other] = NEVER
            else:
                assert due[other] == NEVER or clock.now <= due[other] + TICK + JUST


# --------------------------------------------------------------------------------------------- leaving nothing


def test_who_is_forgotten_is_never_looked_at_again() -> None:
    """Forgetting twice, or somebody who never waited, does no harm."""
    clock = Clock()
    wheel = make_wheel(clock)
    waiter = Patient(clock)
    wheel.forget(waiter)
    waiter.wait(wheel, clock.now + 1)
    wheel.forget(waiter)
    wheel.forget(waiter)
    clock.advance(10)
    assert ([], NEVER) == (waiter.expirations, waiter.scheduled)


def test_who_is_forgotten_by_a_neighbour_in_the_same_tick_is_not_called() -> None:
    """One waiter's end may be another's: whichever comes first, the other one is spared."""
    clock = Clock()
    wheel = make_wheel(clock)
    one = Patient(clock, lambda: wheel.forget(other))
    other = Patient(clock, lambda: wheel.forget(one))
    one.wait(wheel, clock.now + 1)
    other.wait(wheel, clock.now + 1)
    clock.advance(10)
    assert 1 == len(one.expirations) + len(other.expirations)


def test_the_wheel_keeps_no_reference_to_those_who_are_gone() -> None:
    """A connection that is closed must be free to vanish at once, not when its deadline would have come."""
    clock = Clock()
    wheel = make_wheel(clock)
    waiter = Patient(clock)
    waiter.wait(wheel, clock.now + 3600)
    gone = weakref.ref(waiter)
    wheel.forget(waiter)
    del waiter
    assert gone() is None


def test_a_closed_wheel_turns_no_more() -> None:
    """No timer is left in the loop."""
    clock = Clock()
    wheel = make_wheel(clock)
    waiter = Patient(clock)
    waiter.wait(wheel, clock.now + 1)
    wheel.close()
    clock.advance(10)
    assert [] == waiter.expirations
    assert [] == [timer for timer in clock.timers if not timer.cancelled]
