"""rollout.shadow.page: one route, from captures to a report."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from rollout.core.compare.policy import Level
from rollout.core.compare.values import Verdict
from rollout.core.evidence import Mark, Shadowed, Tally
from rollout.shadow.page import EPOCHS, SAMPLES, Page, Subject, follow_message, followed
from router.core.capture import Capture, Count, Taken, Who
from router.core.comparing import ArrayMode, Comparing, Rule, Treat

KEY = b"k" * 32
NOW = 1_000_000.0
RULE = Rule("$.price", Treat.TOLERANCE, "team-a", "because", 2e9, absolute=0.5)
SUBJECT = Subject("p", "old", "new", 0.0, (Level("route p", Comparing(("x-a",), (RULE,))),))
JSON = (("Content-Type", "application/json"),)


def taken(who: Who, value: Any) -> Taken:
    return Taken(who, 200, JSON, json.dumps(value).encode())


def capture(legacy: Any, new: Any, again: Any = None, **more: Any) -> Capture:
    answers = [taken(Who.LEGACY, legacy), taken(Who.NEW, new)]
    if again is not None:
        answers.append(taken(Who.AGAIN, again))
    usual = Capture("p", 7, 0, NOW, "r-1", "GET", "shop", "/p?token=x", Who.LEGACY, tuple(answers))
    return replace(usual, **more)


def test_a_comparison_is_counted_by_verdict_and_place() -> None:
    """Matched, mismatched, and hidden by a rule, whose meter moves."""
    page = Page(SUBJECT, NOW)
    for new in ({"price": 1, "n": 1}, {"price": 1.2, "n": 1}, {"price": 1, "n": 2}):
        page.take(capture({"price": 1, "n": 1}, new), KEY)
    report = page.report(NOW)
    assert {"matched": 2, "mismatched": 1, "not_comparable": 0} == report["verdicts"]
    assert ["$.n"] == [place["path"] for place in report["places"]]
    (rule,) = report["rules"]
    assert ("route p", "$.price", "tolerance", "team-a", 1, 1, False) == tuple(
        rule[name] for name in ("level", "path", "treat", "owner", "hidden", "saved", "expired")
    )
    assert 1 / 3 == pytest.approx(rule["share"])


def test_what_legacy_does_not_say_twice_alike_is_learned_and_forgiven() -> None:
    """After two pairs a place is noise; another shape there is still a difference."""
    page = Page(SUBJECT, NOW)
    for index in range(5):
        page.take(capture({"id": index}, {"id": index + 100}, {"id": index + 200}), KEY)
    assert [["$.id", "value"]] == page.report(NOW)["noise"]["places"]
    found = page.take(capture({"id": 1}, {"id": 2}), KEY)
    assert found is not None
    assert Verdict.MATCHED is found.verdict
    found = page.take(capture({"id": 1}, {"id": 1_000_000_000}), KEY)
    assert found is not None
    assert Verdict.MISMATCHED is found.verdict


def test_evidence_is_kept_by_revision_and_share_with_first_and_last() -> None:
    """Pairs, mismatches, triples; what only new failed is apart, and what legacy failed in no number."""
    page = Page(SUBJECT, NOW)
    page.take(capture({"n": 1}, {"n": 2}, {"n": 1}), KEY)
    page.take(capture({"n": 1}, {"n": 2}, request_id="r-2", at=NOW + 1), KEY)
    page.take(capture({"n": 1}, {"n": 1}, {"n": 2}), KEY)
    page.take(capture({"n": 1}, {"n": 1}, share=5, revision=8), KEY)
    down = (taken(Who.LEGACY, 1), Taken(Who.NEW, error="timeout"))
    page.take(capture(1, 1, answers=down), KEY)
    page.take(capture(1, 1, answers=(Taken(Who.LEGACY, error="timeout"), taken(Who.NEW, 1))), KEY)
    first, last = Mark(NOW, "r-1"), Mark(NOW + 1, "r-2")
    assert {
        (7, 0): Shadowed(3, Tally(2, first, last), 2, Tally(1, first, first), 1, 1),
        (8, 5): Shadowed(1),
    } == page.epochs
    assert {"new_failed": 1, "legacy_failed": 1} == page.report(NOW)["failures"]


def test_evidence_of_many_revisions_is_bounded() -> None:
    """The oldest are added up, since revisions are made by other routes as well; shares long ago are forgotten."""
    page = Page(SUBJECT, NOW)
    page.take(capture(1, 1, share=5), KEY)
    for revision in range(100):
        page.take(capture(1, 2, revision=revision, request_id=f"r-{revision}", at=NOW + revision), KEY)
    assert (EPOCHS, 99) == (len(page.epochs), max(page.epochs)[0])
    assert {0} == {share for _, share in page.epochs}
    whole = sum(page.epochs.values(), Shadowed())
    assert (100, Mark(NOW, "r-0")) == (whole.compared, whole.mismatches.first)


def test_samples_are_kept_only_where_they_are_wanted_masked_and_for_a_time() -> None:
    """Few for each place, without secrets, with a command that repeats the request."""
    plain, sampling = Page(SUBJECT, NOW), Page(replace(SUBJECT, samples=60.0), NOW)
    for page in (plain, sampling):
        for index in range(20):
            seen = capture({"password": "hunter2", "n": 1}, {"password": "x", "n": index + 2}, at=NOW)
            page.take(replace(seen, headers=(("Authorization", "Basic x"), ("Accept", "y"))), KEY)
    assert all(place["samples"] == [] for place in plain.report(NOW)["places"])
    places = {place["path"]: place["samples"] for place in sampling.report(NOW)["places"]}
    assert SAMPLES == len(places["$.n"])
    assert (1, 21) == (places["$.n"][-1]["legacy"], places["$.n"][-1]["new"])
    assert "hunter2" not in json.dumps(places)
    expected = "curl -i -H 'Authorization: ***' -H 'Accept: y' 'http://shop/p?token=***'"
    assert expected == places["$.n"][0]["command"]
    assert all(place["samples"] == [] for place in sampling.report(NOW + 61)["places"])


def test_what_was_found_survives_a_restart_and_not_a_change_of_rules() -> None:
    """The same rules with other words, another owner or another end are the same rules."""
    page = Page(SUBJECT, NOW)
    page.take(capture({"n": 1}, {"n": 2}, {"n": 1}), KEY)
    page.count(Count.FULL, 3)
    kept = json.loads(json.dumps(page.as_message()))

    def with_rule(**changes: Any) -> Subject:
        return replace(SUBJECT, levels=(Level("route p", Comparing(("x-a",), (replace(RULE, **changes),))),))

    same, other = Page(with_rule(reason="better said", expires=3e9), NOW), Page(with_rule(absolute=0.6), NOW)
    same.restore(kept)
    other.restore(kept)
    assert page.report(NOW) | {"rules": []} == same.report(NOW) | {"rules": []}
    assert page.epochs == same.epochs
    assert 0 == other.report(NOW)["compared"]


def test_a_rule_that_expires_stops_hiding_within_the_hour() -> None:
    """Nobody has to restart anything."""
    ending = replace(RULE, expires=NOW + 100)
    page = Page(replace(SUBJECT, levels=(Level("route p", Comparing((), (ending,))),)), NOW)
    before = page.take(capture({"price": 1}, {"price": 1.2}), KEY)
    after = page.take(capture({"price": 1}, {"price": 1.2}, at=NOW + 4000), KEY)
    assert before is not None
    assert after is not None
    assert (Verdict.MATCHED, Verdict.MISMATCHED) == (before.verdict, after.verdict)
    assert [True] == [rule["expired"] for rule in page.report(NOW)["rules"]]


def test_a_capture_without_a_pair_is_nothing() -> None:
    """One side alone cannot be compared."""
    assert None is Page(SUBJECT, NOW).take(capture(1, 1, answers=(taken(Who.NEW, 1),)), KEY)


def test_what_control_tells_arrives_whole_and_each_level_once() -> None:
    """Routes that share their rules share them on the way as well."""
    rules = (replace(RULE, treat=Treat.ARRAY, array=ArrayMode.KEYED, key="id"),)
    shared = Level("platform", Comparing((), rules))
    subjects = [
        replace(SUBJECT, name=str(index), levels=(shared, Level(f"route {index}", Comparing(("x-b",)))))
        for index in range(3)
    ]
    message = json.loads(json.dumps(follow_message(subjects)))
    assert 4 == len(message["levels"])
    assert subjects == followed(message)
