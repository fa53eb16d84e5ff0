"""The OpenAPI 3.1 document, made from the declarations of the endpoints."""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from control.api import schemas
from control.api.endpoint import JSON, Endpoint
from control.auth.roles import Role

Json = dict[str, Any]

DOCUMENT: Final = web.AppKey("document", bytes)

_PROBLEM: Final = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_ALWAYS: Final = (400, 408, 413, 421, 500)
"""What everything may answer: bad HTTP, too slow, too large, a wrong Host, a mistake of ours."""
_IDEMPOTENCY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "the same key and body again: the answer is told again, and nothing is done twice",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{8,100}$"},
}
_IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "description": "the revision that the caller has seen; 412 when another one is in force",
    "schema": {"type": "string", "pattern": r'^(\*|(W/)?"[0-9]{1,18}"|(W/)?[0-9]{1,18})$'},
}
_LAST_EVENT: Final = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "where to go on after a lost connection",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{1,16}-[0-9]{1,12}$"},
}


async def document(request: web.Request) -> web.Response:
    return web.Response(body=request.app[DOCUMENT], content_type=JSON)


def build(endpoints: Iterable[Endpoint]) -> Json:
    """The whole document."""
    paths: Json = {}
    for endpoint in endpoints:
        if endpoint.listed:
            paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "strangler",
            "version": "1",
            "description": "The admin address. Without tokens (on loopback only) everybody who reaches it may do "
            "everything. Roles: metrics reads /metrics alone, viewer reads all, operator orders, editor restores; each "
            "may do what those before may.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Problem": schemas.PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def encoded(endpoints: Iterable[Endpoint]) -> bytes:
    return json.dumps(build(endpoints)).encode()


def _operation(endpoint: Endpoint) -> Json:
    operation: Json = {
        "summary": endpoint.says,
        "operationId": f"{endpoint.method.lower()}{endpoint.path}".translate(str.maketrans("/{}.", "____")),
        "x-role": endpoint.role.label,
        "parameters": list(_parameters(endpoint)),
        "responses": {str(status): answer for status, answer in sorted(_answers(endpoint).items())},
    }
    if endpoint.role is not Role.ANYBODY or endpoint.secured:
        operation["security"] = [{"token": []}]
    if endpoint.body is not None:
        content = {
            endpoint.media: {"schema": endpoint.body if isinstance(endpoint.body, dict) else endpoint.body.schema}
        }
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameters(endpoint: Endpoint) -> Iterable[Json]:
    for name in endpoint.parameters:
        schema = schemas.ORDINAL if name in {"number", "other"} else schemas.line(200)
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for parameter in endpoint.query:
        yield {
            "name": parameter.name,
            "in": "query",
            "description": parameter.says,
            "required": parameter.required,
            "schema": parameter.schema,
        }
    if endpoint.repeatable:
        yield _IDEMPOTENCY
    if endpoint.conditional:
        yield _IF_MATCH
    if endpoint.streams:
        yield _LAST_EVENT


def _answers(endpoint: Endpoint) -> dict[int, Json]:
    if isinstance(endpoint.answer, str):
        good = {endpoint.answer: {"schema": schemas.TEXT}}
    else:
        good = {JSON: {"schema": endpoint.answer}}
    statuses = {*_ALWAYS, *endpoint.refuses}
    if endpoint.role is not Role.ANYBODY or endpoint.secured:
        statuses |= {401, 403, 429}
    if endpoint.path.startswith("/api/v1/") and endpoint.role is not Role.ANYBODY:
        statuses.add(503)
    if endpoint.query or endpoint.repeatable:
        statuses.add(422)
    answers: dict[int, Json] = {
        status: {"description": HTTPStatus(status).phrase, "content": _PROBLEM} for status in statuses
    }
    answers[200] = {"description": "OK", "content": good}
    for status, schema in (endpoint.also or {}).items():
        answers[status] = {"description": HTTPStatus(status).phrase, "content": {JSON: {"schema": schema}}}
    return answers
