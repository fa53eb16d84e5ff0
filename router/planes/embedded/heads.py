"""Heads of messages: bytes in, one unambiguous meaning or a refusal out.  No sockets.

Strict on purpose: CRLF only, one space between the parts of a first line, nothing that two readers could read
differently.  Lines are judged by `router.core.headers` and the verdicts are remembered in a bounded dictionary, since
most lines of most requests have been seen before; a verdict depends on the line alone, so remembering is safe.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final, final

from router.core.headers import (
    TOKEN,
    BadField,
    Field,
    Kind,
    content_length,
    nominated,
    request_field,
    response_field,
    tokens,
    valid_host,
    without,
)
from router.planes.embedded.bounds import Bounds
from router.telemetry import ErrorCode

CHUNKED: Final = -1
"""Body length of a chunked message."""
UNTIL_CLOSE: Final = -2
"""Body length of an answer that ends with its connection."""

_MEMORY_LINES: Final = 8192
_MEMORY_LINE: Final = 512
"""Lines remembered, and the longest of them in bytes: at most about 4 MiB a worker."""
_MEMORY_ANSWERS: Final = 128
_MEMORY_ANSWER: Final = 1024
"""Heads of answers remembered, and the longest of them."""

HEAD_END: Final = b"\r\n\r\n"
_GET: Final = b"GET"
_HEAD: Final = b"HEAD"
_COMMON_METHODS: Final = frozenset({b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH", b"TRACE"})
_METHOD_LENGTH: Final = 32
_BODILESS: Final = frozenset({204, 304})
_SAME_TARGET: Final = bytes(byte if 0x21 <= byte <= 0x7E and byte != 0x23 else 0x20 for byte in range(0x100))
"""Leaves a request target as it is, unless it has white space, a control, a fragment or what is not ASCII."""
_SAME_RAW_TARGET: Final = _SAME_TARGET[:0x80] + bytes(range(0x80, 0x100))
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?]*)(.*)\Z", re.DOTALL)
_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\Z")
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]\Z")
BARE_LF: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
"""A line end that is only half of one; CR as the very last byte may yet become whole."""

_NEVER_REMEMBERED: Final = frozenset({Kind.REQUEST_ID, Kind.FORWARDED_FOR, Kind.SUBJECT})
"""Lines that hardly ever come twice."""

# Members of an Enum cost a look-up each on the hot path; these are the same objects.
_PASS: Final = Kind.PASS
_DROP: Final = Kind.DROP
_HOST: Final = Kind.HOST
_SUBJECT: Final = Kind.SUBJECT
_KEEP_ALIVE: Final = Kind.KEEP_ALIVE_TOKENS
_DATE: Final = Kind.DATE
_IN_PLACE: Final = frozenset({Kind.EXPECT, Kind.LENGTH, Kind.CODING, Kind.REQUEST_ID})
"""Lines with a meaning for the router that are sent on where they stand."""
_REQUEST_ID_MOST: Final = 128
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
_LENGTH: Final = Kind.LENGTH


class Refused(Exception):
    """A message that is not let through: the status and code for the client, and why, for people."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


