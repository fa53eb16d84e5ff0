"""Every alert fires in its test, exists in terms of our metrics, and leads to a section of the runbook."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from router.telemetry import Metric, WorkerSlot

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "dashboards" / "alerts"
RULES = [
    rule
    for path in sorted(FOLDER.glob("*.rules.yml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
]
ALERTS: dict[str, Any] = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
METRICS = {value for name, value in vars(Metric).items() if name.isupper()}


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_alerts() -> None:
    """The claims below are about something."""
    assert len(ALERTS) >= 15


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_leads_to_a_section_of_the_runbook(name: str) -> None:
    """One that exists, and names the alert."""
    path, _, anchor = ALERTS[name]["annotations"]["runbook_url"].partition("#")
    page = ROOT / path
    assert anchor in anchors(page)
    assert f"*{name}.*" in page.read_text()


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_what_is_wrong_and_how_bad_it_is(name: str) -> None:
    """In two sentences and one word."""
    rule = ALERTS[name]
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    assert rule["labels"]["severity"] in {"page", "ticket", "info"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_rule_speaks_of_what_there_is(rule: Any) -> None:
    """Our metrics, what is recorded from them, or `up`."""
    names = set(re.findall(r"\bstrangler[_:][\w:]+", rule["expr"]))
    assert names or "up{" in rule["expr"]
    assert {name.removesuffix("_bucket") for name in names} <= METRICS | RECORDED


def test_limits_that_alerts_wait_for_are_counted() -> None:
    """A slot that is renamed would leave its alert silent."""
    known = {slot.name.lower() for slot in WorkerSlot}
    named = {
        name for rule in RULES for found in re.findall(r'limit=~"([^"]+)"', rule["expr"]) for name in found.split("|")
    }
    assert named
    assert named <= known


def test_every_alert_fires_in_a_test() -> None:
    """By its name, in the file that promtool runs."""
    text = "".join(path.read_text() for path in FOLDER.glob("*.test.yml"))
    assert set(ALERTS) == set(re.findall(r'alertname="(\w+)"', text))


def test_promtool_finds_no_mistake_and_every_alert_fires(needs_tool: Callable[[str], str]) -> None:
    """Prometheus' own tool reads the rules and runs their tests."""
    promtool = needs_tool("promtool")
    for words in (("check", "rules", "strangler.rules.yml"), ("test", "rules", "strangler.test.yml")):
        said = subprocess.run([promtool, *words], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
        assert said.returncode == 0, said.stdout + said.stderr
