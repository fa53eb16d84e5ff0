"""Real logs and documents: what is found agrees with what is known of them.

The labels (`TRUTH.json`) say which operations the recorded clients called.  A template agrees when it has the same
shape; parameters may be called otherwise.
"""

from __future__ import annotations

import functools
import gzip
import json
import random
import re
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from discovery import documents, logs
from discovery.core import inventory
from discovery.core.draft import Wanted, drafted
from discovery.core.survey import Findings, Survey
from router.core.model import Table
from router.core.parse import Parsed
from router.core.template import Segment, parse_template
from router.sources.yaml_file import load_table

DATA = Path(__file__).parents[1] / "data"
SAMPLES = DATA / "discovery"
TRUTH = json.loads((SAMPLES / "TRUTH.json").read_text())

Operations = set[tuple[str, tuple[Segment, ...]]]


def operations(labels: Iterable[str]) -> Operations:
    return {(label.partition(" ")[0], parse_template(label.partition(" ")[2])) for label in labels}


@functools.cache
def table(log: str, document: str) -> Table:
    """What the draft from a log, a document or both says, once it has been read back."""
    known = inventory.read(documents.read(SAMPLES / "documents" / f"{document}.gz")).operations if document else ()
    survey = Survey(known)
    if log:
        logs.read([str(SAMPLES / f"{log}.gz")], survey)
    return accepted(survey.findings(60.0, logged=bool(log)))


def accepted(found: Findings) -> Table:
    parsed = load_table(drafted(found, Wanted()).encode(), "draft", MappingProxyType({}))
    assert isinstance(parsed, Parsed), parsed.problems[:3]
    return parsed.table


def routes(made: Table) -> Operations:
    return {(method, parse_template(route.path)) for route in made.routes for method in route.methods}


def agreement(found: Operations, labelled: Operations) -> tuple[float, float]:
    """Precision and recall."""
    both = len(found & labelled)
    return both / len(found), both / len(labelled)


def forms(log: str) -> list[str]:
    """The log, and the same as JSON lines where that was recorded."""
    other = log.replace("_combined.log", "_nginx.jsonl")
    return [log, other] if (SAMPLES / "logs" / f"{other}.gz").exists() else [log]


@pytest.mark.parametrize("log", [form for log in TRUTH for form in forms(log)])
def test_a_log_with_its_document_agrees_with_the_labels(log: str) -> None:
    """Precision and recall of at least 0.95, by either form of the log."""
    truth = TRUTH[log.replace("_nginx.jsonl", "_combined.log")]
    precision, recall = agreement(routes(table(f"logs/{log}", truth["openapi"])), operations(truth["truth"]))
    assert precision >= 0.95, precision
    assert recall >= 0.95


@pytest.mark.parametrize("log", [log for log in TRUTH if "httpbin" not in log])
def test_a_log_alone_agrees_with_the_labels(log: str) -> None:
    """Also where nobody has a document."""
    precision, recall = agreement(routes(table(f"logs/{log}", "")), operations(TRUTH[log]["truth"]))
    assert precision >= 0.95, precision
    assert recall >= 0.95


def test_all_logs_alone_agree_with_the_labels() -> None:
    """All together, httpbin included, whose users and passwords are a few words that nothing tells from names."""
    found: Operations = set()
    labelled: Operations = set()
    for number, (log, truth) in enumerate(TRUTH.items()):
        found |= {(f"{number} {method}", shape) for method, shape in routes(table(f"logs/{log}", ""))}
        labelled |= {(f"{number} {method}", shape) for method, shape in operations(truth["truth"])}
    precision, recall = agreement(found, labelled)
    assert precision >= 0.95, precision
    assert recall >= 0.95


def test_what_a_log_cannot_tell_is_said_and_can_be_answered() -> None:
    """Positions of httpbin's that stay unresolved are named; with the templates that people know the log suffices."""
    log = "httpbin-requests+httpie-suites_combined.log"
    survey = Survey(templates=BY_HEAD)
    logs.read([str(SAMPLES / f"logs/{log}.gz")], survey)
    precision, recall = agreement(routes(accepted(survey.findings())), operations(TRUTH[log]["truth"]))
    assert precision >= 0.95, precision
    assert recall >= 0.95
    survey = Survey()
    logs.read([str(SAMPLES / "logs/httpbin-requests+httpie-suites_combined.log.gz")], survey)
    where = {"/".join(doubt.where) for doubt in survey.findings().doubts}
    assert {"basic-auth", "cookies/set"} <= where