@final
class Request:
    """The head of one request.  Most facts have defaults: a common request sets few attributes."""

    method: bytes = b""
    target: bytes = b""
    """As sent, or the origin form of an absolute target."""
    first_line: bytes = b""
    minor: int = 1
    host: bytes = b""
    """The Host value as sent on; empty only in HTTP/1.0."""
    length: int = 0
    """Body length in bytes, or CHUNKED."""
    keep_alive: bool = True
    named: dict[bytes, bytes] | None = None
    """Values that may be a subject, by lower-case name; the first line of each name."""
    forwarded_for: bytes = b""
    forwarded_proto: bytes = b""
    forwarded_host: bytes = b""
    request_id: bytes = b""
    override: bytes = b""
    """The side that the client asks for, whether or not it may."""
    override_token: bytes = b""
    upgrade: bytes = b""
    """The protocol of a WebSocket upgrade, else empty."""
    sized: bool = False
    """The lines say how long the body is."""
    trailers_wanted: bool = False
    last_hop: bool = False
    """Max-Forwards is 0 on OPTIONS or TRACE: the router itself has to answer."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        """The header lines that are passed on, without those the router sets."""


@final
class Answer:
    """The head of one answer."""

    status: int = 0
    minor: int = 1
    status_line: bytes = b""
    length: int = UNTIL_CLOSE
    keep_alive: bool = True
    bodiless: bool = False
    """True: no body by rule (HEAD, 1xx, 204, 304), whatever the head says about a length."""
    dated: bool = False
    upgrade: bytes = b""

    def __init__(self) -> None:
        self.lines: list[bytes] = []


PASSES: Final = Field(Kind.PASS, b"", b"", b"")
"""Remembered for every line that is sent on exactly as it came."""


@final
class Memory:
    """Remembers verdicts on lines; forgets everything when full, which costs a microsecond a line once."""

    __slots__ = ("_met", "answers", "requests", "responses", "statuses", "subject_names")

    def __init__(self, subject_names: Collection[bytes] = ()) -> None:
        self.subject_names = frozenset(subject_names)
        self.answers: dict[bytes, Answer] = {}
        """By their whole heads: of many services they are the same for a second."""
        self._met: set[int] = set()
        """Hashes of heads that came once, since of other services no two are the same."""
        self.requests: dict[bytes, Field] = {}
        self.responses: dict[bytes, Field] = {}
        self.statuses: dict[bytes, tuple[int, int, bytes]] = {}

    def request(self, line: bytes) -> Field:
        """The verdict on a line not remembered yet."""
        field = request_field(line, self.subject_names)
        if field.kind is _HOST and not valid_host(field.value):
            raise BadField("Host is malformed")
        return self._keep(self.requests, line, field)

    def response(self, line: bytes) -> Field:
        """The same for a line of an answer."""
        return self._keep(self.responses, line, response_field(line))

    def _keep(self, known: dict[bytes, Field], line: bytes, field: Field) -> Field:
        if field.kind not in _NEVER_REMEMBERED and len(line) <= _MEMORY_LINE:
            if len(known) >= _MEMORY_LINES:
                known.clear()
            known[line] = PASSES if field.kind is Kind.PASS and field.line == line else field
        return field

    def keep_answer(self, head: bytes, answer: Answer) -> None:
        """Remember an answer if its head has come before."""
        mark = hash(head)
        if mark in self._met:
            if len(self.answers) >= _MEMORY_ANSWERS:
                self.answers.clear()
            self.answers[head] = answer
        else:
            if len(self._met) >= _MEMORY_ANSWERS:
                self._met.clear()
            self._met.add(mark)

    def status(self, line: bytes) -> tuple[int, int, bytes]:
        """(status, minor version, status line to send on) of a status line; raises `BadField`."""
        found = _STATUS.match(line)
        if found is None:
            raise BadField("the status line is malformed")
        known = (int(found[2]), int(found[1]), b"HTTP/1.1 %b %b" % (found[2], found[3] or b""))
        if len(line) <= _MEMORY_LINE:
            if len(self.statuses) >= _MEMORY_LINES:
                self.statuses.clear()
            self.statuses[line] = known
        return known


def parse_request(head: bytes, memory: Memory, limits: Bounds, *, non_ascii_target: bool = False) -> Request:
    """The request whose head this is (without its closing empty line); raises `Refused`."""
    lines = head.split(b"\r\n")
    if len(lines) - 1 > limits.fields:
        raise Refused(431, ErrorCode.HEAD_TOO_LARGE, f"more than {limits.fields} header lines")
    request = Request()
    _first_line(lines[0], request, limits, non_ascii_target=non_ascii_target)
    try:
        special = _sort_request_lines(lines, request, memory, limits)
        if special is not None:
            _apply(special, request)
    except BadField as bad:
        raise Refused(400, ErrorCode.BAD_REQUEST, str(bad)) from None
    return request


def _first_line(line: bytes, request: Request, limits: Bounds, *, non_ascii_target: bool) -> None:
    if len(line) > limits.request_line:
        raise Refused(414, ErrorCode.TARGET_TOO_LONG, f"the request line is longer than {limits.request_line} bytes")
    parts = line.split(b" ")
    if len(parts) != 3:
        raise Refused(400, ErrorCode.BAD_REQUEST, "the request line is not three words with one space between them")
    method, target, version = parts
    if version == b"HTTP/1.1":
        pass
    elif version == b"HTTP/1.0":
        request.minor = 0
        request.keep_alive = False
    elif _VERSION.match(version):
        raise Refused(505, ErrorCode.BAD_VERSION, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    else:
        raise Refused(400, ErrorCode.BAD_REQUEST, "the request line does not end in an HTTP version")
    if method != _GET and method not in _COMMON_METHODS:
        _check_method(method)
    if not target or target.translate(_SAME_RAW_TARGET if non_ascii_target else _SAME_TARGET) != target:
        raise Refused(400, ErrorCode.BAD_REQUEST, "the request target has a character that is not allowed")
    request.method = method
    request.target = target
    request.first_line = line if request.minor else b"%b %b HTTP/1.1" % (method, target)
    if target[0] != 0x2F:
        _unusual_target(request)


def _check_method(method: bytes) -> None:
    if not TOKEN.match(method):
        raise Refused(400, ErrorCode.BAD_REQUEST, "the method is not a token")
    if method == b"CONNECT":
        raise Refused(405, ErrorCode.CONNECT_REFUSED, "this is no tunnelling proxy")
    if len(method) > _METHOD_LENGTH:
        raise Refused(501, ErrorCode.BAD_REQUEST, f"the method is longer than {_METHOD_LENGTH} bytes")


def _unusual_target(request: Request) -> None:
    """`*` for OPTIONS, or absolute form, whose authority replaces Host (RFC 9112 section 3.2.2)."""
    if request.target == b"*":
        if request.method != b"OPTIONS":
            raise Refused(400, ErrorCode.BAD_REQUEST, "the target * is for OPTIONS only")
        return
    found = _ABSOLUTE.match(request.target)
    if found is None:
        raise Refused(400, ErrorCode.BAD_REQUEST, "the request target is neither a path nor an http URI")
    if not valid_host(found[1]):
        raise Refused(400, ErrorCode.BAD_REQUEST, "the authority of the request target is malformed")
    rest = found[2]
    if not rest and request.method == b"OPTIONS":
        rest = b"*"
    elif not rest.startswith(b"/"):
        rest = b"/" + rest
    request.host = found[1]
    request.target = rest
    request.first_line = b"%b %b HTTP/1.1" % (request.method, rest)


def _sort_request_lines(
    lines: list[bytes], request: Request, memory: Memory, limits: Bounds
) -> dict[Kind, list[Field]] | None:
    """Passes common lines on; gathers those that mean something to the router by kind."""
    known = memory.requests
    kept = request.lines
    special: dict[Kind, list[Field]] | None = None
    named: dict[bytes, bytes] | None = None
    authority = request.host
    host: bytes | None = None
    for number in range(1, len(lines)):
        line = lines[number]
        field = known.get(line)
        if field is PASSES:
            kept.append(line)
            continue
        if field is None:
            if len(line) > limits.request_line:
                raise Refused(
                    431, ErrorCode.HEAD_TOO_LARGE, f"a header line is longer than {limits.request_line} bytes"
                )
            field = memory.request(line)
        kind = field.kind
        line = field.line  # as it is sent on
        if kind is _HOST:
            if host is not None:
                raise BadField("more than one Host")
            host = field.value
            kept.append(b"Host: " + authority if authority else line)
        elif kind is _SUBJECT:
            kept.append(line)
            if named is None:
                named = {field.name: field.value}
            else:
                named.setdefault(field.name, field.value)
        elif kind is _PASS:
            kept.append(line)
        elif kind is _KEEP_ALIVE:
            request.keep_alive = True
        elif kind is not _DROP:
            if special is None:
                special = {}
            special.setdefault(kind, []).append(field)
            if kind in _IN_PLACE:
                kept.append(line)
    request.named = named
    request.host = _authority(authority, host, request)
    return special


def _authority(authority: bytes, host: bytes | None, request: Request) -> bytes:
    """The host that counts: the target's if it names one, which does not excuse a missing Host line."""
    if host is not None:
        return authority or host
    if request.minor:
        raise BadField("an HTTP/1.1 request needs exactly one Host")
    if authority:
        request.lines.append(b"Host: " + authority)
    return authority


