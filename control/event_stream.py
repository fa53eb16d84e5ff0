"""The event stream of an admin address, as whoever listens to it on a terminal needs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final

from control.cli_client import Admin, CannotAskError, RefusedError
from control.cli_values import parse_url

PATIENCE: Final = 20.0
"""Seconds without a word, not even a heartbeat, after which a stream is given up."""

Json = dict[str, Any]


class Stream:
    """The event stream of an admin address, opened as often as need be."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self._last = ""
        self.opened = False
        """It has been open at least once."""

    def events(self) -> Iterator[tuple[str, Json]]:
        """Names and fields until the stream ends; raises CannotAskError or RefusedError."""
        place = parse_url(self._admin.url)
        kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
        connection = kind(place.hostname or "", place.port, timeout=PATIENCE)
        try:
            connection.request("GET", f"{place.path.rstrip('/')}/api/v1/events", headers=self._headers())
            answer = connection.getresponse()
            if answer.status != 200:
                raise RefusedError(answer.status, json.loads(answer.read()))
            self.opened = True
            yield from self._messages(answer)
        except ConnectionRefusedError:
            raise CannotAskError(f"nobody listens at {self._admin.url}") from None
        except TimeoutError:
            raise CannotAskError(f"{self._admin.url} has been silent for {PATIENCE:g} s") from None
        except (OSError, HTTPException, ValueError) as error:
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise CannotAskError(f"the stream of {self._admin.url} has broken off: {said}") from None
        finally:
            connection.close()
        raise CannotAskError(f"the stream of {self._admin.url} has ended")

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "text/event-stream"}
        if self._admin.token:
            headers["Authorization"] = f"Bearer {self._admin.token.reveal()}"
        if self._last:
            headers["Last-Event-ID"] = self._last
        return headers

    def _messages(self, lines: Any) -> Iterator[tuple[str, Json]]:
        """Server-sent events: fields a line, an empty line ends one; comments are heartbeats."""
        found: dict[str, str] = {}
        for raw in lines:
            line = raw.decode().rstrip("\r\n")
            if line:
                field, _, value = line.partition(":")
                found[field] = value.removeprefix(" ")
                continue
            self._last = found.get("id", self._last)
            if "data" in found:
                yield found.get("event", "message"), json.loads(found["data"])
            found = {}
