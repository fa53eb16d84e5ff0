"""The admin address: what it answers, what it refuses and in which words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from control.api import reads
from control.api.app import make_app
from control.api.context import Context
from control.api.stream import LISTENERS
from control.compiler import ChildCompiler
from control.loopback import UnsafeAddressError, check_address
from control.metrics import Metrics
from router.core.orders import Reach, Scope
from router.events import EventName
from router.telemetry import BusyBlock, EndpointBlock, RouteBlock
from tests.control.stage import ROUTES, Stage

Client = TestClient[Any, Any]


def app(stage: Stage) -> web.Application:
    metrics = Metrics(stage.live, stage.files)
    return make_app(Context(stage.live, stage.traffic, metrics, stage.compiler), stage.live.events.tell)


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    await stage.start()
    return stage


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[Client]:
    async with TestClient(TestServer(app(stage))) as client:
        yield client


async def get(client: Client, path: str, status: int = 200, **headers: str) -> Any:
    answer = await client.get(path, headers=headers)
    return await checked(answer, status)


async def send(client: Client, method: str, path: str, body: object, status: int = 200, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await checked(await client.request(method, path, json=body, headers=named), status)


async def checked(answer: ClientResponse, status: int) -> Any:
    text = await answer.text()
    assert status == answer.status, text
    assert answer.content_type == (
        "application/json" if status < 400 or '"ready"' in text else "application/problem+json"
    )
    assert "Traceback" not in text
    return json.loads(text)


async def roll_back(client: Client, scope: dict[str, Any], **headers: str) -> Any:
    return await send(client, "POST", "/api/v1/rollbacks", {"scope": scope, "reason": "prices odd"}, **headers)


async def test_the_status_names_the_newest_rollback(stage: Stage, client: Client) -> None:
    """Given or lifted, whatever came after it; before there was one it says so."""
    assert (await get(client, "/api/v1/status"))["exercised"] is None
    order = (await roll_back(client, {"group": "catalog"}))["order"]["id"]
    await send(client, "DELETE", f"/api/v1/orders/{order}", {"reason": "drill"})
    await send(client, "PUT", "/api/v1/routes/product/weight", {"weight": 30, "reason": "next"})
    found = (await get(client, "/api/v1/status"))["exercised"]
    assert (order, "drill", 3) == (found["order"], found["reason"], found["revision"])


# -- health ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/livez", "/-/livez"])
async def test_the_process_is_alive_whatever_is_in_force(tmp_path: Path, path: str) -> None:
    """Even before the first routes.yaml was accepted."""
    bare = Stage(tmp_path)
    async with TestClient(TestServer(app(bare))) as client:
        assert (await client.get(path)).status == 200
        assert (await client.get("/readyz")).status == 503
        assert (await get(client, "/api/v1/status", 503))["code"] == "not-started"


@pytest.mark.parametrize("path", ["/readyz", "/-/readyz"])
async def test_ready_once_a_worker_has_confirmed(stage: Stage, client: Client, path: str) -> None:
    """One of them is enough; the body says what is in force."""
    stage.fleet.gone = {1}
    found = await get(client, path)
    assert (True, 1, {"confirmed": 1, "connected": 1, "of": 2}) == (
        found["ready"],
        found["revision"],
        found["workers"],
    )


async def test_not_ready_while_no_worker_has_it(tmp_path: Path) -> None:
    """Nobody serves yet."""
    stage = Stage(tmp_path)
    stage.fleet.gone = {0, 1}
    await stage.start()
    async with TestClient(TestServer(app(stage))) as client:
        assert not (await get(client, "/readyz", 503))["ready"]
        stage.fleet.gone = {1}
        assert (await get(client, "/readyz", 503))["workers"]["confirmed"] == 0


async def test_a_change_on_its_way_does_not_take_readiness_back(stage: Stage, client: Client) -> None:
    """Workers that still run the revision before serve; without any worker nobody does."""
    await get(client, "/readyz")
    stage.fleet.silent = {0, 1}
    await stage.live.rollback(Scope(Reach.ALL), reason="fire", actor="kim")
    assert (await get(client, "/readyz"))["workers"]["confirmed"] == 0
    stage.fleet.gone = {0, 1}
    await get(client, "/readyz", 503)


async def test_ready_says_that_the_file_is_refused(stage: Stage, client: Client) -> None:
    """Serving the last good is fine, hiding it is not."""
    await stage.live.load(b"version: 1\nlegacy: x\n", actor="file", watched=True)
    serving = (await get(client, "/readyz"))["serving"]
    assert serving.startswith("last good of 2023-11-14 22:13:20 UTC, file refused at routes.yaml:1:1: ")


# -- reading -----------------------------------------------------------------------------------------------------------


async def test_status_shows_orders_workers_and_every_share(stage: Stage, client: Client) -> None:
    """Declared, ordered, effective and measured stand side by side."""
    await stage.live.weight(Scope(Reach.ROUTE, "product"), 123_400, reason="more", actor="kim")
    worker = stage.worker()
    worker.count("product", times=1)
    await stage.traffic.sample()
    worker.count("product", side=0, times=30)
    worker.count("product", side=1, times=10)
    worker.count("unlisted", times=10)
    stage.clock.time += 5
    await stage.traffic.sample()
    found = await get(client, "/api/v1/status")
    product = found["routes"][0]
    assert (25, 12.34, 12.34, 25.0, 8.0) == tuple(
        product[key] for key in ("declared", "ordered", "effective", "measured", "requests_per_second")
    )
    assert (product["cause"], product["order"]) == ("order", "W-1")
    assert found["routes"][1]["measured"] is None
    assert found["traffic"] == {"requests_per_second": 10.0, "measured": 20.0, "unlisted_per_second": 2.0}
    assert ["weight 12.34 % route=product"] == [order["text"] for order in found["orders"]]
    assert [True, True] == [each["confirmed"] for each in found["workers"]]


async def test_many_routes_are_told_in_slices_and_all_the_same(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the cuts fall, the answer says what it says in one piece."""
    paths = ("/api/v1/status", "/api/v1/routes", "/api/v1/routes?q=products", "/api/v1/routes?offset=1&limit=1")
    whole = [await get(client, path) for path in paths]
    for rows in (1, 2, 3):
        monkeypatch.setattr(reads, "ROWS", rows)
        assert [each["routes"] for each in whole] == [(await get(client, path))["routes"] for path in paths]


