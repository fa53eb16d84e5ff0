"""Two answers to one request, compared: the one function that the rest of the package is there for.

In this order, the cheap before the dear: failures, status, header fields, equal bytes, decoded bytes, parsed values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from rollout.core.compare import texts
from rollout.core.compare.coding import Undecoded, decoded
from rollout.core.compare.fields import Fields, field_differences, fields_of, is_json, media_type, status_difference
from rollout.core.compare.hiding import hiding
from rollout.core.compare.json_text import Parsed, Trouble, parse_pair
from rollout.core.compare.policy import Policy
from rollout.core.compare.values import (
    MISSING,
    Answer,
    Asked,
    Cause,
    Comparison,
    Difference,
    Kind,
    Remark,
    Severity,
    Verdict,
)
from rollout.core.compare.walk import Noisy, TooMany, Walk

MAX_SKEW: Final = 0.25
"""Seconds between the two launches above which the world may have changed in between."""

_NOTHING: Final = Policy()
_ASKED: Final = Asked()
_REFUSED: Final = frozenset((401, 403))
_TEXT: Final = ("text/", "application/javascript", "application/graphql")
_MARKUP: Final = ("/html", "/xml", "+xml", "/xhtml+xml")
_FORM: Final = "application/x-www-form-urlencoded"
_LINES: Final = frozenset(
    (
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/json-seq",
    )
)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two answers, and their header fields by name."""

    legacy: Answer
    new: Answer
    ours: Fields
    theirs: Fields


def compare(
    legacy: Answer, new: Answer, policy: Policy = _NOTHING, asked: Asked = _ASKED, noisy: Noisy = frozenset()
) -> Comparison:
    """The verdict on two answers.  Never raises, whatever they hold."""
    if cause := _not_worth_it(legacy, new, asked):
        return cause
    walk = Walk(policy, noisy)
    pair = _Pair(legacy, new, fields_of(legacy), fields_of(new))
    trouble = None
    try:
        _status_and_fields(pair, policy, asked, walk)
        if asked.method != "HEAD":
            trouble = _bodies(pair, walk)
    except TooMany:
        trouble = Cause.TOO_MANY
    return _verdict(legacy, new, walk, trouble)


def _not_worth_it(legacy: Answer, new: Answer, asked: Asked) -> Comparison | None:
    """What is decided before anything is looked into."""
    if legacy.error and new.error:
        return Comparison(Verdict.NOT_COMPARABLE, Cause.BOTH_FAILED)
    if asked.stripped and (legacy.status in _REFUSED) is not (new.status in _REFUSED):
        return Comparison(Verdict.NOT_COMPARABLE, Cause.STRIPPED)
    if asked.skew > MAX_SKEW:
        return Comparison(Verdict.NOT_COMPARABLE, Cause.SKEW)
    if legacy.error or new.error:
        cause = Cause.LEGACY_FAILED if legacy.error else Cause.NEW_FAILED
        return Comparison(Verdict.MISMATCHED, cause, (_unanswered(legacy, new),))
    return None


def _unanswered(legacy: Answer, new: Answer) -> Difference:
    said = [answer.error or answer.status for answer in (legacy, new)]
    return Difference("status", Kind.STATUS, Severity.CRITICAL, *said)


def _status_and_fields(pair: _Pair, policy: Policy, asked: Asked, walk: Walk) -> None:
    if status := status_difference(pair.legacy, pair.new):
        walk.differences.append(status)
    for field in field_differences(pair.ours, pair.theirs, asked, policy.headers, walk.remarks):
        if field.name == "content-type" and not _has_body(pair, asked):
            continue
        difference = field.difference
        if numbers := hiding(policy.at_header(field.name), difference.legacy, difference.new):
            walk.hidden.update(numbers)
        else:
            walk.settle(difference)


def _has_body(pair: _Pair, asked: Asked) -> bool:
    """The type of nothing is nobody's concern, but what HEAD says of it is."""
    return asked.method == "HEAD" or bool(pair.legacy.body or pair.new.body)


def _verdict(legacy: Answer, new: Answer, walk: Walk, trouble: Cause | None) -> Comparison:
    cause = _failed(legacy, new)
    if walk.differences:
        verdict = Verdict.MISMATCHED
    elif trouble or legacy.truncated or new.truncated:
        verdict = Verdict.NOT_COMPARABLE
        cause = trouble or Cause.TRUNCATED
    else:
        verdict = Verdict.MATCHED
    return Comparison(
        verdict, cause, tuple(walk.differences), dict(walk.hidden), tuple(walk.noise), frozenset(walk.remarks)
    )


def _failed(legacy: Answer, new: Answer) -> Cause:
    if legacy.failed and new.failed:
        return Cause.BOTH_FAILED
    if legacy.failed or new.failed:
        return Cause.LEGACY_FAILED if legacy.failed else Cause.NEW_FAILED
    return Cause.CONTENT


