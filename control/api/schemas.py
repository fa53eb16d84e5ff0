"""The shapes of bodies, parameters and answers at the admin address, in JSON Schema's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from control.api.body import FARTHEST, MAX_NAME, MOST, UNSEEN
from router.core.orders import Reach

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something in the query."""

    name: str
    says: str
    schema: Mapping[str, Any]
    required: bool = False
    many: bool = False
    """May it stand several times?"""


# -- plain values ------------------------------------------------------------------------------------------------------

OBJECT: Final[Json] = {"type": "object"}
TEXT: Final[Json] = {"type": "string"}
NUMBER: Final[Json] = {"type": "number"}
TRUTH: Final[Json] = {"type": "boolean"}
COUNT: Final[Json] = {"type": "integer", "minimum": 0}
ORDINAL: Final[Json] = {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}
PERCENT: Final[Json] = {"type": "number", "minimum": 0, "maximum": 100, "multipleOf": 0.01}
SPAN: Final[Json] = {
    "type": "string",
    "pattern": r"^([1-9][0-9]{0,2}(s|m)|([1-9][0-9]?|1[0-5][0-9]|16[0-8])h)$",
    "description": "such as 90s, 10m, 2h; 168h at most",
}


def line(most: int) -> Json:
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": most,
        "pattern": rf"^[^\s{UNSEEN}]([^{UNSEEN}]*[^\s{UNSEEN}])?$",
    }


