"""The command line: what it prints, and the exit code that scripts go by."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from control import cli_rollback
from control.api.app import make_app
from control.api.context import Context
from control.cli import main
from control.cli_client import CannotAskError
from control.metrics import Metrics
from control.watcher import look
from router.core.orders import Reach, Scope
from tests.control.stage import ROUTES, Stage

ROOT = Path(__file__).parents[2]


class Said:
    """How a command ended and what it printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err
        assert "Traceback" not in out + err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Awaitable[Said]]


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    await stage.start()
    stage.clock.time = time.time()
    return stage


@pytest.fixture
async def cli(stage: Stage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cli]:
    context = Context(stage.live, stage.traffic, Metrics(stage.live, stage.files), stage.compiler)
    monkeypatch.setenv("SUDO_USER", "")
    async with TestServer(make_app(context, stage.live.events.tell)) as server:
        monkeypatch.setenv("STRANGLER_ADMIN", str(server.make_url("/")))

        async def run(*words: str) -> Said:
            return await asyncio.to_thread(call, capsys, *words)

        yield run


def call(capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    try:
        code = main(words)
    except SystemExit as left:
        code = int(left.code or 0)
    return Said(code, *capsys.readouterr())


# -- reading -----------------------------------------------------------------------------------------------------------


async def test_status_shows_orders_before_routes_before_workers(stage: Stage, cli: Cli) -> None:
    """What was ordered is what an operator looks for first."""
    await stage.live.rollback(Scope(Reach.GROUP, "catalog"), reason="prices odd", actor="kim")
    said = await cli("status")
    assert said.code == 0
    places = [
        said.out.index(text) for text in ("orders in force", "R-1", "3 routes", "\n  product", "\nworkers", "pid 4001")
    ]
    assert places == sorted(places)
    assert said.out.startswith("revision 2, confirmed by 2 of 2 workers")


async def test_status_shouts_about_a_refused_file_and_a_worker_behind(stage: Stage, cli: Cli) -> None:
    """Neither may be missed."""
    stage.fleet.silent = {1}
    await stage.live.rollback(Scope(Reach.ALL), reason="fire", actor="kim")
    await stage.live.load(b"version: 7", actor="file", watched=True)
    said = await cli("status")
    assert "!! routes.yaml is REFUSED; the last good one (" in said.out
    assert "routes.yaml:1:" in said.out
    assert "!! not confirmed by worker 1" in said.out
    assert "BEHIND: runs revision 1, 2 is in force" in said.out


async def test_status_can_be_narrowed(cli: Cli) -> None:
    """By text and by group; the numbers of the whole stay."""
    assert [route["name"] for route in (await cli("status", "CARTS", "--json")).json["routes"]] == [
        "PUT /v1/carts/{cartId}"
    ]
    assert len((await cli("status", "--group", "catalog", "--json")).json["routes"]) == 2


async def test_json_is_what_the_admin_address_says(stage: Stage, cli: Cli) -> None:
    """Programs get the same as the page."""
    found = (await cli("status", "--json")).json
    assert (found["revision"], found["orders"], len(found["workers"])) == (1, [], 2)


async def test_explain_says_where_it_goes_and_why(cli: Cli) -> None:
    """The answer first, then subject, bucket, layers and candidates."""
    said = await cli("explain", "GET", "/v1/products/7", "-H", "X-User-Id: u-1", "-H", "Cookie: sid=2")
    assert said.code == 0
    assert said.out.startswith("GET /v1/products/7 -> ")
    for text in (
        "product (group catalog)",
        "u-1, from header:X-User-Id",
        "flips to",
        "declared",
        "<- rules",
        "* product",
    ):
        assert text in said.out


async def test_explain_refuses_what_is_no_path(cli: Cli) -> None:
    """In the words of the admin address."""
    said = await cli("explain", "GET", "v1")
    assert said.code == 1
    assert said.err.startswith("strangler: refused: path: 'v1' is no path; ")


async def test_history_show_and_orders_tell_who_when_and_why(stage: Stage, cli: Cli) -> None:
    """From the newest revision down to one route."""
    await cli("weight", "product", "30", "--reason", "a quiet week")
    history = await cli("history")
    assert "a quiet week" in history.out
    assert history.out.index("  2  ") < history.out.index("  1  ")
    assert "product: 25% -> 30%" in (await cli("show", "2")).out
    assert "W-1" in (await cli("orders")).out
    assert (await cli("history", "--limit", "1", "--json")).json["revisions"][0]["revision"] == 2
    assert (await cli("show", "99")).code == 1


async def test_plan_says_what_a_file_would_change(cli: Cli, tmp_path: Path) -> None:
    """Nothing takes force."""
    file = tmp_path / "routes.yaml"
    file.write_text(ROUTES.replace("weight: 25", "weight: 35"))
    said = await cli("plan", str(file))
    assert said.code == 0
    assert "product" in said.out
    assert "35 %" in said.out
    assert (await cli("plan", str(tmp_path / "nothing"))).code == 1
    file.write_text("version: 1")
    assert "routes.yaml:1:1: " in (await cli("plan", str(file))).err
    assert (await cli("status", "--json")).json["revision"] == 1


# -- changing ----------------------------------------------------------------------------------------------------------


async def test_a_rollback_prints_everything_in_one_output(cli: Cli) -> None:
    """What went from where to 0, each worker with its time, and the way back."""
    said = await cli("rollback", "--group", "catalog", "--reason", "prices odd")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "rolled back to legacy: group=catalog (R-1) in 0 ms, revision 2"
    assert [line.split() for line in lines[1:3]] == [
        ["product", "25", "%", "->", "0", "%"],
        ["GET,POST", "/v1/products/search", "5", "%", "->", "0", "%"],
    ]
    assert "  worker 0: confirmed in 1.2 ms" in lines
    assert "  new side: 0 req/s, 0 exchanges in flight, 0 tunnels open after 0.0 s" in lines
    assert lines[-1] == "undo: strangler resume R-1 --reason '...'"


async def test_a_rollback_that_is_held_already_says_by_whom(stage: Stage, cli: Cli) -> None:
    """Idempotent: done, and nothing new in the history."""
    await stage.live.rollback(Scope(Reach.ALL), reason="fire", actor="kim")
    said = await cli("rollback", "--all", "--reason", "fire!")
    assert said.code == 0
    assert said.out.startswith("already held by R-1 (kim, ")
    assert "nothing changed, revision 2" in said.out


async def test_an_unconfirmed_change_ends_with_3_and_names_the_worker(stage: Stage, cli: Cli) -> None:
    """It is recorded, and nobody may believe that it has taken everywhere."""
    stage.fleet.silent = {1}
    said = await cli("rollback", "product", "--reason", "fire")
    assert said.code == 3
    assert "worker 1: NOT CONFIRMED, runs revision 1: it has not answered" in said.out
    assert "recorded, but NOT CONFIRMED by worker 1 (runs revision 1)" in said.err


async def test_a_rollback_that_is_not_recorded_says_so(stage: Stage, cli: Cli) -> None:
    """It holds, and a restart before the store answers would forget it."""
    stage.store.failing = "disk full"
    said = await cli("rollback", "--all", "--reason", "fire")
    assert said.code == 0
    assert "NOT RECORDED" in said.out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("rollback", "prodcut", "--reason", "x"), 1, "there is no route 'prodcut'; did you mean 'product'?"),
        (("rollback", "--group", "x", "--reason", "x"), 1, "there is no group 'x'"),
        (("rollback", "--site", "mars", "--reason", "x"), 1, "there is no site 'mars'"),
        (("weight", "prodcut", "5", "--reason", "x"), 1, "there is no route 'prodcut'"),
        (("resume", "R-9", "--reason", "x"), 1, "no order R-9 is in force; no orders are in force"),
        (("rollback", "--last", "--reason", "x"), 0, ""),
    ],
)
async def test_a_refusal_ends_with_1_and_says_what_instead(
    cli: Cli, words: tuple[str, ...], code: int, says: str
) -> None:
    """Nothing takes force by mistake."""
    said = await cli(*words)
    assert code == said.code
    assert says in said.err


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nonsense",),
        ("rollback", "--reason", "x"),
        ("rollback", "product"),
        ("rollback", "product", "--all", "--reason", "x"),
        ("rollback", "product", "--reason", " "),
        ("weight", "product", "--reason", "x"),
        ("weight", "product", "101", "--reason", "x"),
        ("weight", "product", "5.123", "--reason", "x"),
        ("weight", "product", "half", "--reason", "x"),
        ("weight", "product", "5"),
        ("weight", "product", "5", "6", "--reason", "x"),
        ("weight", "product", "5", "--group", "catalog", "--reason", "x"),
        ("resume", "R-1"),
        ("resume", "R-1", "--reason", "x", "--weight", "-1"),
        ("explain", "GET"),
        ("explain", "GET", "/", "-H", "nonsense"),
        ("show", "first"),
        ("history", "--limit", "0"),
        ("status", "--admin", "ftp://x"),
        ("status", "--admin", "http://x:99999"),
        ("run", "--workers", "0"),
        ("run", "--drain", "soon"),
        ("rollback", "--site", "k8s-pangyo", "--over", "5s", "--reason", "x"),
        ("rollback", "--all", "--over", "11m", "--reason", "x"),
        ("rollback", "--since", "an hour", "--reason", "x"),
        ("rollback", "--all", "--confirm-within", "5m", "--reason", "x"),
        ("weight", "product", "5", "--reason", "x", "--for", "2h", "--confirm-within", "1h"),
        ("weight", "product", "5", "--reason", "x", "--override", "everything"),
        ("pin", "product", "sideways", "--reason", "x"),
        ("pin", "--all", "product", "new", "--reason", "x"),
        ("freeze", "--reason", "x"),
        ("diff", "1"),
        ("restore", "1"),
    ],
)
async def test_wrong_usage_ends_with_2(stage: Stage, cli: Cli, words: tuple[str, ...]) -> None:
    """With a word about what is missing or wrong, and nothing has changed."""
    said = await cli(*words)
    assert said.code == 2
    hints = (
        "usage: strangler",
        "write ROUTE PERCENT",
        "not a percentage",
        "write METHOD PATH",
        "write ROUTE",
        "no side",
        "has no share",
    )
    assert any(hint in said.err for hint in hints)
    assert stage.live.revision == 1


