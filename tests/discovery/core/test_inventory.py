"""OpenAPI documents as people really have them."""

from __future__ import annotations

from typing import Any

import pytest

from discovery.core.inventory import MOST_REMARKS, NotOpenApiError, read


def labels(document: object, base: str | None = None) -> list[str]:
    return [f"{each.method} {each.base}{each.path}" for each in read(document, base).operations]


def document(paths: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"openapi": "3.0.3", "paths": paths, **more}


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("/a/{id}", "/a/{id}"),
        ("a/{id}", "/a/{id}"),
        ("/a/{id:[0-9]+}", "/a/{id}"),
        ("/a/{proxy+}", "/a/{proxy...}"),
        ("/a/{path*}", "/a/{path...}"),
        ("/a/{a b}/c", "/a/{a_b}/c"),
        ("/a/{id}/b/{id}", "/a/{id}/b/{id2}"),
        ("/carts/key={key}", "/carts/key={key}"),
        ("/a b/상품", "/a%20b/%EC%83%81%ED%92%88"),
        ("/a?Action=List", "/a"),
        ("/V1/company/", "/V1/company/"),
    ],
)
def test_a_path_becomes_a_template_that_the_router_reads(written: str, path: str) -> None:
    """Whatever generators and people write in place of a parameter."""
    assert [f"GET {path}"] == labels(document({written: {"get": {}}}))


@pytest.mark.parametrize("path", ["/a/{b}{c}", "/a/{b", "/a/../b", "/" + "x" * 5000])
def test_a_path_that_no_request_can_have_is_left_out_and_said(path: str) -> None:
    """One bad path does not cost the others."""
    found = read(document({path: {"get": {}}, "/good": {"get": {}}}))
    assert [each.path for each in found.operations] == ["/good"]
    assert "is left out" in found.remarks[0]


@pytest.mark.parametrize(
    ("more", "base"),
    [
        ({"swagger": "2.0", "basePath": "/rest/default"}, "/rest/default"),
        ({"basePath": "/"}, ""),
        ({"servers": [{"url": "https://api.example.com/api/"}]}, "/api"),
        ({"servers": [{"url": "/v2"}]}, "/v2"),
        ({"servers": [{"url": "https://{host}/{v}", "variables": {"v": {"default": "v3"}}}]}, "/v3"),
        ({"servers": [{"url": "https://a.example"}]}, ""),
        ({"servers": "nonsense"}, ""),
        ({"servers": [None, 7]}, ""),
        ({"basePath": "/a b?c"}, ""),
    ],
)
def test_the_base_comes_from_the_document_whatever_its_version(more: dict[str, Any], base: str) -> None:
    """Swagger has a base path, OpenAPI has servers with variables; `--base` beats both."""
    paths = {"/x": {"get": {}}}
    assert [f"GET {base}/x"] == labels(document(paths, **more))
    assert labels(document(paths, **more), "/mine/") == ["GET /mine/x"]


def test_references_are_followed_within_the_document_and_nowhere_else() -> None:
    """A path behind a pointer is found; one behind a URL, a file, nothing or itself is said to be missing."""
    found = read(
        document(
            {
                "/in": {"$ref": "#/components/pathItems/x~1y"},
                "/url": {"$ref": "http://127.0.0.1:9/never-asked.yaml"},
                "/file": {"$ref": "../../etc/passwd", "post": {}},
                "/nowhere": {"$ref": "#/components/none"},
                "/circle": {"$ref": "#/paths/~1circle"},
            },
            components={"pathItems": {"x/y": {"get": {}, "put": {}}}},
        )
    )
    assert [f"{each.method} {each.path}" for each in found.operations] == ["GET /in", "PUT /in", "POST /file"]
    assert len(found.remarks) == 4


def test_what_is_no_operation_is_passed_over() -> None:
    """Parameters, extensions, nulls, lists and methods that nobody knows do no harm."""
    item = {"get": None, "POST": {}, "parameters": [], "x-y": {}, "summary": "s", "servers": [], "teleport": {}, 7: {}}
    found = labels(document({"/a": item, "/b": None, "/c": [], "x-internal": {"get": {}}, "/d": {}}))
    assert found == ["GET /a", "POST /a"]


def test_tags_and_deprecation_come_along() -> None:
    """The first tag is the one that counts."""
    operation = {"tags": ["Cart", "Other"], "deprecated": True}
    found = read(document({"/a": {"get": operation, "put": {"tags": "nonsense", "deprecated": "false"}}})).operations
    assert [(each.tag, each.deprecated) for each in found] == [("Cart", True), ("", False)]


def test_one_shape_under_two_names_is_one_operation() -> None:
    """`/a/{x}` and `/a/{y}` are the same to a router; the first name stays, and it is said."""
    found = read(document({"/a/{x}": {"get": {}}, "/a/{y}": {"get": {}, "put": {}}}))
    assert [f"{each.method} {each.path}" for each in found.operations] == ["GET /a/{x}", "PUT /a/{y}"]
    assert "under another name" in found.remarks[0]


def test_segments_that_a_router_cannot_tell_apart_are_said() -> None:
    """`{a}-{b}` and `{a}.{b}` both fit `x-y.z`: one of them has to go."""
    found = read(document({"/{a}-{b}": {"get": {}}, "/{a}.{b}": {"get": {}}}))
    assert len(found.operations) == 1
    assert "equally specific" in found.remarks[0]


@pytest.mark.parametrize("nonsense", [None, [], "text", 7, {}, {"info": {}}])
def test_a_document_of_another_kind_is_an_error(nonsense: object) -> None:
    """JSON that is no OpenAPI gets a plain word."""
    with pytest.raises(NotOpenApiError):
        read(nonsense)


def test_a_partial_document_is_read_as_far_as_it_goes() -> None:
    """No version, no paths, an unknown version: remarks, not refusals."""
    assert labels({"paths": {"/a": {"get": {}}}}) == ["GET /a"]
    assert labels({"openapi": "3.1.0"}) == []
    assert labels({"openapi": "4.7", "paths": {"/a": {"get": {}}}}) == ["GET /a"]


def test_remarks_are_bounded_and_hold_nothing_that_a_terminal_obeys() -> None:
    """A thousand bad paths full of escape sequences make fifty harmless lines."""
    found = read(document({f"/{number}{{\x1b[31m\n": {"get": {}} for number in range(1000)}))
    assert len(found.remarks) == MOST_REMARKS + 1
    assert all(remark.isprintable() for remark in found.remarks)
