"""When a try fails: what is tried again, what legacy is asked instead, and what the client is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from router.core.model import (
    Fallback,
    Timeouts,
)
from router.telemetry import WorkerSlot
from tests.router.planes.embedded.stage import (
    BAD,
    FALLBACK,
    NEW,
    NEW_TOO,
    OK,
    Stage,
    code,
    falling_back,
    once,
    route,
    status,
    table,
)

MakeStage = Callable[..., Stage]
WORSE = b"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nworse"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"])
def test_a_stale_connection_is_no_error_of_an_idempotent_request(stage: Stage, method: bytes) -> None:
    """The upstream had closed it just as we wrote: asked again on a connection of its own, at once."""
    wire = stage.warm(stage.new)
    client = stage.ask(method)
    wire.reset()
    stage.settle()
    assert 2 == len(stage.new.wires)
    stage.new.wire.say(b"HTTP/1.1 204 No\r\n\r\n")
    assert 204 == status(client)
    assert 1 == stage.slot(WorkerSlot.STALE_RETRIES)
    assert 0 == stage.slot(WorkerSlot.RETRIES)
    assert {("api", "new", "2xx", "weight"): 2} == stage.counts()


def test_a_clean_close_of_a_stale_connection_is_the_same(stage: Stage) -> None:
    """FIN instead of RST."""
    wire = stage.warm(stage.new)
    client = stage.ask()
    wire.end()
    stage.settle()
    stage.new.wire.say(OK)
    assert 200 == status(client)


def test_a_post_that_may_have_been_delivered_is_told_and_not_repeated(stage: Stage) -> None:
    """Nobody can know whether the order was placed: 502, once on the wire."""
    wire = stage.warm(stage.new)
    client = stage.ask(b"POST", b"/api/1", body=b"order")
    wire.reset()
    stage.settle()
    assert (502, b"upstream-lost") == (status(client), code(client))
    assert 1 == len(stage.new.wires)
    assert 1 == stage.counts()["api", "new", "5xx", "weight"]
    assert {("10.0.0.2", "head"): 1} == stage.errors()


def test_a_post_that_the_route_calls_idempotent_is_repeated(make_stage: MakeStage) -> None:
    """`idempotent: true` says that requests may be sent twice; the body is sent again, too."""
    stage = make_stage(table(route(idempotent=True)))
    wire = stage.warm(stage.new)
    client = stage.ask(b"POST", b"/api/1", body=b"order")
    wire.reset()
    stage.settle()
    assert stage.new.wire.heard.endswith(b"\r\n\r\norder")
    stage.new.wire.say(OK)
    assert 200 == status(client)


def test_a_connection_that_began_to_answer_is_not_stale(stage: Stage) -> None:
    """Half a head is an answer that broke off: the upstream's failure, and told."""
    wire = stage.warm(stage.new)
    client = stage.ask()
    wire.say(b"HTTP/1.1 200 O")
    wire.reset()
    stage.settle()
    assert (502, 0) == (status(client), stage.slot(WorkerSlot.STALE_RETRIES))


def test_a_fresh_connection_that_dies_is_not_stale(stage: Stage) -> None:
    """Nothing suggests that a third one would do better."""
    client = stage.ask()
    stage.new.wire.reset()
    stage.settle()
    assert (502, 1) == (status(client), len(stage.new.wires))


def test_stale_connections_are_tried_a_limited_number_of_times(stage: Stage) -> None:
    """The second try asks for a fresh connection, and when that dies too it is the upstream's failure."""
    wire = stage.warm(stage.new)
    client = stage.ask()
    wire.reset()
    stage.settle()
    stage.new.wire.reset()
    stage.settle()
    assert (502, 2) == (status(client), len(stage.new.wires))


