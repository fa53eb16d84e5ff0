"""The heads that go out: a request's towards its upstream, an answer's towards its client.

Lines of either side pass as they came; here the router's own stand behind them.  What has to be decided before, such as
whether a connection is kept, is decided by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.headers import without
from router.planes.embedded.heads import CHUNKED, UNTIL_CLOSE, Answer, Request

if TYPE_CHECKING:
    from router.core.model import Endpoint
    from router.planes.embedded.client import ClientConnection
    from router.planes.embedded.exchange import Exchange

_WITH_BODY: Final = frozenset({b"POST", b"PUT", b"PATCH"})
"""Methods whose requests say that they have no body (RFC 9110 section 8.6)."""
_LEGACY_ANSWERED: Final = b"X-Strangler-Side: legacy\r\nX-Strangler-Route: "
_NEW_ANSWERED: Final = b"X-Strangler-Side: new\r\nX-Strangler-Route: "


def request_head(request: Request, client: ClientConnection, request_id: bytes, endpoint: Endpoint) -> list[bytes]:
    """The lines of a request as an upstream gets them."""
    lines = [request.first_line]
    lines += request.lines
    lines += client.forwarding_lines(request)
    if not request.request_id:
        lines.append(b"X-Request-Id: " + request_id)
    if not request.sized and request.method in _WITH_BODY:
        lines.append(b"Content-Length: 0")
    if request.upgrade:
        lines.append(b"Connection: Upgrade\r\nUpgrade: " + request.upgrade)
    elif request.trailers_wanted:
        lines.append(b"Connection: TE\r\nTE: trailers")
    if not request.host:
        lines.append(b"Host: " + endpoint.authority.encode())
    return lines


def answer_head(exchange: Exchange, answer: Answer) -> list[bytes]:
    """The lines of an answer as its client gets them."""
    lines = [answer.status_line]
    lines += answer.lines
    if answer.length < 0:  # else a Content-Length stands among the lines
        _say_where_it_ends(answer, lines, chunked=exchange.request.minor > 0)
    if not answer.dated:
        lines.append(exchange.plane.date_line)
    if exchange.handling.shown or exchange.shown:
        lines.append(_exposed(exchange))
    lines.append(b"X-Request-Id: " + exchange.request_id)
    if not exchange.keep_alive:
        lines.append(b"Connection: close")
    elif not exchange.request.minor:
        lines.append(b"Connection: keep-alive")
    return lines


def _say_where_it_ends(answer: Answer, lines: list[bytes], *, chunked: bool) -> None:
    """HTTP/1.0 knows no chunks, so there the end of the connection tells."""
    if chunked:
        if answer.length == UNTIL_CLOSE:
            lines.append(b"Transfer-Encoding: chunked")
    elif answer.length == CHUNKED:
        lines[:] = without(lines, {b"transfer-encoding"})


def switching_head(exchange: Exchange, answer: Answer) -> list[bytes]:
    """The lines of a 101."""
    lines = [answer.status_line, *answer.lines, b"Connection: Upgrade", b"Upgrade: " + answer.upgrade]
    if exchange.shown:
        lines.append(_exposed(exchange))
    lines.append(b"X-Request-Id: " + exchange.request_id)
    return lines


def exposed(exchange: Exchange) -> bytes:
    """The lines that tell the client who was asked, each with its CRLF; empty when it is not to know."""
    return _exposed(exchange) + b"\r\n" if exchange.prepared and exchange.shown else b""


def _exposed(exchange: Exchange) -> bytes:
    side = _NEW_ANSWERED if exchange.on_new else _LEGACY_ANSWERED
    return side + (exchange.name or exchange.snapshot.name(exchange.place))
