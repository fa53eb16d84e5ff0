"""Counters and lists of failures tell of the same requests at different moments: what is evidence of it, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from rollout.core.evidence import Counts, Epoch, Mark, Tally
from rollout.core.failures import (
    GRACE,
    LENIENT,
    NOBODY,
    NOTHING,
    Books,
    Failure,
    Heard,
    Named,
    entered,
    hear,
    opened,
    pending,
)
from router.core.clients import HOUR, Firsts

AT = 1000.0


def failure(client: int, *, new: bool = True, at: float = AT, request: str = "r", share: int = 10_000) -> Failure:
    return Failure("p", new, share, 3, client, request, at)


def told(*failures: Failure, firsts: Firsts | None = None, at: float = AT, heard: Heard = NOTHING) -> Heard:
    return hear(heard, failures, Epoch("p", 3, 10_000), "new", Firsts() if firsts is None else firsts, at)


def ended(requests: int, failures: int = 0) -> Counts:
    """What the counters say of requests that have ended."""
    return Counts(requests, failures, requests, Tally(failures))


def named(count: int, errors: int = 0) -> Named:
    return Named(count, Tally(errors))


class Account:
    """One side's books over some readings."""

    def __init__(self, books: Books | None = None) -> None:
        self.books = Books() if books is None else books

    def enter(self, counts: Counts, names: Named = NOBODY, *, at: float = AT, dropped: int = 0) -> tuple[int, int]:
        """Trials and errors of the row."""
        self.books, counts = entered(self.books, counts, names, dropped=dropped, at=at)
        return counts.trials, counts.errors.count


# ------------------------------------------------------------------------------------------- what is heard of failures


def test_a_client_counts_once_whichever_side_and_worker() -> None:
    """Its first failure; every one of them is named."""
    heard = told(failure(1, at=5.0), failure(1, new=False, at=6.0), failure(2, at=7.0), failure(1, at=8.0))
    assert (named(3).count, 2) == (heard.new.count, heard.new.errors.count)
    assert named(1) == heard.legacy
    assert 4 == len(set(heard.clients)), "both on the route and on its upstream"


def test_the_first_and_the_last_that_count_can_be_looked_up() -> None:
    """In the order in which they failed, not in which workers told of them."""
    firsts = Firsts()
    heard = told(failure(2, at=7.0, request="b"), failure(1, at=5.0, request="a"), firsts=firsts)
    heard = told(failure(3, at=6.0, request="c"), failure(1, at=9.0, request="d"), firsts=firsts, heard=heard)
    assert Tally(3, Mark(5.0, "a"), Mark(7.0, "b")) == heard.new.errors


def test_after_two_hours_a_client_counts_again() -> None:
    """And not earlier than after one."""
    firsts = Firsts()
    counted = [told(failure(1), firsts=firsts, at=AT + part * HOUR).new.errors.count for part in (0.0, 0.5, 0.9, 3.0)]
    assert [1, 0, 0, 1] == counted


def test_what_was_routed_under_another_share_is_named_and_does_not_count() -> None:
    """Nor does it use its client up."""
    firsts = Firsts()
    old = [failure(1, share=50_000), failure(1)._replace(revision=2)]
    assert named(2) == told(*old, firsts=firsts).new
    assert 1 == told(failure(1), firsts=firsts).new.errors.count


def test_clients_whose_errors_are_in_no_row_yet_are_known() -> None:
    """They are not recorded as counted before their errors are."""
    one, two = told(failure(1)), told(failure(2, new=False), failure(2))
    assert {*one.clients, *two.clients} == pending([one, two])


def test_a_client_that_fails_on_many_routes_counts_once_for_their_upstream() -> None:
    """And once on each of them."""
    firsts, found = Firsts(), []
    for route, upstream in (("p", "new"), ("q", "new"), ("r", "other")):
        heard = hear(NOTHING, [failure(1)._replace(route=route)], Epoch(route, 3, 10_000), upstream, firsts, AT)
        found.append((heard.new.errors.count, heard.new.elsewhere))
    assert [(1, 0), (1, 1), (1, 0)] == found
    _, counts = entered(Books(), ended(10, 1), Named(1, Tally(1), 1), dropped=0, at=AT)
    assert (10, 1, 1) == (counts.trials, counts.errors.count, counts.elsewhere)


# --------------------------------------------------------------------------------------------------- one side's books


def test_a_failure_that_does_not_count_is_neither_error_nor_trial() -> None:
    """Three failures of ten requests, two of them of a client that has been counted."""
    assert (8, 1) == Account().enter(ended(10, 3), named(3, 1))


def test_a_failure_counts_before_its_request_has_ended_and_only_then() -> None:
    """A fallback may take a while; the request comes later and is no second trial."""
    account = Account()
    assert (1, 1) == account.enter(ended(0), named(1, 1))
    assert (4, 0) == account.enter(ended(5, 1))
    assert Books() == account.books


def test_a_failure_that_is_counted_first_waits_for_its_name() -> None:
    """Until then it is nothing; then it counts, or was somebody's second."""
    account = Account()
    assert (8, 0) == account.enter(ended(10, 2))
    assert (1, 1) == account.enter(ended(0), named(2, 1), at=AT + 1)
    assert (10, 0) == account.enter(ended(10), at=AT + 2 * GRACE)


