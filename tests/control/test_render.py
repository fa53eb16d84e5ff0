"""What people see: lines that say the important thing first, fit the terminal, and cannot command it."""

from __future__ import annotations

from typing import Any

import pytest

from control import render, terminal
from control import render_changes as changes
from control.terminal import Style

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
    "places": {"sites": [], "down": [], "changes": []},
}


def test_a_status_reads_from_trouble_to_workers() -> None:
    """The whole output, word for word."""
    assert list(render.status(STATUS, WIDE, NOW)) == [
        "revision 13, confirmed by 1 of 2 workers; 12.04 req/s, 0.4 % of it new",
        "!! not confirmed by worker 1",
        "",
        "orders in force (1)",
        "  R-12  rollback group=catalog                                    kim, 2 min ago",
        "        prices odd",
        "",
        "1 route",
        "  route    group    declared  effective  by    measured  req/s",
        "  product  catalog      25 %        0 %  R-12     0.4 %   12.0",
        "",
        "workers",
        "  0  pid 71  revision 13  confirmed",
        "  1  pid 72  revision 12  NOT CONNECTED, last heard of 5 s ago",
        "  rollback was not exercised lately: try `strangler drill ROUTE`",
    ]


def test_a_status_says_when_a_rollback_was_exercised_last() -> None:
    """In a drill or in earnest, by whom and why."""
    last = {"at": NOW - 7200, "order": "R-9", "actor": "kim", "reason": "drill", "revision": 11}
    lines = list(render.status(STATUS | {"exercised": last}, WIDE, NOW))
    assert "  rollback last exercised 2 h ago (R-9, kim: drill)" == lines[-1]


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
    assert list(changes.change(CHANGE, "rolled back", WIDE, NOW)) == [
        "rolled back, revision 13",
        "  product    25 %  ->  0 %",
        "  search   0.05 %  ->  0 %",
        "  worker 0: confirmed in 0.8 ms",
        "  worker 1: confirmed in 12.3 ms",
    ]


def test_a_straggler_stands_out() -> None:
    """Named, with what it runs and why."""
    found = CHANGE | {"workers": [CHANGE["workers"][0], {"id": 1, "revision": 12, "error": "not connected"}]}
    assert "  worker 1: NOT CONFIRMED, runs revision 12: not connected" in list(changes.change(found, "x", WIDE, NOW))
    assert ["1 (runs revision 12)"] == changes.stragglers(found)


def test_a_change_that_was_one_before_says_so() -> None:
    """Who holds it and since when."""
    found = CHANGE | {"already": True, "routes": []}
    assert next(changes.change(found, "x", WIDE, NOW)) == (
        "already held by R-12 (kim, 2 min ago): nothing changed, revision 13"
    )


def test_many_routes_are_counted_not_listed() -> None:
    """1,500 lines would hide the workers."""
    routes = [{"name": f"r{number}", "before": 5.0, "after": 0.0} for number in range(1500)]
    lines = list(changes.change(CHANGE | {"routes": routes}, "x", WIDE, NOW))
    assert "  and 1480 more (--json has all)" in lines
    assert len(lines) < 30


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_a_table_fits_the_terminal_when_it_can(width: int) -> None:
    """The first column gives way, down to a dozen columns; numbers are never cut."""
    rows = [("GET /v1/a/very/long/path/{id}/that/goes/on", "25 %"), ("상품 목록 조회 서비스 이름이 길다", "5 %")]
    lines = list(terminal.table(("route", "share"), rows, Style(width=width), right=frozenset({1})))
    assert max(map(terminal.width_of, lines)) <= width
    assert all(line.endswith(" %") for line in lines[1:])
    assert len({terminal.width_of(line) for line in lines[1:]}) == 1


def test_wide_characters_keep_columns_straight() -> None:
    """Hangul takes two columns a character."""
    lines = list(terminal.table(("who", "n"), [("김철수", "1"), ("kim", "22")], WIDE, right=frozenset({1})))
    assert lines[1:] == ["  김철수   1", "  kim     22"]


