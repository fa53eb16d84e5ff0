"""control.render_shadow: a report as people read it."""

from __future__ import annotations

from typing import Any

from control.render_shadow import report, table
from control.terminal import Style

PLACE = {
    "path": "$.price", "kind": "missing", "severity": 3, "count": 4, "hidden_as_noise": 0, "share": 0.1,
    "types": {"number -> missing": 4}, "groups": {}, "first": [0.0, "r-1"], "last": [0.0, "r-9"], "noise": [0, 10],
    "samples": [{"at": 0.0, "request": "r", "legacy": "\x1b[31m1", "new": None, "command": "curl x"}] * 2,
}  # fmt: skip
RULE = {
    "level": "platform", "path": "$.a", "treat": "ignore", "owner": "me", "reason": "b", "until": "2027-01-01",
    "expired": False, "hidden": 30, "saved": 20, "share": 0.75,
}  # fmt: skip
FOUND: dict[str, Any] = {
    "route": "p", "legacy": "old", "new": "shiny", "since": 1.0, "until": 2.0, "compared": 40,
    "verdicts": {"matched": 30, "mismatched": 10, "not_comparable": 0}, "failures": {"new_failed": 2},
    "parity": {"paired": 5, "only_sides": 1, "only_noise": 2, "both": 0}, "copies": {"copied": 50, "full": 7},
    "noise": {"pairs": 5, "wanted": 1, "places": [["$.id", "value"]]}, "places": [PLACE], "rules": [RULE],
}  # fmt: skip


def lines(**changes: Any) -> str:
    return "\n".join(report(FOUND | changes, Style(), whole=False))


def test_a_report_tells_verdicts_drops_noise_places_and_rules() -> None:
    """With counts, first and last request, and who was just not there."""
    text = lines()
    for part in (
        "p: old against shiny",
        "matched               30  75.00%",
        "of these new failed: 2 (who was up, not what was said)",
        "legacy was asked twice 5 times: only new differed 1",
        "copies: 50 made; not made or not used: full 7",
        "noise, where only type and shape count: $.id (value)",
        "critical $.price  missing  4 (10.00%)  number -> missing 4",
        "first r-1",
        "hid something in 30, made 20 match  look at it: it hides a lot",
    ):
        assert part in text


def test_an_expired_rule_stands_out() -> None:
    """Whoever owns it has to look again."""
    assert "EXPIRED: hides nothing any more" in lines(rules=[RULE | {"expired": True}])


def test_no_sample_speaks_to_the_terminal() -> None:
    """What came from a service is shown without what a terminal would obey, and once unless all is asked for."""
    assert "\x1b" not in lines()
    assert 1 == lines().count("curl x")
    assert 2 == "\n".join(report(FOUND, Style(), whole=True)).count("curl x")


def test_many_places_are_cut_unless_all_are_asked_for() -> None:
    """With the number of those that are left out."""
    assert "... and 70 more; see --all" in lines(places=[PLACE] * 100)


def test_nothing_compared_yet_is_said() -> None:
    """With what became of the copies, which may say why."""
    text = lines(compared=0)
    assert "nothing has been compared yet" in text
    assert "full 7" in text


def test_the_table_has_a_line_for_each_route() -> None:
    """Compared, or copied only; and a hint where there is none."""
    rows = [
        {"route": "a", "percent": 10.0, "compare": True, "verdicts": {"matched": 3}},
        {"route": "b", "percent": 0.5, "compare": False, "verdicts": {}},
    ]
    assert ["a  10%  3 matched, 0 mismatched, 0 not comparable", "b  0.5% copied, not compared"] == table(
        {"routes": rows}
    )
    assert "no route is shadowed" in table({"routes": []})[0]
