"""rollout.core.compare.pair: two answers, one verdict."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.core.compare.pair import compare
from rollout.core.compare.policy import Level, Policy
from rollout.core.compare.values import MAX_BODY, MAX_KEPT, Answer, Asked, Cause, Kind, Remark, Verdict
from router.core.comparing import ArrayMode, Comparing, Rule, Treat

DATA = Path(__file__).parents[3] / "data" / "diff"
JSON = (("Content-Type", "application/json"),)
VERDICTS = {
    "equal": Verdict.MATCHED,
    "different": Verdict.MISMATCHED,
    "inconclusive": Verdict.NOT_COMPARABLE,
}


def load(name: str) -> Any:
    return json.loads((DATA / name).read_text())


CASES = load("cases.json")["cases"]
RECORDED = load("real_httpbin_vs_httpbinx.json")["pairs"]


def body(text: str | bytes, **more: Any) -> Answer:
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return Answer(200, JSON, raw, **more)


def answer_of(side: dict[str, Any]) -> Answer:
    if "error" in side:
        return Answer(error=side["error"])
    raw = side["body"].encode()
    raw = gzip.compress(raw) if side.get("body_note", "").startswith("gzip of") else raw
    return Answer(side["status"], tuple((name, value) for name, value in side["headers"]), raw, "truncated" in side)


def recorded(side: dict[str, Any]) -> Answer:
    raw = base64.b64decode(side["body_base64"]) if "body_base64" in side else (side.get("body") or "").encode()
    return Answer(side["status"], tuple((name, value) for name, value in side["headers"]), raw)


def pair_of(case: dict[str, Any]) -> tuple[Answer, Answer, Asked]:
    asked = Asked("HEAD" if case["id"].startswith("head-") else "GET", "api.example.test", "/things?page=1")
    if case["kind"] == "http":
        return answer_of(case["legacy"]), answer_of(case["new"]), asked
    return body(case["legacy_raw"]), body(case["new_raw"]), asked


def policy(path: str, treat: Treat, **more: Any) -> Policy:
    rule = Rule(path, treat, "team-a", "because", 1.0, **more)
    return Policy([Level("platform", Comparing(rules=(rule,)))])


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_every_case_gets_its_verdict_in_either_direction(case: dict[str, Any]) -> None:
    """The hundred written cases come out as they should, whichever side is called legacy."""
    legacy, new, asked = pair_of(case)
    expected = VERDICTS[case["verdict"]]
    assert (expected, expected) == (
        compare(legacy, new, asked=asked).verdict,
        compare(new, legacy, asked=asked).verdict,
    )


FLIPS = {
    "float-repr": ("$.p", Treat.TOLERANCE, {"absolute": 1e-9}),
    "decimal-many-digits": ("$.p", Treat.TOLERANCE, {"relative": 1e-15}),
    "id-number-vs-string": ("$.id", Treat.NUMERIC_STRING, {}),
    "null-vs-missing": ("$.image", Treat.NULL_EQUALS_MISSING, {}),
    "null-vs-empty-string": ("$.bio", Treat.EMPTY_EQUALS_MISSING, {}),
    "empty-array-vs-null": ("$.tags", Treat.EMPTY_EQUALS_MISSING, {}),
    "array-order": ("$.tags", Treat.ARRAY, {"array": ArrayMode.SET}),
    "array-order-objects": ("$", Treat.ARRAY, {"array": ArrayMode.KEYED, "key": "id"}),
    "ts-z-vs-offset": ("$.t", Treat.TIME_TOLERANCE, {"seconds": 0.001}),
    "ts-other-offset": ("$.t", Treat.TIME_TOLERANCE, {"seconds": 0.001}),
    "ts-fraction": ("$.t", Treat.TIME_TOLERANCE, {"seconds": 0.001}),
    "ts-generated-now": ("$.generatedAt", Treat.TIME_TOLERANCE, {"seconds": 5.0}),
    "uuid-case": ("$.id", Treat.CASE, {}),
    "random-id": ("$.requestId", Treat.IGNORE, {}),
    "url-host-differs": ("$.href", Treat.URL_HOST, {}),
    "extra-field": ("$.extras", Treat.IGNORE, {}),
}


@pytest.mark.parametrize("case", [case for case in CASES if case["id"] in FLIPS], ids=lambda case: case["id"])
def test_the_rule_that_a_case_names_hides_its_difference_and_is_counted(case: dict[str, Any]) -> None:
    """With its rule in force a case that differs matches, and the rule's meter moves."""
    path, treat, more = FLIPS[case["id"]]
    legacy, new, asked = pair_of(case)
    comparison = compare(legacy, new, policy(path, treat, **more), asked)
    assert (Verdict.MATCHED, {0}) == (comparison.verdict, set(comparison.hidden))


