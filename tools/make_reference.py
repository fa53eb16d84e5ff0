"""Writes docs/reference/ from the code: `python tools/make_reference.py [--check]`.

Keys of routes.yaml come from the tables that the parser reads by, commands from the command line's own parser, metrics
and error codes from where they are named.  What a key is for stands below, beside its mapping; a key without a word, or
a word without a key, stops the tool, so that the pages can neither lack nor invent one.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from control import metrics  # noqa: E402
from control.cli import make_parser  # noqa: E402
from router.core import parse, parse_health, parse_plans, parse_routes, parse_safety, parse_shadow  # noqa: E402
from router.core.model import Breaker, Health, Limits, Timeouts  # noqa: E402
from router.telemetry import ErrorCode  # noqa: E402

HEAD: Final = "<!-- Written by tools/make_reference.py (`make reference`); edit what it reads instead. -->\n\n"
Rows = Iterable[tuple[str, ...]]


@dataclass(frozen=True)
class Section:
    """One mapping of routes.yaml: its keys as the parser knows them, and what each is for."""

    title: str
    keys: frozenset[str]
    words: Mapping[str, str]

    def text(self) -> str:
        lacking, invented = self.keys - self.words.keys(), self.words.keys() - self.keys
        if lacking or invented:
            raise SystemExit(f"{self.title}: no words for {sorted(lacking)}, no keys for {sorted(invented)}")
        return f"## {self.title}\n\n" + table(("key", "what"), ((f"`{key}`", what) for key, what in self.words.items()))


def main(argv: list[str]) -> int:
    """Writes the pages; with --check only says which of them are not as they would be written."""
    stale = [page for page, text in pages().items() if not page.exists() or page.read_text() != text]
    if argv == ["--check"]:
        for page in stale:
            print(f"{page.relative_to(ROOT)} is out of date: make reference")
        return 1 if stale else 0
    for page in stale:
        page.parent.mkdir(exist_ok=True)
        page.write_text(pages()[page])
    return 0


def pages() -> dict[Path, str]:
    """All pages and their texts."""
    folder = ROOT / "docs" / "reference"
    made = {
        "routes-yaml.md": routes_yaml(),
        "commands.md": commands(),
        "metrics.md": all_metrics(),
        "errors.md": errors(),
    }
    return {folder / name: HEAD + text.rstrip("\n") + "\n" for name, text in made.items()}


def table(head: tuple[str, ...], rows: Rows) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines) + "\n"


# ------------------------------------------------------------------------------------------------ routes.yaml

_HEALTH, _BREAKER, _TIMES = Health(), Breaker(), Timeouts()
_SETTINGS = {
    "subject": "Where a user's name is looked for, the first one counts: `header:NAME`, `cookie:NAME`, `client-ip` ...",
    "timeout": f"Until the head of the answer has come. Default {_TIMES.head:g}s.",
    "connect_timeout": f"Until there is a connection. Default {_TIMES.connect:g}s.",
    "idle_timeout": f"Between two pieces of an answer. Default {_TIMES.idle:g}s.",
    "fallback": "When legacy is asked after the new side has failed: `off`, or `{on: [connect, 502, 503, 504]}`.",
    "overflow": "What the new side has no healthy room for goes to `legacy` (default) or to `none`.",
    "finalised": "`true`: the data has moved, legacy never answers instead of the new side.",
    "panic": "When both sides look dead: `open` (go on) or `closed` (503).",
    "breaker": "When this API alone is pulled to legacy; `off`, or the mapping below. On by default.",
    "idempotent": "`true`: a request may be sent twice, whatever its method.",
    "trailing_slash": "`strict` (default): `/a/` is another path than `/a`; or `same`.",
    "expose": "To whom the router says which side answered: `always` (default), `trusted`, `never`.",
    "new": "The upstream of the new side.",
    "legacy": "The upstream of the legacy side; default: the one at the top.",
    "shadow": "What is copied to the other side; `off`, or the mapping below.",
    "rollout": "The plan by which a rollout moves it.",
}
_PLAN_STEP = {
    "gate": "`automatic`, or `manual`: evidence first, then a person.",
    "time": "The least time.",
    "clients": "The fewest distinct clients, where they are counted.",
    "sample": "The fewest requests of the new side.",
}
_LIMIT_WORDS = {
    "request_line": "Bytes of a request line.",
    "head": "Bytes of a head.",
    "fields": "Header lines of a head.",
    "head_timeout": "From the first byte of a head to its last.",
    "body_stall": "Between two pieces of a request's body.",
    "max_body": "Bytes of a request's body.",
    "chunk_extension": "Bytes of the extensions of one chunk.",
    "chunk_extensions": "Bytes of the extensions of all chunks.",
    "trailer": "Bytes of the trailers.",
    "trailer_fields": "Lines of the trailers.",
    "keepalive_idle": "How long a client's connection may idle.",
    "keepalive_requests": "Requests on one connection.",
    "send_stall": "How long a client may take nothing of its answer.",
    "half_close": "How long a client that has closed its sending side is waited for.",
    "connections": "Clients' connections of a worker.",
    "endpoint_connections": "Connections of a worker to one endpoint.",
    "endpoint_waiting": "Requests that wait for one of them.",
    "pool_idle": "How long an idle connection to an endpoint is kept.",
    "pool_size": "Idle connections that are kept.",
    "buffer": "Bytes of a request that are kept while nobody takes them.",
    "replay": "Bytes of a body that are kept so that it can be sent again.",
    "interim": "Answers 1xx before the real one.",
    "tunnels": "Open tunnels of a worker.",
    "tunnel_idle": "How long a tunnel may be silent.",
    "tunnel_drain": "How long a tunnel lives on after its side was rolled back or its site drained.",
}


def routes_yaml() -> str:
    """Every key that a file may have."""
    rows = [
        (f"`{field.name}`", f"{_LIMIT_WORDS.get(field.name, '')} Default {_default(field.default)}.")
        for field in fields(Limits)
    ]
    limits = Section("limits", frozenset(parse._LIMITS), _LIMIT_WORDS).text().partition("\n\n")[0]  # noqa: SLF001
    return (
        "# routes.yaml\n\nDurations are written `250ms`, `2s`, `5m`, `1h`; sizes `64KiB`; shares in percent with two "
        "decimals at most. The commented example is [routes.yaml](../../routes.yaml); what a mistake looks like says "
        "`strangler check`.\n\n"
        + "".join(section.text() for section in sections())
        + f"{limits}\n\nTimes are durations, sizes bytes; 0 means no limit.\n\n"
        + table(("key", "what"), rows)
    )


def _default(value: float) -> str:
    if not value:
        return "none"
    return f"{value:g}s" if isinstance(value, float) else f"{value:,}"


def sections() -> Iterator[Section]:
    """All mappings but the limits, from the top down."""
    settings = frozenset(parse_routes.settings_readers(frozenset()))
    yield Section(
        "The file",
        frozenset(parse._TOP_KEYS),  # noqa: SLF001
        {
            "version": "1.",
            "upstreams": "Who can answer, by name.",
            "legacy": "The upstream that answers everything no route sends elsewhere.",
            "routes": "The APIs; their order never matters.",
            "sites": "Weights of places, for all upstreams that use them.",
            "defaults": "What holds for every route and group that does not say otherwise.",
            "groups": "Routes that one team moves together, by name.",
            "trusted": "Networks whose `X-Forwarded-*` and `X-Strangler-Side` are believed.",
            "limits": "What one client, message or upstream may cost.",
            "http": "Finer points of HTTP.",
            "expose": "Like that of a route, for everything.",
            "trailing_slash": "Like that of a route, for everything.",
            "safety": "What a change may do at most.",
            "plans": "How rollouts go, by name.",
            "notify": "Who is told of what rollouts do.",
            "compare": "How answers are compared, for every route.",
        },
    )
    yield Section(
        "upstreams.NAME",
        frozenset({"endpoints", "sites", "health", "weights", "max_requests", "allow_link_local"}),
        {
            "endpoints": "A list of `http://host:port` or `{url: ..., weight: 2}`; `${NAME}` is from the environment.",
            "sites": "Instead: such a list for each site.",
            "health": "How its endpoints are judged.",
            "weights": "By site, where this upstream shares differently from the others.",
            "max_requests": "Most exchanges of a worker at one endpoint.",
            "allow_link_local": "`true`: link-local and metadata addresses are meant.",
        },
    )
    yield Section(
        "health",
        frozenset(parse_health._HEALTH),  # noqa: SLF001
        {
            "path": f"What is asked. Default `{_HEALTH.path}`.",
            "interval": f"Between two probes. Default {_HEALTH.interval:g}s.",
            "timeout": f"Of one probe. Default {_HEALTH.timeout:g}s.",
            "down": f"Failures until it is down. Default {_HEALTH.down}.",
            "up": f"Good probes in a row until it may return. Default {_HEALTH.up}.",
            "status": "Good statuses. Default `200-399`.",
            "body": "Text that a good answer contains.",
            "tcp": "`true`: a connection is enough.",
            "min_down": f"How long it stays down at least; doubled by each flap. Default {_HEALTH.min_down:g}s.",
            "ramp": f"Until it has its whole part again. Default {_HEALTH.ramp:g}s.",
            "resume": "`auto` (default), or `manual`: a person brings it back.",
        },
    )
    yield Section(
        "sites.NAME",
        frozenset({"weight", "capacity"}),
        {
            "weight": "Relative to the others, 0 to 100.",
            "capacity": "Percent of full traffic it is sized for. Default 100.",
        },
    )
    yield Section("defaults, groups.NAME and routes: settings that all of them may have", settings, _SETTINGS)
    yield Section(
        "groups.NAME",
        frozenset(parse_routes._GROUP),  # noqa: SLF001
        {
            "owner": "The team.",
            "cap": "Ceiling in percent for every route of the group.",
            "seed": "Seed text of the group's buckets; the group's name by default.",
            "compare": "How answers are compared.",
        },
    )
    yield Section(
        "routes",
        frozenset(parse_routes._ROUTE) | {"group"},  # noqa: SLF001
        {
            "path": "The template: `/v1/products/{productNo}`, `/v1/carts/key={key}`, `/v1/display/{rest...}`.",
            "methods": "Default: any. HEAD follows GET.",
            "host": "Default: any.",
            "name": "Default: methods and path.",
            "weight": "Percent of the users on the new side. Default 0.",
            "group": "Whose settings it takes.",
            "seed": "Seed text of its buckets; by default the group's, or the route's name.",
            "compare": "How answers are compared.",
        },
    )
    yield Section(
        "breaker",
        frozenset(parse_health._BREAKER),  # noqa: SLF001
        {
            "failures": f"Percent of the requests of a window. Default {_BREAKER.ratio / 10_000:g}.",
            "minimum": f"Requests below which nothing is concluded. Default {_BREAKER.minimum}.",
            "window": f"Default {_BREAKER.window:g}s.",
            "hold": f"Until a safe request tries again; doubled by each failure. Default {_BREAKER.hold:g}s.",
            "resume": "`auto` (default), or `manual`.",
        },
    )
    yield Section(
        "shadow",
        frozenset(parse_shadow._SHADOW),  # noqa: SLF001
        {
            "percent": "Of the requests.",
            "compare": "`true`: what both sides answer is compared.",
            "methods": "Default GET, HEAD, OPTIONS; others need `side_effects` and `reason`.",
            "side_effects": "`none`: somebody has made sure.",
            "sandbox": "`true`: the other side writes where it does no harm; needed for PUT, PATCH, DELETE.",
            "dangers": "`accepted`: the path looks as if a GET did something, and that is known.",
            "credentials": "What becomes of Authorization and cookies.",
            "samples": "How long masked samples are kept; without it none are.",
            "reason": "Why this is safe.",
        },
    )
    yield Section(
        "compare",
        frozenset(parse_shadow._COMPARING),  # noqa: SLF001
        {
            "headers": "Further headers that are compared.",
            "rules": "Differences that do no harm, each with an owner and an end.",
        },
    )
    yield Section(
        "compare.rules",
        frozenset(parse_shadow._RULE),  # noqa: SLF001
        {
            "path": "The place: `$.items[*].price`, or a header.",
            "owner": "Who answers for what it hides.",
            "reason": "Why the difference does no harm.",
            "expires": "The last day on which it holds.",
            "ignore": "Nothing is compared there.",
            "type_only": "Types are.",
            "presence": "Whether it is there.",
            "exact": "Everything, whatever a wider rule says.",
            "tolerance": "`{abs: 0.01, rel: 0.001}`.",
            "time_tolerance": "A duration between two instants.",
            "regex_shape": "Both fit the pattern.",
            "case": "Case does not matter.",
            "trim": "Nor do spaces around it.",
            "null_equals_missing": "`null` is as good as nothing.",
            "empty_equals_missing": "So is an empty text, list or mapping.",
            "array": "`ordered`, `set`, `keyed(id)` or `auto`.",
            "numeric_string": '`"1"` is as good as `1`.',
            "url_host": "Hosts of URLs may differ.",
        },
    )
    yield Section(
        "safety",
        frozenset(parse_safety._READERS),  # noqa: SLF001
        {
            "max_step": "Points by which one change may raise a route.",
            "max_rise": "`{points: 60, per: 10m}`: all changes together within a time.",
            "max_moved": "Percent of the recent traffic that one change may move to the new side.",
            "max_raised": "Routes that one change may raise.",
            "windows": 'When shares may rise: `[{days: [mon..fri], from: "09:00", to: "17:00"}]`.',
            "timezone": "Whose clock the windows speak of.",
            "confirm": "A saved file is taken back unless it is confirmed within that time.",
        },
    )
    yield Section(
        "plans.NAME",
        frozenset(parse_plans._PLAN),  # noqa: SLF001
        {
            "steps": "`[shadow, 1, 5, {weight: 50, gate: manual}, 95, 100]`.",
            **_PLAN_STEP,
            "bake": "The least time at the last step below 100.",
            "max_time": "A step that has proved nothing by then waits for a person.",
            "ratio": "Harmless: so many times legacy's errors ...",
            "floor": "... or so many percent.",
            "mismatch": "At the shadow step: so many percent of compared answers may differ beyond noise.",
            "budget": "`{failed: 200, per: 1h}`: failed requests that rollouts to one upstream may cost together.",
            "after": "Routes that must be wholly new before anything rises.",
            "windows": "When shares may rise.",
            "timezone": "Whose clock the windows speak of.",
        },
    )
    yield Section(
        "plans.NAME.steps",
        frozenset(parse_plans._STEP),  # noqa: SLF001
        {"weight": "The share.", **_PLAN_STEP},
    )
    yield Section(
        "notify",
        frozenset(parse_plans._WEBHOOK) | {"url", "secret"},  # noqa: SLF001
        {
            "name": "What it is called in events.",
            "url": "Where it is sent; `${NAME}` comes from the environment.",
            "secret": "Signs what is sent; only as `${NAME}`.",
            "format": "`json` (default) or `slack`.",
            "events": "Default: everything that rollouts do.",
        },
    )
    yield Section(
        "http",
        frozenset(parse._HTTP),  # noqa: SLF001
        {
            "dot_segments": "A path with `.` or `..`: 400 (`refuse`, default), or to `legacy` as it came.",
            "non_ascii_target": "`true`: raw bytes above 0x7E in a target are forwarded.",
            "via": "Pseudonym in the Via header; empty: none is added.",
        },
    )


# --------------------------------------------------------------------------------------------------- commands


_COMMANDS: Final = """\
# Commands

