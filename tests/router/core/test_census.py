"""Cells, stamps, and how many clients have left so many marks."""

from __future__ import annotations

from random import Random

import pytest

from router.core.census import CELLS, MOST_CLIENTS, cell, distinct, seed_of_cells, stamp_of_hour, stamp_of_share
from router.core.clients import HOUR
from router.core.model import PPM
from router.core.split import bucket, seed_of


@pytest.mark.parametrize("clients", [1, 20, 1_000, 10_000, 40_000])
def test_marks_tell_how_many_clients_there_were(clients: int) -> None:
    """To within five standard deviations of linear counting, and exactly as long as there are few."""
    seed = seed_of_cells("orders")
    marked = len({cell(b"client-%d" % number, seed) for number in range(clients)})
    assert pytest.approx(clients, rel=0.03 if clients > 100 else 0.0) == distinct(marked)


def test_nobody_and_too_many_are_told_as_such() -> None:
    """A full area says that there were many, and no number that it cannot know."""
    assert (0, 1, MOST_CLIENTS, MOST_CLIENTS) == (distinct(0), distinct(1), distinct(CELLS), distinct(CELLS + 7))
    assert MOST_CLIENTS == distinct(CELLS - 1)


def test_the_cell_says_nothing_about_the_side() -> None:
    """Else clients that share a cell would all be on one side: in each quarter of the cells the share is the share."""
    share, seed, cells = 300_000, seed_of("orders"), seed_of_cells("orders")
    drawn = [[0, 0] for _ in range(4)]
    for number in range(40_000):
        client = b"%d" % number
        drawn[cell(client, cells) * 4 // CELLS][bucket(client, seed) < share] += 1
    for legacy, new in drawn:
        assert pytest.approx(share / PPM, abs=0.025) == new / (legacy + new)


def test_stamps_of_what_follows_are_others() -> None:
    """So that nothing has ever to be wiped; none of them is what unused memory says."""
    revisions = [stamp_of_share(revision) for revision in range(60_000, 60_000 + 65_535)]
    hours = [stamp_of_hour(1_700_000_000.0 + hour * HOUR) for hour in range(240)]
    assert (65_535, 240) == (len(set(revisions)), len(set(hours)))
    assert (1, 65_535) == (min(revisions), max(revisions))
    assert all(1 <= stamp <= 255 for stamp in hours)
    assert 1 == len({stamp_of_hour(1_700_002_800.0 + Random(1).random() * (HOUR - 1)) for _ in range(10)})
