"""Whatever the bytes, the answer is a table or problems with their places."""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings

from router.core.document import Entry, Mapping, Node, Scalar, Sequence
from router.core.parse import Parsed, Refused
from router.core.problem import Code, Problem, Report
from router.sources.yaml_file import MAX_BYTES, MAX_DEPTH, MAX_NODES, load_table, read_document
from tests.strategies import EXAMPLE, any_bytes

LOADERS = [yaml.CSafeLoader, yaml.SafeLoader]


def document(text: str | bytes, loader: type[Any] = yaml.CSafeLoader) -> tuple[Node | None, tuple[Problem, ...]]:
    report = Report()
    data = text.encode() if isinstance(text, str) else text
    return read_document(data, report, loader), report.problems()


def only_problem(text: str | bytes, loader: type[Any] = yaml.CSafeLoader) -> tuple[int, int, Code, str]:
    _, (problem,) = document(text, loader)
    return problem.line, problem.column, problem.code, f"{problem.what}; {problem.instead}"


# -------------------------------------------------------------------------------------------- never raises


@given(any_bytes)
@settings(max_examples=400, deadline=None)
def test_loading_never_raises_and_every_problem_is_complete(data: bytes) -> None:
    """Any bytes give a table, or problems that each have a place, a text and an advice."""
    loaded = load_table(data, "conf/routes.yaml", {"HOME": "http://h:1"})
    if isinstance(loaded, Refused):
        assert loaded.problems
        lines = data.decode(errors="replace").splitlines() or [""]
        for problem in loaded.problems:
            assert 1 <= problem.line <= len(lines) + 1
            assert problem.column >= 1
            assert problem.what
            assert problem.instead
            assert str(problem).startswith(f"conf/routes.yaml:{problem.line}:{problem.column}: ")
            assert "\n" not in str(problem)


@given(any_bytes)
@settings(max_examples=150, deadline=None)
def test_the_loader_in_python_never_raises_either(data: bytes) -> None:
    """A PyYAML without its C part gives values and problems, too."""
    report = Report()
    if read_document(data, report, yaml.SafeLoader) is None:
        assert report.problems()


# --------------------------------------------------------------------------------------- values and places


@pytest.mark.parametrize("loader", LOADERS)
def test_values_carry_their_place_and_spelling(loader: type[Any]) -> None:
    """Lines and columns count from 1, columns in characters, and scalars keep how they were written."""
    node, problems = document('a: 25\n\u00e9: [0.50, "25", yes, ~]\n', loader)
    assert problems == ()
    items = (
        Scalar(0.5, 2, 5, "0.50"),
        Scalar("25", 2, 11, "25"),
        Scalar(True, 2, 17, "yes"),
        Scalar(None, 2, 22, "~"),
    )
    assert node == Mapping(
        (Entry("a", Scalar(25, 1, 4, "25"), 1, 1), Entry("\u00e9", Sequence(items, 2, 4), 2, 1)), 1, 1
    )


def test_keys_are_text_whatever_yaml_takes_them_for() -> None:
    """`on`, `1` and an empty key are the words that stand there."""
    node, problems = document("on: a\n1: b\n~: c\n")
    assert isinstance(node, Mapping)
    assert (["on", "1", "~"], ()) == ([entry.key for entry in node.entries], problems)


def test_a_date_is_the_text_that_was_written() -> None:
    """YAML 1.1 would make an object of it that nobody here wants."""
    assert document("2024-01-02")[0] == Scalar("2024-01-02", 1, 1, "2024-01-02")


def test_a_byte_order_mark_is_ignored() -> None:
    """Some editors write one; the first column stays 1."""
    assert document(b"\xef\xbb\xbfa")[0] == Scalar("a", 1, 1, "a")


def test_an_alias_means_what_it_stands_for() -> None:
    """The aliased value appears again, with the place where it is written."""
    node, _ = document("- &a {x: 1}\n- *a\n")
    assert isinstance(node, Sequence)
    assert node.items[0] == node.items[1]
    assert 1 == node.items[1].line


