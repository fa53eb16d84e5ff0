"""The demo counts what its users saw."""

from __future__ import annotations

from demo.tally import Rate, Seen, Tally


def seen(at: float, side: str = "legacy", *, route: str = "product", status: int = 200, ms: float = 5.0) -> Seen:
    return Seen(at, route, side, status, ms)


def test_rates_are_per_second_of_the_window() -> None:
    """Ten answers of each side within the five seconds shown are two per second."""
    tally = Tally(started=0.0)
    for number in range(10):
        tally.add(seen(100 + number / 10))
        tally.add(seen(100 + number / 10, "new"))
    assert [Rate("product", 2.0, 2.0)] == tally.rates(now=102.0)


def test_what_is_older_than_the_window_does_not_count_but_its_route_stays() -> None:
    """A route that went quiet keeps its line, at zero."""
    tally = Tally(started=0.0)
    tally.add(seen(1.0))
    assert [Rate("product", 0.0, 0.0)] == tally.rates(now=50.0)


def test_a_young_demo_divides_by_its_age() -> None:
    """Two seconds after the start, four answers are two per second, not less."""
    tally = Tally(started=10.0)
    for _ in range(4):
        tally.add(seen(11.0, "new"))
    assert [Rate("product", 0.0, 2.0)] == tally.rates(now=12.0)


def test_server_errors_and_missing_answers_are_failures_and_others_are_not() -> None:
    """A shopper minds 503 and silence; 404 is an answer."""
    tally = Tally(started=0.0)
    for status in (200, 404, 503, 0):
        tally.add(seen(1.0, status=status))
    assert (2, "no answer on product") == (tally.failed, tally.last_failure)


def test_the_median_leaves_streams_out() -> None:
    """A stream takes as long as it takes and says nothing about speed."""
    tally = Tally(started=0.0)
    for ms in (1.0, 3.0, 9.0, 0.0, 0.0):
        tally.add(seen(1.0, ms=ms))
    assert tally.median_ms(now=1.0) == 3.0