def _apply(special: dict[Kind, list[Field]], request: Request) -> None:
    """What the less common lines mean."""
    get = special.get
    _body(get(Kind.LENGTH, []), get(Kind.CODING, []), request)
    connection = [field.value for field in get(Kind.CONNECTION, ())]
    if connection:
        _connection(connection, special, request)
    request.forwarded_proto = _last(get(Kind.FORWARDED_PROTO))
    request.forwarded_host = _last(get(Kind.FORWARDED_HOST))
    if fields := get(Kind.REQUEST_ID):
        _request_id(fields, request)
    if not request.minor and Kind.EXPECT in special:  # 100 Continue is not for HTTP/1.0
        request.lines = without(request.lines, {b"expect"})
    request.override = _last(get(Kind.OVERRIDE)).lower()
    request.override_token = _last(get(Kind.OVERRIDE_TOKEN))
    if fields := get(Kind.FORWARDED_FOR):
        request.forwarded_for = b", ".join(field.value for field in fields if field.value)
    if fields := get(Kind.MAX_FORWARDS):
        _max_forwards(fields[-1], request)


def _request_id(fields: list[Field], request: Request) -> None:
    """One that is fit to be passed on is kept; otherwise the router makes one."""
    value = fields[0].value
    if len(fields) == 1 and value and len(value) <= _REQUEST_ID_MOST:
        request.request_id = value
    else:
        request.lines = without(request.lines, {b"x-request-id"})


