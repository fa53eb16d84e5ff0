"""The router's own answers: one valid message whatever goes into it, with a code for every stage."""

from __future__ import annotations

import json
from http import HTTPStatus

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.attempt import Stage
from router.planes.embedded.answers import STAGE_CODES, problem, stage_detail
from router.telemetry import ErrorCode

REFUSALS = (400, 405, 408, 413, 414, 431, 501, 502, 503, 504, 505)


def read(answer: bytes, method: str = "GET") -> tuple[h11.Response, bytes]:
    """The answer as another implementation sees it: exactly one message."""
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(answer)
    head = reader.next_event()
    assert isinstance(head, h11.Response)
    body = b""
    while isinstance(event := reader.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert b"" == reader.trailing_data[0]
    return head, body


@given(
    st.sampled_from(REFUSALS),
    st.text(max_size=60),
    st.binary(max_size=20).filter(lambda value: not set(value) & set(b"\r\n\x00") and value == value.strip()),
    st.booleans(),
)
def test_a_problem_is_one_message_whatever_it_says(status: int, detail: str, request_id: bytes, close: bool) -> None:
    """JSON with status, title, detail and code, and the request's id where there is one."""
    lines = b"Date: now\r\nX-Strangler-Side: new\r\n"
    given_id = bytes(byte for byte in request_id if byte > 0x20 and byte != 0x7F)
    answer = problem(status, "a-code", detail, request_id=given_id, lines=lines, head_only=False, close=close)
    head, body = read(answer)
    fields = dict(head.headers)
    told = json.loads(body)
    assert (status, HTTPStatus(status).phrase) == (head.status_code, head.reason.decode())
    assert (status, "a-code", detail, "about:blank") == (told["status"], told["code"], told["detail"], told["type"])
    assert (b"a-code", b"application/problem+json", b"no-store") == (
        fields[b"x-strangler-error"], fields[b"content-type"], fields[b"cache-control"]
    )  # fmt: skip
    assert (b"now", b"new") == (fields[b"date"], fields[b"x-strangler-side"])
    assert given_id == fields.get(b"x-request-id", b"") == told.get("request_id", "").encode("latin-1")
    assert close is (fields.get(b"connection") == b"close")


def test_for_head_the_length_is_told_and_the_body_is_not_sent() -> None:
    """RFC 9110 section 9.3.2."""
    whole = problem(502, "c", "d", request_id=b"", lines=b"", head_only=False, close=False)
    head = problem(502, "c", "d", request_id=b"", lines=b"", head_only=True, close=False)
    assert whole.startswith(head)
    assert b"" == read(head, "HEAD")[1]


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_has_a_code_a_status_and_words_without_addresses(stage: Stage) -> None:
    """A new stage cannot be forgotten here."""
    codes = {value for name, value in vars(ErrorCode).items() if name.isupper()}
    assert STAGE_CODES[stage] in codes
    assert stage.status in {502, 503, 504}
    assert stage_detail(stage)
