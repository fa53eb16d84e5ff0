"""Drafts that the router takes."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.core.draft import Wanted, comment, drafted, duration, facts, rate
from discovery.core.survey import Documented, Findings, Operation, Standing, Survey
from router.core.model import Table
from router.core.parse import Parsed
from router.sources.yaml_file import load_table

ENOUGH = ("GET", "POST", "PUT", "DELETE", "NO", "ON")


def table(text: str) -> Table:
    parsed = load_table(text.encode(), "draft", MappingProxyType({}))
    assert isinstance(parsed, Parsed), (parsed.problems[:3], text)
    return parsed.table


def operation(path: str, requests: int = 1) -> Operation:
    return Operation(("GET",), path, Standing.UNDOCUMENTED, requests)


def found(*operations: Operation, **more: object) -> Findings:
    requests = sum(each.requests for each in operations)
    return Findings(operations, requests, 3600.0, logged=True, **more)  # type: ignore[arg-type]


def test_routes_stand_in_the_order_of_their_traffic_and_move_nothing() -> None:
    """Groups by traffic, routes within them by traffic, every weight 0."""
    text = drafted(found(operation("/api/a/x", 1), operation("/api/b/y", 50), operation("/api/b/z", 60)), Wanted())
    made = table(text)
    assert [route.path for route in made.routes] == ["/api/b/z", "/api/b/y", "/api/a/x"]
    assert list(made.groups) == ["b", "a"]
    assert {route.weight for route in made.routes} == {0}


def test_what_is_unused_stands_at_the_end_as_comments_that_can_be_lifted() -> None:
    """It is to be retired; and who takes the `#` away has a route."""
    unused = Operation(("PUT",), "/api/a/{id}", Standing.UNUSED, deprecated=True)
    text = drafted(found(operation("/api/a/x", 5), unused), Wanted())
    assert len(table(text).routes) == 1
    assert "retire instead of migrate" in text
    line = next(line for line in text.splitlines() if "/api/a/{id}" in line)
    assert line.startswith("#  - {path: ")
    lifted = text.replace("routes:\n", "routes:\n" + line.removeprefix("#") + "\n")
    assert [route.path for route in table(lifted).routes] == ["/api/a/{id}", "/api/a/x"]


def test_what_the_router_cannot_tell_apart_is_left_out_and_said() -> None:
    """The busier of the two stays."""
    text = drafted(found(operation("/{a}-{b}", 9), operation("/{a}.{b}", 1)), Wanted(by="none"))
    assert [route.path for route in table(text).routes] == ["/{a}-{b}"]
    assert "cannot be told from" in text


def test_nothing_at_all_is_a_draft_as_well() -> None:
    """`routes: []`, which can be merged into."""
    assert table(drafted(Findings(()), Wanted())).routes == ()


def test_a_host_and_a_legacy_are_written_down() -> None:
    """As asked for on the command line."""
    made = table(drafted(found(operation("/a", 1)), Wanted(legacy="http://[fd00::7]:8080", host="shop.example.com")))
    assert made.routes[0].host == "shop.example.com"
    assert str(made.upstreams["legacy"].endpoints[0]) == "http://[fd00::7]:8080"


@pytest.mark.parametrize("path", ["/Products('1')", "/" + "x" * 300, "/a:b", "/a,b", "/%23", "/*", "/&a"])
def test_paths_that_yaml_or_names_would_stumble_over(path: str) -> None:
    """Quotes, colons and endless names are written so that they are read back as they were."""
    made = table(drafted(found(operation(path, 1), operation(path + "/more", 1)), Wanted()))
    assert sorted(route.path for route in made.routes) == sorted([path, path + "/more"])


segments = st.one_of(
    st.text(min_size=0, max_size=12),
    st.sampled_from(["v1", "a", "b", "{x}", "key=1", "\x1b[31m", "\u202e", "# x", "'", '"', ": ", "- a", "%zz", "\n"]),
    st.integers().map(str),
)


asked = st.tuples(
    st.sampled_from(ENOUGH),
    st.lists(segments, min_size=1, max_size=4),
    st.integers(1, 50),
    st.sampled_from([200, 404]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(asked, max_size=25), st.sampled_from(["", "tag", "prefix", "none"]))
def test_whatever_was_asked_for_the_draft_is_taken(requests: list[tuple[str, list[str], int, int]], by: str) -> None:
    """Strangers write the log; the draft is valid, and on no line is anything that a terminal obeys."""
    survey = Survey([Documented("GET", "/v1/{id}", "", "단어 \x1b[31m"), Documented("ON", "/a", "/api", "no")])
    for method, parts, count, status in requests:
        survey.add(method, ("/" + "/".join(parts)).encode("utf-8", "surrogatepass"), status, "\x1b.example\n", count)
    text = drafted(survey.findings(60.0, ["\x1b[2J\n- path: /evil"]), Wanted(("the log \x1b]0;x\x07\nroutes:",), by=by))
    table(text)
    assert all(line.isprintable() for line in text.splitlines())


def test_comments_stay_on_their_line() -> None:
    """Line breaks of every kind, escapes and overlong texts."""
    assert comment("a\nb\u2028c\x85d\x1b[0m", 400).isprintable()
    assert len(comment("x" * 5000, 100)) == 103


def test_rates_are_told_in_the_unit_in_which_there_are_a_few() -> None:
    """Nobody can read 0.0003 a second."""
    assert [rate(12), rate(0.5), rate(0.01), rate(1 / 40_000), rate(1e-9)] == [
        "12.0/s", "30.0/min", "36.0/h", "2.2/day", "less than one a day",
    ]  # fmt: skip
    assert [duration(30), duration(300), duration(86_400 * 3)] == ["30 s", "5.0 minutes", "3.0 days"]


def test_facts_say_what_is_refused_and_deprecated() -> None:
    """As a comment has it."""
    one = Operation(("GET",), "/a", Standing.BOTH, 100, 25, deprecated=True)
    assert facts(one, found(one)) == "100 requests, 1.7/min, 100.0 %, 25.0% not found; documented and used, deprecated"
    none = Operation(("GET",), "/a", Standing.UNDOCUMENTED, 1, 1)
    assert "never answered" in facts(none, found(none))
