"""Routes for a file that people wrote."""

from __future__ import annotations

import contextlib
import itertools
import re
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.core import merge
from discovery.core.merge import CannotMergeError, Merging, means
from discovery.core.survey import Findings, Operation, Standing
from router.core.explain import compiled
from router.core.model import Table
from router.core.parse import Parsed
from router.core.problem import Report
from router.sources.yaml_file import load_table, read_document

FILE = """\
# our routes
version: 1
upstreams:
  old: {endpoints: ["http://127.0.0.1:9001"]}
  carts: {endpoints: ["http://127.0.0.1:9002"]}
legacy: old
groups:
  carts: {owner: team-carts, new: carts}   # since March

routes:
  # the first one
  - path: /api/carts/{cartId}    # by id
    methods: [GET]
    group: carts
    weight: 25
  - {path: "/api/display/{rest...}", new: carts}
"""


def table(text: str) -> Table:
    parsed = load_table(text.encode(), "routes.yaml", MappingProxyType({}))
    assert isinstance(parsed, Parsed), (parsed.problems[:3], text)
    return parsed.table


def found(*labels: str, unused: tuple[str, ...] = ()) -> Findings:
    def one(label: str, standing: Standing, requests: int) -> Operation:
        methods, path = label.split(" ")
        return Operation(tuple(methods.split(",")), path, standing, requests)

    operations = [one(label, Standing.BOTH, 10) for label in labels]
    operations += [one(label, Standing.UNUSED, 0) for label in unused]
    return Findings(tuple(operations), 10 * len(labels), 3600.0, logged=True)


def merged(text: str, findings: Findings, host: str = "") -> Merging:
    root = read_document(text.encode(), Report())
    assert root is not None
    made = merge.merged(text, root, table(text), findings, host=host)
    assert means(table(text), table(made.text), len(made.added))
    return made


def added(made: Merging) -> list[str]:
    return [each.operation.label for each in made.added]


def test_what_people_wrote_stays_byte_for_byte() -> None:
    """Taking the added lines away again leaves the file as it was."""
    made = merged(FILE, found("POST /api/carts", "GET /api/orders/{orderId}"))
    assert added(made) == ["POST /api/carts", "GET /api/orders/{orderId}"]
    assert made.text.startswith(FILE)
    assert "    group: carts\n" in made.text.removeprefix(FILE)
    assert "group: orders" not in made.text
    lines = made.text.splitlines()
    assert [lines[each.line - 1].strip().removeprefix("- ") for each in made.added] == [
        "path: /api/carts", "path: /api/orders/{orderId}",
    ]  # fmt: skip


def indented(text: str, indent: str) -> str:
    """The file with its list of routes further in or out."""
    before, routes, after = text.partition("routes:\n")
    return before + routes + "".join(indent + line.removeprefix("  ") for line in after.splitlines(keepends=True))


def test_a_second_merge_adds_nothing() -> None:
    """What is there is known as such."""
    once = merged(FILE, found("POST /api/carts", "GET,HEAD /api/x"))
    twice = merged(once.text, found("POST /api/carts", "GET,HEAD /api/x", "HEAD /api/carts/{id}"))
    assert once.text == twice.text
    assert len(twice.covered) == 3


def test_what_a_route_takes_already_gets_no_route_of_its_own() -> None:
    """A route for search would take its requests away from the share that their route has now."""
    made = merged(FILE, found("GET /api/carts/search", "GET /api/display/banners/{id}", "PUT /api/carts/{id}"))
    assert added(made) == ["PUT /api/carts/{id}"]
    assert [(each.operation.path, each.why) for each in made.covered] == [
        ("/api/carts/search", "GET /api/carts/{cartId}"),
        ("/api/display/banners/{id}", "ANY /api/display/{rest...}"),
    ]


def test_a_route_that_would_rob_another_is_left_to_people() -> None:
    """`/api/{x}/mine` wins over nothing that is there; `/api/carts/{a}/b` would take from `/api/{any}/1/b`."""
    text = FILE + "  - {path: '/{shop}/items/{id}', methods: [GET]}\n"
    made = merged(text, found("GET /kr/{x}/{y}", "GET /{shop}/{thing}/{id}"))
    assert added(made) == ["GET /{shop}/{thing}/{id}"]
    assert [each.why for each in made.left] == ["it would take requests away from the route GET /{shop}/items/{id}"]


def test_routes_that_nobody_asks_for_are_named() -> None:
    """Documented, in the file, unused: retire instead of migrate."""
    made = merged(FILE, found(unused=("GET /api/carts/{id}", "GET /api/other")))
    assert made.text == FILE
    assert [route.name for route, _ in made.retire] == ["GET /api/carts/{cartId}"]


