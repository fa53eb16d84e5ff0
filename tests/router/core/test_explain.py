"""What `explain` says is what live traffic gets, and it says why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.decide import NO_SUBJECT, Reason, decide
from router.core.explain import Asked, Explanation, compiled, explain
from router.core.match import Matcher
from router.core.model import PPM, UNLISTED, DotRule, Group, Route, Side, Site, SlashRule, Table, Upstream
from router.core.orders import Cause, Kind, Order, Reach, Scope, effective
from router.core.split import bucket, seed_of
from tests.router.core.tables import CHAIN, SITES, UPSTREAMS, orders, requests, tables


def route(name: str, path: str, **settings: Any) -> Route:
    return Route(name, path, "old", **({"new": "new", "seed": "shop", "subject": CHAIN} | settings))


CARTS = (
    route("search", "/v1/carts/search", methods=("GET",), weight=500_000, line=7),
    route("cart", "/v1/carts/{id}", methods=("PUT",)),
    route("keyed", "/v1/carts/key={key}"),
    route("display", "/v1/{rest...}", trailing_slash=SlashRule.STRICT),
    route("shop carts", "/v1/carts/{id}", host="shop.example.com", methods=("PUT",)),
)


def table(*routes: Route, **settings: Any) -> Table:
    return Table(**({"legacy": "old", "upstreams": UPSTREAMS, "routes": routes or CARTS, "sites": SITES} | settings))


def ask(method: str, target: str, *orders: Order, on: Table | None = None, client: str = "", **headers: str) -> Any:
    """The explanation for a request; header names are written with underscores."""
    on = on or table()
    lines = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return explain(Asked(method, target, lines, client), on, effective(on, orders), orders, compiled(on))


def whys(found: Explanation) -> dict[str, str]:
    return {candidate.route: candidate.why for candidate in found.candidates}


@settings(max_examples=300)
@given(st.data())
def test_the_winner_is_the_one_that_live_traffic_gets(data: st.DataObject) -> None:
    """The first candidate that allows the method is what the matcher finds, for any table and request."""
    on = data.draw(tables())
    host, segments, method, _ = data.draw(requests)
    path = b"/" + b"/".join(segments)
    headers = {"host": host.decode()} if host else {}
    found = ask(method.decode(), path.decode(), on=on, **headers)
    index = compiled(on).find(host, segments, method, b"GET" if method == b"HEAD" else None)
    assert (UNLISTED if index is None else on.routes[index].name) == found.route
    winners = [candidate.route for candidate in found.candidates if candidate.won]
    assert winners == ([] if index is None else [found.route])
    before = (
        found.candidates if index is None else found.candidates[: [each.won for each in found.candidates].index(True)]
    )
    assert all(each.why.startswith(("allows", "only for", "the same path")) for each in before)


@given(st.data())
def test_the_side_is_the_one_that_live_traffic_gets(data: st.DataObject) -> None:
    """Share, cause, bucket and side agree with the functions of the hot path; the ruling layer says the share."""
    on = data.draw(tables())
    given_orders = data.draw(orders(on))
    user = data.draw(st.sampled_from(("", "u-1", "u-2")))
    state = effective(on, given_orders)
    for index, each in enumerate(on.routes):
        path = each.path.translate({ord("{"): "x", ord("}"): "y"})
        method = each.methods[0] if each.methods else "GET"
        found = ask(method, path, *given_orders, on=on, host=each.host, X_User_Id=user)
        if found.route != each.name:
            continue
        entry = state.routes[index]
        drawn = bucket(user.encode(), seed_of(each.seed)) if user else NO_SUBJECT
        side, reason = decide(entry.share, entry.share, entry.cause, None, drawn)
        assert (entry.share, entry.cause.label) == (found.share, found.cause)
        assert found.reason in {reason.label, Reason.SITE_ROLLBACK.label}
        assert found.side is (side if found.reason == reason.label else Side.LEGACY)
        ruling = [layer for layer in found.layers if layer.rules]
        assert ruling[-1].share == entry.share or each.new is None
        assert found.upstream == (each.new if found.side is Side.NEW else each.legacy)


@given(st.sampled_from(("u-1", "u-2", "u-3")), st.integers(0, PPM))
def test_the_flip_is_exact(user: str, share: int) -> None:
    """From `flips_at` on the subject is on new, one ppm below it is not."""
    flips = ask("GET", "/v1/carts/search", X_User_Id=user).flips_at
    on = table(replace(CARTS[0], weight=share))
    assert (share >= flips) is (ask("GET", "/v1/carts/search", on=on, X_User_Id=user).side is Side.NEW)


def test_candidates_say_why_they_lost() -> None:
    """The method, a closer sibling, another host: each loser has its reason, in the matcher's order."""
    found = ask("PUT", "/v1/carts/search")
    assert found.route == "cart"
    assert whys(found) == {
        "search": "allows GET, not PUT",
        "cart": "the closest path that allows the method",
        "display": "{rest...} is a rest; carts of cart is closer",
        "shop carts": "only for the host shop.example.com",
    }