@pytest.mark.parametrize(
    ("name", "treat", "more"),
    [("array-multiset", Treat.ARRAY, {"array": ArrayMode.SET}), ("ts-naive", Treat.TIME_TOLERANCE, {"seconds": 9e9})],
)
def test_some_cases_differ_under_any_such_rule(name: str, treat: Treat, more: dict[str, Any]) -> None:
    """A set is a multiset, and a time without a zone is never that of another zone."""
    legacy, new, _asked = pair_of(next(case for case in CASES if case["id"] == name))
    assert Verdict.MISMATCHED is compare(legacy, new, policy("$" if "array" in name else "$.t", treat, **more)).verdict


@pytest.mark.parametrize("case", load("rfc6902_test_op_equality.json")["cases"], ids=lambda case: str(case["comment"]))
def test_equality_is_that_of_json_patch(case: dict[str, Any]) -> None:
    """RFC 6902, 4.6: what its `test` operation calls equal matches, the rest does not."""
    verdict = compare(body(json.dumps(case["a"])), body(json.dumps(case["b"]))).verdict
    assert (Verdict.MATCHED if case["equal"] else Verdict.MISMATCHED) is verdict


@pytest.mark.parametrize("pair", load("rfc8785_pairs.json")["pairs"], ids=lambda pair: pair["name"])
def test_a_document_and_its_canonical_form_match(pair: dict[str, Any]) -> None:
    """RFC 8785 input and output match once numbers may differ as much as two readings of one double."""
    rule = policy("$.numbers[*]", Treat.TOLERANCE, relative=1e-15)
    assert Verdict.MATCHED is compare(body(pair["a_raw"]), body(pair["b_raw"]), rule).verdict


@pytest.mark.parametrize("pair", RECORDED, ids=lambda pair: f"{pair['request']['method']} {pair['request']['path']}")
def test_a_real_rewrite_differs_where_it_was_recorded_to_differ(pair: dict[str, Any]) -> None:
    """A service and its rewrite: status and JSON differ exactly where the recording says so."""
    legacy, new = recorded(pair["legacy"]), recorded(pair["new"])
    asked = Asked(pair["request"]["method"], "127.0.0.1:8000", pair["request"]["path"])
    places = {each.path for each in compare(legacy, new, asked=asked).differences}
    assert pair["status_equal"] is ("status" not in places)
    if pair["json_equal"] is not None:
        assert pair["json_equal"] is not any(place.startswith("$") for place in places)


# --------------------------------------------------------------------------------------------- properties

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=5),
    max_leaves=12,
)
_texts = _json.map(lambda value: json.dumps(value).encode())
_bodies = st.one_of(_texts, st.binary(max_size=40))
_types = st.sampled_from(["application/json", "text/html", "text/plain", "application/x-ndjson", "image/png", ""])
_answers = st.builds(
    lambda status, kind, coding, raw: Answer(status, (("Content-Type", kind), ("Content-Encoding", coding)), raw),
    st.sampled_from([200, 204, 302, 404, 500]),
    _types,
    st.sampled_from(["", "gzip", "deflate", "br"]),
    _bodies,
)


@settings(max_examples=150, deadline=None)
@given(_answers)
def test_an_answer_matches_itself(answer: Answer) -> None:
    """Whatever an answer holds, it is no different from itself."""
    assert Verdict.MATCHED is compare(answer, answer).verdict


@settings(max_examples=200, deadline=None)
@given(_answers, _answers)
def test_the_verdict_does_not_depend_on_which_side_is_which(one: Answer, two: Answer) -> None:
    """Exchanging the sides changes no verdict, and nothing is raised on the way."""
    assert compare(one, two).verdict is compare(two, one).verdict


@settings(max_examples=150, deadline=None)
@given(_json, _json)
def test_json_matches_exactly_when_it_is_the_same_value(one: Any, two: Any) -> None:
    """Written with other spaces and another order of keys a value matches itself, and no other value."""
    spaced = json.dumps(two, indent=2, sort_keys=True)
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    verdict = compare(body(json.dumps(one)), body(spaced)).verdict
    if same:
        assert Verdict.MATCHED is verdict
    elif json.loads(json.dumps(one), parse_int=float) != json.loads(json.dumps(two), parse_int=float):
        assert Verdict.MISMATCHED is verdict


# ------------------------------------------------------------------------------------------------ failures


def test_both_sides_failing_alike_says_nothing_about_parity() -> None:
    """Two equal errors match, two different ones do not, and neither is evidence."""
    one, two = Answer(503, (), b"a"), Answer(503, (), b"b")
    same, other = compare(one, one), compare(one, two)
    assert (Verdict.MATCHED, Verdict.MISMATCHED) == (same.verdict, other.verdict)
    assert (Cause.BOTH_FAILED, False, False) == (same.cause, same.feeds_evidence, other.feeds_evidence)