def test_who_refuses_is_replaced_by_another_endpoint(make_stage: MakeStage) -> None:
    """Nothing was delivered, so even a POST goes on to the next endpoint of the same side."""
    stage = make_stage(table(new=(NEW, NEW_TOO)))
    stage.new.refuses = True
    clients = []
    for _ in range(4):
        clients.append(stage.ask(b"POST", b"/api/1", body=b"order"))
        stage.new_too.wire.say(OK)
    assert [200] * 4 == [status(client) for client in clients]
    assert {("api", "new", "2xx", "weight"): 4} == stage.counts()
    assert {("10.0.0.2", "connect")} == set(stage.errors())
    assert stage.errors()["10.0.0.2", "connect"] == stage.slot(WorkerSlot.RETRIES) == 1


def test_when_all_endpoints_refuse_legacy_is_asked(make_stage: MakeStage) -> None:
    """Each of them once; then the fallback, which is counted with its cause."""
    stage = make_stage(table(route(fallback=Fallback(on_connect=True)), new=(NEW, NEW_TOO)))
    stage.new.refuses = stage.new_too.refuses = True
    client = stage.ask(b"POST", b"/api/1", body=b"order")
    assert stage.old.wire.heard.endswith(b"\r\n\r\norder")
    stage.old.wire.say(OK)
    assert b"X-Strangler-Side: legacy" in client.heard
    assert once(side="legacy", reason="fallback") == stage.counts()
    assert {"connect": 1} == stage.fallbacks()
    assert {("10.0.0.2", "connect"): 1, ("10.0.0.3", "connect"): 1} == stage.errors()


def test_without_a_policy_a_refusal_is_told(stage: Stage) -> None:
    """502 with a code and no word about addresses; counted once on the new side."""
    stage.new.refuses = True
    client = stage.ask()
    assert (502, b"upstream-connect") == (status(client), code(client))
    assert b"10.0.0" not in client.heard
    assert (once("5xx"), {}) == (stage.counts(), stage.fallbacks())


def test_a_connect_that_takes_too_long_is_a_refusal(make_stage: MakeStage) -> None:
    """After the route's own time, not earlier."""
    stage = make_stage(table(route(timeouts=Timeouts(connect=2.0), fallback=Fallback(on_connect=True))))
    stage.new.hangs = True
    client = stage.ask()
    stage.advance(1.9)
    assert [] == stage.old.wires
    stage.advance(0.5)
    stage.old.wire.say(OK)
    assert (200, {"connect": 1}) == (status(client), stage.fallbacks())


def test_a_status_that_the_route_names_is_hidden_by_legacys_answer(make_stage: MakeStage) -> None:
    """The client sees legacy's answer only; the hidden one is counted as a fallback and its connection ended."""
    stage = make_stage(falling_back())
    client = stage.ask()
    stage.new.wire.say(BAD)
    stage.settle()
    stage.old.wire.say(OK)
    stage.settle()
    assert client.heard.endswith(b"\r\n\r\nok")
    assert b"X-From: new" not in client.heard
    assert (once(side="legacy", reason="fallback"), {"status": 1}) == (stage.counts(), stage.fallbacks())
    assert stage.new.wire.closed


@pytest.mark.parametrize("trouble", ["refuses", "resets", "nonsense"])
@pytest.mark.parametrize("complete", [True, False])
def test_when_legacy_does_no_better_the_client_gets_the_original_answer(
    make_stage: MakeStage, trouble: str, complete: bool
) -> None:
    """All of it, also what comes of it only later; counted as the new side's, and as a fallback that was tried."""
    stage = make_stage(falling_back())
    stage.old.refuses = trouble == "refuses"
    client = stage.ask()
    stage.new.wire.say(BAD if complete else BAD[:-2])
    stage.settle()
    if trouble == "resets":
        stage.old.wire.reset()
    elif trouble == "nonsense":
        stage.old.wire.say(b"what?\r\n\r\n")
    stage.settle()
    if not complete:
        stage.new.wire.say(BAD[-2:])
    assert client.heard.endswith(b"\r\n\r\nbad")
    assert b"X-Strangler-Side: new" in client.heard
    assert b"X-From: new" in client.heard
    assert (once("5xx"), {"status": 1}) == (stage.counts(), stage.fallbacks())
    assert 1 == len(stage.pool(NEW).idle)
    assert stage.new.wire.reading, "whoever uses the connection next must get an answer"


