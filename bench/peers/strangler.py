"""Ours, as users start it: `strangler run` with metrics on, control process included in what is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.peers.base import Plan, Program
from bench.scenarios import SMALL
from bench.templates import Template

NAME = "strangler"


@dataclass(frozen=True, slots=True)
class Strangler(Program):
    """The router of this repository."""

    name: str = NAME
    version_argument: str = "--version"

    def files(self, plan: Plan) -> Mapping[str, str]:
        return {"routes.yaml": config(plan)}

    def arguments(self, plan: Plan) -> Sequence[str]:
        return [
            *("run", "--config", str(plan.directory / "routes.yaml"), "--state", str(plan.directory / "state")),
            *("--listen", f"127.0.0.1:{plan.port}", "--admin", f"127.0.0.1:{plan.admin}"),
            *("--workers", str(plan.workers)),
        ]


def config(plan: Plan, weight: float = 50, groups: int = 0) -> str:
    """A routes.yaml.  With `groups`, route i belongs to group i modulo `groups`; its weight comes with the route."""
    routes = [_route(number, template, weight, groups) for number, template in enumerate(plan.templates)]
    return f"""\
version: 1
upstreams:
  legacy: {{endpoints: [http://127.0.0.1:{plan.upstreams.legacy}]}}
  new: {{endpoints: [http://127.0.0.1:{plan.upstreams.new}]}}
legacy: legacy
defaults:
  subject: [header:X-User-Id, client-ip]
{_groups(groups)}routes:
{"".join(routes) or _one_route()}"""


def _groups(number: int) -> str:
    return "groups:\n" + "".join(f"  g{group}: {{new: new}}\n" for group in range(number)) if number else ""


def _one_route() -> str:
    return f"  - path: {SMALL.rpartition('/')[0]}/{{productNo}}\n    new: new\n    weight: 0\n"


def _route(number: int, template: Template, weight: float, groups: int) -> str:
    group = f"    group: g{number % groups}\n" if groups else ""
    return f'  - path: "{template.path}"\n    name: r{number}\n    new: new\n{group}    weight: {weight:g}\n'
