"""Thousands of damaged messages: whatever the router forwards, a strict reader had understood in the same way.

The tables of this suite hold the malformations that somebody thought of.  Here valid messages are damaged at random
(with fixed seeds), sent in random pieces, and judged by a second reader that is as generous as the RFCs allow: the
router may refuse more than it does, but it may never forward anything else.
"""

from __future__ import annotations

import random
import re
import time
from itertools import pairwise

import pytest

from tests.journeys.http.stage import CLOSE, PATIENCE, Outcome, Stage
from tests.journeys.http.wire import TOKEN, Fields, values

_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e]+) HTTP/1\.([01])\Z")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?\Z")
_FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\Z")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})([ \t]*;[\t\x20-\x7e\x80-\xff]*)?\Z")
_LENGTH = re.compile(rb"[0-9]{1,19}\Z")

REQUESTS = [
    b"GET /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n",
    b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n",
    b"PUT /u HTTP/1.1\r\nHost: a\r\nConnection: close, X\r\nX: 1\r\nContent-Length: 0012\r\n\r\nGET / HTTP/1",
    b"GET /k HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nTE: trailers\r\n\r\n",
    b"GET /0 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    b"POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
]
ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello",
    b"HTTP/1.1 204 No\r\nX: y\r\n\r\n",
    b"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 103 Hint\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nConnection: X\r\nX: 1\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.0 200 OK\r\nContent-Length: 0005\r\n\r\nhello",
]
BITS = [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b";", b",", b"\x80", b"\xff", b"\x0b", b"0", b"1", b"-", b"+"]
BITS += [b"x", b"chunked", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"Host: b\r\n", b"\r\n\r\n"]
BITS += [b"0\r\n\r\n", b"Connection: X\r\n", b"%2f", b"#", b"/", b"GET "]
LINE_ENDS = [b"\n", b"\r", b"\r\r\n", b"", b"\n\r", b" \r\n", b"\r\n "]


def damaged(chance: random.Random, message: bytes) -> bytes:
    """The message with one to three small wounds."""
    data = bytearray(message)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(6)
        if kind == 0:
            data[at:at] = chance.choice(BITS)
        elif kind == 1:
            del data[at : at + chance.choice([1, 1, 2, 5])]
        elif kind == 2:
            data[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 3:
            data[at:at] = data[chance.randrange(len(data) + 1) :][:40]
        elif kind == 4:
            data[at : at + 1] = chance.choice(BITS)
        elif (end := data.find(b"\r\n", at)) >= 0:
            data[end : end + 2] = chance.choice(LINE_ENDS)
    return bytes(data)


def pieces(chance: random.Random, data: bytes) -> list[bytes]:
    if chance.random() < 0.6:
        return [data]
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.choice([1, 2, 4])))
    return [data[start:end] for start, end in pairwise([0, *cuts, len(data)]) if start < end]


# -- the generous reader -----------------------------------------------------------------------------


def _head(data: bytes) -> tuple[bytes, Fields, bytes] | None:
    head, end, rest = data.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    found = [_FIELD.match(field) for field in lines]
    if not end or not all(found):
        return None
    return line, tuple((match[1], match[2]) for match in found if match), rest


def _chunks(data: bytes) -> tuple[bytes, bytes] | None:
    body = b""
    while (match := _CHUNK.match((line := data.partition(b"\r\n"))[0])) and line[1]:
        size, data = int(match[1], 16), line[2]
        if size == 0:
            return (body, data[2:]) if data.startswith(b"\r\n") else _behind_trailers(body, data)
        if data[size : size + 2] != b"\r\n":
            return None
        body, data = body + data[:size], data[size + 2 :]
    return None


def _behind_trailers(body: bytes, data: bytes) -> tuple[bytes, bytes] | None:
    section, end, rest = data.partition(b"\r\n\r\n")
    return (body, rest) if end and all(map(_FIELD.match, section.split(b"\r\n"))) else None