def test_nothing_that_people_wrote_reaches_the_terminal_as_a_command() -> None:
    """Escape sequences in a reason or a name are shown, not obeyed."""
    evil = "\x1b]0;owned\x07\x9b31m"
    order = ORDER | {"reason": evil, "actor": evil}
    found = CHANGE | {"order": order, "already": True, "notes": [evil]}
    printed = [
        *render.status(STATUS | {"orders": [order], "routes": [ROUTE | {"name": evil}]}, WIDE, NOW),
        *changes.change(found, "x", WIDE, NOW),
        *changes.problem({"detail": evil, "problems": [evil]}),
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
    assert expected == terminal.ago(NOW - seconds, NOW)


@pytest.mark.parametrize(("value", "expected"), [(None, "-"), (25.0, "25 %"), (0.05, "0.05 %"), (100.0, "100 %")])
def test_percentages_have_the_decimals_they_need(value: float | None, expected: str) -> None:
    """No rounding, no zeros."""
    assert expected == terminal.percent(value)


def test_a_problem_is_told_in_the_order_people_read() -> None:
    """Which field, what, what instead, then the list."""
    found = {"field": "weight", "detail": "101 is too much", "instead": "write less", "problems": ["a", "b"]}
    assert ["weight: 101 is too much; write less", "  a", "  b"] == list(changes.problem(found))


def test_the_way_back_can_be_pasted() -> None:
    """The order's id is in it."""
    assert changes.undo(ORDER) == "strangler resume R-12 --reason '...'"


# -- orders with an end ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"expires": NOW - 720, "provisional": False}, "!! OVERDUE for 12 min: it holds until strangler resume R-12"),
        ({"expires": NOW + 600, "provisional": False}, "due in 10 min"),
        (
            {"id": "W-3", "kind": "weight", "expires": NOW + 240, "provisional": True},
            "!! ON TRIAL: ends in 4 min unless strangler confirm W-3",
        ),
        (
            {"id": "C-3", "kind": "cap", "expires": NOW + 7200, "provisional": False, "stands_in_for": "C-1"},
            "ends in 2 h, then C-1 holds again",
        ),
        (
            {"id": "C-3", "kind": "cap", "expires": NOW - 60, "provisional": False},
            "!! OVERDUE for 1 min: a freeze holds it",
        ),
    ],
)
def test_the_end_of_an_order_is_told_with_what_a_person_has_to_do(more: dict[str, Any], expected: str) -> None:
    """An overdue rollback and a trial are loud."""
    assert f"        {expected}" == list(render.orders([ORDER | more], WIDE, NOW))[-1]


def test_what_needs_a_person_comes_before_what_is_newest() -> None:
    """Overdue, on trial, ending soon, then by age."""
    ends = {"provisional": False, "expires": NOW + 60}
    found = [
        ORDER | {"id": "R-1", "created": NOW - 9, "expires": NOW - 1, "provisional": False},
        ORDER | {"id": "W-2", "created": NOW - 8, "expires": NOW + 900, "provisional": True},
        ORDER | {"id": "C-3", "created": NOW - 7} | ends,
        ORDER | {"id": "W-4", "created": NOW - 6},
        ORDER | {"id": "W-5", "created": NOW - 5},
    ]
    lines = [line.split()[0] for line in render.orders(found, WIDE, NOW) if line.startswith("  ") and line[2] != " "]
    assert ["R-1", "W-2", "C-3", "W-5", "W-4"] == lines


def test_a_status_names_some_orders_and_counts_the_rest() -> None:
    """They would hide the routes."""
    found = [ORDER | {"id": f"R-{number}"} for number in range(30)]
    assert "  and 10 more: strangler orders" in list(render.status(STATUS | {"orders": found}, WIDE, NOW))


def test_a_file_on_trial_is_loud() -> None:
    """Who does not confirm it loses it."""
    source = STATUS["source"] | {"confirm_until": NOW + 300}
    lines = list(render.status(STATUS | {"source": source}, WIDE, NOW))
    assert lines[1].startswith("!! routes.yaml is ON TRIAL: taken back in 5 min (at ")
    assert lines[1].endswith(" unless strangler confirm file")


