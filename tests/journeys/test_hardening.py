"""What the processes of a running router may not do, and who can read what they write."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journeys.rig import Router

ROUTES = """
version: 1
upstreams: {legacy: {endpoints: [http://127.0.0.1:9]}}
legacy: legacy
routes: [{path: /a}]
"""


def _said(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))


def _core(pid: int) -> list[str]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line.split()[4:6] for line in lines if line.startswith("Max core file size"))


@pytest.mark.parametrize("workers", [None, 2], ids=["stand-alone", "supervised"])
def test_no_process_gains_rights_or_leaves_its_memory_behind(workers: int | None) -> None:
    """No new privileges, no core dumps, files for the owner alone: parent, control, compilers and workers."""
    with Router(ROUTES, workers=workers) as router:
        pids = router.pids()
        assert len(pids) >= (1 if workers is None else 4)
        assert {("1", "0077")} == {(_said(pid, "NoNewPrivs"), _said(pid, "Umask")) for pid in pids}
        assert [["0", "0"]] * len(pids) == [_core(pid) for pid in pids]


def test_what_lies_in_the_state_directory_is_the_owners_alone() -> None:
    """Orders, snapshots, counters, sockets: nothing for the group, nothing for others."""
    with Router(ROUTES, workers=1) as router:
        found = [path for path in router.state.rglob("*") if not path.is_symlink()]
        assert {"strangler.db", "run.json", "lock"} <= {path.name for path in found}
        assert [] == [path.name for path in found if path.stat().st_mode & 0o077]