def maybe(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


def many(schema: Json) -> Json:
    return {"type": "array", "items": schema}


def answer(required: Json, **more: Json) -> Json:
    """An object that has all of `required`, and may have more."""
    return {"type": "object", "properties": required | more, "required": list(required)}


# -- parameters --------------------------------------------------------------------------------------------------------

GROUP: Final = Parameter("group", "only the routes of this group", TEXT)
PART: Final = Parameter("q", "only routes with this in their name, path or host", TEXT)
SIDE: Final = Parameter("side", "new: some of its traffic; legacy: none of it is new", {"enum": ["new", "legacy"]})
NAME: Final = Parameter("name", "this route alone", TEXT)
LIMIT: Final = Parameter("limit", "so many at most", {"type": "integer", "minimum": 1, "maximum": MOST})
OFFSET: Final = Parameter("offset", "without the first so many", COUNT | {"maximum": FARTHEST})
BEFORE: Final = Parameter("before", "those before this revision", ORDINAL)
WITH_ROUTES: Final = Parameter("routes", "false: without the routes", TRUTH)
WITH_RATES: Final = Parameter("rates", "false: without what is measured; such an answer has an ETag", TRUTH)
OF_ROUTE: Final = Parameter("route", "only revisions that changed this route's share", TEXT)
SAMPLES: Final = Parameter("samples", "true: also when the counters have been looked at", TRUTH)
WHOLE: Final = Parameter("whole", "with every route", TRUTH)
METHOD: Final = Parameter("method", "GET when missing", {"type": "string", "pattern": "^[A-Za-z]{1,20}$"})
PATH: Final = Parameter("path", "as a client sends it", {"type": "string", "pattern": "^/[!-~]*$"})
REQUEST_ID: Final = Parameter("request-id", "a finished exchange, instead of a request", line(200))
HEADER: Final = Parameter(
    "header", "a header line", many({"type": "string", "pattern": r"^[A-Za-z0-9-]{1,40}:[!-~ ]{0,200}$"}), many=True
)
CLIENT: Final = Parameter("client", "the client's address", {"type": "string", "pattern": r"^[0-9A-Fa-f.:]{0,45}$"})

# -- scopes ------------------------------------------------------------------------------------------------------------


def scoped(*names: str) -> Json:
    """An object that names one thing."""
    named = line(MAX_NAME)
    return {
        "oneOf": [
            {
                "type": "object",
                "properties": {name: {"const": True} if name == Reach.ALL else named},
                "required": [name],
                "additionalProperties": False,
            }
            for name in names
        ]
    }


SHARED_SCOPE: Final = scoped("route", "group", "all")

# -- answers -----------------------------------------------------------------------------------------------------------

_ROUTE_CHANGE: Final = answer({"name": TEXT, "before": maybe(PERCENT), "after": maybe(PERCENT)})
ORDER: Final = answer({"id": TEXT, "kind": TEXT, "scope": OBJECT, "reason": TEXT, "actor": TEXT, "created": NUMBER})
CHANGE: Final = answer(
    {
        "order": maybe(ORDER),
        "already": TRUTH,
        "revision": ORDINAL,
        "confirmed": TRUTH,
        "persisted": TRUTH,
        "workers": many(answer({"id": COUNT, "revision": COUNT})),
        "routes": many(_ROUTE_CHANGE),
        "notes": many(TEXT),
        "ms": NUMBER,
    }
)
_ROUTE: Final[Json] = {
    "name": TEXT,
    "path": TEXT,
    "methods": many(TEXT),
    "group": maybe(TEXT),
    "legacy": TEXT,
    "new": maybe(TEXT),
    "declared": PERCENT,
    "ordered": maybe(PERCENT),
    "effective": PERCENT,
    "cause": TEXT,
}
_MEASURED: Final[Json] = {"measured": maybe(NUMBER), "requests_per_second": NUMBER}
ROUTE: Final = answer({"revision": ORDINAL} | _ROUTE | _MEASURED)
ROUTES: Final[Json] = {
    "anyOf": [
        answer({"revision": ORDINAL, "routes": many(answer(_ROUTE, **_MEASURED)), "total": COUNT}),
        ROUTE,
    ]
}
ORDERS: Final = answer({"revision": ORDINAL, "orders": many(ORDER)})
_REVISION: Final[Json] = {
    "revision": ORDINAL,
    "at": NUMBER,
    "actor": TEXT,
    "source": TEXT,
    "reason": TEXT,
    "hash": TEXT,
    "order": maybe(TEXT),
    "summary": TEXT,
    "changed_routes": COUNT,
}
REVISION: Final = answer(_REVISION | {"lines": many(TEXT), "routes": many(_ROUTE_CHANGE)})
REVISIONS: Final = answer({"revision": ORDINAL, "revisions": many(answer(_REVISION))})
STATUS: Final = answer(
    {
        "revision": ORDINAL,
        "hash": TEXT,
        "persisted": TRUTH,
        "source": OBJECT,
        "orders": many(ORDER),
        "workers": many(answer({"id": COUNT, "confirmed": TRUTH, "connected": TRUTH})),
        "traffic": OBJECT,
    },
    routes=many(answer(_ROUTE | _MEASURED)),
)
EXPLANATION: Final = {
    "anyOf": [
        answer({"revision": ORDINAL, "route": maybe(TEXT), "share": PERCENT}),
        answer({"request_id": TEXT, "exchanges": many(OBJECT)}),
    ]
}
"""Of a request as it would go now, or of exchanges that are over."""
_TARGET: Final = answer(
    {
        "upstream": TEXT,
        "site": maybe(TEXT),
        "endpoint": TEXT,
        "address": maybe(TEXT),
        "status": {"enum": ["unknown", "up", "down"]},
        "level": PERCENT,
        "since": NUMBER,
        "why": maybe(TEXT),
        "probed": TRUTH,
        "held": TRUTH,
        "back_at": maybe(NUMBER),
        "came_up": COUNT,
        "went_down": COUNT,
    }
)
_SITE: Final = answer(
    {
        "name": TEXT,
        "state": {"enum": ["up", "degraded", "down", "drain", "off", "rollback"]},
        "order": maybe(TEXT),
        "weight": COUNT,
        "capacity": COUNT,
        "up": COUNT,
        "of": COUNT,
        "exchanges": maybe(COUNT),
        "tunnels": maybe(COUNT),
        "connections": COUNT,
        "upstreams": many(OBJECT),
        "targets": many(_TARGET),
    }
)
SITES: Final = answer({"revision": ORDINAL, "sites": many(_SITE), "endpoints": many(_TARGET), "changes": many(OBJECT)})
CLOSED: Final = answer({"route": TEXT, "confirmed": TRUTH, "silent": many(COUNT)})
GSLB: Final = answer({"site": TEXT, "state": TEXT})
UNLISTED: Final = answer(
    {
        "requests": many(answer({"method": TEXT, "path": TEXT, "status": COUNT, "count": ORDINAL})),
        "more": COUNT,
        "since": maybe(TEXT),
        "until": maybe(TEXT),
        "lines": COUNT,
        "whole": TRUTH,
    }
)
CHECKED: Final = answer({"ok": {"const": True}, "routes": COUNT, "notes": many(TEXT)})
LIVE: Final = answer({"status": {"const": "ok"}})
READY: Final = answer({"ready": TRUTH})
SESSION: Final = answer({"name": TEXT, "role": TEXT, "csrf": maybe(TEXT)})
PROBLEM: Final = answer(
    {"type": TEXT, "title": TEXT, "status": COUNT, "code": TEXT, "detail": TEXT}, instead=TEXT, field=TEXT, id=TEXT
)
SHADOWS: Final = answer(
    {
        "revision": ORDINAL,
        "strangers": OBJECT,
        "routes": many(
            answer(
                {
                    "route": TEXT,
                    "percent": PERCENT,
                    "compare": TRUTH,
                    "verdicts": OBJECT,
                    "failures": OBJECT,
                    "copies": OBJECT,
                }
            )
        ),
    }
)
SHADOW: Final = answer(
    {
        "revision": ORDINAL,
        "route": TEXT,
        "legacy": TEXT,
        "new": TEXT,
        "since": NUMBER,
        "until": NUMBER,
        "compared": COUNT,
        "verdicts": OBJECT,
        "causes": OBJECT,
        "failures": OBJECT,
        "parity": OBJECT,
        "copies": OBJECT,
        "noise": OBJECT,
        "places": many(OBJECT),
        "rules": many(OBJECT),
        "remarks": OBJECT,
    }
)
