"""A million log lines through `strangler discover`: seconds, and memory at its highest.

    python -m bench.discover [--lines 1000000] [--kind usual|json|distinct]

The log is made in a temporary file and removed afterwards.  `usual` is what a shop's proxy writes; `json` the same as
JSON lines; `distinct` has a new path on every line, the worst that a log can do.  The command runs as its users run it,
as a program of its own.  30 s and 300 MB are allowed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36"


def usual(number: int, chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.3:
        return f"/api/v1/products/{chance.randrange(200_000)}"
    if kind < 0.5:
        return f"/api/v1/users/{chance.randrange(50_000)}/orders/{chance.randrange(10**7)}?page={number}"
    if kind < 0.6:
        return f"/api/v1/products/search?q={number}"
    if kind < 0.8:
        return f"/api/v1/articles/{chance.choice(WORDS)}-{chance.choice(WORDS)}-{chance.choice(WORDS)}/comments"
    return f"/api/v1/{chance.choice(WORDS)}/list"


_WORDS = "amber basil cedar delta ember fjord grove heron indigo jasper karst lotus maple north ocean pearl"


WORDS = _WORDS.split()


def distinct(number: int, chance: random.Random) -> str:
    letters = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=8))
    return f"/{letters[:2]}/{letters[2:5]}/{letters}/{number % 7}x{letters[::-1]}"


def lines(count: int, kind: str) -> Iterator[str]:
    chance = random.Random(1)
    make = distinct if kind == "distinct" else usual
    for number in range(count):
        path = make(number, chance)
        at = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(1_795_000_000 + number // 100))
        if kind == "json":
            entry = {"time": at, "remote_addr": "10.0.0.7", "method": "GET", "uri": path, "status": 200, "bytes": 512}
            yield json.dumps(entry | {"request_time": 0.012, "user_agent": AGENT}) + "\n"
        else:
            yield f'10.0.0.{number % 255} - - [{at}] "GET {path} HTTP/1.1" 200 {number % 9999} "-" "{AGENT}"\n'


def measure(path: Path) -> tuple[float, float, int, str]:
    """Seconds by the clock and of the processor, KiB at the highest, and the first line that the command says."""
    began = time.monotonic()
    command = [sys.executable, "-m", "control.cli", "discover", "access-log", str(path)]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        first = said.readline().strip()
    if process.returncode:
        sys.exit(f"the command failed: {first}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, first


def main() -> None:
    parser = argparse.ArgumentParser(description="A million log lines through `strangler discover`.")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--kind", choices=("usual", "json", "distinct"), default="usual")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="strangler-discover-") as folder:
        path = Path(folder) / "access.log"
        with path.open("w") as file:
            file.writelines(lines(arguments.lines, arguments.kind))
        size = path.stat().st_size
        seconds, busy, peak, said = measure(path)
    print(f"{arguments.kind}: {said}")
    print(f"  {size / 2**20:.0f} MiB in {seconds:.1f} s ({busy:.1f} s of processor time), {peak / 1024:.0f} MB")


if __name__ == "__main__":
    main()