async def test_a_weight_takes_a_name_a_glob_or_a_group(stage: Stage, cli: Cli) -> None:
    """Several routes in one step, exactly as many decimals as were written."""
    assert (await cli("weight", "product", "12.34", "--reason", "x", "--json")).json["order"]["weight"] == 12.34
    assert len((await cli("weight", "*product*", "50%", "--reason", "x", "--json")).json["routes"]) == 2
    said = await cli("weight", "--group", "catalog", "100", "--reason", "x")
    assert said.code == 0
    assert "80 %" in said.out
    assert "note: the cap of group catalog holds its routes at 80 %" in said.out
    assert stage.live.revision == 4


async def test_resume_leads_back_and_may_begin_again_with_a_weight(cli: Cli) -> None:
    """What was declared holds again, or the weight does."""
    await cli("rollback", "product", "--reason", "fire")
    said = await cli("resume", "R-1", "--reason", "fixed")
    assert said.out.startswith("R-1 is lifted, revision 3")
    assert "undo" not in said.out
    await cli("rollback", "product", "--reason", "fire")
    said = await cli("resume", "R-2", "--reason", "slowly", "--weight", "1")
    assert said.out.startswith("R-2 is lifted; W-3: weight 1 % route=product, revision 5")


async def test_last_rolls_back_what_was_raised_last(cli: Cli) -> None:
    """The route, or the group, of the newest raise; a rollback or a cut in between does not count."""
    await cli("weight", "product", "60", "--reason", "up")
    await cli("weight", "GET,POST*", "1", "--reason", "down")
    said = await cli("rollback", "--last", "--reason", "odd")
    assert said.out.startswith("rolled back to legacy: route=product (")
    await cli("weight", "--group", "catalog", "70", "--reason", "up")
    await cli("resume", "R-3", "--reason", "up again")
    said = await cli("rollback", "--last", "--reason", "odd")
    assert said.out.startswith("rolled back to legacy: route=product (")


