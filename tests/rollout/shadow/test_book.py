"""rollout.shadow.book: all routes that are compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.shadow.book import Book
from rollout.shadow.page import Page, Subject
from router.core.capture import Capture, Count, Counts, Taken, Who

A, B = Subject("a", "old", "new"), Subject("b", "old", "new")
JSON = (("Content-Type", "application/json"),)
CAPTURE = Capture(
    "a", 1, 0, 5.0, "r", "GET", "h", "/", Who.LEGACY,
    (Taken(Who.LEGACY, 200, JSON, b"1"), Taken(Who.NEW, 200, JSON, b"1"), Taken(Who.AGAIN, 200, JSON, b"1")),
)  # fmt: skip


def test_only_what_is_followed_is_compared() -> None:
    """Captures of other routes, and half ones, are counted as strangers."""
    book = Book(b"s")
    book.follow([A], 0.0)
    book.take(CAPTURE)
    book.take(replace(CAPTURE, route="b"))
    book.take(replace(CAPTURE, answers=()))
    assert {"route": 1, "pair": 1} == book.strangers
    found = book.answer({"op": "totals"}, 0.0)
    assert 1 == found["totals"]["a"]["verdicts"]["matched"]


def test_a_route_keeps_its_counts_while_it_is_followed() -> None:
    """Another table with the same comparison changes nothing; without it the page is closed."""
    book = Book(b"s")
    book.follow([A], 0.0)
    book.take(CAPTURE)
    book.follow([A, B], 0.0)
    assert 1 == book.answer({"op": "report", "route": "a"}, 0.0)["report"]["compared"]
    book.follow([B], 0.0)
    assert None is book.answer({"op": "report", "route": "a"}, 0.0)["report"]


def test_counts_of_copies_are_added_up() -> None:
    """From all workers; those of strangers are nobody's."""
    book = Book(b"s")
    book.follow([A], 0.0)
    for _ in range(2):
        book.take(Counts({("a", Count.FULL): 3, ("z", Count.FULL): 1}))
    assert {"full": 6} == book.answer({"op": "totals"}, 0.0)["totals"]["a"]["copies"]


def test_workers_are_told_when_a_route_wants_fewer_second_answers() -> None:
    """Once, when its learning has gone far enough; a worker that comes later hears it as well."""
    book = Book(b"s")
    book.follow([A], 0.0)
    wishes = [book.take(CAPTURE) for _ in range(210)]
    assert [50_000] == [wish for wish in wishes if wish is not None]
    assert {"a": 50_000} == book.wishes()


def test_a_mistake_in_a_comparison_costs_that_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted, and the next one is compared."""
    book = Book(b"s")
    book.follow([A], 0.0)
    with monkeypatch.context() as broken:
        broken.setattr(Page, "take", lambda *_: 1 / 0)
        assert None is book.take(CAPTURE)
    book.take(CAPTURE)
    assert ({"error": 1}, 1) == (
        book.strangers,
        book.answer({"op": "report", "route": "a"}, 0.0)["report"]["compared"],
    )


def test_pages_are_written_when_they_changed_and_read_when_they_are_opened() -> None:
    """What lies there and makes no sense is as good as nothing."""
    book = Book(b"s")
    book.follow([A, B], 0.0)
    book.take(CAPTURE)
    ((name, page),) = book.changed()
    assert ("a", []) == (name, book.changed())
    again = Book(b"s", {"a": page, "b": {"route": "b", "digest": B.digest, "tally": 7}}.get)
    again.follow([A, B], 0.0)
    reports = [again.answer({"op": "report", "route": name}, 0.0)["report"]["compared"] for name in ("a", "b")]
    assert [1, 0] == reports


def test_digests_of_values_change_with_the_day() -> None:
    """Nobody can look up yesterday's with today's key."""
    book = Book(b"s")
    assert book._key(10.0) == book._key(20.0) != book._key(90_000.0)


def test_a_question_that_nobody_asks_is_an_error() -> None:
    """The other end speaks another language then."""
    with pytest.raises(ValueError, match="nobody asks"):
        Book(b"s").answer({"op": "sing"}, 0.0)
