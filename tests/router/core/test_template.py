"""Path templates and the normal form of paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.template import (
    Literal,
    Parameter,
    Partial,
    Rest,
    TemplateError,
    has_dots,
    normalise,
    parse_template,
    split,
)

paths = st.binary(max_size=30).map(lambda tail: b"/" + tail)


@given(paths)
def test_the_normal_form_is_reached_in_one_step(path: bytes) -> None:
    """Normalising twice changes nothing more, whatever the bytes; no second decoding (`%2541` stays `%2541`)."""
    assert normalise(path) == normalise(normalise(path)) or b"%25" in path.upper() or b"%%" in path


@given(paths)
def test_normalising_keeps_the_slashes(path: bytes) -> None:
    """An escaped slash never becomes a separator, and none is lost."""
    assert path.count(b"/") == normalise(path).count(b"/")
    assert b"/" + b"/".join(split(path)) == path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/a%7eb", b"/a~b"),
        (b"/%41%2d%5F%2E", b"/A-_."),
        (b"/a%2fb", b"/a%2Fb"),
        (b"/a%2541", b"/a%2541"),
        (b"/caf%c3%a9", b"/caf%C3%A9"),
        (b"/a%", b"/a%"),
        (b"/a%4", b"/a%4"),
        (b"/a%zz", b"/a%zz"),
        (b"//a;p=1/", b"//a;p=1/"),
        (b"/A", b"/A"),
    ],
)
def test_only_unreserved_characters_are_decoded(path: bytes, expected: bytes) -> None:
    """RFC 3986 section 6.2.2: escapes of unreserved characters mean the character, all others stay escapes."""
    assert expected == normalise(path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/a/../b", True),
        (b"/a/.", True),
        (b"/%2e%2e/b", True),
        (b"/.%2E", True),
        (b"/...", False),
        (b"/.well-known", False),
        (b"/a..b", False),
    ],
)
def test_dot_segments_are_seen_in_every_spelling(path: bytes, expected: bool) -> None:
    """Escaped dots are dots."""
    assert expected is has_dots(split(normalise(path)))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("/", (Literal(b""),)),
        ("/a/", (Literal(b"a"), Literal(b""))),
        ("/v1/products/{productNo}", (Literal(b"v1"), Literal(b"products"), Parameter())),
        ("/carts/key={key}", (Literal(b"carts"), Partial((b"key=", b"")))),
        ("/{id}.json", (Partial((b"", b".json")),)),
        ("/compare/{base}...{head}", (Literal(b"compare"), Partial((b"", b"...", b"")))),
        ("/display/{rest...}", (Literal(b"display"), Rest())),
        ("/%7ea/%2fb", (Literal(b"~a"), Literal(b"%2Fb"))),
    ],
)
def test_a_template_says_its_segments(template: str, expected: tuple[object, ...]) -> None:
    """Literal, partly literal, parameter, rest."""
    assert expected == parse_template(template)


@pytest.mark.parametrize(
    ("template", "offset", "what"),
    [
        ("a/b", 0, "does not begin with a slash"),
        ("/a b", 2, "can never be part of a request's path"),
        ("/a?b=1", 2, "can never be part"),
        ("/a#b", 2, "can never be part"),
        ("/a/{}", 3, "not a parameter"),
        ("/a/{x y}", 5, "can never be part"),
        ("/a/{x}/{x}", 7, "stands twice"),
        ("/a/{x}{y}", 3, "two parameters touch"),
        ("/a/{x", 3, "a brace without its partner"),
        ("/a/x}", 3, "a brace without its partner"),
        ("/a/{rest...}/b", 3, "not the last segment"),
        ("/a/x{rest...}", 3, "must be a whole segment"),
        ("/a/../b", 3, "dot segment"),
        ("/a/%2e", 3, "dot segment"),
    ],
)
def test_a_template_that_can_never_match_is_refused_at_its_place(template: str, offset: int, what: str) -> None:
    """With the offset of the trouble, what it is, and what to write instead."""
    with pytest.raises(TemplateError) as trouble:
        parse_template(template)
    assert offset == trouble.value.offset
    assert what in trouble.value.what
    assert trouble.value.instead


@given(st.text(max_size=30))
def test_any_text_is_a_template_or_a_template_error(text: str) -> None:
    """Never another exception, whatever people write."""
    try:
        assert parse_template("/" + text)
    except TemplateError as trouble:
        offset = trouble.offset
    else:
        return
    assert 0 <= offset <= len(text) + 1


@given(st.text(alphabet="abc-._~", min_size=1, max_size=10))
def test_a_partial_segment_needs_a_byte_for_its_parameter(text: str) -> None:
    """`key=` is not `key={key}`; anything behind it is."""
    (segment,) = parse_template("/key={key}")
    assert isinstance(segment, Partial)
    assert segment.regex().fullmatch(b"key=") is None
    assert segment.regex().fullmatch(b"key=" + text.encode())


@pytest.mark.parametrize("text", ["상품", "café"])
def test_a_template_in_any_script_matches_what_clients_send(text: str) -> None:
    """Clients send such characters escaped; a literal means the same written either way."""
    escaped = "".join(f"%{byte:02x}" for byte in text.encode())
    assert parse_template(f"/{escaped}") == parse_template(f"/{text}")
    assert (Literal(normalise(escaped.encode())),) == parse_template(f"/{text}")
