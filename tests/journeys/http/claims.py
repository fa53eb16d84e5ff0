"""The judgements that the tables of the conformance suite share: refused, cut, forwarded, answered."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest

from tests.journeys.http.stage import Outcome, Script, Stage, Wire
from tests.journeys.http.wire import Answer, Fields, Request

OK: Script = [b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok"]
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
"""Stands behind every message that must be refused: whoever goes on reading forwards it."""

MANAGED = {
    b"host",
    b"via",
    b"connection",
    b"content-length",
    b"transfer-encoding",
    b"x-request-id",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-host",
    b"x-strangler-side",
    b"x-strangler-route",
    b"date",
}
"""Fields that an intermediary writes itself."""


def cases(table: Mapping[str, Any]) -> pytest.MarkDecorator:
    """Parametrise over a table; the keys are the names of the cases."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in table.items()])


def own_fields(fields: Fields) -> list[tuple[bytes, bytes]]:
    """What the sender wrote, in order, without the fields that an intermediary manages."""
    return [(name, value) for name, value in fields if name.lower() not in MANAGED]


def bytewise(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


def refused(
    stage: Stage, sent: bytes | Sequence[bytes], statuses: Collection[int] = (400,), *, tail: bytes = SMUGGLED
) -> Answer | None:
    """Answered with one of these statuses, closed, and not one byte of it reached the upstream."""
    before = stage.heard
    pieces = [sent + tail] if isinstance(sent, bytes) else [*sent, tail]
    outcome = stage.play(pieces, OK, to_the_end=stage.strict)
    assert ([], []) == (outcome.requests, outcome.garbage), "it reached the upstream"
    answer = _refusal(stage, outcome, statuses)
    assert before == stage.heard, "some of it reached the upstream"
    stage.fence()
    return answer


def refused_late(stage: Stage, sent: bytes | Sequence[bytes], statuses: Collection[int] = (400,)) -> None:
    """Answered or cut, closed; the upstream never saw a whole message and was let go."""
    pieces = [sent + SMUGGLED] if isinstance(sent, bytes) else [*sent, SMUGGLED]
    outcome = stage.play(pieces, OK, to_the_end=stage.strict)
    assert ([], []) == (outcome.requests, outcome.garbage), "it reached the upstream as a whole message"
    _refusal(stage, outcome, statuses)
    let_go(stage, outcome.unfinished)
    stage.fence()


def let_go(stage: Stage, peers: Sequence[Wire]) -> None:
    """The router ends these upstream connections."""
    stage.until(lambda: all(peer.ended or peer.closed for peer in peers), "the upstream connection ends")
    for peer in peers:
        peer.close()


def _refusal(stage: Stage, outcome: Outcome, statuses: Collection[int]) -> Answer | None:
    if not stage.strict:
        assert outcome.ended or outcome.answer.status >= 400, f"accepted: {outcome.answers}"
        return outcome.answers[0] if outcome.answers else None
    answer = outcome.answer
    assert answer.status in statuses, f"expected {sorted(statuses)}, got {answer}"
    own_answer(answer)
    assert b"close" in answer.elements("connection")
    assert (b"", [answer]) == (outcome.raw, outcome.answers), "something came behind the refusal"
    assert outcome.ended, "the connection stayed open"
    return answer


def own_answer(answer: Answer) -> None:
    """An answer of the router itself: a problem of RFC 9457 with the router's error code."""
    assert b"1.1" == answer.version
    assert [b"application/problem+json"] == answer.values("content-type")
    assert 1 == len(answer.elements("x-strangler-error"))
    assert answer.status == json.loads(answer.body)["status"]
    assert 1 == len(answer.values("date"))


def forwarded(
    stage: Stage,
    sent: bytes | Sequence[bytes],
    *,
    method: bytes = b"GET",
    target: bytes = b"/",
    body: bytes = b"",
    fields: Sequence[tuple[bytes, bytes]] | None = None,
    host: bytes | None = None,
    script: Script = OK,
) -> Request:
    """One message reached the upstream, it is exactly this one, and the client got the upstream's answer."""
    outcome = stage.play(sent, script, methods=(method.decode(),))
    assert [] == outcome.garbage
    assert outcome.requests, f"not forwarded: {outcome.answers} {outcome.raw!r} ended={outcome.ended}"
    request = outcome.request
    assert (method, target, body) == (request.method, request.target, request.body)
    if fields is not None:
        assert list(fields) == own_fields(request.fields)
    if host is not None:
        assert [host] == request.values("host")
    assert 200 == outcome.answer.status
    assert (b"" if method == b"HEAD" else b"ok") == outcome.answer.body
    stage.fence()
    return request


def refused_or_forwarded(stage: Stage, sent: bytes, statuses: Collection[int] = (400,), **expected: Any) -> None:
    """The specification leaves both open; what it does not leave open is a half-hearted third way."""
    outcome = stage.play(sent, OK, methods=(expected.get("method", b"GET").decode(),))
    assert [] == outcome.garbage
    if not outcome.requests:
        assert not stage.strict or outcome.answer.status in statuses, outcome.answers
    else:
        request = outcome.request
        for name, value in expected.items():
            assert value == getattr(request, name)
        assert 200 == outcome.answer.status
    stage.fence()
