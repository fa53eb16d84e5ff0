"""The shapes of what is told about the migration as a whole, and of the series behind the plots."""

from __future__ import annotations

from typing import Any, Final

from control.api.schemas import COUNT, NUMBER, OBJECT, ORDINAL, TEXT, Parameter, answer, many, maybe
from rollout.core.progress import STAGES, Why

Json = dict[str, Any]

_STAGE: Final[Json] = {"enum": [stage.value for stage in STAGES]}
_APIS: Final[Json] = answer({stage.value: COUNT for stage in STAGES})
_RATIO: Final = maybe({"type": "number", "minimum": 0, "maximum": 100})
_STANDING: Final[Json] = {
    "apis": _APIS,
    "total": COUNT,
    "finished": COUNT,
    "percent": _RATIO,
    "share": _RATIO,
    "requests": COUNT,
    "traffic": _RATIO,
    "traffic_by_stage": answer({stage.value: _RATIO for stage in STAGES}),
}
_FORECAST: Final[Json] = {
    "forecast": maybe(
        answer({"earliest": COUNT, "likely": COUNT, "latest": maybe(COUNT), "weekly": NUMBER, "weeks": COUNT})
    ),
    "no_forecast": maybe(TEXT),
}
_STUCK: Final = answer(
    {
        "why": {"enum": [why.value for why in Why]},
        "since": NUMBER,
        "days": COUNT,
        "route": maybe(TEXT),
        "order": maybe(TEXT),
        "kind": maybe(TEXT),
        "scope": maybe(OBJECT),
        "group": TEXT,
        "share": NUMBER,
    }
)
PROGRESS: Final = answer(
    {
        "at": NUMBER,
        "revision": ORDINAL,
        "window": COUNT,
        "stages": many(_STAGE),
        "all": answer(_STANDING | _FORECAST),
        "groups": many(answer({"group": TEXT, "owner": TEXT} | _STANDING | _FORECAST)),
        "owners": many(answer({"owner": TEXT} | _STANDING | _FORECAST)),
        "stuck": many(_STUCK),
        "more_stuck": COUNT,
    }
)
ROUTES: Final = answer(
    {
        "at": NUMBER,
        "revision": ORDINAL,
        "routes": many(
            answer(
                {
                    "name": TEXT,
                    "group": TEXT,
                    "owner": TEXT,
                    "stage": _STAGE,
                    "since": NUMBER,
                    "moved": NUMBER,
                    "share": _RATIO,
                    "wish": _RATIO,
                    "requests": COUNT,
                    "new": COUNT,
                }
            )
        ),
    }
)
HISTORY: Final = answer(
    {
        "group": maybe(TEXT),
        "owner": maybe(TEXT),
        "points": many(
            answer(
                {
                    "at": NUMBER,
                    "apis": OBJECT,
                    "total": COUNT,
                    "finished": COUNT,
                    "share": _RATIO,
                    "requests": COUNT,
                    "traffic": _RATIO,
                }
            )
        ),
    }
)
CHANGES: Final = answer(
    {"changes": many(answer({"at": NUMBER, "route": TEXT, "before": maybe(_STAGE), "after": maybe(_STAGE)}))}
)

GROUP: Final = Parameter("group", "of this group alone", TEXT)
OWNER: Final = Parameter("owner", "of the groups of this owner alone", TEXT)
DAYS: Final = Parameter("days", "so many days back", {"type": "integer", "minimum": 1, "maximum": 1830})
ROUTE: Final = Parameter("name", "of this route alone", TEXT)
OF: Final = Parameter("of", "routes, or history: one line a point", {"enum": ["routes", "history"]})

_VALUES: Final = many(maybe(NUMBER))
_SIDE: Final = answer({"rate": _VALUES, "errors": _VALUES, "p50": _VALUES, "p99": _VALUES})
_SERIES: Final = answer({"legacy": _SIDE, "new": _SIDE})
SERIES: Final = answer(
    {
        "step": NUMBER,
        "at": many(NUMBER),
        "routes": OBJECT | {"additionalProperties": _SERIES},
        "groups": OBJECT | {"additionalProperties": _SERIES},
        "all": maybe(_SERIES),
    }
)
RATES: Final = answer(
    {
        "revision": ORDINAL,
        "total": many(NUMBER),
        "routes": OBJECT | {"additionalProperties": many(NUMBER)},
        "latest": OBJECT | {"additionalProperties": _VALUES},
    }
)
SEVERAL_ROUTES: Final = Parameter("name", "a route", many(TEXT), many=True)
SEVERAL_GROUPS: Final = Parameter("group", "a group", many(TEXT), many=True)
NUMBER_OF_POINTS: Final = Parameter("points", "so many at most", {"type": "integer", "minimum": 1, "maximum": 360})
