"""The plans and notify sections: what they say, and every way in which they can be wrong."""

from __future__ import annotations

import pytest

from router.core.model import Budget, Gate, Plan, PlanStep, Route, Webhook, Window
from router.core.parse import Parsed, Refused
from router.core.plans import CAREFUL, plan_named, steps_for
from router.sources.yaml_file import load_table

HEAD = (
    "version: 1\nlegacy: old\n"
    "upstreams: {old: {endpoints: [http://127.0.0.1:1]}, new: {endpoints: [http://127.0.0.1:2]}}\n"
)
ENVIRON = {"CHAT_TOKEN": "T0/B1/xyz", "HOOK_SECRET": "hush"}
POINT = 10_000


def load(text: str) -> Parsed | Refused:
    routes = "" if "routes:" in text else "routes: []\n"
    return load_table((HEAD + routes + text).encode(), "routes.yaml", ENVIRON)


def parsed(text: str) -> Parsed:
    found = load(text)
    assert isinstance(found, Parsed), "\n".join(map(str, found.problems))
    return found


def plan(text: str) -> Plan:
    (found,) = parsed(f"plans: {{p: {text}}}\n").table.plans.values()
    return found


def problem(text: str) -> str:
    refused = load(text)
    assert isinstance(refused, Refused)
    (found,) = refused.problems
    return str(found)


def test_everything_at_once() -> None:
    """Every key, in the notation of the rest of the file."""
    said = plan(
        "{steps: [shadow, 1, {weight: 25, gate: manual, time: 1h, clients: 5, sample: 7}, 100], time: 5m, clients: 30, "
        "sample: 200, bake: 12h, max_time: 48h, ratio: 1.5, floor: 0.5, mismatch: 0.2, gate: automatic, "
        'budget: {failed: 50, per: 2h}, windows: [{days: [mon], from: "09:00", to: "17:00"}], timezone: Asia/Seoul}'
    )
    steps = (
        PlanStep(0, Gate.AUTOMATIC, 300.0, 30, 200),
        PlanStep(1 * POINT, Gate.AUTOMATIC, 300.0, 30, 200),
        PlanStep(25 * POINT, Gate.MANUAL, 3600.0, 5, 7),
        PlanStep(100 * POINT, Gate.AUTOMATIC, 300.0, 30, 200),
    )
    window = Window(frozenset({0}), 540, 1020)
    expected = Plan(
        "p", steps, 48 * 3600.0, 1.5, 5_000, 2_000, Budget(50, 7200.0), (window,), "Asia/Seoul"
    )  # fmt: skip
    assert expected == said


