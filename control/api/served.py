"""Which side served this request, and why?  From what the workers remember of their newest exchanges."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from control.api import body
from control.api.context import CONTEXT
from control.api.problems import Problem, invalid
from router.core.masking import masked
from router.core.model import PPM
from router.core.units import write_percent

LONGEST_ID: Final = 128
"""Longer ones are replaced on the way in, so nobody was served under them."""

Json = dict[str, Any]

_WHY: Final = {
    "rollback": "the route was rolled back",
    "override": "a trusted client asked for this side",
    "unlisted": "no route matched, and legacy answers whatever is not listed",
    "no-subject": "no source of the route's subject had a value, so there was nothing to draw",
    "preflight": "a CORS preflight has no subject, and the share was below 100 %",
    "fallback": "the new side failed, and the route's fallback asked legacy instead",
    "site-rollback": "the site that was drawn was rolled back",
    "pin": "the route was pinned to this side",
    "drain": "every site of the new side was drained",
    "health": "the new side had no healthy room for its subject",
    "breaker": "the route failed on the new side, and its breaker had pulled it to legacy",
}


async def served(request: web.Request) -> web.Response:
    """`?request-id=...`: all exchanges with this id, newest first."""
    body.only(request.query, ("request-id",))
    wanted = request.query["request-id"]
    if not 0 < len(wanted) <= LONGEST_ID:
        raise invalid("request-id", f"it has {len(wanted)} characters", "take it from an answer's X-Request-Id")
    found = await request.app[CONTEXT].exchanges(wanted)
    if not found:
        raise Problem(
            404,
            "unknown-request",
            f"no worker remembers a request {wanted!r}",
            "only the newest few thousand are remembered; the access log has the older ones",
        )
    said = {"request_id": wanted, "exchanges": list(map(view, found))}
    return web.Response(body=json.dumps(said).encode(), content_type="application/json")


def view(exchange: Mapping[str, Any]) -> Json:
    """One exchange, with its share in percent and the reason in words."""
    share = exchange["share"]
    return {
        **exchange,
        "target": masked(exchange["target"]),
        "share": None if share is None else share / (PPM // 100),
        "flips_at": None if exchange["bucket"] is None else (exchange["bucket"] + 1) / (PPM // 100),
        "why": why(exchange),
    }


def why(exchange: Mapping[str, Any]) -> str:
    """The reason, in words."""
    if exchange["reason"] != "weight":
        return _WHY[exchange["reason"]]
    share, bucket = exchange["share"], exchange["bucket"]
    if bucket is None:
        return f"the share of the new side was {write_percent(share)} %"
    where = "below" if bucket < share else "not below"
    return f"its subject's bucket {bucket} was {where} the share of {share} ppm ({write_percent(share)} %)"
