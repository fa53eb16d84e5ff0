"""The routes.yaml at the top is a whole and correct example of what the demo runs."""

from __future__ import annotations

import re
from pathlib import Path

from demo.services import cart_app, catalog_app, legacy_app
from demo.shop import Shop
from router.core.parse import Parsed
from router.sources.yaml_file import load_table

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "routes.yaml"


def loaded(environ: dict[str, str]) -> Parsed:
    result = load_table(EXAMPLE.read_bytes(), EXAMPLE.name, environ)
    assert isinstance(result, Parsed), [str(problem) for problem in result.problems]
    return result


def test_the_example_is_valid_with_and_without_the_demos_environment() -> None:
    """A stranger may run it as it is; the demo puts its own ports in."""
    plain, demo = loaded({}).table, loaded({"CART_PORT": "45678"}).table
    assert [9301] == [endpoint.port for endpoint in plain.upstreams["cart"].endpoints]
    assert [45678] == [endpoint.port for endpoint in demo.upstreams["cart"].endpoints]


def test_the_demo_sets_every_variable_that_the_example_reads() -> None:
    """Each ${NAME} of an endpoint is given by demo.main."""
    read = set(re.findall(r"\$\{([A-Z_]+):-\d+\}", EXAMPLE.read_text()))
    given = set(re.findall(r'"([A-Z_]+_PORT)":', (ROOT / "demo/main.py").read_text()))
    assert read == given


def test_every_route_is_an_api_of_legacy_and_those_that_may_move_have_a_new_service() -> None:
    """No route of the example points at something that would answer 404 on the side it is sent to."""
    shop = Shop()
    apps = {"monolith": legacy_app(shop), "catalog": catalog_app(shop, "here"), "cart": cart_app(shop)}
    served = {name: {resource.canonical for resource in app.router.resources()} for name, app in apps.items()}
    for route in loaded({}).table.routes:
        path = route.path.replace("{rest...}", "{corner}")
        assert path in served[route.legacy], route
        assert route.new is None or path in served[route.new], route


def test_the_carts_routes_share_one_weight_and_one_seed() -> None:
    """A user's cart is written and read on one side."""
    carts = [route for route in loaded({}).table.routes if route.group == "cart"]
    assert len(carts) == 3
    assert len({(route.weight, route.seed) for route in carts}) == 1
