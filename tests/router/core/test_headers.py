"""Header lines: which are none, what the others mean to the proxy, and what is sent on of them."""

from __future__ import annotations

import pytest
from h11 import Response
from hypothesis import example, given
from hypothesis import strategies as st

from router.core.headers import (
    NOT_IN_TRAILERS,
    PROTECTED,
    BadField,
    Field,
    Kind,
    bare_host,
    content_length,
    nominated,
    request_field,
    response_field,
    tokens,
    trailer_lines,
    valid_host,
    without,
)

NAME_BYTES = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SPACES = st.sampled_from((b"", b" ", b"\t", b" \t ", b"  "))

names = st.one_of(
    st.sampled_from((b"Host", b"Connection", b"X-User-Id", b"Content_Length", b"X-Forwarded-For", b"TE", b"Date")),
    st.lists(st.sampled_from(NAME_BYTES), min_size=1, max_size=12).map(bytes),
)
inner = st.lists(st.sampled_from(b"\t " + bytes(range(0x21, 0x7F)) + bytes(range(0x80, 0x100))), max_size=20).map(bytes)
values = inner.map(lambda value: value.strip(b" \t"))


def refusal(line: bytes) -> str:
    with pytest.raises(BadField) as caught:
        request_field(line, ())
    return str(caught.value)


def as_h11_reads(name: bytes, value: bytes) -> list[tuple[bytes, bytes]]:
    return list(Response(status_code=200, headers=[(name, value)]).headers)


# ----------------------------------------------------------------------------------------------- the grammar


@given(st.binary(max_size=60))
@example(b"")
@example(b"Name: value\r")
@example(b"Name: value\n")
@example(b"Name\x85: value")
def test_every_line_is_a_field_or_a_refusal_in_words(line: bytes) -> None:
    """Whatever the bytes: a field, or BadField that says what is wrong; both heads agree on which."""
    try:
        field = request_field(line, ())
    except BadField as bad:
        assert str(bad)  # noqa: PT017  # only when it is refused at all
        with pytest.raises(BadField):
            response_field(line)
    else:
        assert field.line == response_field(line).line
        assert not set(field.line) & set(b"\x00\r\n")


@given(names, SPACES, values, SPACES)
def test_a_good_line_gives_its_name_and_value_and_is_sent_on_in_one_spelling(
    name: bytes, before: bytes, value: bytes, after: bytes
) -> None:
    """Optional white space around the value is the only thing that is not passed on as it came."""
    field = request_field(name + b":" + before + value + after, ())
    assert (name.lower(), value) == (field.name, field.value)
    assert (name + b": " + value if value else name + b":") == field.line


@given(names, SPACES, values, SPACES)
def test_what_is_sent_on_is_judged_the_same_again(name: bytes, before: bytes, value: bytes, after: bytes) -> None:
    """The next proxy reads exactly what we read."""
    once = request_field(name + b":" + before + value + after, {b"x-user-id"})
    twice = request_field(once.line, {b"x-user-id"})
    assert (once.kind, once.name, once.value, once.line) == (twice.kind, twice.name, twice.value, twice.line)


@given(st.binary(max_size=40))
def test_h11_takes_every_line_that_we_take(line: bytes) -> None:
    """A second implementation finds the same name and value in whatever we let through."""
    try:
        field = request_field(line, ())
    except BadField:
        return
    if field.name in {b"content-length", b"transfer-encoding"}:
        return  # h11 judges these values here too; we judge them with the message
    name, _, value = line.partition(b":")
    assert [(field.name, field.value)] == as_h11_reads(name, value.strip(b" \t"))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b" folded", "obsolete line folding"),
        (b"\tfolded: yes", "obsolete line folding"),
        (b"no colon", "no colon"),
        (b"", "no colon"),
        (b"Name : value", "before the colon"),
        (b"Name\t: value", "before the colon"),
        (b": value", "character that is not allowed"),
        (b"Na me: value", "character that is not allowed"),
        (b"N\xc3\xa4me: value", "character that is not allowed"),
        (b"Name(: value", "character that is not allowed"),
        (b"Name: a\x00b", "the value of Name has a control character"),
        (b"Name: a\rb", "control character"),
        (b"Name: a\nb", "control character"),
        (b"Name: a\x7fb", "control character"),
        (b"Name: a\x0bb", "control character"),
        (b"Name: value\r", "control character"),
    ],
)
def test_a_line_that_two_readers_could_read_differently_is_refused(line: bytes, why: str) -> None:
    """Every defect has its own words."""
    assert why in refusal(line)


