"""Templates and the requests made from them."""

from __future__ import annotations

import re
from statistics import mean

import pytest

from bench.templates import Template, alike, ordered, requests, templates


def test_a_template_knows_its_shape_regex_and_filled_path() -> None:
    """Parameters lose their names in the shape, match one segment's rest in the regex, and take a value."""
    template = Template("/V1/carts/key={key}/v1.0/{id}")

    assert "/V1/carts/key={}/v1.0/{}" == template.shape
    assert r"^/V1/carts/key=[^/]+/v1\.0/[^/]+$" == template.regex
    assert "/V1/carts/key=7/v1.0/7" == template.fill("7")


@pytest.mark.parametrize("number", [15, 1500, 4000])
def test_as_many_templates_as_wanted_and_no_two_of_one_shape(number: int) -> None:
    """Beyond the inventory's own, templates are made by prefixing, and stay different routes."""
    assert number == len({template.shape for template in templates(number)})


def test_without_literals_every_template_has_a_parameter() -> None:
    """Tables of different sizes can be made of the same kind of template."""
    assert not any(template.literal for template in templates(2000, literals=False))


def test_a_small_table_is_alike_to_the_large_one_it_stands_for() -> None:
    """Longer paths cost more in a table of any size; what is compared is the size."""
    all_of_them = templates(15_000, literals=False)
    some = alike(15, all_of_them)
    assert 15 == len(set(some) & set(all_of_them))
    for measure in (
        lambda template: template.path.count("/"),
        lambda template: template.path.count("{"),
        lambda template: len(template.path),
    ):
        assert mean(map(measure, all_of_them)) == pytest.approx(mean(map(measure, some)), rel=0.1)


def test_the_first_regex_that_matches_is_the_template_that_made_the_path() -> None:
    """Peers that take the first match route every request as the router does."""
    some = templates(1500)
    regexes = [(number, re.compile(template.regex)) for number, template in ordered(some)]

    for own, template in list(enumerate(some))[::25]:
        path = template.fill("x00000000a")
        assert own == next(number for number, regex in regexes if regex.match(path)), path


def test_requests_cover_the_wanted_number_of_paths_and_every_template_equally() -> None:
    """A template without parameters is asked for as often as the others, over its one path."""
    some = (Template("/a"), Template("/b/{id}"), Template("/c/{id}"))
    load = requests(some, 21)

    assert 21 == len({request.path for request in load})
    assert 10 == sum(request.path == "/a" for request in load)
    assert 10 == sum(request.path.startswith("/b/") for request in load)
    assert len(load) == len({request.user for request in load})


def test_the_load_is_the_same_every_time() -> None:
    """Rounds and runs can be compared because nothing about the load is left to chance."""
    some = templates(20)

    assert requests(some, 500) == requests(some, 500)
