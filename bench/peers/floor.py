"""The floor: what a byte relay in Python costs that does nothing else (see `bench.relay`)."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from bench.peers.base import Plan, Program


@dataclass(frozen=True, slots=True)
class Floor(Program):
    """Relays everything to legacy."""

    name: str = "floor"
    splits: bool = False

    def command(self) -> list[str] | None:
        return [sys.executable, "-m", "bench.relay"]

    def version(self) -> str:
        return f"uvloop {version('uvloop')}"

    def files(self, plan: Plan) -> Mapping[str, str]:  # noqa: ARG002  (the protocol asks for it)
        return {}

    def arguments(self, plan: Plan) -> Sequence[str]:
        return [str(plan.port), str(plan.upstreams.legacy)]

    def environment(self, plan: Plan) -> Mapping[str, str]:  # noqa: ARG002
        return {}