def test_a_partial_segment_beats_a_parameter_in_words() -> None:
    """The words name the first segment that differs."""
    assert whys(ask("PUT", "/v1/carts/key=1"))["cart"] == "{id} is a parameter; key={key} of keyed is closer"


def test_a_named_host_beats_any_in_words() -> None:
    """The host is compared before the path."""
    found = ask("PUT", "/v1/carts/search", host="SHOP.example.com:8080")
    assert found.route == "shop carts"
    assert found.host == "shop.example.com"
    assert whys(found)["cart"] == "for any host; shop carts names this one"


def test_the_routes_of_one_path_are_told_apart_by_their_methods() -> None:
    """A named method before one that stands in, that before any."""
    on = table(route("get", "/a", methods=("GET",)), route("head", "/a", methods=("HEAD",)), route("any", "/a"))
    found = ask("HEAD", "/a", on=on)
    assert found.route == "head"
    assert whys(found)["get"] == "the same path, but head names the method more closely"
    assert whys(ask("HEAD", "/a", on=table(*on.routes[::2])))["get"].endswith("GET, which HEAD follows")
    assert whys(ask("PUT", "/a", on=on))["any"] == "the closest path; it takes any method"


@pytest.mark.parametrize(
    ("target", "path", "normalised", "host"),
    [
        ("/v1/%63arts/7?x=/y#z", "/v1/%63arts/7", "/v1/carts/7", ""),
        ("http://Shop.Example.com:80/v1/carts/7?x", "/v1/carts/7", "/v1/carts/7", "shop.example.com"),
        ("https://shop.example.com", "/", "/", "shop.example.com"),
        ("/상품 1", "/%EC%83%81%ED%92%88%201", "/%EC%83%81%ED%92%88%201", ""),
        ("/a%2fb", "/a%2fb", "/a%2Fb", ""),
    ],
)
def test_a_target_is_taken_as_a_client_would_send_it(target: str, path: str, normalised: str, host: str) -> None:
    """Queries and fragments go, URLs name the host, what may not stand in a target is escaped."""
    found = ask("GET", target)
    assert (path, normalised, host) == (found.path, found.normalised, found.host)


def test_the_subject_and_where_it_came_from_are_named() -> None:
    """The first source of the chain that has a value, and the number that follows from it."""
    found = ask("GET", "/v1/carts/search", cookie="a=b; sid=s-1")
    assert ("s-1", "cookie:sid") == (found.subject, found.subject_source)
    assert found.bucket == bucket(b"s-1", seed_of("shop"))
    assert found.chain == ("header:X-User-Id", "cookie:sid", "client-ip")
    assert ask("GET", "/v1/carts/search", client="10.1.2.3").subject == "10.1.2.3"


def test_without_a_subject_a_share_sends_nobody() -> None:
    """And the answer says what was missing from the question."""
    found = ask("GET", "/v1/carts/search")
    assert (Side.LEGACY, "no-subject", None, PPM) == (found.side, found.reason, found.bucket, found.flips_at)
    assert "names no client" in found.subject_source


