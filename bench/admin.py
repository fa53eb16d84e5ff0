"""The router's admin address, as far as a benchmark needs it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from typing import Any

from bench.processes import BenchError

POLL = 0.01
PATIENCE = 10.0


class Admin:
    """The few calls that are needed here, over one connection that is kept open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        payload = json.dumps(body) if body is not None else None
        self._connection.request(method, path, payload, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise BenchError(f"{method} {path} answers {answer.status}: {text[:300]!r}")
        found: dict[str, Any] = json.loads(text) if text else {}
        return found

    def settled(self) -> bool:
        """Do all workers have the current revision?"""
        status = self.call("GET", "/api/v1/status")
        return bool(status["workers"]) and all(worker["revision"] == status["revision"] for worker in status["workers"])


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise BenchError(f"not within {PATIENCE:g} s: {what}")
        time.sleep(POLL)
