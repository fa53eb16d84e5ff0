"""What all tests share: patience with properties, no long pauses, and honesty about programs that a machine may lack.

A test that runs another program says so with `@pytest.mark.needs_tool("nginx")`, or asks the fixture `needs_tool`
for its path.  Where the program is missing the test is skipped and the run ends with a list of what was missing;
with CI=true it fails instead, so that nothing goes untested unnoticed.
"""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is slow, and slow is not wrong; a test that hangs has a limit of its own.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

MISSING = "missing tool: "


def find_tool(name: str) -> str:
    """The path of a program; skips the calling test, or fails it in CI, when there is none."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    if path is None and os.environ.get("CI") == "true":
        pytest.fail(f"{MISSING}{name} (with CI=true nothing may be skipped)", pytrace=False)
    if path is None:
        pytest.skip(f"{MISSING}{name}")
    return path


@pytest.fixture(scope="session")
def needs_tool() -> Callable[[str], str]:
    return find_tool


@pytest.fixture(scope="module", autouse=True)
def no_long_pauses() -> None:
    """What is left of the files before, and the tests themselves, is not searched for garbage again and again.

    There are a million such objects, and a full search held up the process for a second: journeys, whose users live in
    it, took that for the router's slowness.
    """
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs_tool"):
        for name in marker.args:
            find_tool(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A skipped test must not hide among a thousand passed ones."""
    lacking: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", ()):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if MISSING in reason:
            tool = reason.split(MISSING, 1)[1]
            lacking[tool] = lacking.get(tool, 0) + 1
    if lacking:
        terminalreporter.section("NOT TESTED: programs missing on this machine", sep="!", red=True)
        for tool, count in sorted(lacking.items()):
            terminalreporter.write_line(f"{tool}: {count} test(s) skipped; install it to run them")
