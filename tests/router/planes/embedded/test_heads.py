"""Heads: one unambiguous message or a refusal, what a second reader sees in it, and a memory that is safe."""

from __future__ import annotations

from collections.abc import Iterable

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.core.headers import BadField, nominated
from router.core.model import Limits
from router.planes.embedded.bounds import Bounds
from router.planes.embedded.heads import (
    CHUNKED,
    UNTIL_CLOSE,
    Answer,
    Memory,
    Refused,
    Request,
    answer_of,
    parse_answer,
    parse_request,
)
from router.telemetry import ErrorCode

LIMITS = Bounds(Limits())
SUBJECTS = frozenset({b"x-user-id", b"cookie"})
HOST = b"Host: shop.example.com"

# ------------------------------------------------------------------------------------------------- strategies

methods = st.sampled_from((b"GET", b"GET", b"POST", b"HEAD", b"OPTIONS", b"PURGE", b"CONNECT", b"get", b"G@T", b""))
targets = st.sampled_from(
    (b"/", b"/v1/products/7?q=%20", b"*", b"http://Shop.example.com:80/a", b"https://other?x", b"//x", b"/a#b", b"a",
     b"http://u@h/", b"/\xe4", b"ftp://h/", b"/a b", b"/\x00", b"HTTP://h")
)  # fmt: skip
versions = st.sampled_from((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.10", b"http/1.1"))
first_lines = st.one_of(
    st.tuples(methods, targets, versions).map(b" ".join),
    st.sampled_from((b"GET / HTTP/1.1", b"GET  / HTTP/1.1", b"GET / HTTP/1.1 ", b"GET /", b"", b"GET\t/\tHTTP/1.1")),
)
common_lines = (
    b"Accept: */*", b"X-User-Id: u1", b"x-user-id:u2", b"Cookie: sid=7; a=b", b"X-Empty:", b"X-A: \xff\xfe",
    b"Connection: close", b"Connection: keep-alive", b"Connection: TE, X-User-Id", b"Connection: Upgrade, accept",
    b"Keep-Alive: 5", b"Upgrade: websocket", b"Upgrade: h2c", b"TE: trailers", b"Expect: 100-continue",
    b"Proxy-Connection: close", b"Max-Forwards: 0", b"Max-Forwards: 7", b"Max-Forwards: x", b"X-Strangler-Side: new",
    b"X-Forwarded-For: 10.0.0.1", b"X-Forwarded-For:", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: h",
    b"Via: 1.1 a", b"X-Request-Id: 77", b"x-request-id:", b"X-Request-ID: " + b"7" * 129, b"X_Request_Id: 78",
    b"X-Strangler-Route: r", b"Set-Cookie: a=b",
    b"Set-Cookie: c=d", b"Date: now", b"Connection: host, content-length, x-forwarded-for, x-request-id",
    b"Connection: transfer-encoding, expect",
)  # fmt: skip
framing_lines = (
    b"Content-Length: 0", b"content-length:005", b"Content-Length: 5", b"Content-Length: +5", b"Content-Length: 5, 5",
    b"Transfer-Encoding: chunked",
    b"transfer-encoding: CHUNKED", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: x", b"Transfer-Encoding:",
)  # fmt: skip
bad_lines = (b" folded", b"No colon", b"Bad : 1", b"", b"A: b\n", b"A: b\rc", b"A: \x00", b"(: 1", b"Host: a b")
lines = st.lists(
    st.one_of(*[st.sampled_from(common_lines)] * 4, st.sampled_from(framing_lines), st.sampled_from(bad_lines)),
    max_size=6,
)
hosts = st.lists(st.sampled_from((HOST, HOST, HOST, b"host:a:8080")), min_size=0, max_size=2)
plausible = st.tuples(first_lines, hosts, lines).map(lambda drawn: b"\r\n".join([drawn[0], *drawn[1], *drawn[2]]))
good_lines = st.lists(st.one_of(st.sampled_from(common_lines), st.sampled_from(framing_lines[:6])), max_size=6)
good = st.tuples(
    st.sampled_from((b"GET / HTTP/1.1", b"POST /a?b HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET http://h:1/x HTTP/1.0")),
    good_lines,
).map(lambda drawn: b"\r\n".join([drawn[0], HOST, *drawn[1]]))
heads = st.one_of(good, plausible, st.binary(max_size=80))

status_lines = st.one_of(
    st.sampled_from(
        (b"HTTP/1.1 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.0 200 OK", b"HTTP/1.1 304 Not Modified",
         b"HTTP/1.1 500", b"HTTP/1.1 100 Continue", b"HTTP/1.1 200 ", b"HTTP/1.1 103 x", b"HTTP/1.1 999 \xff",
         b"HTTP/1.1  200 OK",
         b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 099 x", b"HTTP/2 200 OK", b"HTTP/1.1 200\tOK", b"200 OK",
         b"HTTP/1.1 200 O\x00K")
    ),
    st.binary(max_size=20),
)  # fmt: skip
answer_heads = st.one_of(
    st.tuples(status_lines, lines).map(lambda drawn: b"\r\n".join([drawn[0], *drawn[1]])),
    st.tuples(st.sampled_from((b"HTTP/1.1 200 OK", b"HTTP/1.1 404 Not Found")), good_lines).map(
        lambda drawn: b"\r\n".join([drawn[0], *drawn[1]])
    ),
    st.binary(max_size=80),
)
asked = st.sampled_from((b"GET", b"HEAD", b"POST"))

# ---------------------------------------------------------------------------------------------------- readers


def parsed(head: bytes, memory: Memory | None = None, limits: Bounds = LIMITS) -> Request | Refused:
    try:
        return parse_request(head, memory or Memory(SUBJECTS), limits)
    except Refused as refused:
        return refused


def answered(head: bytes, method: bytes = b"GET", memory: Memory | None = None) -> Answer | BadField:
    try:
        return parse_answer(head, memory or Memory(), LIMITS, method)
    except BadField as bad:
        return bad


REQUEST_FACTS = (
    "method", "target", "first_line", "minor", "host", "length", "keep_alive", "named", "forwarded_for",
    "forwarded_proto", "forwarded_host", "request_id", "override", "override_token", "upgrade",
    "sized", "trailers_wanted", "last_hop", "lines",
)  # fmt: skip
ANSWER_FACTS = ("status", "minor", "status_line", "length", "keep_alive", "bodiless", "dated", "upgrade", "lines")


def facts(found: Request | Answer | Refused | BadField) -> dict[str, object]:
    match found:
        case Request():
            return {name: getattr(found, name) for name in REQUEST_FACTS}
        case Answer():
            return {name: getattr(found, name) for name in ANSWER_FACTS}
        case Refused():
            return {"status": found.status, "code": found.code, "detail": found.detail}
        case _:
            return {"why": str(found)}


def get(*more: bytes, first: bytes = b"GET / HTTP/1.1", host: bytes = HOST) -> Request | Refused:
    return parsed(b"\r\n".join([first, host, *more]))


def request(*more: bytes, first: bytes = b"GET / HTTP/1.1") -> Request:
    found = get(*more, first=first)
    assert isinstance(found, Request), found
    return found


def answer(*more: bytes, first: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET") -> Answer:
    found = answered(b"\r\n".join([first, *more]), method)
    assert isinstance(found, Answer), found
    return found


def sent_on(message: Request) -> bytes:
    """The head that an upstream gets, without the lines that the router adds about the client."""
    return b"\r\n".join([message.first_line, *message.lines])


def names(found: Iterable[bytes]) -> list[bytes]:
    return [line.partition(b":")[0].lower() for line in found]


def framing(found: Iterable[bytes]) -> list[bytes]:
    return [name for name in names(found) if name in {b"content-length", b"transfer-encoding"}]


# ---------------------------------------------------------------------------------- one meaning, or a refusal


@given(heads)
@example(b"")
@example(b"\r\n")
@example(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
def test_a_head_is_a_request_or_a_refusal_whatever_the_bytes(head: bytes) -> None:
    """Nothing but `Refused` is ever raised, and a refusal has a status, a code and words."""
    found = parsed(head)
    if isinstance(found, Refused):
        assert found.status in {400, 405, 414, 431, 501, 505}
        assert found.code
        assert found.detail
    else:
        assert found.method
        assert found.target


@given(answer_heads, asked)
@example(b"", b"GET")
def test_a_head_is_an_answer_or_a_refusal_whatever_the_bytes(head: bytes, method: bytes) -> None:
    """Nothing but `BadField` is ever raised."""
    found = answered(head, method)
    assert isinstance(found, BadField) or 100 <= found.status <= 999


@given(heads)
def test_nothing_that_is_sent_on_can_end_a_line(head: bytes) -> None:
    """No CR, LF or NUL gets into a first line, a header line, the host or a value that the router uses."""
    found = parsed(head)
    if isinstance(found, Request):
        pieces = [found.first_line, *found.lines, found.host, found.forwarded_for, found.request_id, found.upgrade]
        assert not set(b"".join(pieces)) & set(b"\r\n\x00")


# -------------------------------------------------------------------------------------------- a second reader


def not_passed_on(pairs: list[tuple[bytes, bytes]], minor: int) -> set[bytes]:
    """The names of a request's lines that never reach an upstream as they came, by the documents of the project."""
    hop = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade"}
    ours = {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-strangler-side"}
    other = {b"http2-settings", b"x-strangler-route", b"x_request_id", b"max-forwards", b"host"}
    named = nominated(value for name, value in pairs if name == b"connection")
    ids = [value for name, value in pairs if name == b"x-request-id"]
    useless = set() if len(ids) == 1 and 1 <= len(ids[0]) <= 128 else {b"x-request-id"}
    return hop | ours | other | named | useless | (set() if minor else {b"expect"})


def canonical(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A length without leading zeros."""
    return name, b"%d" % int(value) if name == b"content-length" else value


@given(st.one_of(good, plausible))
def test_h11_reads_the_same_request_in_whatever_is_taken(head: bytes) -> None:
    """Method, target, lines in their order, and the place where the body ends."""
    found = parsed(head)
    if isinstance(found, Refused):
        return
    theirs = h11.Connection(h11.SERVER)
    theirs.receive_data(head + b"\r\n\r\n")
    event = theirs.next_event()
    assert isinstance(event, h11.Request)
    assert found.method == event.method
    assert found.target == event.target or b"://" in event.target
    pairs = list(event.headers)
    gone = not_passed_on(pairs, found.minor)
    expected = [canonical(name, value) for name, value in pairs if name not in gone]
    kept = [(name.lower(), value.strip(b" ")) for name, _, value in (line.partition(b":") for line in found.lines)]
    assert expected == [(name, value) for name, value in kept if name not in {b"host", b"max-forwards"}]
    assert found.sized is bool(framing(found.lines))
    assert_body_ends_where_h11_ends_it(found.length, theirs)


def assert_body_ends_where_h11_ends_it(length: int, theirs: h11.Connection) -> None:
    if length == CHUNKED:
        theirs.receive_data(b"1\r\na\r\n0\r\n\r\n")
    elif length > 0:
        assert theirs.next_event() is h11.NEED_DATA
        theirs.receive_data(b"a" * length)
    while isinstance(event := theirs.next_event(), h11.Data):
        pass
    assert isinstance(event, h11.EndOfMessage)
    assert theirs.trailing_data[0] == b""


@given(answer_heads, asked)
def test_h11_reads_the_same_answer_in_whatever_is_taken(head: bytes, method: bytes) -> None:
    """Status, lines in their order, and the place where the body ends."""
    found = answered(head, method)
    if isinstance(found, BadField) or found.status == 101:
        return
    theirs = h11.Connection(h11.CLIENT)
    theirs.send(h11.Request(method=method, target="/", headers=[("Host", "a"), ("Content-Length", "0")]))
    theirs.send(h11.EndOfMessage())
    theirs.receive_data(head + b"\r\n\r\n")
    event = theirs.next_event()
    assert isinstance(event, h11.Response | h11.InformationalResponse)
    assert found.status == event.status_code
    hop = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade"}
    ours = {b"x-request-id", b"x-strangler-side", b"x-strangler-route", b"x_request_id"}
    gone = hop | ours | nominated(value for name, value in event.headers if name == b"connection")
    if found.bodiless:
        gone |= {b"transfer-encoding"}
    if found.status < 200 or found.status == 204:
        gone |= {b"content-length"}
    expected = [canonical(name, value) for name, value in event.headers if name not in gone]
    kept = [(name.lower(), value.strip(b" ")) for name, _, value in (line.partition(b":") for line in found.lines)]
    assert expected == kept
    if found.status >= 200 and found.length != UNTIL_CLOSE:
        assert_body_ends_where_h11_ends_it(found.length, theirs)


# ------------------------------------------------------------------------------------------- what is sent on


@given(heads)
def test_what_is_sent_on_is_read_as_the_same_request(head: bytes) -> None:
    """The next reader, as strict as we are, sees the same method, target, host, subject and body."""
    once = parsed(head)
    if isinstance(once, Refused) or (not once.minor and not once.host):
        return  # to a request of HTTP/1.0 without a host the router adds the upstream's
    twice = parsed(sent_on(once))
    assert isinstance(twice, Request), twice
    assert (once.method, once.target, once.host, once.length, once.named or None, once.lines[:1]) == (
        twice.method, twice.target, twice.host, twice.length, twice.named, twice.lines[:1]
    )  # fmt: skip
    assert (once.sized, once.request_id, framing(once.lines)) == (twice.sized, twice.request_id, framing(twice.lines))
    assert twice.minor == 1
    assert {b"connection", b"keep-alive", b"te", b"upgrade"} & set(names(once.lines)) == set()


@given(answer_heads, asked)
def test_an_answers_lines_are_read_as_the_same_lines(head: bytes, method: bytes) -> None:
    """Taken out once, nothing more is taken out."""
    once = answered(head, method)
    if isinstance(once, Answer):
        twice = answered(b"\r\n".join([once.status_line, *once.lines]), method)
        assert isinstance(twice, Answer), twice
        assert (once.status, once.lines, once.length) == (twice.status, twice.lines, twice.length)


# --------------------------------------------------------------------------------------------------- memory


@given(st.lists(heads, max_size=8), heads)
def test_what_is_remembered_never_changes_a_request(before: list[bytes], head: bytes) -> None:
    """A worker that has seen everything judges like one that has seen nothing."""
    memory = Memory(SUBJECTS)
    for seen in [*before, head]:
        parsed(seen, memory)
    assert facts(parsed(head)) == facts(parsed(head, memory))


@given(st.lists(st.tuples(answer_heads, asked), max_size=8), answer_heads, asked)
def test_what_is_remembered_never_changes_an_answer(
    before: list[tuple[bytes, bytes]], head: bytes, method: bytes
) -> None:
    """The same for answers, whatever methods were asked with."""
    memory = Memory()
    for seen, with_method in [*before, (head, method)]:
        answered(seen, with_method, memory)
    assert facts(answered(head, method)) == facts(answered(head, method, memory))


def test_memory_stays_bounded_whatever_clients_send() -> None:
    """Ever new lines make it forget; they never make it grow."""
    memory = Memory()
    for number in range(20_000):
        assert isinstance(parsed(b"GET / HTTP/1.1\r\n%b\r\nX-New: %d" % (HOST, number), memory), Request)
    assert 0 < len(memory.requests) <= 8192


def test_memory_stays_bounded_whatever_upstreams_send() -> None:
    """Ever new status lines and lines of answers."""
    memory = Memory()
    for number in range(20_000):
        head = b"HTTP/1.1 200 Reason %d\r\nX-New: %d" % (number, number)
        assert isinstance(answered(head, memory=memory), Answer)
    assert 0 < len(memory.responses) <= 8192
    assert 0 < len(memory.statuses) <= 8192


def test_long_lines_are_not_remembered() -> None:
    """Otherwise 8,192 of them could be hundreds of megabytes."""
    memory = Memory()
    long = b"a" * 4000
    assert isinstance(parsed(b"GET / HTTP/1.1\r\n%b\r\nX-Long: %b" % (HOST, long), memory), Request)
    assert isinstance(answered(b"HTTP/1.1 200 %b\r\nX-Long: %b" % (long, long), memory=memory), Answer)
    assert [HOST] == list(memory.requests)
    assert ([], []) == (list(memory.responses), list(memory.statuses))


def test_lines_that_hardly_come_twice_are_not_remembered() -> None:
    """Request ids would push out everything else."""
    memory = Memory()
    parsed(b"GET / HTTP/1.1\r\n%b\r\nX-Request-Id: 1\r\nX-Forwarded-For: 10.0.0.1" % HOST, memory)
    assert [HOST] == list(memory.requests)


# -------------------------------------------------------------------------------------------- request lines


@pytest.mark.parametrize(
    ("first", "status", "code"),
    [
        (b"GET /", 400, ErrorCode.BAD_REQUEST),
        (b"GET  / HTTP/1.1", 400, ErrorCode.BAD_REQUEST),
        (b"GET / HTTP/1.1 ", 400, ErrorCode.BAD_REQUEST),
        (b" GET / HTTP/1.1", 400, ErrorCode.BAD_REQUEST),
        (b"GET\t/\tHTTP/1.1", 400, ErrorCode.BAD_REQUEST),
        (b"GET / http/1.1", 400, ErrorCode.BAD_REQUEST),
        (b"GET / HTTP/1.10", 400, ErrorCode.BAD_REQUEST),
        (b"GET / HTTP/1.1\n", 400, ErrorCode.BAD_REQUEST),
        (b"GET / HTTP/2.0", 505, ErrorCode.BAD_VERSION),
        (b"GET / HTTP/1.2", 505, ErrorCode.BAD_VERSION),
        (b"G@T / HTTP/1.1", 400, ErrorCode.BAD_REQUEST),
        (b"CONNECT a:1 HTTP/1.1", 405, ErrorCode.CONNECT_REFUSED),
        (b"M" * 33 + b" / HTTP/1.1", 501, ErrorCode.BAD_REQUEST),
        (b"GET * HTTP/1.1", 400, ErrorCode.BAD_REQUEST),
        (b"GET a HTTP/1.1", 400, ErrorCode.BAD_REQUEST),
        (b"GET ftp://a/ HTTP/1.1", 400, ErrorCode.BAD_REQUEST),
        (b"GET http:///a HTTP/1.1", 400, ErrorCode.BAD_REQUEST),
        (b"GET http://u:p@a/ HTTP/1.1", 400, ErrorCode.BAD_REQUEST),
        (b"GET /a#b HTTP/1.1", 400, ErrorCode.BAD_REQUEST),
        (b"GET /\x7f HTTP/1.1", 400, ErrorCode.BAD_REQUEST),
        (b"GET /\xe4 HTTP/1.1", 400, ErrorCode.BAD_REQUEST),
        (b"GET /" + b"a" * 16_384 + b" HTTP/1.1", 414, ErrorCode.TARGET_TOO_LONG),
    ],
)
def test_a_bad_request_line_is_refused(first: bytes, status: int, code: str) -> None:
    """Each defect with the status and code that tell the client what is wrong."""
    found = get(first=first)
    assert isinstance(found, Refused)
    assert (status, code) == (found.status, found.code)


def test_bytes_above_ascii_pass_in_a_target_where_the_table_says_so() -> None:
    """`non_ascii_target`, and nothing else than those bytes."""
    memory = Memory()
    head = b"GET /\xe4 HTTP/1.1\r\n" + HOST
    assert b"/\xe4" == parse_request(head, memory, LIMITS, non_ascii_target=True).target
    with pytest.raises(Refused):
        parse_request(head.replace(b"\xe4", b"\x7f"), memory, LIMITS, non_ascii_target=True)


@pytest.mark.parametrize(
    ("first", "host", "target", "line"),
    [
        (b"GET http://a:1/x?y HTTP/1.1", b"a:1", b"/x?y", b"GET /x?y HTTP/1.1"),
        (b"GET HTTPS://a HTTP/1.1", b"a", b"/", b"GET / HTTP/1.1"),
        (b"GET http://a?q HTTP/1.1", b"a", b"/?q", b"GET /?q HTTP/1.1"),
        (b"OPTIONS http://a HTTP/1.1", b"a", b"*", b"OPTIONS * HTTP/1.1"),
        (b"OPTIONS * HTTP/1.1", b"shop.example.com", b"*", b"OPTIONS * HTTP/1.1"),
        (b"GET /a/../b HTTP/1.0", b"shop.example.com", b"/a/../b", b"GET /a/../b HTTP/1.1"),
    ],
)
def test_a_target_is_sent_on_in_origin_form_and_its_authority_is_the_host(
    first: bytes, host: bytes, target: bytes, line: bytes
) -> None:
    """RFC 9112 section 3.2.2: the authority of an absolute target replaces whatever Host says."""
    found = request(first=first)
    assert (host, target, line) == (found.host, found.target, found.first_line)
    assert [b"Host: " + host] == found.lines


def test_exactly_one_host_is_asked_of_http_1_1_and_none_of_1_0() -> None:
    """An absolute target does not excuse a missing Host."""
    assert isinstance(get(host=b"A: b"), Refused)
    assert isinstance(get(HOST), Refused)
    assert isinstance(get(host=b"Host:"), Refused)
    assert isinstance(parsed(b"GET http://a/ HTTP/1.1"), Refused)
    old = parsed(b"GET / HTTP/1.0")
    assert isinstance(old, Request)
    assert (b"", [], 0, False) == (old.host, old.lines, old.minor, old.keep_alive)
    absolute = parsed(b"GET http://a/ HTTP/1.0")
    assert isinstance(absolute, Request)
    assert (b"a", [b"Host: a"]) == (absolute.host, absolute.lines)


# ------------------------------------------------------------------------------------------------- framing


@pytest.mark.parametrize(
    ("lines", "length", "sent"),
    [
        ((), 0, []),
        ((b"Content-Length: 0",), 0, [b"Content-Length: 0"]),
        ((b"Content-Length: 5",), 5, [b"Content-Length: 5"]),
        ((b"content-LENGTH:005\t",), 5, [b"content-LENGTH: 5"]),
        ((b"Content-Length: 000",), 0, [b"Content-Length: 0"]),
        ((b"Transfer-Encoding: chunked",), CHUNKED, [b"Transfer-Encoding: chunked"]),
        ((b"transfer-encoding:  CHUNKED\t",), CHUNKED, [b"transfer-encoding: chunked"]),
    ],
)
def test_a_requests_length_has_one_source(lines: tuple[bytes, ...], length: int, sent: list[bytes]) -> None:
    """None, a number, or chunks; the line that says so is sent on where it stands, with one spelling of its value."""
    found = request(b"A: 1", *lines, b"B: 2")
    assert (length, bool(sent)) == (found.length, found.sized)
    assert [HOST, b"A: 1", *sent, b"B: 2"] == found.lines


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((b"Content-Length: 5", b"Content-Length: 5"), 400),
        ((b"Content-Length: 5, 5",), 400),
        ((b"Content-Length:",), 400),
        ((b"Content-Length: -1",), 400),
        ((b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
        ((b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
        ((b"Transfer-Encoding: chunked, chunked",), 400),
        ((b"Transfer-Encoding: chunked, gzip",), 400),
        ((b"Transfer-Encoding: gzip",), 400),
        ((b"Transfer-Encoding:",), 400),
        ((b"Transfer-Encoding: chunked;a=b",), 400),
        ((b"Transfer-Encoding: x, chunked",), 501),
        ((b"Transfer-Encoding: gzip;q=1, chunked",), 501),
    ],
)
def test_an_ambiguous_length_is_refused(lines: tuple[bytes, ...], status: int) -> None:
    """400 for what is wrong, 501 for a well-formed coding that we do not speak."""
    found = get(*lines)
    assert isinstance(found, Refused)
    assert status == found.status


def test_chunks_are_not_for_http_1_0() -> None:
    """RFC 9112 section 6.1: such a message is ambiguous."""
    assert isinstance(get(b"Transfer-Encoding: chunked", first=b"GET / HTTP/1.0"), Refused)


# ---------------------------------------------------------------------------------------- fields with meaning


@pytest.mark.parametrize(
    ("lines", "old", "new"),
    [
        ((), False, True),
        ((b"Connection: keep-alive",), True, True),
        ((b"Connection: close",), False, False),
        ((b"Connection: keep-alive", b"Connection: close"), False, False),
        ((b"Connection: close", b"Connection: keep-alive"), False, False),
        ((b"Connection: x, Close",), False, False),
        ((b"Connection: x, Keep-Alive",), True, True),
    ],
)
def test_persistence_follows_version_and_connection_options(
    lines: tuple[bytes, ...],
    old: bool,
    new: bool,
) -> None:
    """RFC 9112 section 9.3: close wins wherever it stands."""
    assert old is request(*lines, first=b"GET / HTTP/1.0").keep_alive
    assert new is request(*lines).keep_alive
    status = b"HTTP/1.%d 200 OK"
    assert old is answer(*lines, first=status % 0).keep_alive
    assert new is answer(*lines, first=status % 1).keep_alive


def test_what_connection_names_is_taken_out_and_is_no_subject() -> None:
    """Also a subject's header, Expect and Max-Forwards; never what the router needs."""
    found = request(
        b"X-User-Id: u1", b"X-A: 1", b"Expect: 100-continue", b"Max-Forwards: 1", b"X-Forwarded-For: 10.0.0.1",
        b"Connection: x-user-id, X-A, expect, max-forwards, host, x-forwarded-for", first=b"OPTIONS / HTTP/1.1",
    )  # fmt: skip
    assert ([HOST], {}, b"10.0.0.1") == (found.lines, found.named, found.forwarded_for)


def test_of_several_subject_lines_the_first_counts_and_all_pass() -> None:
    """The same line that `explain` looks at."""
    found = request(b"X-User-Id: u1", b"x-user-id: u2", b"Cookie: sid=7")
    assert {b"x-user-id": b"u1", b"cookie": b"sid=7"} == found.named
    assert [HOST, b"X-User-Id: u1", b"x-user-id: u2", b"Cookie: sid=7"] == found.lines


def test_what_the_router_says_itself_is_read_and_not_passed_on() -> None:
    """Forwarding lines are joined or the last one counts; the router writes its own; a request id stays."""
    found = request(
        b"X-Forwarded-For: 10.0.0.1", b"X-Forwarded-For:", b"X-Forwarded-For: 10.0.0.2", b"X-Forwarded-Proto: http",
        b"X-Forwarded-Proto: https", b"X-Forwarded-Host: h", b"X-Request-Id: 7", b"X-Strangler-Side: NEW",
        b"X-Strangler-Token: t",
    )  # fmt: skip
    assert [HOST, b"X-Request-Id: 7"] == found.lines
    assert (b"10.0.0.1, 10.0.0.2", b"https", b"h") == (found.forwarded_for, found.forwarded_proto, found.forwarded_host)
    assert (b"7", b"new", b"t") == (found.request_id, found.override, found.override_token)


def test_one_fit_request_id_stays_where_it_stands() -> None:
    """With its case, also where Connection names it; the longest has 128 bytes."""
    for value in (b"7", b"7" * 128):
        found = request(b"A: 1", b"X-Request-ID:" + value, b"Connection: x-request-id", b"B: 2")
        assert value == found.request_id
        assert [HOST, b"A: 1", b"X-Request-ID: " + value, b"B: 2"] == found.lines


@pytest.mark.parametrize("ids", [(b"",), (b"7" * 129,), (b"7", b"7"), (b"7", b"")])
def test_a_request_id_that_is_not_one_fit_value_is_taken_out(ids: tuple[bytes, ...]) -> None:
    """The router makes one instead, and exactly one is to reach the upstream."""
    found = request(b"A: 1", *(b"X-Request-Id: " + value for value in ids), b"B: 2")
    assert (b"", [HOST, b"A: 1", b"B: 2"]) == (found.request_id, found.lines)


def test_expect_passes_to_the_upstream_from_http_1_1_only() -> None:
    """RFC 9110 section 10.1.1."""
    assert [HOST, b"Expect: 100-continue"] == request(b"Expect: 100-continue").lines
    assert [HOST] == request(b"Expect: 100-continue", first=b"GET / HTTP/1.0").lines


def test_trailers_are_wanted_only_hop_by_hop() -> None:
    """TE without its Connection option is nobody's wish."""
    assert request(b"TE: deflate, trailers", b"Connection: te").trailers_wanted
    assert not request(b"TE: trailers").trailers_wanted
    assert not request(b"TE: deflate", b"Connection: te").trailers_wanted


def test_only_a_whole_websocket_upgrade_is_one() -> None:
    """A GET of HTTP/1.1 without a body that names exactly this protocol, with its Connection option."""
    wish = (b"Connection: keep-alive, Upgrade", b"Upgrade: WebSocket")
    assert b"WebSocket" == request(*wish).upgrade
    assert b"" == request(*wish, first=b"POST / HTTP/1.1").upgrade
    assert b"" == request(*wish, first=b"GET / HTTP/1.0").upgrade
    assert b"" == request(*wish, b"Content-Length: 1").upgrade
    assert b"" == request(wish[1]).upgrade
    assert b"" == request(wish[0], b"Upgrade: websocket, h2c").upgrade


def test_max_forwards_counts_down_for_options_and_trace() -> None:
    """RFC 9110 section 7.6.2: at 0 we are the last hop; for other methods it means nothing."""
    assert [HOST, b"Max-Forwards: 6"] == request(b"Max-Forwards: 7", first=b"TRACE / HTTP/1.1").lines
    assert request(b"Max-Forwards: 0", first=b"OPTIONS / HTTP/1.1").last_hop
    assert [HOST, b"Max-Forwards: 0"] == request(b"Max-Forwards: 0").lines
    for odd in (b"x", b"-1", b"1" * 10, b"\xb2"):
        assert [HOST, b"Max-Forwards: " + odd] == request(b"Max-Forwards: " + odd, first=b"TRACE / HTTP/1.1").lines


# --------------------------------------------------------------------------------------------------- limits


def test_lines_have_limits_by_number_and_by_length() -> None:
    """At the limit good, one more refused: as 431 to a client, as a bad answer of an upstream."""
    small = Bounds(Limits(request_line=100, fields=3))
    line = b"X-Long: " + b"a" * 92
    assert isinstance(parsed(b"\r\n".join([b"GET / HTTP/1.1", HOST, line, b"A: b"]), limits=small), Request)
    for more in ([HOST, b"X-Long: " + b"a" * 93], [HOST, b"A: 1", b"B: 2", b"C: 3"]):
        found = parsed(b"\r\n".join([b"GET / HTTP/1.1", *more]), limits=small)
        assert isinstance(found, Refused)
        assert (431, ErrorCode.HEAD_TOO_LARGE) == (found.status, found.code)
        with pytest.raises(BadField):
            parse_answer(b"\r\n".join([b"HTTP/1.1 200 OK", *more[1:], b"D: 4"]), Memory(), small, b"GET")


# -------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("first", "lines", "method", "length", "bodiless"),
    [
        (b"HTTP/1.1 200 OK", (), b"GET", UNTIL_CLOSE, False),
        (b"HTTP/1.1 200 OK", (b"Content-Length: 0",), b"GET", 0, False),
        (b"HTTP/1.1 200 OK", (b"Content-Length: 5",), b"GET", 5, False),
        (b"HTTP/1.1 200 OK", (b"Transfer-Encoding: Chunked",), b"GET", CHUNKED, False),
        (b"HTTP/1.0 200 OK", (), b"GET", UNTIL_CLOSE, False),
        (b"HTTP/1.1 200 OK", (b"Content-Length: 5",), b"HEAD", 0, True),
        (b"HTTP/1.1 200 OK", (b"Transfer-Encoding: chunked",), b"HEAD", 0, True),
        (b"HTTP/1.1 304 Not Modified", (b"Content-Length: 5",), b"GET", 0, True),
        (b"HTTP/1.1 204 No Content", (b"Content-Length: 5",), b"GET", 0, True),
        (b"HTTP/1.1 100 Continue", (), b"GET", 0, True),
    ],
)
def test_an_answers_length_follows_status_method_and_lines(
    first: bytes,
    lines: tuple[bytes, ...],
    method: bytes,
    length: int,
    bodiless: bool,
) -> None:
    """RFC 9112 section 6.3, in its order."""
    found = answer(*lines, first=first, method=method)
    assert (length, bodiless) == (found.length, found.bodiless)


def test_a_length_that_speaks_of_another_answer_is_passed_on() -> None:
    """HEAD and 304 tell what GET would have sent; 1xx and 204 must not name a length."""
    assert [b"Content-Length: 5"] == answer(b"Content-Length: 5", method=b"HEAD").lines
    assert [b"Content-Length: 5"] == answer(b"Content-Length: 5", first=b"HTTP/1.1 304 x").lines
    assert [] == answer(b"Content-Length: 5", first=b"HTTP/1.1 204 x").lines
    assert [] == answer(b"Content-Length: 5", first=b"HTTP/1.1 103 x").lines


@pytest.mark.parametrize(
    ("status", "method"), [(b"200", b"HEAD"), (b"304", b"GET"), (b"204", b"GET"), (b"103", b"GET"), (b"101", b"GET")]
)
def test_an_answer_without_a_body_speaks_of_no_chunks(status: bytes, method: bytes) -> None:
    """No chunk follows, so none is announced."""
    assert [b"A: 1"] == answer(
        b"A: 1", b"Transfer-Encoding: chunked", first=b"HTTP/1.1 %b x" % status, method=method
    ).lines


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        (b"content-LENGTH:05", b"content-LENGTH: 5"),
        (b"TRANSFER-Encoding: Chunked", b"TRANSFER-Encoding: chunked"),
    ],
)
def test_what_says_an_answers_length_is_sent_on_where_it_stands(line: bytes, sent: bytes) -> None:
    """With its case, and with one spelling of its value."""
    assert [b"A: 1", sent, b"B: 2"] == answer(b"A: 1", line, b"B: 2").lines


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Content-Length: 5, 5",),
        (b"Content-Length: x",),
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: gzip, chunked",),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding:",),
        (b" folded",),
        (b"A : b",),
    ],
)
def test_an_ambiguous_answer_is_refused_for_every_method(lines: tuple[bytes, ...]) -> None:
    """Also where no body would follow: the upstream does not know what it is doing."""
    for method in (b"GET", b"HEAD"):
        assert isinstance(answered(b"\r\n".join([b"HTTP/1.1 200 OK", *lines]), method), BadField)


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        (b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK"),
        (b"HTTP/1.0 404 Nicht da", b"HTTP/1.1 404 Nicht da"),
        (b"HTTP/1.1 200", b"HTTP/1.1 200 "),
        (b"HTTP/1.1 299 \xc3\xa4", b"HTTP/1.1 299 \xc3\xa4"),
    ],
)
def test_a_status_line_is_sent_on_in_our_version(line: bytes, sent: bytes) -> None:
    """Whatever version the upstream speaks, with its own words, and the space that RFC 9112 wants."""
    assert sent == answer(first=line).status_line