def test_merged_keys_give_way_to_own_ones() -> None:
    """`<<` brings what is not written; of several mappings the first wins."""
    node, problems = document("- &a {x: 1, y: 1}\n- &b {y: 2, z: 2}\n- {x: 0, <<: [*a, *b]}\n")
    assert isinstance(node, Sequence)
    merged = node.items[2]
    assert isinstance(merged, Mapping)
    values = {entry.key: entry.value.value for entry in merged.entries if isinstance(entry.value, Scalar)}
    assert ({"x": 0, "y": 1, "z": 2}, ()) == (values, problems)


# ------------------------------------------------------------------------------------------------- problems

WRONG: list[tuple[str, str | bytes, int, int, Code, str]] = [
    ("empty", b"", 1, 1, Code.BAD_FILE, "the file is empty"),
    ("only comments", "# nothing\n\n", 1, 1, Code.BAD_FILE, "the file is empty"),
    ("no utf-8", b"a: 1\nb: \xc3\xa9\xff", 2, 5, Code.BAD_FILE, "save the file as UTF-8"),
    ("utf-16", "a: 1".encode("utf-16"), 1, 1, Code.BAD_FILE, "save the file as UTF-8"),
    ("nul", b"a: 1\nb: \x00", 2, 4, Code.BAD_FILE, "remove it"),
    ("tab", "a:\n\t- b\n", 2, 1, Code.BAD_YAML, "indent with blanks, never with tabs"),
    ("reserved", "a: @b\n", 1, 4, Code.BAD_YAML, "put the text in quotes"),
    ("two colons", "a: b: c\n", 1, 5, Code.BAD_YAML, "put the text in quotes, or mend the indentation"),
    ("braces", "- {path: /v1/{id}, weight: 3}\n", 1, 14, Code.BAD_YAML, "in quotes inside { }"),
    ("open list", "a: [b\nc: d\n", 2, 2, Code.BAD_YAML, "(begun on line 1); close every ["),
    ("open quotes", 'a: "b\n', 2, 1, Code.BAD_YAML, "close the quotes"),
    ("documents", "a: 1\n---\na: 2\n", 2, 1, Code.BAD_YAML, "keep one document"),
    ("alias", "a: *b\n", 1, 4, Code.BAD_YAML, "define it before with &NAME"),
    ("loop", "a: &a [*a]\n", 1, 4, Code.BAD_YAML, "write that part out without an alias"),
    ("tag", "a: !vault x\n", 1, 4, Code.BAD_YAML, "the tag '!vault' means nothing here"),
    ("python tag", "!!python/object:os.system {}\n", 1, 1, Code.BAD_YAML, "the tag '!!python/object:os.system'"),
    ("list tag", "!!set [a]\n", 1, 1, Code.BAD_YAML, "the tag '!!set' means nothing here"),
    ("bad int", "a: !!int x\n", 1, 4, Code.BAD_VALUE, "'x' cannot be read as int"),
    ("bad bool", "a: !!bool x\n", 1, 4, Code.BAD_VALUE, "'x' cannot be read as bool"),
    ("no digits", "a: 0b_\n", 1, 4, Code.BAD_VALUE, "cannot be read as int"),
    ("long number", "a: " + "9" * 5000, 1, 4, Code.BAD_VALUE, "a number of 5000 characters"),
    ("list key", "? [a]\n: 1\n", 1, 3, Code.WRONG_TYPE, "a key must be text"),
    ("bad merge", "a: {<<: 3}\n", 1, 5, Code.WRONG_TYPE, "only mappings can be merged"),
]


