"""Request bodies and parameters, read strictly: what is not understood completely is refused, never guessed.

Unknown and repeated keys, NaN, numbers out of range and texts of the wrong length each name their field and what to
write instead.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

from aiohttp import web

from control.api.access import PRINCIPAL
from control.api.problems import Problem, invalid
from router.core.model import Side
from router.core.orders import Kind, Reach, Scope
from router.core.safety import Rule
from router.core.units import DURATION_HELP, PERCENT_HELP, read_duration, read_percent
from router.wishes import REMOVAL

MAX_BODY: Final = 1024 * 1024
PATIENCE: Final = 10.0
"""Seconds that a body may take to arrive."""
MAX_REASON: Final = 1000
MAX_NAME: Final = 2000
MAX_ACTOR: Final = 100
MAX_LIST: Final = 200
"""Entries of a list."""
MOST: Final = 500
"""Entries of a page of answers."""
FARTHEST: Final = 1_000_000
"""Where a page may begin."""
UNSEEN: Final = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
"""Within brackets of a pattern: controls, ends of lines, and what makes a text read in another direction."""

READ: ContextVar[bytes | None] = ContextVar("body", default=None)
"""The body, if it has been read already while the request is handled; the guard sets it anew with each."""

_UNSEEN: Final = re.compile(rf"[{UNSEEN}\ud800-\udfff]")
_REVISION: Final = re.compile(r'(?:W/)?("?)([0-9]{1,18})\1', re.ASCII)

Json = Mapping[str, Any]
REACHES: Final = tuple(reach.value for reach in Reach)
_MEANINGLESS: Final = ("only a site can be drained or switched off", "a site has no share of its own")
"""What is wrong with a scope that does not go with the order: anything but a site, and a site."""


async def read_bytes(request: web.Request, limit: int = MAX_BODY) -> bytes:
    """The body, if it is small enough and arrives in time."""
    read = READ.get()
    if read is not None:
        return read
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(PATIENCE):
            async for piece in request.content.iter_any():
                size += len(piece)
                if size > limit:
                    raise Problem(413, "too-large", f"the body is larger than {limit} bytes", "send less at once")
                pieces.append(piece)
    except TimeoutError:
        raise Problem(408, "too-slow", f"the body did not arrive within {PATIENCE:g} s") from None
    return b"".join(pieces)


async def read_object(request: web.Request, known: Collection[str]) -> Json:
    """The JSON object in the body, with known keys only."""
    if request.content_type != "application/json":
        instead = "send Content-Type: application/json"
        raise Problem(415, "media-type", f"the body is {request.content_type}, not JSON", instead)
    data = await read_bytes(request)
    try:
        found = json.loads(data, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_number)
    except RecursionError:
        raise Problem(400, "bad-json", "the body is nested too deeply", "send one flat object") from None
    except ValueError as error:
        raise Problem(400, "bad-json", f"the body is not JSON: {error}", "send one JSON object") from None
    return known_keys(found, known)


def known_keys(found: object, known: Collection[str], field: str = "") -> Json:
    """An object that has none but known keys; `field` is where it stands."""
    if not isinstance(found, dict):
        raise invalid(field or "body", f"it is {_kind(found)}, not an object", f"write an object with {_list(known)}")
    for key in found:
        if key not in known:
            place = f"{field}.{key}" if field else key
            raise invalid(place[:MAX_ACTOR], f"there is no field {key[:MAX_ACTOR]!r} here", f"known: {_list(known)}")
    return found


def text(body: Json, field: str, *, limit: int = MAX_NAME) -> str:
    """A text that must be there and not empty."""
    value = body.get(field)
    if value is None:
        raise invalid(field, "it is missing", "write a text")
    if not isinstance(value, str):
        raise invalid(field, f"it is {_kind(value)}, not a text", "write a text in quotes")
    value = value.strip()
    if not value:
        raise invalid(field, "it is empty", "write a text")
    if len(value) > limit:
        raise invalid(field, f"it has more than {limit} characters", "write less")
    if _UNSEEN.search(value):
        raise invalid(field, "it has a control character", "write plain text on one line")
    return value


def reason(body: Json) -> str:
    """Why: every change says it."""
    if body.get("reason") is None:
        raise invalid("reason", "it is missing", "say why, for those who read the history at 3 a.m.")
    return text(body, "reason", limit=MAX_REASON)


def share(body: Json, field: str = "weight") -> int:
    """A percentage as ppm."""
    value = body.get(field)
    if value is None:
        raise invalid(field, "it is missing", PERCENT_HELP)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise invalid(field, f"it is {_kind(value)}, not a number", PERCENT_HELP)
    ppm = read_percent(_plain(value))
    if ppm is None:
        raise invalid(field, f"{str(value)[:40]} is not a percentage", PERCENT_HELP)
    return ppm


def side(body: Json) -> Side:
    """`legacy` or `new`."""
    value = text(body, "side")
    if value not in {each.label for each in Side}:
        raise invalid("side", f"{value[:40]!r} is no side", "write legacy or new")
    return Side[value.upper()]


def kind(body: Json) -> Kind:
    """Of an order."""
    value, known = text(body, "kind"), [each.value for each in Kind]
    if value not in known:
        raise invalid("kind", f"there is no order {value[:40]!r}", f"known: {_list(known)}")
    return Kind(value)


def seconds(body: Json, field: str) -> float | None:
    """A duration such as `2h`; None when it is not said."""
    if body.get(field) is None:
        return None
    found = read_duration(text(body, field))
    if found is None:
        raise invalid(field, f"{body[field][:40]!r} is no duration", DURATION_HELP)
    return found


def ends(body: Json) -> tuple[float | None, float | None]:
    """`for` and `confirm_within`: seconds after which an order ends, by itself or unless somebody confirms it."""
    lasts, trial = seconds(body, "for"), seconds(body, "confirm_within")
    if lasts is not None and trial is not None:
        instead = "write one of the two: `for` ends it in any case, `confirm_within` unless somebody confirms it"
        raise invalid("confirm_within", "it stands beside `for`", instead)
    return lasts, trial


def override(body: Json) -> dict[str, str]:
    """The safety rules that shall not hold this once, each with the reason for the change."""
    value = body.get("override")
    if value is None:
        return {}
    known = [*(rule.value for rule in Rule), REMOVAL]
    if not isinstance(value, list):
        raise invalid("override", f"it is {_kind(value)}, not a list", f"write a list of rules: {_list(known)}")
    if len(value) > MAX_LIST:
        raise invalid("override", f"it has {len(value)} entries", f"write at most {MAX_LIST}")
    for name in value:
        if name not in known:
            raise invalid("override", f"there is no rule {str(name)[:40]!r}", f"known: {_list(known)}")
    return dict.fromkeys(value, reason(body))


def one_of(body: Json, field: str, known: Collection[str]) -> str:
    """One of these words."""
    value = text(body, field)
    if value not in known:
        raise invalid(field, f"there is no {field} {value[:40]!r}", f"known: {_list(known)}")
    return value


def true(body: Json, field: str) -> bool:
    """`true`, and nothing else."""
    if body.get(field) is not True:
        raise invalid(field, "it is not true", "write true, or leave it out")
    return True


def truth(body: Json, field: str) -> bool:
    """`true` or `false`."""
    value = body.get(field)
    if not isinstance(value, bool):
        raise invalid(field, f"it is {_kind(value)}", "write true or false")
    return value


def scope(body: Json, field: str = "scope", known: Collection[str] = REACHES) -> Scope:
    """`{"route" | "group" | "site": NAME}` or `{"all": true}`."""
    found = known_keys(body.get(field), REACHES, field)
    if len(found) != 1:
        raise invalid(field, f"it names {len(found)} things", f"name exactly one of {_list(known)}")
    (kind,) = found
    if kind not in known:
        place = f"{field}.{kind}" if kind == Reach.SITE else field
        raise invalid(place, _MEANINGLESS[kind == Reach.SITE], f"name {' or '.join(known)}")
    if kind == Reach.ALL:
        if found[kind] is not True:
            raise invalid(f"{field}.all", "it is not true", 'write {"all": true}, or name a route, group or site')
        return Scope(Reach.ALL)
    try:
        return Scope(Reach(kind), text(found, kind))
    except Problem as problem:
        problem.field = f"{field}.{kind}"
        raise


def scopes(body: Json, field: str, known: Collection[str] = REACHES) -> tuple[Scope, ...]:
    """Several of them, and at least one."""
    value = body.get(field)
    if not isinstance(value, list):
        raise invalid(field, f"it is {_kind(value)}, not a list", "write a list of scopes")
    if not 0 < len(value) <= MAX_LIST:
        raise invalid(field, f"it has {len(value)} entries", f"write 1 to {MAX_LIST}")
    names = [f"{field}[{number}]" for number in range(len(value))]
    return tuple(scope({name: each}, name, known) for name, each in zip(names, value, strict=True))


def remark(body: Json) -> str:
    """Why, where the act says enough by itself."""
    return "confirmed" if body.get("reason") is None else reason(body)


def whole(value: str, field: str) -> int:
    """A whole number above zero."""
    if not (value.isascii() and value.isdigit() and len(value) <= 18 and int(value)):
        raise invalid(field, f"{value[:40]!r} is not a whole number above zero", "write one")
    return int(value)


def flag(query: Mapping[str, str], name: str, *, otherwise: bool = False) -> bool:
    """`true` or `false`; `otherwise` when it is missing."""
    value = query.get(name, str(otherwise).lower())
    if value not in {"true", "false"}:
        raise invalid(name, f"{value[:40]!r} is neither true nor false", "write one of the two")
    return value == "true"


def bounded(query: Mapping[str, str], name: str, most: int) -> int | None:
    """A whole number above zero and not above `most`; None when it is missing."""
    if name not in query:
        return None
    value = whole(query[name], name)
    if value > most:
        raise invalid(name, f"{value} is more than {most}", f"write at most {most}")
    return value


def only(query: Mapping[str, str], known: Collection[str]) -> None:
    """A misspelt filter must not look like one that found everything."""
    for key in query:
        if key not in known:
            raise invalid(key[:MAX_ACTOR], f"there is no parameter {key[:MAX_ACTOR]!r}", f"known: {_list(known)}")


def expected_revision(request: web.Request) -> int | None:
    """What `If-Match` names; None without it."""
    value = request.headers.get("If-Match")
    if value is None or value.strip() == "*":
        return None
    found = _REVISION.fullmatch(value.strip())
    if found is None:
        raise Problem(400, "bad-if-match", f"If-Match names no revision: {value[:40]!r}", 'write If-Match: "12"')
    return int(found[2])


def check_revision(request: web.Request, revision: int) -> None:
    """For what the engine takes in any revision: `If-Match` is asked here."""
    expected = expected_revision(request)
    if expected is not None and expected != revision:
        detail = f"revision {expected} was expected, but {revision} is in force"
        raise Problem(412, "stale-revision", detail, "look at what changed and decide again")


def actor(request: web.Request) -> str:
    """Who says so: the token's name, or without tokens what the caller says."""
    asks = PRINCIPAL.get()
    if asks is not None and asks.name:
        return asks.name
    value = request.headers.get("X-Strangler-Actor", "").strip()
    if len(value) > MAX_ACTOR or not value.isprintable():
        raise Problem(400, "bad-actor", "X-Strangler-Actor is too long or has control characters", "send a name")
    return value or "anonymous"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:40]!r} stands twice")
        found[key] = value
    return found


def _number(text: str) -> Decimal:
    """Exactly what is written; an exponent beyond all bounds is no number of ours."""
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text[:40]} is out of all bounds") from None


def _plain(value: int | Decimal) -> str:
    """Without an exponent, unless it is one that no percentage has."""
    return format(value, "f") if isinstance(value, Decimal) and abs(value.adjusted()) < MAX_ACTOR else str(value)[:400]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    match value:
        case bool():
            return "true or false"
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return "a number"


def _list(names: Collection[str]) -> str:
    return ", ".join(names)