@pytest.mark.parametrize("width", [80, 100, 140])
def test_a_status_fits_the_terminal(width: int) -> None:
    """Columns that can be spared go before names are cut; measured traffic and the share in force stay."""
    long = ROUTE | {"name": "GET /v1/products/{productNo}/reviews/{reviewNo}/images", "ordered": 12.34}
    lines = list(render.status(STATUS | {"routes": [ROUTE, long]}, Style(width=width), NOW))
    assert max(map(terminal.width_of, lines)) <= width
    assert any("effective" in line and "measured" in line for line in lines)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (59.6, "1 min"), (90, "90 s"), (599.9, "10 min"), (3599, "1 h"), (5400, "90 min"), (9000, "2.5 h")],
)
def test_spans_are_rounded_to_what_people_say(seconds: float, expected: str) -> None:
    """Ten minutes are not nine."""
    assert expected == terminal.span(seconds)


# -- rollbacks ---------------------------------------------------------------------------------------------------------

ROLLBACK = CHANGE | {
    "orders": [ORDER],
    "skipped": [{"name": f"r{number}", "why": "it was at 0 % already"} for number in range(5)]
    + [{"name": "carts", "why": "it has no new side"}],
    "legacy": {
        "requests_per_second": 30.0,
        "returning": 12.5,
        "highest": 35.0,
        "highest_over": 7200,
        "above_highest": True,
    },
}
QUIET = {"answered_per_second": 0.0, "in_flight": 0, "tunnels": 0, "tunnel_drain": 30.0, "after": 0.25}


def test_a_rollback_says_what_it_skipped_and_why() -> None:
    """A few names for each reason."""
    lines = list(changes.rollback(ROLLBACK, WIDE, NOW))
    assert lines[0] == "rolled back to legacy: group=catalog (R-12) in 14 ms, revision 13"
    assert lines[-2:] == [
        "  skipped: r0, r1, r2 and 2 more: it was at 0 % already",
        "  skipped: carts: it has no new side",
    ]


def test_the_proof_shouts_when_legacy_gets_more_than_it_served_lately() -> None:
    """With both numbers."""
    lines = list(changes.proof(ROLLBACK, {"new_side": QUIET}, WIDE))
    assert lines[:4] == [
        "traffic",
        "  new side: 0 req/s, 0 exchanges in flight, 0 tunnels open after 0.2 s",
        "  legacy: 30 req/s, and 12.5 req/s come back to it: 42.5",
        "  !! that is MORE than legacy served in the last 2 h (at most 35 req/s)",
    ]


def test_the_proof_says_what_is_still_there() -> None:
    """One exchange and a tunnel that have not ended, and a site, of which exchanges are not counted."""
    lines = list(changes.proof(ROLLBACK, {"new_side": QUIET | {"in_flight": 1, "tunnels": 1}}, WIDE))
    assert lines[1] == "  new side: 0 req/s, 1 exchange in flight, 1 tunnel open after 0.2 s"
    assert lines[2] == "            tunnels are closed within 30 s"
    site = QUIET | {"in_flight": None, "tunnels": None}
    assert list(changes.proof(ROLLBACK, {"new_side": site}, WIDE))[1] == "  new side: 0 req/s after 0.2 s"
    unknown = {"new_side": None, "why": "nobody listens"}
    assert list(changes.proof(ROLLBACK, unknown, WIDE))[1] == (
        "  new side: not known (nobody listens); see strangler status"
    )


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_a_refusal_by_the_safety_rules_names_rule_route_line_and_what_would_be_allowed() -> None:
    """And the command that would pass."""
    step = {"rule": "max-step", "route": "product", "line": 12, "detail": "0 % to 100 % is too much", "allowed": 25.0}
    whole = {"rule": "window", "route": None, "line": None, "detail": "outside of the windows", "allowed": None}
    found = {"detail": "...", "violations": [step, whole], "allowed": 25.0}
    assert list(changes.problem(found, "strangler resume R-12 --weight")) == [
        "by the safety rules (max-step, window); nothing is changed",
        "  max-step: product (routes.yaml:12): 0 % to 100 % is too much",
        "    25 % would be allowed",
        "  window: outside of the windows",
        "allowed:  strangler resume R-12 --weight 25 --reason '...'",
        "or once:  --override max-step --override window   (the reason goes on record)",
    ]


def test_an_event_is_one_line() -> None:
    """What, by whom, why, then the rest; empty fields are left out."""
    fields = {"at": NOW, "action": "rollback", "order": "R-1", "target": "all", "actor": "kim", "reason": "fire"}
    line = changes.event("order.accepted", fields | {"routes": 3, "share": None}, WIDE)
    assert line[10:] == "order.accepted     R-1 rollback all by kim: fire routes=3"
