"""router.core.parse_shadow: what is copied and how answers are compared, and every way of getting it wrong."""

from __future__ import annotations

import pytest

from router.core.comparing import ArrayMode, Comparing, Rule, Treat
from router.core.model import SAFE_METHODS, Credentials, Route, Shadow, Table
from router.core.parse import Parsed, Refused
from router.core.parse_shadow import danger
from router.core.problem import Code, Note
from router.sources.yaml_file import load_table

HEAD = (
    "version: 1\nlegacy: old\n"
    "upstreams: {old: {endpoints: [http://127.0.0.1:1]}, new: {endpoints: [http://127.0.0.1:2]}}\n"
)
OWNED = "owner: team-a, reason: because, expires: 2027-06-30"


def load(text: str) -> Parsed | Refused:
    routes = "" if "routes:" in text else "routes: []\n"
    return load_table((HEAD + routes + text).encode(), "routes.yaml", {})


def parsed(text: str) -> tuple[Table, tuple[Note, ...]]:
    found = load(text)
    assert isinstance(found, Parsed), "\n".join(map(str, found.problems))
    return found.table, found.notes


def route(text: str) -> Route:
    (found,) = parsed(f"routes: [{{path: /a, new: new, {text}}}]\n")[0].routes
    return found


def rule(text: str) -> Rule:
    (found,) = parsed(f"compare: {{rules: [{{{text}, {OWNED}}}]}}\n")[0].compare.rules
    return found


def problems(text: str) -> list[str]:
    refused = load(text)
    assert isinstance(refused, Refused)
    return [f"{each.line}:{each.code}: {each.what}" for each in refused.problems]


# ------------------------------------------------------------------------------------------------- shadow


def test_a_shadow_says_everything_or_only_how_much() -> None:
    """Safe methods, no credentials, no samples unless it says so."""
    assert Shadow(100_000) == route("shadow: {percent: 10}").shadow
    everything = route(
        "shadow: {percent: 0.5, compare: true, methods: [GET, POST, PUT], side_effects: none, sandbox: true, "
        "dangers: accepted, credentials: pass, samples: 24h, reason: a store of its own}"
    )
    methods = ("GET", "POST", "PUT")
    expected = Shadow(5_000, True, methods, Credentials.KEEP, True, 86_400.0, "a store of its own")
    assert expected == everything.shadow


def test_a_shadow_is_inherited_and_switched_off() -> None:
    """From the defaults, the group, and `off` by the nearest."""
    text = (
        "defaults: {new: new, shadow: {percent: 1}}\n"
        "groups: {fast: {shadow: {percent: 50}}, dark: {shadow: off}}\n"
        "routes: [{path: /a}, {path: /b, group: fast}, {path: /c, group: dark}, {path: /d, shadow: off}]\n"
    )
    percents = [each.shadow and each.shadow.percent for each in parsed(text)[0].routes]
    assert [10_000, 500_000, None, None] == percents


def test_an_inherited_shadow_waits_where_nothing_can_be_copied() -> None:
    """No new side yet, or no method that is shadowed: no shadow, and no fuss."""
    text = "defaults: {shadow: {percent: 1}}\nroutes: [{path: /a}, {path: /b, new: new, methods: [POST]}]\n"
    table, notes = parsed(text)
    assert ([None, None], ()) == ([each.shadow for each in table.routes], notes)


def test_a_shadow_that_can_do_nothing_is_told_of_where_it_is_written() -> None:
    """Without a new side it is a problem, without a method of the route a note."""
    assert ["4:no-new-side: the route has a shadow, but no `new` upstream to copy requests to"] == problems(
        "routes: [{path: /a, shadow: {percent: 1}}]\n"
    )
    _, (note,) = parsed("routes: [{path: /a, new: new, methods: [POST], shadow: {percent: 1}}]\n")
    assert Code.NO_EFFECT is note.code
    _, (note,) = parsed("routes: [{path: /a, new: new, shadow: {percent: 1, samples: 1h}}]\n")
    assert "`samples` keeps nothing" in note.what


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", ["`percent` is missing"]),
        ("{percent: 101}", ["outside 0..100"]),
        ("10", ["must be off or a mapping"]),
        ("{percent: 1, credentials: keep}", ["`credentials` is the text 'keep'"]),
        ("{percent: 1, methods: [POST]}", ["copies of POST may do everything twice"]),
        ("{percent: 1, methods: [POST], side_effects: few, reason: a}", ["`side_effects` is 'few'"]),
        ("{percent: 1, methods: [POST], side_effects: none}", ["`reason` is missing"]),
        (
            "{percent: 1, methods: [PUT, PATCH]}",
            ["copies of PUT or PATCH may do everything twice", "copies of PATCH or PUT change what they reach"],
        ),
        (
            "{percent: 1, methods: [DELETE], side_effects: none, sandbox: false, reason: a}",
            ["copies of DELETE change what they reach"],
        ),
        ("{percent: 1, dangers: maybe, reason: a}", ["`dangers` is 'maybe'"]),
    ],
)
def test_what_could_do_harm_is_refused_unless_it_is_meant(text: str, expected: list[str]) -> None:
    """Each missing consent is a problem of its own, with what to write instead."""
    found = problems(f"routes: [{{path: /a, new: new, shadow: {text}}}]\n")
    assert len(expected) == len(found)
    assert all(what in line for what, line in zip(expected, found, strict=True)), found


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/users/logout", "logout"),
        ("/users/logoutAll", "logout"),
        ("/orders/{id}/confirm-payment", "confirm"),
        ("/EXPORT/all", "export"),
        ("/reset/{token}", "reset"),
        ("/invites/{inviteToken}", "token"),
        ("/token", None),
        ("/deleted-items", None),
        ("/products/{productNo}", None),
        ("/senders?send=1", None),
    ],
)
def test_a_path_that_looks_as_if_it_did_something_is_recognised(path: str, expected: str | None) -> None:
    """By whole words in any spelling, and by parameters that are used up."""
    assert expected == danger(path)


