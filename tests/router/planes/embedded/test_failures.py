"""Failed first tries: which are remembered, of whom, how many, and until when."""

from __future__ import annotations

from collections.abc import Callable

from router.core.clients import client_number
from router.core.model import PPM, Fallback, Source, SubjectSource
from router.planes.embedded.failures import Failures
from router.planes.embedded.untold import AT_ONCE, MOST
from tests.router.planes.embedded.stage import BAD, NEW, NEW_TOO, OK, Stage, route, table

MakeStage = Callable[..., Stage]
USER = (SubjectSource(Source.HEADER, "X-User-Id"),)


def ask(stage: Stage, answer: bytes, *lines: bytes) -> None:
    stage.ask(b"GET", b"/api/1", *lines)
    for service in (stage.new, stage.new_too, stage.old):
        for wire in service.open:
            if wire.take():
                wire.say(answer)
    stage.settle()


def test_a_failure_says_whose_it_was_and_what_was_in_force(make_stage: MakeStage) -> None:
    """The client as a number, the request by its id."""
    stage = make_stage(table(route(subject=USER)))
    ask(stage, BAD, b"X-User-Id: kim", b"X-Request-Id: r-1")
    ((name, side, share, revision, client, request_id, _),) = stage.plane.failures.take()["found"]
    assert ("api", 1, PPM, stage.revision, client_number(b"kim", b""), "r-1") == (
        name, side, share, revision, client, request_id,
    )  # fmt: skip


def test_without_a_subject_the_address_stands_for_the_client(make_stage: MakeStage) -> None:
    """On legacy too."""
    stage = make_stage(table(route(weight=0)))
    ask(stage, BAD)
    ((_, side, _, _, client, _, _),) = stage.plane.failures.take()["found"]
    assert (0, client_number(b"192.0.2.7", b"")) == (side, client)


def test_only_first_tries_count_and_what_was_hidden_counts_too(make_stage: MakeStage) -> None:
    """A failure that another endpoint or legacy has mended; not legacy's own after it."""
    stage = make_stage(table(route(fallback=Fallback(on_connect=True)), new=(NEW, NEW_TOO)))
    stage.new.refuses = stage.new_too.refuses = True
    ask(stage, BAD)
    assert [1] == [each[1] for each in stage.plane.failures.take()["found"]]


def test_what_goes_well_is_not_remembered(make_stage: MakeStage) -> None:
    """Nor a 404, which is no failure of a side."""
    stage = make_stage()
    ask(stage, OK)
    ask(stage, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
    assert {"found": [], "dropped": 0, "more": False} == stage.plane.failures.take()


def test_when_nobody_comes_for_them_the_newest_are_dropped_and_counted() -> None:
    """Bounded, and taken in pieces that fit into a line."""
    failures = Failures()
    for number in range(MOST + 7):
        failures.put("r", b"c", b"%d" % number, on_new=True, share=1, revision=1)
    first, second = failures.take(), failures.take()
    assert (AT_ONCE, 7, True) == (len(first["found"]), first["dropped"], first["more"])
    assert 0 == second["dropped"]
    third = failures.take()
    taken = [*first["found"], *second["found"], *third["found"]]
    assert ([str(number) for number in range(MOST)], False) == ([each[5] for each in taken], third["more"])
