"""Every page leads where it says, and every command on it can be typed as it stands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from control.cli import make_parser
from tests.journeys.rig import Router

ROOT = Path(__file__).parents[2]
PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("dashboards/**/*.md")))
LINK = re.compile(r"\]\(([^)\s]+)\)")
NO_LINKS = ("http://", "https://", "mailto:")
GENERATED = ROOT / "docs" / "reference"
# What runs for ever, needs a screen, or is given on another machine's behalf.
NOT_RUN = {"run", "demo", "watch", "top", "audit", "token", "bake", "drill"}


def anchors(page: Path) -> set[str]:
    """Headings as GitHub links to them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", head).lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    """Files that are there, and headings that they have."""
    for link in LINK.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
        if link.startswith(NO_LINKS):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page.name}: {link}"


def commands(page: Path) -> Iterator[list[str]]:
    """Every `strangler ...` line of a page's code blocks, without its comment and without the prompt."""
    for block in re.findall(r"```(?:sh|console|text)?\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.splitlines():
            typed = re.sub(r"\s#\s.*$", "", line.removeprefix("$ ")).strip()
            if typed.startswith("strangler ") and not re.search(r" \| [a-z]+ ", typed) and "[" not in typed:
                yield [re.sub(r"^[A-Z]$", "1", word) for word in shlex.split(typed)[1:]]  # A, B, N: revisions


WITH_COMMANDS = [page for page in PAGES if GENERATED not in page.parents and any(commands(page))]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_can_be_typed(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command line understands it: no option that is gone, no word that is missing."""
    for words in commands(page):
        try:
            make_parser().parse_args(words)
        except SystemExit:
            pytest.fail(f"strangler {' '.join(words)}: {capsys.readouterr().err}")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_do_something(page: Path, tmp_path: Path) -> None:
    """Given one after the other to a router with the example: done, or refused in words, never wrong usage."""
    (tmp_path / "openapi.json").write_text(
        '{"openapi": "3.1.0", "info": {}, "paths": {"/v1/things/{id}": {"get": {}}}}'
    )
    line = '127.0.0.1 - - [25/Nov/2026:10:00:00 +0000] "GET /v1/things/7 HTTP/1.1" 200 5 "-" "x"\n'
    (tmp_path / "access.log").write_text(line * 50)
    example = (ROOT / "routes.yaml").read_text()
    (tmp_path / "routes.yaml").write_text(example)
    with Router(example, workers=1) as router:
        for words in commands(page):
            if words[0] in NOT_RUN or "--over" in words:  # a graded return takes its time
                continue
            command = [sys.executable, "-m", "control", *words]
            place = {"STRANGLER_ADMIN": f"http://127.0.0.1:{router.admin_port}", "PATH": "", "PYTHONPATH": str(ROOT)}
            done = subprocess.run(
                command, cwd=tmp_path, env=place, capture_output=True, text=True, check=False, timeout=60
            )
            said = f"strangler {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
            assert done.returncode in {0, 1, 3}, said
            assert "Traceback" not in done.stderr, said
            assert done.stdout or done.stderr, said
