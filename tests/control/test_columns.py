"""Columns say what a walk from block to block would say, whatever the blocks, the files and the numbers in them."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from control.columns import HOLE, NOWHERE, Lanes, Run, lanes_of, relaid

SIZE = 3
MOST = 2**64 - 1

numbers = st.one_of(st.integers(0, 5), st.integers(0, 2**40), st.integers(2**63 - 2, MOST))


@st.composite
def blocks(draw: st.DrawFn) -> dict[str, int]:
    """Some one behind the other, some with holes between them, some where nothing else would lie; in any order."""
    gaps = draw(st.lists(st.sampled_from((0, 0, 0, 1, SIZE, 2 * SIZE, (HOLE + 1) * SIZE)), max_size=12))
    found, at = {}, draw(st.integers(0, 4))
    for number, gap in enumerate(gaps):
        at += gap
        found[f"r{number}"] = at
        at += SIZE
    return dict(draw(st.permutations(list(found.items()))))


def walked(slots: array[int], where: Mapping[str, int], slot: int) -> dict[str, int]:
    """The same number of each block, one by one; 0 beyond the end of the file."""
    return {name: slots[start + slot] if start + slot < len(slots) else 0 for name, start in where.items()}


def named(lanes: Lanes, column: int) -> dict[str, int]:
    values = lanes.values(column)
    return {name: values[lane] for name, lane in lanes.index.items()}


@given(blocks(), st.data())
def test_a_column_is_one_slot_of_every_block(where: dict[str, int], data: st.DataObject) -> None:
    """Also of a file that ends before the last block, or within it."""
    end = max(where.values(), default=0) + SIZE
    slots = array("Q", data.draw(st.lists(numbers, max_size=end + 2)))
    lanes = lanes_of(where, SIZE)
    for slot in range(SIZE):
        assert walked(slots, where, slot) == named(lanes, lanes.read(memoryview(slots), slot))


@given(blocks(), st.data())
def test_what_a_second_block_counts_is_added(where: dict[str, int], data: st.DataObject) -> None:
    """It may lie anywhere, in any order, or be missing; and only some slots of the first have one of the second."""
    second, added = 2, {0: 1, 2: 0}
    places = data.draw(st.permutations(range(0, second * len(where), second)))
    beside = {start: at for start, at in zip(where.values(), places, strict=True) if data.draw(st.booleans())}
    end = max((*where.values(), *beside.values()), default=0) + SIZE
    slots = array("Q", data.draw(st.lists(st.integers(0, 2**40), max_size=end + 2)))
    lanes = lanes_of(where, SIZE, beside, second, added)
    seconds = {name: beside[start] for name, start in where.items() if start in beside}
    for slot in range(SIZE):
        expected = walked(slots, where, slot)
        if slot in added:
            for name, found in walked(slots, seconds, added[slot]).items():
                expected[name] += found
        assert expected == named(lanes, lanes.read(memoryview(slots), slot))


@given(blocks(), st.data())
def test_what_lies_between_the_blocks_counts_for_nobody(where: dict[str, int], data: st.DataObject) -> None:
    """A route that is no more may still have exchanges under way."""
    lanes = lanes_of(where, SIZE)
    column = lanes.column(data.draw(st.lists(numbers, min_size=len(lanes.names), max_size=len(lanes.names))))
    assert sum(named(lanes, column).values()) == sum(lanes.values(column))


@given(st.data())
def test_columns_add_up_lane_by_lane(data: st.DataObject) -> None:
    """No lane ever spills into the next one, as long as sums can be counted."""
    small = st.lists(st.integers(0, 2**62), min_size=4, max_size=4)
    some, more = data.draw(small), data.draw(small)
    lanes = lanes_of({f"r{number}": number * SIZE for number in range(4)}, SIZE)
    found = lanes.values(lanes.column(some) + lanes.column(more))
    assert [one + other for one, other in zip(some, more, strict=True)] == list(found)


@given(st.lists(st.tuples(numbers, numbers), max_size=9))
def test_what_has_risen_is_told_lane_by_lane(pairs: list[tuple[int, int]]) -> None:
    """A lane that has fallen has not risen, and takes nothing from its neighbours; nor does one that is full."""
    lanes = lanes_of({f"r{number}": number * SIZE for number in range(len(pairs))}, SIZE)
    later, earlier = (lanes.column(pair[number] for pair in pairs) for number in (0, 1))
    expected = [max(0, after - before) for after, before in pairs]
    assert expected == list(lanes.values(lanes.risen(later, earlier)))


@given(st.integers(0, 4), st.lists(st.integers(0, 2**70), min_size=2, max_size=2))
def test_numbers_that_nobody_could_have_counted_break_nothing(many: int, columns: list[int]) -> None:
    """What is carried out of the last lane is lost; a liar hurts the counts, and no more."""
    lanes = lanes_of({f"r{number}": number * SIZE for number in range(many)}, SIZE)
    lifted = [column << max(0, 64 * many - 64) for column in columns]
    assert many == len(lanes.values(lanes.risen(*lifted)))


@given(blocks(), st.data())
def test_a_column_is_taken_over_by_name(where: dict[str, int], data: st.DataObject) -> None:
    """Who stays keeps its number; who is new was at 0; who comes back was where it is now."""
    names = sorted(where)
    before = {name: where[name] for name in data.draw(st.lists(st.sampled_from(names), unique=True))} if names else {}
    old, new = lanes_of(before, SIZE), lanes_of(where, SIZE)
    column = old.column(data.draw(st.lists(st.integers(0, MOST), min_size=len(old.names), max_size=len(old.names))))
    now = new.column(data.draw(st.lists(st.integers(0, MOST), min_size=len(new.names), max_size=len(new.names))))
    end = max(before.values(), default=-SIZE) + SIZE
    expected = {
        name: named(old, column)[name] if name in before else 0 if start >= end else named(new, now)[name]
        for name, start in where.items()
    }
    assert expected == named(new, relaid(new, old, new.moved_from(old), column, now))


def test_a_few_routes_that_are_no_more_cut_no_run() -> None:
    """Reading along costs less than beginning anew; a wide gap is stepped over."""
    lanes = lanes_of({"a": 10, "c": 10 + 2 * SIZE, "far": 10 + (4 + HOLE) * SIZE, "off": 11 + (5 + HOLE) * SIZE}, SIZE)
    assert (Run(10, 3), Run(10 + (4 + HOLE) * SIZE, 1), Run(11 + (5 + HOLE) * SIZE, 1)) == lanes.strides.runs
    assert (("a", "", "c", "far", "off"), (1,)) == (lanes.names, lanes.idle)
    assert (Run(NOWHERE, 5),) == lanes.beside.runs


def test_the_second_blocks_of_routes_that_are_no_more_cut_no_run_either() -> None:
    """They lie in the same order, so that one run has them all."""
    beside = {10 + SIZE * number: 100 + 2 * number for number in range(4)}
    lanes = lanes_of({"a": 10, "c": 10 + 2 * SIZE, "d": 10 + 3 * SIZE}, SIZE, beside, 2, {0: 0})
    assert (Run(100, 4),) == lanes.beside.runs