def test_lines_go_behind_the_last_route_and_before_what_follows() -> None:
    """A comment above the next section belongs to that section."""
    text = FILE.replace("groups:", "groups :") + "  # the last word on routes\n\n# of time\ndefaults: {timeout: 5s}\n"
    made = merged(text, found("GET /new"))
    before, _, after = made.text.partition("  # ---- added by `strangler discover` ----\n")
    assert before.endswith("# the last word on routes\n")
    assert after.endswith("methods: [GET]\n\n# of time\ndefaults: {timeout: 5s}\n")


@pytest.mark.parametrize(
    "text",
    [
        FILE.rstrip("\n"),
        FILE.replace("\n", "\r\n"),
        indented(FILE, ""),
        indented(FILE, "      "),
        FILE + "\n\n\n",
        FILE + "...\n",
        "---\n" + FILE,
        FILE + "# the end",
        FILE.partition("routes:")[0] + "routes: []   # none yet\n",
        FILE.partition("routes:")[0] + "routes: []",
        FILE.partition("routes:")[0] + "routes: [ ]\ndefaults: {timeout: 5s}\n",
        FILE.partition("routes:")[0] + "routes:\n  []\n",
        FILE + "defaults: {trailing_slash: same}\n",
    ],
)  # fmt: skip
def test_layouts_that_people_use(text: str) -> None:
    """No break at the end, CRLF, other indents, an empty list, documents marked as such."""
    made = merged(text, found("GET /new", "PUT /newer/{id}"))
    assert added(made) == ["GET /new", "PUT /newer/{id}"]
    newline = "\r\n" if "\r\n" in text else "\n"
    assert made.text.count(newline) == made.text.count("\n")
    lines = iter(made.text.splitlines())
    assert all(line in lines for line in text.splitlines() if "[]" not in line and "[ ]" not in line)


@pytest.mark.parametrize(
    "routes",
    [
        "routes: [{path: /a}]\n",
        "routes:\n  [{path: /a},\n   {path: /b}]\n",
        "routes: [\n]\n",
        "routes: &all\n  - {path: /a}\n",
        "routes: !!seq\n  - {path: /a}\n",
    ],
)
def test_a_file_that_lines_cannot_be_added_to_is_refused_or_still_means_the_same(routes: str) -> None:
    """Brackets and anchors: either a plain word, or a text that says just as much more."""
    text = FILE.partition("routes:")[0] + routes
    made = None
    with contextlib.suppress(CannotMergeError):
        made = merged(text, found("GET /new"))
    assert made is None or added(made) == ["GET /new"]


def test_with_a_host_only_its_routes_count() -> None:
    """Another host's routes take nothing away, and the new ones say whose they are."""
    text = FILE + "  - {path: /only, host: a.example.com}\n"
    made = merged(text, found("GET /only"), host="b.example.com")
    assert table(made.text).routes[-1].host == "b.example.com"
    assert merged(text, found("GET /only"), host="a.example.com").added == ()


def numbered(parts: list[str]) -> str:
    """Each parameter under a name of its own."""
    return "/" + "/".join(part.replace("}", f"{number}}}") for number, part in enumerate(parts))


paths = st.lists(st.sampled_from(["a", "b", "{x}", "{y}.json", "k={z}", ""]), min_size=1, max_size=4).map(numbered)


def requests(label: str) -> list[bytes]:
    """Paths that fit a template, some of which fit others as well."""
    path = label.partition(" ")[2]
    return [re.sub(r"\{[^}]*\}", value, path).encode() for value in ("a", "b", "q", "k=1", "a.json")]


labels = st.tuples(st.sampled_from(["GET", "PUT", "GET,HEAD"]), paths).map(" ".join)


@settings(max_examples=40, deadline=None)
@given(st.lists(labels, max_size=8, unique=True), st.lists(labels, max_size=8, unique=True))
def test_no_request_changes_its_route(before: list[str], after: list[str]) -> None:
    """Whatever is merged into whatever: what had a route keeps it, and what is added is found."""
    text = merged(FILE, found(*before)).text
    made = merged(text, found(*after))
    old, new = table(text), table(made.text)
    first, then = compiled(old), compiled(new)
    for path in sorted(itertools.chain.from_iterable(map(requests, (*before, *after)))):
        for method in (b"GET", b"PUT"):
            known = first.find(b"", path[1:].split(b"/"), method)
            assert known is None or known == then.find(b"", path[1:].split(b"/"), method), path
