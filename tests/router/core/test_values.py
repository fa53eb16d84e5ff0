"""The particular values of routes.yaml: what is accepted, and what is said about the rest."""

from __future__ import annotations

from typing import Any

import pytest

from router.core import values
from router.core.document import Entry, Mapping, Node, Scalar, Sequence
from router.core.model import Endpoint, Fallback, Source, SubjectSource
from router.core.problem import Code, Report
from router.core.schema import Reader


def scalar(value: Any) -> Scalar:
    return Scalar(value, 2, 5, str(value))


def listed(*items: Any) -> Sequence:
    return Sequence(tuple(map(scalar, items)), 2, 5)


def on(*items: Any) -> Mapping:
    return Mapping((Entry("on", listed(*items), 2, 5),), 2, 5)


def read(reader: Reader[Any], node: Node) -> tuple[Any, list[str]]:
    report = Report()
    value = reader(node, "`key`", report)
    return value, [f"{problem.code}: {problem.what}; {problem.instead}" for problem in report.problems()]


CHAIN = (
    SubjectSource(Source.HEADER, "X-User-Id"),
    SubjectSource(Source.COOKIE, "sid"),
    SubjectSource(Source.CLIENT_IP),
)

GOOD: list[tuple[Reader[Any], Node, Any]] = [
    (values.identifier_text, scalar("k8s-pangyo_1.a"), "k8s-pangyo_1.a"),
    (values.route_name, scalar("GET /v1/products/{productNo}"), "GET /v1/products/{productNo}"),
    (values.route_name, scalar("상품 조회"), "상품 조회"),
    (values.path, scalar("/V1/carts/{cartId}"), "/V1/carts/{cartId}"),
    (values.path, scalar("/a/${x}"), "/a/${x}"),
    (values.methods, listed("GET", "M-SEARCH"), ("GET", "M-SEARCH")),
    (values.host, scalar("Shop.Example.COM"), "shop.example.com"),
    (values.host, scalar("10.0.0.7"), "10.0.0.7"),
    (values.host, scalar("[FD00::7]"), "[fd00::7]"),
    (values.subject, listed("header:X-User-Id", "cookie:sid", "client-ip"), CHAIN),
    (values.subject, listed("client-ip", "random"), (SubjectSource(Source.CLIENT_IP), SubjectSource(Source.RANDOM))),
    (values.fallback, scalar(False), Fallback()),
    (values.fallback, scalar("off"), Fallback()),
    (values.fallback, on("connect", 502, 599), Fallback(on_connect=True, statuses=frozenset({502, 599}))),
    (values.fallback, on(400), Fallback(on_connect=False, statuses=frozenset({400}))),
    (values.networks, listed("10.0.0.0/8", "127.0.0.1", "FD00::/8"), ("10.0.0.0/8", "127.0.0.1/32", "fd00::/8")),
    (values.via, scalar(False), ""),
    (values.via, scalar("off"), ""),
    (values.via, scalar("edge-1"), "edge-1"),
    (values.probe_path, scalar("/healthz?full=1"), "/healthz?full=1"),
    (values.limit_size, scalar(0), 0),
    (values.limit_size, scalar("16KiB"), 16384),
    (values.limit_time, scalar(0), 0.0),
    (values.limit_time, scalar("250ms"), 0.25),
]

