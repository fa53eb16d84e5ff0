"""What upstreams and routes say about health: every key, and every way in which it can be wrong."""

from __future__ import annotations

import pytest

from router.core.model import Breaker, Endpoint, Fallback, Health, Panic, Resume, Route, Upstream
from router.core.parse import Parsed, Refused
from router.sources.yaml_file import load_table

HEAD = "version: 1\nlegacy: old\n"
OLD = "upstreams: {old: {endpoints: [http://127.0.0.1:1]}, new: {endpoints: [http://127.0.0.1:2]}}\n"


def load(text: str) -> Parsed | Refused:
    return load_table((HEAD + text).encode(), "routes.yaml", {})


def upstream(said: str) -> Upstream:
    parsed = load(f"upstreams: {{old: {said}}}\nroutes: []\n")
    assert isinstance(parsed, Parsed), parsed
    return parsed.table.upstreams["old"]


def health(said: str) -> Health | None:
    return upstream(f"{{endpoints: ['http://a:1'], health: {said}}}").health


def route(said: str, more: str = "") -> Route:
    parsed = load(f"{OLD}{more}\nroutes: [{{path: /a, new: new, {said}}}]\n")
    assert isinstance(parsed, Parsed), parsed
    return parsed.table.routes[0]


def problem(text: str) -> str:
    refused = load(text)
    assert isinstance(refused, Refused)
    (found,) = refused.problems
    return str(found)


# ------------------------------------------------------------------------------------------------ upstreams


def test_every_key_of_health() -> None:
    """In the notation of the rest of the file."""
    said = health(
        "{path: /up, interval: 1s, timeout: 500ms, down: 2, up: 4, status: [200, 300-399], body: UP,"
        " min_down: 1m, ramp: 0, resume: manual}"
    )
    assert Health("/up", 1.0, 0.5, 2, 4, ((200, 200), (300, 399)), "UP", False, 60.0, 0.0, Resume.MANUAL) == said


@pytest.mark.parametrize(
    ("status", "expected"),
    [("204", ((204, 204),)), ("200-299", ((200, 299),)), ("'200'", ((200, 200),)), ("[404]", ((404, 404),))],
)
def test_a_single_status_or_range_needs_no_list(status: str, expected: tuple[tuple[int, int], ...]) -> None:
    """Also as text, since 200-299 is text to YAML anyway."""
    found = health(f"{{status: {status}}}")
    assert found is not None
    assert expected == found.statuses


def test_tcp_alone_is_enough() -> None:
    """A connection is all that is asked for."""
    assert Health(tcp=True) == health("{tcp: true}")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("{tcp: true, path: /up}", "`path` is about an HTTP answer, and with `tcp: true` nothing is asked"),
        ("{tcp: true, status: 200}", "`status` is about an HTTP answer"),
        ("{tcp: true, body: UP}", "`body` is about an HTTP answer"),
        ("{status: 99}", "`status` is the number '99', not a range of statuses; write a status, a range such as"),
        ("{status: 399-200}", "`status` is the text '399-200', not a range"),
        ("{status: 200-}", "not a range"),
        ("{status: []}", "`status` is an empty list"),
        ("{status: [200, 200]}", "twice"),
        ("{status: true}", "not a range"),
        ("{body: ''}", "`body` is an empty text"),
        (f"{{body: {'x' * 257}}}", "`body` has 257 characters; write at most 256"),
        ("{resume: maybe}", "`resume` is the text 'maybe'; write auto or manual"),
        ("{min_down: 3}", "`min_down` is the number '3', not a duration"),
        ("{ramp: soon}", "`ramp` is the text 'soon', not a duration"),
    ],
)
def test_what_cannot_be_meant_is_refused(said: str, expected: str) -> None:
    """With what to write instead."""
    text = f"upstreams: {{old: {{endpoints: ['http://a:1'], health: {said}}}}}\nroutes: []\n"
    assert expected in problem(text)


def test_endpoints_may_have_weights() -> None:
    """Beside plain ones; the weight is not part of what an endpoint is."""
    found = upstream("{endpoints: ['http://a:1', {url: 'http://a:2', weight: 3}]}").endpoints
    assert (Endpoint("a", 1), Endpoint("a", 2)) == found
    assert [1, 3] == [endpoint.weight for endpoint in found]


