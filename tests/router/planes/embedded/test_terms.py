"""What is in force for each route, and of which there is more to ask."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.core.model import PPM
from router.planes.embedded.terms import Specials, TermsOfAll

said = st.lists(st.tuples(st.integers(0, PPM), st.integers(0, PPM), st.integers(0, 7)), max_size=40)


def read(terms: TermsOfAll, number: int) -> list[tuple[int, int, int]]:
    found = [terms.of(index) for index in range(number)]
    return [(each.share, each.live, each.cause) for each in found]


@given(said)
def test_each_route_has_its_own_terms(some: list[tuple[int, int, int]]) -> None:
    """Whatever it has in common with others."""
    terms = TermsOfAll([each[0] for each in some], [each[1] for each in some], bytes(each[2] for each in some))
    assert some == read(terms, len(some))


def test_there_may_be_as_many_different_terms_as_routes() -> None:
    """More than a byte can number, and more than two can."""
    for number in (256, 257, 65_536, 65_537):
        shares = list(range(number))
        assert [(share, share, 3) for share in shares] == read(TermsOfAll(shares, shares, bytes([3]) * number), number)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=20))
def test_a_route_is_special_as_long_as_it_was_said_last(changes: list[tuple[int, bool]]) -> None:
    """However often the same is said again."""
    specials, now = Specials(), dict.fromkeys(range(5), False)
    for _ in now:
        specials.add()
    for index, special in changes:
        specials.mark(index, special)
        now[index] = special
        assert list(now.values()) == [specials.has(each) for each in now]
