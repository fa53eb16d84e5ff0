"""The particular values of routes.yaml: names, methods, hosts, endpoints, subjects, fallbacks, networks.

Each function is a reader (see `router.core.schema`): one written value becomes one value of the model, or a
problem that says what to write instead.  Nothing here looks at a second value or resolves a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Map
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from router.core.document import Mapping, Node, Place, Scalar
from router.core.model import UNLISTED, Endpoint, Fallback, Source, SubjectSource
from router.core.problem import Code, Report, closest, one_of, show
from router.core.schema import Reader, describe, digits, fields, list_of, missing, plain_text, text, wrong_type
from router.core.template import TemplateError, parse_template
from router.core.units import SIZE_HELP, read_duration, read_size

TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110 section 5.6.2."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_QUOTES = re.compile(r"[\"'`]")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")
_ENDPOINT_HELP = "write http://host:port, such as http://10.0.0.7:8080 or http://[fd00::7]:8080"
_HOST_HELP = "write a host name in ASCII, such as shop.example.com, without port, wildcard or trailing dot"
_SUBJECT_HELP = "write header:NAME, cookie:NAME, client-ip or random"
_CONNECT = "connect"
_FALLBACK_HELP = "write `fallback: off` or `fallback: {on: [connect, 502, 503, 504]}`"


# ---------------------------------------------------------------------------------------------------- names


def identifier(name: str) -> bool:
    """May a group, upstream, site or plan be called so?"""
    return _IDENTIFIER.fullmatch(name) is not None


IDENTIFIER_HELP: Final = "use 1 to 64 letters, digits, dots, dashes and underscores"


def identifier_text(node: Node, label: str, report: Report) -> str | None:
    value = text(node, label, report)
    if value is not None and not identifier(value):
        report.problem(node, Code.BAD_NAME, f"{label} is {show(value)}, which is not a name", IDENTIFIER_HELP)
        return None
    return value


def known_name(kind: str, known: frozenset[str] | None) -> Reader[str]:
    """A reader of references.  `known` is None when what could be referred to is itself unreadable.

    A bad reference is answered as the empty text: something stands there, so nothing else is missing.
    """

    def read(node: Node, label: str, report: Report) -> str | None:
        value = text(node, label, report)
        if value is None or known is None or value in known:
            return value or ""
        unknown_name(node, value, kind, known, report)
        return ""

    return read


def unknown_name(place: Place, name: str, kind: str, known: frozenset[str], report: Report) -> None:
    guess = None if report.full else closest(name, known)
    what = f"there is no {kind} {show(name)}"
    report.problem(place, Code.UNKNOWN_NAME, what, f"did you mean `{guess}`?" if guess else _define(kind, known))


def _define(kind: str, known: frozenset[str]) -> str:
    listed = f", or use {one_of(sorted(known))}" if known else ""
    return f"define it under `{kind}s`{listed}"


def name_trouble(name: str) -> tuple[str, str] | None:
    """Why a route cannot be called so, and what to do: names end up in headers, metrics and command lines."""
    if len(name) > 200:
        return f"the route's name has {len(name)} characters", "give it a `name` of at most 200"
    if name != name.strip() or _QUOTES.search(name):
        return f"the route's name {show(name)} has quotes in it or blanks around it", "give it a `name` without"
    if name == UNLISTED:
        return f"the name `{UNLISTED}` stands for requests without a route", "give the route another name"
    return None


def route_name(node: Node, label: str, report: Report) -> str | None:
    value = plain_text(node, label, report)
    if value is not None and (trouble := name_trouble(value)):
        report.problem(node, Code.BAD_NAME, *trouble)
        return None
    return value


# -------------------------------------------------------------------------------------- what a request must be


def path(node: Node, label: str, report: Report) -> str | None:
    value = text(node, label, report)
    if value is None:
        return None
    if not value.isascii():
        what = f"the path {show(value)} is not ASCII, and requests never are"
        report.problem(node, Code.BAD_PATH, what, f"write {_escaped(value)}")
        return None
    try:
        parse_template(value)
    except TemplateError as error:
        report.problem(node, Code.BAD_PATH, error.what, error.instead)
        return None
    return value


def _escaped(value: str) -> str:
    return "".join(c if c.isascii() else "".join(f"%{byte:02X}" for byte in c.encode()) for c in value[:200])


def _method(node: Node, label: str, report: Report) -> str | None:
    value = text(node, label, report)
    if value is None:
        return None
    if TOKEN.fullmatch(value) is None:
        report.problem(node, Code.BAD_VALUE, f"{label} is {show(value)}, not a method", "write a method such as GET")
    elif value != value.upper():
        what = f"{label} is {show(value)}, but methods are upper-case"
        report.problem(node, Code.BAD_VALUE, what, f"write {value.upper()}")
    elif value == "CONNECT":
        what = "CONNECT is never routed, it would make the router an open proxy"
        report.problem(node, Code.BAD_VALUE, what, "leave it out")
    else:
        return value
    return None


methods: Final = list_of(
    _method, "GET", "a route without methods can never be reached, leave `methods` out for any method"
)


def host(node: Node, label: str, report: Report) -> str | None:
    """The host of a route, in lower case; an IPv6 address keeps its brackets."""
    value = plain_text(node, label, report)
    if value is None:
        return None
    if valid_host(value) or (value[0] + value[-1] == "[]" and _valid_ipv6(value[1:-1])):
        return value.lower()
    report.problem(node, Code.BAD_VALUE, f"{label} is {show(value)}, not a host", _HOST_HELP)
    return None


def valid_host(name: str) -> bool:
    """A DNS name or an IPv4 address.  A last label of digits alone must belong to an address (WHATWG says so too)."""
    labels = name.split(".")
    if len(name) > 253 or not all(map(_LABEL.fullmatch, labels)):
        return False
    return _valid_ipv4(labels) if labels[-1].isdigit() else True


def _valid_ipv4(labels: list[str]) -> bool:
    return len(labels) == 4 and all(re.fullmatch(r"0|[1-9][0-9]{0,2}", part) and int(part) < 256 for part in labels)


def _valid_ipv6(address: str) -> bool:
    try:
        return IPv6Address(address).scope_id is None
    except ValueError:
        return False


# ------------------------------------------------------------------------------------------------ endpoints


def endpoint(environ: Map[str, str]) -> Reader[Endpoint]:
    """A reader of endpoints that puts the environment in."""

    def read(node: Node, label: str, report: Report) -> Endpoint | None:
        written = text(node, label, report)
        if written is None:
            return None
        url = expanded(written, environ, node, "the endpoint", report, "http://host:port")
        if url is None:
            return None
        parsed = read_endpoint(url)
        if isinstance(parsed, Endpoint):
            return parsed
        origin = "" if url == written else f" (from {show(written)})"
        report.problem(node, Code.BAD_URL, f"the endpoint {show(url)}{origin} {parsed}", _ENDPOINT_HELP)
        return None

    return read


def expanded(
    written: str, environ: Map[str, str], node: Node, label: str, report: Report, default: str = ""
) -> str | None:
    """As a shell does it: the default also stands in for an empty value.  What comes in is not expanded again."""
    if "${" not in written:
        return written
    for found in _VARIABLE.finditer(written):
        if found[1] not in environ and found[2] is None:
            what = f"the environment variable {found[1]} is not set"
            instead = f"set it, or write ${{{found[1]}:-{default}}}" if default else "set it"
            report.problem(node, Code.BAD_URL, what, instead)
            return None
    if "${" in _VARIABLE.sub("", written):
        what = f"{label} {show(written)} has a variable that cannot be read"
        report.problem(node, Code.BAD_URL, what, "write ${NAME} or ${NAME:-default}")
        return None
    return _VARIABLE.sub(lambda found: environ.get(found[1]) or found[2] or "", written)


def read_endpoint(url: str) -> Endpoint | str:
    """The endpoint, or what is wrong with it."""
    scheme, slashes, rest = url.partition("://")
    if not slashes:
        return "has no http:// in front"
    if scheme != "http":
        return f"begins with {show(scheme)}, and only http is spoken to upstreams"
    if "@" in rest:
        return "holds a user or password"
    if found := re.search(r"[/?#]", rest):
        return f"goes on with {show(rest[found.start() :])} behind the port"
    return _authority(rest)


def _authority(rest: str) -> Endpoint | str:
    name, colon, port = rest.rpartition(":")
    if not colon or (rest.startswith("[") and rest.endswith("]")):
        return "has no port"
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        return f"has the port {show(port)}, outside 1..65535"
    if name.startswith("[") and name.endswith("]"):
        return (
            Endpoint(str(IPv6Address(name[1:-1])), int(port)) if _valid_ipv6(name[1:-1]) else "has a bad IPv6 address"
        )
    if not valid_host(name):
        return f"has no valid host, but {show(name)}"
    return Endpoint(name.lower(), int(port))


# ------------------------------------------------------------------------------------------------- settings


def _subject_source(node: Node, label: str, report: Report) -> SubjectSource | None:
    value = plain_text(node, label, report)
    if value is None:
        return None
    kind, colon, name = value.partition(":")
    if kind in {Source.HEADER, Source.COOKIE} and TOKEN.fullmatch(name):
        return SubjectSource(Source(kind), name)
    if kind in {Source.CLIENT_IP, Source.RANDOM} and not colon:
        return SubjectSource(Source(kind))
    report.problem(node, Code.BAD_VALUE, f"{label} is {show(value)}, which names no subject", _SUBJECT_HELP)
    return None


_subject_list = list_of(_subject_source, "client-ip", "write where the subject is found, such as [client-ip]")


def subject(node: Node, label: str, report: Report) -> tuple[SubjectSource, ...] | None:
    """The chain of sources; what stands behind `random` would never be looked at."""
    chain = _subject_list(node, label, report)
    if chain and SubjectSource(Source.RANDOM) in chain[:-1]:
        what = f"{label} goes on behind `random`, which always has a value"
        report.problem(node, Code.CONTRADICTION, what, "put random last or leave it out")
        return None
    return chain


def _fallback_cause(node: Node, label: str, report: Report) -> int | str | None:
    """A status, or `connect`."""
    if isinstance(node, Scalar) and node.value == _CONNECT:
        return _CONNECT
    status = digits(node)
    if status is not None and 400 <= status <= 599:
        return status
    what = f"{label} is {describe(node)}, neither `connect` nor a status from 400 to 599"
    report.problem(node, Code.BAD_VALUE, what, "write connect, or a status such as 503")
    return None


_fallback_fields: Final = {"on": list_of(_fallback_cause, "connect", "write `fallback: off`")}


def fallback(node: Node, label: str, report: Report) -> Fallback | None:
    """`off`, which YAML takes for false, or the causes."""
    if isinstance(node, Scalar) and (node.value is False or node.value == "off"):
        return Fallback()
    if not isinstance(node, Mapping):
        wrong_type(node, label, "off or a mapping", _FALLBACK_HELP, report)
        return None
    if not any(entry.key == "on" for entry in node.entries):
        missing(node, "on", label, _FALLBACK_HELP, report)
    causes = fields(node, label, _fallback_fields, report).get("on")
    return None if causes is None else Fallback(_CONNECT in causes, frozenset(causes) - {_CONNECT})


def overflow(node: Node, label: str, report: Report) -> bool | None:
    """Does legacy take what the new side has no healthy room for?  `legacy` or `none`."""
    if isinstance(node, Scalar) and node.value in {"legacy", "none"}:
        return node.value == "legacy"
    report.problem(node, Code.BAD_VALUE, f"{label} is {describe(node)}", "write `legacy` or `none`")
    return None


def _network(node: Node, label: str, report: Report) -> str | None:
    value = plain_text(node, label, report)
    if value is None:
        return None
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        instead = "write a network such as 10.0.0.0/8 or fd00::/8, or an address such as 10.0.0.7"
        report.problem(node, Code.BAD_VALUE, f"{label} is {show(value)}, not a network", instead)
        return None
    if ip_address(value.partition("/")[0]) != network.network_address:
        what = f"{label} is {show(value)}, an address inside a network"
        report.problem(node, Code.BAD_VALUE, what, f"write {network}, or the address alone")
        return None
    return str(network)


networks: Final = list_of(_network, "10.0.0.0/8", "leave `trusted` out to trust nobody")


def via(node: Node, label: str, report: Report) -> str | None:
    """The pseudonym; empty for `off`."""
    if isinstance(node, Scalar) and (node.value is False or node.value == "off"):
        return ""
    value = plain_text(node, label, report)
    if value is not None and TOKEN.fullmatch(value) is None:
        what = f"{label} is {show(value)}, not a pseudonym"
        report.problem(node, Code.BAD_VALUE, what, "write one word such as strangler, or off")
        return None
    return value


def probe_path(node: Node, label: str, report: Report) -> str | None:
    """The target of a probe: sent as it stands."""
    value = plain_text(node, label, report)
    if value is not None and re.fullmatch(r"/[!-~]*", value) is None:
        what = f"{label} is {show(value)}, not a path"
        report.problem(node, Code.BAD_VALUE, what, "write a path that begins with a slash, such as /healthz")
        return None
    return value


# --------------------------------------------------------------------------------------------------- limits


def limit_size(node: Node, label: str, report: Report) -> int | None:
    """Bytes; 0 for no limit."""
    numeric_or_text = isinstance(node, Scalar) and not isinstance(node.value, bool | float)
    size = read_size(node.written) if numeric_or_text and isinstance(node, Scalar) else None
    if size is None:
        report.problem(node, Code.BAD_VALUE, f"{label} is {describe(node)}, not a size", SIZE_HELP + ", 0 for no limit")
    return size


def limit_time(node: Node, label: str, report: Report) -> float | None:
    """Seconds; 0 for no limit."""
    if digits(node) == 0:
        return 0.0
    seconds = read_duration(node.value) if isinstance(node, Scalar) and isinstance(node.value, str) else None
    if seconds is None:
        instead = "write a duration such as 250ms, 2s, 5m or 1h (at most 168h), or 0 for no limit"
        report.problem(node, Code.BAD_DURATION, f"{label} is {describe(node)}, not a duration", instead)
    return seconds