def test_an_original_answer_waits_for_a_client_that_does_not_keep_up(make_stage: MakeStage) -> None:
    """As any other does: what follows is read when the client has taken what came first."""
    stage = make_stage(falling_back())
    stage.old.hangs = True
    client = stage.ask()
    stage.new.wire.say(BAD[:-2])
    client.full()
    stage.advance(6)
    assert (True, False) == (client.heard.endswith(b"\r\n\r\nb"), stage.new.wire.reading)
    client.drained()
    assert stage.new.wire.reading
    stage.new.wire.say(BAD[-2:])
    assert client.heard.endswith(b"\r\n\r\nbad")


def test_an_original_answer_whose_rest_never_comes_is_cut(make_stage: MakeStage) -> None:
    """The upstream died while legacy was asked: the client must be able to see that something is missing."""
    stage = make_stage(falling_back())
    stage.old.refuses = True
    client = stage.ask()
    stage.new.wire.say(BAD[:-2])
    stage.new.wire.reset()
    stage.settle()
    assert client.heard.endswith(b"\r\n\r\nb")
    assert client.closed
    assert once("5xx") == stage.counts()


def test_any_answer_of_legacy_is_better_than_the_hidden_one(make_stage: MakeStage) -> None:
    """Also a 500 or 503: legacy is what the client would have got without the migration."""
    stage = make_stage(falling_back())
    client = stage.ask()
    stage.new.wire.say(BAD)
    stage.settle()
    stage.old.wire.say(WORSE)
    assert client.heard.endswith(b"\r\n\r\nworse")
    assert once("5xx", "legacy", "fallback") == stage.counts()


@pytest.mark.parametrize(
    ("settings", "method"),
    [({"fallback": Fallback(on_connect=True)}, b"GET"), ({"fallback": FALLBACK}, b"POST"), ({}, b"GET")],
)
def test_a_bad_status_is_passed_on_when_the_rule_says_so(
    make_stage: MakeStage, settings: dict[str, object], method: bytes
) -> None:
    """No policy for this status, or a method that must not be repeated."""
    stage = make_stage(table(route(**settings)))
    client = stage.ask(method)
    stage.new.wire.say(BAD)
    stage.settle()
    assert (503, [], {}) == (status(client), stage.old.wires, stage.fallbacks())
    assert client.heard.endswith(b"\r\n\r\nbad")


def test_legacy_never_falls_back(make_stage: MakeStage) -> None:
    """Its bad answer is the answer."""
    stage = make_stage(falling_back(weight=0))
    client = stage.ask()
    stage.old.wire.say(BAD)
    stage.settle()
    assert (503, 1, []) == (status(client), len(stage.old.wires), stage.new.wires)


def test_an_answer_in_time_or_legacys(make_stage: MakeStage) -> None:
    """504 is what a timeout would tell; a route that hides 504 asks legacy instead."""
    stage = make_stage(falling_back(timeouts=Timeouts(head=5.0)))
    client = stage.ask()
    stage.advance(4.9)
    assert not stage.new.wire.closed
    stage.advance(0.4)
    assert stage.new.wire.closed
    stage.old.wire.say(OK)
    assert (200, {"timeout": 1}) == (status(client), stage.fallbacks())
    assert once(side="legacy", reason="fallback") == stage.counts()


def test_without_a_policy_a_timeout_is_told(make_stage: MakeStage) -> None:
    """504, and the connection is not used again."""
    stage = make_stage(table(route(timeouts=Timeouts(head=5.0))))
    client = stage.ask()
    stage.advance(5.3)
    assert (504, b"upstream-timeout") == (status(client), code(client))
    assert stage.new.wire.aborted
    assert once("5xx") == stage.counts()


