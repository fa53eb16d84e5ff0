"""What people may see of a request or a value: names that sound secret and texts that look so are masked.

Used for samples, which are kept only where a route asks for them, and for the `curl` that repeats a request.  Masking
errs on the side of hiding; what is masked keeps its type and a hint of its length, so that a sample is still of use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

_SECRET_NAMES: Final = re.compile(
    r"pass(?:word|wd|phrase)?|pwd|secret|token|authoriz|cookie|session|sid\b|api[-_]?key|credential|otp\b|pin\b|cvv|cvc|"
    r"iban|\bpan\b|card|account|ssn|tax|passport|birth|email|e-mail|phone|mobile|address|street|signature|\bsig\b|code\b",
    re.IGNORECASE,
)
_SECRET_SHAPES: Final = (
    re.compile(r"eyJ[\w-]{5,}\.[\w-]+\.[\w-]*"),
    re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"),
    re.compile(r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b"),
    re.compile(r"\b(?:Bearer|Basic)\s+\S+", re.IGNORECASE),
)
_CARD: Final = re.compile(r"(?<!\d)(?:\d[ -]?){12,18}\d(?!\d)")
MASK: Final = "***"
_LONGEST: Final = 200
_MOST: Final = 50


def secret_name(name: str) -> bool:
    """Does a header, member or parameter of this name likely hold what nobody else may see?"""
    return _SECRET_NAMES.search(name) is not None


def masked(value: Any, name: str = "", depth: int = 6) -> Any:
    """A value as it may be shown."""
    if value is None or isinstance(value, bool):
        return value
    if secret_name(name):
        return MASK
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, dict):
        if depth == 0:
            return MASK
        return {masked_text(key): masked(each, key, depth - 1) for key, each in list(value.items())[:_MOST]}
    if isinstance(value, list):
        return [masked(each, name, depth - 1) for each in value[:_MOST]] if depth else MASK
    text = str(value)
    return MASK if card_number(text) else value if isinstance(value, int | float) else masked_text(text)


def masked_text(text: str) -> str:
    """A text with what looks secret taken out, and not endless."""
    text = text[: _LONGEST * 2]
    for shape in _SECRET_SHAPES:
        text = shape.sub(MASK, text)
    text = _CARD.sub(lambda found: MASK if card_number(found[0]) else found[0], text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def card_number(text: str) -> bool:
    """Thirteen to nineteen digits whose last one is the check digit of the others (Luhn)."""
    digits = [int(each) for each in text if each.isdigit()]
    if not 13 <= len(digits) <= 19 or len(text) > 2 * len(digits):
        return False
    doubled = [each * 2 - 9 if each > 4 else each * 2 for each in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def masked_target(target: str) -> str:
    """A path with its query, values of secret parameters masked, and whatever looks secret."""
    path, mark, query = target.partition("?")
    pairs = []
    for pair in query.split("&")[:_MOST]:
        name, equals, value = pair.partition("=")
        pairs.append(f"{name}={MASK}" if equals and secret_name(name) else f"{name}{equals}{masked_text(value)}")
    return masked_text(path) + mark + "&".join(pairs)


def curl(method: str, origin: str, target: str, headers: Iterable[tuple[str, str]]) -> str:
    """A command that repeats a request, without the secrets that it carried."""
    parts = ["curl", "-i" if method != "HEAD" else "-I"]
    if method not in {"GET", "HEAD"}:
        parts += ["-X", method]
    for name, value in list(headers)[:_MOST]:
        shown = MASK if secret_name(name) else masked_text(value)
        parts += ["-H", quoted(f"{name}: {shown}")]
    return " ".join([*parts, quoted(origin + masked_target(target))])


def quoted(text: str) -> str:
    """For a POSIX shell, whatever the text holds."""
    clean = "".join(character if character.isprintable() else "?" for character in text)
    return "'" + clean.replace("'", "'\\''") + "'"
