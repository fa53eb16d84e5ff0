"""Header fields of requests: names, values, Host and limits (RFC 9110, 5; RFC 9112, 3.2 and 5)."""

from __future__ import annotations

from tests.journeys.http.claims import bytewise, cases, forwarded, refused, refused_or_forwarded
from tests.journeys.http.stage import Stage

SEPARATORS = b'()<>@,;\\"/[]?={} '
CONTROLS = [byte for byte in (*range(0x20), 0x7F) if byte != 0x09]


def with_fields(fields: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET / " + version + b"\r\n" + fields + b"\r\n"


def beside(field: bytes) -> bytes:
    """The field in the middle, so that both of its neighbours can be hurt."""
    return with_fields(b"Host: a\r\nA: 1\r\n" + field + b"Z: 26\r\n")


MALFORMED = {
    "space before the colon": b"X : y\r\n",
    "tab before the colon": b"X\t: y\r\n",
    "VT before the colon": b"X\x0b: y\r\n",
    "no name": b": y\r\n",
    "no name and no value": b":\r\n",
    "no colon": b"X\r\n",
    "two words and no colon": b"X y\r\n",
    "folded line with a space": b"X: y\r\n z\r\n",
    "folded line with a tab": b"X: y\r\n\tz\r\n",
    "folded empty line": b"X: y\r\n \r\n",
    "folded behind an empty value": b"X:\r\n y\r\n",
    "leading space in a line": b" X: y\r\n",
    "line ends with LF": b"X: y\n",
    "line ends with CR": b"X: y\rY: z\r\n",
    "line ends with CR CR LF": b"X: y\r\r\n",
    "line ends with LF CR": b"X: y\n\rY: z\r\n",
    "LF before the colon": b"X\n: y\r\n",
    "LF inside a value": b"X: y\nz\r\n",
    "LF first in a value": b"X: \ny\r\n",
    "CR first in a value": b"X: \ry\r\n",
    "smuggled head in a value": b"X: y\n\nGET /smuggled HTTP/1.1\nHost: a\n\r\n",
    "dangerous name with a space": b"Content-Length : 5\r\n",
    "dangerous name with a tab": b"Transfer-Encoding\t: chunked\r\n",
    "dangerous name with NUL": b"Transfer-Encoding\x00: chunked\r\n",
    "dangerous name with a leading space": b" Transfer-Encoding: chunked\r\n",
    "dangerous name with a leading VT": b"\x0bTransfer-Encoding: chunked\r\n",
    "dangerous name behind a bare CR": b"X: y\rTransfer-Encoding: chunked\r\n",
    "dangerous name behind a bare LF": b"X: y\nTransfer-Encoding: chunked\r\n",
    "name with the Kelvin sign": b"\xe2\x84\xaaeep-Alive: 1\r\n",
    "name with an umlaut": b"H\xc3\xb6st: b\r\n",
}


@cases({name: beside(field) for name, field in MALFORMED.items()})
def test_a_malformed_field_line_is_refused(stage: Stage, case: bytes) -> None:
    """No repair, no guess, and neither neighbour is taken for it."""
    refused(stage, case, (400, 501))


@cases(
    {
        "leading space": with_fields(b" X: y\r\nHost: a\r\n"),
        "leading tab": with_fields(b"\tX: y\r\nHost: a\r\n"),
        "only a space": with_fields(b" \r\nHost: a\r\n"),
        "folded Host": with_fields(b"Host:\r\n a\r\n"),
    }
)
def test_the_first_field_line_may_not_begin_with_white_space(stage: Stage, case: bytes) -> None:
    """RFC 9112, 2.2: such a line could continue the request line in somebody's eyes."""
    refused(stage, case)


@cases({"LF CRLF": b"\n\r\n", "CR CRLF": b"\r\r\n", "LF LF": b"\n\n", "CRLF LF": b"\r\n\n", "LF": b"\n"})
def test_a_head_ends_with_crlf_crlf_only(stage: Stage, case: bytes) -> None:
    """Whoever ends the head elsewhere reads another message."""
    refused(stage, b"GET / HTTP/1.1\r\nHost: a" + case + b"X: y\r\n\r\n")


@cases({f"0x{byte:02x}": bytes([byte]) for byte in [*CONTROLS, *SEPARATORS, 0x80, 0xE4, 0xFF]})
def test_a_field_name_is_a_token(stage: Stage, case: bytes) -> None:
    """Controls, separators and 8-bit bytes in a name are refused."""
    refused(stage, beside(b"X" + case + b"Y: z\r\n"))


@cases({f"0x{byte:02x}": bytes([byte]) for byte in CONTROLS})
def test_a_field_value_holds_no_controls(stage: Stage, case: bytes) -> None:
    """Tab is the only control in a value."""
    refused(stage, beside(b"X: y" + case + b"z\r\n"))


VALUES = {
    "empty": (b"X:\r\n", b""),
    "only spaces": (b"X:   \r\n", b""),
    "no space": (b"X:y\r\n", b"y"),
    "tabs around": (b"X:\ty\t\r\n", b"y"),
    "spaces and tabs around": (b"X: \t y \t \r\n", b"y"),
    "inner spaces": (b"X: a  b\r\n", b"a  b"),
    "inner tab": (b"X: a\tb\r\n", b"a\tb"),
    "colons": (b"X: a:b: c\r\n", b"a:b: c"),
    "separators": (b'X: "(),/:;<=>?@[]{}\\\r\n', b'"(),/:;<=>?@[]{}\\'),
    "Latin-1": (b"X: caf\xe9\r\n", b"caf\xe9"),
    "UTF-8": (b"X: \xec\x95\x88\xeb\x85\x95\r\n", b"\xec\x95\x88\xeb\x85\x95"),
    "broken UTF-8": (b"X: \xff\xfe\x80\r\n", b"\xff\xfe\x80"),
    "no-break spaces around": (b"X: \xa0y\xa0\r\n", b"\xa0y\xa0"),
    "next-line characters around": (b"X: \x85y\x85\r\n", b"\x85y\x85"),
    "10 KB": (b"X: " + b"y" * 10_000 + b"\r\n", b"y" * 10_000),
}


@cases(VALUES)
def test_a_field_value_is_forwarded_byte_for_byte(stage: Stage, case: tuple[bytes, bytes]) -> None:
    """Only the white space around it is not part of it."""
    field, value = case
    forwarded(stage, beside(field), fields=[(b"A", b"1"), (b"X", value), (b"Z", b"26")])


def test_every_token_character_is_good_for_a_name(stage: Stage) -> None:
    """Names are forwarded in their spelling."""
    name = b"!#$%&'*+-.^_`|~0aZ"
    forwarded(stage, beside(name + b": y\r\n"), fields=[(b"A", b"1"), (name, b"y"), (b"Z", b"26")])


@cases(
    {
        "the line ends before its LF": [b"GET / HTTP/1.1\r\nHost: a\r", b"\nX: y\r\n\r\n"],
        "the head ends before its last LF": [b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r", b"\n"],
        "between name and colon": [b"GET / HTTP/1.1\r\nHost: a\r\nX", b": y\r\n\r\n"],
        "byte by byte": bytewise(b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"),
    }
)
def test_a_head_may_come_in_pieces(stage: Stage, case: list[bytes]) -> None:
    """Segments are no boundaries."""
    forwarded(stage, case, fields=[(b"X", b"y")])


@cases(
    {
        name: MALFORMED[name]
        for name in ("space before the colon", "folded line with a space", "line ends with CR", "line ends with LF")
    }
)
def test_a_malformed_field_line_is_refused_byte_by_byte(stage: Stage, case: bytes) -> None:
    """Segments hide nothing."""
    refused(stage, bytewise(beside(case)))


# -- Host --------------------------------------------------------------------------------------------


@cases(
    {
        "missing": b"X: y\r\n",
        "twice the same": b"Host: a\r\nHost: a\r\n",
        "twice": b"Host: a\r\nHost: b\r\n",
        "twice in two cases": b"Host: a\r\nhOST: b\r\n",
        "twice, one empty": b"Host: a\r\nHost:\r\n",
        "list": b"Host: a, b\r\n",
        "two words": b"Host: a b\r\n",
        "tab inside": b"Host: a\tb\r\n",
        "userinfo": b"Host: user@a\r\n",
        "userinfo with password": b"Host: user:secret@a\r\n",
        "only an at sign": b"Host: @\r\n",
        "slash": b"Host: a/b\r\n",
        "leading slash": b"Host: /a\r\n",
        "a URI": b"Host: http://a\r\n",
        "question mark": b"Host: a?b\r\n",
        "fragment": b"Host: a#b\r\n",
        "backslash": b"Host: a\\b\r\n",
        "quoted": b'Host: "a"\r\n',
        "angle brackets": b"Host: <a>\r\n",
        "port with a letter": b"Host: a:8x\r\n",
        "port with a sign": b"Host: a:+80\r\n",
        "negative port": b"Host: a:-80\r\n",
        "port with a space": b"Host: a: 80\r\n",
        "port of six digits": b"Host: a:123456\r\n",
        "two ports": b"Host: a:80:80\r\n",
        "IPv6 without brackets": b"Host: ::1\r\n",
        "open bracket": b"Host: [::1\r\n",
        "closing bracket": b"Host: ::1]\r\n",
        "no address in brackets": b"Host: []\r\n",
        "words in brackets": b"Host: [hello]\r\n",
        "something behind the brackets": b"Host: [::1]a\r\n",
        "NUL": b"Host: a\x00b\r\n",
        "8-bit": b"Host: \xe4\r\n",
        "Arabic digits in the port": b"Host: a:\xd9\xa8\xd9\xa0\r\n",
    }
)
def test_anything_but_one_valid_host_is_refused(stage: Stage, case: bytes) -> None:
    """RFC 9112, 3.2: 400 for a missing, repeated or invalid Host."""
    refused(stage, with_fields(case))


@cases({"twice": b"Host: a\r\nHost: b\r\n", "userinfo": b"Host: u@a\r\n", "slash": b"Host: a/b\r\n"})
def test_http_1_0_does_not_excuse_an_invalid_host(stage: Stage, case: bytes) -> None:
    """It excuses a missing one only."""
    refused(stage, with_fields(case, b"HTTP/1.0"))


@cases(
    {
        "name": b"a",
        "name with dots": b"shop.example.com",
        "trailing dot": b"a.",
        "upper case": b"SHOP.Example",
        "port": b"a:8080",
        "underscore": b"my_host",
        "IPv4": b"127.0.0.1",
        "IPv6": b"[::1]",
        "IPv6 with port": b"[2001:db8::1]:443",
        "long": b".".join([b"a" * 60] * 4),
    }
)
def test_a_valid_host_is_kept_as_the_client_sent_it(stage: Stage, case: bytes) -> None:
    """Byte for byte, in any case."""
    forwarded(stage, with_fields(b"Host: " + case + b"\r\n"), host=case)


@cases({"empty": b"", "no port": b"a:", "only a port": b":80", "comma": b"a,b", "escapes": b"a%41", "port 0": b"a:0"})
def test_an_unusual_host_is_refused_or_kept(stage: Stage, case: bytes) -> None:
    """The grammar allows it, and nobody needs it."""
    refused_or_forwarded(stage, with_fields(b"Host: " + case + b"\r\n"))


def test_http_1_0_needs_no_host_and_the_upstream_gets_one(stage: Stage) -> None:
    """What is forwarded is HTTP/1.1, which needs Host."""
    forwarded(stage, b"GET / HTTP/1.0\r\n\r\n")


# -- Limits ------------------------------------------------------------------------------------------


@cases(
    {
        "one line of 20 KB": b"X: " + b"y" * 20_000 + b"\r\n",
        "one line of 1 MB": b"X: " + b"y" * 1_000_000 + b"\r\n",
        "one name of 70 KB": b"X" * 70_000 + b": y\r\n",
        "70 KB in lines of 1 KB": (b"X: " + b"y" * 1019 + b"\r\n") * 70,
        "129 lines": b"X: y\r\n" * 129,
        "10,000 lines": b"X: y\r\n" * 10_000,
        "no line end in 100 KB": b"X" * 100_000,
    }
)
def test_a_head_that_is_too_large_is_refused(stage: Stage, case: bytes) -> None:
    """431, although more is being sent."""
    refused(stage, with_fields(b"Host: a\r\n" + case), (400, 431), tail=b"")


@cases({"50 KB in lines of 8 KB": (b"X: " + b"y" * 8000 + b"\r\n") * 6, "100 lines": b"X: y\r\n" * 100})
def test_a_large_head_is_forwarded_whole(stage: Stage, case: bytes) -> None:
    """Limits are limits, not habits."""
    request = forwarded(stage, with_fields(b"Host: a\r\n" + case))
    assert case.count(b"X: y") == len(request.values("x"))
