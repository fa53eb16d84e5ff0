"""Shadowing and comparing in routes.yaml.

    defaults:
      shadow: {percent: 1, compare: true}
    compare:                               # what holds for all; groups and routes add to it
      headers: [X-Total-Count]             # compared besides the usual fields
      rules:
        - {path: "$..traceId", type_only: true, owner: platform, reason: differs by design, expires: 2027-06-30}
    routes:
      - path: /v1/search
        methods: [POST]
        shadow:
          percent: 10
          compare: true
          methods: [POST]                  # besides GET, HEAD and OPTIONS only with the next two
          side_effects: none
          reason: a search changes nothing
          credentials: pass                # Authorization and Cookie go along; `strip` unless said

A copy of a request is a request: what it changes is changed twice.  So PUT, PATCH and DELETE also need
`sandbox: true`, which says that the copies reach a store of their own, and a route that looks as if its GET did
something (logout, delete, confirm, one-time tokens) needs `dangers: accepted` with a reason, or `shadow: off`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Map
from typing import Any, Final

from router.core import values
from router.core.comparing import MAX_RULES, ArrayMode, Comparing, Rule, Treat, read_header_path, read_path
from router.core.document import Entry, Mapping, Node, Place, Scalar
from router.core.model import SAFE_METHODS, Credentials, Shadow
from router.core.problem import Code, Report, one_of, show
from router.core.schema import (
    Reader,
    boolean,
    choice,
    duration,
    fields,
    known_entries,
    list_of,
    missing,
    percent,
    plain_text,
    read_known,
    text,
    wrong_type,
)
from router.core.units import DATE_HELP, read_date

_SANDBOXED: Final = frozenset(("PUT", "PATCH", "DELETE"))
_DAY: Final = 86_400
_LONGEST_PATTERN: Final = 200

# ------------------------------------------------------------------------------------------------- shadow


def shadow(node: Node, label: str, report: Report) -> Shadow | bool | None:
    """False for `off`."""
    if isinstance(node, Scalar) and (node.value is False or node.value == "off"):
        return False
    if not isinstance(node, Mapping):
        wrong_type(node, label, "off or a mapping", "write `shadow: {percent: 10, compare: true}`, or off", report)
        return None
    said = fields(node, label, _SHADOW, report)
    written = {entry.key: entry for entry in node.entries}
    if "percent" not in written:
        missing(node, "percent", label, "write `shadow: {percent: 10}`", report)
    _check_methods(written, said, report)
    if written.keys() & {"side_effects", "dangers", "sandbox"} and "reason" not in written:
        missing(node, "reason", label, "say why copies of these requests do no harm", report)
    if said.get("samples") and not said.get("compare"):
        what = "`samples` keeps nothing without `compare: true`"
        report.note(written["samples"], Code.NO_EFFECT, what, "compare, or remove it")
    return Shadow(
        percent=said.get("percent", 0),
        compare=said.get("compare", False),
        methods=said.get("methods", SAFE_METHODS),
        credentials=said.get("credentials", Credentials.STRIP),
        dangers="dangers" in said,
        samples=said.get("samples", 0.0),
        reason=said.get("reason", ""),
    )


def _check_methods(written: Map[str, Entry], said: Map[str, Any], report: Report) -> None:
    unsafe = [method for method in said.get("methods", ()) if method not in SAFE_METHODS]
    if not unsafe:
        return
    place = written["methods"]
    names = one_of(unsafe)
    if "side_effects" not in written:
        what = f"copies of {names} may do everything twice"
        instead = "write `side_effects: none` with a `reason` if they change nothing, or leave the method out"
        report.problem(place, Code.MISSING_KEY, what, instead)
    if _SANDBOXED.intersection(unsafe) and not said.get("sandbox"):
        what = f"copies of {one_of(sorted(_SANDBOXED.intersection(unsafe)))} change what they reach"
        instead = "write `sandbox: true` if the shadowed side works on a store of its own, or leave the method out"
        report.problem(place, Code.MISSING_KEY, what, instead)


def _word(only: str) -> Reader[str]:
    """A reader of the one word that a person has to write to mean it."""

    def read(node: Node, label: str, report: Report) -> str | None:
        value = text(node, label, report)
        if value is not None and value != only:
            report.problem(node, Code.BAD_VALUE, f"{label} is {show(value)}", f"write {only}, or leave it out")
            return None
        return value

    return read


_SHADOW: Final[dict[str, Reader[Any]]] = {
    "percent": percent,
    "compare": boolean,
    "methods": values.methods,
    "side_effects": _word("none"),
    "sandbox": boolean,
    "dangers": _word("accepted"),
    "credentials": choice(Credentials),
    "samples": duration,
    "reason": plain_text,
}

_WORDS = re.compile(r"[a-z]+")
DANGEROUS: Final = frozenset(
    _WORDS.findall(
        "activate approve cancel charge checkout confirm deactivate delete destroy disable enable execute export "
        "import invalidate login logoff logout notify pay purchase purge refund register remove reset resend revoke "
        "send signin signout subscribe trigger unlock unsubscribe verify void"
    )
)
ONE_TIME: Final = frozenset(("code", "nonce", "otp", "ticket", "token"))
"""What a request for one of these uses up."""

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def danger(path: str) -> str | None:
    """The word of a path or template that makes a GET look as if it did something."""
    words = [word.lower() for word in _WORD.findall(path.partition("?")[0])]
    parameters = {word.lower() for each in re.findall(r"\{([^}]*)\}", path) for word in _WORD.findall(each)}
    found = [word for word in words if word in DANGEROUS] + sorted(parameters & ONE_TIME)
    return found[0] if found else None


def check_shadow(place: Place, found: Map[str, Entry], settings: Map[str, Any], report: Report) -> Shadow | None:
    """The shadow of a route, in the light of what the route is; None where nothing can be shadowed."""
    said: Shadow | None = settings.get("shadow") or None
    path, methods, new = settings["path"], settings.get("methods", ()), settings.get("new")
    if said is None or not said.percent:
        return said
    own = found.get("shadow")
    if new is None:
        if own is not None:
            what = "the route has a shadow, but no `new` upstream to copy requests to"
            report.problem(own, Code.NO_NEW_SIDE, what, "name one with `new:`, or leave the shadow out")
        return None
    if methods and not set(methods) & set(said.methods):
        if own is not None:
            what = f"the route has none of the methods that are shadowed ({one_of(said.methods)})"
            report.note(own, Code.NO_EFFECT, what, "name its methods with `shadow: {methods: [...]}`")
        return None
    word = danger(path)
    if word and not said.dangers:
        what = f"requests for {show(path)} are to be copied, and {word!r} looks as if they did something"
        instead = "write `shadow: off`, or `dangers: accepted` in its shadow with a `reason`"
        report.problem(own or found.get("path") or place, Code.CONTRADICTION, what, instead)
    return said


# ------------------------------------------------------------------------------------------------ compare


def comparing(node: Node, label: str, report: Report) -> Comparing | None:
    """The `compare` section of one level."""
    said = fields(node, label, _COMPARING, report)
    found = said.get("rules", ())
    if len(found) > MAX_RULES:
        what = f"{label} has {len(found)} rules"
        report.problem(node, Code.TOO_LARGE, what, f"write at most {MAX_RULES}; so many rules hide more than they help")
    return Comparing(said.get("headers", ()), found)


def _header(node: Node, label: str, report: Report) -> str | None:
    value = plain_text(node, label, report)
    if value is not None and values.TOKEN.fullmatch(value) is None:
        report.problem(node, Code.BAD_VALUE, f"{label} is {show(value)}, not a header name", "write X-Total-Count")
        return None
    return None if value is None else value.lower()


def _rule(node: Node, label: str, report: Report) -> Rule | None:
    found = known_entries(node, label, _RULE, report)
    if found is None:
        return None
    said = read_known(found, _RULE, report)
    for key, instead in _NEEDED.items():
        if key not in found:
            missing(node, key, label, instead, report)
    written = [key for key in found if key in _TREATMENTS]
    if len(written) != 1:
        what = f"{label} says {'nothing that it does' if not written else one_of(written)}"
        instead = f"write exactly one of {', '.join(map(str, _TREATMENTS))}"
        report.problem(node, Code.MISSING_KEY if not written else Code.CONTRADICTION, what, instead)
        return None
    if not said.keys() >= {*_NEEDED, written[0]}:
        return None
    treat = Treat(written[0])
    if read_header_path(said["path"]) and treat not in _FOR_HEADERS:
        what = f"`{treat}` says nothing about a header"
        report.problem(found[written[0]], Code.CONTRADICTION, what, f"write {one_of(map(str, _FOR_HEADERS))}")
        return None
    return Rule(said["path"], treat, said["owner"], said["reason"], said["expires"], **said[written[0]])


def _place(node: Node, label: str, report: Report) -> str | None:
    value = text(node, label, report)
    if value is None or read_path(value) is not None or read_header_path(value) is not None:
        return value
    what = f"{label} is {show(value)}, which names no place in an answer"
    report.problem(node, Code.BAD_PATH, what, 'write "$.items[*].price", "$..traceId" or "header:Location"')
    return None


def _expires(node: Node, label: str, report: Report) -> float | None:
    """The end of a day, in UTC."""
    written = node.written if isinstance(node, Scalar) else ""
    begins = read_date(written)
    if begins is None:
        report.problem(node, Code.BAD_VALUE, f"{label} is {show(written)}, not a date", DATE_HELP)
        return None
    return float(begins + _DAY)


def _flag(node: Node, label: str, report: Report) -> dict[str, Any] | None:
    value = boolean(node, label, report)
    if value is False:
        report.problem(node, Code.BAD_VALUE, f"{label} is false", "write true, or remove the rule")
        return None
    return None if value is None else {}


def _tolerance(node: Node, label: str, report: Report) -> dict[str, Any] | None:
    said = fields(node, label, {"abs": _amount, "rel": _amount}, report)
    if not said:
        report.problem(node, Code.BAD_VALUE, f"{label} allows nothing", "write `{abs: 0.01}` or `{rel: 0.001}`")
        return None
    return {"absolute": said.get("abs", 0.0), "relative": said.get("rel", 0.0)}


def _amount(node: Node, label: str, report: Report) -> float | None:
    """Above zero; YAML takes 1e-9 for a text, people do not."""
    try:
        value = float(node.written) if isinstance(node, Scalar) and not isinstance(node.value, bool) else 0.0
    except ValueError:
        value = 0.0
    if not 0 < value < 1e308:
        what = f"{label} is not an amount above zero"
        report.problem(node, Code.BAD_VALUE, what, "write a number such as 0.01 or 1e-9")
        return None
    return value


def _time(node: Node, label: str, report: Report) -> dict[str, Any] | None:
    seconds = duration(node, label, report)
    return None if seconds is None else {"seconds": seconds}


def _pattern(node: Node, label: str, report: Report) -> dict[str, Any] | None:
    value = text(node, label, report)
    if value is None:
        return None
    try:
        if len(value) > _LONGEST_PATTERN:
            raise re.error(f"longer than {_LONGEST_PATTERN} characters")
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        what = f"{label} is {show(value)}, not a regular expression: {error}"
        report.problem(node, Code.BAD_VALUE, what, "write one such as ORD-[0-9]+")
        return None
    return {"pattern": value}


_KEYED = re.compile(r"keyed\(([^()]{1,100})\)")


def _array(node: Node, label: str, report: Report) -> dict[str, Any] | None:
    value = text(node, label, report)
    if value is None:
        return None
    if keyed := _KEYED.fullmatch(value):
        return {"array": ArrayMode.KEYED, "key": keyed[1]}
    if value not in {ArrayMode.ORDERED, ArrayMode.SET, ArrayMode.AUTO}:
        instead = "write ordered, set, auto, or keyed(NAME) with the member that tells items apart"
        report.problem(node, Code.BAD_VALUE, f"{label} is {show(value)}", instead)
        return None
    return {"array": ArrayMode(value)}


_TREATMENTS: Final[dict[str, Reader[dict[str, Any]]]] = {
    **{str(treat): _flag for treat in Treat},
    Treat.TOLERANCE: _tolerance,
    Treat.TIME_TOLERANCE: _time,
    Treat.REGEX_SHAPE: _pattern,
    Treat.ARRAY: _array,
}
_FOR_HEADERS: Final = (
    Treat.IGNORE,
    Treat.PRESENCE,
    Treat.REGEX_SHAPE,
    Treat.CASE,
    Treat.TRIM,
    Treat.URL_HOST,
    Treat.EXACT,
)
_NEEDED: Final = {
    "path": 'write the place, such as path: "$.items[*].price"',
    "owner": "write who will answer for what it hides",
    "reason": "write why the difference does no harm",
    "expires": "write the last day on which it holds, such as expires: 2027-06-30",
}
_RULE: Final[dict[str, Reader[Any]]] = {
    "path": _place,
    "owner": plain_text,
    "reason": plain_text,
    "expires": _expires,
    **_TREATMENTS,
}
_COMPARING: Final[dict[str, Reader[Any]]] = {
    "headers": list_of(_header, "X-Total-Count", "leave `headers` out for the usual ones"),
    "rules": list_of(_rule, "{path: ...}", "leave `rules` out for none"),
}
