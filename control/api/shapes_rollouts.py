"""The bodies of what is asked of rollouts, declared like all others (`control.api.shapes`)."""

from __future__ import annotations

from typing import Final

from control.api import body
from control.api.schemas import PERCENT, line
from control.api.shapes import FOR, REASON, ROUTES_SCOPE, Choice, Field, Shape
from rollout.core.run import Ask

START: Final = "start"

_AT: Final = Field("at", PERCENT | {"description": "the step to begin with"}, body.share).optional(null=False)
_UNPROVEN: Final = Field(
    "without_evidence", {"type": "boolean", "description": "whatever evidence says"}, body.truth
).optional(default=False, null=False)


def _do(what: str, *own: Field) -> Shape:
    return Shape((Field("do", {"const": what}, body.text), ROUTES_SCOPE, REASON, *own))


DO: Final = Choice(
    {
        START: _do(START, _AT),
        Ask.PROMOTE.value: _do(Ask.PROMOTE.value, _UNPROVEN),
        **{ask.value: _do(ask.value) for ask in Ask if ask is not Ask.PROMOTE},
    },
    by="do",
)
NOTHING: Final = Shape(())

_ROUTE: Final = Field("route", line(body.MAX_NAME), body.text)
_SHARE: Final = Field("share", PERCENT | {"description": "of the pretended new side (1, 5, 25 and 50)"}, body.share)
STOP: Final = "stop"
LIVE: Final = Choice(
    {
        START: Shape((Field("do", {"const": START}, body.text), _ROUTE, _SHARE.optional(), FOR)),
        STOP: Shape((Field("do", {"const": STOP}, body.text),)),
    },
    by="do",
)