def test_a_dangerous_looking_route_needs_a_word() -> None:
    """Also where the shadow is inherited; off and `dangers: accepted` both do."""
    head = "defaults: {new: new, shadow: {percent: 1}}\n"
    (found,) = problems(head + "routes: [{path: /logout}]\n")
    assert "5:contradiction: requests for '/logout' are to be copied" in found
    assert () == parsed(head + "routes: [{path: /logout, shadow: off}]\n")[1]
    accepted = "{percent: 1, dangers: accepted, reason: it shows a page}"
    shadow = parsed(head + f"routes: [{{path: /logout, shadow: {accepted}}}]\n")[0].routes[0].shadow
    assert (True, SAFE_METHODS) == (shadow and shadow.dangers, shadow and shadow.methods)


# ------------------------------------------------------------------------------------------------ compare


def test_each_level_keeps_its_own_rules() -> None:
    """The file, a group and a route; they are added up by whoever compares."""
    text = (
        f'compare: {{headers: [X-Total], rules: [{{path: "$..id", ignore: true, {OWNED}}}]}}\n'
        f'groups: {{g: {{compare: {{rules: [{{path: "$.g", trim: true, {OWNED}}}]}}}}}}\n'
        f'routes: [{{path: /a, group: g, compare: {{rules: [{{path: "$.r", case: true, {OWNED}}}]}}}}]\n'
    )
    table, _ = parsed(text)
    assert ("x-total",) == table.compare.headers
    found = [table.compare, table.groups["g"].compare, table.routes[0].compare]
    assert [Treat.IGNORE, Treat.TRIM, Treat.CASE] == [each.rules[0].treat for each in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('path: "$.a", ignore: true', {"treat": Treat.IGNORE}),
        ('path: "$.a", tolerance: {abs: 0.01, rel: 1e-9}', {"absolute": 0.01, "relative": 1e-9}),
        ('path: "$.a", time_tolerance: 5s', {"seconds": 5.0}),
        ('path: "$.a", regex_shape: "ORD-[0-9]+"', {"pattern": "ORD-[0-9]+"}),
        ('path: "$.a", array: set', {"array": ArrayMode.SET}),
        ('path: "$.a", array: keyed(id)', {"array": ArrayMode.KEYED, "key": "id"}),
        ("path: header:Location, presence: true", {"path": "header:Location", "treat": Treat.PRESENCE}),
    ],
)
def test_a_rule_says_one_thing_about_one_place(text: str, expected: dict[str, object]) -> None:
    """With the values that its treatment takes."""
    found = rule(text)
    assert expected == {name: getattr(found, name) for name in expected}


def test_a_rule_holds_through_its_last_day() -> None:
    """It ends with that day in UTC."""
    assert 1_814_400_000.0 == rule('path: "$.a", ignore: true').expires


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('path: "$.a", ignore: true', ["`owner` is missing", "`reason` is missing", "`expires` is missing"]),
        (f'path: "$.a", {OWNED}', ["says nothing that it does"]),
        (f'path: "$.a", trim: true, case: true, {OWNED}', ["says trim or case"]),
        (f"path: a.b, ignore: true, {OWNED}", ["`path` is 'a.b', which names no place"]),
        (f'path: "$.a", ignore: false, {OWNED}', ["`ignore` is false"]),
        (f'path: "$.a", tolerance: {{}}, {OWNED}', ["`tolerance` allows nothing"]),
        (f'path: "$.a", tolerance: {{abs: -1}}, {OWNED}', ["`abs` is not an amount", "`tolerance` allows nothing"]),
        (f'path: "$.a", time_tolerance: 5, {OWNED}', ["`time_tolerance` is '5', not a duration"]),
        (f'path: "$.a", regex_shape: "a(", {OWNED}', ["not a regular expression"]),
        (f'path: "$.a", regex_shape: "{"a" * 201}", {OWNED}', ["longer than 200"]),
        (f'path: "$.a", array: sorted, {OWNED}', ["`array` is 'sorted'"]),
        (f"path: header:Link, type_only: true, {OWNED}", ["`type_only` says nothing about a header"]),
        ('path: "$.a", ignore: true, owner: a, reason: b, expires: 2027-02-29', ["not a date"]),
        (f'path: "$.a", ignroe: true, {OWNED}', ["unknown key 'ignroe'", "says nothing that it does"]),
    ],
)
def test_a_rule_without_sense_or_without_an_owner_is_refused(text: str, expected: list[str]) -> None:
    """Everything at once, whatever is wrong with it."""
    found = problems(f"compare: {{rules: [{{{text}}}]}}\n")
    assert len(expected) == len(found), found
    assert all(any(what in line for line in found) for what in expected), found


def test_too_many_rules_are_refused() -> None:
    """What needs two hundred exceptions is not the same."""
    rules = ", ".join(f'{{path: "$.a{index}", ignore: true, {OWNED}}}' for index in range(201))
    assert ["5:too-large: `compare` has 201 rules"] == problems(f"compare: {{rules: [{rules}]}}\n")


def test_nothing_said_is_nothing_compared_besides_the_usual() -> None:
    """No section, no rule, no further header."""
    table, _ = parsed("routes: [{path: /a, new: new}]\n")
    assert (Comparing(), Comparing()) == (table.compare, table.routes[0].compare)
