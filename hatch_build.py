"""Build hook of the wheel: puts the compiled hot path in, where a C compiler is at hand (see `router/twins.py`).

Without one the wheel is plain Python.  An editable install is never compiled here; `make setup` sees to that.
"""

from __future__ import annotations

import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class TwinsHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling leaves its configuration untyped
    """Compiles into a scratch folder and has the wheel take what is there."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the wheel is built; `version` is "editable" for an editable install."""
        if version == "editable":
            return
        tool = runpy.run_path(str(Path(self.root) / "tools" / "compile_hot_path.py"))
        self._scratch = tempfile.TemporaryDirectory(prefix="strangler-twins-")
        target = Path(self._scratch.name) / "twins"
        tool["main"]([str(target)])
        for path in target.rglob("*.so"):
            build_data["force_include"][str(path)] = str(path.relative_to(target))
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