def test_an_upstream_may_share_differently_and_have_a_limit() -> None:
    """Weights of its own by site, and the most requests at one endpoint."""
    found = upstream("{sites: {a: ['http://a:1'], b: ['http://b:1']}, weights: {a: 30, b: 0}, max_requests: 50}")
    assert {"a": 30, "b": 0} == found.weights
    assert 50 == found.max_requests


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("{endpoints: ['http://a:1', {url: 'http://a:1', weight: 2}]}", "has 'http://a:1' twice"),
        ("{endpoints: [{weight: 2}]}", "`url` is missing"),
        ("{endpoints: [{url: 'http://a:1', weight: 0}]}", "`weight` is 0, outside 1..100"),
        ("{endpoints: [{url: 'http://a:1', wieght: 2}]}", "did you mean `weight`?"),
        ("{endpoints: ['http://a:1'], weights: {a: 1}}", "has `weights`, but no sites"),
        ("{sites: {a: ['http://a:1']}, weights: {b: 1}}", "has a weight for 'b', which is none of its sites"),
        ("{sites: {a: ['http://a:1']}, weights: {a: 101}}", "the weight of `a` is 101, outside 0..100"),
        ("{sites: {a: ['http://a:1']}, weights: {}}", "`weights` is empty"),
        ("{sites: {a: ['http://a:1']}, weights: {a: 0}}", "every site of the upstream `old` has the weight 0"),
        ("{endpoints: ['http://a:1'], max_requests: 0}", "`max_requests` is 0, outside 1.."),
    ],
)
def test_weights_that_name_nothing_or_weigh_nothing_are_refused(said: str, expected: str) -> None:
    """Wherever they stand."""
    assert expected in problem(f"upstreams: {{old: {said}}}\nroutes: []\n")


# --------------------------------------------------------------------------------------------------- routes


def test_what_nobody_says_of_a_route() -> None:
    """It overflows to legacy, goes on when everything looks dead, and has a breaker."""
    found = route("weight: 5")
    assert (True, False, Panic.OPEN, Breaker()) == (found.overflow, found.finalised, found.panic, found.breaker)


def test_every_key_of_a_route() -> None:
    """As it is written."""
    found = route(
        "overflow: none, panic: closed, breaker: {failures: 25, minimum: 10, window: 5s, hold: 1m, resume: manual}"
    )
    assert (False, Panic.CLOSED) == (found.overflow, found.panic)
    assert Breaker(250_000, 10, 5.0, 60.0, Resume.MANUAL) == found.breaker


def test_a_breaker_may_be_off() -> None:
    """In a route, whatever the defaults say; and a route may have one where the defaults have none."""
    assert route("breaker: off", "defaults: {breaker: {failures: 10}}").breaker is None
    assert Breaker(minimum=5) == route("breaker: {minimum: 5}", "defaults: {breaker: off}").breaker


def test_a_finalised_route_never_goes_to_legacy() -> None:
    """What it inherits of fallback, overflow and breaker has no say."""
    more = "defaults: {fallback: {on: [connect]}, breaker: {failures: 10}, overflow: legacy}"
    found = route("finalised: true, weight: 100", more)
    assert (Fallback(), False, None, True) == (found.fallback, found.overflow, found.breaker, found.finalised)


@pytest.mark.parametrize(
    ("key", "said"),
    [("fallback", "fallback: {on: [503]}"), ("overflow", "overflow: legacy"), ("breaker", "breaker: {minimum: 5}")],
)
def test_finalised_and_yet_legacy_is_a_contradiction(key: str, said: str) -> None:
    """In a route, whoever says that it is finalised, in a group, and in the defaults."""
    expected = f"legacy never answers instead of the new side, but `{key}` says it does; remove `{key}`, or `finalised`"
    for text in (
        f"{OLD}routes: [{{path: /a, new: new, finalised: true, {said}}}]\n",
        f"{OLD}groups: {{g: {{finalised: true}}}}\nroutes: [{{path: /a, new: new, group: g, {said}}}]\n",
        f"{OLD}groups: {{g: {{finalised: true, {said}}}}}\nroutes: []\n",
        f"{OLD}defaults: {{finalised: true, {said}}}\nroutes: []\n",
    ):
        assert expected in problem(text)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("new: new, breaker: on", "`breaker` must be off or a mapping"),
        ("new: new, breaker: {failures: 0}", "`failures: 0` would open the breaker without a failure"),
        ("new: new, breaker: {minimum: 0}", "`minimum` is 0, outside 1.."),
        ("new: new, overflow: maybe", "`overflow` is the text 'maybe'; write `legacy` or `none`"),
        ("new: new, panic: shut", "`panic` is the text 'shut'; write open or closed"),
        ("finalised: true", "the route is finalised, but has no `new` upstream"),
    ],
)
def test_a_route_that_cannot_mean_it_is_refused(said: str, expected: str) -> None:
    """With what to write instead."""
    assert expected in problem(f"{OLD}routes: [{{path: /a, {said}}}]\n")