def test_a_plan_that_says_nothing_is_the_built_in_one() -> None:
    """1, 5, 25, 50, 95, 100, and a day at 95 % where legacy can still be compared with."""
    assert CAREFUL.steps == plan("{}").steps
    assert [1, 5, 25, 50, 95, 100] == [step.share // POINT for step in CAREFUL.steps]
    assert [600.0] * 4 + [86400.0, 600.0] == [step.min_time for step in CAREFUL.steps]


def test_the_last_step_below_the_whole_bakes() -> None:
    """Unless it says itself how long it takes, or the plan ends below."""
    assert [600.0, 7200.0, 600.0] == [step.min_time for step in plan("{steps: [1, 90, 100], bake: 2h}").steps]
    assert [600.0, 60.0, 600.0] == [
        step.min_time for step in plan("{steps: [1, {weight: 90, time: 1m}, 100], bake: 2h}").steps
    ]
    assert [600.0, 600.0] == [step.min_time for step in plan("{steps: [1, 90], bake: 2h}").steps]


def test_routes_groups_and_defaults_name_a_plan() -> None:
    """The route's word counts before the group's; `careful` need not be defined."""
    table = parsed(
        "plans: {slow: {steps: [1, 2]}}\ngroups: {g: {rollout: slow}}\n"
        "routes: [{path: /a, group: g, new: new}, {path: /b, group: g, rollout: careful, new: new}, {path: /c}]\n"
    ).table
    assert ["slow", "careful", ""] == [route.rollout for route in table.routes]
    assert [(1 * POINT, 2 * POINT), CAREFUL, None] == [
        tuple(step.share for step in found.steps) if (found := plan_named(table.plans, "slow")) else None,
        plan_named(table.plans, "careful"),
        plan_named(table.plans, ""),
    ]


def test_a_route_without_shadow_passes_over_the_shadow_step() -> None:
    """And whoever reads the notes knows it."""
    found = parsed("plans: {p: {steps: [shadow, 1]}}\nroutes: [{path: /a, new: new, rollout: p}]\n")
    (note,) = found.notes
    assert "begins with a shadow, but the route 'ANY /a' declares none" in note.what
    (route,) = found.table.routes
    assert [1 * POINT] == [step.share for step in steps_for(found.table.plans["p"], route)]
    shadowed = parsed(
        "plans: {p: {steps: [shadow, 1]}}\n"
        "routes: [{path: /a, new: new, rollout: p, shadow: {percent: 10, compare: true}}]\n"
    ).table
    shadowed_route: Route = shadowed.routes[0]
    assert [0, 1 * POINT] == [step.share for step in steps_for(shadowed.plans["p"], shadowed_route)]


@pytest.mark.parametrize("shadow", ["{percent: 10}", "{percent: 0, compare: true}"])
def test_a_route_that_compares_nothing_cannot_pass_the_shadow_step_and_is_refused(shadow: str) -> None:
    """Copies alone prove nothing; without this its rollout would wait for them until somebody wonders."""
    text = f"plans: {{p: {{steps: [shadow, 1]}}}}\nroutes: [{{path: /a, new: new, rollout: p, shadow: {shadow}}}]\n"
    said = problem(text)
    assert "the route 'ANY /a' compares no answers" in said
    assert "compare: true" in said


PLAN_FAULTS = [
    ("{steps: []}", "empty list"),
    ("{steps: 5}", "must be a list"),
    ("{steps: [5, 1]}", "goes from 5 to 1"),
    ("{steps: [1, shadow]}", "goes from 1 to shadow"),
    ("{steps: [5, 5]}", "twice"),
    ("{steps: [shadow]}", "moves nobody"),
    ("{steps: [0, 1]}", "is 0, which moves nobody"),
    ("{steps: [101]}", "outside 0..100"),
    ("{steps: [dark]}", "must be a percentage, shadow or a mapping"),
    ("{steps: [{gate: manual}]}", "`weight` is missing"),
    ("{steps: [{weight: 1, gate: open}]}", "write automatic or manual"),
    ("{steps: [{weight: 1, tiem: 1m}]}", "did you mean `time`?"),
    ("{gate: sometimes}", "write automatic or manual"),
    ("{time: 10}", "not a duration"),
    ("{clients: many}", "must be a whole number"),
    ("{ratio: 0.9}", "at least 1"),
    ("{ratio: 100}", "at least 1"),
    ("{ratio: '2'}", "must be a number"),
    ("{floor: 0}", "write 0.01 to 50"),
    ("{floor: 60}", "write 0.01 to 50"),
    ("{budget: 200}", "must be a mapping"),
    ("{budget: {per: 1h}}", "`failed` is missing"),
    ("{after: [nobody]}", "there is no route 'nobody'"),
    ("{after: []}", "empty list"),
    ("{windows: [{days: [mon]}], timezone: Mars}", "names no time zone"),
    ("{stpes: [1]}", "did you mean `steps`?"),
    ("{max_time: 1h}", "the step 95 % of the plan `p` takes at least 24h"),
    ("{steps: [shadow, 1], time: 2h, max_time: 1h}", "the step shadow"),
    ("careful", "must be a mapping"),
]


@pytest.mark.parametrize(("text", "expected"), PLAN_FAULTS)
def test_a_fault_in_a_plan_is_told_with_its_place(text: str, expected: str) -> None:
    """Each on line 5, and in words that say what to write."""
    refused = load(f"plans: {{p: {text}}}\n")
    assert isinstance(refused, Refused)
    found = list(map(str, refused.problems))
    assert any(expected in each for each in found), found
    assert all(each.startswith("routes.yaml:5:") for each in found)


def test_an_unknown_plan_is_an_error_at_the_route() -> None:
    """With the nearest name, or all of them."""
    said = problem("plans: {other: {}}\nroutes: [{path: /a, rollout: carefull}]\n")
    assert "routes.yaml:5:30: there is no plan 'carefull'; did you mean `careful`?" == said


def test_routes_that_would_wait_for_each_other_are_refused() -> None:
    """Also for themselves, and over a third plan."""
    assert "wait for each other" in problem(
        "plans: {p: {after: [a]}}\nroutes: [{path: /a, name: a, new: new, rollout: p}]\n"
    )
    refused = load(
        "plans: {p: {after: [b]}, q: {after: [c]}, r: {after: [a]}}\n"
        "routes: [{path: /a, name: a, rollout: p}, {path: /b, name: b, rollout: q}, {path: /c, name: c, rollout: r}]\n"
    )
    assert isinstance(refused, Refused)
    assert 3 == len(refused.problems)
    chain = (
        "plans: {p: {after: [b]}, q: {after: [c]}}\n"
        "routes: [{path: /a, name: a, rollout: p}, {path: /b, name: b, rollout: q}, {path: /c, name: c}]\n"
    )
    assert ("b",) == parsed(chain).table.plans["p"].after


def test_webhooks_take_what_is_secret_from_the_environment() -> None:
    """And nothing that is printed shows it."""
    hooks = parsed(
        'notify: [{name: chat, url: "https://chat.example.com/${CHAT_TOKEN}", format: slack, events: [rollout.*]},'
        ' {name: audit, url: "http://127.0.0.1:9/x", secret: "${HOOK_SECRET}"}]\n'
    ).table.notify
    expected = (
        Webhook("chat", "https://chat.example.com/T0/B1/xyz", slack=True, events=("rollout.*",)),
        Webhook("audit", "http://127.0.0.1:9/x", secret="hush"),
    )
    assert expected == hooks
    assert "xyz" not in repr(hooks)
    assert "hush" not in repr(hooks)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", "must be a list"),
        ("[]", "empty list"),
        ("[{url: 'http://a/'}]", "`name` is missing"),
        ("[{name: a}]", "`url` is missing"),
        ("[{name: a, url: 'ftp://a/'}]", "no address of a webhook"),
        ("[{name: a, url: 'http://u:p@a/'}]", "no address of a webhook"),
        ("[{name: a, url: 'http://a:99999/'}]", "no address of a webhook"),
        ("[{name: a, url: 'http://${NOBODY}/'}]", "NOBODY is not set"),
        ("[{name: a, url: 'http://a/', secret: abc}]", "is written out"),
        ("[{name: a, url: 'http://a/', secret: '${X:-abc}'}]", "is written out"),
        ("[{name: a, url: 'http://a/', format: xml}]", "write json or slack"),
        ("[{name: a, url: 'http://a/', events: [ROLLOUT]}]", "write a name such as rollout.rolled_back"),
        ("[{name: a, url: 'http://a/'}, {name: a, url: 'http://b/'}]", "two of `notify` are called 'a'"),
    ],
)
def test_a_fault_in_notify_is_told(text: str, expected: str) -> None:
    """Whatever is wrong, the file is refused and no secret is shown."""
    refused = load(f"notify: {text}\n")
    assert isinstance(refused, Refused)
    assert any(expected in str(each) for each in refused.problems), refused.problems