async def test_a_weight_that_the_file_has_overtaken_is_not_told_as_ordered(stage: Stage, client: Client) -> None:
    """Nor does an older one show through a newer."""
    for weight, scope in ((30, {"group": "catalog"}), (40, {"route": "product"})):
        await send(client, "POST", "/api/v1/weights", {"scope": scope, "weight": weight, "reason": "next"})
    found = await get(client, "/api/v1/routes")
    told = {each["name"]: (each["ordered"], each["ordered_by"]) for each in found["routes"]}
    assert {
        "product": (40, "W-2"),
        "GET,POST /v1/products/search": (30, "W-1"),
        "PUT /v1/carts/{cartId}": (None, None),
    } == told
    edited = ROUTES.replace("weight: 25, name: product", "weight: 26, name: product")
    await stage.live.load(edited.encode(), actor="kim")
    product = await get(client, "/api/v1/routes/product")
    assert (None, None) == (product["ordered"], product["ordered_by"])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["product", "GET,POST /v1/products/search", "PUT /v1/carts/{cartId}"]),
        ("?group=catalog", ["product", "GET,POST /v1/products/search"]),
        ("?group=", ["PUT /v1/carts/{cartId}"]),
        ("?q=CARTS", ["PUT /v1/carts/{cartId}"]),
        ("?side=new", ["product", "GET,POST /v1/products/search"]),
        ("?side=legacy", ["PUT /v1/carts/{cartId}"]),
        ("?side=new&q=search", ["GET,POST /v1/products/search"]),
        ("?group=nobody", []),
    ],
)
async def test_routes_are_filtered_by_all_that_is_asked(client: Client, query: str, expected: list[str]) -> None:
    """Group, text and side."""
    assert expected == [route["name"] for route in (await get(client, f"/api/v1/routes{query}"))["routes"]]


@pytest.mark.parametrize("query", ["?grupp=catalog", "?side=both"])
async def test_a_misspelt_filter_is_refused(client: Client, query: str) -> None:
    """It must not look like one that lets everything through."""
    assert (await get(client, f"/api/v1/routes{query}", 422))["code"] == "invalid"


@pytest.mark.parametrize("safe", ["", "/"])
async def test_a_route_is_found_by_its_name_with_slashes_and_spaces(client: Client, safe: str) -> None:
    """Escaped altogether, or but for the slashes, or as a parameter."""
    name = "GET,POST /v1/products/search"
    assert (await get(client, f"/api/v1/routes/{quote(name, safe=safe)}"))["declared"] == 5
    assert (await get(client, f"/api/v1/routes?name={quote(name, safe=safe)}"))["name"] == name


async def test_an_unknown_route_is_a_404_that_says_so(client: Client) -> None:
    """With its name and where to look."""
    problem = await get(client, "/api/v1/routes/nothing", 404)
    assert (problem["code"], problem["status"]) == ("unknown-route", 404)
    assert "nothing" in problem["detail"]


