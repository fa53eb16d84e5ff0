"""The formats of access logs: one line in, one request out.

A format is a function from the bytes of a line to a `Hit`, or None when the line is none of its own.  Times stay as
they are written, since only the first and the last of a log are ever looked at.  Nothing here fails on any bytes.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

LONGEST_LINE: Final = 65_536


class Hit(NamedTuple):
    """One request: when (as written), what, and how it was answered (0: the line does not say)."""

    time: bytes
    method: bytes
    target: bytes
    status: bytes
    host: bytes


Format = Callable[[bytes], Hit | None]

# -- lines of text -----------------------------------------------------------------------------------------------------

_REQUEST = rb'"([A-Z]{3,20}) ((?=[^ "])[^ "\\]*+(?:\\.[^ "\\]*+)*+)(?: +HTTP/[0-9.]{1,3})?"'
_CLF_TIME = rb"\[(\d{1,2}/\w{3}/\d{4}:[^\]]{8,20})\]"
_CRI = rb"(?:\d{4}-\d\d-\d\dT\S+ std(?:out|err) [FP] )?"
_COMBINED: Final = re.compile(
    rb"(?:([A-Za-z0-9-][A-Za-z0-9.-]*\.[A-Za-z]{2,}|localhost)(?::\d{1,5})? (?=[0-9a-fA-F:.]+ ))?"
    rb'[^\["]{0,600}+' + _CLF_TIME + rb" " + _REQUEST + rb" (\d{3}|-)(?![0-9])"
)
_ENVOY: Final = re.compile(
    _CRI + rb'\[(\d{4}-\d\d-\d\dT[^\]]{8,25})\] "([A-Z]{3,20}) (\S+) [^"]{1,12}" (\d{1,3})'
    rb' [^"]*(?:"[^"]*" "[^"]*" "[^"]*" "([^"]*)")?'
)
_ALB: Final = re.compile(
    rb"(?:https?|h2|grpcs?|wss?) (\d{4}-\d\d-\d\dT\S{8,20}) \S+ \S+ \S+ \S+ \S+ \S+ (\d{3}|-) \S+ \S+ \S+ " + _REQUEST
)
_HAPROXY: Final = re.compile(
    rb'[^\["]{0,300}+\[(\d{1,2}/\w{3}/\d{4}:[\d:.]{8,15})\] \S+ \S+ [-+\d/]{5,80} (\d{3}|-1|-) [^"]{1,2000}+' + _REQUEST
)
_PROXY_MANAGER: Final = re.compile(
    _CLF_TIME + rb'(?: [A-Z-]+)? (?:\d{3} )?(\d{3}) - ([A-Z]{3,20}) https?s? (\S+) "((?:[^"\\]|\\.)+)" \[Client '
)


def combined(line: bytes) -> Hit | None:
    """nginx and Apache, common and combined, with a virtual host in front or not; Traefik's CLF."""
    if found := _COMBINED.match(line):
        host, time, method, target, status = found.groups(b"")
        return Hit(time, method, target, status, host)
    return None


def envoy(line: bytes) -> Hit | None:
    """Envoy's default format, as Kubernetes stores it or plain."""
    found = _ENVOY.match(line)
    return Hit(*found.groups(b"")) if found else None


def alb(line: bytes) -> Hit | None:
    """AWS Application Load Balancer."""
    if found := _ALB.match(line):
        time, status, method, target = found.groups()
        host = target.partition(b"://")[2].partition(b"/")[0].rpartition(b":")[0]
        return Hit(time, method, target, status, host)
    return None


def haproxy(line: bytes) -> Hit | None:
    """HAProxy's HTTP log."""
    if found := _HAPROXY.match(line):
        time, status, method, target = found.groups()
        return Hit(time, method, target, status, b"")
    return None


def proxy_manager(line: bytes) -> Hit | None:
    """nginx-proxy-manager."""
    if found := _PROXY_MANAGER.match(line):
        time, status, method, host, target = found.groups()
        return Hit(time, method, target, status, host)
    return None


# -- lines of JSON -----------------------------------------------------------------------------------------------------

_METHOD_KEYS: Final = ("method", "request_method", "RequestMethod", "http_method", "requestMethod", "verb")
_TARGET_KEYS: Final = (
    "request_uri", "uri", "RequestPath", "x-envoy-origin-path", "path", "target", "requestUrl", "url", "http_path",
)  # fmt: skip
_STATUS_KEYS: Final = ("status", "response_code", "DownstreamStatus", "status_code", "code", "responseCode")
_HOST_KEYS: Final = (":authority", "RequestHost", "http_host", "host", "authority", "server_name", "vhost")
_TIME_KEYS: Final = (
    "time", "start_time", "StartUTC", "@timestamp", "timestamp", "time_iso8601", "ts", "msec", "time_local",
)  # fmt: skip
_WRAPPERS: Final = ("request", "httpRequest", "http")
_WHOLE: Final = re.compile(r"([A-Z]{3,20}) (\S+)(?: HTTP/[0-9.]+)?")
_FARTHEST_BRACE: Final = 200


def from_json(line: bytes) -> Hit | None:
    """JSON lines of nginx, Traefik, Caddy, Envoy and this router; also as container runtimes wrap lines of any kind."""
    found = _object(line)
    if found is None:
        return None
    inner = found.get("log")
    if not isinstance(inner, str) or "stream" not in found:
        return _hit(found)
    wrapped = inner.encode("utf-8", "replace").strip()
    return _text(wrapped) or _hit(_object(wrapped) or {})


def _object(line: bytes) -> dict[str, Any] | None:
    start = line.find(b"{", 0, _FARTHEST_BRACE)
    if start < 0:
        return None
    try:
        found = json.loads(line[start:] if start else line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _hit(found: Mapping[str, Any]) -> Hit | None:
    inside: Mapping[str, Any] = found
    for key in _WRAPPERS:
        if isinstance(wrapped := found.get(key), dict):
            inside = {**found, **wrapped}
            break
    method, target = _first(inside, _METHOD_KEYS), _first(inside, _TARGET_KEYS)
    if not method and isinstance(whole := found.get("request"), str) and (parts := _WHOLE.match(whole)):
        method, target = parts[1].encode(), parts[2].encode("utf-8", "replace")
    if not method or not target:
        return None
    return Hit(_first(found, _TIME_KEYS), method, target, _first(inside, _STATUS_KEYS), _first(inside, _HOST_KEYS))


def _first(found: Mapping[str, Any], keys: Sequence[str]) -> bytes:
    for key in keys:
        value = found.get(key)
        if isinstance(value, str):
            if value:
                return value.encode("utf-8", "replace")
        elif isinstance(value, int | float):
            return str(value).encode()
    return b""


# -- which one is it? --------------------------------------------------------------------------------------------------

FORMATS: Final[Mapping[str, Format]] = {
    "combined": combined,
    "json": from_json,
    "envoy": envoy,
    "alb": alb,
    "haproxy": haproxy,
    "nginx-proxy-manager": proxy_manager,
}


def any_of(line: bytes) -> Hit | None:
    """By whichever format reads it."""
    return _text(line) or from_json(line)


def _text(line: bytes) -> Hit | None:
    for each in (combined, envoy, alb, haproxy, proxy_manager):
        if (found := each(line)) is not None:
            return found
    return None


def recognise(lines: Sequence[bytes]) -> str | None:
    """The format that reads most of these lines; None when none reads any."""
    counts = Counter({name: sum(read(line) is not None for line in lines) for name, read in FORMATS.items()})
    name, count = counts.most_common(1)[0]
    return name if count else None