async def test_last_takes_exactly_what_was_raised(stage: Stage, cli: Cli) -> None:
    """Groups that were raised as a whole as such, other routes one by one; each has its way back."""
    text = ROUTES.replace("weight: 25", "weight: 30").replace("new: catalog}\n", "new: catalog, weight: 5}\n", 2)
    await stage.live.load(text.encode(), actor="file")
    said = await cli("rollback", "--last", "--reason", "odd")
    assert said.code == 0
    assert ["product", "PUT /v1/carts/{cartId}"] == [order.scope.name for order in stage.live.orders]
    assert 3 == stage.live.revision, "it is one change"
    assert "undo: strangler resume R-2 --reason '...'" == said.out.splitlines()[-1]
    assert [2, 1] == [said.out.count("undo: strangler resume R-"), said.out.count("\ntraffic\n")]
    again = await cli("rollback", "--last", "--reason", "odd")
    assert "what was raised is at 0 % again already: product, PUT" in again.err
    assert again.code == 1


async def test_since_takes_everything_that_was_raised_in_that_time(stage: Stage, cli: Cli) -> None:
    """What was raised before stays."""
    await cli("weight", "product", "30", "--reason", "old")
    stage.clock.time += 7200
    await cli("weight", "GET,POST*", "40", "--reason", "new")
    stage.clock.time = time.time()
    said = await cli("rollback", "--since", "60m", "--reason", "odd", "--json")
    assert said.code == 0
    assert ["product", "GET,POST /v1/products/search"] == [
        route["name"] for route in (await cli("status", "--json")).json["routes"][:2]
    ]
    assert stage.live.state.routes[1].share == 0


