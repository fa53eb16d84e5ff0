"""The `plans` and `notify` sections of routes.yaml.

    plans:
      careful:
        steps: [shadow, 1, 5, {weight: 25, time: 1h}, {weight: 50, gate: manual}, 95, 100]
        time: 10m                       # the least time at a step that does not say otherwise
        clients: 20                     # the fewest distinct clients at a step
        sample: 100                     # the fewest requests of the new side at a step
        bake: 24h                       # the least time at the last step below 100
        gate: automatic                 # or manual: a person says `strangler rollout promote`
        max_time: 168h                  # then a step that has proved nothing waits for a person
        ratio: 1.2                      # so many times the errors of legacy are tolerated
        floor: 0.2                      # and so many percent in any case
        mismatch: 0.1                   # at the shadow step so many percent of the answers may differ beyond noise
        budget: {failed: 200, per: 1h}  # failed requests that all rollouts to one upstream may cost
        after: [cart]                   # routes that must be wholly new before
        windows: [{days: [mon..fri], from: "09:00", to: "17:00"}]
        timezone: Asia/Seoul

    notify:
      - {name: chat, url: "${CHAT_URL}", format: slack}
      - {name: audit, url: "https://audit.example.com/hook", secret: "${HOOK_SECRET}", events: [rollout.rolled_back]}

A plan without steps has those of the built-in plan `careful`.  Where a plan speaks of routes, the routes are looked at
afterwards (`check_plans`), since they are read later.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Mapping as Map
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

from router.core.census import MOST_CLIENTS
from router.core.document import Entry, Mapping, Node, Place, Scalar
from router.core.model import PPM, Budget, Gate, Plan, PlanStep, Route, Webhook
from router.core.parse_safety import WINDOWS, zone
from router.core.parse_upstreams import named
from router.core.plans import BAKE, STEPS
from router.core.problem import Code, Report, show
from router.core.schema import (
    Reader,
    choice,
    describe,
    duration,
    fields,
    is_number,
    list_of,
    missing,
    percent,
    plain_text,
    text,
    whole,
    wrong_type,
)
from router.core.units import write_duration, write_percent
from router.core.values import expanded, identifier_text, unknown_name, valid_host

SHADOW: Final = "shadow"
MOST_STEPS: Final = 100

_RATIO = re.compile(r"[1-9][0-9]?(?:\.[0-9]{1,2})?")
_URL = re.compile(r"https?://([^/:?#@\[\]]+)(?::([0-9]{1,5}))?(?:[/?#][!-~]*)?")
_RATIO_HELP = "write how many times as many are tolerated, such as 1.2 (at least 1, less than 100)"
_STEPS_HELP = "write steps such as [shadow, 1, 5, 25, 50, 95, 100]"
_STEP_HELP = "write a percentage, `shadow`, or `{weight: 25, gate: manual}`"
_BUDGET_HELP = "write `budget: {failed: 200, per: 1h}`"

Readers = Map[str, Reader[Any]]


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """A plan, and where it speaks of routes."""

    plan: Plan
    place: Place
    after: Node | None


# --------------------------------------------------------------------------------------------------- plans


def read_plans(entry: Entry | None, zone_known: Callable[[str], bool], report: Report) -> dict[str, ReadPlan] | None:
    """By name; None when the section cannot be read."""
    if entry is None:
        return {}
    found = named(entry, "a plan", report)
    readers = _PLAN | {"timezone": zone(zone_known)}
    return None if found is None else {each.key: _plan(each, readers, report) for each in found}


def _plan(entry: Entry, readers: Readers, report: Report) -> ReadPlan:
    said = fields(entry.value, f"the plan `{entry.key}`", readers, report)
    written = {each.key: each for each in entry.value.entries} if isinstance(entry.value, Mapping) else {}
    if "timezone" in written and "windows" not in written:
        what = "`timezone` says nothing without `windows`"
        report.note(written["timezone"], Code.NO_EFFECT, what, "remove it, or say when shares may rise")
    common = {f"min_{key}": said.pop(key) for key in ("time", "clients", "sample") if key in said}
    common |= {"gate": said.pop("gate")} if "gate" in said else {}
    bake = said.pop("bake", BAKE)
    steps = _steps(said.pop("steps", _USUAL), common, bake)
    after = written["after"].value if "after" in written else None
    plan = Plan(entry.key, steps, **said)
    longest = max(plan.steps, key=lambda step: step.min_time)
    if longest.min_time > plan.max_time:
        name = "shadow" if longest.shadow else f"{write_percent(longest.share)} %"
        what = f"the step {name} of the plan `{entry.key}` takes at least {write_duration(longest.min_time)}"
        instead = f"give it less `time` or `bake`, or a `max_time` above {write_duration(plan.max_time)}"
        report.problem(entry, Code.CONTRADICTION, f"{what}, which is longer than its `max_time`", instead)
    return ReadPlan(plan, entry, after)


def _steps(said: tuple[_Step, ...], common: dict[str, Any], bake: float) -> tuple[PlanStep, ...]:
    """The last step below the whole also bakes, unless it says how long it takes."""
    last = len(said) - 2 if said[-1].share == PPM else -1
    found = []
    for number, each in enumerate(said):
        baked = {"min_time": max(bake, common.get("min_time", 0.0))} if number == last and each.share else {}
        found.append(PlanStep(each.share, **common | baked | dict(each.more)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Step:
    """What a step says itself."""

    share: int
    more: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return write_percent(self.share) if self.share else SHADOW


def _step(node: Node, label: str, report: Report) -> _Step | None:
    if not isinstance(node, Mapping):
        share = _weight(node, label, report)
        return None if share is None else _Step(share)
    said = fields(node, label, _STEP, report)
    if not any(each.key == "weight" for each in node.entries):
        missing(node, "weight", label, _STEP_HELP, report)
    share = said.pop("weight", None)
    more = ((key if key == "gate" else f"min_{key}", value) for key, value in said.items())
    return None if share is None else _Step(share, tuple(more))


def _weight(node: Node, label: str, report: Report) -> int | None:
    """A percentage above zero, or `shadow`."""
    if isinstance(node, Scalar) and node.value == SHADOW:
        return 0
    if not is_number(node):
        wrong_type(node, label, "a percentage, shadow or a mapping", _STEP_HELP, report)
        return None
    share = percent(node, label, report)
    if share == 0:
        report.problem(node, Code.OUT_OF_RANGE, f"{label} is 0, which moves nobody", "write more, or `shadow`")
        return None
    return share


_step_list = list_of(_step, "1, 5, 25", _STEPS_HELP)


def _rising(node: Node, label: str, report: Report) -> tuple[_Step, ...] | None:
    steps = _step_list(node, label, report)
    if steps is None:
        return None
    if len(steps) > MOST_STEPS:
        report.problem(node, Code.OUT_OF_RANGE, f"{label} has {len(steps)} steps", f"write at most {MOST_STEPS}")
        return None
    for before, after in pairwise(steps):
        if after.share <= before.share:
            what = f"{label} goes from {before} to {after}, which is no rise"
            report.problem(node, Code.CONTRADICTION, what, "write `shadow` first and then rising weights")
            return None
    if steps[-1].share == 0:
        report.problem(node, Code.CONTRADICTION, f"{label} moves nobody", _STEPS_HELP)
        return None
    return steps


def _ratio(node: Node, label: str, report: Report) -> float | None:
    if not is_number(node):
        wrong_type(node, label, "a number", _RATIO_HELP, report)
        return None
    if _RATIO.fullmatch(node.written) is None:
        report.problem(node, Code.OUT_OF_RANGE, f"{label} is {show(node.written)}", _RATIO_HELP)
        return None
    return float(node.written)


def _floor(node: Node, label: str, report: Report) -> int | None:
    """A floor of nothing would make every single error count, one of everything none at all."""
    value = percent(node, label, report)
    if value is not None and not 0 < value <= PPM // 2:
        report.problem(node, Code.OUT_OF_RANGE, f"{label} is {write_percent(value)}", "write 0.01 to 50, such as 0.2")
        return None
    return value


def _budget(node: Node, label: str, report: Report) -> Budget | None:
    if not isinstance(node, Mapping):
        wrong_type(node, label, "a mapping", _BUDGET_HELP, report)
        return None
    said = fields(node, label, _BUDGET, report)
    if not any(each.key == "failed" for each in node.entries):
        missing(node, "failed", label, _BUDGET_HELP, report)
    return Budget(**said) if "failed" in said else None


_USUAL: Final = tuple(_Step(percent * PPM // 100) for percent in STEPS)
_count = whole(0, 1_000_000_000)
_clients = whole(0, MOST_CLIENTS)
_BUDGET: Final[Readers] = {"failed": whole(1, 1_000_000_000), "per": duration}
_STEP: Final[Readers] = {
    "weight": _weight,
    "gate": choice(Gate),
    "time": duration,
    "clients": _clients,
    "sample": _count,
}
_PLAN: Final[dict[str, Reader[Any]]] = {
    "steps": _rising,
    "gate": choice(Gate),
    "time": duration,
    "clients": _clients,
    "sample": _count,
    "bake": duration,
    "max_time": duration,
    "ratio": _ratio,
    "floor": _floor,
    "mismatch": _floor,
    "budget": _budget,
    "after": list_of(text, "cart", "leave `after` out, it may begin at any time then"),
    "windows": WINDOWS,
    "timezone": plain_text,
}


# ---------------------------------------------------------------------------------------- plans and routes


def check_plans(plans: Map[str, ReadPlan], routes: tuple[Route, ...], report: Report) -> None:
    """Does every plan wait for routes that there are, and no two for each other?"""
    by_name = {route.name: route for route in routes}
    known = frozenset(by_name)
    for each in plans.values():
        for name in each.plan.after:
            if each.after is not None and name not in known:
                unknown_name(each.after, name, "route", known, report)
    _check_circles(plans, by_name, report)
    for route in routes:
        plan = plans.get(route.rollout)
        if not plan or not plan.plan.steps[0].shadow:
            continue
        begins = f"the plan `{route.rollout}` begins with a shadow, but the route {show(route.name)}"
        if route.shadow is None:
            what = f"{begins} declares none"
            report.note(plan.place, Code.NO_EFFECT, what, "its rollout begins with the next step")
        elif not (route.shadow.compare and route.shadow.percent):
            what = f"{begins} compares no answers, so that its rollout would wait there for ever"
            report.problem(plan.place, Code.CONTRADICTION, what, "write `shadow: {percent: 10, compare: true}` at it")


def _check_circles(plans: Map[str, ReadPlan], routes: Map[str, Route], report: Report) -> None:
    """Routes that wait for each other would wait for ever."""
    direct = {
        name: {routes[other].rollout for other in each.plan.after if other in routes} & plans.keys()
        for name, each in plans.items()
    }
    for name, each in plans.items():
        reached: set[str] = set()
        ahead = [name]
        while ahead:
            found = direct[ahead.pop()] - reached
            reached |= found
            ahead += found
        if name in reached:
            what = f"routes of the plan `{name}` would wait for each other, or for themselves"
            report.problem(each.after or each.place, Code.CONTRADICTION, what, "give one of them another plan")


# -------------------------------------------------------------------------------------------------- notify


def read_notify(entry: Entry | None, environ: Map[str, str], report: Report) -> tuple[Webhook, ...]:
    if entry is None:
        return ()
    readers = _WEBHOOK | {"url": _url(environ), "secret": _secret(environ)}

    def hook(node: Node, label: str, report: Report) -> Webhook | None:
        said = fields(node, label, readers, report)
        written = {each.key for each in node.entries} if isinstance(node, Mapping) else {"name", "url"}
        for key in ("name", "url"):
            if key not in written:
                missing(node, key, label, 'write `{name: chat, url: "${CHAT_URL}"}`', report)
        if "name" not in said or "url" not in said:
            return None
        return Webhook(
            said["name"],
            said["url"],
            said.get("format", Format.JSON) is Format.SLACK,
            said.get("secret", ""),
            said.get("events", ()),
        )

    hooks = list_of(hook, "{name: chat, ...}", "leave `notify` out to tell nobody")(entry.value, "`notify`", report)
    names = [each.name for each in hooks or ()]
    for name in {name for name in names if names.count(name) > 1}:
        report.problem(entry, Code.DUPLICATE, f"two of `notify` are called {show(name)}", "rename one of the two")
    return hooks or ()


def _url(environ: Map[str, str]) -> Reader[str]:
    """Where a webhook lives.  What the environment put in is not shown: it may hold a token."""

    def read(node: Node, label: str, report: Report) -> str | None:
        written = text(node, label, report)
        url = None if written is None else expanded(written, environ, node, label, report)
        if url is None or written is None:
            return None
        if not _is_url(url):
            said = f"{label} is {show(written)}, which is no address of a webhook"
            report.problem(node, Code.BAD_URL, said, "write https://host/path, or http:// for this machine")
            return None
        return url

    return read


def _is_url(url: str) -> bool:
    """`http://` or `https://`, a host, perhaps a port, and whatever follows of printable ASCII."""
    found = _URL.fullmatch(url)
    return found is not None and valid_host(found[1]) and (found[2] is None or 1 <= int(found[2]) <= 65535)


def _secret(environ: Map[str, str]) -> Reader[str]:
    """A secret stands in the environment, not in a file that is kept with every revision."""

    def read(node: Node, label: str, report: Report) -> str | None:
        written = text(node, label, report)
        if written is None:
            return None
        if "${" not in written or ":-" in written:
            report.problem(
                node, Code.BAD_VALUE, f"{label} is written out", "write ${NAME} and set it in the environment"
            )
            return None
        return expanded(written, environ, node, label, report)

    return read


def _event(node: Node, label: str, report: Report) -> str | None:
    value = text(node, label, report)
    if value is not None and _EVENT.fullmatch(value) is None:
        report.problem(
            node,
            Code.BAD_VALUE,
            f"{label} is {describe(node)}",
            "write a name such as rollout.rolled_back, or rollout.*",
        )
        return None
    return value


class Format(StrEnum):
    """What is sent."""

    JSON = "json"
    SLACK = "slack"


_EVENT = re.compile(r"[a-z_]{1,40}\.(?:[a-z_]{1,40}|\*)")
_WEBHOOK: Final[dict[str, Reader[Any]]] = {
    "name": identifier_text,
    "format": choice(Format),
    "events": list_of(_event, "rollout.rolled_back", "leave `events` out for everything that rollouts do"),
}
