"""rollout.core.compare.texts: texts, markup and forms without what does not matter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.compare import texts


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("<A b=1 c='2'/>", '<A  c="2"\n b="1" />'),
        ("<p>\n  a   b</p>", "<p>a b</p>"),
        ("<!-- x --><p>a</p>", "<p>a</p>"),
        ("<input disabled>", "<input  disabled>"),
    ],
)
def test_markup_that_means_the_same_becomes_the_same(one: str, two: str) -> None:
    """Order and quotes of attributes, spaces, comments."""
    assert texts.markup(one) == texts.markup(two)


@pytest.mark.parametrize(
    ("one", "two"),
    [("<p>a</p>", "<p>b</p>"), ("<a x=1>", "<a x=2>"), ("<a/>", "<a>"), ("<a>b</a>", "<b>a</b>"), ("a b", "ab")],
)
def test_markup_that_means_something_else_stays_different(one: str, two: str) -> None:
    """Text, attributes, elements."""
    assert texts.markup(one) != texts.markup(two)


@given(st.text(alphabet="<>!-/='\" ab\n", max_size=60))
def test_any_text_can_be_taken_for_markup(text: str) -> None:
    """Nothing is raised, and doing it twice changes nothing that matters."""
    assert isinstance(texts.markup(text), str)


def test_markup_takes_time_in_proportion_to_its_length() -> None:
    """A quarter of a megabyte of openings that are never closed is nothing to wait for."""
    for evil in ("<" * 262_144, "<!--" * 65_536, "<a " + "b=" * 131_072, "<!--" * 30_000 + "-->" * 30_000):
        assert isinstance(texts.markup(evil), str)


def test_a_form_is_its_fields() -> None:
    """Escapes, plus signs, names that stand twice, and rubbish."""
    assert {"a": ["1", "2"], "b c": "é", "d": ""} == texts.form("a=1&b+c=%C3%A9&a=2&&d")
    assert {"a": "\ufffd%zz"} == texts.form("a=%ff%zz")


def test_lines_are_documents_and_empty_ones_are_none() -> None:
    """NDJSON with the line ends of any system."""
    assert [b"1", b"2"] == texts.lines(b"1\r\n\n2\n")