def test_a_side_that_gives_no_answer_is_a_failure_and_not_a_difference_in_content() -> None:
    """The verdict names who failed and feeds no evidence; when neither answered nothing can be said."""
    silent = Answer(error="timeout")
    assert (Cause.NEW_FAILED, False) == (compare(body("1"), silent).cause, compare(body("1"), silent).feeds_evidence)
    assert Cause.LEGACY_FAILED is compare(silent, body("1")).cause
    assert Verdict.NOT_COMPARABLE is compare(silent, silent).verdict


def test_a_refusal_of_a_copy_without_credentials_is_not_held_against_the_side() -> None:
    """401 where the other side saw the credentials: not comparable; both 401: comparable."""
    asked = Asked(stripped=True)
    refused = Answer(401, JSON, b"{}")
    assert Cause.STRIPPED is compare(body("{}"), refused, asked=asked).cause
    assert Verdict.MATCHED is compare(refused, refused, asked=asked).verdict


def test_launches_too_far_apart_are_not_compared() -> None:
    """A quarter of a second is enough for the world to have changed."""
    assert Cause.SKEW is compare(body("1"), body("2"), asked=Asked(skew=0.3)).cause
    assert Verdict.MISMATCHED is compare(body("1"), body("2"), asked=Asked(skew=0.2)).verdict


# ------------------------------------------------------------------------------------------- hostile bodies


def test_json_nested_a_hundred_thousand_deep_is_not_comparable_and_harms_nobody() -> None:
    """No recursion error, no crash; two equal ones still match by their bytes."""
    deep = b"[" * 100_000 + b"]" * 100_000
    assert Cause.TOO_DEEP is compare(body(deep), body(deep + b" ")).cause
    assert Cause.TOO_DEEP is compare(body(b'{"a":' * 40_000 + b"1" + b"}" * 40_000), body("1")).cause
    assert Verdict.MATCHED is compare(body(deep), body(deep)).verdict


def test_ten_megabytes_are_not_looked_into() -> None:
    """Too large is not comparable, unless the bytes are equal."""
    large = b'"' + b"x" * 10_000_000 + b'"'
    assert Cause.TOO_LARGE is compare(body(large), body(large + b" ")).cause
    assert Verdict.MATCHED is compare(body(large), body(bytes(large))).verdict


def test_a_small_body_that_unpacks_to_a_large_one_is_given_up() -> None:
    """A zip bomb costs no more than its limit."""
    bomb = Answer(200, (*JSON, ("Content-Encoding", "gzip")), gzip.compress(b" " * 10_000_000))
    assert Cause.TOO_LARGE is compare(bomb, body("{}")).cause


def test_a_coding_that_nobody_here_reads_is_not_comparable() -> None:
    """Unless the bytes are equal."""
    one, two = (Answer(200, (*JSON, ("Content-Encoding", "br")), raw) for raw in (b"a", b"b"))
    assert (Cause.ENCODING, Verdict.MATCHED) == (compare(one, two).cause, compare(one, one).verdict)


def test_a_document_of_nothing_but_differences_is_cut_short() -> None:
    """The verdict is a mismatch, and no more differences are told than are of use."""
    one, two = ({f"k{index}": value for index in range(20_000)} for value in (1, 2))
    comparison = compare(body(json.dumps(one)), body(json.dumps(two)))
    assert (Verdict.MISMATCHED, MAX_KEPT) == (comparison.verdict, len(comparison.differences))


def test_more_hidden_differences_than_are_looked_at_are_no_match() -> None:
    """When the limit is reached and nothing counted yet, nobody claims a match."""
    one, two = ({f"k{index}": value for index in range(20_000)} for value in (1, 2))
    comparison = compare(body(json.dumps(one)), body(json.dumps(two)), policy("$", Treat.TYPE_ONLY))
    assert (Verdict.NOT_COMPARABLE, Cause.TOO_MANY) == (comparison.verdict, comparison.cause)


def test_a_cut_answer_never_matches_but_may_differ() -> None:
    """What was not seen may hold anything; what was seen is enough for a mismatch."""
    cut = body('{"a":1', truncated=True)
    assert Verdict.NOT_COMPARABLE is compare(cut, cut).verdict or Cause.TRUNCATED is compare(cut, cut).cause
    assert Cause.TRUNCATED is compare(cut, body('{"a":1}')).cause
    assert Verdict.MISMATCHED is compare(cut, Answer(404, JSON, b"{}")).verdict


def test_no_value_shows_in_what_a_comparison_looks_like() -> None:
    """A repr, as in a log or a failed test, holds places and never values."""
    comparison = compare(body('{"iban":"GB33BUKB20201555555555"}'), body('{"iban":"x"}'))
    assert "$.iban" in repr(comparison)
    assert "GB33" not in repr(comparison) + repr(body("GB33"))


