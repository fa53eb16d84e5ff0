"""The router's own answers: small JSON problems (RFC 9457) that say what happened and carry a code."""

from __future__ import annotations

import json
from http import HTTPStatus

from router.core.attempt import Stage
from router.telemetry import ErrorCode

STAGE_CODES = {
    Stage.CONNECT: ErrorCode.UPSTREAM_CONNECT,
    Stage.OVERLOAD: ErrorCode.UPSTREAM_OVERLOAD,
    Stage.SEND: ErrorCode.UPSTREAM_LOST,
    Stage.HEAD: ErrorCode.UPSTREAM_LOST,
    Stage.TIMEOUT: ErrorCode.UPSTREAM_TIMEOUT,
    Stage.PROTOCOL: ErrorCode.UPSTREAM_PROTOCOL,
    Stage.BODY: ErrorCode.UPSTREAM_LOST,
}

_DETAILS = {
    Stage.CONNECT: "no connection to the upstream",
    Stage.OVERLOAD: "the upstream has no room for another request",
    Stage.SEND: "the upstream closed the connection while the request was being sent",
    Stage.HEAD: "the upstream closed the connection before it answered",
    Stage.TIMEOUT: "the upstream did not answer in time",
    Stage.PROTOCOL: "the upstream's answer is not valid HTTP",
    Stage.BODY: "the upstream's answer broke off",
}


def stage_detail(stage: Stage) -> str:
    """What the client is told about an upstream's failure; nothing about addresses."""
    return _DETAILS[stage]


def problem(
    status: int, code: str, detail: str, *, request_id: bytes, lines: bytes, head_only: bool, close: bool
) -> bytes:
    """A whole answer; `lines` are further header lines, each with its CRLF."""
    title = HTTPStatus(status).phrase
    fields = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
    if request_id:
        fields["request_id"] = request_id.decode("latin-1")
    body = json.dumps(fields).encode()
    return b"".join(
        (
            b"HTTP/1.1 %d %b\r\n" % (status, title.encode()),
            b"Content-Type: application/problem+json\r\nCache-Control: no-store\r\nContent-Length: %d\r\n" % len(body),
            b"X-Strangler-Error: %b\r\n" % code.encode(),
            b"X-Request-Id: %b\r\n" % request_id if request_id else b"",
            lines,
            b"Connection: close\r\n\r\n" if close else b"\r\n",
            b"" if head_only else body,
        )
    )