Exit codes: 0 done and confirmed by all workers; 1 refused or failed; 2 wrong usage; 3 recorded but not confirmed by all
workers. `--admin` and `--json` are understood by every command that asks the router.

"""
_METRICS: Final = """\
# Metrics

At `/metrics` of the admin address, for Prometheus. Routes appear by name, never by path. Counters survive the restart
of a worker and of control.

"""
_ERROR_CODES: Final = """\
# Errors

The router's own answers are small JSON problems (RFC 9457) with the code in `X-Strangler-Error`. An answer without that
header came from a side.

"""


def commands() -> str:
    """Every command with its options."""
    common = {"-h", "--help"}
    text = [_COMMANDS]
    for name, parser, about in _subcommands(make_parser()):
        text.append(
            f"## strangler {name}\n\n{about[:1].upper()}{about[1:]}.\n\n" if about else f"## strangler {name}\n\n"
        )
        text.append(f"```\n{_usage(parser)}\n```\n\n")
        rows = [
            (f"`{_spelled(action)}`", _help(action))
            for action in parser._actions  # noqa: SLF001  argparse has no other way to ask
            if not common & set(action.option_strings) and not isinstance(action, argparse._SubParsersAction)  # noqa: SLF001
        ]
        if rows:
            text.append(table(("argument", "what"), rows))
    return "".join(text)


def _subcommands(
    parser: argparse.ArgumentParser, prefix: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001
            for name, found in action.choices.items():
                yield f"{prefix}{name}", found, helps.get(name, "")
                yield from _subcommands(found, f"{prefix}{name} ")


_HERE: Final = re.compile(r", here \d+")
"""What a default is on this machine."""


def _usage(parser: argparse.ArgumentParser) -> str:
    parser.formatter_class = _Wide
    return re.sub(r"\s+", " ", parser.format_usage().removeprefix("usage: ")).strip()


class _Wide(argparse.HelpFormatter):
    """The same on every terminal."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=1000)


