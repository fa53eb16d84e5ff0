"""Every path of the admin address, declared once: method, path, role, parameters, body, answers, handler.

Routing, roles, the check of parameters and the OpenAPI document are all made from this table; what does not stand
here does not exist.  Editing a declaration edits all of them.
"""

from __future__ import annotations

from typing import Any, Final

from control.api import (
    login,
    openapi,
    page,
    places,
    progress,
    reads,
    rollouts,
    schemas,
    schemas_progress,
    schemas_rollouts,
    series,
    shapes,
    stream,
    unlisted,
    writes,
)
from control.api.endpoint import EVENTS, YAML, Endpoint, Handler, Json
from control.api.schemas import Parameter
from control.api.shapes import Body
from control.auth.roles import Role

VIEWER, OPERATOR, EDITOR = Role.VIEWER, Role.OPERATOR, Role.EDITOR


def _get(path: str, handler: Handler, says: str, answer: Json | str, *query: Parameter, **more: Any) -> Endpoint:
    return Endpoint("GET", path, more.pop("role", VIEWER), says, handler, answer, query, **more)


def _change(
    method: str, path: str, handler: Handler, says: str, body: Body, *, role: Role = OPERATOR, **more: Any
) -> Endpoint:
    return Endpoint(
        method, path, role, says, handler, schemas.CHANGE, body=body, refuses=(404, 409, 412, 415, 422, 503), **more
    )