@pytest.fixture
async def timely(stage: Stage) -> AsyncIterator[None]:
    """The time of the machine passes for the engine too."""

    async def tick() -> None:
        while True:
            stage.clock.time = time.time()
            await stage.live.expire()
            await asyncio.sleep(0.01)

    task = asyncio.create_task(tick())
    yield
    task.cancel()


@pytest.mark.usefixtures("timely")
async def test_a_graded_return_is_carried_out_by_control_and_watched(stage: Stage, cli: Cli) -> None:
    """Step by step from the highest share; a cap of somebody else's is left alone, and the order stays."""
    await cli("cap", "--group", "catalog", "20", "--reason", "careful")
    said = await cli("rollback", "--group", "catalog", "--over", "900ms", "--reason", "cold")
    assert said.code == 0, said.err
    assert said.out.startswith("on the way back to legacy: group=catalog (R-2) in ")
    steps = [line.split(" is left")[0] for line in said.out.splitlines() if line.startswith("  at most ")]
    assert ["  at most 15 %", "  at most 10 %", "  at most 5 %"][-len(steps) :] == steps
    assert "  nothing is left, revision 6, confirmed by 2 of 2 workers" in said.out.splitlines()
    assert "undo: strangler resume R-2 --reason '...'" == said.out.splitlines()[-1]
    assert [("cap", 200_000), ("rollback", 0)] == sorted((order.kind.value, order.share) for order in stage.live.orders)
    shares = [change.after for rev in stage.live.history() for change in rev.changes.routes if change.name == "product"]
    assert [0, 50_000, 100_000, 150_000] == shares[:4]


async def test_status_shows_a_rollback_that_is_on_its_way_and_another_overtakes_it(stage: Stage, cli: Cli) -> None:
    """With what is left, and what brings the rest at once."""
    await stage.live.rollback(Scope(Reach.ALL), reason="cold", actor="kim", over=600)
    said = await cli("status")
    assert "R-1   rollback all, on its way: at most 18.75 % is left" in said.out
    assert "at most 18.75 % is left, 0 in 10 min; strangler rollback without --over brings the rest at once" in said.out
    now = await cli("rollback", "--all", "--reason", "fire")
    assert now.out.startswith("rolled back to legacy: all (R-1) in ")
    assert "note: R-1 was on its way, and is at 0 now" in now.out
    assert {0} == {entry.share for entry in stage.live.state.routes}
    assert "on its way" not in (await cli("status")).out


