"""The Grafana dashboards are what the script makes, lead to each other, and ask only for what there is."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from dashboards.build import FOLDER, made
from router.telemetry import Metric

METRICS = {value for name, value in vars(Metric).items() if name.isupper()}
SUFFIXES = ("_bucket", "_sum", "_count")
LABELS = {
    "cause", "claim", "code_class", "endpoint", "group", "kind", "layer", "le", "limit", "outcome", "reason", "result",
    "route", "side", "site", "stage", "standing", "state", "upstream", "verdict", "who",
    "why", "worker",
}  # fmt: skip
BOARDS: dict[str, Any] = {name: json.loads(text) for name, text in made().items()}


def metrics_in(expr: str) -> set[str]:
    """Names of ours, without what a histogram adds to its own."""
    names = re.findall(r"\bstrangler_\w+", expr)
    return {next((name.removesuffix(end) for end in SUFFIXES if name.endswith(end)), name) for name in names}


def expressions(board: Any) -> list[str]:
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]


def test_the_written_files_are_what_the_script_makes() -> None:
    """`python -m dashboards.build` makes them anew; nobody edits them by hand, and none is left over."""
    assert made() == {path.name: path.read_text() for path in FOLDER.glob("*.json")}


@pytest.mark.parametrize("name", BOARDS)
def test_every_metric_exists(name: str) -> None:
    """What a dashboard asks for stands in router.telemetry, and its variables as well."""
    board = BOARDS[name]
    variables = [each["definition"] for each in board["templating"]["list"] if each["type"] == "query"]
    asked = [metrics_in(expr) for expr in (*expressions(board), *variables)]
    assert all(asked)
    assert set().union(*asked) <= METRICS


@pytest.mark.parametrize("name", BOARDS)
def test_nothing_is_asked_by_path(name: str) -> None:
    """Labels are the few that the metrics have."""
    for expr in expressions(BOARDS[name]):
        used = set(re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", expr))
        for listed in re.findall(r"\bby \(([^)]*)\)", expr):
            used |= {label.strip() for label in listed.split(",")}
        assert used <= LABELS, expr


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_says_what_it_shows_and_overlaps_no_other(name: str) -> None:
    """For whoever sees it at 3 a.m."""
    panels = BOARDS[name]["panels"]
    assert all(panel["description"] for panel in panels if panel["type"] != "row")
    assert len(panels) == len({panel["id"] for panel in panels})
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or apart


def test_links_lead_to_dashboards_that_exist() -> None:
    """From a series to the route's own, and from each to all others."""
    uids = {board["uid"] for board in BOARDS.values()}
    assert len(BOARDS) == len(uids)
    text = json.dumps(BOARDS)
    assert set(re.findall(r"/d/([\w-]+)\?", text)) <= uids
    assert "/d/strangler-route?var-route=" in text
    assert all(board["links"][0]["tags"] == board["tags"] for board in BOARDS.values())


@pytest.mark.parametrize("name", BOARDS)
def test_every_variable_that_is_asked_for_can_be_chosen(name: str) -> None:
    """`$group` has a list; what begins with two underscores is Grafana's own."""
    board = BOARDS[name]
    known = {each["name"] for each in board["templating"]["list"]}
    used = {each for expr in expressions(board) for each in re.findall(r"\$(\w+)", expr) if not each.startswith("__")}
    assert used <= known
    assert known - {"source"} == used


def test_the_folder_has_nothing_else() -> None:
    """A file that the script does not make would be tested by nobody."""
    assert set(BOARDS) == {path.name for path in Path(FOLDER).iterdir()}