_HEALTH: Final = tuple(
    _get(f"{prefix}{path}", handler, says, answer, role=Role.ANYBODY, also=also, listed=not prefix)
    for prefix in ("", "/-")
    for path, handler, says, answer, also in (
        ("/livez", reads.livez, "The process lives.", schemas.LIVE, None),
        ("/readyz", reads.readyz, "Some worker serves what is in force.", schemas.READY, {503: schemas.READY}),
    )
)

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *_HEALTH,
    _get("/", page.front, "The page for people.", "text/html", listed=False),
    _get("/web/{file}", page.part, "What the page is made of.", "text/plain", role=Role.ANYBODY, listed=False),
    _get("/metrics", reads.metrics, "Metrics as Prometheus reads them.", "text/plain", role=Role.METRICS),
    _get("/api/v1/openapi.json", openapi.document, "This document.", schemas.OBJECT, role=Role.ANYBODY),
    Endpoint(
        "POST",
        "/api/v1/session",
        Role.ANYBODY,
        "Logs a browser in: the token stands in Authorization.",
        login.enter,
        schemas.SESSION,
        secured=True,
        refuses=(409,),
    ),
    _get("/api/v1/session", login.whoami, "Who is logged in.", schemas.SESSION, refuses=(404,)),
    _get("/login", page.way_in, "The way in for people.", "text/html", role=Role.ANYBODY, listed=False),
    Endpoint("DELETE", "/api/v1/session", VIEWER, "Logs out.", login.leave, schemas.OBJECT),
    _get(
        "/api/v1/status",
        reads.status,
        "Orders, routes and workers as they are.",
        schemas.STATUS,
        schemas.WITH_ROUTES,
        refuses=(422,),
    ),
    _get(
        "/api/v1/routes",
        reads.routes,
        "Routes in the order of the file.",
        schemas.ROUTES,
        schemas.GROUP,
        schemas.PART,
        schemas.SIDE,
        schemas.LIMIT,
        schemas.OFFSET,
        schemas.NAME,
        schemas.WITH_RATES,
        refuses=(404, 422),
    ),
    _change("PUT", "/api/v1/routes/{name}/weight", writes.weight, "A weight for a route, or a glob.", shapes.WEIGHT),
    _get("/api/v1/routes/{name}", reads.route, "One route.", schemas.ROUTE, refuses=(404,)),
    _change("POST", "/api/v1/weights", writes.weights, "A weight for many routes.", shapes.WEIGHTS),
    _change("POST", "/api/v1/rollbacks", writes.rollback, "Legacy, now, until somebody resumes.", shapes.ROLLBACK),
    _change("POST", "/api/v1/pins", writes.pin, "One side, whatever weights say.", shapes.PIN),
    _change("POST", "/api/v1/caps", writes.cap, "A ceiling.", shapes.CAP),
    _change("POST", "/api/v1/freezes", writes.freeze, "No share may rise.", shapes.FREEZE),
    _change("POST", "/api/v1/drains", writes.drain, "Nothing goes to a site.", shapes.DRAIN),
    _change("POST", "/api/v1/offs", writes.off, "Nothing goes to a site, tunnels are cut.", shapes.OFF),
    _get("/api/v1/sites", places.sites, "Sites and endpoints: health, orders, what is under way.", schemas.SITES),
    _change("POST", "/api/v1/sites/{site}/on", places.on, "A site may take requests again.", shapes.ON),
    _change("POST", "/api/v1/places/revive", places.revive, "What waits for a person may come back.", shapes.REVIVE),
    Endpoint(
        "POST",
        "/api/v1/breakers/{name}/close",
        OPERATOR,
        "The new side of a route is well.",
        places.close_breaker,
        schemas.CLOSED,
        body=shapes.CLOSE,
        refuses=(404, 409, 412, 415, 422, 503),
    ),
    _get(
        "/gslb/{site}",
        places.gslb,
        "Does a site take requests?",
        schemas.GSLB,
        role=Role.ANYBODY,
        also={503: schemas.GSLB},
        refuses=(404,),
    ),
    Endpoint(
        "POST",
        "/api/v1/preview",
        VIEWER,
        "What would this order change?",
        reads.preview,
        schemas.OBJECT,
        body=shapes.PREVIEW,
        refuses=(404, 409, 415, 422),
    ),
    _get("/api/v1/orders", reads.orders, "The orders in force.", schemas.ORDERS),
    _get("/api/v1/orders/{id}", reads.order, "One of them.", schemas.ORDER, refuses=(404,)),
    _get(
        "/api/v1/orders/{id}/traffic",
        reads.order_traffic,
        "What is on the new side in its scope.",
        schemas.OBJECT,
        refuses=(404,),
    ),
    _change("DELETE", "/api/v1/orders/{id}", writes.resume, "Lifts an order.", shapes.RESUME),
    _change("POST", "/api/v1/orders/{id}/confirm", writes.confirm, "A trial has passed.", shapes.CONFIRM),
    _get(
        "/api/v1/revisions",
        reads.revisions,
        "Who changed what, when and why; newest first.",
        schemas.REVISIONS,
        schemas.LIMIT,
        schemas.BEFORE,
        schemas.WHOLE,
        schemas.OF_ROUTE,
        refuses=(422,),
    ),
    _get("/api/v1/revisions/{number}", reads.revision, "One of them.", schemas.REVISION, refuses=(404, 422)),
    _get(
        "/api/v1/revisions/{number}/diff/{other}",
        reads.difference,
        "From one to another.",
        schemas.OBJECT,
        refuses=(404, 409, 422, 503),
    ),
    _change(
        "POST",
        "/api/v1/revisions/{number}/restore",
        writes.restore,
        "Brings a revision back.",
        shapes.RESTORE,
        role=EDITOR,
    ),
    Endpoint(
        "POST",
        "/api/v1/check",
        VIEWER,
        "Would this routes.yaml be accepted?",
        reads.check,
        schemas.CHECKED,
        body=schemas.TEXT,
        media=YAML,
        refuses=(422,),
    ),
    Endpoint(
        "POST",
        "/api/v1/plan",
        VIEWER,
        "What would this routes.yaml change?",
        reads.plan,
        schemas.OBJECT,
        body=schemas.TEXT,
        media=YAML,
        refuses=(409, 422),
    ),
    _get(
        "/api/v1/explain",
        reads.explained,
        "Which side a request gets, and why.",
        schemas.EXPLANATION,
        schemas.METHOD,
        schemas.PATH,
        schemas.HEADER,
        schemas.CLIENT,
        schemas.REQUEST_ID,
        refuses=(404, 422, 503),
    ),
    _get(
        "/api/v1/rollouts",
        rollouts.listed,
        "How the rollouts stand: the newest of each route.",
        schemas_rollouts.RUNS,
        schemas_rollouts.ROUTE,
        schemas_rollouts.GROUP,
        schemas_rollouts.PHASE,
        refuses=(422,),
    ),
    Endpoint(
        "POST",
        "/api/v1/rollouts",
        OPERATOR,
        "Starts, pauses, resumes, promotes or aborts rollouts.",
        rollouts.do,
        schemas_rollouts.DONE,
        body=schemas_rollouts.DO,
        refuses=(404, 409, 412, 415, 422, 503),
    ),
    _get(
        "/api/v1/rollouts/plan",
        rollouts.plan,
        "What a rollout would take: of one route, or the calendar of all.",
        schemas_rollouts.PLAN,
        schemas_rollouts.ROUTE,
        refuses=(404, 422),
    ),
    _get(
        "/api/v1/rollouts/replay",
        rollouts.replay,
        "What the recorded evidence says, perhaps with other tolerances.",
        schemas_rollouts.REPLAY,
        schemas_rollouts.ROUTE,
        schemas_rollouts.RATIO,
        schemas_rollouts.FLOOR,
        refuses=(422, 503),
    ),
    _get(
        "/api/v1/rollouts/aa",
        rollouts.self_test,
        "Legacy against legacy, on a route's own traffic.",
        schemas_rollouts.SELF_TEST,
        schemas_rollouts.ROUTE,
        schemas_rollouts.SHARE,
        refuses=(404, 422, 503),
    ),
    Endpoint(
        "POST",
        "/api/v1/rollouts/drill",
        OPERATOR,
        "Lets the judgement find a fault that was made up.",
        rollouts.drill,
        schemas_rollouts.DRILL,
        body=schemas_rollouts.NOTHING,
        refuses=(415, 422),
    ),
    _get(
        "/api/v1/rollouts/log",
        rollouts.log,
        "What happened in rollouts, or the evidence that was recorded.",
        schemas_rollouts.LOG,
        schemas_rollouts.ROUTE,
        schemas_rollouts.AFTER,
        schemas.LIMIT,
        schemas_rollouts.EVIDENCE,
        refuses=(422, 503),
    ),
    _get("/api/v1/progress", progress.progress, "How far the migration is.", schemas_progress.PROGRESS),
    _get("/api/v1/progress/routes", progress.routes, "The stage of every route.", schemas_progress.ROUTES),
    _get(
        "/api/v1/progress/history",
        progress.history,
        "The curve.",
        schemas_progress.HISTORY,
        schemas_progress.GROUP,
        schemas_progress.DAYS,
        refuses=(422, 503),
    ),
    _get(
        "/api/v1/progress/changes",
        progress.changes,
        "Which routes came into another stage, newest first.",
        schemas_progress.CHANGES,
        schemas.LIMIT,
        schemas_progress.ROUTE,
        refuses=(422, 503),
    ),
    _get(
        "/api/v1/progress.csv",
        progress.table,
        "The same for spreadsheets.",
        "text/csv",
        schemas_progress.OF,
        schemas_progress.GROUP,
        schemas_progress.DAYS,
        refuses=(422, 503),
    ),
    _get(
        "/api/v1/progress/badge.svg",
        progress.shield,
        "A badge for a README.",
        "image/svg+xml",
        schemas_progress.GROUP,
        refuses=(422,),
    ),
    _get("/api/v1/rates", series.rates, "Every route as it is now, in few words.", schemas_progress.RATES),
    _get(
        "/api/v1/series",
        series.series,
        "The last hour in steps of ten seconds: rates, errors and latencies of both sides.",
        schemas_progress.SERIES,
        schemas_progress.SEVERAL_ROUTES,
        schemas_progress.SEVERAL_GROUPS,
        schemas_progress.NUMBER_OF_POINTS,
        refuses=(422, 503),
    ),
    _get(
        "/api/v1/unlisted",
        unlisted.unlisted,
        "What was asked for lately that no route lists.",
        schemas.UNLISTED,
        refuses=(409, 503),
    ),
    _get(
        "/api/v1/events",
        stream.events,
        "Events as they happen.",
        EVENTS,
        schemas.SAMPLES,
        refuses=(400, 422, 503),
    ),
)