def _max_forwards(field: Field, request: Request) -> None:
    """RFC 9110 section 7.6.2: one less on OPTIONS and TRACE; other methods and nonsense pass unchanged."""
    if request.method not in {b"OPTIONS", b"TRACE"} or not field.value.isdigit() or len(field.value) > 9:
        request.lines.append(field.line)
    elif int(field.value) == 0:
        request.last_hop = True
    else:
        request.lines.append(b"Max-Forwards: %d" % (int(field.value) - 1))


def _last(fields: list[Field] | None) -> bytes:
    return fields[-1].value if fields else b""


def _body(lengths: list[Field], codings: list[Field], request: Request) -> None:
    """RFC 9112 section 6.3 for requests, with every ambiguity refused."""
    if codings:
        if lengths:
            raise BadField("both Content-Length and Transfer-Encoding")
        if not request.minor:
            raise BadField("Transfer-Encoding in HTTP/1.0")
        _only_chunked([field.value for field in codings])
        request.length = CHUNKED
        request.sized = True
    elif lengths:
        if len(lengths) > 1:
            raise BadField("more than one Content-Length")
        request.length = content_length(lengths[0].value)
        request.sized = True


def _only_chunked(values: list[bytes]) -> None:
    if len(values) == 1 and values[0].lower() == b"chunked":
        return
    codings = tokens(values)
    known = all(TOKEN.match(coding.partition(b";")[0].strip(b" \t")) for coding in codings)
    if codings and known and codings[-1] == b"chunked" and codings.count(b"chunked") == 1 and len(values) == 1:
        raise Refused(501, ErrorCode.UNKNOWN_CODING, "no transfer coding but chunked is understood")
    raise BadField("Transfer-Encoding is not exactly chunked")


def _connection(values: list[bytes], special: dict[Kind, list[Field]], request: Request) -> None:
    options = tokens(values)
    if b"close" in options:
        request.keep_alive = False
    elif b"keep-alive" in options:
        request.keep_alive = True
    if names := nominated(values):
        request.lines = without(request.lines, names)
        if request.named:
            request.named = {name: value for name, value in request.named.items() if name not in names}
        for kind, name in ((Kind.EXPECT, b"expect"), (Kind.MAX_FORWARDS, b"max-forwards")):
            if name in names:
                special.pop(kind, None)
    if b"te" in options and b"trailers" in tokens(field.value for field in special.get(Kind.TE, ())):
        request.trailers_wanted = True
    upgrades = special.get(Kind.UPGRADE, [])
    if b"upgrade" in options and request.minor and request.method == b"GET" and request.length == 0:
        wanted = tokens(field.value for field in upgrades)
        if wanted == [b"websocket"]:
            request.upgrade = upgrades[0].value


