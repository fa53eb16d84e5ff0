"""What changed between two tables, as people say it: one `Change` for each route, upstream, site, group or setting.

Things are the same when their names are; a renamed route is one removed and one added.  Fields carry the names and
notations of routes.yaml.  The lines are for people and logs; programs that need numbers look them up in the tables.
Where a route stands in the file is no change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import fields as model_fields
from enum import StrEnum
from typing import Any, TypeVar

from router.core.comparing import Comparing, Rule, Treat
from router.core.model import (
    SAFE_METHODS,
    Breaker,
    Credentials,
    Endpoint,
    Fallback,
    Group,
    Health,
    Limits,
    Plan,
    PlanStep,
    Route,
    Safety,
    Shadow,
    Site,
    Table,
    Timeouts,
    Upstream,
    Window,
)
from router.core.units import DAYS, write_date, write_duration, write_minutes, write_percent

T = TypeVar("T")

Facts = dict[str, str]
"""A thing in words: field by field, in the notation of routes.yaml."""

NOTHING = ""
"""The value of a field that is not set; nothing that is set is written as an empty text."""


class Kind(StrEnum):
    """What happened to a thing."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Subject(StrEnum):
    """What kind of thing it happened to."""

    SETTINGS = "settings"
    UPSTREAM = "upstream"
    SITE = "site"
    GROUP = "group"
    PLAN = "plan"
    ROUTE = "route"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field, before and after; an added thing has no before, a removed one no after."""

    field: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.field} {self.old or 'none'} -> {self.new or 'none'}"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was.  As text: one line."""

    kind: Kind
    subject: Subject
    name: str
    fields: tuple[FieldChange, ...] = ()

    def __str__(self) -> str:
        who = f"{self.subject} {self.name}" if self.name else str(self.subject)
        match self.kind:
            case Kind.CHANGED:
                return f"{who}: " + ", ".join(map(str, self.fields))
            case Kind.ADDED:
                return f"{who} added: " + ", ".join(f"{field.field} {field.new}" for field in self.fields)
            case Kind.REMOVED:
                return f"{who} removed, was: " + ", ".join(f"{field.field} {field.old}" for field in self.fields)


def diff(old: Table, new: Table) -> tuple[Change, ...]:
    """All changes: settings first, then what is referred to, routes last; by name within each kind."""
    return (
        *_pair(Subject.SETTINGS, "", _settings(old), _settings(new)),
        *_named(Subject.UPSTREAM, old.upstreams, new.upstreams, _upstream),
        *_named(Subject.SITE, old.sites, new.sites, _site),
        *_named(Subject.GROUP, old.groups, new.groups, _group),
        *_named(Subject.PLAN, old.plans, new.plans, _plan),
        *_named(Subject.ROUTE, _by_name(old), _by_name(new), _route),
    )


def _by_name(table: Table) -> dict[str, Route]:
    return {route.name: route for route in table.routes}


def _named(subject: Subject, old: Mapping[str, T], new: Mapping[str, T], facts: Callable[[T], Facts]) -> list[Change]:
    changes: list[Change] = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            added = tuple(FieldChange(field, NOTHING, value) for field, value in facts(new[name]).items() if value)
            changes.append(Change(Kind.ADDED, subject, name, added))
        elif name not in new:
            removed = tuple(FieldChange(field, value, NOTHING) for field, value in facts(old[name]).items() if value)
            changes.append(Change(Kind.REMOVED, subject, name, removed))
        elif old[name] != new[name] or subject is Subject.UPSTREAM:  # an endpoint's weight is not part of equality
            changes += _pair(subject, name, facts(old[name]), facts(new[name]))
    return changes


def _pair(subject: Subject, name: str, old: Facts, new: Facts) -> list[Change]:
    keys = list(dict.fromkeys([*old, *new]))
    fields = tuple(
        FieldChange(key, old.get(key, NOTHING), new.get(key, NOTHING)) for key in keys if old.get(key) != new.get(key)
    )
    return [Change(Kind.CHANGED, subject, name, fields)] if fields else []


