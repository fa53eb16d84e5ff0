"""Compiled twins of the hot path, used where they have been built and are not a byte older than their sources.

`tools/compile_hot_path.py` compiles the modules below with mypyc and leaves, beside them, a stamp of the sources they
were made from.  At import the stamp is compared; if it fits, the twins are imported in place of the sources, and if
there are none, or a source has changed since, the sources are.  Both are the same program: nothing but speed differs,
and the conformance suite runs on both.  STRANGLER_PURE=1 insists on the sources.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from hashlib import blake2b
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Final

MODULES: Final = (
    "router.core.headers",
    "router.core.override",
    "router.core.match",
    "router.core.packed",
    "router.core.split",
    "router.core.decide",
    "router.core.template",
    "router.planes.embedded.bodies",
    "router.planes.embedded.bounds",
    "router.planes.embedded.census",
    "router.planes.embedded.client",
    "router.planes.embedded.counters",
    "router.planes.embedded.deadlines",
    "router.planes.embedded.exchange",
    "router.planes.embedded.failures",
    "router.planes.embedded.heads",
    "router.planes.embedded.passing",
    "router.planes.embedded.plane",
    "router.planes.embedded.pools",
    "router.planes.embedded.recent",
    "router.planes.embedded.routing",
    "router.planes.embedded.snapshot",
    "router.planes.embedded.terms",
    "router.planes.embedded.trouble",
    "router.planes.embedded.tunnels",
    "router.planes.embedded.unlisted",
    "router.planes.embedded.untold",
    "router.planes.embedded.upstream",
    "router.planes.embedded.witness",
    "router.planes.embedded.writing",
)
ROOT: Final = Path(__file__).resolve().parent.parent
HOME: Final = ROOT / "build" / "twins" / str(sys.implementation.cache_tag)
STAMP: Final = "STAMP"


def source(module: str) -> Path:
    """The source file of a module."""
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def digest() -> str:
    """What the twins' sources, and all they were compiled against, say now.

    Compiled code has the layout of its neighbours' classes built in, so every source of the packages counts.
    """
    found = blake2b(digest_size=16)
    for pattern in ("router/core/*.py", "router/planes/embedded/*.py", "router/telemetry.py"):
        for path in sorted(ROOT.glob(pattern)):
            found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


class TwinFinder:
    """Finds the twins, and the library they share, in their folder."""

    def __init__(self, home: Path) -> None:
        self._files = {
            str(path.relative_to(home)).removesuffix(suffix).replace("/", "."): path
            for suffix in EXTENSION_SUFFIXES[:1]
            for path in home.rglob(f"*{suffix}")
        }

    def find_spec(  # the arguments are those of the protocol
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The twin of that name, if there is one (the protocol of `sys.meta_path`)."""
        file = self._files.get(name)
        return None if file is None else importlib.util.spec_from_file_location(name, file)


def install() -> bool:
    """Prefer the twins from now on, if they are there and fresh; says whether."""
    if os.environ.get("STRANGLER_PURE") or not HOME.is_dir():
        return False
    try:
        fresh = (HOME / STAMP).read_text() == digest()
    except OSError:
        return False
    if fresh:
        sys.meta_path.insert(0, TwinFinder(HOME))
    return fresh


def in_use() -> bool:
    """Does this process run compiled code?"""
    module = sys.modules.get("router.planes.embedded.exchange")
    return module is not None and not str(getattr(module, "__file__", "")).endswith(".py")
