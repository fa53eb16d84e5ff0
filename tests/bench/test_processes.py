"""Programs that a benchmark starts are measured, and gone afterwards."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bench.processes import alive, cpu_seconds, running, tree

SPIN = "import time\nwhile time.process_time() < 0.2: pass"
PARENT = f"import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', {SPIN!r}])\nprint('spun', flush=True)\n"


def wait_for(text: str, log: Path) -> None:
    deadline = time.monotonic() + 20
    while text not in log.read_text():
        assert time.monotonic() < deadline, f"never printed: {text}"
        time.sleep(0.01)


def test_cpu_counts_children_even_after_they_have_ended(tmp_path: Path) -> None:
    """A proxy that forks its work away does not look cheap for it."""
    log = tmp_path / "log"
    with running([sys.executable, "-c", PARENT + "time.sleep(60)"], log) as pid:
        wait_for("spun", log)

        assert cpu_seconds(pid) >= 0.2


def test_nothing_that_was_started_is_left_behind(tmp_path: Path) -> None:
    """Grandchildren included, even those that their parent forgot."""
    log = tmp_path / "log"
    code = "import subprocess, time\nsubprocess.Popen(['sleep', '60'])\nprint('up', flush=True)\ntime.sleep(60)"
    with running([sys.executable, "-c", code], log) as pid:
        wait_for("up", log)
        family = tree(pid)

    assert 2 == len(family)
    assert not any(map(alive, family))


def test_children_of_a_program_that_died_by_itself_are_ended_too(tmp_path: Path) -> None:
    """A master that crashed leaves no workers behind."""
    log = tmp_path / "log"
    code = "import subprocess\nprint(subprocess.Popen(['sleep', '60']).pid, flush=True)\nprint('up', flush=True)"
    with running([sys.executable, "-c", code], log) as pid:
        wait_for("up", log)
        deadline = time.monotonic() + 20
        while alive(pid):
            assert time.monotonic() < deadline, "the parent never ended"
            time.sleep(0.01)
        orphan = int(log.read_text().split()[0])
        assert alive(orphan)

    assert not alive(orphan)
