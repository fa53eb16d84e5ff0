"""The safety section: what it says, and every way in which it can be wrong."""

from __future__ import annotations

import pytest

from router.core.model import Safety, Window
from router.core.parse import Parsed, Refused
from router.sources.yaml_file import load_table

HEAD = "version: 1\nlegacy: old\nupstreams: {old: {endpoints: [http://127.0.0.1:1]}}\nroutes: []\n"
WEEKDAYS = frozenset(range(5))


def load(text: str) -> Parsed | Refused:
    return load_table((HEAD + text).encode(), "routes.yaml", {})


def safety(text: str) -> Safety | None:
    parsed = load(text)
    assert isinstance(parsed, Parsed), parsed
    return parsed.table.safety


def problem(text: str) -> str:
    refused = load(text)
    assert isinstance(refused, Refused)
    (found,) = refused.problems
    return str(found)


def test_without_the_section_there_are_no_rules() -> None:
    """Not even an empty set of them: nobody has thought about it."""
    assert safety("") is None
    assert Safety() == safety("safety: {}\n")


def test_everything_at_once() -> None:
    """Every key, in the notation of the rest of the file."""
    said = safety(
        "safety:\n  max_step: 25\n  max_rise: {points: 30, per: 10m}\n  max_moved: 0.5\n  max_raised: 50\n"
        '  windows: [{days: [mon..fri], from: "09:00", to: "17:00"}, {days: [sat], from: 9:30, to: 24:00}]\n'
        "  timezone: Asia/Seoul\n  confirm: 5m\n"
    )
    windows = (Window(WEEKDAYS, 540, 1020), Window(frozenset({5}), 570, 1440))
    expected = Safety(250_000, 300_000, 600.0, 5_000, 50, windows, "Asia/Seoul", 300.0)
    assert expected == said


@pytest.mark.parametrize(("written", "seconds"), [("true", 600.0), ("false", None), ("off", None), ("30s", 30.0)])
def test_confirm_is_a_time_or_a_switch(written: str, seconds: float | None) -> None:
    """True means ten minutes."""
    assert Safety(confirm=seconds) == safety(f"safety: {{confirm: {written}}}\n")


@pytest.mark.parametrize(
    ("days", "expected"),
    [("[sun]", {6}), ("[fri..mon]", {4, 5, 6, 0}), ("[mon, wed..thu]", {0, 2, 3}), ("[mon..sun]", set(range(7)))],
)
def test_days_may_be_written_as_spans(days: str, expected: set[int]) -> None:
    """Also over the weekend."""
    said = safety(f'safety: {{windows: [{{days: {days}, from: "01:00", to: "02:00"}}]}}\n')
    assert said is not None
    assert (Window(frozenset(expected), 60, 120),) == said.windows


def test_a_window_without_days_is_one_of_every_day() -> None:
    """Who says only the time means the time."""
    said = safety('safety: {windows: [{from: "00:00", to: "24:00"}]}\n')
    assert said is not None
    assert (Window(frozenset(range(7)), 0, 1440),) == said.windows


@pytest.mark.parametrize(
    ("text", "place", "instead"),
    [
        ("safety: 5", "5:9", "must be a mapping"),
        ("safety: {max_stp: 25}", "5:10", "did you mean `max_step`?"),
        ("safety: {max_step: 101}", "5:20", "0 to 100"),
        ("safety: {max_raised: many}", "5:22", "whole number"),
        ("safety: {max_rise: 30}", "5:20", "max_rise: {points: 30, per: 10m}"),
        ("safety: {max_rise: {points: 30}}", "5:20", "max_rise: {points: 30, per: 10m}"),
        ("safety: {confirm: soon}", "5:19", "250ms, 2s, 5m or 1h"),
        ("safety: {windows: []}", "5:19", "leave `windows` out"),
        ('safety: {windows: [{from: "17:00", to: "09:00"}]}', "5:20", "write two"),
        ('safety: {windows: [{from: "09:00", to: "24:30"}]}', "5:40", "09:00"),
        ('safety: {windows: [{from: "09:00"}]}', "5:20", 'to: "17:00"'),
        ('safety: {windows: [{days: [monday], from: "09:00", to: "17:00"}]}', "5:28", "mon..fri"),
        ('safety: {timezone: Asia/Soul, windows: [{from: "09:00", to: "17:00"}]}', "5:20", "Asia/Seoul"),
        ('safety: {timezone: ../../passwd, windows: [{from: "09:00", to: "17:00"}]}', "5:20", "Asia/Seoul"),
    ],
)
def test_a_fault_is_a_problem_at_its_place_with_what_to_write_instead(text: str, place: str, instead: str) -> None:
    """Line and column of the value, and nothing of the section is used."""
    found = problem(text + "\n")
    assert found.startswith(f"routes.yaml:{place}: ")
    assert instead in found


def test_a_time_zone_without_windows_is_noted() -> None:
    """It does nothing, and nothing does so silently."""
    parsed = load("safety: {timezone: UTC}\n")
    assert isinstance(parsed, Parsed)
    (note,) = parsed.notes
    assert "`timezone` says nothing without `windows`" in str(note)