async def test_revisions_tell_who_when_why_and_what(stage: Stage, client: Client) -> None:
    """Newest first, page by page; one of them with every route."""
    await stage.live.rollback(Scope(Reach.GROUP, "catalog"), reason="prices odd", actor="kim")
    found = (await get(client, "/api/v1/revisions"))["revisions"]
    assert [2, 1] == [revision["revision"] for revision in found]
    assert ("kim", "order", "prices odd", "R-1") == tuple(
        found[0][key] for key in ("actor", "source", "reason", "order")
    )
    whole = await get(client, "/api/v1/revisions/2")
    assert {"name": "product", "before": 25, "after": 0} in whole["routes"]
    older = (await get(client, "/api/v1/revisions?limit=5&before=2"))["revisions"]
    assert [1] == [revision["revision"] for revision in older]
    await get(client, "/api/v1/revisions/99", 404)
    await get(client, "/api/v1/revisions/x", 422)
    await get(client, "/api/v1/revisions?limit=0", 422)


async def test_history_is_told_from_memory_when_the_store_is_not_there(stage: Stage, client: Client) -> None:
    """3 a.m. is when the disk is full, too."""
    stage.store.failing = "disk full"
    assert [1] == [each["revision"] for each in (await get(client, "/api/v1/revisions"))["revisions"]]


async def test_orders_can_be_read_one_by_one(stage: Stage, client: Client) -> None:
    """With scope, reason and who."""
    await roll_back(client, {"group": "catalog"}, X_Strangler_Actor="kim")
    order = await get(client, "/api/v1/orders/R-1")
    assert ({"group": "catalog"}, "kim", "rollback") == (order["scope"], order["actor"], order["kind"])
    assert [order] == (await get(client, "/api/v1/orders"))["orders"]
    await get(client, "/api/v1/orders/R-9", 404)


async def test_explain_answers_with_everything_that_took_part(client: Client) -> None:
    """Candidates, subject, bucket, layers, side and the weight at which it flips."""
    query = "method=get&path=/v1/products/search&header=X-User-Id:%20u-1&client=10.0.0.1"
    found = await get(client, f"/api/v1/explain?{query}")
    assert ("GET,POST /v1/products/search", "u-1", "header:X-User-Id") == (
        found["route"],
        found["subject"],
        found["subject_source"],
    )
    assert found["share"] == 5
    assert found["flips_at"] * 10_000 >= found["bucket"] + 1 > found["flips_at"] * 10_000 - 100
    assert found["side"] == ("new" if found["flips_at"] <= 5 else "legacy")
    assert ["GET,POST /v1/products/search", "product"] == [each["route"] for each in found["candidates"]]
    assert ["declared", "cap"] == [layer["layer"] for layer in found["layers"]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("method=GET", "path"),
        ("method=GET&path=v1", "path"),
        ("method=G%20T&path=/", "method"),
        ("method=GET&path=/&header=nonsense", "header"),
        ("method=GET&path=/&user=1", "user"),
    ],
)
async def test_explain_says_what_is_wrong_with_a_question(client: Client, query: str, field: str) -> None:
    """The field, and what to write instead."""
    problem = await get(client, f"/api/v1/explain?{query}", 422)
    assert field == problem["field"]
    assert problem["instead"]


async def test_check_lists_every_problem_with_its_place(client: Client) -> None:
    """And accepts what is good, without putting it in force."""
    bad = ROUTES.replace("weight: 25", "weight: 250").replace("legacy: monolith", "legacy: nobody")
    problem = await checked(await client.post("/api/v1/check", data=bad.encode()), 422)
    assert ["routes.yaml:8:", "routes.yaml:13:"] == [line[: line.index(":", 12) + 1] for line in problem["problems"]]
    good = await checked(await client.post("/api/v1/check", data=ROUTES.replace("25", "30").encode()), 200)
    assert (True, 3) == (good["ok"], good["routes"])
    assert (await get(client, "/api/v1/routes/product"))["declared"] == 25


async def test_plan_says_what_would_change(stage: Stage, client: Client) -> None:
    """Routes and shares, how much of the traffic changes side, and which orders would give way."""
    await stage.live.weight(Scope(Reach.ROUTE, "product"), 100_000, reason="more", actor="kim")
    worker = stage.worker()
    await stage.traffic.sample()
    worker.count("product", times=90)
    worker.count("unlisted", times=10)
    stage.clock.time += 5
    await stage.traffic.sample()
    answer = await client.post("/api/v1/plan", data=ROUTES.replace("weight: 25", "weight: 30").encode())
    found = await checked(answer, 200)
    assert [{"name": "product", "before": 10, "after": 30}] == found["routes"]
    assert found["traffic_changing_side"] == 18
    assert [{"order": "W-1", "route": "product"}] == found["superseded"]
    assert ["route product: weight 25 -> 30"] == [line.replace("%", "").replace("  ", " ") for line in found["changes"]]
    assert found["mass_removal"] == []
    cut = ROUTES[: ROUTES.index("routes:")] + "routes: []\n"
    found = await checked(await client.post("/api/v1/plan", data=cut.encode()), 200)
    assert found["mass_removal"]
    assert {"name": "product", "before": 10, "after": None} in found["routes"]
    assert stage.live.revision == 2


async def test_metrics_are_served_as_prometheus_asks(client: Client) -> None:
    """The text format with its version."""
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'strangler_revision{worker="0"} 1' in await answer.text()