def _spelled(action: argparse.Action) -> str:
    value = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
    value = " ".join(value) if isinstance(value, tuple) else value
    if not action.option_strings:
        return str(value or action.dest)
    return ", ".join(action.option_strings) + (f" {value}" if action.nargs != 0 and value else "")


def _help(action: argparse.Action) -> str:
    said: dict[str, Any] = {**vars(action), "prog": "strangler"}
    return _HERE.sub("", action.help % said) if action.help else ""


# ------------------------------------------------------------------------------------------ metrics and errors


def all_metrics() -> str:
    """Every family."""
    rows = [(f"`{name}`", kind, what) for name, (kind, what) in sorted(metrics._HELP.items())]  # noqa: SLF001
    return _METRICS + table(("metric", "kind", "what"), rows)


_ERRORS: Final = {
    ErrorCode.BAD_REQUEST: ("400", "Not one unambiguous HTTP request; the detail says why."),
    ErrorCode.HEAD_TIMEOUT: ("408", "The head did not arrive in time."),
    ErrorCode.BODY_STALL: ("408", "The body stopped coming."),
    ErrorCode.BODY_TOO_LARGE: ("413", "The body is longer than `limits.max_body`."),
    ErrorCode.TARGET_TOO_LONG: ("414", "The request line is longer than `limits.request_line`."),
    ErrorCode.HEAD_TOO_LARGE: ("431", "The head is longer than `limits.head`, or has too many lines."),
    ErrorCode.UNKNOWN_CODING: ("501", "A transfer coding other than chunked."),
    ErrorCode.BAD_VERSION: ("505", "Neither HTTP/1.1 nor HTTP/1.0."),
    ErrorCode.CONNECT_REFUSED: ("405", "CONNECT: this is no forward proxy."),
    ErrorCode.UPSTREAM_CONNECT: ("502", "No connection to the upstream."),
    ErrorCode.UPSTREAM_LOST: ("502", "The upstream closed the connection before it had answered."),
    ErrorCode.UPSTREAM_PROTOCOL: ("502", "The upstream's answer is not one unambiguous HTTP message."),
    ErrorCode.UPSTREAM_TIMEOUT: ("504", "The upstream did not answer in time."),
    ErrorCode.UPSTREAM_OVERLOAD: ("503", "No connection to the upstream was free, and too many requests wait."),
    ErrorCode.OVERLOAD: ("503", "The router has no room for another connection."),
    ErrorCode.NO_PLACE: ("503", "Every place that may answer is closed, or the route says `panic: closed`."),
}


def errors() -> str:
    """Every answer of the router's own."""
    known = {value for name, value in vars(ErrorCode).items() if name.isupper()}
    if known != _ERRORS.keys():
        raise SystemExit(f"error codes and their words differ: {sorted(known ^ _ERRORS.keys())}")
    rows = [(f"`{code}`", status, what) for code, (status, what) in sorted(_ERRORS.items())]
    return _ERROR_CODES + table(("code", "status", "what"), rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
