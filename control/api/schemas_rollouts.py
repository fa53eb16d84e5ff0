"""The shapes of what is said about rollouts, in JSON Schema's words."""

from __future__ import annotations

from typing import Final

from control.api.schemas import (
    COUNT,
    NUMBER,
    OBJECT,
    ORDINAL,
    PERCENT,
    TEXT,
    TRUTH,
    Json,
    Parameter,
    answer,
    many,
    maybe,
)
from control.rollouts.aa import Phase as Testing
from rollout.core.aa import Standing as SelfTested
from rollout.core.run import Phase
from rollout.core.verdict import Standing


def _between(least: float, most: float) -> Json:
    return {"type": "number", "minimum": least, "maximum": most}


ROUTE: Final = Parameter("route", "of this route alone", TEXT)
GROUP: Final = Parameter("group", "of the routes of this group", TEXT)
PHASE: Final = Parameter("phase", "those that are doing this", {"enum": [phase.value for phase in Phase]})
AFTER: Final = Parameter("after", "behind this number", {"type": "integer", "minimum": 1, "maximum": 10**15})
EVIDENCE: Final = Parameter("evidence", "what was counted, instead of what happened", TRUTH)

RATIO: Final = Parameter("ratio", "tolerated, instead of what was: times legacy's failures", _between(1, 100))
FLOOR: Final = Parameter("floor", "tolerated, instead of what was: percent of failures", _between(0.01, 50))
SHARE: Final = Parameter("share", "of the pretended new side, in percent (1 when missing)", _between(0.01, 99))

_STEP: Final = answer({"name": TEXT, "share": PERCENT, "gate": TEXT, "min_time": NUMBER})
RUN: Final = answer(
    {
        "route": TEXT,
        "run": ORDINAL,
        "phase": {"enum": [phase.value for phase in Phase]},
        "plan": TEXT,
        "step": ORDINAL,
        "share": PERCENT,
        "steps": many(_STEP),
        "since": NUMBER,
        "paused": maybe(TEXT),
        "standing": {"enum": [standing.value for standing in Standing]},
        "waits": many(TEXT),
        "held": maybe(TEXT),
        "verdict": maybe(OBJECT),
        "text": TEXT,
    }
)
RUNS: Final = answer({"revision": ORDINAL, "armed": TRUTH, "rollouts": many(RUN)})
DONE: Final = answer(
    {"revision": ORDINAL, "rollouts": many(RUN), "refused": many(answer({"route": TEXT, "why": TEXT}))}
)
_FORECAST: Final = answer(
    {
        "route": TEXT,
        "requests_per_second": NUMBER,
        "failing": NUMBER,
        "seconds": maybe(NUMBER),
        "steps": many(answer({"name": TEXT, "requests": maybe(COUNT), "seconds": maybe(NUMBER)})),
    }
)
_CALENDAR: Final = answer(
    {"routes": COUNT, "day": COUNT, "week": COUNT, "month": COUNT, "slow": many(answer({"route": TEXT}))}
)
PLAN: Final = answer({"revision": ORDINAL}, forecast=_FORECAST, calendar=_CALENDAR)
REPLAY: Final = answer({"verdicts": many(OBJECT)})
SELF_TEST: Final = answer({"route": TEXT, "repeats": COUNT, "rollbacks": COUNT, "holds": COUNT, "requests": COUNT})
_SCORE: Final = answer(
    {
        "share": PERCENT,
        "rollouts": COUNT,
        "rollbacks": COUNT,
        "errors": COUNT,
        "latency": COUNT,
        "expected": NUMBER,
        "breakers": COUNT,
        "holds": COUNT,
        "sides": COUNT,
        "unruled": COUNT,
    }
)
LIVE: Final = answer(
    {
        "test": maybe(
            answer(
                {
                    "number": ORDINAL,
                    "route": TEXT,
                    "actor": TEXT,
                    "began": NUMBER,
                    "phase": {"enum": [phase.value for phase in Testing]},
                    "seconds": NUMBER,
                    "heard": NUMBER,
                    "left": NUMBER,
                    "answers": COUNT,
                    "missed": COUNT,
                    "silent": COUNT,
                    "full": TRUTH,
                    "clients": COUNT,
                    "failures": COUNT,
                    "errors": COUNT,
                    "limits": many(maybe(NUMBER)),
                    "slow": many(COUNT),
                    "rollouts": COUNT,
                    "shares": many(_SCORE),
                    "standing": maybe({"enum": [standing.value for standing in SelfTested]}),
                    "text": TEXT,
                }
            )
        )
    }
)
DRILL: Final = answer({"fired": TRUTH, "failed": COUNT, "why": TEXT})
LOG: Final = answer({"lines": many(answer({"number": COUNT, "at": NUMBER, "kind": TEXT, "body": OBJECT}))})
