"""Request lines: what is refused, what is forwarded, and in which form (RFC 9112, 2 and 3)."""

from __future__ import annotations

from tests.journeys.http.claims import OK, bytewise, cases, forwarded, refused, refused_or_forwarded
from tests.journeys.http.stage import Stage

SEPARATORS = b'()<>@,;:\\"/[]?={}'
CONTROLS = [*range(0x20), 0x7F]


def line(text: bytes, fields: bytes = b"Host: a\r\n") -> bytes:
    return text + b"\r\n" + fields + b"\r\n"


MALFORMED = {
    "two spaces before the target": line(b"GET  / HTTP/1.1"),
    "two spaces before the version": line(b"GET /  HTTP/1.1"),
    "tab before the target": line(b"GET\t/ HTTP/1.1"),
    "tab before the version": line(b"GET /\tHTTP/1.1"),
    "leading space": line(b" GET / HTTP/1.1"),
    "leading tab": line(b"\tGET / HTTP/1.1"),
    "trailing space": line(b"GET / HTTP/1.1 "),
    "trailing tab": line(b"GET / HTTP/1.1\t"),
    "trailing word": line(b"GET / HTTP/1.1 x"),
    "space in the target": line(b"GET /a b HTTP/1.1"),
    "only a method": line(b"GET"),
    "method and space": line(b"GET "),
    "no target": line(b"GET HTTP/1.1"),
    "empty target": line(b"GET  HTTP/1.1"),
    "no method": line(b"/ HTTP/1.1"),
    "leading space for a method": line(b" / HTTP/1.1"),
    "only a version": line(b"HTTP/1.1"),
    "an answer": line(b"HTTP/1.1 200 OK"),
    "words": line(b"hello"),
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + line(b"GET / HTTP/1.1"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "PROXY protocol v1": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + line(b"GET / HTTP/1.1"),
    "line ends with LF": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "all lines end with LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "line ends with CR": b"GET / HTTP/1.1\rHost: a\r\n\r\n",
    "line ends with CR CR LF": b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
    "line ends with LF CR": b"GET / HTTP/1.1\n\rHost: a\r\n\r\n",
    "leading LF": b"\n" + line(b"GET / HTTP/1.1"),
    "leading CR": b"\r" + line(b"GET / HTTP/1.1"),
    "leading CR CR LF": b"\r\r\n" + line(b"GET / HTTP/1.1"),
    "leading NUL": b"\x00" + line(b"GET / HTTP/1.1"),
    "leading byte order mark": b"\xef\xbb\xbf" + line(b"GET / HTTP/1.1"),
}

VERSIONS = {
    name: line(b"GET / " + version)
    for name, version in {
        "lower case": b"http/1.1",
        "mixed case": b"Http/1.1",
        "0.9": b"HTTP/0.9",
        "1.2": b"HTTP/1.2",
        "1.9": b"HTTP/1.9",
        "2.0": b"HTTP/2.0",
        "2": b"HTTP/2",
        "3": b"HTTP/3",
        "1": b"HTTP/1",
        "1.": b"HTTP/1.",
        ".1": b"HTTP/.1",
        "1.10": b"HTTP/1.10",
        "1.01": b"HTTP/1.01",
        "01.1": b"HTTP/01.1",
        "11.1": b"HTTP/11.1",
        "1,1": b"HTTP/1,1",
        "+1.1": b"HTTP/+1.1",
        "-1.1": b"HTTP/-1.1",
        "1.1x": b"HTTP/1.1x",
        "space inside": b"HTTP/ 1.1",
        "space around the dot": b"HTTP/1 .1",
        "no slash": b"HTTP1.1",
        "backslash": b"HTTP\\1.1",
        "HTTPS": b"HTTPS/1.1",
        "HTP": b"HTP/1.1",
        "ICY": b"ICY/1.1",
        "NUL behind": b"HTTP/1.1\x00",
        "Arabic digits": b"HTTP/\xd9\xa1.\xd9\xa1",
        "full-width digits": b"HTTP/\xef\xbc\x91.\xef\xbc\x91",
        "hexadecimal": b"HTTP/0x1.1",
    }.items()
}


@cases(MALFORMED)
def test_a_malformed_request_line_is_refused(stage: Stage, case: bytes) -> None:
    """Nothing that is not exactly method SP target SP version CRLF reaches the upstream."""
    refused(stage, case, (400, 405, 501, 505))


@cases(VERSIONS)
def test_only_versions_1_0_and_1_1_are_spoken(stage: Stage, case: bytes) -> None:
    """A version is compared byte for byte; it is no number."""
    refused(stage, case, (400, 505))


@cases({f"0x{byte:02x}": bytes([byte]) for byte in [*CONTROLS, *SEPARATORS, 0x80, 0xC3, 0xFF]})
def test_a_method_is_a_token(stage: Stage, case: bytes) -> None:
    """Controls, separators and 8-bit bytes in a method are refused."""
    refused(stage, line(b"GE" + case + b"T / HTTP/1.1"), (400, 501))


@cases({f"0x{byte:02x}": bytes([byte]) for byte in [*CONTROLS, 0x80, 0x85, 0xA0, 0xC3, 0xFF]})
def test_a_target_is_visible_ascii(stage: Stage, case: bytes) -> None:
    """Controls and 8-bit bytes in a target are refused."""
    refused(stage, line(b"GET /a" + case + b"b HTTP/1.1"))


@cases(
    {
        "no leading slash": b"foo",
        "authority form": b"a:80",
        "question mark first": b"?a=1",
        "relative": b"../a",
        "asterisk with GET": b"*",
        "asterisk and more": b"*/a",
        "fragment": b"/a#b",
        "only a fragment": b"#b",
        "fragment in a query": b"/a?b#c",
        "fragment in absolute form": b"http://a/b#c",
        "userinfo": b"http://user@a/",
        "userinfo with password": b"http://user:secret@a/",
        "empty userinfo": b"http://@a/",
        "no authority": b"http:///a",
        "nothing behind the scheme": b"http://",
        "one slash": b"http:/a",
        "no slashes": b"http:a",
        "other scheme": b"ftp://a/",
        "file scheme": b"file:///etc/passwd",
        "no scheme": b"://a/",
        "bad port": b"http://a:8x/",
        "huge port": b"http://a:99999/",
        "negative port": b"http://a:-80/",
        "open bracket": b"http://[::1/",
        "space in the authority": b"http://a b/",
        "backslash in the authority": b"http://a\\b/",
        "quoted": b'"/a"',
    }
)
def test_a_target_that_is_no_target_is_refused(stage: Stage, case: bytes) -> None:
    """Only origin form, absolute form with a plain authority, and `*` for OPTIONS are understood."""
    refused(stage, line(b"GET " + case + b" HTTP/1.1"))


@cases(
    {
        "authority": b"CONNECT a:443 HTTP/1.1",
        "origin form": b"CONNECT /a HTTP/1.1",
        "absolute form": b"CONNECT http://a/ HTTP/1.1",
        "asterisk": b"CONNECT * HTTP/1.1",
        "no port": b"CONNECT a HTTP/1.1",
    }
)
def test_connect_is_refused(stage: Stage, case: bytes) -> None:
    """The router is no forward proxy."""
    refused(stage, line(case), (400, 405, 501))


@cases({method.decode(): method for method in [b"GET", b"HEAD", b"POST", b"DELETE", b"BREW"]})
def test_the_asterisk_is_for_options_only(stage: Stage, case: bytes) -> None:
    """`*` with any other method is refused."""
    refused(stage, line(case + b" * HTTP/1.1"))


METHODS = [
    *(b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE"),
    *(b"PROPFIND", b"MKCOL", b"REPORT", b"M-SEARCH", b"PURGE", b"QUERY", b"BREW", b"get", b"Get", b"G", b"GETT"),
    *(b"!#$%&'*+-.^_`|~0", b"0"),
]


@cases({method.decode(): method for method in METHODS})
def test_any_token_is_a_method_and_is_forwarded_as_it_is(stage: Stage, case: bytes) -> None:
    """Methods are case-sensitive and their list is open."""
    forwarded(stage, line(case + b" / HTTP/1.1"), method=case)


TARGETS = {
    "root": b"/",
    "query": b"/a?b=c&d=e",
    "empty query": b"/a?",
    "question marks": b"/a?b?c",
    "slashes in the query": b"/a?b=/../c",
    "double slash first": b"//a/b",
    "double slashes": b"/a//b///c",
    "trailing slash": b"/a/",
    "parameters": b"/a;b=c/d;e",
    "escapes in lower case": b"/%e4%bd%a0",
    "escapes in upper case": b"/%E4%BD%A0",
    "escaped slash": b"/a%2Fb%2fc",
    "escaped letters": b"/%61%62",
    "plus": b"/a+b?c+d",
    "sub-delimiters": b"/!$&'()*+,;=:@-._~",
    "a URI in the path": b"/http://b/c",
    "a colon first": b"/:a",
    "an at sign": b"/@a",
    "8000 bytes": b"/" + b"a" * 7999,
    "15000 bytes": b"/" + b"a" * 14999,
}


@cases(TARGETS)
def test_a_target_is_forwarded_byte_for_byte(stage: Stage, case: bytes) -> None:
    """No decoding, no folding of slashes, no re-quoting."""
    forwarded(stage, line(b"GET " + case + b" HTTP/1.1"), target=case)


@cases(
    {
        "path and query": (b"GET http://b/c?d HTTP/1.1", b"GET", b"/c?d", b"b"),
        "no path": (b"GET http://b HTTP/1.1", b"GET", b"/", b"b"),
        "no path but a query": (b"GET http://b?c HTTP/1.1", b"GET", b"/?c", b"b"),
        "port": (b"GET http://b:8080/c HTTP/1.1", b"GET", b"/c", b"b:8080"),
        "IPv6": (b"GET http://[::1]:8080/c HTTP/1.1", b"GET", b"/c", b"[::1]:8080"),
        "scheme in upper case": (b"GET HTTP://b/c HTTP/1.1", b"GET", b"/c", b"b"),
        "double slash in the path": (b"GET http://b//c HTTP/1.1", b"GET", b"//c", b"b"),
        "at sign in the path": (b"GET http://b/@c HTTP/1.1", b"GET", b"/@c", b"b"),
        "at sign in the query": (b"GET http://b/?c@d HTTP/1.1", b"GET", b"/?c@d", b"b"),
        "POST": (b"POST http://b/c HTTP/1.1", b"POST", b"/c", b"b"),
        "OPTIONS without a path": (b"OPTIONS http://b HTTP/1.1", b"OPTIONS", b"*", b"b"),
        "OPTIONS with a path": (b"OPTIONS http://b/ HTTP/1.1", b"OPTIONS", b"/", b"b"),
        "HTTP/1.0": (b"GET http://b/c HTTP/1.0", b"GET", b"/c", b"b"),
    }
)
def test_an_absolute_target_is_forwarded_in_origin_form(stage: Stage, case: tuple[bytes, bytes, bytes, bytes]) -> None:
    """Host is what the target says, whatever the Host field says (RFC 9112, 3.2.2)."""
    text, method, target, host = case
    forwarded(stage, line(text), method=method, target=target, host=host)


def test_an_absolute_target_does_not_excuse_a_missing_host(stage: Stage) -> None:
    """Host is required in HTTP/1.1, whatever the form of the target."""
    refused(stage, line(b"GET http://b/ HTTP/1.1", b""))


def test_options_asterisk_stays_an_asterisk(stage: Stage) -> None:
    """`OPTIONS *` asks about the server, not about `/*`."""
    forwarded(stage, line(b"OPTIONS * HTTP/1.1"), method=b"OPTIONS", target=b"*")


@cases(
    {
        "https in absolute form": b"https://a/",
        "quotation mark": b'/a"b',
        "angle brackets": b"/<a>",
        "curly brackets": b"/{a}",
        "pipe": b"/a|b",
        "caret": b"/a^b",
        "backtick": b"/a`b",
        "backslash": b"/a\\b",
        "square brackets": b"/a[0]",
        "percent without digits": b"/a%",
        "percent with one digit": b"/a%4",
        "percent with letters": b"/a%zz",
        "escaped NUL": b"/a%00b",
        "escaped line end": b"/a%0d%0ab",
        "dot segment": b"/a/./b",
        "dot-dot segment": b"/a/../b",
        "escaped dot-dot segment": b"/a/%2e%2e/b",
    }
)
def test_a_doubtful_target_is_refused_or_forwarded_byte_for_byte(stage: Stage, case: bytes) -> None:
    """Never repaired."""
    target = b"/" if case.startswith(b"https") else case
    refused_or_forwarded(stage, line(b"GET " + case + b" HTTP/1.1"), (400, 404, 421, 501), target=target)


@cases(
    {
        "target of 20 KB": (line(b"GET /" + b"a" * 20_000 + b" HTTP/1.1"), (400, 414)),
        "target of 1 MB": (line(b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1"), (400, 414)),
        "method of 40 KB": (line(b"G" * 40_000 + b" / HTTP/1.1"), (400, 414, 501)),
        "no line end in 100 KB": (b"A" * 100_000, (400, 414, 501)),
    }
)
def test_an_endless_request_line_is_refused(stage: Stage, case: tuple[bytes, tuple[int, ...]]) -> None:
    """Its length is bounded, and the refusal arrives although more is being sent."""
    sent, statuses = case
    refused(stage, sent, statuses, tail=b"")


def test_one_empty_line_before_a_request_is_forgiven(stage: Stage) -> None:
    """RFC 9112, 2.2."""
    forwarded(stage, b"\r\n" + line(b"GET / HTTP/1.1"))


def test_an_empty_line_between_two_requests_is_forgiven(stage: Stage) -> None:
    """Old clients sent CRLF behind the body of a POST."""
    first = b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
    outcome = stage.play(first + b"\r\n" + line(b"GET /2 HTTP/1.1"), OK, methods=("POST", "GET"))
    assert [b"/1", b"/2"] == [request.target for request in outcome.requests]
    assert [200, 200] == [answer.status for answer in outcome.answers]


def test_endless_empty_lines_are_refused(stage: Stage) -> None:
    """What is forgiven is bounded."""
    refused(stage, b"\r\n" * 50_000 + line(b"GET / HTTP/1.1"), (400, 408, 431), tail=b"")


@cases(
    {
        "GET": (line(b"GET /a?b HTTP/1.1"), b"GET", b"/a?b"),
        "with an empty line first": (b"\r\n" + line(b"GET / HTTP/1.1"), b"GET", b"/"),
        "absolute form": (line(b"GET http://a/b HTTP/1.1"), b"GET", b"/b"),
    }
)
def test_a_request_line_may_come_byte_by_byte(stage: Stage, case: tuple[bytes, bytes, bytes]) -> None:
    """Segments are no boundaries."""
    sent, method, target = case
    forwarded(stage, bytewise(sent), method=method, target=target)


@cases({name: MALFORMED[name] for name in ("line ends with LF", "line ends with CR", "trailing space", "leading CR")})
def test_a_malformed_request_line_is_refused_byte_by_byte(stage: Stage, case: bytes) -> None:
    """Segments hide nothing."""
    refused(stage, bytewise(case))