BAD: list[tuple[Reader[Any], Node, str]] = [
    (values.identifier_text, scalar("a b"), "bad-name: `key` is 'a b', which is not a name; use 1 to 64 letters"),
    (values.identifier_text, scalar("x" * 65), "bad-name: "),
    (values.route_name, scalar("unlisted"), "bad-name: the name `unlisted` stands for requests without a route"),
    (values.route_name, scalar('say "hi"'), "bad-name: "),
    (values.route_name, scalar(" a"), "bad-name: "),
    (values.route_name, scalar("x" * 201), "bad-name: the route's name has 201 characters"),
    (values.route_name, scalar("a\r\nb"), "bad-value: "),
    (values.path, scalar("products"), "bad-path: the path 'products' does not begin with a slash; write /products"),
    (values.path, scalar("/a?b"), "bad-path: "),
    (values.path, scalar("/a/../b"), "bad-path: "),
    (values.path, scalar("/a/{x"), "bad-path: "),
    (values.path, scalar("/caf\u00e9"), "bad-path: the path '/caf\u00e9' is not ASCII, and"),
    (values.path, scalar(7), "wrong-type: "),
    (values.methods, listed("get"), "bad-value: an item of `key` is 'get', but methods are upper-case; write GET"),
    (values.methods, listed("CONNECT"), "bad-value: CONNECT is never routed"),
    (values.methods, listed("GET POST"), "bad-value: "),
    (values.methods, listed("GET", "GET"), "duplicate: `key` has 'GET' twice"),
    (values.methods, listed(), "bad-value: `key` is an empty list; a route without methods can never be reached"),
    (values.methods, scalar("GET"), "wrong-type: `key` must be a list, not the text 'GET'; write it in brackets: [GET"),
    (values.host, scalar("shop.example.com:8080"), "bad-value: "),
    (values.host, scalar("*.example.com"), "bad-value: "),
    (values.host, scalar("example.com."), "bad-value: "),
    (values.host, scalar("b\u00fccher.example"), "bad-value: "),
    (values.host, scalar("-a.example"), "bad-value: "),
    (values.host, scalar("a" * 64), "bad-value: "),
    (values.host, scalar("1.2.3"), "bad-value: "),
    (values.host, scalar("[::1%eth0]"), "bad-value: "),
    (values.subject, listed("header"), "bad-value: an item of `key` is 'header', which names no subject"),
    (values.subject, listed("header:"), "bad-value: "),
    (values.subject, listed("header:a b"), "bad-value: "),
    (values.subject, listed("client-ip:x"), "bad-value: "),
    (values.subject, listed("user"), "bad-value: "),
    (values.subject, listed(), "bad-value: `key` is an empty list; write where the subject is found"),
    (values.subject, listed("client-ip", "client-ip"), "duplicate: "),
    (values.subject, listed("random", "client-ip"), "contradiction: `key` goes on behind `random`"),
    (values.fallback, scalar(True), "wrong-type: "),
    (values.fallback, listed(502), "wrong-type: "),
    (values.fallback, on(), "bad-value: `on` is an empty list; write `fallback: off`"),
    (values.fallback, on(399), "bad-value: an item of `on` is the number '399', neither `connect` nor a status"),
    (values.fallback, on(600), "bad-value: "),
    (values.fallback, on("502"), "bad-value: "),
    (values.fallback, on("connect", "connect"), "duplicate: `on` has 'connect' twice"),
    (values.fallback, Mapping((), 2, 5), "missing-key: `on` is missing in `key`"),
    (values.networks, listed("10.0.0.1/8"), "bad-value: an item of `key` is '10.0.0.1/8', an address inside"),
    (values.networks, listed("10.0.0.0/33"), "bad-value: "),
    (values.networks, listed("localhost"), "bad-value: "),
    (values.networks, listed(), "bad-value: `key` is an empty list; leave `trusted` out to trust nobody"),
    (values.via, scalar("two words"), "bad-value: "),
    (values.via, scalar(True), "wrong-type: "),
    (values.probe_path, scalar("healthz"), "bad-value: "),
    (values.probe_path, scalar("/a b"), "bad-value: "),
    (values.limit_size, scalar("16KB"), "bad-value: `key` is the text '16KB', not a size"),
    (values.limit_size, scalar(1.5), "bad-value: "),
    (values.limit_size, scalar(True), "bad-value: "),
    (values.limit_size, scalar(-1), "bad-value: "),
    (values.limit_time, scalar(5), "bad-duration: `key` is the number '5', not a duration"),
    (values.limit_time, scalar("0s"), "bad-duration: "),
]  # fmt: skip


@pytest.mark.parametrize(("reader", "node", "value"), GOOD)
def test_a_good_value_is_read_without_a_problem(reader: Reader[Any], node: Node, value: Any) -> None:
    """The value comes out in the form that the model wants, and nothing is reported."""
    assert (value, []) == read(reader, node)


@pytest.mark.parametrize(("reader", "node", "said"), BAD)
def test_a_bad_value_is_one_problem_that_says_what_to_write(reader: Reader[Any], node: Node, said: str) -> None:
    """No value comes out, and exactly one problem explains it."""
    value, (problem,) = read(reader, node)
    assert value is None
    assert problem.startswith(said)


# ------------------------------------------------------------------------------------------------ endpoints

ENVIRON = {"CATALOG": "http://c:1", "EMPTY": "", "TRICKY": "http://${CATALOG}:1"}

