"""What is measured: each scenario as a value.  The load is the same for every peer."""

from __future__ import annotations

from dataclasses import dataclass

from bench.templates import Request, Template, alike, requests, templates

DISTINCT_PATHS = 60_000
"""More than HAProxy's pattern cache (10,000 entries) holds, or it would answer instead of the patterns."""

_LARGEST = 15_000
SMALL = "/v1/products/1234567"
BLOB = "/blob"
"""The path below which upstreams answer with 1 MiB."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One table of the results."""

    name: str
    title: str
    templates: int = 0
    """0: one route, everything to legacy.  Otherwise that many templates, each with a sticky 50/50 split."""
    literals: bool = True
    """False: only templates with parameters, for which peers know no short cut; tables of any size are of one kind."""
    among: int = 0
    """0: the first ones.  Otherwise such as are alike to so many: what differs then is the size of the table."""
    connections: int = 64
    keepalive: bool = True
    body: int = 0
    path: str = SMALL
    ours_only: bool = False

    def routes(self) -> tuple[Template, ...]:
        if self.among:
            return alike(self.templates, templates(self.among, literals=self.literals))
        return templates(self.templates, literals=self.literals)

    def load(self) -> list[Request]:
        if self.templates:
            return requests(self.routes(), DISTINCT_PATHS)
        return [Request(self.path, "user-1", "POST" if self.body else "GET")]


ALL = (
    Scenario("one-route", "One route"),
    Scenario("1500-templates", "1,500 templates, each with a sticky 50/50 split", templates=1500),
    Scenario("1500-parameters", "1,500 templates, all with parameters: patterns only", templates=1500, literals=False),
    Scenario("15-templates", "15 templates alike", templates=15, literals=False, among=_LARGEST, ours_only=True),
    Scenario("15000-templates", "15,000 templates", templates=_LARGEST, literals=False, ours_only=True),
    Scenario("post-4k", "POST with a body of 4 KiB", body=4096),
    Scenario("answers-1m", "Answers of 1 MiB", path=BLOB, connections=16),
    Scenario("no-keepalive", "A new client connection for every request", keepalive=False),
    Scenario("connections-1000", "1,000 client connections", connections=1000),
)

FAMILIES = {"15-vs-15000": ("15-templates", "15000-templates")}
"""Scenarios that are measured in the same rounds, because their ratio is the result."""


def named(name: str) -> tuple[Scenario, ...]:
    names = FAMILIES.get(name, (name,))
    return tuple(scenario for scenario in ALL if scenario.name in names)


def names() -> tuple[str, ...]:
    grouped = {member: family for family, members in FAMILIES.items() for member in members}
    return tuple(dict.fromkeys(grouped.get(scenario.name, scenario.name) for scenario in ALL))