def test_an_answer_knows_its_date_and_its_upgrade() -> None:
    """Date is ours to add where it is missing; Upgrade is looked at, not passed on."""
    found = answer(b"Date: now", b"Upgrade: websocket", b"X-Strangler-Side: new")
    assert (True, b"websocket", [b"Date: now"]) == (found.dated, found.upgrade, found.lines)
    assert not answer().dated


def test_what_an_answers_connection_names_is_taken_out() -> None:
    """But never Date or the framing."""
    found = answer(b"X-A: 1", b"Date: now", b"Connection: x-a, date, content-length", b"Content-Length: 3")
    assert ([b"Date: now", b"Content-Length: 3"], 3) == (found.lines, found.length)


# ------------------------------------------------------------------------------------- heads that come again


def test_an_answer_whose_head_came_before_says_the_same() -> None:
    """To requests of any method but HEAD, whose answers have no body whatever their heads say."""
    memory, head = Memory(), b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b"

    def said(method: bytes) -> tuple[int, int, bool, list[bytes]]:
        answer = answer_of(head, memory, LIMITS, method, whole=True)
        assert answer is not None
        return answer.status, answer.length, answer.bodiless, answer.lines

    lines = [b"Content-Length: 5", b"Set-Cookie: a=b"]
    asked = (b"GET", b"GET", b"HEAD", b"POST", b"HEAD", b"GET")
    assert [(200, 0 if method == b"HEAD" else 5, method == b"HEAD", lines) for method in asked] == list(
        map(said, asked)
    )
    assert [head] == list(memory.answers)


def test_of_heads_no_two_of_which_are_the_same_none_is_remembered() -> None:
    """And of those that come again no more than a bounded number, none of them long."""
    memory = Memory()

    def ask(number: int, filling: bytes = b"") -> None:
        answer_of(b"HTTP/1.1 200 OK\r\nETag: %d%b" % (number, filling), memory, LIMITS, b"GET", whole=True)

    for number in range(1000):
        ask(number)
    assert not memory.answers
    for number in range(1000):
        ask(number)
        ask(number)
    assert 0 < len(memory.answers) <= 128
    memory.answers.clear()
    for _ in range(3):
        ask(1, b"x" * 2000)
    assert not memory.answers
