"""Every refusal of the admin address is a problem (RFC 9457): what is wrong, with which field, what to do instead."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web

from router.live import Refusal


class Problem(Exception):
    """A request that is refused; becomes an answer at the border of the application."""

    def __init__(self, status: int, code: str, detail: str, instead: str = "", *, field: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.instead = instead
        self.field = field
        self.problems: Sequence[str] = ()
        self.more: dict[str, Any] = {}
        self.headers: dict[str, str] = {}

    @classmethod
    def of(cls, refusal: Refusal) -> Problem:
        """What the engine has refused."""
        problem = cls(refusal.status, refusal.code, refusal.detail, refusal.instead)
        problem.problems = refusal.problems
        return problem

    def answer(self) -> web.Response:
        """Empty parts are left out."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        parts = {"field": self.field, "instead": self.instead, "problems": list(self.problems), **self.more}
        body |= {name: part for name, part in parts.items() if part}
        data = json.dumps(body).encode()
        return web.Response(
            status=self.status, body=data, content_type="application/problem+json", headers=self.headers
        )


def invalid(field: str, what: str, instead: str) -> Problem:
    """A field of a request that cannot be what it says."""
    return Problem(422, "invalid", what, instead, field=field)