# -- changing ----------------------------------------------------------------------------------------------------------


async def test_a_rollback_is_answered_with_order_revision_and_every_worker(stage: Stage, client: Client) -> None:
    """And with what each route had before."""
    found = await roll_back(client, {"group": "catalog"}, X_Strangler_Actor="kim")
    assert ("R-1", "rollback", {"group": "catalog"}, "kim") == tuple(
        found["order"][key] for key in ("id", "kind", "scope", "actor")
    )
    assert (2, True, True, False) == tuple(found[key] for key in ("revision", "confirmed", "persisted", "already"))
    assert [{"id": 0, "revision": 2, "ms": 1.25}, {"id": 1, "revision": 2, "ms": 1.25}] == found["workers"]
    assert {"name": "product", "before": 25, "after": 0} in found["routes"]
    assert 0 == (await get(client, "/api/v1/routes/product"))["effective"]


async def test_a_rollback_that_is_held_already_changes_nothing(client: Client) -> None:
    """The same order is answered, and says so."""
    first = await roll_back(client, {"all": True})
    again = await roll_back(client, {"all": True})
    assert (True, first["revision"], first["order"]) == (again["already"], again["revision"], again["order"])


async def test_a_straggler_is_named_with_what_it_runs(stage: Stage, client: Client) -> None:
    """Recorded, not confirmed: 200, and not a word that claims more."""
    stage.fleet.silent = {1}
    found = await roll_back(client, {"route": "product"})
    assert found["confirmed"] is False
    assert {"id": 1, "revision": 1, "error": "it has not answered"} == found["workers"][1]


async def test_a_rollback_holds_without_the_store_and_says_so(stage: Stage, client: Client) -> None:
    """A weight does not."""
    stage.store.failing = "disk full"
    assert (await roll_back(client, {"all": True}))["persisted"] is False
    body = {"weight": 5, "reason": "more"}
    assert (await send(client, "PUT", "/api/v1/routes/product/weight", body, 503))["code"] == "storage"


@pytest.mark.parametrize("safe", ["", "/"])
async def test_a_weight_is_given_to_a_route_by_its_name(stage: Stage, client: Client, safe: str) -> None:
    """Two decimals, exactly."""
    path = f"/api/v1/routes/{quote('GET,POST /v1/products/search', safe=safe)}/weight"
    found = await send(client, "PUT", path, {"weight": 12.34, "reason": "more"})
    assert [{"name": "GET,POST /v1/products/search", "before": 5, "after": 12.34}] == found["routes"]
    assert 123_400 == stage.live.orders[0].share


async def test_a_weight_for_a_group_is_one_step(client: Client) -> None:
    """All its routes in one revision, under the group's ceiling."""
    body = {"scope": {"group": "catalog"}, "weight": 100, "reason": "all"}
    found = await send(client, "POST", "/api/v1/weights", body)
    assert {("product", 80), ("GET,POST /v1/products/search", 80)} == {
        (route["name"], route["after"]) for route in found["routes"]
    }
    assert any("cap" in note for note in found["notes"])


async def test_a_resume_lifts_the_order_and_may_put_a_weight_in_its_place(client: Client) -> None:
    """What was declared holds again, or the weight does."""
    await roll_back(client, {"route": "product"})
    found = await send(client, "DELETE", "/api/v1/orders/R-1", {"reason": "fixed"})
    assert [{"name": "product", "before": 0, "after": 25}] == found["routes"]
    await roll_back(client, {"route": "product"})
    found = await send(client, "DELETE", "/api/v1/orders/R-2", {"reason": "slowly", "weight": 1})
    assert [{"name": "product", "before": 0, "after": 1}] == found["routes"]
    assert (await send(client, "DELETE", "/api/v1/orders/R-2", {"reason": "x"}, 404))["code"] == "unknown-order"


async def test_a_lost_race_is_a_412(client: Client) -> None:
    """`If-Match` names the revision that the caller has seen."""
    await roll_back(client, {"route": "product"}, If_Match='"1"')
    problem = await send(
        client, "POST", "/api/v1/rollbacks", {"scope": {"all": True}, "reason": "x"}, 412, If_Match='"1"'
    )
    assert problem["code"] == "stale-revision"
    body = {"scope": {"all": True}, "reason": "x"}
    assert (await send(client, "POST", "/api/v1/rollbacks", body, 400, If_Match="abc"))["code"] == "bad-if-match"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"weight": 101, "reason": "x"}, "weight"),
        ({"weight": -1, "reason": "x"}, "weight"),
        ({"weight": 0.001, "reason": "x"}, "weight"),
        ({"weight": True, "reason": "x"}, "weight"),
        ({"weight": "25", "reason": "x"}, "weight"),
        ({"weight": None, "reason": "x"}, "weight"),
        ({"weight": 1e300, "reason": "x"}, "weight"),
        ({"reason": "x"}, "weight"),
        ({"weight": 25}, "reason"),
        ({"weight": 25, "reason": "  "}, "reason"),
        ({"weight": 25, "reason": 7}, "reason"),
        ({"weight": 25, "reason": "x" * 1001}, "reason"),
        ({"weight": 25, "reason": "a\nb"}, "reason"),
        ({"weight": 25, "reason": "x", "wait": 1}, "wait"),
        ([], "body"),
        ("x", "body"),
    ],
)
async def test_a_bad_weight_names_its_field_and_what_to_write(client: Client, body: object, field: str) -> None:
    """Nothing is guessed, nothing takes force."""
    problem = await send(client, "PUT", "/api/v1/routes/product/weight", body, 422)
    assert field == problem["field"]
    assert problem["detail"]
    assert problem["instead"]
    assert (await get(client, "/api/v1/status"))["revision"] == 1