ENDPOINTS = [
    ("http://127.0.0.1:9001", Endpoint("127.0.0.1", 9001)),
    ("http://Monolith.Shop.svc:65535", Endpoint("monolith.shop.svc", 65535)),
    ("http://my_service:1", Endpoint("my_service", 1)),
    ("http://[FD00::7]:80", Endpoint("fd00::7", 80)),
    ("${CATALOG}", Endpoint("c", 1)),
    ("http://${HOST:-db}:${PORT:-5}", Endpoint("db", 5)),
    ("${EMPTY:-http://d:2}", Endpoint("d", 2)),
]


@pytest.mark.parametrize(("written", "endpoint"), ENDPOINTS)
def test_an_endpoint_is_http_host_and_port_after_the_environment_is_put_in(written: str, endpoint: Endpoint) -> None:
    """Names are lower-cased, brackets vanish, and defaults of variables work as in a shell."""
    assert (endpoint, []) == read(values.endpoint(ENVIRON), scalar(written))


BAD_ENDPOINTS = [
    ("127.0.0.1:9001", "the endpoint '127.0.0.1:9001' has no http:// in front"),
    ("https://a:1", "begins with 'https', and only http is spoken to upstreams"),
    ("HTTP://a:1", "begins with 'HTTP'"),
    ("http://a", "has no port"),
    ("http://[::1]", "has no port"),
    ("http://a:0", "has the port '0', outside 1..65535"),
    ("http://a:65536", "has the port '65536', outside 1..65535"),
    ("http://a:x", "has the port 'x'"),
    ("http://a:", "has the port ''"),
    ("http://a:\u0661", "has the port '\u0661'"),
    ("http://a:1/", "goes on with '/' behind the port"),
    ("http://a:1/v1", "goes on with '/v1' behind the port"),
    ("http://a:1?x", "goes on with '?x' behind the port"),
    ("http://u:p@a:1", "holds a user or password"),
    ("http://:1", "has no valid host, but ''"),
    ("http://a_b-:1", "has no valid host"),
    ("http://a b:1", "has no valid host"),
    ("http://256.1.1.1:1", "has no valid host"),
    ("http://::1:80", "has no valid host"),
    ("http://[::g]:80", "has a bad IPv6 address"),
    ("${NOPE}", "the environment variable NOPE is not set; set it, or write ${NOPE:-http://host:port}"),
    ("${EMPTY}", "the endpoint '' (from '${EMPTY}') has no http:// in front"),
    ("http://${1}:2", "has a variable that cannot be read; write ${NAME} or ${NAME:-default}"),
    ("http://${CATALOG", "has a variable that cannot be read"),
    ("${TRICKY}", "the endpoint 'http://${CATALOG}:1' (from '${TRICKY}') has no valid host"),
]


@pytest.mark.parametrize(("written", "said"), BAD_ENDPOINTS)
def test_a_bad_endpoint_is_one_problem_that_names_the_bad_part(written: str, said: str) -> None:
    """Scheme, user, host, port and rest are told apart; what a variable brings is not expanded again."""
    value, (problem,) = read(values.endpoint(ENVIRON), scalar(written))
    assert value is None
    assert said in problem


# ----------------------------------------------------------------------------------------------- references


def test_an_unknown_reference_gets_a_suggestion() -> None:
    """A slip names the one that was meant; otherwise the defined ones are listed."""
    known = values.known_name("upstream", frozenset({"monolith", "catalog"}))
    assert ("", ["unknown-name: there is no upstream 'monolit'; did you mean `monolith`?"]) == read(
        known, scalar("monolit")
    )
    assert (
        "",
        ["unknown-name: there is no upstream 'zzz'; define it under `upstreams`, or use catalog or monolith"],
    ) == read(known, scalar("zzz"))


def test_a_reference_is_not_judged_when_its_section_is_unreadable() -> None:
    """One broken section is one problem, not one for every use of it."""
    assert ("zzz", []) == read(values.known_name("upstream", None), scalar("zzz"))


def test_an_unreadable_reference_still_counts_as_written() -> None:
    """The empty text says that something stands there, so that nobody reports it as missing."""
    value, (problem,) = read(values.known_name("upstream", frozenset("a")), scalar(3))
    assert ("", Code.WRONG_TYPE) == (value, problem.partition(":")[0])
