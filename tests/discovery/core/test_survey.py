"""What is documented and what is used, put together."""

from __future__ import annotations

import pytest

from discovery.core.survey import MOST_NEW, Documented, Findings, Standing, Survey, path_of


def findings(*requests: tuple[str, int], documented: tuple[Documented, ...] = (), logged: bool = True) -> Findings:
    """From `GET /a 200` and how often."""
    survey = Survey(documented)
    for request, count in requests:
        method, path, status = request.split(" ")
        survey.add(method, path.encode(), int(status), "", count)
    return survey.findings(60.0, logged=logged)


def standing(found: Findings) -> dict[str, tuple[Standing, int]]:
    return {each.label: (each.standing, each.requests) for each in found.operations}


CARTS = (
    Documented("GET", "/carts/{cartId}", "/api", "Carts"),
    Documented("GET", "/carts/mine", "/api", "Carts"),
    Documented("DELETE", "/carts/{cartId}", "/api", "Carts", deprecated=True),
)


def test_every_operation_is_documented_used_or_both() -> None:
    """The three classes, with the name of the document's parameter, and whatever words stand for values."""
    found = findings(
        ("GET /api/carts/of-alice 200", 5), ("GET /api/carts/mine 200", 3), ("GET /api/other 200", 2), documented=CARTS
    )
    assert standing(found) == {
        "GET /api/carts/{cartId}": (Standing.BOTH, 5),
        "GET /api/carts/mine": (Standing.BOTH, 3),
        "GET /api/other": (Standing.UNDOCUMENTED, 2),
        "DELETE /api/carts/{cartId}": (Standing.UNUSED, 0),
    }
    assert found.operations[-1].deprecated
    assert found.operations[0].tag == "Carts"


def test_without_a_log_nothing_is_called_unused() -> None:
    """Nobody has looked."""
    assert {each.standing for each in findings(documented=CARTS, logged=False).operations} == {Standing.DOCUMENTED}


def test_a_method_that_no_document_has_is_undocumented_on_its_documented_path() -> None:
    """The document's template is used; when it is only refused, nobody serves it."""
    found = findings(("PATCH /api/carts/of-alice 200", 2), ("PUT /api/carts/7 405", 4), documented=CARTS)
    assert standing(found)["PATCH /api/carts/{cartId}"] == (Standing.UNDOCUMENTED, 2)
    assert "PUT /api/carts/{cartId}" not in standing(found)
    assert found.ignored.noise == 4


def test_a_base_that_the_traffic_does_not_have_is_left_out_and_said() -> None:
    """Documents are often written for another place than the one whose log this is."""
    found = findings(("GET /carts/4711 200", 9), documented=CARTS)
    assert standing(found)["GET /carts/{cartId}"] == (Standing.BOTH, 9)
    assert "DELETE /carts/{cartId}" in standing(found)
    assert "/api nowhere" in found.remarks[0]


def test_head_goes_with_get_and_preflights_with_nothing() -> None:
    """A route for GET takes HEAD; OPTIONS asks about something else."""
    found = findings(("GET /a 200", 5), ("HEAD /a 200", 2), ("HEAD /b 200", 1), ("OPTIONS /a 204", 9))
    assert standing(found) == {
        "GET,HEAD /a": (Standing.UNDOCUMENTED, 7),
        "HEAD /b": (Standing.UNDOCUMENTED, 1),
    }
    assert found.ignored.preflights == 9
    assert standing(findings(("HEAD /api/carts/7 200", 2), documented=CARTS))["GET,HEAD /api/carts/{cartId}"][1] == 2


def test_what_was_only_refused_teaches_nothing() -> None:
    """Scanners ask for a thousand things that are not there; none becomes a route, and no parameter is made of them."""
    probes = [(f"GET /wp-{number}/setup.php 404", 1) for number in range(1000)]
    found = findings(("GET /shop/products 200", 10), *probes)
    assert standing(found) == {"GET /shop/products": (Standing.UNDOCUMENTED, 10)}
    assert found.ignored.noise == 1000


def test_what_was_refused_counts_where_it_belongs() -> None:
    """A product that is gone is still a request for a product; a name below what answers is one."""
    products = [(f"GET /shop/products/{number} 200", 1) for number in range(100, 120)]
    refused = [
        ("GET /shop/products/9 404", 3),
        ("DELETE /shop/products/7 405", 1),
        ("GET /shop/products/feed 404", 1),
    ]
    found = findings(("GET /shop/products 200", 9), *products, *refused)
    by_label = {each.label: each for each in found.operations}
    assert (
        by_label["GET /shop/products/{productId}"].requests,
        by_label["GET /shop/products/{productId}"].refused,
    ) == (23, 3)
    assert by_label["DELETE /shop/products/{productId}"].refused == 1
    assert by_label["GET /shop/products/feed"].refused == 1


def test_somebody_guessing_below_what_answers_adds_little() -> None:
    """Only so many refused names are believed."""
    guesses = [(f"GET /shop/guess{'x' * number} 404", 1) for number in range(200)]
    found = findings(("GET /shop 200", 10), *guesses)
    assert len(found.operations) == 1 + MOST_NEW
    assert found.ignored.noise == 200 - MOST_NEW


def test_files_and_nonsense_are_counted_apart() -> None:
    """Pictures are no APIs; `*`, dot segments and CONNECT are no paths."""
    found = findings(
        ("GET /a.PNG 200", 4), ("OPTIONS * 200", 1), ("CONNECT example.com:443 200", 1), ("GET /a/../b 200", 1),
        ("get /a 200", 1), (f"GET /{'x' * 9000} 200", 1),
    )  # fmt: skip
    assert found.operations == ()
    assert (found.ignored.static, found.ignored.unreadable, found.ignored.total) == (4, 5, 9)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a?b=/c", "/a"),
        (b"http://shop.example.com:80/a/b?x", "/a/b"),
        (b"http://shop.example.com", "/"),
        (b"/%7euser/%c3%a4", "/~user/%C3%A4"),
        ("/상품".encode(), "/%EC%83%81%ED%92%88"),
        (b"/\xff\x1b[31m", "/%FF\x1b[31m"),
        (b"a/b", None),
        (b"", None),
    ],
)
def test_a_target_becomes_a_path_in_normal_form(target: bytes, path: str | None) -> None:
    """As the router compares it, without its query, from either form of target."""
    assert path == path_of(target)


def test_a_template_that_somebody_knows_is_used() -> None:
    """Whatever is asked for there belongs to it; what else there is, is inferred as ever."""
    survey = Survey(templates=["/auth/{user}/{password}"])
    for request in ("/auth/alice/pw", "/auth/bob/secret", "/other/list"):
        survey.add("GET", request.encode(), 200, "", 1)
    survey.add("POST", b"/auth/bob/secret", 404, "", 1)
    assert [each.label for each in survey.findings().operations] == ["GET /auth/{user}/{password}", "GET /other/list"]


def test_hosts_are_counted_and_bounded() -> None:
    """A million names in a Host header are a thousand."""
    survey = Survey()
    for number in range(3000):
        survey.add("GET", b"/a", 200, f"h{number}.example", 1)
    assert len(survey.hosts) == 1000
    assert len(survey.findings().hosts) == 20
