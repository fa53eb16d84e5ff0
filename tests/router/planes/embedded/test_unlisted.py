"""What was asked for that no route takes, counted."""

from __future__ import annotations

import json
from typing import Any

from router.core.wire import MAX_LINE
from router.planes.embedded.unlisted import LONGEST_METHOD, LONGEST_PATH, MOST, Unlisted
from tests.router.planes.embedded.stage import OK, Stage, rollback, route, table

MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def ask(stage: Stage, target: bytes, answer: bytes = OK, method: bytes = b"GET") -> None:
    """A request that legacy answers."""
    stage.ask(method, target)
    stage.old.wire.say(answer)
    stage.settle()


def found(stage: Stage) -> list[Any]:
    rows: list[Any] = stage.plane.unlisted.view()["found"]
    return rows


def test_requests_without_a_route_are_counted_by_what_they_asked_for(stage: Stage) -> None:
    """By method, path and status, the busiest first; without the query, where secrets stand."""
    ask(stage, b"/carts/1", MISSING)
    for number in range(3):
        ask(stage, b"/carts/2?token=%d" % number)
    ask(stage, b"/carts/2", method=b"DELETE")
    assert [["GET", "/carts/2", 200, 3], ["GET", "/carts/1", 404, 1], ["DELETE", "/carts/2", 200, 1]] == found(stage)


def test_requests_that_a_route_takes_are_not(stage: Stage) -> None:
    """Whichever side answers them."""
    stage.ask()
    stage.new.wire.say(OK)
    stage.adopt(table(), rollback())
    ask(stage, b"/api/2")
    assert [] == found(stage)


def test_an_order_forgets_nothing_and_a_new_table_everything(stage: Stage) -> None:
    """The count is of what this table lists nowhere."""
    ask(stage, b"/carts/1")
    stage.adopt(table(), rollback())
    assert [["GET", "/carts/1", 200, 1]] == found(stage)
    stage.adopt(table(route(), route("cart", "/carts/{id}")))
    assert [] == found(stage)


def test_what_an_older_table_did_not_list_is_not_counted_under_a_newer_one(stage: Stage) -> None:
    """A long request may end when its route is there."""
    stage.ask(b"GET", b"/carts/1")
    stage.adopt(table(route(), route("cart", "/carts/{id}")))
    stage.old.wire.say(OK)
    stage.settle()
    assert {("unlisted", "legacy", "2xx", "unlisted"): 1} == stage.counts()
    assert [] == found(stage)


def test_kinds_are_bounded_and_the_rest_is_a_number() -> None:
    """Those that were first go on being counted; a table later there is room again."""
    count = Unlisted()
    for number in range(MOST + 50):
        count.put(b"GET", b"/%d" % number, 200)
    count.put(b"GET", b"/0", 200)
    said = count.view()
    assert (MOST, 50) == (len(said["found"]), said["more"])
    assert ["GET", "/0", 200, 2] == said["found"][0]
    count.clear()
    assert {"found": [], "more": 0} == count.view()


def test_long_words_are_cut() -> None:
    """Paths and methods, which are strangers'."""
    count = Unlisted()
    count.put(b"X" * 9000, b"/" + b"y" * 9000 + b"?q", 200)
    ((method, path, _, _),) = count.view()["found"]
    assert ("X" * LONGEST_METHOD, "/" + "y" * (LONGEST_PATH - 1)) == (method, path)


def test_the_answer_fits_into_a_line_whatever_was_asked_for() -> None:
    """Bytes that take six each; nothing is lost from the sum."""
    count = Unlisted()
    for number in range(MOST):
        count.put(b"GET", b"/%04d" % number + b"\xff" * LONGEST_PATH, 200)
    said = count.view()
    assert len(json.dumps({"op": "unlisted"} | said)) < MAX_LINE
    assert MOST == said["more"] + len(said["found"])
    assert said["more"] > 0