def _body(version: bytes, fields: Fields, data: bytes, without: bytes | None) -> tuple[bytes, bytes] | None:
    """Body and rest; `without` is the body when no field frames one."""
    lengths, codings = set(values(fields, "content-length")), values(fields, "transfer-encoding")
    if codings:
        plain = version == b"1" and not lengths and [coding.lower() for coding in codings] == [b"chunked"]
        return _chunks(data) if plain else None
    if not lengths:
        return (data, b"") if without is None else (without, data)
    if len(lengths) > 1 or not _LENGTH.match(length := lengths.pop()) or len(data) < int(length):
        return None
    return data[: int(length)], data[int(length) :]


def understood_requests(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Method, target and body of the whole valid requests up to the first trouble."""
    found: list[tuple[bytes, bytes, bytes]] = []
    while head := _head(data.removeprefix(b"\r\n")):
        line, fields, rest = head
        match = _REQUEST_LINE.match(line)
        hosts = values(fields, "host")
        if not match or len(hosts) > 1 or (match[3] == b"1" and not hosts):
            return found
        body = _body(match[3], fields, rest, b"")
        if body is None:
            return found
        found.append((match[1], match[2], body[0]))
        data = body[1]
    return found


def understood_answer(data: bytes, method: str) -> tuple[int, bytes] | None:
    """Status and body of the final answer; None when it is malformed or cut."""
    while head := _head(data):
        line, fields, data = head
        match = _STATUS_LINE.match(line)
        if not match or match[2] == b"101":
            return None
        status = int(match[2])
        if status < 200:
            continue
        if method == "HEAD" or status in (204, 304):
            return status, b""
        body = _body(match[1], fields, data, None)
        return None if body is None else (status, body[0])
    return None


# -- claims ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_forwarded_that_a_strict_reader_does_not_understand(stage: Stage, seed: int) -> None:
    """Up to three requests on a connection, one of them damaged: what arrives is what was meant, in order."""
    chance = random.Random(seed)
    for _ in range(60):
        sent = [chance.choice(REQUESTS) for _ in range(chance.choice([1, 2, 3]))]
        hurt = chance.randrange(len(sent))
        sent[hurt] = damaged(chance, sent[hurt])
        data = b"".join(sent)
        outcome = _to_the_end(stage, pieces(chance, data))
        arrived = [(request.method, request.target, request.body) for request in outcome.requests]
        meant = understood_requests(data)
        assert [] == outcome.garbage, data
        assert arrived == [_in_origin_form(*request) for request in meant[: len(arrived)]], data
        assert len(arrived) == sum(answer.body in (b"ok", b"") for answer in outcome.answers), data


def _in_origin_form(method: bytes, target: bytes, body: bytes) -> tuple[bytes, bytes, bytes]:
    path = re.sub(rb"\A[hH][tT][tT][pP]://[^/?]*", b"", target) if not target.startswith(b"/") else target
    return method, path if path.startswith((b"/", b"*")) else b"/" + path, body


def _to_the_end(stage: Stage, sent: list[bytes]) -> Outcome:
    """Send, end the client's direction, and play until the router closes."""
    outcome = Outcome()
    client = stage.client()
    script = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]
    for piece in sent:
        stage.send(client, piece)
        stage.serve(outcome, script)
    client.end()
    deadline = time.monotonic() + PATIENCE
    while not client.ended and time.monotonic() < deadline:
        stage.turn(0.5)
        stage.serve(outcome, script)
    methods = [request.method.decode() for request in outcome.requests]
    stage.collect(outcome, client, [*methods, "GET"])
    client.close()
    stage.clear()
    return outcome


@pytest.mark.parametrize("seed", range(20))
def test_no_answer_ends_cleanly_that_a_strict_reader_does_not_understand(stage: Stage, seed: int) -> None:
    """A damaged answer is whole as it was meant, or a 502, or visibly cut; the next answer is untouched."""
    chance = random.Random(seed)
    for _ in range(40):
        data = damaged(chance, chance.choice(ANSWERS))
        method, version = chance.choice(["GET", "GET", "HEAD"]), chance.choice([b"1.1", b"1.1", b"1.0"])
        asked = b"%s / HTTP/%s\r\nHost: a\r\n\r\n" % (method.encode(), version)
        outcome = stage.play(asked, [*pieces(chance, data), CLOSE], methods=[method])
        meant = understood_answer(data, method)
        for answer in outcome.answers:
            if answer.complete and answer.status < 500:
                assert meant == (answer.status, answer.body), data
        assert outcome.answers or outcome.ended, data
        stage.fence()