@pytest.mark.parametrize(("text", "line", "column", "code", "words"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_trouble_is_one_problem_at_its_place(text: str | bytes, line: int, column: int, code: Code, words: str) -> None:
    """Each kind of unreadable file is one problem with line, column and advice."""
    found = only_problem(text)
    assert (line, column, code) == found[:3]
    assert words in found[3]


def test_a_file_beyond_the_size_limit_is_not_even_looked_at() -> None:
    """The size alone decides."""
    assert (1, 1, Code.TOO_LARGE) == only_problem(b"#" * (MAX_BYTES + 1))[:3]


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("piece", ["- ", "[", "{a: ", "? "])
def test_deep_nesting_is_cut_off(loader: type[Any], piece: str) -> None:
    """A hundred thousand levels cost no stack, whatever they are made of."""
    *_, code, words = only_problem(piece * 100_000, loader)
    assert code in {Code.TOO_LARGE, Code.BAD_YAML}
    assert "nest less deeply" in words


def test_nesting_up_to_the_limit_is_read() -> None:
    """The limit is exact: 32 levels are fine, one more is not."""
    assert document("[" * (MAX_DEPTH - 1) + "x" + "]" * (MAX_DEPTH - 1))[1] == ()
    assert Code.TOO_LARGE == only_problem("[" * MAX_DEPTH + "x" + "]" * MAX_DEPTH)[2]


def test_nesting_through_aliases_is_cut_off_too() -> None:
    """A tower of aliases is as deep as one of brackets."""
    tower = "- &a0 [x]\n" + "".join(f"- &a{n + 1} [*a{n}]\n" for n in range(60))
    assert Code.TOO_LARGE == only_problem(tower)[2]


def test_an_alias_bomb_is_cut_off() -> None:
    """A few lines that stand for billions of values are refused, quickly and in little memory."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(12))
    *_, code, words = only_problem(bomb)
    assert (Code.TOO_LARGE, True) == (code, f"more than {MAX_NODES}" in words)


def test_more_values_than_the_limit_are_refused() -> None:
    """Half a million values is far more than any honest file has."""
    assert Code.TOO_LARGE == only_problem("- a\n" * (MAX_NODES + 1))[2]


def test_problems_of_the_file_and_of_its_meaning_come_together() -> None:
    """A tag that means nothing does not hide a weight out of range further down."""
    loaded = load_table(EXAMPLE.replace(b"weight: 25 ", b"weight: 250") + b"    name: !x y\n", "routes.yaml", {})
    assert isinstance(loaded, Refused)
    assert [Code.OUT_OF_RANGE, Code.BAD_YAML] == [problem.code for problem in loaded.problems]


# ----------------------------------------------------------------------------------------------- real sizes


def test_the_environment_and_the_file_name_are_passed_on() -> None:
    """Endpoints see the environment; problems name the file they were given."""
    text = b"version: 1\nlegacy: m\nroutes: []\nupstreams: {m: {endpoints: ['${M}']}}\n"
    loaded = load_table(text, "x.yaml", {"M": "http://m:1"})
    assert isinstance(loaded, Parsed)
    refused = load_table(text, "x.yaml", {})
    assert isinstance(refused, Refused)
    assert "x.yaml:4:29: the environment variable M is not set; set it, or write ${M:-http://host:port}" == str(
        refused.problems[0]
    )


def test_fifteen_hundred_routes_load_in_well_under_a_second() -> None:
    """A whole inventory is validated fast enough for a reload within one second; measured in CPU time."""
    routes = "".join(
        f"  - path: /v1/r{n}/{{id}}\n    methods: [GET, PUT]\n    group: g\n    weight: 12.5\n" for n in range(1500)
    )
    head = "version: 1\nlegacy: m\nupstreams: {m: {endpoints: [http://m:1]}, n: {endpoints: [http://n:1]}}\n"
    gc.freeze()  # what thousands of other tests have left behind is not looked through at our expense
    began = time.process_time()
    loaded = load_table(f"{head}groups: {{g: {{new: n}}}}\nroutes:\n{routes}".encode(), "routes.yaml", {})
    took = time.process_time() - began
    gc.unfreeze()
    assert isinstance(loaded, Parsed)
    assert took < 0.6
