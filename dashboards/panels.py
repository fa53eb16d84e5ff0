"""The words in which `dashboards.boards` says what a dashboard shows.  Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Query:
    """One expression, and how its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: `kind` is Grafana's name for it."""

    title: str
    says: str
    """One sentence for whoever sees it at 3 a.m."""
    queries: tuple[Query, ...]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 12
    height: int = 8
    stacked: bool = False
    most: float | None = None
    """Upper end of the axis."""
    worst: float | None = None
    """From here on it is red."""
    links: tuple[str, ...] = ()
    """Uids of boards that a series leads to, with its labels as variables."""


@dataclass(frozen=True, slots=True)
class Variable:
    """Something to choose; its values are those of a label."""

    name: str
    metric: str
    label: str
    several: bool = True


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard: rows of panels under headings."""

    uid: str
    title: str
    says: str
    rows: Mapping[str, tuple[Panel, ...]]
    variables: tuple[Variable, ...] = ()