def test_a_first_try_that_was_mended_is_an_error_among_successes() -> None:
    """The counters never call it a failure, since the second try went well."""
    assert (10, 1) == Account().enter(ended(10), named(1, 1))


def test_what_nobody_names_in_time_counts_each() -> None:
    """A witness who is gone prevents no rollback; those that came in later wait as long."""
    account = Account()
    assert (6, 0) == account.enter(ended(10, 4))
    assert (0, 0) == account.enter(ended(3, 3), at=AT + GRACE / 2)
    assert (4, 4) == account.enter(ended(0), at=AT + GRACE)
    assert (3, 3) == account.enter(ended(0), at=AT + 2 * GRACE)
    assert (10, 0) == account.enter(ended(10), at=AT + 9 * GRACE)


def test_what_is_named_within_the_grace_is_no_accusation() -> None:
    """Some are waiting all the time, and none of them for long."""
    account, trials = Account(), 0
    for second in range(60):
        more, errors = account.enter(ended(10, 5), named(5 if second else 0), at=AT + second)
        trials += more
        assert (0, True) == (errors, len(account.books.waiting) <= GRACE)
    assert 60 * 5 == trials


def test_a_full_list_excuses_what_it_did_not_name() -> None:
    """Neither error nor trial: which of thousands are missing does not depend on the side."""
    account = Account()
    assert (2000, 500) == account.enter(ended(10_000, 8_500), named(500, 500), dropped=8_000)
    assert (0, 0) == account.enter(ended(0), at=AT + GRACE)
    assert (10, 0) == account.enter(ended(10), at=AT + GRACE + 1)


def test_the_excuse_has_an_end() -> None:
    """Half a minute after a list was full, or the share came into force, whatever has no name counts."""
    for account in (Account(opened(AT)[0]), Account()):
        account.enter(ended(10), dropped=1)
        account.enter(ended(10, 10), at=AT + LENIENT + 1)
        assert (10, 10) == account.enter(ended(0), at=AT + LENIENT + 1 + GRACE)


# ---------------------------------------------------------------------------------------------------------- properties


@dataclass(frozen=True)
class Event:
    """One request: whose, how it went, and when either witness speaks of it."""

    new: bool
    client: int
    fails: bool
    listed: int
    """The reading in which a list names it; beyond the last reading: never."""
    counted: int
    mended: bool
    """A second try went well."""


READINGS = 20
SECONDS = GRACE / READINGS / 2
NEVER = 10_000
events = st.builds(
    Event,
    st.booleans(),
    st.integers(0, 8),
    st.booleans(),
    st.integers(0, READINGS - 1),
    st.integers(0, READINGS - 1),
    st.booleans(),
)


def rows_of(every: Sequence[Event]) -> tuple[list[Counts], int]:
    """The rows of both sides, and how many clients were named; in the end a thousand requests of each go well."""
    firsts, sides, rows = Firsts(), [Books(), Books()], []
    for reading in (*range(READINGS), 10 * READINGS, 20 * READINGS):
        at = AT + reading * SECONDS
        mine = [event for event in every if event.fails and event.listed == reading]
        heard = told(*(failure(event.client, new=event.new) for event in mine), firsts=firsts, at=at)
        for side, names in enumerate((heard.legacy, heard.new)):
            over = [event for event in every if event.counted == reading and event.new == side]
            failed = sum(event.fails and not event.mended for event in over)
            more = ended(len(over) + 1000 * (reading == 20 * READINGS), failed)
            sides[side], row = entered(sides[side], more, names, dropped=0, at=at)
            rows.append(row)
    return rows, len({event.client for event in every if event.fails and event.listed != NEVER})


def total(rows: Sequence[Counts]) -> tuple[int, int]:
    """Trials, but for the thousands at the end, and errors."""
    return sum(row.trials for row in rows) - 2000, sum(row.errors.count for row in rows)


@given(st.lists(events, max_size=60))
def test_in_whatever_order_witnesses_speak_the_sums_are_the_same(every: list[Event]) -> None:
    """A client's first failure is an error, its others are no trials; no row has more errors than trials."""
    rows, clients = rows_of(every)
    assert all(0 <= row.errors.count <= row.trials for row in rows)
    failures = sum(event.fails for event in every)
    assert (len(every) - failures + clients, clients) == total(rows)


@given(st.lists(events, max_size=60), st.sets(st.integers(0, 59)))
def test_what_is_lost_counts_and_nothing_counts_twice(every: list[Event], lost: set[int]) -> None:
    """A failure that nobody names is an error in the end; one that was named is another one only by its client."""
    every = [replace(event, mended=False) for event in every]
    every = [replace(event, listed=NEVER) if number in lost else event for number, event in enumerate(every)]
    rows, clients = rows_of(every)
    assert all(0 <= row.errors.count <= row.trials for row in rows)
    unnamed = sum(event.fails and event.listed == NEVER for event in every)
    failures = sum(event.fails for event in every)
    assert (len(every) - failures + clients + unnamed, clients + unnamed) == total(rows)