# ------------------------------------------------------------------------------------------ things in words


def _settings(table: Table) -> Facts:
    facts = {
        "legacy": table.legacy,
        "trusted": _list(table.trusted),
        "expose": str(table.expose),
        "compare": _compare(table.compare),
        "http.dot_segments": str(table.dot_segments),
        "http.non_ascii_target": _yes(table.non_ascii_target),
        "http.via": table.via or "off",
        "notify": _list([each.name for each in table.notify]) if table.notify else NOTHING,
    }
    return facts | _timeouts(table.timeouts) | _limits(table.limits) | _safety(table.safety or Safety())


def _safety(safety: Safety) -> Facts:
    rise = (
        NOTHING
        if safety.max_rise is None
        else f"{write_percent(safety.max_rise)} in {write_duration(safety.max_rise_span)}"
    )
    windows = [f"{_window(each)} {safety.timezone}" for each in safety.windows]
    return {
        "safety.max_step": _share(safety.max_step),
        "safety.max_rise": rise,
        "safety.max_moved": _share(safety.max_moved),
        "safety.max_raised": NOTHING if safety.max_raised is None else str(safety.max_raised),
        "safety.windows": _list(windows) if windows else NOTHING,
        "safety.confirm": NOTHING if safety.confirm is None else write_duration(safety.confirm),
    }


def _window(window: Window) -> str:
    days = "+".join(DAYS[day] for day in sorted(window.days))
    return f"{days} {write_minutes(window.begin)}-{write_minutes(window.end)}"


def _share(share: int | None) -> str:
    return NOTHING if share is None else f"{write_percent(share)}%"


def _limits(limits: Limits) -> Facts:
    return {f"limits.{field.name}": _limit(getattr(limits, field.name)) for field in model_fields(limits)}


def _limit(value: object) -> str:
    return write_duration(value) if isinstance(value, float) else str(value)


def _timeouts(timeouts: Timeouts) -> Facts:
    return {
        "timeout": write_duration(timeouts.head),
        "connect_timeout": write_duration(timeouts.connect),
        "idle_timeout": write_duration(timeouts.idle),
    }


def _upstream(upstream: Upstream) -> Facts:
    facts = {
        f"sites.{site}" if site else "endpoints": _list([*map(_endpoint, each)])
        for site, each in sorted(upstream.sites.items())
    }
    weights = [f"{site} {weight}" for site, weight in sorted(upstream.weights.items())]
    return facts | {
        "health": _health(upstream.health),
        "weights": _list(weights) if weights else NOTHING,
        "max_requests": str(upstream.max_requests) if upstream.max_requests else NOTHING,
    }


def _endpoint(endpoint: Endpoint) -> str:
    return str(endpoint) if endpoint.weight == 1 else f"{endpoint} weight {endpoint.weight}"


def _health(health: Health | None) -> str:
    if health is None:
        return NOTHING
    asked = "tcp" if health.tcp else f"{health.path} {_statuses(health)}"
    body = f" with {health.body}" if health.body else ""
    every = f"every {write_duration(health.interval)} within {write_duration(health.timeout)}"
    back = f"for {_limit(health.min_down)} at least, back within {_limit(health.ramp)} by {health.resume}"
    return f"{asked}{body} {every}, down after {health.down}, up after {health.up}, {back}"


def _statuses(health: Health) -> str:
    return "+".join(str(low) if low == high else f"{low}-{high}" for low, high in health.statuses)


def _site(site: Site) -> Facts:
    return {"weight": str(site.weight), "capacity": f"{site.capacity}%"}


def _group(group: Group) -> Facts:
    cap = NOTHING if group.cap is None else f"{write_percent(group.cap)}%"
    return {"owner": group.owner, "cap": cap, "seed": group.seed, "compare": _compare(group.compare)}