# --------------------------------------------------------------------------------------------------- bodies


def _bodies(pair: _Pair, walk: Walk) -> Cause | None:
    """Why the bodies cannot be compared; None when they were."""
    legacy, new = pair.legacy, pair.new
    codings = [fields.get("content-encoding", "") for fields in (pair.ours, pair.theirs)]
    if codings[0] != codings[1]:
        walk.remarks.add(Remark.CODING)
    elif legacy.body == new.body:
        return None
    if legacy.truncated or new.truncated:
        return Cause.TRUNCATED
    one, two = decoded(legacy.body, codings[0]), decoded(new.body, codings[1])
    if isinstance(one, Undecoded) or isinstance(two, Undecoded):
        return _undecoded({one, two}, legacy, new, walk)
    if one == two:
        return None
    return _contents(one, two, (media_type(pair.ours), media_type(pair.theirs)), walk)


def _undecoded(found: set[bytes | Undecoded], legacy: Answer, new: Answer, walk: Walk) -> Cause | None:
    if Undecoded.UNSUPPORTED in found:
        return Cause.ENCODING
    if Undecoded.TOO_LARGE in found:
        return Cause.TOO_LARGE
    walk.settle(Difference("$", Kind.CODING, Severity.CRITICAL, legacy.body, new.body))
    return None


def _contents(one: bytes, two: bytes, types: tuple[tuple[str, str], tuple[str, str]], walk: Walk) -> Cause | None:
    kinds = {kind for kind, _ in types}
    if any(map(is_json, kinds)) or (kinds == {""} and one[:1] in b"{[" and two[:1] in b"{["):
        return _json(one, two, walk)
    if kinds <= _LINES:
        return _ndjson(one, two, walk)
    charsets = [charset for _, charset in types]
    if kinds == {_FORM}:
        walk.compare(texts.form(_text(one, charsets[0])), texts.form(_text(two, charsets[1])))
    elif all(kind.endswith(_MARKUP) for kind in kinds):
        _texts(texts.markup(_text(one, charsets[0])), texts.markup(_text(two, charsets[1])), walk)
    elif all(kind.startswith(_TEXT) for kind in kinds):
        _texts(texts.plain(_text(one, charsets[0])), texts.plain(_text(two, charsets[1])), walk)
    else:
        walk.settle(Difference("$", Kind.BINARY, Severity.MAJOR, one, two))
    return None


def _json(one: bytes, two: bytes, walk: Walk) -> Cause | None:
    legacy, new = parse_pair(one, two)
    if legacy is Trouble.TOO_DEEP or new is Trouble.TOO_DEEP:
        return Cause.TOO_DEEP
    if not isinstance(legacy, Parsed) and not isinstance(new, Parsed):
        _texts(_text(one, ""), _text(two, ""), walk)
    elif not isinstance(legacy, Parsed) or not isinstance(new, Parsed):
        walk.differ(Kind.SYNTAX, _value(legacy), _value(new), ())
    else:
        if legacy.bom or new.bom:
            walk.remarks.add(Remark.BOM)
        for key in sorted(legacy.duplicates ^ new.duplicates):
            walk.settle(Difference(f"$..{key[:100]}", Kind.DUPLICATE, Severity.MAJOR))
        if not legacy.sorted_text or legacy.sorted_text != new.sorted_text:
            walk.compare(legacy.value, new.value)
    return None


def _value(parsed: Parsed | Trouble) -> Any:
    return parsed.value if isinstance(parsed, Parsed) else MISSING


def _ndjson(one: bytes, two: bytes, walk: Walk) -> Cause | None:
    """Every line is a document; together they are compared like an array of them."""
    lines = [texts.lines(side) for side in (one, two)]
    ours, theirs = parse_pair(*(b"[" + b",".join(side) + b"]" for side in lines))
    if ours is Trouble.TOO_DEEP or theirs is Trouble.TOO_DEEP:
        return Cause.TOO_DEEP
    # as many items as lines: no line held two of them, or half of one
    if [len(side) for side in lines] == [_items(each) for each in (ours, theirs)]:
        walk.compare(_value(ours), _value(theirs))
    else:
        _texts(texts.plain(_text(one, "")), texts.plain(_text(two, "")), walk)
    return None


def _items(parsed: Parsed | Trouble) -> int:
    return len(parsed.value) if isinstance(parsed, Parsed) else -1


def _texts(legacy: str, new: str, walk: Walk) -> None:
    if legacy != new:
        walk.differ(Kind.TEXT, legacy, new, ())


_CHARSETS: Final = frozenset(
    ("iso-8859-1", "latin-1", "latin1", "windows-1252", "cp1252", "us-ascii", "euc-kr", "cp949")
)


def _text(body: bytes, charset: str) -> str:
    return body.decode(charset if charset in _CHARSETS else "utf-8", "replace")