def test_a_preflight_follows_its_path_and_has_no_subject() -> None:
    """OPTIONS with an Origin and the method it asks about."""
    found = ask("OPTIONS", "/v1/carts/search", origin="https://x", access_control_request_method="GET", X_User_Id="u")
    assert ("search", "preflight", None) == (found.route, found.reason, found.subject)


def test_every_layer_is_shown_with_its_say() -> None:
    """The file, older and newer orders, the ceiling and the rollback; the last ruling one is the answer."""
    on = table(replace(CARTS[0], group="g"), groups={"g": Group("g", cap=300_000)})
    old = Order(1, Kind.WEIGHT, Scope(Reach.ROUTE, "search"), "try", "lee", 0, 100_000, {"search": 500_000})
    new = replace(old, number=2, share=400_000)
    gone = replace(old, number=3, declared={"search": 1})
    capped = ask("GET", "/v1/carts/search", old, new, gone, on=on)
    assert [(layer.layer, layer.share, layer.order, layer.rules) for layer in capped.layers] == [
        ("declared", 500_000, "", False),
        ("order", 100_000, "W-1", False),
        ("order", 400_000, "W-2", False),
        ("order", 100_000, "W-3", False),
        ("cap", 300_000, "", True),
    ]
    assert ["routes.yaml:7", "by lee: try (a newer order rules)"] == [layer.why for layer in capped.layers[:2]]
    assert capped.layers[3].why.endswith("(gave way: the file was edited since)")
    held = Order(4, Kind.ROLLBACK, Scope(Reach.GROUP, "g"), "prices odd", "kim", 0)
    back = ask("GET", "/v1/carts/search", new, held, on=on)
    assert ("rollback", 0, "R-4", True) == (
        back.layers[-1].layer,
        back.layers[-1].share,
        back.layers[-1].order,
        back.layers[-1].rules,
    )
    assert back.why == "rolled back by R-4; only resume lifts it"
    assert Cause.ROLLBACK.label == back.cause


def test_caps_pins_and_freezes_are_layers_with_their_numbers() -> None:
    """The lowest cap limits, a pin stands over it, a freeze changes no share."""
    scope = Scope(Reach.ROUTE, "search")
    weight = Order(1, Kind.WEIGHT, scope, "try", "lee", 0, 400_000, {"search": 500_000})
    wide = Order(2, Kind.CAP, Scope(Reach.ALL), "quiet week", "kim", 0, 300_000)
    low = Order(3, Kind.CAP, scope, "careful", "kim", 0, 200_000)
    freeze = Order(4, Kind.FREEZE, scope, "night", "kim", 0)
    capped = ask("GET", "/v1/carts/search", weight, wide, low, freeze)
    assert [(layer.layer, layer.share, layer.order, layer.rules) for layer in capped.layers] == [
        ("declared", 500_000, "", False),
        ("order", 400_000, "W-1", False),
        ("cap", 300_000, "C-2", False),
        ("cap", 200_000, "C-3", True),
        ("freeze", 200_000, "F-4", False),
    ]
    assert "by lee: try" == capped.layers[1].why
    assert "all, by kim: quiet week (not the limit here)" == capped.layers[2].why
    pin = Order(5, Kind.PIN, scope, "partners", "kim", 0, side=Side.NEW)
    pinned = ask("GET", "/v1/carts/search", weight, low, pin)
    assert ("pin", PPM, "P-5", True) == (
        pinned.layers[-1].layer,
        pinned.layers[-1].share,
        pinned.layers[-1].order,
        pinned.layers[-1].rules,
    )
    assert (Side.NEW, "P-5 pins it to new") == (pinned.side, pinned.why)
    held = ask("GET", "/v1/carts/search", pin, Order(6, Kind.ROLLBACK, scope, "odd", "kim", 0))
    assert [("pin", False), ("rollback", True)] == [(layer.layer, layer.rules) for layer in held.layers[1:]]


