"""What `strangler top` shows, and that no key changes anything without a reason."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.terminal import Style, width_of
from control.top import STALE, Picture, Quit, View, frame, press, report, room_for_routes, rows

NOW = 1000.0
STATUS: dict[str, Any] = {
    "revision": 13,
    "persisted": True,
    "source": {"path": "routes.yaml", "status": "ok", "problems": []},
    "orders": [{"kind": "rollback"}, {"kind": "weight"}, {"kind": "rollback"}],
    "workers": [{"id": 0, "confirmed": True}, {"id": 1, "confirmed": True}],
}


def route(name: str, **more: Any) -> dict[str, Any]:
    plain = {
        "name": name,
        "path": f"/{name}",
        "group": "catalog",
        "effective": 50.0,
        "cause": "declared",
        "order": None,
    }
    return plain | more


def step(*, legacy_errors: float = 0.0, new_errors: float = 0.0, p99: tuple[float, float] = (0.1, 0.1)) -> list[Any]:
    return [10.0, legacy_errors, 0.05, p99[0], 10.0, new_errors, 0.05, p99[1]]


ROUTES = [
    route("calm"),
    route("back", cause="rollback", order="R-7", effective=0.0),
    route("slow"),
    route("failing"),
    route("idle", group=""),
    route("old"),
]
RATES: dict[str, Any] = {
    "total": [60.0, 40.0],
    "routes": {name: [10.0, 10.0] for name in ("calm", "back", "slow", "failing", "old")},
    "latest": {
        "calm": step(),
        "back": step(),
        "slow": step(p99=(0.1, 0.3)),
        "failing": step(new_errors=2.0),
        "old": step(legacy_errors=3.0),
    },
}
PICTURE = Picture(NOW, STATUS, ROUTES, RATES)
NARROW = Style(width=60)


def shown(view: View = View(), picture: Picture = PICTURE) -> list[str]:  # noqa: B008 - a value
    return [row.name for row in picture.rows(view)]


def typed(view: View, *keys: str, picture: Picture = PICTURE) -> tuple[View, Any]:
    """The view after some keys, and what the last one asks for."""
    answer: Any = None
    for key in keys:
        view, answer = press(view, key, picture.rows(view), 10)
    return view, answer


# -- routes ------------------------------------------------------------------------------------------------------------


def test_the_worst_stands_first() -> None:
    """A failing new side, a failing legacy, a rollback, a slow new side, then whatever has traffic."""
    assert ["failing", "old", "back", "slow", "calm", "idle"] == shown()
    assert ["NEW FAILS", "LEGACY FAILS", "rolled back R-7", "new is slow", "", ""] == [
        row.trouble for row in PICTURE.rows(View())
    ]


def test_an_error_that_a_fallback_hides_is_one_all_the_same() -> None:
    """The new side answered nothing, and failed."""
    rates = RATES | {"routes": {"calm": [10.0, 0.0]}, "latest": {"calm": [10.0, 0.0, 0.1, 0.1, 0.0, 4.0, None, None]}}
    assert "NEW FAILS" == rows([route("calm")], rates, "worst", "")[0].trouble


@pytest.mark.parametrize("sort", ["traffic", "share", "name"])
def test_other_orders_can_be_chosen(sort: str) -> None:
    """By requests, by share, by name; `s` goes through them and comes back."""
    view, _ = typed(View(), *["s"] * (["traffic", "share", "name"].index(sort) + 1))
    assert sort == view.sort
    assert shown(view) == [row.name for row in rows(ROUTES, RATES, sort, "")]
    assert "worst" == typed(View(), *"ssss")[0].sort


def test_routes_can_be_looked_for() -> None:
    """In name, path and group, whatever the case; Escape shows all again."""
    view, _ = typed(View(), "/", *"CaTa", "enter")
    assert "idle" not in shown(view)
    assert ["slow"] == shown(typed(View(), "/", *"slox", "backspace", "enter")[0])
    assert ROUTES[0]["name"] in shown(typed(view, "escape")[0])


# -- keys --------------------------------------------------------------------------------------------------------------


def test_a_rollback_needs_a_reason_and_becomes_a_command() -> None:
    """The route that is picked, with what was typed; nothing before Enter."""
    view, answer = typed(View(), "down", "r", *"prices odd")
    assert answer is None
    assert ("rollback", "--reason", "prices odd", "--", "old") == typed(view, "enter")[1]


def test_without_a_reason_nothing_is_done() -> None:
    """Blanks are none; Escape and Ctrl-C leave it."""
    view, answer = typed(View(), "r", " ", "enter")
    assert (None, True) == (answer, "say why" in view.note)
    for key in ("escape", "ctrl-c"):
        view, answer = typed(View(), "r", *"oh no", key)
        assert (None, None, "nothing was changed") == (view.wish, answer, view.note)


@pytest.mark.parametrize(
    ("key", "command"),
    [
        ("r", ("rollback", "--reason", "why", "--", "failing")),
        ("R", ("rollback", "--reason", "why", "--group", "catalog")),
        ("h", ("freeze", "--reason", "why", "--", "failing")),
        ("f", ("freeze", "--reason", "why", "--", "failing")),
        ("H", ("freeze", "--reason", "why", "--group", "catalog")),
    ],
)
def test_each_key_is_a_command_that_could_have_been_typed(key: str, command: tuple[str, ...]) -> None:
    """Lower case is the route, upper case its group."""
    assert command == typed(View(), key, *"why", "enter")[1]


def test_an_order_is_lifted_by_its_id() -> None:
    """And where none is in force, that is said."""
    assert ("resume", "--reason", "why", "R-7") == typed(View(picked="back"), "u", *"why", "enter")[1]
    view, _ = typed(View(picked="calm"), "u")
    assert (None, "no order is in force on calm") == (view.wish, view.note)


def test_a_route_without_a_group_takes_no_group_with_it() -> None:
    """Nor does it ask for a reason in vain."""
    view, _ = typed(View(picked="idle"), "R")
    assert (None, "idle is in no group") == (view.wish, view.note)


def test_while_a_reason_is_typed_keys_are_letters() -> None:
    """`q` ends nothing then."""
    view, answer = typed(View(), "r", "q", "up", "ctrl-u", *"ok", "\x00")
    assert (None, "ok") == (answer, view.text)
    assert isinstance(typed(View(), "q")[1], Quit)
    assert isinstance(typed(View(), "ctrl-c")[1], Quit)


def test_what_is_picked_stays_picked_when_others_move() -> None:
    """By its name: a rollback must not hit whatever has slipped under the cursor."""
    view, _ = typed(View(), "down", "down")
    moved = replace(PICTURE, rates=RATES | {"latest": {}})
    assert ("rollback", "--reason", "x", "--", "back") == typed(view, "r", "x", "enter", picture=moved)[1]


def test_the_list_moves_with_what_is_picked() -> None:
    """Up and down, by pages, to both ends; an empty list takes every key."""
    view = View()
    for key, name in (("end", "idle"), ("home", "failing"), ("page-down", "idle"), ("up", "calm"), ("j", "idle")):
        view, _ = press(view, key, PICTURE.rows(view), 3)
        assert name == view.picked
        assert view.first <= shown().index(name) < view.first + 3
    assert View(find="zz") == typed(View(find="zz"), "down", "r")[0]


@given(st.lists(st.sampled_from([*"rRhHuqs/j\x00ü가", "up", "down", "enter", "escape", "backspace", "ctrl-u", "end"])))
def test_no_keys_do_anything_without_a_reason(keys: list[str]) -> None:
    """Whatever is pressed, a command carries a reason that was typed."""
    view = View()
    for key in keys:
        view, answer = press(view, key, PICTURE.rows(view), 3)
        if isinstance(answer, tuple):
            assert answer[answer.index("--reason") + 1].strip()


# -- lines -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(20, 5), (40, 10), (80, 24), (200, 60)])
@pytest.mark.parametrize("view", [View(), View(picked="calm", find="a"), typed(View(), "r", *"because")[0]])
def test_a_frame_fits_the_terminal(width: int, height: int, view: View) -> None:
    """So many lines, none wider; with names in any script and with events."""
    picture = replace(PICTURE, routes=[*ROUTES, route("상품 조회 " * 20)], events=["x" * 300] * 9)
    lines = frame(picture, view, Style(width=width), height, NOW)
    assert height == len(lines)
    assert all(width_of(line) <= width for line in lines)


def test_the_head_says_how_it_stands() -> None:
    """Revision, workers, traffic and orders in one line."""
    head = frame(PICTURE, View(), Style(width=120), 24, NOW)[0]
    assert "revision 13, 2 of 2 workers; 100.0 req/s, 40 % new; orders: 2 rollback, 1 weight" == head


def test_old_figures_are_never_shown_as_live() -> None:
    """Nor is silence taken for calm."""
    lines = "\n".join(frame(replace(PICTURE, trouble="it broke"), View(), Style(width=120), 24, NOW + STALE + 1))
    assert "!! NO ANSWER for 7 s: everything below is old (it broke)" in lines
    assert "NO ANSWER" not in "\n".join(frame(PICTURE, View(), Style(width=120), 24, NOW + 1))
    assert "nobody listens" in frame(Picture(trouble="nobody listens"), View(), Style(width=120), 24, NOW)[0]


def test_trouble_of_the_router_stands_above_the_routes() -> None:
    """A refused file, an order that is not recorded, a worker behind."""
    status = STATUS | {
        "source": {"path": "routes.yaml", "status": "refused", "problems": ["routes.yaml:3:1: no"]},
        "persisted": False,
        "workers": [{"id": 0, "confirmed": False}],
    }
    text = "\n".join(frame(replace(PICTURE, status=status), View(), Style(width=150), 24, NOW))
    assert "REFUSED; the last good one stays in force: routes.yaml:3:1: no" in text
    assert "NOT RECORDED" in text
    assert "not confirmed by worker 0" in text


def test_a_narrow_terminal_keeps_what_matters() -> None:
    """Share, requests and errors of the new side stay; the rest makes room for the name."""
    head = next(line for line in frame(PICTURE, View(), NARROW, 24, NOW) if "route (" in line)
    assert ["share", "req/s", "err", "new"] == head.split()[2:]
    assert "p99 leg" in "\n".join(frame(PICTURE, View(), Style(width=120), 24, NOW))


def test_names_cannot_command_the_terminal() -> None:
    """Control characters are shown, not obeyed; in names, in what is typed, in notes."""
    picture = replace(PICTURE, routes=[route("a\x1b[2Jb", group="g\x07")])
    view = View(picked="a\x1b[2Jb")
    for each in (view, typed(view, "r", *"why", picture=picture)[0], typed(view, "u", picture=picture)[0]):
        text = "".join(frame(picture, each, Style(width=100), 24, NOW))
        assert not re.search(r"[\x00-\x1f\x7f]", text)


def test_without_a_terminal_every_route_is_in_the_report() -> None:
    """And nothing is picked."""
    lines = list(report(PICTURE, Style()))
    assert [line.split()[0] for line in lines[3:]] == shown()
    assert not any(line.startswith(">") for line in lines)


def test_the_room_is_what_the_frame_leaves_to_routes() -> None:
    """The list can be walked to its last line."""
    many = replace(PICTURE, routes=[route(f"r{number:03}") for number in range(100)])
    view = View(sort="name")
    for _ in range(99):
        view, _ = press(view, "down", many.rows(view), room_for_routes(many, view, 24))
    assert any(line.startswith("> r099") for line in frame(many, view, Style(width=100), 24, NOW))