def _route(route: Route) -> Facts:
    facts = {
        "weight": f"{write_percent(route.weight)}%",
        "new": route.new or NOTHING,
        "legacy": route.legacy,
        "path": route.path,
        "methods": _list(route.methods) if route.methods else "(any)",
        "host": route.host or "(any)",
        "group": route.group,
        "seed": route.seed,
        "subject": _list(route.subject),
        "fallback": _fallback(route.fallback),
        "idempotent": _yes(route.idempotent),
        "trailing_slash": str(route.trailing_slash),
        "expose": str(route.expose),
        "overflow": "legacy" if route.overflow else "none",
        "finalised": _yes(route.finalised),
        "panic": str(route.panic),
        "breaker": _breaker(route.breaker),
        "shadow": _shadow(route.shadow),
        "compare": _compare(route.compare),
        "rollout": route.rollout,
    }
    return facts | _timeouts(route.timeouts)


def _plan(plan: Plan) -> Facts:
    windows = [f"{_window(each)} {plan.timezone}" for each in plan.windows]
    return {
        "steps": _list([*map(_plan_step, plan.steps)]),
        "max_time": write_duration(plan.max_time),
        "ratio": f"{plan.ratio:g}",
        "floor": _share(plan.floor),
        "mismatch": _share(plan.mismatch),
        "budget": f"{plan.budget.failed} in {write_duration(plan.budget.per)}",
        "after": _list(plan.after) if plan.after else NOTHING,
        "windows": _list(windows) if windows else NOTHING,
    }


def _plan_step(step: PlanStep) -> str:
    share = "shadow" if step.shadow else f"{write_percent(step.share)}%"
    seen = f"{write_duration(step.min_time)}/{step.min_clients}/{step.min_sample}"
    return f"{share} after {seen} {step.gate}"


def _fallback(fallback: Fallback) -> str:
    causes = ["connect"] * fallback.on_connect + sorted(map(str, fallback.statuses))
    return _list(causes) if causes else "off"


def _breaker(breaker: Breaker | None) -> str:
    if breaker is None:
        return "off"
    opens = f"{write_percent(breaker.ratio)}% of {breaker.minimum} within {write_duration(breaker.window)}"
    return f"{opens}, for {write_duration(breaker.hold)} by {breaker.resume}"


def _shadow(shadow: Shadow | None) -> str:
    if shadow is None:
        return NOTHING
    words = [f"{write_percent(shadow.percent)}%", *(["compared"] if shadow.compare else [])]
    if shadow.methods != SAFE_METHODS:
        words.append(_list(shadow.methods))
    if shadow.credentials is Credentials.KEEP:
        words.append("with credentials")
    if shadow.dangers:
        words.append("dangers accepted")
    if shadow.samples:
        words.append(f"samples for {write_duration(shadow.samples)}")
    return " ".join(words) + (f" ({shadow.reason})" if shadow.reason else "")


def _compare(comparing: Comparing) -> str:
    said = [*comparing.headers, *map(_rule, comparing.rules)]
    return _list(said) if said else NOTHING


def _rule(rule: Rule) -> str:
    """With its end and its owner, so that a longer life of a rule shows."""
    values = {
        Treat.TOLERANCE: f" {rule.absolute}/{rule.relative}",
        Treat.TIME_TOLERANCE: f" {write_duration(rule.seconds)}",
        Treat.REGEX_SHAPE: f" {rule.pattern}",
        Treat.ARRAY: f" {rule.array} {rule.key}".rstrip(),
    }.get(rule.treat, "")
    return f"{rule.path} {rule.treat}{values} until {write_date(rule.expires)} ({rule.owner}: {rule.reason})"


def _list(items: tuple[Any, ...] | list[str]) -> str:
    return f"[{', '.join(map(str, items))}]"


def _yes(value: bool) -> str:
    return "true" if value else "false"