# --------------------------------------------------------------------------------------------- other bodies


def typed(kind: str, text: str) -> Answer:
    return Answer(200, (("Content-Type", kind),), text.encode())


@pytest.mark.parametrize(
    ("kind", "one", "two"),
    [
        ("text/plain", "a \r\nb\n", "a\nb"),
        ("text/html; charset=utf-8", "<p  id=a class='b'>x\n y</p><!-- 1 -->", '<p class="b" id="a">x y</p>'),
        ("application/xml", "<a>\n  <b/>\n</a>", "<a><b/></a>"),
        ("application/x-www-form-urlencoded", "a=1&b=%C3%A9+x", "b=é%20x&a=1"),
        ("application/x-ndjson", '{"a":1}\n{"b":1.0}\n', '{"a": 1}\r\n{"b":1}\n'),
    ],
)
def test_what_is_written_otherwise_but_means_the_same_matches(kind: str, one: str, two: str) -> None:
    """Line ends, spaces between tags, the order of attributes and of form fields, spaces in JSON lines."""
    assert Verdict.MATCHED is compare(typed(kind, one), typed(kind, two)).verdict


@pytest.mark.parametrize(
    ("kind", "one", "two", "expected"),
    [
        ("text/plain", "a b", "ab", ("$", Kind.TEXT)),
        ("text/html", "<p>a</p>", "<p>b</p>", ("$", Kind.TEXT)),
        ("application/x-www-form-urlencoded", "a=1&a=2", "a=1", ("$.a", Kind.TYPE)),
        ("application/x-ndjson", '{"a":1}\n{"a":2}', '{"a":1}', ("$", Kind.LENGTH)),
        ("image/png", "a", "b", ("$", Kind.BINARY)),
        ("application/json", '{"a"', '{"a":1}', ("$", Kind.SYNTAX)),
    ],
)
def test_what_means_something_else_is_told_with_place_and_kind(
    kind: str, one: str, two: str, expected: tuple[str, Kind]
) -> None:
    """Each media type differs in its own way."""
    found = compare(typed(kind, one), typed(kind, two)).differences
    assert [expected] == [(each.path, each.kind) for each in found]


def test_remarks_tell_what_was_seen_and_is_no_difference() -> None:
    """1 and 1.0, a byte order mark, another coding."""
    packed = Answer(200, (*JSON, ("Content-Encoding", "gzip")), gzip.compress(b'{"a":1}'))
    comparison = compare(packed, body(b'\xef\xbb\xbf{"a":1.0}'))
    assert frozenset({Remark.NUMBER_FORM, Remark.BOM, Remark.CODING}) == comparison.remarks


def test_a_header_rule_hides_a_field_and_an_unlisted_field_is_compared_when_asked_for() -> None:
    """Fields outside the list do not count until a level names them."""
    one, two = (Answer(200, (("X-Total", value),)) for value in "12")
    asking = Policy([Level("route", Comparing(headers=("x-total",)))])
    hiding = Policy(
        [
            Level("route", Comparing(headers=("x-total",))),
            Level("platform", Comparing(rules=(Rule("header:X-Total", Treat.PRESENCE, "a", "b", 1.0),))),
        ]
    )
    verdicts = [compare(one, two, policy).verdict for policy in (Policy(), asking, hiding)]
    assert [Verdict.MATCHED, Verdict.MISMATCHED, Verdict.MATCHED] == verdicts


def test_at_a_noisy_place_type_and_shape_go_on_to_count() -> None:
    """Another uuid is noise; no uuid, another type or nothing at all is a difference."""
    noisy = frozenset({("$.id", Kind.VALUE)})
    first, second = "3f0b7b1e-58a3-4b0c-9a53-1f6f0a1b2c3d", "0a1b2c3d-58a3-4b0c-9a53-3f0b7b1e1f6f"

    def verdict(other: Any) -> tuple[Verdict, list[Kind]]:
        found = compare(body(json.dumps({"id": first})), body(json.dumps(other)), noisy=noisy)
        return found.verdict, [each.kind for each in found.differences]

    assert (Verdict.MATCHED, []) == verdict({"id": second})
    assert (Verdict.MISMATCHED, [Kind.SHAPE]) == verdict({"id": "none"})
    assert (Verdict.MISMATCHED, [Kind.TYPE]) == verdict({"id": 7})
    assert (Verdict.MISMATCHED, [Kind.MISSING]) == verdict({})


def test_limits_are_what_the_documents_say() -> None:
    """A body of 256 KiB is compared, one byte more is not."""
    full = b'"' + b"x" * (MAX_BODY - 2) + b'"'
    assert Verdict.MISMATCHED is compare(body(full), body(full.replace(b"x", b"y"))).verdict
    assert Cause.TOO_LARGE is compare(body(full + b" "), body(full)).cause
