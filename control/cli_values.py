"""What can stand on the command line, and how a command ends."""

from __future__ import annotations

import argparse
from typing import Final
from urllib.parse import SplitResult, urlsplit

from router.core.units import PERCENT_HELP, read_duration, read_percent

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNCONFIRMED: Final = 3


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


def percent(text: str) -> float:
    """As a JSON number; the digits have been checked, so that the router reads exactly them."""
    if read_percent(text.removesuffix("%")) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage; {PERCENT_HELP}")
    return float(text.removesuffix("%"))


def reason(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; say why, for those who read the history at 3 a.m.")
    return text.strip()


def header(text: str) -> str:
    name, colon, _ = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no header; write it as 'Name: value'")
    return text


def weight_words(words: list[str], group: str | None) -> tuple[str, float]:
    """`ROUTE PERCENT`, or `PERCENT` alone with --group: (route, percent)."""
    if len(words) != (2 if group is None else 1):
        raise argparse.ArgumentTypeError("write ROUTE PERCENT (a name with spaces in quotes), or --group G PERCENT")
    return ("" if group is not None else words[0]), percent(words[-1])


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