async def test_an_interrupted_graded_return_comes_at_once(
    stage: Stage, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C brings the rest; so does a control that does not come down in time."""
    for trouble in (KeyboardInterrupt, CannotAskError):
        monkeypatch.setattr(cli_rollback, "_watched", _raising(trouble))
        said = await cli("rollback", "--all", "--over", "10m", "--reason", "cold")
        assert (0, True) == (said.code, "everything at once" in said.out)
        assert {0} == {entry.share for entry in stage.live.state.routes}
        await cli("resume", stage.live.orders[0].id, "--reason", "again")


def _raising(trouble: type[BaseException]) -> Callable[..., None]:
    def watched(*_: object) -> None:
        raise trouble("slow")

    return watched


async def test_a_graded_return_that_somebody_lifts_is_not_forced(stage: Stage, cli: Cli) -> None:
    """The command ends with 1 and leaves it lifted."""
    asked = asyncio.create_task(cli("rollback", "--all", "--over", "10m", "--reason", "cold"))
    async with asyncio.timeout(20):
        while not stage.live.orders:
            await asyncio.sleep(0.01)
    await stage.live.resume("R-1", reason="no need", actor="lee")
    said = await asked
    assert (1, ()) == (said.code, stage.live.orders)
    assert "somebody has lifted it" in said.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("pin", "product", "legacy"), "pin legacy route=product"),
        (("pin", "--group", "catalog", "new"), "pin new group=catalog"),
        (("cap", "--all", "30"), "cap 30 % all"),
        (("freeze", "--all"), "freeze all"),
        (("freeze", "GET*"), "freeze route=GET*"),
        (("drain", "k8s-pangyo"), "drain site=k8s-pangyo"),
        (("off", "k8s-pangyo"), "off site=k8s-pangyo"),
        (("weight", "--all", "1"), "weight 1 % all"),
    ],
)
async def test_every_order_is_given_and_lifted(cli: Cli, words: tuple[str, ...], text: str) -> None:
    """Its id, what it is and the way back are printed; it stands among the orders until it is lifted."""
    said = await cli(*words, "--reason", "why not", "--for", "2h")
    assert said.code == 0, said.err
    order = (await cli("orders", "--json")).json["orders"][0]
    assert text == order["text"]
    assert said.out.startswith(f"{order['id']}: {text}, revision 2")
    assert "ends in 2 h" in said.out
    undo = said.out.splitlines()[-1].removeprefix("undo: strangler ").replace("'...'", "over").split()
    assert (await cli(*undo)).code == 0
    assert [] == (await cli("orders", "--json")).json["orders"]


async def test_a_trial_is_confirmed_or_ends(stage: Stage, cli: Cli) -> None:
    """`--confirm-within`, then `confirm`."""
    said = await cli("weight", "product", "30", "--reason", "try", "--confirm-within", "10m")
    assert "ON TRIAL: taken back in 10 min" in said.out
    assert "ON TRIAL: ends in 10 min unless strangler confirm W-1" in (await cli("status")).out
    assert (await cli("confirm", "W-1")).out.startswith("W-1 (weight 30 % route=product) is confirmed and stays")
    assert stage.live.orders[0].expires is None
    assert "was confirmed before: nothing changed" in (await cli("confirm", "W-1")).out
    assert (await cli("confirm", "file")).code == 1


async def test_the_safety_rules_say_what_they_would_allow(stage: Stage, cli: Cli) -> None:
    """A resume that jumps is refused with the weight that would pass; with --override it goes through, on record."""
    await stage.live.load((ROUTES + "safety: {max_step: 10}\n").encode(), actor="file")
    await cli("rollback", "product", "--reason", "odd")
    refused = await cli("resume", "R-1", "--reason", "mended")
    assert refused.code == 1
    assert "max-step: product (routes.yaml:13): 0 % to 25 % is more than 10 points at once" in refused.err
    assert "allowed:  strangler resume R-1 --weight 10 --reason '...'" in refused.err
    assert (await cli("resume", "R-1", "--reason", "mended", "--weight", "10")).code == 0
    jumped = await cli("weight", "product", "60", "--reason", "sure", "--override", "max-step")
    assert "overridden: max-step" in jumped.out
    assert "overridden: max-step (sure)" in (await cli("show", str(stage.live.revision))).out


async def test_revisions_are_compared_and_restored(stage: Stage, cli: Cli) -> None:
    """`diff` and `restore`."""
    await cli("weight", "product", "30", "--reason", "up")
    await cli("weight", "product", "40", "--reason", "more")
    said = await cli("diff", "2", "3")
    assert "- W-1   weight 30 % route=product" in said.out
    assert "+ W-2   weight 40 % route=product" in said.out
    assert ["product", "30", "%", "->", "40", "%"] == said.out.splitlines()[-1].split()
    assert (await cli("restore", "2", "--reason", "too much")).code == 0
    assert stage.live.state.routes[0].share == 300_000
    assert (await cli("restore", "99", "--reason", "x")).code == 1


async def test_a_restore_names_the_rollbacks_that_stay(cli: Cli) -> None:
    """Nobody may believe that they are gone."""
    await cli("rollback", "product", "--reason", "odd")
    said = await cli("restore", "1", "--reason", "as it was")
    assert "note: R-1 (rollback route=product) stays: only resume lifts it" in said.out


# -- bake --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def watched(stage: Stage, tmp_path: Path) -> Path:
    """The routes.yaml on disk; `loading` stands for the watcher."""
    path = tmp_path / "routes.yaml"
    path.write_text("# ours\n" + ROUTES)
    return path


async def loading(stage: Stage, path: Path) -> None:
    known = look(path)
    async with asyncio.timeout(10):
        while (seen := look(path)) == known:
            await asyncio.sleep(0.01)
    await stage.live.load(seen.data or b"", actor="file", watched=True)


def text_of(path: Path) -> str:
    return path.read_text()


async def test_bake_writes_weights_into_the_file_and_their_orders_give_way(
    stage: Stage, cli: Cli, watched: Path
) -> None:
    """Exactly two lines change; no share does; what ends by itself is left alone."""
    await cli("weight", "product", "30", "--reason", "up")
    await cli("weight", "PUT*", "12.5", "--reason", "begin")
    await cli("weight", "GET,POST*", "50", "--reason", "a while", "--for", "2h")
    shares = [entry.share for entry in stage.live.state.routes]
    taken = asyncio.create_task(loading(stage, watched))
    said = await cli("bake", str(watched))
    await taken
    assert said.code == 0, said.err
    assert text_of(watched) == "# ours\n" + ROUTES.replace("weight: 25", "weight: 30").replace(
        'path: "/v1/carts/{cartId}", methods', 'path: "/v1/carts/{cartId}", weight: 12.5, methods'
    )
    assert shares == [entry.share for entry in stage.live.state.routes]
    assert ["W-3"] == [order.id for order in stage.live.orders]
    assert "cleared: W-1, W-2, the file says it now" in said.out
    assert "left alone: W-3: what ends by itself does not belong into the file" in said.out


async def test_bake_prints_the_patch_of_a_file_that_cannot_be_written(
    stage: Stage, cli: Cli, watched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The patch alone on standard output; nothing is changed."""
    await cli("weight", "product", "30", "--reason", "up")
    monkeypatch.setattr("control.cli_bake.os.access", lambda *_: False)
    before = text_of(watched)
    said = await cli("bake", str(watched))
    assert said.code == 1
    assert "cannot be written (Permission denied); the patch:" in said.err
    changed = [line for line in said.out.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}]
    assert [line[:1] for line in changed] == ["-", "+"]
    assert "weight: 30" in changed[1]
    assert before == text_of(watched)
    assert ["W-1"] == [order.id for order in stage.live.orders]
    assert (await cli("bake", str(watched), "--patch")).code == 0


