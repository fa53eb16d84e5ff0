"""The readers of plain values: a value or a problem, never both, never an exception."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest

from router.core.document import Entry, Mapping, Node, Scalar, Sequence
from router.core.problem import Code, Report
from router.core.schema import (
    Reader,
    boolean,
    choice,
    describe,
    digits,
    duration,
    entries,
    fields,
    list_of,
    percent,
    plain_text,
    text,
    whole,
)


class Colour(StrEnum):
    """Two words to choose from."""

    RED = "red"
    BLUE = "blue"


def scalar(value: Any, written: str | None = None) -> Scalar:
    return Scalar(value, 2, 5, str(value) if written is None else written)


def mapping(*pairs: tuple[str, Node]) -> Mapping:
    return Mapping(tuple(Entry(key, value, 3 + index, 1) for index, (key, value) in enumerate(pairs)), 3, 1)


LIST = Sequence((scalar("a"),), 2, 5)
EMPTY = scalar(None, "")


def read(reader: Reader[Any], node: Node) -> tuple[Any, list[str]]:
    report = Report()
    value = reader(node, "`key`", report)
    return value, [problem.code for problem in report.problems()]


GOOD: list[tuple[Reader[Any], Node, Any]] = [
    (text, scalar("shop"), "shop"),
    (text, scalar("${A}"), "${A}"),
    (plain_text, scalar("a $ {b}"), "a $ {b}"),
    (boolean, scalar(False, "no"), False),
    (whole(0, 9), scalar(0), 0),
    (whole(0, 9), scalar(9), 9),
    (percent, scalar(25), 250_000),
    (percent, scalar(0.5), 5_000),
    (percent, scalar(12.3, "12.30"), 123_000),
    (duration, scalar("250ms"), 0.25),
    (choice(Colour), scalar("red"), Colour.RED),
    (list_of(text, "a", "write one"), LIST, ("a",)),
]

BAD: list[tuple[Reader[Any], Node, Code]] = [
    (text, scalar(12), Code.WRONG_TYPE),
    (text, scalar(True, "on"), Code.WRONG_TYPE),
    (text, EMPTY, Code.WRONG_TYPE),
    (text, LIST, Code.WRONG_TYPE),
    (text, scalar(""), Code.BAD_VALUE),
    (text, scalar("a\nb"), Code.BAD_VALUE),
    (text, scalar("a\ud800"), Code.BAD_VALUE),
    (text, scalar("x" * 9000), Code.BAD_VALUE),
    (plain_text, scalar("${HOME}"), Code.BAD_VALUE),
    (boolean, scalar("true"), Code.WRONG_TYPE),
    (boolean, scalar(1), Code.WRONG_TYPE),
    (whole(0, 9), scalar(True, "yes"), Code.WRONG_TYPE),
    (whole(0, 9), scalar("3"), Code.WRONG_TYPE),
    (whole(0, 9), scalar(3.5), Code.BAD_VALUE),
    (whole(0, 9), scalar(8, "010"), Code.BAD_VALUE),
    (whole(0, 99), scalar(90, "1:30"), Code.BAD_VALUE),
    (whole(0, 9), scalar(10), Code.OUT_OF_RANGE),
    (whole(1, 9), scalar(0), Code.OUT_OF_RANGE),
    (percent, scalar("25"), Code.WRONG_TYPE),
    (percent, scalar(True), Code.WRONG_TYPE),
    (percent, scalar(100.01), Code.OUT_OF_RANGE),
    (percent, scalar(-1), Code.OUT_OF_RANGE),
    (percent, scalar(float("nan"), ".nan"), Code.OUT_OF_RANGE),
    (percent, scalar(float("inf"), ".inf"), Code.OUT_OF_RANGE),
    (percent, scalar(1.234), Code.BAD_VALUE),
    (percent, scalar(8, "010"), Code.BAD_VALUE),
    (duration, scalar(2), Code.BAD_DURATION),
    (duration, scalar("0s"), Code.BAD_DURATION),
    (duration, scalar(True, "on"), Code.WRONG_TYPE),
    (duration, LIST, Code.WRONG_TYPE),
    (choice(Colour), scalar("RED"), Code.BAD_VALUE),
    (choice(Colour), LIST, Code.BAD_VALUE),
    (list_of(text, "a", "write one"), scalar("a"), Code.WRONG_TYPE),
    (list_of(text, "a", "write one"), Sequence((), 2, 5), Code.BAD_VALUE),
    (list_of(text, "a", "write one"), Sequence((scalar("a"), scalar("a")), 2, 5), Code.DUPLICATE),
    (list_of(text, "a", "write one"), Sequence((scalar("a"), scalar(1)), 2, 5), Code.WRONG_TYPE),
]


@pytest.mark.parametrize(("reader", "node", "value"), GOOD)
def test_a_good_value_is_read_without_a_problem(reader: Reader[Any], node: Node, value: Any) -> None:
    """The value comes out, and nothing is reported."""
    assert (value, []) == read(reader, node)


@pytest.mark.parametrize(("reader", "node", "code"), BAD)
def test_a_bad_value_is_one_problem_and_nothing_else(reader: Reader[Any], node: Node, code: Code) -> None:
    """No value comes out, and exactly one problem says why."""
    assert (None, [code]) == read(reader, node)


def test_one_bad_item_spoils_the_list_but_all_are_reported() -> None:
    """Nothing is built on half a list; each bad item is a problem of its own."""
    node = Sequence((scalar("a"), scalar(1), scalar(2)), 2, 5)
    assert (None, [Code.WRONG_TYPE, Code.WRONG_TYPE]) == read(list_of(text, "a", "write one"), node)


def test_an_unknown_key_gets_a_suggestion() -> None:
    """A slip names the key that was meant, nonsense gets the list; the place is the key's."""
    report = Report()
    known: dict[str, Reader[Any]] = {"path": text, "weight": percent}
    said = fields(mapping(("weigth", scalar(1)), ("zzz", scalar(1)), ("path", scalar("/a"))), "a route", known, report)
    assert {"path": "/a"} == said
    assert [
        (3, "unknown key 'weigth' in a route", "did you mean `weight`?"),
        (4, "unknown key 'zzz' in a route", "remove it, or use path or weight"),
    ] == [(problem.line, problem.what, problem.instead) for problem in report.problems()]