def test_an_override_counts_only_from_a_trusted_network() -> None:
    """And whatever it says, the explanation says what became of it."""
    on = table(trusted=("10.0.0.0/8",))
    asked: dict[str, Any] = {"on": on, "X_Strangler_Side": "new"}
    assert ask("PUT", "/v1/carts/7", client="10.1.1.1", **asked).reason == "override"
    outside = ask("PUT", "/v1/carts/7", client="192.0.2.1", **asked)
    assert (Side.LEGACY, "ignored: it does not come from a trusted network") == (outside.side, outside.override)
    assert "names no client" in ask("PUT", "/v1/carts/7", **asked).override
    assert "ignored" in ask("PUT", "/v1/carts/7", client="10.1.1.1", on=on, X_Strangler_Side="old").override


def test_nobody_is_sent_to_a_side_that_does_not_exist() -> None:
    """Not even by a trusted override."""
    found = ask(
        "GET",
        "/a",
        client="10.1.1.1",
        on=table(route("a", "/a", new=None), trusted=("10.0.0.0/8",)),
        X_Strangler_Side="new",
    )
    assert (Side.LEGACY, "old", "ignored: the route has no new side") == (found.side, found.upstream, found.override)


def test_a_rolled_back_site_takes_its_own_users_to_legacy() -> None:
    """The others stay where they are."""
    on = table(replace(CARTS[0], weight=PPM))
    held = Order(1, Kind.ROLLBACK, Scope(Reach.SITE, "pangyo"), "fire", "kim", 0)
    answers = [ask("GET", "/v1/carts/search", held, on=on, X_User_Id=f"u-{number}") for number in range(40)]
    before = [ask("GET", "/v1/carts/search", on=on, X_User_Id=f"u-{number}") for number in range(40)]
    for old, new in zip(before, answers, strict=True):
        expected = (Side.LEGACY, "site-rollback") if old.site == "pangyo" else (Side.NEW, "weight")
        assert expected == (new.side, new.reason)
    assert {"pangyo", "pyeongchon"} == {each.site for each in before}
    assert ("http://[::1]:9201",) == next(each.endpoints for each in before if each.site == "pyeongchon")


def test_a_single_site_can_be_rolled_back_too() -> None:
    """An upstream that lives in one named place is held with it."""
    lone = UPSTREAMS | {"new": Upstream("new", {"pangyo": UPSTREAMS["new"].sites["pangyo"]})}
    on = table(replace(CARTS[0], weight=PPM), upstreams=lone, sites={"pangyo": Site("pangyo")})
    held = Order(1, Kind.ROLLBACK, Scope(Reach.SITE, "pangyo"), "fire", "kim", 0)
    assert ask("GET", "/v1/carts/search", held, on=on).reason == "site-rollback"


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("/nothing", ""),
        ("/v2/carts/", "without a trailing slash it would be bare (see trailing_slash)"),
        ("/v2/slash", "with a trailing slash it would be slash (see trailing_slash)"),
        ("*", ""),
    ],
)
def test_a_request_without_a_route_goes_to_legacy_with_a_hint(target: str, hint: str) -> None:
    """The commonest near miss is named."""
    on = table(route("bare", "/v2/carts"), route("slash", "/v2/slash/"))
    found = ask("GET" if target != "*" else "OPTIONS", target, on=on)
    assert (UNLISTED, Side.LEGACY, "unlisted", "old", hint) == (
        found.route,
        found.side,
        found.reason,
        found.upstream,
        found.hint,
    )


def test_dot_segments_are_refused_or_left_to_legacy() -> None:
    """By the file's own rule, also when the dots are escaped."""
    refused = ask("GET", "/v1/%2e%2e/carts/search")
    assert (None, "refused") == (refused.side, refused.reason)
    lenient = ask("GET", "/v1/x/../y", on=table(dot_segments=DotRule.LEGACY))
    assert ("unlisted", "the path has dot segments, which are never matched") == (
        lenient.reason,
        whys(lenient)["display"],
    )


def test_a_compiled_table_gives_indexes() -> None:
    """So that state and routes can be looked up by the same number."""
    matcher: Matcher[int] = compiled(table())
    assert matcher.find(b"", [b"v1", b"carts", b"search"], b"GET") == 0