@pytest.mark.parametrize(
    "nonsense",
    [b"what?\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"HTTP/1.1 200 OK\n\n",
     b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000, SWITCH, b"HTTP/1.1 100 C\r\n\r\n" * 101],
)  # fmt: skip
def test_an_answer_that_is_none_is_never_passed_on(stage: Stage, nonsense: bytes) -> None:
    """502 with the code for it; not even a fallback could make it an answer."""
    client = stage.ask()
    stage.new.wire.say(nonsense)
    heard = client.heard.replace(b"HTTP/1.1 100 C\r\n\r\n", b"")
    assert heard.startswith(b"HTTP/1.1 502 ")
    assert b"X-Strangler-Error: upstream-protocol" in heard
    assert stage.new.wire.aborted
    assert {("10.0.0.2", "protocol"): 1} == stage.errors()
    assert once("5xx") == stage.counts()


def test_repeats_stop_at_the_budget(make_stage: MakeStage) -> None:
    """Three at a time and no more while little is under way: the rest is told, and that is counted."""
    stage = make_stage(falling_back())
    clients = []
    for _ in range(5):
        clients.append(stage.ask())
        stage.new.wire.reset()
        stage.settle()
    assert 3 == len(stage.old.wires)
    assert 3 == stage.plane.repeats
    assert [502, 502] == [status(client) for client in clients[3:]]
    assert 2 == stage.slot(WorkerSlot.BUDGET_REFUSALS)
    for wire in stage.old.wires:
        wire.say(OK)
    assert 0 == stage.plane.repeats
    assert {("api", "legacy", "2xx", "fallback"): 3, ("api", "new", "5xx", "weight"): 2} == stage.counts()


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_new_side_that_refuses_connections_costs_no_budget(make_stage: MakeStage, method: bytes) -> None:
    """Nothing was delivered: however many there are, all go to legacy, and others still have their whole budget."""
    stage = make_stage(falling_back())
    stage.new.refuses = True
    clients = [stage.ask(method) for _ in range(9)]
    assert (9, 0) == (len(stage.old.wires), stage.plane.repeats)
    assert (9, {"connect": 9}) == (stage.slot(WorkerSlot.RETRIES), stage.fallbacks())
    stage.new.refuses = False
    clients += [stage.ask() for _ in range(3)]
    for wire in stage.new.wires:
        wire.reset()
    stage.settle()
    for wire in stage.old.wires:
        wire.say(OK)
    assert [200] * 12 == [status(client) for client in clients]
    assert 0 == stage.slot(WorkerSlot.BUDGET_REFUSALS)
    assert {("api", "legacy", "2xx", "fallback"): 12} == stage.counts()


@pytest.mark.parametrize(("method", "told"), [(b"GET", 200), (b"POST", 502)])
def test_the_budget_refuses_only_what_the_rule_would_repeat(make_stage: MakeStage, method: bytes, told: int) -> None:
    """A stale connection costs no budget, and what is told by rule is no refusal of the budget."""
    stage = make_stage(falling_back())
    for _ in range(3):
        stage.ask()
        stage.new.wire.say(BAD)
        stage.settle()
    assert 3 == stage.plane.repeats
    wire = stage.warm(stage.new)
    client = stage.ask(method)
    wire.reset()
    stage.settle()
    if told == 200:
        stage.new.wire.say(OK)
    assert (told, 0) == (status(client), stage.slot(WorkerSlot.BUDGET_REFUSALS))


def test_a_status_over_the_budget_is_passed_on_and_counted(make_stage: MakeStage) -> None:
    """The client gets the new side's answer as it is."""
    stage = make_stage(falling_back())
    clients = []
    for _ in range(4):
        clients.append(stage.ask())
        stage.new.wire.say(BAD)
        stage.settle()
    assert (503, 1) == (status(clients[3]), stage.slot(WorkerSlot.BUDGET_REFUSALS))
    assert {"status": 3} == stage.fallbacks()