async def test_bake_refuses_a_file_that_is_not_what_is_in_force(cli: Cli, watched: Path) -> None:
    """Its weights would be mixed with others."""
    await cli("weight", "product", "30", "--reason", "up")
    other = await asyncio.to_thread(watched.with_name, "other.yaml")
    await asyncio.to_thread(other.write_text, text_of(watched).replace("weight: 25", "weight: 26"))
    said = await cli("bake", str(other))
    assert said.code == 1
    assert "does not say what is in force" in said.err


async def test_bake_lifts_an_order_that_says_what_the_file_says(stage: Stage, cli: Cli, watched: Path) -> None:
    """No edit would make it give way."""
    await cli("weight", "product", "25", "--reason", "to be sure")
    said = await cli("bake", str(watched))
    assert said.code == 0
    assert "nothing to bake" in said.out
    assert stage.live.orders == ()


async def test_the_actor_is_the_person_at_the_terminal(stage: Stage, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind sudo, the one who called it."""
    monkeypatch.setenv("SUDO_USER", "kim")
    monkeypatch.setattr("os.getuid", lambda: 0)
    await cli("rollback", "--all", "--reason", "fire")
    assert stage.live.orders[0].actor == "kim"


async def test_a_refusal_is_json_too(cli: Cli) -> None:
    """Programs read the problem, people the sentence."""
    said = await cli("rollback", "nothing", "--reason", "x", "--json")
    assert (said.code, said.json["code"], said.json["status"]) == (1, "unknown-route", 404)


async def test_a_rollback_waits_for_a_silent_control_where_the_workers_are_not_at_hand(
    stage: Stage, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its successor takes what has queued up."""
    monkeypatch.setattr("control.emergency.absent", lambda *_: "it gave no sign of life")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STRANGLER_STATE", raising=False)
    assert (await cli("rollback", "--group", "catalog", "--reason", "fire")).code == 0
    assert (await cli("rollback", "--all", "--reason", "fire")).code == 0
    assert ["rollback"] * 2 == [order.kind.value for order in stage.live.orders]


# -- nobody there ------------------------------------------------------------------------------------------------------


def test_without_a_router_the_command_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """The address, and how to name another one."""
    with socket.socket() as mute:  # holds the port, and refuses whoever comes
        mute.bind(("127.0.0.1", 0))
        port = mute.getsockname()[1]
        said = call(capsys, "status", "--admin", f"http://127.0.0.1:{port}")
    assert said.code == 1
    assert f"nobody listens at http://127.0.0.1:{port}" in said.err
    assert "strangler run" in said.err
    assert "STRANGLER_ADMIN" in said.err


@pytest.mark.parametrize("answer", ["hello", '{"half": ', "[1]"])
async def test_something_else_at_the_address_is_named(capsys: pytest.CaptureFixture[str], answer: str) -> None:
    """Another program's answer is no status."""

    async def handler(_: web.Request) -> web.Response:
        return web.Response(text=answer, content_type="application/json")

    app = web.Application()
    app.router.add_get("/api/v1/status", handler)
    async with TestServer(app) as server:
        said = await asyncio.to_thread(call, capsys, "status", "--admin", str(server.make_url("/")))
    assert said.code == 1
    assert "not a strangler's admin address" in said.err


async def test_the_token_is_sent_and_never_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a bearer, from the environment."""
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.json_response({"detail": "no", "status": 403}, status=403)

    app = web.Application()
    app.router.add_get("/api/v1/orders", handler)
    monkeypatch.setenv("STRANGLER_TOKEN", "secret-7")
    async with TestServer(app) as server:
        said = await asyncio.to_thread(call, capsys, "orders", "--admin", str(server.make_url("/")))
    assert (1, ["Bearer secret-7"]) == (said.code, seen)
    assert "secret-7" not in said.out + said.err


def test_an_admin_address_for_everybody_refuses_to_start(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """There are no tokens yet; nothing is created either."""
    state = tmp_path / "state"
    said = call(capsys, "run", "--admin", "0.0.0.0:0", "--listen", "127.0.0.1:0", "--state", str(state))
    assert said.code == 1
    assert "not loopback" in said.err
    assert not state.exists()


# -- check -------------------------------------------------------------------------------------------------------------


def test_check_needs_no_router(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A good file: a summary and 0."""
    file = tmp_path / "routes.yaml"
    file.write_text(ROUTES)
    said = call(capsys, "check", str(file))
    assert (0, "") == (said.code, said.err)
    assert f"{file} is fine: 3 routes (2 with a share on the new side), 1 groups, 2 upstreams" in said.out


def test_check_prints_all_problems_with_their_places(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """And ends with 1."""
    file = tmp_path / "routes.yaml"
    file.write_text(ROUTES.replace("weight: 25", "weight: 250").replace("legacy: monolith", "legacy: nobody"))
    said = call(capsys, "check", str(file))
    assert said.code == 1
    lines = said.out.splitlines()
    assert [f"{file}:8:9: ", f"{file}:13:"] == [lines[0][: len(str(file)) + 6], lines[1][: len(str(file)) + 4]]
    assert all("; " in line for line in lines[:2])
    assert lines[-1] == "2 problems"
    found = call(capsys, "check", str(file), "--json").json
    assert (False, 2, 8) == (found["ok"], len(found["problems"]), found["problems"][0]["line"])


def test_check_reads_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """For pipelines."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\x00")))
    said = call(capsys, "check", "-")
    assert said.code == 1
    assert said.out.startswith("routes.yaml:1:")


def test_check_says_that_a_file_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """In words."""
    said = call(capsys, "check", str(tmp_path / "nothing.yaml"))
    assert said.code == 1
    assert "nothing.yaml cannot be read: No such file or directory" in said.err


# -- the program -------------------------------------------------------------------------------------------------------


def test_it_starts_fast_because_it_imports_little() -> None:
    """A person in a hurry does not wait for a web framework."""
    script = (
        "import sys; from control.cli import main; main(['status', '--admin', 'http://127.0.0.1:1']);"
        "print(sorted({'aiohttp', 'asyncio', 'yaml', 'structlog', 'uvloop', 'sqlite3', 'prometheus_client'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "[]"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """`strangler --help | head -1` ends quietly."""
    command = f"{sys.executable} -m control --help | head -c 1"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert (done.stdout, done.stderr) == ("u", "")


def test_help_names_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """The one page that everybody opens."""
    said = call(capsys, "--help")
    assert said.code == 0
    for word in (
        "run",
        "demo",
        "check",
        "plan",
        "status",
        "explain",
        "weight",
        "rollback",
        "resume",
        "history",
        "show",
    ):
        assert f"    {word} " in said.out
    assert "3 recorded but not confirmed" in " ".join(said.out.split())


# -- looking first -----------------------------------------------------------------------------------------------------


async def test_a_preview_says_what_an_order_would_change_and_changes_nothing(stage: Stage, cli: Cli) -> None:
    """Nobody has to say why who only looks."""
    said = await cli("weight", "--group", "catalog", "50", "--preview")
    assert (0, 1) == (said.code, stage.live.revision)
    assert "25 %" in said.out and "50 %" in said.out and "subjects move" in said.out
    assert "kind" not in (await cli("cap", "product", "10", "--preview", "--json")).json
    assert 2 == (await cli("weight", "product", "50")).code
    assert 2 == (await cli("weight", "product", "50", "--preview", "--reason", "both")).code


async def test_a_preview_that_would_be_refused_says_what_would_pass(tmp_path: Path, cli: Cli, stage: Stage) -> None:
    """And ends with 1, as the order would."""
    assert await stage.live.load((ROUTES + "safety: {max_step: 10}\n").encode(), actor="file")
    said = await cli("weight", "product", "80", "--preview")
    assert 1 == said.code
    assert "max-step" in said.out and "allowed would be 35 %" in said.out