@pytest.mark.parametrize("line", [b"Name: v\x0c", b"Name: v\x0b", b"Name: \x1cv", b"Name:\x85v\x1f"])
def test_what_python_takes_for_white_space_is_refused_at_the_ends_too(line: bytes) -> None:
    """Form feed, vertical tab and the separators are control characters and nothing else."""
    assert "control character" in refusal(line)


def test_bytes_that_latin_1_takes_for_white_space_stay() -> None:
    """0x85 and 0xA0 are text like any other above 0x7F."""
    assert b"\xa0v\x85" == request_field(b"Name: \xa0v\x85 ", ()).value


def test_of_all_bytes_a_value_may_have_those_of_the_grammar() -> None:
    """Tab, space, visible ASCII and everything above; h11 refuses none of these."""
    taken = set()
    for byte in range(256):
        try:
            field = request_field(b"Name: a%cb" % byte, ())
        except BadField:
            continue
        taken.add(byte)
        assert [(b"name", field.value)] == as_h11_reads(b"Name", field.value)
    assert {9, *range(0x20, 0x7F), *range(0x80, 0x100)} == taken


# ------------------------------------------------------------------------------------------------- the kinds


@pytest.mark.parametrize(
    ("line", "request_kind", "response_kind"),
    [
        (b"Accept: */*", Kind.PASS, Kind.PASS),
        (b"hOsT: a", Kind.HOST, Kind.PASS),
        (b"Content-Length: 1", Kind.LENGTH, Kind.LENGTH),
        (b"Transfer-Encoding: chunked", Kind.CODING, Kind.CODING),
        (b"Connection: close", Kind.CONNECTION, Kind.CONNECTION),
        (b"Connection: Keep-Alive", Kind.KEEP_ALIVE_TOKENS, Kind.KEEP_ALIVE_TOKENS),
        (b"Connection: keep-alive, x", Kind.CONNECTION, Kind.CONNECTION),
        (b"Keep-Alive: timeout=5", Kind.DROP, Kind.DROP),
        (b"Proxy-Connection: close", Kind.DROP, Kind.DROP),
        (b"Upgrade: websocket", Kind.UPGRADE, Kind.UPGRADE),
        (b"TE: trailers", Kind.TE, Kind.DROP),
        (b"Expect: 100-continue", Kind.EXPECT, Kind.PASS),
        (b"HTTP2-Settings: AAMA", Kind.DROP, Kind.PASS),
        (b"Max-Forwards: 3", Kind.MAX_FORWARDS, Kind.PASS),
        (b"X-Forwarded-For: 10.0.0.1", Kind.FORWARDED_FOR, Kind.PASS),
        (b"X-Forwarded-Proto: https", Kind.FORWARDED_PROTO, Kind.PASS),
        (b"X-Forwarded-Host: a", Kind.FORWARDED_HOST, Kind.PASS),
        (b"X-Request-Id: 1", Kind.REQUEST_ID, Kind.DROP),
        (b"X-Strangler-Side: new", Kind.OVERRIDE, Kind.DROP),
        (b"X-Strangler-Token: t", Kind.OVERRIDE_TOKEN, Kind.PASS),
        (b"X-Strangler-Route: r", Kind.DROP, Kind.DROP),
        (b"X-Strangler-Error: e", Kind.DROP, Kind.DROP),
        (b"Date: now", Kind.PASS, Kind.DATE),
        (b"Set-Cookie: a=b", Kind.PASS, Kind.PASS),
    ],
)
def test_a_name_says_what_becomes_of_its_line(line: bytes, request_kind: Kind, response_kind: Kind) -> None:
    """The same name may mean something else in a request and in an answer."""
    assert request_kind is request_field(line, ()).kind
    assert response_kind is response_field(line).kind


@pytest.mark.parametrize(
    "name", [b"X_Forwarded_For", b"X-Forwarded_For", b"content_length", b"TRANSFER_ENCODING", b"X_Strangler-Side"]
)
def test_underscore_spellings_of_names_that_matter_are_not_forwarded(name: bytes) -> None:
    """An upstream that maps `_` to `-` (CGI) would take them for the real ones."""
    assert Kind.DROP is request_field(name + b": 1", ()).kind


def test_other_names_with_underscores_pass() -> None:
    """They are legal, and somebody uses them."""
    assert Kind.PASS is request_field(b"my_header: 1", ()).kind


def test_a_subjects_header_is_told_from_others() -> None:
    """Only names of the table's subject chains; a name that means something else keeps its meaning."""
    assert Kind.SUBJECT is request_field(b"X-User-Id: u1", {b"x-user-id"}).kind
    assert Kind.PASS is request_field(b"X-User-Id: u1", {b"cookie"}).kind
    assert Kind.HOST is request_field(b"Host: a", {b"host"}).kind


