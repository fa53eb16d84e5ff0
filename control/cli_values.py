"""What can stand on the command line, and how a command ends."""

from __future__ import annotations

import argparse
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from router.core.safety import Rule
from router.core.template import TemplateError, parse_template
from router.core.units import PERCENT_HELP, read_duration, read_percent
from router.core.values import read_endpoint, valid_host

Json = dict[str, Any]

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNCONFIRMED: Final = 3

MAX_EASING: Final = 600.0
"""Seconds that a graded rollback may take."""
LOG_FORMATS: Final = ("combined", "json", "envoy", "alb", "haproxy", "nginx-proxy-manager")
"""What --format takes (`discovery.core.lines`)."""
RULES: Final = (*(rule.value for rule in Rule), "mass-removal")
"""What --override takes."""


def admin(text: str) -> str:
    try:
        parse_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**18):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)


def workers(text: str) -> int:
    if (number := count(text)) > 256:
        raise argparse.ArgumentTypeError("more than 256 workers help nobody; one a core is right")
    return number


def seconds(text: str) -> float:
    found = read_duration(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write one such as 30s or 5m")
    return found


def lifetime(text: str) -> float:
    """Like `seconds`, and in days."""
    days = text.removesuffix("d")
    if days != text and days.isascii() and days.isdigit() and 0 < int(days) <= 3660:
        return int(days) * 86_400.0
    return seconds(text)


def percent(text: str) -> float:
    """As a JSON number; the digits have been checked, so that the router reads exactly them."""
    if read_percent(text.removesuffix("%")) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage; {PERCENT_HELP}")
    return float(text.removesuffix("%"))


def ratio(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 1 <= found <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no ratio; write how many times as many, such as 1.2")
    return found


def reason(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; say why, for those who read the history at 3 a.m.")
    return text.strip()


def header(text: str) -> str:
    name, colon, _ = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no header; write it as 'Name: value'")
    return text


def easing(text: str) -> str:
    """As it is written: the router reads it."""
    if seconds(text) > MAX_EASING:
        raise argparse.ArgumentTypeError(f"{text} is too long for a rollback; write 10m at most")
    return text


def duration(text: str) -> str:
    """As it is written: the router reads it."""
    seconds(text)
    return text


def weight_words(words: list[str], scope: Json | None) -> tuple[Json, float]:
    """`ROUTE PERCENT`, or `PERCENT` alone when an option names the scope: (scope, percent)."""
    scope, last = scope_words(words, scope, "PERCENT")
    return scope, percent(last)


def scope_words(words: list[str], scope: Json | None, last: str) -> tuple[Json, str]:
    """The scope, and the word behind it; `scope` is what an option names."""
    if len(words) != (2 if scope is None else 1):
        raise argparse.ArgumentTypeError(
            f"write ROUTE {last} (a name with spaces in quotes), or {last} alone with --group G or --all"
        )
    return (scope or {"route": words[0]}), words[-1]


def parse_url(url: str) -> SplitResult:
    """Raises ValueError with what to write instead."""
    place = urlsplit(url if "://" in url else f"http://{url}")
    try:
        fine = place.scheme in {"http", "https"} and place.hostname and (place.port is None or place.port)
    except ValueError:
        fine = False
    if not fine or place.query or place.fragment or place.username is not None:
        raise ValueError(f"{url!r} is no admin address; write one such as http://127.0.0.1:8081")
    return place


def endpoint(text: str) -> str:
    """`http://host:port`."""
    found = read_endpoint(text)
    if isinstance(found, str):
        raise argparse.ArgumentTypeError(f"{text!r} {found}; write http://host:port")
    return text


def template(text: str) -> str:
    """A path with parameters."""
    try:
        parse_template(text)
    except TemplateError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def host(text: str) -> str:
    """In lower case."""
    if not valid_host(text.lower()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a host; write one such as shop.example.com, without a port")
    return text.lower()
