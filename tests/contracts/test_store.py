"""What every `Store` promises, asked of the real one and of its double."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest

from control.stores.memory import Disk, MemoryStore
from control.stores.sqlite import SqliteStore
from router.core.model import Side
from router.core.orders import Easing, Kind, Order, Reach, Scope
from router.ports import (
    KEPT,
    AuditEntry,
    Changes,
    FileState,
    LastGood,
    Past,
    Revision,
    RouteChange,
    Saved,
    State,
    Store,
    Write,
)

Opener = Callable[[], Store]
"""Opens the store; again and again the same one, as a restarted process would."""

ROLLBACK = Order(
    2,
    Kind.ROLLBACK,
    Scope(Reach.GROUP, "catalog"),
    "errors",
    "sre",
    1_700_000_000.25,
    750_000,
    easing=Easing(1_000_000, 1_700_000_000.25, 20.0),
)
WEIGHT = Order(1, Kind.WEIGHT, Scope(Reach.ROUTE, "GET /a/*"), "next", "lead", 1.5, 250_000, {"GET /a/{id}": 5})
PIN = Order(
    3,
    Kind.PIN,
    Scope(Reach.ALL),
    "trial",
    "lead",
    2.5,
    side=Side.NEW,
    expires=99.5,
    provisional=True,
    before=(WEIGHT, ROLLBACK),
)
FILE = FileState(4, 12.5, "digest", "revision 4 was restored over it")


def revision(number: int, **changes: object) -> Revision:
    return Revision(number, 1.5 * number, "sre", "order", "because", f"hash{number}", Changes(**changes))  # type: ignore[arg-type]


def stated(number: int, *orders: Order, text: bytes = b"version: 1\n") -> Write:
    """A write that also says what the revision was computed from."""
    return Write(orders, 9, number, (revision(number),), (), states=(State(number, orders, text),))


def write(*orders: Order, number: int = 1, last_order: int = 2) -> Write:
    audit = AuditEntry(2.5, "sre", "rollback", "all", "because", "{}", '{"a": 0}', number)
    return Write(orders, last_order, number, (revision(number),), (audit,))


@pytest.fixture(params=["sqlite", "memory"])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
    stores: list[Store] = []
    disk = Disk()

    def open_store() -> Store:
        stores.append(SqliteStore(tmp_path / "s.db") if request.param == "sqlite" else MemoryStore(disk))
        return stores[-1]

    yield open_store
    for store in stores:
        await store.close()


async def test_a_new_store_is_empty(opened: Opener) -> None:
    """No orders, no history, no file."""
    assert Saved() == await opened().load()


async def test_everything_comes_back_as_it_was_written(opened: Opener) -> None:
    """After a restart: every field of orders, revisions and the last good file."""
    changes = revision(
        1,
        lines=("one", "two"),
        routes=(RouteChange("a", None, 5), RouteChange("b", 7, None)),
        order="R-2",
        superseded=(("W-1", "a"),),
        overridden=(("max-step", "measured it"),),
        adopted=("E-5f2c",),
    )
    good = LastGood(b"version: 1\n\xff", 12.25)
    await opened().commit(Write((WEIGHT, ROLLBACK, PIN), 3, 1, (changes,), (), good, file=FILE))
    assert Saved((WEIGHT, ROLLBACK, PIN), 3, (changes,), good, FILE) == await opened().load()


async def test_a_write_says_all_orders_there_are(opened: Opener) -> None:
    """Those that it does not name are gone; one that changed is replaced."""
    store = opened()
    await store.commit(write(WEIGHT, ROLLBACK))
    left = Order(1, Kind.WEIGHT, WEIGHT.scope, "next", "lead", 1.5, 250_000, {})
    await store.commit(write(left, number=2))
    assert (left,) == (await opened().load()).orders


async def test_the_highest_order_number_never_goes_down(opened: Opener) -> None:
    """A number that was given out once is not given out again, even when its order is gone."""
    store = opened()
    await store.commit(write(ROLLBACK, last_order=9))
    await store.commit(write(number=2, last_order=3))
    assert 9 == (await opened().load()).last_order


async def test_the_last_good_file_stays_until_there_is_a_newer_one(opened: Opener) -> None:
    """A write without one leaves it alone."""
    store = opened()
    await store.commit(Write((), 0, 1, last_good=LastGood(b"one", 1.0)))
    await store.commit(write(ROLLBACK))
    assert LastGood(b"one", 1.0) == (await store.load()).last_good
    await store.commit(Write((), 0, 1, last_good=LastGood(b"two", 2.0)))
    assert LastGood(b"two", 2.0) == (await opened().load()).last_good


async def test_revisions_later_than_the_one_in_force_are_forgotten(opened: Opener) -> None:
    """That is how a write whose caller gave up is put right."""
    store = opened()
    for number in (1, 2, 3):
        await store.commit(write(number=number))
    await store.commit(Write((), 2, 2))
    assert [2, 1] == [each.number for each in await store.history(10)]
    await store.commit(write(number=3))
    assert [3, 2, 1] == [each.number for each in await opened().history(10)]


async def test_history_is_newest_first_limited_and_can_go_on(opened: Opener) -> None:
    """Page by page to the beginning."""
    store = opened()
    for number in range(1, 8):
        await store.commit(write(number=number))
    assert [7, 6, 5] == [each.number for each in await store.history(3)]
    assert [4, 3, 2] == [each.number for each in await store.history(3, before=5)]
    assert [1] == [each.number for each in await store.history(3, before=2)]
    assert () == await store.history(3, before=1)


async def test_a_revision_is_recalled_with_its_orders_and_its_text(opened: Opener) -> None:
    """Also after a restart, and after its orders have been lifted or changed."""
    store = opened()
    later = replace(WEIGHT, declared={})
    await store.commit(stated(1, WEIGHT, text=b"one"))
    await store.commit(stated(2, WEIGHT, ROLLBACK, text=b"two"))
    await store.commit(stated(3, later, text=b"two"))
    await store.commit(stated(4))
    await store.close()
    again = opened()
    assert Past(revision(1), State(1, (WEIGHT,), b"one")) == await again.recall(1)
    assert Past(revision(2), State(2, (WEIGHT, ROLLBACK), b"two")) == await again.recall(2)
    assert Past(revision(3), State(3, (later,), b"two")) == await again.recall(3)
    assert Past(revision(4), State(4, (), b"version: 1\n")) == await again.recall(4)
    assert None is await again.recall(5)


async def test_several_revisions_in_one_write_are_recalled_each_as_it_was(opened: Opener) -> None:
    """They gather while the store cannot write."""
    store = opened()
    one, two = stated(1, WEIGHT), stated(2, WEIGHT, ROLLBACK)
    await store.commit(Write((ROLLBACK,), 9, 3, (*one.revisions, *two.revisions), (), states=one.states + two.states))
    found = [await store.recall(number) for number in (1, 2)]
    assert [(WEIGHT,), (WEIGHT, ROLLBACK)] == [past and past.state and past.state.orders for past in found]
    assert (ROLLBACK,) == (await opened().load()).orders


async def test_what_is_forgotten_leaves_the_orders_before_it(opened: Opener) -> None:
    """A late write is undone: its orders go, and those it had ended are in force again."""
    store = opened()
    await store.commit(stated(1, WEIGHT))
    await store.commit(stated(2, ROLLBACK))
    await store.commit(Write((WEIGHT,), 9, 1))
    await store.commit(stated(2, WEIGHT, PIN))
    past = await store.recall(2)
    assert past is not None
    assert State(2, (WEIGHT, PIN), b"version: 1\n") == past.state
    assert (WEIGHT, PIN) == (await opened().load()).orders


async def test_only_the_newest_revisions_keep_their_state(opened: Opener) -> None:
    """Older ones are still known, but not what they were computed from."""
    store = opened()
    for number in (1, 2, KEPT + 1, KEPT + 50):
        await store.commit(stated(number, replace(WEIGHT, created=float(number)), text=b"%d" % number))
    assert [None, None] == [past and past.state for past in [await store.recall(n) for n in (1, 2)]]
    assert Past(revision(2), None) == await store.recall(2)
    past = await store.recall(KEPT + 1)
    assert past is not None
    assert State(KEPT + 1, (replace(WEIGHT, created=KEPT + 1.0),), b"501") == past.state


async def test_closing_waits_for_what_was_begun(opened: Opener) -> None:
    """A write that was handed over is not lost by an orderly end."""
    store = opened()
    task = asyncio.create_task(store.commit(write(ROLLBACK)))
    await asyncio.sleep(0)
    await store.close()
    await task
    assert (ROLLBACK,) == (await opened().load()).orders


def test_the_example_orders_say_something_in_every_field() -> None:
    """A field that is added to `Order` must be written here too, or a store could drop it unnoticed."""
    plain = Order(0, Kind.ROLLBACK, Scope(Reach.ALL), "", "", 0.0)
    told = [
        field.name
        for field in fields(Order)
        if any(getattr(each, field.name) != getattr(plain, field.name) for each in (WEIGHT, ROLLBACK, PIN))
    ]
    assert [field.name for field in fields(Order)] == told
