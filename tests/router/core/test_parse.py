"""A document becomes exactly the table it says, or all of its problems at once."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.document import Scalar
from router.core.model import (
    PPM,
    Breaker,
    DotRule,
    Endpoint,
    Expose,
    Fallback,
    Group,
    Health,
    Limits,
    Route,
    Shadow,
    Site,
    SlashRule,
    Source,
    SubjectSource,
    Table,
    Timeouts,
    Upstream,
)
from router.core.parse import Parsed, Refused, parse
from router.core.problem import Code, Note, Problem
from router.sources.yaml_file import load_table
from tests.strategies import EXAMPLE, tables, written

DATA = Path(__file__).parents[2] / "data"

HEAD = """\
version: 1
legacy: old
upstreams:
  old: {endpoints: [http://old:1]}
  new: {endpoints: [http://new:1]}
"""


def load(text: str) -> Parsed | Refused:
    return load_table(text.encode(), "routes.yaml", {})


def table(text: str) -> Table:
    loaded = load(text)
    assert isinstance(loaded, Parsed), "\n".join(map(str, loaded.problems))
    return loaded.table


def problems(text: str) -> tuple[Problem, ...]:
    loaded = load(text)
    assert isinstance(loaded, Refused), "nothing was wrong"
    return loaded.problems


def notes(text: str) -> tuple[Note, ...]:
    return load(text).notes


def only_route(lines: str, head: str = HEAD) -> Route:
    """The one route that these lines (of a `- path: /a` item) make."""
    (route,) = table(f"{head}routes:\n  - path: /a\n{lines}").routes
    return route


# --------------------------------------------------------------------------------------------- whole tables


def test_the_example_of_the_interface_says_exactly_this() -> None:
    """Every default and group setting of the documented example is resolved as documented."""
    chain = (
        SubjectSource(Source.HEADER, "X-User-Id"),
        SubjectSource(Source.COOKIE, "sid"),
        SubjectSource(Source.CLIENT_IP),
    )
    common: dict[str, Any] = {
        "legacy": "monolith",
        "new": "catalog",
        "subject": chain,
        "timeouts": Timeouts(connect=3.0, head=15.0, idle=60.0),
        "fallback": Fallback(on_connect=True, statuses=frozenset({502, 503, 504})),
        "breaker": Breaker(),
    }
    local = "127.0.0.1"
    expected = Table(
        legacy="monolith",
        upstreams={
            "monolith": Upstream(
                "monolith",
                {"": (Endpoint(local, 9001), Endpoint(local, 9002))},
                Health("/healthz", interval=2.0, timeout=1.0, down=3, up=5),
            ),
            "catalog": Upstream(
                "catalog", {"k8s-pangyo": (Endpoint(local, 9101),), "k8s-pyeongchon": (Endpoint(local, 9201),)}
            ),
        },
        groups={"catalog": Group("catalog", owner="team-catalog", cap=500_000, seed="catalog")},
        sites={
            "k8s-pangyo": Site("k8s-pangyo", weight=60, capacity=100),
            "k8s-pyeongchon": Site("k8s-pyeongchon", weight=40, capacity=50),
        },
        timeouts=Timeouts(head=15.0),
        routes=(
            Route(
                name="GET /v1/products/{productNo}",
                path="/v1/products/{productNo}",
                methods=("GET",),
                weight=250_000,
                group="catalog",
                seed="catalog",
                **common,
            ),
            Route(
                name="product-search",
                path="/v1/products/search",
                methods=("GET", "POST"),
                weight=50_000,
                group="catalog",
                seed="catalog",
                shadow=Shadow(100_000, compare=True),
                rollout="careful",
                **common,
            ),
            Route(name="ANY /v1/carts/key={key}", path="/v1/carts/key={key}", seed="ANY /v1/carts/key={key}", **common),
            Route(
                name="ANY shop.example.com/v1/display/{rest...}",
                path="/v1/display/{rest...}",
                host="shop.example.com",
                weight=PPM,
                seed="ANY shop.example.com/v1/display/{rest...}",
                **common,
            ),
        ),
    )
    loaded = load_table(EXAMPLE, "routes.yaml", {})
    assert isinstance(loaded, Parsed)
    assert expected == loaded.table
    assert [27, 31, 40, 42] == [route.line for route in loaded.table.routes]


@given(tables())
@settings(max_examples=150, deadline=None)
def test_a_written_table_is_read_as_the_same_table(expected: Table) -> None:
    """Whatever a routes.yaml can say survives being written and read."""
    loaded = load_table(written(expected), "routes.yaml", {})
    assert isinstance(loaded, Parsed), "\n".join(map(str, loaded.problems))
    assert expected == loaded.table


def test_a_real_inventory_of_2544_operations_is_a_valid_table() -> None:
    """Four commerce platforms' APIs, one route for each path, parse without a problem."""
    operations = json.loads(gzip.decompress((DATA / "commerce-1500.json.gz").read_bytes()))["ops"]
    methods: dict[tuple[str, str], list[str]] = defaultdict(list)
    for operation in operations:
        methods[operation["vendor"], operation["path"]].append(operation["method"])
    vendors = sorted({vendor for vendor, _ in methods})
    groups = "".join(f"  {vendor}: {{new: new, cap: 50}}\n" for vendor in vendors)
    routes = "".join(
        f"  - path: {json.dumps(path)}\n    methods: [{', '.join(verbs)}]\n    group: {vendor}\n    weight: 12.5\n"
        for (vendor, path), verbs in methods.items()
    )
    loaded = table(f"{HEAD}groups:\n{groups}routes:\n{routes}")
    assert (1498, 2544) == (len(loaded.routes), sum(len(route.methods) for route in loaded.routes))
    assert {(vendor, path) for vendor, path in methods} == {(route.group, route.path) for route in loaded.routes}
    assert {125_000} == {route.weight for route in loaded.routes}


def test_the_smallest_table_has_no_routes_but_says_so() -> None:
    """`routes: []` is a decision; everything else has its documented default."""
    loaded = table(f"{HEAD}routes: []\n")
    assert Table("old", loaded.upstreams) == loaded


# ------------------------------------------------------------------------------------------------- settings


def test_a_setting_comes_from_the_route_then_its_group_then_the_defaults() -> None:
    """The nearest one that speaks wins, for every inheritable setting."""
    settings = {
        "subject": ("[cookie:%s]", lambda route: route.subject[0].name, ["a", "b", "c"]),
        "timeout": ("%s", lambda route: route.timeouts.head, ["1s", "2s", "3s"]),
        "connect_timeout": ("%s", lambda route: route.timeouts.connect, ["1s", "2s", "3s"]),
        "idle_timeout": ("%s", lambda route: route.timeouts.idle, ["1s", "2s", "3s"]),
        "fallback": ("{on: [%s]}", lambda route: min(route.fallback.statuses), [501, 502, 503]),
        "new": ("%s", lambda route: route.new, ["old", "new", "three"]),
        "legacy": ("%s", lambda route: route.legacy, ["new", "three", "old"]),
    }
    head = HEAD + "  three: {endpoints: [http://three:1]}\n"
    for key, (form, value, words) in settings.items():
        lines = [f"{key}: {form % word}" for word in words]
        inherited = f"{head}defaults: {{{lines[0]}}}\ngroups: {{g: {{{lines[1]}}}, h: {{}}}}\n"
        expected = [word if isinstance(word, int) else float(word[0]) if word[0].isdigit() else word for word in words]
        assert expected[2] == value(only_route(f"    group: g\n    {lines[2]}\n", inherited))
        assert expected[1] == value(only_route("    group: g\n", inherited))
        assert expected[0] == value(only_route("    group: h\n", inherited))
        assert expected[0] == value(only_route("", inherited))


@pytest.mark.parametrize("place", ["defaults: {%s}\n", "groups: {g: {%s}}\n"])
def test_switches_and_words_are_inherited_and_can_be_taken_back(place: str) -> None:
    """A route may say false, off or strict where its group or the defaults say otherwise."""
    said = "idempotent: true, trailing_slash: same, expose: never, fallback: {on: [connect]}"
    head = HEAD + place % said + ("" if "groups" in place else "groups: {g: {}}\n")
    route = only_route("    group: g\n", head)
    assert (True, SlashRule.SAME, Expose.NEVER, Fallback(on_connect=True)) == (
        route.idempotent,
        route.trailing_slash,
        route.expose,
        route.fallback,
    )
    back = "    group: g\n    idempotent: false\n    trailing_slash: strict\n    expose: always\n    fallback: off\n"
    route = only_route(back, head)
    assert (False, SlashRule.STRICT, Expose.ALWAYS, Fallback()) == (
        route.idempotent,
        route.trailing_slash,
        route.expose,
        route.fallback,
    )


def test_when_nobody_speaks_the_documented_defaults_hold() -> None:
    """Legacy of the top, no new side, 3s/60s/60s, no fallback, a breaker, and the client's address as subject."""
    subject = (SubjectSource(Source.CLIENT_IP),)
    assert Route("ANY /a", "/a", "old", seed="ANY /a", subject=subject, breaker=Breaker()) == only_route("")


def test_expose_and_trailing_slash_may_stand_at_the_top() -> None:
    """There they mean what they mean in `defaults`; unlisted requests follow `expose`, too."""
    loaded = table(f"{HEAD}expose: trusted\ntrailing_slash: same\nroutes: [{{path: /a}}]\n")
    (route,) = loaded.routes
    assert (Expose.TRUSTED, Expose.TRUSTED, SlashRule.SAME) == (loaded.expose, route.expose, route.trailing_slash)
    again = table(f"{HEAD}expose: trusted\ndefaults: {{expose: trusted}}\nroutes: []\n")
    assert Expose.TRUSTED == again.expose


def test_top_level_settings_reach_the_table() -> None:
    """Networks, HTTP rules and limits are taken over; 0 lifts a limit."""
    loaded = table(
        f"{HEAD}trusted: [10.0.0.0/8]\nhttp: {{dot_segments: legacy, non_ascii_target: true, via: off}}\n"
        "limits: {head: 128KiB, request_line: 8192, fields: 64, head_timeout: 5s, keepalive_idle: 0, max_body: 0}\n"
        "routes: []\n"
    )
    assert (("10.0.0.0/8",), DotRule.LEGACY, True, "") == (
        loaded.trusted,
        loaded.dot_segments,
        loaded.non_ascii_target,
        loaded.via,
    )
    assert (
        replace(Limits(), head=131_072, request_line=8192, fields=64, head_timeout=5.0, keepalive_idle=0.0, max_body=0)
        == loaded.limits
    )


def test_a_size_unit_is_for_sizes_only() -> None:
    """Counts are plain numbers."""
    (problem,) = problems(f"{HEAD}limits: {{fields: 16KiB, head: 16KiB}}\nroutes: []\n")
    assert (6, 18, Code.WRONG_TYPE) == (problem.line, problem.column, problem.code)


# -------------------------------------------------------------------------------------------- names and seeds

NAMES = [
    ("", "ANY /a"),
    ("    methods: [GET]\n", "GET /a"),
    ("    methods: [POST, GET]\n", "POST,GET /a"),
    ("    host: Shop.example.com\n", "ANY shop.example.com/a"),
    ("    name: product-search\n", "product-search"),
]


@pytest.mark.parametrize(("lines", "name"), NAMES)
def test_a_route_without_a_name_is_called_by_what_it_matches(lines: str, name: str) -> None:
    """Methods as written, then host and path; the seed follows the name."""
    route = only_route(lines)
    assert (name, name) == (route.name, route.seed)


SEEDS = [
    ("", "    group: g\n", "g"),
    ("seed: spring", "    group: g\n", "spring"),
    ("seed: spring", "    group: g\n    seed: own\n", "own"),
    ("seed: spring", "    seed: own\n", "own"),
    ("seed: spring", "", "ANY /a"),
]


@pytest.mark.parametrize(("group", "route", "seed"), SEEDS)
def test_the_seed_is_the_routes_or_its_groups_or_a_name(group: str, route: str, seed: str) -> None:
    """Routes of one group share its seed unless one says otherwise."""
    assert seed == only_route(route, f"{HEAD}groups: {{g: {{{group}}}}}\n").seed


# --------------------------------------------------------------------------------------------------- sites


def test_sites_come_into_being_where_none_are_declared() -> None:
    """Without a `sites` section the names that upstreams use have equal, full weight."""
    head = "version: 1\nlegacy: m\nupstreams: {m: {sites: {a: ['http://a:1'], b: ['http://b:1']}}}\nroutes: []\n"
    loaded = table(head)
    assert {"a": Site("a"), "b": Site("b")} == loaded.sites
    assert {"a": (Endpoint("a", 1),), "b": (Endpoint("b", 1),)} == loaded.upstreams["m"].sites


def test_with_a_sites_section_every_name_must_stand_in_it() -> None:
    """A slip in a site's name would make a place of its own; a declared site may be unused."""
    text = "version: 1\nlegacy: m\nsites: {pangyo: {}, spare: {weight: 0}}\nroutes: []\nupstreams: {m: {sites: {%s: ['http://a:1']}}}\n"
    assert {"pangyo", "spare"} == set(table(text % "pangyo").sites)
    (problem,) = problems(text % "pangjo")
    assert (5, 25, "there is no site 'pangjo'", "did you mean `pangyo`?") == (
        problem.line,
        problem.column,
        problem.what,
        problem.instead,
    )


def test_an_upstream_needs_a_site_with_weight() -> None:
    """All sites at 0 would take an upstream down by a slip of the pen."""
    text = (
        "version: 1\nlegacy: m\nsites: {a: {weight: %d}, b: {weight: 0}}\nroutes: []\n"
        "upstreams:\n  m: {sites: {a: ['http://a:1'], b: ['http://a:2']}}\n"
    )
    table(text % 1)
    (problem,) = problems(text % 0)
    assert (6, 3, Code.CONTRADICTION) == (problem.line, problem.column, problem.code)


# ---------------------------------------------------------------------------------------------------- notes


def test_an_example_without_empty_words_has_no_notes() -> None:
    """Everything that it says is acted on."""
    assert () == notes(EXAMPLE.decode())


def test_one_upstream_on_both_sides_is_noted_not_refused() -> None:
    """A finished migration may look like that, but a weight moves nothing then."""
    (note,) = notes(f"{HEAD}routes:\n  - path: /a\n    new: old\n    weight: 50\n")
    assert (7, 5, Code.NO_EFFECT) == (note.line, note.column, note.code)


# ------------------------------------------------------------------------------------------------- problems

ROUTE_FAULTS = [
    "path: products",
    "weigth: 5",
    "weight: 101",
    "weight: -0.5",
    "weight: 1.234",
    "weight: '25'",
    "weight: yes",
    "weight: .nan",
    "weight: [1]",
    "weight:",
    "methods: [get]",
    "methods: []",
    "methods: GET",
    "methods: [CONNECT]",
    "methods: [GET, GET]",
    "host: 'shop:80'",
    "name: unlisted",
    "name: no",
    "group: nobody",
    "new: nobody",
    "legacy: 7",
    "timeout: 15",
    "timeout: 0s",
    "connect_timeout: soon",
    "idle_timeout: 1.5h",
    "subject: client-ip",
    "subject: [random, client-ip]",
    "fallback: on",
    "fallback: {on: [200]}",
    "idempotent: 'true'",
    "trailing_slash: maybe",
    "expose: some",
    "seed: 2024",
    "shadow: {}",
    "shadow: {percent: 200}",
    "rollout: 'with care'",
    "upstream: new",
]


@pytest.mark.parametrize("fault", ROUTE_FAULTS)
def test_a_fault_in_a_route_is_one_problem_on_its_line(fault: str) -> None:
    """Each rule speaks once, at the right line, and nothing follows from its fault."""
    item = fault if fault.startswith("path") else f"path: /a\n    {fault}"
    (problem,) = problems(f"{HEAD}routes:\n  - {item}\n")
    assert 7 + item.count("\n") == problem.line


@st.composite
def faulty_documents(draw: st.DrawFn) -> tuple[str, list[int]]:
    """A document with several faults, and the lines they are on."""
    lines = HEAD.splitlines()
    bad: list[int] = []
    if draw(st.booleans()):
        lines.append("limts: {}")
        bad.append(len(lines))
    lines.append("groups:")
    lines.append("  good: {new: new}")
    for number, fault in enumerate(draw(st.lists(st.sampled_from(["cap: 101", "ownr: x", "new: nobody"]), max_size=2))):
        lines.append(f"  g{number}: {{{fault}}}")
        bad.append(len(lines))
    lines.append("routes:")
    for number in range(draw(st.integers(1, 5))):
        lines.append(f"  - path: /r{number}")
        faults = draw(
            st.lists(st.sampled_from(ROUTE_FAULTS[1:]), max_size=4, unique_by=lambda fault: fault.split(":")[0])
        )
        for fault in faults:
            lines.append(f"    {fault}")
            bad.append(len(lines))
    return "\n".join(lines) + "\n", bad


@given(faulty_documents())
@settings(deadline=None)
def test_all_problems_come_at_once_each_on_its_own_line(faulty: tuple[str, list[int]]) -> None:
    """As many faults as there are, as many problems there are: none hides another, none is made up."""
    text, lines = faulty
    loaded = load(text)
    found = [problem.line for problem in loaded.problems] if isinstance(loaded, Refused) else []
    assert lines == found


FILE_FAULTS: list[tuple[str, int, int, str]] = [
    ("legacy: m\nroutes: []\nupstreams: {m: {endpoints: ['http://m:1']}}", 1, 1, "`version` is missing"),
    (HEAD.replace("version: 1", "version: 2") + "routes: []", 1, 10, "`version` is the number '2'"),
    (HEAD.replace("version: 1", "version: '1'") + "routes: []", 1, 10, "`version` is the text '1'"),
    (HEAD.replace("version: 1", "version: true") + "routes: []", 1, 10, "`version` is the yes/no value 'true'"),
    (HEAD.replace("legacy: old\n", "") + "routes: []", 1, 1, "`legacy` is missing"),
    (HEAD.replace("legacy: old\n", "legacy: olt\n") + "routes: []", 2, 9, "there is no upstream 'olt'"),
    (HEAD, 1, 1, "`routes` is missing"),
    (HEAD + "routes:\n", 6, 8, "`routes` must be a list, not empty"),
    (HEAD + "routes: {}\n", 6, 9, "`routes` must be a list, not a mapping"),
    (HEAD + "routes:\n  -\n", 7, 4, "a route must be a mapping, not empty"),
    (HEAD + "routes:\n  - /a\n", 7, 5, "a route must be a mapping, not the text '/a'"),
    (HEAD + "routes:\n  - methods: [GET]\n", 7, 5, "`path` is missing in a route"),
    (HEAD + "groups:\nroutes: []\n", 6, 8, "`groups` must be a mapping, not empty"),
    (HEAD + "groups: {'a b': {}}\nroutes: []\n", 6, 10, "'a b' cannot name a group"),
    (HEAD + "groups: {g: }\nroutes: []\n", 6, 13, "the group `g` must be a mapping, not empty"),
    (HEAD + "defaults: {weight: 5}\nroutes: []\n", 6, 12, "unknown key 'weight' in `defaults`"),
    (HEAD + "trusted: 10.0.0.0/8\nroutes: []\n", 6, 10, "`trusted` must be a list"),
    (HEAD + "http: {dot_segments: allow}\nroutes: []\n", 6, 22, "`dot_segments` is the text 'allow'"),
    (HEAD + "limits: {heads: 3}\nroutes: []\n", 6, 10, "unknown key 'heads' in `limits`"),
    (HEAD + "limits: {head_timeout: 5}\nroutes: []\n", 6, 24, "`head_timeout` is the number '5'"),
    (HEAD + "expose: never\ndefaults: {expose: always}\nroutes: []\n", 6, 1, "`expose` is never here and always in"),
    (HEAD + "routes: []\nroutes: []\n", 7, 1, "the key 'routes' of the file stands on line 6 already"),
    (HEAD + "  bad: {}\nroutes: []\n", 6, 3, "the upstream `bad` has neither `endpoints` nor `sites`"),
    (HEAD + "  bad: {endpoints: []}\nroutes: []\n", 6, 20, "`endpoints` is an empty list"),
    (HEAD + "  bad: {sites: {}}\nroutes: []\n", 6, 16, "`sites` is empty"),
    (HEAD + "  bad: {sites: {'a b': ['http://a:1']}}\nroutes: []\n", 6, 17, "'a b' cannot name a site"),
    (HEAD + "  bad: {endpoints: ['http://a:1'], sites: {a: ['http://a:1']}}\nroutes: []\n", 6, 3, "has both"),
    (HEAD + "  bad: {endpoints: ['http://a:1', 'http://A:1']}\nroutes: []\n", 6, 35, "has 'http://a:1' twice"),
    (HEAD + "  bad: {endpoints: ['http://a:1'], health: {every: 2s}}\nroutes: []\n", 6, 45, "unknown key 'every'"),
    (HEAD + "  bad: {endpoints: ['http://a:1'], health: {down: 0}}\nroutes: []\n", 6, 51, "`down` is 0, outside"),
    (HEAD + "sites: {a: {weight: 101}}\nroutes: []\n", 6, 21, "`weight` is 101, outside 0..100"),
    (HEAD + "sites: {a: {weight: 0.5}}\nroutes: []\n", 6, 21, "`weight` is 0.5, not a plain whole number"),
    ("version: 1\nlegacy: m\nroutes: []\nupstreams: {}\n", 4, 12, "`upstreams` is empty"),
    (HEAD + "routes: [{path: /a, weight: 5}]\n", 6, 21, "the route has a weight, but no `new` upstream"),
    (HEAD + "routes: [{path: /a?b}]\n", 6, 17, "can never be part of a request's path"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "column", "what"), FILE_FAULTS)
def test_a_fault_in_the_file_is_a_problem_at_its_place(text: str, line: int, column: int, what: str) -> None:
    """Each rule about sections names the place and what was found there."""
    first = problems(text)[0]
    assert (line, column) == (first.line, first.column)
    assert what in first.what


def test_a_document_that_is_no_mapping_is_refused() -> None:
    """The parser needs no file to say so."""
    refused = parse(Scalar("hello", 1, 1, "hello"))
    assert isinstance(refused, Refused)
    what = "the file must be a mapping, not the text 'hello'"
    assert f"routes.yaml:1:1: {what}; write `key: value` lines below it, or leave it out" == str(refused.problems[0])


def test_an_unreadable_section_is_not_complained_about_twice() -> None:
    """References into a section that cannot be read are not judged."""
    found = problems(
        "version: 1\nlegacy: m\nupstreams: 7\ngroups: 8\nroutes: [{path: /a, group: g, new: n, weight: 5}]\n"
    )
    assert [(3, Code.WRONG_TYPE), (4, Code.WRONG_TYPE)] == [(problem.line, problem.code) for problem in found]


# ------------------------------------------------------------------------------------------------ conflicts


def test_equal_shapes_are_a_conflict_that_names_both_lines() -> None:
    """Parameter names do not tell routes apart; the later one is told where the earlier one is."""
    (problem,) = problems(f"{HEAD}routes:\n  - path: /a/{{x}}\n  - path: /b\n  - path: /a/{{y}}\n")
    assert (9, 5, Code.CONFLICT) == (problem.line, problem.column, problem.code)
    assert "the one on line 7" in problem.what


def test_equal_shapes_with_other_methods_or_hosts_are_no_conflict() -> None:
    """Real inventories have `GET /carts/{cartId}` and `PUT /carts/{quoteId}`."""
    routes = "".join(
        f"  - {{path: '/a/{{{name}}}', {extra}}}\n"
        for name, extra in (("x", "methods: [GET]"), ("y", "methods: [PUT]"), ("z", "host: h"), ("any", "name: any"))
    )
    assert 4 == len(table(f"{HEAD}routes:\n{routes}").routes)


def test_the_same_route_twice_is_one_problem_that_names_both_lines() -> None:
    """Two equal default names say it all; the equal shapes are not reported on top."""
    (problem,) = problems(f"{HEAD}routes:\n  - path: /a\n  - path: /a\n")
    assert (8, Code.DUPLICATE, "the route on line 7 is called 'ANY /a' too") == (
        problem.line,
        problem.code,
        problem.what,
    )


def test_a_name_twice_is_a_problem_even_for_different_paths() -> None:
    """Names are how people, orders and metrics speak of routes; a default name counts."""
    (problem,) = problems(f"{HEAD}routes:\n  - path: /a\n  - {{path: /b, name: ANY /a}}\n")
    assert (8, Code.DUPLICATE, "give one of the two another `name`") == (problem.line, problem.code, problem.instead)


def test_a_default_name_that_cannot_be_one_asks_for_a_name() -> None:
    """A path may hold a quote or be longer than any name; such a route needs a name of its own."""
    for path in ("/it's", "/" + "x" * 300):
        (problem,) = problems(f'{HEAD}routes:\n  - path: "{path}"\n')
        assert (7, Code.BAD_NAME) == (problem.line, problem.code)
        table(f'{HEAD}routes:\n  - {{path: "{path}", name: n}}\n')


# ------------------------------------------------------------------------------------------- too near upstreams

NEAR = """\
version: 1
upstreams:
  monolith: {{endpoints: ["http://127.0.0.1:9001"]}}
  near: {{endpoints: ["http://{host}:80"]{more}}}
legacy: monolith
routes: []
"""
DANGEROUS = [
    "169.254.169.254",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[::ffff:169.254.169.254]",
    "0.0.0.0",
    "[::]",
    "0xa9fea9fe",
    "169.254.0xa9fe",
    "metadata.google.internal",
]


@pytest.mark.parametrize("host", DANGEROUS)
def test_an_upstream_reaches_no_metadata_service_unless_it_is_meant(host: str) -> None:
    """Link-local, unspecified and disguised addresses are refused with their place, and pass with consent."""
    (problem,) = problems(NEAR.format(host=host, more=""))
    assert (Code.BAD_URL, 4) == (problem.code, problem.line)
    assert "allow_link_local" in problem.instead
    assert table(NEAR.format(host=host, more=", allow_link_local: true"))


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.7", "[fd00::1]", "[::1]", "catalog.internal", "0xcafe.example"])
def test_ordinary_private_addresses_need_no_consent(host: str) -> None:
    """Upstreams live in private networks."""
    assert table(NEAR.format(host=host, more=""))


@pytest.mark.parametrize("endpoint", ["127.0.0.1:8081", "localhost:8080", "[::ffff:127.0.0.1]:8081"])
def test_an_upstream_is_never_the_router_itself(endpoint: str) -> None:
    """Neither its admin address nor where it listens: refused with the upstream's place."""
    text = NEAR.replace("{host}:80", endpoint).format(more="")
    own = (("127.0.0.1", 8080), ("127.0.0.1", 8081))
    refused = load_table(text.encode(), "routes.yaml", {}, own)
    assert isinstance(refused, Refused)
    (problem,) = refused.problems
    assert (Code.BAD_URL, 4) == (problem.code, problem.line)
    assert "this router itself" in problem.what
    assert table(text)
