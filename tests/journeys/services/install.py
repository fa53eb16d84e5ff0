"""Installs the real services and clients that the journeys put before and behind the router, each by its own lock file.

    python3 tests/journeys/services/install.py

Every one gets a virtual environment of its own (`.venv-NAME`, since their dependencies contradict each other), and
`requests` the tests that its source distribution carries.  What is there already, by the same lock, is left alone.
Needs nothing but Python 3.11+ with venv, and never touches the project's own environment.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
NAMES = ("httpbin", "httpbinx", "requests")
WITH_TESTS = "requests"


def home(name: str) -> Path:
    return ROOT / f".venv-{name}"


def install(name: str) -> str:
    """What was done, in a word."""
    stamp, wanted = home(name) / ".set-up", fingerprint(name)
    if stamp.exists() and stamp.read_text() == wanted:
        return "is there"
    venv.create(home(name), clear=True, with_pip=True)
    pip(name, "install", "--require-hashes", "--requirement", str(lock(name)))
    if name == WITH_TESTS:
        unpack_tests(name)
    stamp.write_text(wanted)
    return "installed"


def unpack_tests(name: str) -> None:
    """The tests of exactly the release that was installed."""
    source = home(name) / "source"
    only = source / "only.txt"
    source.mkdir()
    only.write_text(entry(name))
    pip(name, "download", "--no-deps", "--no-binary", name, "--require-hashes", "-r", str(only), "-d", str(source))
    (archive,) = source.glob("*.tar.gz")
    shutil.unpack_archive(archive, source)
    (folder,) = (path for path in source.iterdir() if path.is_dir())
    shutil.move(folder / "tests", source / "tests")


def entry(name: str) -> str:
    """The lines of one package in its lock."""
    lines = lock(name).read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{name}=="))
    end = next(number for number in range(start + 1, len(lines)) if not lines[number].startswith("    --hash"))
    return "\n".join(lines[start:end]).removesuffix("\\") + "\n"


def pip(name: str, *words: str) -> None:
    command = [home(name) / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def lock(name: str) -> Path:
    return HERE / f"{name}.lock"


def fingerprint(name: str) -> str:
    return hashlib.sha256(lock(name).read_bytes() + Path(__file__).read_bytes()).hexdigest()


if __name__ == "__main__":
    for service in NAMES:
        sys.stdout.write(f"{service}: {install(service)}\n")
        sys.stdout.flush()
