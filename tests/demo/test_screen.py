"""What the demo prints is plain, honest and in step with itself."""

from __future__ import annotations

from demo.screen import Places, Style, farewell, one_line, table, welcome
from demo.tally import Rate, Seen, Tally

PLAIN = Style(colour=False)
PLACES = Places(
    router="http://127.0.0.1:8080",
    admin="http://127.0.0.1:8081",
    services=[("legacy shop", "http://127.0.0.1:9001"), ("catalog @ k8s-pangyo", "http://127.0.0.1:9101")],
    config="routes.yaml",
    log="/tmp/router.log",
    command=".venv/bin/strangler",
)


def test_the_welcome_names_every_address_and_the_story_in_commands() -> None:
    """A newcomer can copy each step: look, explain, raise, roll back, resume, break."""
    text = welcome(PLACES, PLAIN)
    for part in (
        PLACES.router,
        PLACES.admin,
        "http://127.0.0.1:9001",
        ".venv/bin/strangler status",
        ".venv/bin/strangler explain GET",
        ".venv/bin/strangler weight product 50 --reason",
        ".venv/bin/strangler rollback --group catalog --reason",
        ".venv/bin/strangler resume ORDER --reason",
        "curl -X POST http://127.0.0.1:9101/-/break",
    ):
        assert part in text


def test_without_colour_there_is_no_escape_sequence() -> None:
    """Output into a file stays readable."""
    tally = Tally(started=0.0)
    printed = [welcome(PLACES, PLAIN), *table([Rate("product", 1.0, 1.0)], tally, 1.0, PLAIN)]
    assert not [text for text in printed if "\x1b" in text]


def test_the_table_has_one_line_per_route_between_its_head_and_the_users_health() -> None:
    """Half of the answers by the new side fill half of the bar and read 50 %."""
    lines = table([Rate("cart", 3.0, 3.0), Rate("chat", 0.0, 0.0)], Tally(started=0.0), 7.0, PLAIN)
    assert len(lines) == 4
    assert lines[1].split() == ["cart", "3.0", "3.0", "█" * 10 + "░" * 10, "50%"]
    assert "0 failed, median 7 ms" in lines[3]


def test_failures_are_told_with_the_last_one() -> None:
    """The demo does not hide an error from its watcher."""
    tally = Tally(started=0.0)
    tally.add(Seen(1.0, "cart", "new", 503, 2.0))
    assert "1 failed (last: 503 on cart)" in one_line([Rate("cart", 0.0, 1.0)], tally, 2.0, PLAIN)
    assert "Served 1 requests (1 by new), 1 failed." in farewell(tally)
