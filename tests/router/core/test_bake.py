"""Weights written into a routes.yaml: exactly those characters, whatever the file looks like."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from router.core.bake import Baking, bake, means
from router.core.parse import Parsed, parse
from router.core.problem import Report
from router.sources.yaml_file import read_document

HEAD = """\
# the shop, 2024 - 2026
version: 1
upstreams:
  monolith: {endpoints: ["http://127.0.0.1:9001"]}
  catalog:  {endpoints: ["http://127.0.0.1:9101"]}   # two soon
legacy: monolith
"""


def baked(routes: str, shares: Mapping[str, int], head: str = HEAD) -> Baking:
    """The routes with new shares; whatever comes out means the old table with exactly the weights that are reported."""
    text = head + routes
    before, after = parsed(text), None
    root = read_document(text.encode(), Report())
    assert root is not None
    found = bake(text, root, before.table, shares)
    after = parsed(found.text)
    assert means(before.table, after.table, found.baked)
    return found


def parsed(text: str) -> Parsed:
    root = read_document(text.encode(), Report())
    assert root is not None
    found = parse(root)
    assert isinstance(found, Parsed), found
    return found


def body(found: Baking) -> str:
    assert found.text.startswith(HEAD)
    return found.text.removeprefix(HEAD)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "routes:\n  - path: /a   # the first\n    name: a\n    new: catalog\n    weight:   25    # since March\n",
            "routes:\n  - path: /a   # the first\n    name: a\n    new: catalog\n    weight:   37.5    # since March\n",
        ),
        (
            "routes:\n  - {path: /a, weight: 25, name: a, new: catalog}   # weight: 25\n",
            "routes:\n  - {path: /a, weight: 37.5, name: a, new: catalog}   # weight: 25\n",
        ),
        (
            "routes: [{path: /a, name: a, new: catalog, weight: 25},{path: /b, new: catalog, weight: 25}]\n",
            "routes: [{path: /a, name: a, new: catalog, weight: 37.5},{path: /b, new: catalog, weight: 25}]\n",
        ),
        (
            "routes:\n- path: /a\n  new: catalog\n  name: a\n  'weight': 25",
            "routes:\n- path: /a\n  new: catalog\n  name: a\n  'weight': 37.5",
        ),
        (
            "routes:\n- {path: /a, name: a, new: catalog,\n   weight: 25.00,\n   timeout: 5s}\n",
            "routes:\n- {path: /a, name: a, new: catalog,\n   weight: 37.5,\n   timeout: 5s}\n",
        ),
    ],
)
def test_exactly_the_number_is_exchanged(before: str, after: str) -> None:
    """Comments, blanks, quotes and the end of the file stay as they are."""
    found = baked(before, {"a": 375_000})
    assert after == body(found)
    assert (1, 0) == (len(found.baked), len(found.left))


def test_the_line_of_a_weight_is_the_one_it_stands_on() -> None:
    """People look for it there."""
    found = baked("routes:\n  - path: /a\n    name: a\n    new: catalog\n    weight: 5\n", {"a": 100_000})
    assert (11, 50_000, 100_000) == (found.baked[0].line, found.baked[0].before, found.baked[0].after)
    assert found.text.splitlines()[10] == "    weight: 10"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "routes:\n  - path: /a/{id...}   # no weight yet\n    name: a\n    new: catalog\n",
            "routes:\n  - path: /a/{id...}   # no weight yet\n    weight: 10\n    name: a\n    new: catalog\n",
        ),
        (
            "routes:\n  - methods:\n      - GET\n    path: '/a'\n    name: a\n    new: catalog\n",
            "routes:\n  - methods:\n      - GET\n    path: '/a'\n    weight: 10\n    name: a\n    new: catalog\n",
        ),
        (
            "routes:\n  - {path: /a, name: a, new: catalog}\n",
            "routes:\n  - {path: /a, weight: 10, name: a, new: catalog}\n",
        ),
        (
            "routes:\n  -\n    name: a\n    new: catalog\n    path: /a",
            "routes:\n  -\n    name: a\n    weight: 10\n    new: catalog\n    path: /a",
        ),
    ],
)
def test_a_missing_weight_is_put_beside_the_path(before: str, after: str) -> None:
    """On a line of its own in the same column, or within the braces."""
    assert after == body(baked(before, {"a": 100_000}))


def test_a_new_line_ends_as_the_lines_of_the_file_do() -> None:
    """A file from Windows stays one."""
    text = (HEAD + "routes:\n  - path: /a\n    name: a\n    new: catalog\n").replace("\n", "\r\n")
    found = baked(text, {"a": 100_000}, head="")
    assert "  - path: /a\r\n    weight: 10\r\n    name: a\r\n" in found.text
    assert found.text.count("\n") == found.text.count("\r\n")


@pytest.mark.parametrize(
    ("routes", "why"),
    [
        (
            "routes:\n- {path: /b, new: catalog, weight: &w 25}\n- {path: /a, name: a, new: catalog, weight: *w}\n",
            "shared with other routes through an anchor",
        ),
        (
            "routes:\n- &one {path: /b, name: b, new: catalog, weight: 25}\n- {<<: *one, path: /a, name: a}\n",
            "shared with other routes through an anchor",
        ),
        (
            "routes:\n- {path: /a, name: a, new: catalog, weight: &w 25}\n",
            "an anchor, an alias or a tag",
        ),
        (
            "routes:\n- {path: /a, name: a, new: catalog, weight: !!int 25}\n",
            "an anchor, an alias or a tag",
        ),
        (
            "routes:\n- path: /a\n  name: a\n  new: catalog\n  weight:\n    25\n",
            "does not stand behind `weight:`",
        ),
        (
            "routes:\n- &one {path: /a, name: a, new: catalog}\n- {<<: *one, path: /b, name: b}\n",
            "give it a `weight:`",
        ),
    ],
)
def test_what_cannot_be_written_without_touching_others_is_left_with_the_reason(routes: str, why: str) -> None:
    """The text stays as it is, to the byte."""
    found = baked(routes, {"a": 100_000})
    assert HEAD + routes == found.text
    assert why in found.left[0].why
    assert found.baked == ()


def test_one_that_can_be_written_is_written_beside_one_that_cannot() -> None:
    """Each route by itself."""
    routes = (
        "routes:\n- {path: /b, name: b, new: catalog, weight: 5}\n- {path: /a, name: a, new: catalog, weight: &w 25}\n"
    )
    found = baked(routes, {"a": 100_000, "b": 100_000})
    assert (["b"], ["a"]) == ([each.route for each in found.baked], [each.route for each in found.left])


def test_many_edits_and_wide_characters_do_not_disturb_each_other() -> None:
    """Places are counted in characters, and the last edit knows nothing of the first."""
    rows = [f"- {{path: /{n}, name: 상품{n}, new: catalog, weight: {n % 100}}}  # 가격 {n}" for n in range(300)]
    shares = {f"상품{n}": (n * 7 % 101) * 10_000 for n in range(300)}
    found = baked("routes:\n" + "\n".join(rows) + "\n", shares)
    assert 300 == len(found.baked) + sum(n * 7 % 101 == n % 100 for n in range(300))
    assert all(f"# 가격 {n}" in found.text for n in range(300))


def test_a_weight_that_is_there_already_changes_nothing() -> None:
    """Not even its notation."""
    found = baked("routes:\n- {path: /a, name: a, new: catalog, weight: 25.00}\n", {"a": 250_000})
    assert ((), ()) == (found.baked, found.left)