BY_HEAD = (
    "/basic-auth/{user}/{password}",
    "/cookies/set/{name}/{value}",
    "/digest-auth/{qop}/{user}/{password}",
    "/digest-auth/{qop}/{user}/{password}/{algorithm}",
    "/digest-auth/{qop}/{user}/{password}/{algorithm}/{stale}",
)
INVENTORY = json.loads(gzip.decompress((DATA / "commerce-1500.json.gz").read_bytes()))["ops"]


@pytest.mark.parametrize(
    ("vendor", "names"),
    [
        ("adobe-commerce-2.4.9", ("adobe-admin-2.4.9.yaml", "adobe-customer-2.4.9.yaml", "adobe-guest-2.4.9.yaml")),
        ("spree", ("spree-admin.yaml", "spree-platform.yaml", "spree-store.yaml", "spree-storefront.yaml")),
    ],
)
def test_documents_agree_with_the_labelled_inventory(vendor: str, names: tuple[str, ...]) -> None:
    """Every operation, and none that is not there."""
    survey = Survey(
        [
            each
            for name in names
            for each in inventory.read(documents.read(SAMPLES / f"documents/{name}.gz"), "").operations
        ]
    )
    labelled = operations(f"{each['method']} {each['path']}" for each in INVENTORY if each["vendor"] == vendor)
    assert agreement(routes(accepted(survey.findings(logged=False))), labelled) == (1.0, 1.0)


@pytest.mark.parametrize("path", sorted((SAMPLES / "documents").iterdir()), ids=lambda path: path.name)
def test_every_document_becomes_a_draft_that_is_taken(path: Path) -> None:
    """Swagger 2.0, OpenAPI 3.0 and 3.1, JSON and YAML, with the references that lead nowhere."""
    assert table("", path.name.removesuffix(".gz")).routes != ()


@pytest.mark.parametrize(
    "path", sorted(SAMPLES.glob("formats/*")) + sorted(SAMPLES.glob("logs/*")), ids=lambda path: path.name
)
def test_every_log_becomes_a_draft_that_is_taken(path: Path) -> None:
    """Whatever writes it, malformed lines and all; nothing is lost on the way."""
    survey = Survey()
    reading = logs.read([str(path)], survey)
    assert reading.lines == survey.requests + reading.malformed + reading.too_long
    assert reading.remarks == []
    assert ("malformed" in path.name) == (survey.requests == 0)
    found = survey.findings(reading.seconds)
    accepted(found)
    assert found.requests == found.ignored.total + sum(each.requests for each in found.operations)


# -- traffic made from labels ------------------------------------------------------------------------------------------

_WORDS = "alpha bravo delta echo golf hotel india lima mike papa romeo sierra tango victor xray zulu red blue coat"
WORDS = _WORDS.split()


def value_of(name: str, chance: random.Random) -> Callable[[], str]:
    """How the values of a parameter of this name look."""
    if re.search("key|code|name|slug|permalink", name, re.IGNORECASE):
        return lambda: "-".join(chance.choices(WORDS, k=chance.randint(1, 4)))
    kind = chance.random()
    if kind < 0.5:
        return lambda: str(chance.randint(1, 100_000))
    if kind < 0.8:
        return lambda: str(uuid.UUID(int=chance.getrandbits(128)))
    return lambda: "".join(chance.choices("abcdefghijkABCDEFGH0123456789", k=16)) + "0a1"


@pytest.mark.parametrize("vendor", ["adobe-commerce-2.4.9", "spree", "medusa-v2", "commercetools"])
def test_traffic_made_from_an_inventory_leads_back_to_it(vendor: str) -> None:
    """A hundred thousand requests, some operations busy and some idle: 0.95 by the log alone."""
    chance = random.Random(7)
    mine: list[dict[str, Any]] = [each for each in INVENTORY if each["vendor"] == vendor]
    chance.shuffle(mine)
    makers: dict[str, Callable[[], str]] = {}
    survey = Survey()
    called: set[str] = set()
    for each in chance.choices(mine, [1 / (rank + 1) for rank in range(len(mine))], k=100_000):
        written = each["path"].replace("{projectKey}", "shop")
        path = re.sub(r"\{([^}]*)\}", lambda at: makers.setdefault(at[1], value_of(at[1], chance))(), written)
        survey.add(each["method"], path.encode(), 200, "", 1)
        called.add(f"{each['method']} {written}")
    precision, recall = agreement(routes(accepted(survey.findings())), operations(called))
    assert precision >= 0.95, precision
    assert recall >= 0.95
