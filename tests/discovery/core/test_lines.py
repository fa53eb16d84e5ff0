"""One line in, one request out."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.core.lines import FORMATS, Hit, any_of, recognise

INNER = '1.2.3.4 - - [22/Nov/2026:07:20:28 +0000] "GET /in HTTP/1.1" 200 1'
LINES = {
    "combined": [
        (
            b'1.2.3.4 - - [22/Nov/2026:07:20:28 +0000] "GET /get?a=1 HTTP/1.1" 200 185 "-" "curl/7.88.1"',
            Hit(b"22/Nov/2026:07:20:28 +0000", b"GET", b"/get?a=1", b"200", b""),
        ),
        (
            b'shop.example.com:443 1.2.3.4 - bob [22/Nov/2026:07:20:28 +0000] "POST /a HTTP/2.0" 201 7',
            Hit(b"22/Nov/2026:07:20:28 +0000", b"POST", b"/a", b"201", b"shop.example.com"),
        ),
        (
            b'::1 - - [22/Nov/2026:07:20:28 +0000] "GET /a\\"b HTTP/1.1" 404 -',
            Hit(b"22/Nov/2026:07:20:28 +0000", b"GET", b'/a\\"b', b"404", b""),
        ),
        (
            b'172.17.1.1 - - [28/Sep/2022:13:38:04 +0000] "GET /home.cs HTTP/1.1" - - "-" "x" 45640 "-" "-" 0ms',
            Hit(b"28/Sep/2022:13:38:04 +0000", b"GET", b"/home.cs", b"-", b""),
        ),
    ],
    "envoy": [
        (
            (b'[2026-01-24T01:34:36.743Z] "GET /test HTTP/1.1" 200 - 0 256 50 25 "fd00::5a24" "curl/8" "id" '
            b'"example.com" "tcp://[fd00::e18]:8080"'),
            Hit(b"2026-01-24T01:34:36.743Z", b"GET", b"/test", b"200", b"example.com"),
        ),
        (
            (b'2025-12-31T19:00:00.310000000+01:00 stdout F [2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" '
            b'204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0" "locations" "tcp://10.0.2.1:80"'),
            Hit(b"2016-04-15T20:17:00.310Z", b"POST", b"/api/v1/locations", b"204", b"locations"),
        ),
    ],
    "alb": [
        (
            (b"h2 2026-07-02T22:23:00.186641Z app/lb/50dc 192.0.2.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "
            b'"GET https://w.example:443/a/1?x=2 HTTP/2.0" "curl/7.46.0" ECDHE TLSv1.2 arn'),
            Hit(b"2026-07-02T22:23:00.186641Z", b"GET", b"https://w.example:443/a/1?x=2", b"200", b"w.example"),
        )
    ],
    "haproxy": [
        (
            (b"1.2.3.4:14853 [14/Jan/2015:12:48:57.127] https-in~ app/n1 170/0/0/3/173 200 739 - - --NN 0/0/0/0/0 0/0 "
            b'"GET /x/y HTTP/1.1"'),
            Hit(b"14/Jan/2015:12:48:57.127", b"GET", b"/x/y", b"200", b""),
        )
    ],
    "nginx-proxy-manager": [
        (
            (b'[01/Oct/2025:14:32:18 +0000] BYPASS 302 302 - GET http test.local "/redirect" [Client 172.16.0.50] '
            b'[Length 145] [Gzip -] [Sent-to backend] "x" "-"'),
            Hit(b"01/Oct/2025:14:32:18 +0000", b"GET", b"/redirect", b"302", b"test.local"),
        )
    ],
    "json": [
        (
            b'{"time":"2026-11-22T07:20:28+00:00","method":"GET","uri":"/get","status":200}',
            Hit(b"2026-11-22T07:20:28+00:00", b"GET", b"/get", b"200", b""),
        ),
        (
            b'{"ts":1693840791.75,"request":{"method":"GET","host":"a.example:8080","uri":"/x?y"},"status":0}',
            Hit(b"1693840791.75", b"GET", b"/x?y", b"0", b"a.example:8080"),
        ),
        (
            (b'{"RequestMethod":"POST","RequestPath":"/a","DownstreamStatus":204,"RequestHost":"b.example",'
            b'"StartUTC":"2026-01-08T14:20:00Z"}'),
            Hit(b"2026-01-08T14:20:00Z", b"POST", b"/a", b"204", b"b.example"),
        ),
        (
            b'x stdout F {":authority":"c.example","method":"GET","x-envoy-origin-path":"/p","response_code":301}',
            Hit(b"", b"GET", b"/p", b"301", b"c.example"),
        ),
        (
            b'{"request":"DELETE /a/1 HTTP/1.1","status":"204","time_local":"22/Nov/2026:07:20:28 +0000"}',
            Hit(b"22/Nov/2026:07:20:28 +0000", b"DELETE", b"/a/1", b"204", b""),
        ),
        (
            json.dumps({"log": f"{INNER}\n", "stream": "stdout"}).encode(),
            Hit(b"22/Nov/2026:07:20:28 +0000", b"GET", b"/in", b"200", b""),
        ),
    ],
}  # fmt: skip


def cases() -> Iterator[tuple[str, bytes, Hit]]:
    for name, lines in LINES.items():
        for line, hit in lines:
            yield name, line, hit


@pytest.mark.parametrize(("name", "line", "hit"), list(cases()))
def test_a_line_is_read_by_its_format_and_recognised(name: str, line: bytes, hit: Hit) -> None:
    """What the format says, any of them says too, and a log of such lines is known for what it is."""
    assert hit == FORMATS[name](line)
    assert hit == any_of(line)
    assert name == recognise([line])


@pytest.mark.parametrize(
    "line",
    [
        b"", b"\0\0\0", b"{", b"{}", b"[]", b'{"log": 1, "stream": 2}', b'{"request": {}}', b"\xff\xfe" * 50,
        b'1.2.3.4 - - [29/Jul/2023:10:26:06 -0700] "\\x16\\x03\\x01" 400 157 "-" "-"',
        b'[Thu Oct 13 12:24:49.880562 2022] [auth_basic:error] [pid 10:tid 14] [client 31.33.58.75:50229] AH01618',
        b"192.168.1.4:50033 [28/Feb/2025:02:43:10.123] frontend/backend: SSL handshake failure (error:0A0000C1)",
        b"{" * 60_000, b'{"a":' * 10_000, b'"' * 60_000, b"[" * 60_000, b' "GET /' * 9_000,
        b'{"log":"{\\"log\\":\\"{}\\",\\"stream\\":\\"x\\"}","stream":"x"}',
    ],
)  # fmt: skip
def test_what_is_no_request_is_none(line: bytes) -> None:
    """Handshakes, error logs, binary and endless brackets are no requests, and cost nothing to see through."""
    assert any_of(line) is None
    assert recognise([line]) is None


@given(st.binary(max_size=300))
def test_no_bytes_break_a_format(line: bytes) -> None:
    """A hit or None, whatever comes."""
    found = any_of(line)
    assert found is None or (found.method != b"" and found.target != b"")