def test_a_fields_repr_says_kind_and_line() -> None:
    """For whoever looks at it in a debugger."""
    assert "Field(PASS, b'a: b')" == repr(Field(Kind.PASS, b"a", b"b", b"a: b"))


# --------------------------------------------------------------------------------------------------- the host


@pytest.mark.parametrize(
    ("value", "host"),
    [
        (b"shop.example.com", b"shop.example.com"),
        (b"Shop.Example.COM:8080", b"shop.example.com"),
        (b"shop.example.com.", b"shop.example.com"),
        (b"shop:", b"shop"),
        (b"127.0.0.1:1", b"127.0.0.1"),
        (b"[::1]", b"[::1]"),
        (b"[FE80::1]:80", b"[fe80::1]"),
        (b"a_b", b"a_b"),
    ],
)
def test_a_valid_host_names_a_host(value: bytes, host: bytes) -> None:
    """Lower case, without port and without the root's dot."""
    assert valid_host(value)
    assert host == bare_host(value)


@pytest.mark.parametrize(
    "value",
    [b"", b":80", b"user@shop", b"a b", b"a/b", b"a?b", b"a#b", b"a:b", b"a:80:80", b"a:65536", b"a:123456", b"[::1",
     b"::1", b"[::1]x", b"[g::1]", b"a\xe4", b"a\n", b"a,b:c", b"http://a"],
)  # fmt: skip
def test_what_is_no_host_is_refused(value: bytes) -> None:
    """User information, more than one, and anything that a URL could be smuggled into."""
    assert not valid_host(value)


@given(st.binary(max_size=20))
def test_a_valid_host_has_no_byte_that_could_end_it(value: bytes) -> None:
    """No space, slash, user information, control or non-ASCII byte, whatever the bytes."""
    if valid_host(value):
        assert not set(value) & set(b' \t\r\n/?#@\\"<>' + bytes(range(0x80, 0x100)))
        assert bare_host(value) == bare_host(bare_host(value))


# --------------------------------------------------------------------------------------------- small readers


@pytest.mark.parametrize(("value", "length"), [(b"0", 0), (b"007", 7), (b"9223372036854775807", 2**63 - 1)])
def test_a_length_is_digits_below_two_to_the_63(value: bytes, length: int) -> None:
    """Leading zeros are digits too."""
    assert length == content_length(value)


@pytest.mark.parametrize(
    "value",
    [b"", b"+1", b"-1", b"1 ", b" 1", b"0x10", b"1_0", b"1,1", b"1, 1", b"1.0", b"\xb2", b"9223372036854775808",
     b"1" * 20, b"1\n"],
)  # fmt: skip
def test_anything_else_is_no_length(value: bytes) -> None:
    """Python's int() would take some of these."""
    with pytest.raises(BadField):
        content_length(value)


def test_tokens_are_read_across_lines_and_empty_members_are_none() -> None:
    """RFC 9110 section 5.6.1: a list may have empty members, and several lines are one list."""
    assert [b"a", b"b", b"c"] == tokens([b" A ,, b\t,", b"", b"C"])


@given(st.lists(st.sampled_from([*PROTECTED, b"close", b"keep-alive"])))
def test_connection_never_takes_out_what_the_message_needs(options: list[bytes]) -> None:
    """Otherwise a client could strip what the router sets, or the framing."""
    assert frozenset() == nominated([b", ".join(options)])


def test_connection_nominates_everything_else_that_it_names() -> None:
    """Over several lines, in any case."""
    assert frozenset({b"x-a", b"x-b", b"te"}) == nominated([b"close, X-A", b"TE,x-b,HOST"])


def test_nominated_lines_are_taken_out_whatever_their_case() -> None:
    """And nothing else, in the same order."""
    assert [b"A: 1", b"C: 3"] == without([b"A: 1", b"X-B: 2", b"C: 3", b"x-b:"], {b"x-b"})


# ------------------------------------------------------------------------------------------------- trailers


def test_trailers_that_would_change_a_message_are_dropped() -> None:
    """RFC 9110 section 6.5.1: framing, routing, authorisation and the router's own names."""
    dropped = [name + b": 1" for name in sorted(NOT_IN_TRAILERS)]
    assert [b"X-Checksum: 1", b"Server-Timing: a"] == trailer_lines([*dropped, b"X-Checksum:1", b"Server-Timing: a "])


@pytest.mark.parametrize("line", [b"no colon", b" folded: 1", b"A : 1", b"A: \x00"])
def test_a_bad_trailer_is_refused_like_any_line(line: bytes) -> None:
    """A trailer section is no way around the grammar."""
    with pytest.raises(BadField):
        trailer_lines([b"A: 1", line])