def test_a_key_twice_names_both_lines() -> None:
    """The first one counts while reading goes on; the second one is the problem."""
    report = Report()
    found = entries(mapping(("a", scalar(1)), ("b", scalar(2)), ("a", scalar(3))), "the file", report)
    assert found is not None
    assert [("a", 3), ("b", 4)] == [(entry.key, entry.line) for entry in found]
    (problem,) = report.problems()
    assert (5, Code.DUPLICATE, "the key 'a' of the file stands on line 3 already") == (
        problem.line,
        problem.code,
        problem.what,
    )


def test_what_is_no_mapping_has_no_entries() -> None:
    """Empty is not an empty mapping: a file cut behind a colon must not look complete."""
    for node in (EMPTY, LIST, scalar("a")):
        report = Report()
        assert entries(node, "`groups`", report) is None
        assert [Code.WRONG_TYPE] == [problem.code for problem in report.problems()]


def test_digits_are_plain_or_nothing() -> None:
    """Only what every reader would read as the same number counts."""
    assert [7, None, None, None, None] == [
        digits(node) for node in (scalar(7), scalar("7"), scalar(7, "007"), scalar(7, "+7"), scalar(10**20))
    ]


def test_every_kind_of_node_can_be_described() -> None:
    """Messages say what was found in words."""
    nodes = [mapping(), LIST, EMPTY, scalar(True, "on"), scalar("a"), scalar(1.5)]
    words = ["a mapping", "a list", "empty", "the yes/no value 'on'", "the text 'a'", "the number '1.5'"]
    assert words == [describe(node) for node in nodes]
