"""Compile the hot path with mypyc: `python tools/compile_hot_path.py [FOLDER]`.

Takes the modules that `router/twins.py` names, types and all as they stand, and builds C extensions from them: about
half the time per request in our own code.  Needs mypy and a C compiler; where one is missing it says so, changes
nothing, and exits 0, since the project works without.  Without FOLDER the twins go where `router.twins` looks for them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent


def load_twins() -> ModuleType:
    """`router/twins.py` by its path, so that compiling does not import what is being compiled."""
    spec = importlib.util.spec_from_file_location("twins", ROOT / "router" / "twins.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("router/twins.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def missing() -> str:
    """What keeps us from compiling, in words; empty when nothing does."""
    if importlib.util.find_spec("mypyc") is None or importlib.util.find_spec("setuptools") is None:
        return "mypy and setuptools are not installed here"
    if not any(shutil.which(name) for name in (os.environ.get("CC", ""), "cc", "gcc", "clang") if name):
        return "there is no C compiler"
    return ""


def build(target: Path) -> None:
    """Compile into an empty folder; raises whatever the compiler does."""
    from mypyc.build import mypycify
    from setuptools import Distribution

    twins = load_twins()
    os.chdir(ROOT)
    sources = [str(twins.source(module).relative_to(ROOT)) for module in twins.MODULES]
    with tempfile.TemporaryDirectory() as scratch:
        extensions = mypycify(["--config-file=", *sources], target_dir=scratch, opt_level="3", debug_level="0")
        distribution = Distribution({"name": "strangler-twins", "ext_modules": extensions})
        command = distribution.get_command_obj("build_ext")
        command.build_lib = str(target)
        command.build_temp = scratch
        command.ensure_finalized()
        command.run()


def main(argv: list[str]) -> int:
    """Build the twins, all or none."""
    if reason := missing():
        print(f"the hot path stays plain Python: {reason}")
        return 0
    twins = load_twins()
    target = Path(argv[0]).resolve() if argv else twins.HOME
    stamp = twins.digest()
    if (target / twins.STAMP).is_file() and (target / twins.STAMP).read_text() == stamp:
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix="twins-", dir=target.parent))
    try:
        build(fresh)
        (fresh / twins.STAMP).write_text(stamp)
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a compiler may fail in any way; we can do without
        print(f"the hot path stays plain Python: {type(error).__name__}: {error}")
        return 0
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    print(f"compiled {len(twins.MODULES)} modules of the hot path")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