@pytest.mark.parametrize(
    ("scope", "field"),
    [
        ({}, "scope"),
        ({"route": "a", "group": "b"}, "scope"),
        ({"all": False}, "scope.all"),
        ({"all": "yes"}, "scope.all"),
        ({"route": ""}, "scope.route"),
        ({"group": 7}, "scope.group"),
        ({"team": "a"}, "scope.team"),
        ("all", "scope"),
        (None, "scope"),
    ],
)
async def test_a_bad_scope_rolls_back_nothing(client: Client, scope: object, field: str) -> None:
    """Exactly one thing is named, or the request is refused."""
    problem = await send(client, "POST", "/api/v1/rollbacks", {"scope": scope, "reason": "x"}, 422)
    assert field == problem["field"]
    assert [] == (await get(client, "/api/v1/orders"))["orders"]


@pytest.mark.parametrize(
    ("scope", "code"),
    [({"route": "prodcut"}, "unknown-route"), ({"group": "x"}, "unknown-group"), ({"site": "mars"}, "unknown-site")],
)
async def test_a_scope_that_names_nothing_is_refused(client: Client, scope: dict[str, str], code: str) -> None:
    """A typing error must never look like a rollback that worked."""
    problem = await send(client, "POST", "/api/v1/rollbacks", {"scope": scope, "reason": "x"}, 404)
    assert code == problem["code"]
    assert problem["instead"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"reason": "x", "reason": "y", "scope": {"all": true}}', "stands twice"),
        (b'{"reason": "x", "scope": {"all": true, "all": true}}', "stands twice"),
        (b'{"scope": NaN}', "NaN"),
        (b'{"scope": -Infinity}', "Infinity"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 10_000, "not JSON"),
    ],
)
async def test_what_is_not_plain_json_is_refused(client: Client, data: bytes, says: str) -> None:
    """With 400 and a reason, never with a traceback."""
    answer = await client.post("/api/v1/rollbacks", data=data, headers={"Content-Type": "application/json"})
    assert says in (await checked(answer, 400))["detail"]


async def test_a_body_has_a_limit(client: Client) -> None:
    """1 MiB of JSON is refused without being read further."""
    data = BytesIO(b'{"reason": "' + b"x" * 1_100_000 + b'"}')
    answer = await client.post("/api/v1/rollbacks", data=data, headers={"Content-Type": "application/json"})
    assert (await checked(answer, 413))["code"] == "too-large"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_a_change_must_come_as_json(client: Client, kind: str) -> None:
    """A form on somebody's page cannot send that."""
    body = json.dumps({"scope": {"all": True}, "reason": "x"}).encode()
    answer = await client.post("/api/v1/rollbacks", data=body, headers={"Content-Type": kind})
    assert (await checked(answer, 415))["code"] == "media-type"


