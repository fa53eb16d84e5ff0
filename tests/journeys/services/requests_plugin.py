"""Loaded into the `requests` project's own test run: its `httpbin` is whatever HTTPBIN_URL names.

Only tests that ask `httpbin` over plain HTTP are kept: the others never touch what is being tested here.  Each
outcome is written to HTTPBIN_OUTCOMES as a line of JSON.
"""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

sys.modules.setdefault("StringIO", io)  # the tests of 2.34.2 still import Python 2's name for it

DIALS_AWAY = ("test_connect_timeout", "test_total_timeout_connect")
"""They connect to an address that is not on this machine."""


class Httpbin:
    """What the fixture of pytest-httpbin looks like to those tests."""

    url = os.environ["HTTPBIN_URL"]


@pytest.fixture(name="httpbin")
def _httpbin() -> type[Httpbin]:
    return Httpbin


@pytest.fixture(name="httpbin_both")
def _httpbin_both() -> type[Httpbin]:
    return Httpbin


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept = [item for item in items if _asks(item) and item.name.partition("[")[0] not in DIALS_AWAY]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _asks(item: pytest.Item) -> bool:
    names = set(getattr(item, "fixturenames", ()))
    return bool(names & {"httpbin", "httpbin_both"}) and not names & {"httpbin_secure", "httpbin_ca_bundle"}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.outcome != "passed":
        line = json.dumps([report.nodeid, report.when, report.outcome])
        with Path(os.environ["HTTPBIN_OUTCOMES"]).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
