"""The Dockerfile keeps its promises, as far as reading it can tell: there need not be a container engine here."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continuation lines joined; the build stage it belongs to."""

    stage: int
    name: str
    text: str


def instructions() -> list[Instruction]:
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    parsed, stage = [], -1
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, text = line.partition(" ")
        stage += name == "FROM"
        parsed.append(Instruction(stage, name, text.strip()))
    return parsed


def last_stage(name: str) -> list[str]:
    last = max(instruction.stage for instruction in instructions())
    return [one.text for one in instructions() if one.stage == last and one.name == name]


def test_the_build_tools_stay_behind() -> None:
    """The last stage installs nothing; it copies the finished environment from the first."""
    assert len([one for one in instructions() if one.name == "FROM"]) == 2
    assert any(text.startswith("--from=build /opt/strangler ") for text in last_stage("COPY"))
    assert [text for text in last_stage("RUN") if re.search(r"\b(pip|apt-get)\b", text)] == []


def test_packages_come_from_the_locks_with_hashes() -> None:
    """pip may install what the locks name, checked by hash, and the project's own wheel, for which it asks nobody."""
    steps = [step for one in instructions() if one.name == "RUN" for step in one.text.split("&&") if " pip " in step]
    assert len(steps) == 4
    for step in steps:
        hashed = "--require-hashes --requirement requirements" in step
        assert hashed or "--no-deps --no-build-isolation" in step or "--no-deps --no-index" in step


def test_it_does_not_run_as_root() -> None:
    """The user is a number, so that an orchestrator can verify that it is not root."""
    assert last_stage("USER") == ["10001:10001"]


def test_only_the_state_volume_is_written() -> None:
    """State and temporary files go to the volume, which the user owns; no bytecode is written beside modules."""
    assert last_stage("VOLUME") == ["/var/lib/strangler"]
    assert any("--owner strangler" in text and "/var/lib/strangler" in text for text in last_stage("RUN"))
    command = json.loads(last_stage("CMD")[0])
    assert command[command.index("--state") + 1] == "/var/lib/strangler"
    assert {"PYTHONDONTWRITEBYTECODE=1", "TMPDIR=/var/lib/strangler"} <= set(last_stage("ENV")[0].split())


def test_health_is_asked_at_livez_without_curl() -> None:
    """The check is a Python one-liner in exec form and asks the admin address that the command sets."""
    check = last_stage("HEALTHCHECK")[0]
    program = json.loads(check[check.index("CMD") + 3 :])
    command = json.loads(last_stage("CMD")[0])
    assert program[:2] == ["python", "-c"]
    assert f"http://{command[command.index('--admin') + 1]}/livez" in program[2]
    compile(program[2], "healthcheck", "exec")


def test_sigterm_reaches_the_router_itself() -> None:
    """Exec form everywhere: no shell stands between the engine's signal and the router."""
    assert last_stage("STOPSIGNAL") == ["SIGTERM"]
    assert json.loads(last_stage("ENTRYPOINT")[0]) == ["strangler"]
    assert json.loads(last_stage("CMD")[0])[0] == "run"


def test_the_image_is_given_every_package_that_the_wheel_contains() -> None:
    """A new package must be copied, and let through by .dockerignore; so must what builds the wheel."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = {source.rstrip("/") for one in instructions() if one.name == "COPY" for source in one.text.split()[:-1]}
    ignored = (ROOT / ".dockerignore").read_text().split()
    files = {"pyproject.toml", "requirements.lock", "requirements-dev.lock", wheel["hooks"]["custom"]["path"], "tools"}
    needed = {*wheel["packages"], *wheel["force-include"], *files}
    assert needed - copied == set()
    assert needed - {line.removeprefix("!") for line in ignored if line.startswith("!")} == set()