def answer_of(head: bytes, memory: Memory, limits: Bounds, method: bytes, *, whole: bool) -> Answer | None:
    """The answer with this head (without its closing empty line); None while that has not come whole.

    Equal heads may give the same object, so nobody changes it.
    Raises `BadField` for what is no answer, and as early as can be for what can never become one.
    """
    if len(head) > limits.head:
        raise BadField("the head of the answer is too long")
    if not whole:
        if BARE_LF.search(head):
            raise BadField("a bare CR or LF in the head of the answer")
        return None
    if method == _HEAD or len(head) > _MEMORY_ANSWER:  # an answer to HEAD has no body, whatever it says
        return parse_answer(head, memory, limits, method)
    answer = memory.answers.get(head)
    if answer is None:
        answer = parse_answer(head, memory, limits, method)
        memory.keep_answer(head, answer)
    return answer


def parse_answer(  # noqa: C901  # one pass over the lines, with one branch for each kind
    head: bytes, memory: Memory, limits: Bounds, method: bytes
) -> Answer:
    """The answer to a request of this method; raises `BadField` when it is not one unambiguous message."""
    lines = head.split(b"\r\n")
    if len(lines) - 1 > limits.fields:
        raise BadField(f"more than {limits.fields} header lines")
    answer = Answer()
    status = memory.statuses.get(lines[0])
    answer.status, answer.minor, answer.status_line = status or memory.status(lines[0])
    if not answer.minor:
        answer.keep_alive = False
    lengths: list[bytes] | None = None
    codings: list[bytes] | None = None
    connection: list[bytes] | None = None
    known = memory.responses
    kept = answer.lines
    for number in range(1, len(lines)):
        line = lines[number]
        field = known.get(line)
        if field is PASSES:
            kept.append(line)
            continue
        if field is None:
            if len(line) > limits.request_line:
                raise BadField("a header line is too long")
            field = memory.response(line)
        kind = field.kind
        line = field.line  # as it is sent on
        if kind is _LENGTH:
            kept.append(line)
            lengths = [field.value] if lengths is None else [*lengths, field.value]
        elif kind is _DATE:
            answer.dated = True
            kept.append(line)
        elif kind is _KEEP_ALIVE:
            answer.keep_alive = True
        elif kind is _PASS:
            kept.append(line)
        elif kind is Kind.CODING:
            kept.append(line)
            codings = [field.value] if codings is None else [*codings, field.value]
        elif kind is Kind.CONNECTION:
            connection = [field.value] if connection is None else [*connection, field.value]
        elif kind is Kind.UPGRADE:
            answer.upgrade = field.value
    if connection is not None:
        _answer_connection(connection, answer)
    answer.length = _answer_length(lengths, codings, answer, method)
    return answer


def _answer_connection(values: list[bytes], answer: Answer) -> None:
    options = tokens(values)
    if b"close" in options:
        answer.keep_alive = False
    elif b"keep-alive" in options:
        answer.keep_alive = True
    if names := nominated(values) - {b"upgrade"}:
        answer.lines = without(answer.lines, names)


def _answer_length(lengths: list[bytes] | None, codings: list[bytes] | None, answer: Answer, method: bytes) -> int:
    """RFC 9112 section 6.3 for answers, with every ambiguity refused.

    For answers that have no body by rule the result is 0; their Content-Length, which describes what GET would
    have sent, is passed on for HEAD and 304.
    """
    if codings is not None:
        if lengths is not None:
            raise BadField("both Content-Length and Transfer-Encoding")
        if not answer.minor:
            raise BadField("Transfer-Encoding in HTTP/1.0")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise BadField("Transfer-Encoding is not exactly chunked")
    length = UNTIL_CLOSE if codings is None else CHUNKED
    if lengths is not None:
        if len(lengths) > 1:
            raise BadField("more than one Content-Length")
        length = content_length(lengths[0])
    status = answer.status
    answer.bodiless = method == b"HEAD" or status in _BODILESS or status < 200
    if not answer.bodiless:
        return length
    if status < 200 or status == 204:
        answer.lines = without(answer.lines, _FRAMING)
    elif length == CHUNKED:
        answer.lines = without(answer.lines, {b"transfer-encoding"})
    return 0
