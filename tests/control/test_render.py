"""What people see: lines that say the important thing first, fit the terminal, and cannot command it."""

from __future__ import annotations

from typing import Any

import pytest

from control import render
from control.render import Style

NOW = 1_700_000_000.0
WIDE = Style()

ORDER: dict[str, Any] = {
    "id": "R-12",
    "kind": "rollback",
    "scope": {"group": "catalog"},
    "text": "rollback group=catalog",
    "reason": "prices odd",
    "actor": "kim",
    "created": NOW - 130,
}
CHANGE: dict[str, Any] = {
    "order": ORDER,
    "already": False,
    "revision": 13,
    "confirmed": True,
    "persisted": True,
    "workers": [{"id": 0, "revision": 13, "ms": 0.84}, {"id": 1, "revision": 13, "ms": 12.3}],
    "routes": [{"name": "product", "before": 25.0, "after": 0.0}, {"name": "search", "before": 0.05, "after": 0.0}],
    "notes": [],
    "ms": 14.0,
}
ROUTE: dict[str, Any] = {
    "name": "product",
    "group": "catalog",
    "declared": 25.0,
    "ordered": None,
    "effective": 0.0,
    "cause": "rollback",
    "order": "R-12",
    "measured": 0.4,
    "requests_per_second": 12.04,
}
STATUS: dict[str, Any] = {
    "revision": 13,
    "persisted": True,
    "source": {"path": "routes.yaml", "status": "ok", "problems": [], "last_good_at": NOW - 60},
    "orders": [ORDER],
    "workers": [
        {"id": 0, "pid": 71, "revision": 13, "confirmed": True, "connected": True, "last_seen": NOW},
        {"id": 1, "pid": 72, "revision": 12, "confirmed": False, "connected": False, "last_seen": NOW - 5},
    ],
    "traffic": {"requests_per_second": 12.04, "measured": 0.4, "unlisted_per_second": 0.0},
    "routes": [ROUTE],
}


def test_a_status_reads_from_trouble_to_workers() -> None:
    """The whole output, word for word."""
    assert list(render.status(STATUS, WIDE, NOW)) == [
        "revision 13, confirmed by 1 of 2 workers; 12.04 req/s, 0.4 % of it new",
        "!! not confirmed by worker 1",
        "",
        "orders in force",
        "  order  what                    by              why",
        "  R-12   rollback group=catalog  kim, 2 min ago  prices odd",
        "",
        "1 route",
        "  route    group    declared  ordered  effective  by             measured  req/s",
        "  product  catalog      25 %        -        0 %  rollback R-12     0.4 %   12.0",
        "",
        "workers",
        "  0  pid 71  revision 13  confirmed",
        "  1  pid 72  revision 12  NOT CONNECTED, last heard of 5 s ago",
    ]


def test_a_refused_file_and_an_unrecorded_state_are_shouted() -> None:
    """With the problems and the age of what is in force instead."""
    source = STATUS["source"] | {"status": "refused", "problems": [f"routes.yaml:{n}:1: bad; mend" for n in range(25)]}
    lines = list(render.status(STATUS | {"source": source, "persisted": False, "orders": []}, WIDE, NOW))
    assert lines[1] == "!! routes.yaml is REFUSED; the last good one (1 min ago) stays in force:"
    assert lines[2] == "   routes.yaml:0:1: bad; mend"
    assert "   and 5 more (--json has all)" in lines
    assert "!! the store does not answer: what is in force is NOT RECORDED yet" in lines
    assert "no orders in force: every route follows routes.yaml" in lines


def test_a_change_shows_moves_and_every_workers_word() -> None:
    """From where to where; each worker with its time."""
    assert list(render.change(CHANGE, "rolled back", WIDE, NOW)) == [
        "rolled back, revision 13",
        "  product    25 %  ->  0 %",
        "  search   0.05 %  ->  0 %",
        "  worker 0: confirmed in 0.8 ms",
        "  worker 1: confirmed in 12.3 ms",
    ]


