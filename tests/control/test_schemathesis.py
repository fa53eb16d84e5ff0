"""The served OpenAPI document, taken at its word: schemathesis asks everything it allows and much that it does not."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import schemathesis
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig

from control.api import openapi
from control.api.access import Access
from control.api.app import make_app
from control.api.context import Context
from control.api.endpoints import ENDPOINTS
from control.api.idempotency import KEY
from control.auth import tokens
from control.auth.roles import TOKEN_ROLES, Role
from control.auth.throttle import Throttle
from control.metrics import Metrics
from control.options import Options
from control.series import Series
from tests.control.stage import Stage

STREAMS = "/api/v1/events"
"""It has no end; tests of its own look at it."""

CONFIG = SchemathesisConfig.from_dict(
    {
        # A request may be right in itself and wrong in what it meets: another revision, an order that is gone.
        "checks": {
            "positive_data_acceptance": {
                "expected-statuses": ["2xx", 401, 403, 404, 409, 412],
            },
            "negative_data_rejection": {
                "expected-statuses": [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 421, 422],
            },
        },
        "operations": [
            # What is right here cannot be said in a schema: a routes.yaml, and what goes with what in a query.
            {
                "include-path-regex": "^/api/v1/(check|plan|explain|rollouts|shadow|series|progress|discover)",
                "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", 401, 403, 404, 409, 412, 422]}},
            }
        ],
    }
)
NEEDED = {(each.method, each.path): each for each in ENDPOINTS}
schema = schemathesis.openapi.from_dict(openapi.build(ENDPOINTS), config=CONFIG)
numbers = itertools.count()


async def one_worker() -> tuple[dict[str, Any], ...]:
    """What a worker was asked for that no route takes."""
    return ({"found": [["GET", "/a", 200, 3]], "more": 0},)


class Served:
    """A control side in memory, on a thread with a loop of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.errors: list[object] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self.secrets = {
            role: tokens.create(self.folder, role.label, role, time.time(), None).reveal() for role in TOKEN_ROLES
        }
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    async def _start(self) -> None:
        stage = Stage(self.folder)
        await stage.start()
        access = Access.of(Options(state=self.folder), stage.live.events)
        access.throttle = Throttle(time.time, failures=1_000_000)  # it fails on purpose, and often
        context = Context(stage.live, stage.traffic, Metrics(stage.live, stage.files), stage.compiler)
        context.rollouts = stage.rollouts()
        context.unlisted = one_worker
        context.series = Series(stage.files, stage.route_blocks, dict, stage.clock)
        self.server = TestServer(make_app(context, self._tell, access))
        await self.server.start_server()
        self.url = str(self.server.make_url("")).rstrip("/")

    def _tell(self, name: str, **fields: object) -> None:
        self.errors.append((name, fields))

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.server.close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("state")) as made:
        yield made


@pytest.mark.parametrize("role", TOKEN_ROLES, ids=lambda role: role.label)
@schema.exclude(path=STREAMS).parametrize()
@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_address_keeps_to_its_document(case: Any, served: Served, role: Role) -> None:
    """All checks of schemathesis hold for each role, nothing fails inside, and 403 is for those who may not."""
    token = {"Authorization": f"Bearer {served.secrets[role]}"}
    if KEY.fullmatch(case.headers.get("Idempotency-Key", "")):
        case.headers["Idempotency-Key"] = f"key-{next(numbers):08}"  # another request needs another key
    answer = case.call(base_url=served.url, headers=token)
    status, text = answer.status_code, answer.text
    known = answer.request.headers.get("Authorization") == token["Authorization"]  # some are sent without, on purpose
    case.validate_response(answer, headers=token)
    assert [] == served.errors
    endpoint = NEEDED.get((case.method, case.operation.path))
    needed = Role.METRICS if endpoint is None else endpoint.role  # that there is no such method is said to any token
    if known or (needed is Role.ANYBODY and not (endpoint and endpoint.secured)):
        # What is no HTTP that one can read, or names another host, is refused before anybody is asked who it is.
        assert status in {400, 421} or (role >= needed) is (status not in {401, 403}), text
    else:
        assert status in {400, 401, 421}, text
