"""The command line's side of the admin address: one request, one answer, and plain words for everything else."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final

from control.cli_values import parse_url
from control.secret import Secret

TIMEOUT: Final = 30.0
"""Seconds: a change itself is answered within two."""

Json = dict[str, Any]


class CannotAskError(Exception):
    """The admin address could not be asked; the text is for the person at the terminal."""


class NoAnswerError(CannotAskError):
    """Control does not answer, or has broken off; what became of the request is unknown."""


class RefusedError(Exception):
    """The router refused; `problem` is its word (RFC 9457)."""

    def __init__(self, status: int, problem: Json) -> None:
        super().__init__(problem.get("detail", ""))
        self.status = status
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Admin:
    """Where to ask, and as whom."""

    url: str
    token: Secret = field(default_factory=lambda: Secret(""))
    timeout: float = TIMEOUT
    """Seconds."""

    def get(self, path: str) -> Json:
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: object = None, *, expected: int | None = None) -> Json:
        """The JSON that is answered; raises `RefusedError` or `CannotAskError`.  Bytes go as YAML, the rest as JSON."""
        headers: dict[str, str | bytes] = {"Accept": "application/json", "X-Strangler-Actor": user().encode()}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token.reveal()}"
        if expected is not None:
            headers["If-Match"] = f'"{expected}"'
        data: bytes | None = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["Content-Type"] = "application/yaml" if isinstance(body, bytes) else "application/json"
        status, kind, text = self._exchange(method, path, data, headers)
        return self._read(status, kind, text)

    def _exchange(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str | bytes]
    ) -> tuple[int, str, bytes]:
        try:
            place = parse_url(self.url)
        except ValueError as error:
            raise CannotAskError(str(error)) from None
        kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
        connection = kind(place.hostname or "", place.port, timeout=self.timeout)
        try:
            connection.request(method, place.path.rstrip("/") + path, data, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers.get_content_type(), answer.read()
        except ConnectionRefusedError:
            raise NoAnswerError(
                f"nobody listens at {self.url}. Is the router running (`strangler run`)? If it listens elsewhere, "
                "say so with --admin URL or STRANGLER_ADMIN."
            ) from None
        except TimeoutError:
            raise NoAnswerError(
                f"{self.url} did not answer within {self.timeout:g} s; what became of it is unknown"
            ) from None
        except (OSError, HTTPException, UnicodeError) as error:
            raise NoAnswerError(f"{self.url} cannot be asked: {_words(error)}") from None
        finally:
            connection.close()

    def _read(self, status: int, kind: str, text: bytes) -> Json:
        try:
            found = json.loads(text) if kind.endswith("json") else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise CannotAskError(f"{self.url} answers {status} with {kind}: that is not a strangler's admin address")
        if status >= 400:
            raise RefusedError(status, found)
        return found


def _words(error: Exception) -> str:
    """What the system says about it, without its number."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def user() -> str:
    """Who sits at the terminal; behind sudo, who called it."""
    behind = os.environ.get("SUDO_USER", "")
    if behind and os.getuid() == 0:
        return behind
    try:
        import pwd  # noqa: PLC0415 - needed by changes only

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return f"uid {os.getuid()}"
