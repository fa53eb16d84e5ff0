"""Legacy against legacy on a terminal.  Values in, lines out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from control.terminal import Style, paragraph, percent, plain, span, table

Json = Mapping[str, Any]

_HEAD: Final = ("SHARE", "ROLLOUTS", "ROLLED BACK", "EXPECTED", "BREAKER", "HELD", "SIZES", "WITHOUT RULE")
_EXPLANATION: Final = (
    "rolled back: for nothing, since both sides are legacy; expected: so often at most, by chance.",
    "breaker: failures in a row; held: something looked bad; sizes: one side had too many clients.",
    "without rule: rolled back if all failures and slow answers of a client counted, not its first.",
)


def progress(found: Json) -> str:
    """Where it stands, in a line."""
    name, answers = plain(found["route"]), f"{found['answers']:,} answers of legacy"
    if found["phase"] == "taping":
        return f"{name}: {answers}, {span(found['left'])} to go"
    done = found["shares"][0]["rollouts"] if found["shares"] else 0
    return f"{name}: {answers}; rollout {done} of {found['rollouts']} at each share"


def result(found: Json, style: Style) -> Iterator[str]:
    """The whole of it; what matters stands last."""
    yield style.bold(plain(found["route"])) + f": {_heard(found)}"
    yield from _gaps(found, style)
    if found["phase"] == "stopped":
        yield style.bad("it was stopped before there was a result")
        return
    if found["answers"]:
        yield _counted(found)
        yield ""
        yield from table(_HEAD, [_row(each) for each in found["shares"]], style, right=frozenset(range(8)))
        yield ""
        for line in _EXPLANATION:
            yield from paragraph(line, style, "")
        yield ""
    paint = style.good if found["standing"] == "equal" else style.bad
    for line in paragraph(found["text"], style, ""):
        yield paint(line)


def _heard(found: Json) -> str:
    clients = f" to {found['clients']:,} clients" if found["clients"] else ""
    return f"{found['answers']:,} answers of legacy{clients} within {span(found['heard'])}"


def _counted(found: Json) -> str:
    text = f"{found['failures']:,} failed, of which {found['errors']:,} count"
    if not found["limits"]:
        return text
    slow = (f"{count:,} ({_beyond(limit)})" for count, limit in zip(found["slow"], found["limits"], strict=True))
    return f"{text}; slow answers that count: {', '.join(slow)}"


def _beyond(limit: float | None) -> str:
    return "no limit" if limit is None else f"over {limit * 1000:g} ms"


def _gaps(found: Json, style: Style) -> Iterator[str]:
    """What is not on the tape."""
    if found["full"]:
        yield "the tape was full before its time was over; that is enough"
    if found["missed"]:
        yield style.bad(f"{found['missed']:,} answers more came faster than they could be taped")
    if found["silent"]:
        yield style.bad(f"a worker was asked {found['silent']:,} times in vain, and what it had may be missing")


def _row(each: Json) -> tuple[str, ...]:
    of_that = [f"{each[name]} {name}" for name in ("errors", "latency") if each[name]]
    return (
        percent(each["share"]),
        str(each["rollouts"]),
        f"{each['rollbacks']} ({', '.join(of_that)})" if of_that else "0",
        f"{each['expected']:g}",
        str(each["breakers"]),
        str(each["holds"]),
        str(each["sides"]),
        str(each["unruled"]),
    )
