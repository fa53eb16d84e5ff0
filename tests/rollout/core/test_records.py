"""A line of the event log is read as it was written, and a line that lies is refused with what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.evidence import Batch, Counts, Epoch, Evidence, Mark, Shadowed, Step, Tally, Tolerance
from rollout.core.records import BadRecord, batch_from, batch_json, clients_from, firsts_from, firsts_json
from router.core.clients import Firsts

BATCH = Batch(
    1.5,
    (Step("product", 3, 10_000, "catalog", 2, last=True, tolerance=Tolerance(1.1, 0.01, (1.1, 1.2, 1.3), 0.02)),),
    (
        Evidence(
            Epoch("product", 3, 10_000, random=False),
            Counts(100, 1, 90, Tally(1, Mark(1.0, "a"), Mark(1.0, "a")), 95, (Tally(9), Tally(2), Tally()), 5, 80, 1),
            Counts(10, 2, 9, Tally(2, Mark(0.5, "b"), Mark(2.25, "c"))),
            Shadowed(5, Tally(2), 3, Tally(1, Mark(1.0, "d"), Mark(1.0, "d")), 1, 4),
        ),
    ),
    ("cart",),
)


def written(batch: Batch = BATCH) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(batch_json(batch)))
    return document


def test_a_batch_is_read_as_it_was_written() -> None:
    """Nothing is lost between the log and the judgement."""
    assert BATCH == batch_from(written())


def test_an_empty_batch_costs_a_time_only() -> None:
    """A quiet second is a few bytes of log."""
    assert {"at": 7.0} == batch_json(Batch(7.0))
    assert Batch(7.0) == batch_from({"at": 7})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"at": None}, "at must be a number, not None"),
        ({"at": float("nan")}, "at must be a number, not nan"),
        ({"at": True}, "at must be a number, not True"),
        ({"rows": {}}, "rows must be a list"),
        ({"rows": ["x"]}, "rows must be a list of objects, not of 'x'"),
        ({"rows": [{"revision": 1}]}, "route must be text, not None"),
        ({"rows": [{"route": "a", "share": 1_000_001}]}, "share must be a whole number from 0 to 1000000"),
        ({"rows": [{"route": "a", "random": 1}]}, "random must be true or false"),
        ({"rows": [{"route": "a", "new": [1]}]}, r"new must be an object, not \[1\]"),
        ({"rows": [{"route": "a", "new": {"requests": -1}}]}, "requests must be a whole number from 0"),
        ({"rows": [{"route": "a", "new": {"requests": 1 << 60}}]}, "requests must be a whole number from 0"),
        ({"rows": [{"route": "a", "new": {"trials": 1.5}}]}, "trials must be a whole number"),
        ({"rows": [{"route": "a", "new": {"errors": 2, "trials": 1}}]}, "more errors than trials"),
        ({"rows": [{"route": "a", "new": {"slow": [1, 0, 0]}}]}, "more slow than timed"),
        ({"rows": [{"route": "a", "new": {"slow": [0]}}]}, "slow must be a list of 3"),
        ({"rows": [{"route": "a", "new": {"errors": [0, [1, "a"], None]}}]}, "a tally is a count"),
        ({"rows": [{"route": "a", "new": {"trials": 1, "errors": [1, [1, "a" * 300], None]}}]}, "a request is"),
        ({"rows": [{"route": "a", "shadow": {"compared": 1, "mismatches": 2}}]}, "more mismatches than comparisons"),
        ({"rows": [{"route": "a", "shadow": {"tripled": 1, "only_new": 1, "only_legacy": 1}}]}, "more mismatches"),
        ({"steps": [{"route": "a", "run": 0}]}, "the first run has the number 1"),
        ({"steps": [{"route": "a", "tolerance": {"ratio": 0.5}}]}, "a tolerated ratio is from 1 to 1000"),
        ({"steps": [{"route": "a", "tolerance": {"slow": [1, 1, 1001]}}]}, "a tolerated ratio is from 1 to 1000"),
        ({"steps": [{"route": "a", "tolerance": {"floor": 0}}]}, "a tolerated rate between 0 and 1"),
        ({"ended": [1]}, "ended must name routes"),
    ],
)
def test_what_lies_is_refused_with_what_is_wrong(change: dict[str, Any], said: str) -> None:
    """A broken log never becomes a verdict."""
    with pytest.raises(BadRecord, match=said):
        batch_from({"at": 1.0} | change)


def test_a_message_about_a_huge_value_is_short() -> None:
    """A gigabyte of nonsense is not repeated in the log about it."""
    with pytest.raises(BadRecord) as caught:
        batch_from({"at": "x" * 1_000_000})
    assert len(str(caught.value)) < 200


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
PLACES = [("at",), ("steps",), ("rows",), ("rows", 0, "new"), ("rows", 0, "new", "errors"), ("steps", 0, "tolerance")]


@given(place=st.sampled_from(PLACES), value=VALUES)
def test_anything_at_all_is_a_batch_or_a_bad_record(place: tuple[Any, ...], value: Any) -> None:
    """No other exception comes out of reading, whatever stands in the log."""
    document: Any = written()
    inner = document
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = value
    try:
        assert isinstance(batch_from(document), Batch)
    except BadRecord:
        pass


def test_whose_errors_a_line_has_is_read_as_it_was_written() -> None:
    """It is no part of the batch, which says the same without them."""
    batch = Batch(5.0)
    document = json.loads(json.dumps(batch_json(batch, (1, 2**64 - 1))))
    assert (batch, (1, 2**64 - 1)) == (batch_from(document), clients_from(document))
    assert () == clients_from(batch_json(batch))


def test_who_has_been_counted_is_kept() -> None:
    """Both generations, but for those whose errors are in no line yet."""
    firsts = Firsts()
    for client, at in ((1, 0.0), (2, 4000.0), (3, 4000.0)):
        firsts.admits(client, at, failed=True)
    kept = firsts_from(json.loads(json.dumps(firsts_json(firsts, {3}))))
    assert [False, False, True] == [kept.admits(client, 4001.0, failed=False) for client in (1, 2, 3)]


@pytest.mark.parametrize("clients", [5, ["a"], [-1], [2**64], [True], [1.5], {}])
def test_what_is_no_number_of_a_client_is_refused(clients: Any) -> None:
    """In a line as in what was kept."""
    with pytest.raises(BadRecord, match="clients"):
        clients_from({"clients": clients})
    with pytest.raises(BadRecord, match="young"):
        firsts_from({"until": 0.0, "young": clients})