# -- guards ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example.com", "127.0.0.1.evil.example.com", "", "10.0.0.1:8081", "a:b:c"])
async def test_another_name_for_this_address_is_refused(client: Client, host: str) -> None:
    """A page that points its own name at 127.0.0.1 reads and changes nothing."""
    answer = await client.get("/api/v1/status", headers={"Host": host})
    assert answer.status in {400, 421}
    assert "routes" not in await answer.text()


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "127.9.9.9:80", "[::1]:8081", "LOCALHOST"])
async def test_the_names_of_loopback_are_answered(client: Client, host: str) -> None:
    """Whatever the port: tunnels have their own."""
    assert (await client.get("/livez", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example.com"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
async def test_another_sites_page_changes_nothing(stage: Stage, client: Client, headers: dict[str, str]) -> None:
    """Browsers say where a write comes from."""
    body = {"scope": {"all": True}, "reason": "x"}
    answer = await client.post("/api/v1/rollbacks", json=body, headers=headers)
    assert (await checked(answer, 403))["code"] == "cross-site"
    assert stage.live.orders == ()


async def test_our_own_page_may_write(client: Client) -> None:
    """The same origin is no other site."""
    host = f"127.0.0.1:{client.port}"
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    body = {"scope": {"all": True}, "reason": "x"}
    assert (await client.post("/api/v1/rollbacks", json=body, headers=headers)).status == 200


@pytest.mark.parametrize("path", ["/", "/api/v1/status", "/nothing", "/metrics"])
async def test_every_answer_has_the_security_headers(client: Client, path: str) -> None:
    """No sniffing, no frames, no caches but for the page's own files, which are asked about every time."""
    headers = (await client.get(path)).headers
    assert ("nosniff", "DENY", "no-cache" if path == "/" else "no-store") == tuple(
        headers[name] for name in ("X-Content-Type-Options", "X-Frame-Options", "Cache-Control")
    )
    assert "default-src 'none'" in headers["Content-Security-Policy"]


async def test_unknown_paths_and_methods_are_problems(client: Client) -> None:
    """404 and 405 in the same form as everything else."""
    assert (await get(client, "/api/v1/nothing", 404))["code"] == "http-404"
    answer = await client.post("/api/v1/status")
    assert "GET" in answer.headers["Allow"]
    assert (await checked(answer, 405))["code"] == "http-405"


async def test_a_mistake_of_ours_gives_an_id_and_no_traceback(
    stage: Stage, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has the id and the error, the caller has the id."""
    monkeypatch.setattr(stage.traffic, "rates", lambda: 1 / 0)
    with stage.live.subscribe() as events:
        problem = await get(client, "/api/v1/status", 500)
        event = await anext(events)
    assert "ZeroDivisionError" not in json.dumps(problem)
    assert (event.name, event.fields["reference"]) == (EventName.ADMIN_FAILED, problem["id"])
    assert "ZeroDivisionError" in str(event.fields["error"])


@pytest.mark.parametrize("actor", ["kim", "김철수", ""])
async def test_the_actor_stands_in_the_order(stage: Stage, client: Client, actor: str) -> None:
    """As the caller says; somebody who says nothing is anonymous."""
    found = await roll_back(client, {"all": True}, X_Strangler_Actor=quote(actor) if actor == "kim" else actor)
    assert (actor or "anonymous") == found["order"]["actor"]


async def test_an_endless_actor_is_refused(client: Client) -> None:
    """It would stand in every history."""
    body = {"scope": {"all": True}, "reason": "x"}
    await send(client, "POST", "/api/v1/rollbacks", body, 400, X_Strangler_Actor="x" * 200)


@pytest.mark.parametrize("host", ["0.0.0.0", "", "10.0.0.1", "[::]", "::", "example.com"])
def test_without_tokens_only_loopback_may_be_an_admin_address(host: str) -> None:
    """Anything else refuses to start."""
    with pytest.raises(UnsafeAddressError, match="not loopback"):
        check_address(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "::1", "127.1.2.3"])
def test_loopback_addresses_are_fine(host: str) -> None:
    """Names and both families."""
    check_address(host)


async def test_the_real_compiler_answers_check(stage: Stage) -> None:
    """In a process of its own; nothing that is in use is touched by a question."""
    stage.compiler = ChildCompiler(None)
    async with TestClient(TestServer(app(stage))) as client:
        good = await checked(await client.post("/api/v1/check", data=ROUTES.encode()), 200)
        assert good["routes"] == 3
        bad = await checked(await client.post("/api/v1/check", data=b"version: 2"), 422)
        assert bad["problems"][0].startswith("routes.yaml:1:")
    await stage.compiler.close()


# -- orders of every kind ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "text", "more"),
    [
        ("pins", {"scope": {"route": "product"}, "side": "legacy"}, "pin legacy route=product", {"side": "legacy"}),
        ("caps", {"scope": {"group": "catalog"}, "cap": 12.5}, "cap 12.5 % group=catalog", {"cap": 12.5}),
        ("freezes", {"scope": {"all": True}}, "freeze all", {}),
        ("drains", {"scope": {"site": "k8s-pangyo"}}, "drain site=k8s-pangyo", {}),
        ("weights", {"scope": {"all": True}, "weight": 1}, "weight 1 % all", {"weight": 1.0}),
    ],
)
async def test_every_kind_of_order_has_its_endpoint(
    client: Client, path: str, body: dict[str, Any], text: str, more: dict[str, Any]
) -> None:
    """What was given is answered, with the time at which it ends."""
    found = await send(client, "POST", f"/api/v1/{path}", body | {"reason": "why not", "for": "2h"})
    order = found["order"]
    assert (text, 7200.0, False) == (order["text"], order["expires"] - order["created"], order["provisional"])
    assert more.items() <= order.items()
    assert order == await get(client, f"/api/v1/orders/{order['id']}")
    await send(client, "DELETE", f"/api/v1/orders/{order['id']}", {"reason": "done"})


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("pins", {"scope": {"all": True}}, "side"),
        ("pins", {"scope": {"all": True}, "side": "old"}, "side"),
        ("pins", {"scope": {"site": "k8s-pangyo"}, "side": "new"}, "scope.site"),
        ("caps", {"scope": {"all": True}}, "cap"),
        ("caps", {"scope": {"all": True}, "cap": 5, "for": "2 hours"}, "for"),
        ("caps", {"scope": {"all": True}, "cap": 5, "for": 2}, "for"),
        ("caps", {"scope": {"all": True}, "cap": 5, "for": "2h", "confirm_within": "1h"}, "confirm_within"),
        ("caps", {"scope": {"all": True}, "cap": 5, "override": "max-step"}, "override"),
        ("caps", {"scope": {"all": True}, "cap": 5, "override": ["no-such-rule"]}, "override"),
        ("freezes", {"scope": {"site": "k8s-pangyo"}}, "scope.site"),
        ("drains", {"scope": {"route": "product"}}, "scope"),
        ("rollbacks", {"scope": {"all": True}, "confirm_within": "10m"}, "confirm_within"),
    ],
)
async def test_an_order_that_says_too_little_or_too_much_names_its_field(
    stage: Stage, client: Client, path: str, body: dict[str, Any], field: str
) -> None:
    """And nothing is in force."""
    problem = await send(client, "POST", f"/api/v1/{path}", body | {"reason": "x"}, 422)
    assert field == problem["field"]
    assert problem["instead"]
    assert stage.live.orders == ()


async def test_a_trial_is_confirmed(stage: Stage, client: Client) -> None:
    """It says until when it has to be, and stays then."""
    weight = {"weight": 30, "reason": "try", "confirm_within": "10m"}
    found = await send(client, "PUT", "/api/v1/routes/product/weight", weight)
    assert found["confirm_until"] == found["order"]["created"] + 600
    assert found["order"]["provisional"]
    stale = await send(client, "POST", "/api/v1/orders/W-1/confirm", {}, 412, If_Match='"1"')
    assert stale["code"] == "stale-revision"
    found = await send(client, "POST", "/api/v1/orders/W-1/confirm", {})
    assert "expires" not in found["order"]
    assert (await send(client, "POST", "/api/v1/orders/W-9/confirm", {}, 404))["code"] == "unknown-order"
    assert (await send(client, "POST", "/api/v1/orders/file/confirm", {}, 404))["code"] == "unknown-order"


async def test_the_safety_rules_refuse_with_everything_a_program_needs(stage: Stage, client: Client) -> None:
    """Each violation with its rule, route, line and what would be allowed; overridden it is in force and on record."""
    await stage.live.load((ROUTES + "safety: {max_step: 10}\n").encode(), actor="file")
    weight = {"weight": 60, "reason": "sure"}
    problem = await send(client, "PUT", "/api/v1/routes/product/weight", weight, 409)
    assert ("safety", 35.0) == (problem["code"], problem["allowed"])
    assert [("max-step", "product", 13, 35.0)] == [
        (each["rule"], each["route"], each["line"], each["allowed"]) for each in problem["violations"]
    ]
    found = await send(client, "PUT", "/api/v1/routes/product/weight", weight | {"override": ["max-step"]})
    assert ["max-step"] == [each["rule"] for each in found["overridden"]]
    revision = await get(client, f"/api/v1/revisions/{found['revision']}")
    assert [{"rule": "max-step", "reason": "sure"}] == revision["overridden"]


async def test_a_rollback_says_what_it_skips_and_what_comes_back_to_legacy(stage: Stage, client: Client) -> None:
    """Routes that do not move, each with the reason; rates, and the most that legacy served lately."""
    worker = stage.worker()
    await stage.traffic.sample()
    stage.clock.time += 10
    worker.count("product", side=0, times=100)
    worker.count("product", side=1, times=40)
    await stage.traffic.sample()
    await roll_back(client, {"route": "GET,POST /v1/products/search"})
    found = await roll_back(client, {"all": True})
    assert ["product"] == [route["name"] for route in found["routes"]]
    assert found["skipped"] == [
        {"name": "GET,POST /v1/products/search", "why": "R-1 holds it on legacy already"},
        {"name": "PUT /v1/carts/{cartId}", "why": "it was at 0 % already"},
    ]
    assert (10.0, 4.0, 10.0, True) == (
        found["legacy"]["requests_per_second"],
        found["legacy"]["returning"],
        found["legacy"]["highest"],
        found["legacy"]["above_highest"],
    )
    assert [] == (await roll_back(client, {"all": True}))["skipped"]


async def test_the_traffic_of_an_order_is_what_the_new_side_has_right_now(stage: Stage, client: Client) -> None:
    """Two looks show that nothing goes there any more; at a site the requests to its endpoints are counted."""
    worker = stage.worker()
    start = stage.live.blocks.routes["product"]
    await roll_back(client, {"group": "catalog"})
    before = await get(client, "/api/v1/orders/R-1/traffic")
    worker.count("product", side=1, times=3)
    worker.busy("product", side=1)[BusyBlock.IN_FLIGHT] = 2
    worker.counters.slots[start + RouteBlock.TUNNELS + RouteBlock.SIDE] = 1
    now = await get(client, "/api/v1/orders/R-1/traffic")
    assert (3, 2, 1) == (now["answered"] - before["answered"], now["in_flight"], now["tunnels"])
    await roll_back(client, {"site": "k8s-pangyo"})
    endpoint = stage.live.blocks.endpoints["catalog http://127.0.0.1:9101"]
    worker.counters.slots[endpoint + EndpointBlock.REQUESTS] = 5
    there = await get(client, "/api/v1/orders/R-2/traffic")
    assert (5, None) == (there["answered"], there["in_flight"])
    await get(client, "/api/v1/orders/R-9/traffic", 404)


async def test_revisions_are_compared_and_restored(stage: Stage, client: Client) -> None:
    """What an old one said is in force again, as a new one; If-Match holds here too."""
    for percent in (30, 40):
        await send(client, "PUT", "/api/v1/routes/product/weight", {"weight": percent, "reason": "up"})
    found = await get(client, "/api/v1/revisions/1/diff/3")
    assert [{"name": "product", "before": 25.0, "after": 40.0}] == found["routes"]
    assert ([], ["W-2"]) == (found["orders_gone"], [order["id"] for order in found["orders_given"]])
    body = {"reason": "too much"}
    await send(client, "POST", "/api/v1/revisions/2/restore", body, 412, If_Match='"1"')
    assert 4 == (await send(client, "POST", "/api/v1/revisions/2/restore", body, If_Match='"3"'))["revision"]
    assert 300_000 == stage.live.state.routes[0].share
    await send(client, "POST", "/api/v1/revisions/99/restore", body, 404)
    await get(client, "/api/v1/revisions/1/diff/99", 404)


async def test_a_plan_counts_who_would_notice_and_what_would_be_refused(stage: Stage, client: Client) -> None:
    """Subjects by seed, recent traffic, violations with their lines."""
    worker = stage.worker()
    await stage.traffic.sample()
    stage.clock.time += 10
    worker.count("product", times=50)
    worker.count("PUT /v1/carts/{cartId}", times=50)
    await stage.traffic.sample()
    text = ROUTES.replace("weight: 25", "weight: 45") + "safety: {max_step: 10}\n"
    found = await checked(await client.post("/api/v1/plan", data=text.encode()), 200)
    assert (10.0, 10.0) == (found["traffic_changing_side"], found["traffic_to_new"])
    assert (200_000, {"catalog": 200_000}) == (found["subjects_per_million"], found["subjects_by_seed"])
    assert [("max-step", "product", 13, 35.0)] == [
        (each["rule"], each["route"], each["line"], each["allowed"]) for each in found["violations"]
    ]
    assert stage.live.revision == 1


async def test_revisions_are_listed_whole_on_request(client: Client) -> None:
    """With their routes, so that nobody has to ask for each."""
    await roll_back(client, {"all": True})
    found = (await get(client, "/api/v1/revisions?whole=true"))["revisions"]
    assert ["product", "GET,POST /v1/products/search"] == [route["name"] for route in found[0]["routes"]]
    assert (await get(client, "/api/v1/revisions?whole=yes", 422))["field"] == "whole"


# -- events ------------------------------------------------------------------------------------------------------------


async def lines_until(answer: ClientResponse, start: bytes) -> bytes:
    async with asyncio.timeout(5):
        async for line in answer.content:
            if line.startswith(start):
                return line + await answer.content.readline()
    raise AssertionError(f"the stream ended without {start!r}")


async def test_events_are_streamed_as_they_happen(stage: Stage, client: Client) -> None:
    """Each with its name and its fields."""
    async with client.get("/api/v1/events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert b'"revision": 1' in await lines_until(answer, b"event: hello")
        await stage.live.rollback(Scope(Reach.ALL), reason="fire", actor="kim")
        assert b'"order": "R-1"' in await lines_until(answer, b"event: order.accepted")
        assert b'"action": "rollback"' in await lines_until(answer, b"event: change.confirmed")


async def test_the_number_of_listeners_is_bounded(client: Client) -> None:
    """One more is told to wait, and a place that is left can be taken."""
    async with client.get("/api/v1/events"):
        others = [await client.get("/api/v1/events") for _ in range(LISTENERS - 1)]
        assert (await get(client, "/api/v1/events", 503))["code"] == "too-many-listeners"
        for other in others:
            other.close()


async def test_a_listener_that_does_not_keep_up_is_let_go(stage: Stage, client: Client) -> None:
    """Its stream ends with a word about it; nobody else waits."""
    async with client.get("/api/v1/events") as answer:
        await lines_until(answer, b"event: hello")
        for number in range(300):
            stage.live.events.tell("test.noise", number=number)
        await lines_until(answer, b"event: events.dropped")
        assert await answer.content.read() == b"\n"