def test_a_straggler_stands_out() -> None:
    """Named, with what it runs and why."""
    found = CHANGE | {"workers": [CHANGE["workers"][0], {"id": 1, "revision": 12, "error": "not connected"}]}
    assert "  worker 1: NOT CONFIRMED, runs revision 12: not connected" in list(render.change(found, "x", WIDE, NOW))
    assert ["1 (runs revision 12)"] == render.stragglers(found)


def test_a_change_that_was_one_before_says_so() -> None:
    """Who holds it and since when."""
    found = CHANGE | {"already": True, "routes": []}
    assert next(render.change(found, "x", WIDE, NOW)) == (
        "already held by R-12 (kim, 2 min ago): nothing changed, revision 13"
    )


def test_many_routes_are_counted_not_listed() -> None:
    """1,500 lines would hide the workers."""
    routes = [{"name": f"r{number}", "before": 5.0, "after": 0.0} for number in range(1500)]
    lines = list(render.change(CHANGE | {"routes": routes}, "x", WIDE, NOW))
    assert "  and 1480 more (--json has all)" in lines
    assert len(lines) < 30


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_a_table_fits_the_terminal_when_it_can(width: int) -> None:
    """The first column gives way, down to a dozen columns; numbers are never cut."""
    rows = [("GET /v1/a/very/long/path/{id}/that/goes/on", "25 %"), ("상품 목록 조회 서비스 이름이 길다", "5 %")]
    lines = list(render.table(("route", "share"), rows, Style(width=width), right=frozenset({1})))
    assert max(map(render.width_of, lines)) <= width
    assert all(line.endswith(" %") for line in lines[1:])
    assert len({render.width_of(line) for line in lines[1:]}) == 1


def test_wide_characters_keep_columns_straight() -> None:
    """Hangul takes two columns a character."""
    lines = list(render.table(("who", "n"), [("김철수", "1"), ("kim", "22")], WIDE, right=frozenset({1})))
    assert lines[1:] == ["  김철수   1", "  kim     22"]


def test_nothing_that_people_wrote_reaches_the_terminal_as_a_command() -> None:
    """Escape sequences in a reason or a name are shown, not obeyed."""
    evil = "\x1b]0;owned\x07\x9b31m"
    order = ORDER | {"reason": evil, "actor": evil}
    found = CHANGE | {"order": order, "already": True, "notes": [evil]}
    printed = [
        *render.status(STATUS | {"orders": [order], "routes": [ROUTE | {"name": evil}]}, WIDE, NOW),
        *render.change(found, "x", WIDE, NOW),
        *render.problem({"detail": evil, "problems": [evil]}),
    ]
    assert not any(char < " " or "\x7f" <= char < "\xa0" for line in printed for char in line)


def test_colour_is_only_used_when_it_is_asked_for() -> None:
    """The words alone say everything."""
    coloured = "\n".join(render.status(STATUS, Style(colour=True), NOW))
    assert "\x1b[" in coloured
    assert "\x1b[" not in "\n".join(render.status(STATUS, WIDE, NOW))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-5, "0 s ago"), (59, "59 s ago"), (60, "1 min ago"), (7199, "1 h ago"), (90_000, "1 d ago")],
)
def test_ages_are_told_in_the_largest_unit(seconds: float, expected: str) -> None:
    """A clock that jumped back makes nothing older than now."""
    assert expected == render.ago(NOW - seconds, NOW)


@pytest.mark.parametrize(("value", "expected"), [(None, "-"), (25.0, "25 %"), (0.05, "0.05 %"), (100.0, "100 %")])
def test_percentages_have_the_decimals_they_need(value: float | None, expected: str) -> None:
    """No rounding, no zeros."""
    assert expected == render.percent(value)


def test_a_problem_is_told_in_the_order_people_read() -> None:
    """Which field, what, what instead, then the list."""
    found = {"field": "weight", "detail": "101 is too much", "instead": "write less", "problems": ["a", "b"]}
    assert ["weight: 101 is too much; write less", "  a", "  b"] == list(render.problem(found))


def test_the_way_back_can_be_pasted() -> None:
    """The order's id is in it."""
    assert render.undo(ORDER) == "undo: strangler resume R-12 --reason '...'"
