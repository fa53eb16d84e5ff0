"""What `strangler top` shows and how it answers to keys.  Pure: what was heard and keys in, lines and wishes out.

The worst route stands first.  What is wrong with a route is a word beside its figures: who fails, who is slow, what
holds it back.  A key never changes anything by itself: it asks for a reason, and what comes out is the command that
anybody could have typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from control.terminal import Style, cut, percent, plain, span, width_of

FAILS: Final = 0.05
"""The part of errors from which on a side fails."""
SLOW: Final = 2.0
"""So many times legacy's p99 is slow."""
STALE: Final = 6.0
"""Seconds without an answer after which figures are old."""
EVENTS: Final = 4
_LEAST: Final = 24
"""Columns that a name should have before other columns are left out."""
_LONGEST: Final = 300
"""Characters of a reason that is typed."""
SORTS: Final = ("worst", "traffic", "share", "name")

Json = Mapping[str, Any]


# -- routes ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Half:
    """One side of a route at the moment: requests and errors a second, p99 in seconds."""

    rate: float = 0.0
    errors: float = 0.0
    p99: float | None = None

    @property
    def failing(self) -> float:
        """The part that fails; what a fallback hides is an error without an answer."""
        return self.errors / max(self.rate, self.errors) if self.errors else 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """One route."""

    name: str
    group: str
    share: float
    cause: str
    order: str
    legacy: Half
    new: Half

    @property
    def rate(self) -> float:
        return self.legacy.rate + self.new.rate

    @property
    def measured(self) -> float | None:
        return 100 * self.new.rate / self.rate if self.rate else None

    @property
    def trouble(self) -> str:
        """In a word; empty: nothing to see."""
        if self.new.failing > FAILS:
            return "NEW FAILS"
        if self.legacy.failing > FAILS:
            return "LEGACY FAILS"
        if self.cause == "rollback":
            return f"rolled back {self.order}"
        if self.new.p99 and self.legacy.p99 and self.new.p99 > SLOW * self.legacy.p99:
            return "new is slow"
        return f"{self.cause} {self.order}".strip() if self.cause != "declared" else ""


_WORST: Final = ("NEW FAILS", "LEGACY FAILS", "rolled back", "new is slow")


def _badness(row: Row) -> tuple[int, float, float, str]:
    level = next((number for number, word in enumerate(_WORST) if row.trouble.startswith(word)), len(_WORST))
    return level, -(row.new.errors + row.legacy.errors), -row.rate, row.name


_KEYS: Final[Mapping[str, Callable[[Row], Any]]] = {
    "worst": _badness,
    "traffic": lambda row: (-row.rate, row.name),
    "share": lambda row: (-row.share, row.name),
    "name": lambda row: row.name,
}


def rows(routes: Sequence[Json], rates: Json, sort: str, find: str) -> list[Row]:
    """Those that are looked for, in the order that is asked for."""
    wanted = find.lower()
    found = (
        _row(each, rates) for each in routes if wanted in f"{each['name']}\n{each['path']}\n{each['group']}".lower()
    )
    return sorted(found, key=_KEYS[sort])


def _row(route: Json, rates: Json) -> Row:
    """Rates are of the last seconds, errors and latencies of the last step of the series."""
    legacy, new = rates["routes"].get(route["name"], (0.0, 0.0))
    step = rates["latest"].get(route["name"]) or [0.0, 0.0, None, None] * 2
    return Row(
        route["name"],
        route["group"] or "",
        route["effective"],
        route["cause"],
        route["order"] or "",
        Half(legacy, step[1] or 0.0, step[3]),
        Half(new, step[5] or 0.0, step[7]),
    )


# -- keys --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wish:
    """A command that lacks its reason."""

    words: tuple[str, ...]
    target: tuple[str, ...]
    """What comes last on the command line."""
    says: str

    def command(self, reason: str) -> tuple[str, ...]:
        return (*self.words, "--reason", reason, *self.target)


@dataclass(frozen=True, slots=True)
class View:
    """What is looked at and what is being typed."""

    picked: str = ""
    first: int = 0
    """The first line of the list that is seen."""
    sort: str = SORTS[0]
    find: str = ""
    finding: bool = False
    wish: Wish | None = None
    text: str = ""
    """The reason so far."""
    note: str = ""


class Quit:
    """The answer to `q`."""


Answer = tuple[str, ...] | Quit | None


def press(view: View, key: str, shown: Sequence[Row], room: int) -> tuple[View, Answer]:
    """The view after a key, and what is to be done: a command line, or the end."""
    if view.wish is not None:
        return _typing(view, view.wish, key)
    if view.finding:
        return _finding(view, key), None
    view = replace(view, note="")
    if key in {"q", "Q", "ctrl-c"}:
        return view, Quit()
    if key in _MOVES:
        return _moved(view, _MOVES[key], shown, room), None
    if key == "s":
        return replace(view, sort=SORTS[(SORTS.index(view.sort) + 1) % len(SORTS)], first=0), None
    if key == "/":
        return replace(view, finding=True), None
    if key == "escape":
        return replace(view, find="", first=0), None
    return _wished(view, key, _picked(view, shown)), None


_MOVES: Final = {
    "up": -1, "k": -1, "down": 1, "j": 1, "page-up": -10, "page-down": 10, "home": -1_000_000, "end": 1_000_000,
}  # fmt: skip


def _moved(view: View, by: int, shown: Sequence[Row], room: int) -> View:
    if not shown:
        return view
    place = min(max(_place(view, shown) + by, 0), len(shown) - 1)
    first = min(max(view.first, place - room + 1), place)
    return replace(view, picked=shown[place].name, first=max(0, first))


def _place(view: View, shown: Sequence[Row]) -> int:
    return next((number for number, row in enumerate(shown) if row.name == view.picked), 0)


def _picked(view: View, shown: Sequence[Row]) -> Row | None:
    return shown[_place(view, shown)] if shown else None


def _wished(view: View, key: str, row: Row | None) -> View:
    """A change of what is picked; nothing is done before there is a reason."""
    if row is None or key not in {"r", "R", "h", "H", "f", "F", "u"}:
        return view
    if key == "u":
        if not row.order:
            return replace(view, note=f"no order is in force on {row.name}")
        return _asking(view, Wish(("resume",), (row.order,), f"lift {row.order}"))
    if key.isupper() and not row.group:
        return replace(view, note=f"{row.name} is in no group")
    command, says = ("rollback", "roll back to legacy") if key in "rR" else ("freeze", "hold (freeze) the share of")
    target = ("--group", row.group) if key.isupper() else ("--", row.name)
    return _asking(view, Wish((command,), target, f"{says}: {'group ' + row.group if key.isupper() else row.name}"))


def _asking(view: View, wish: Wish) -> View:
    return replace(view, wish=wish, text="")


def _typing(view: View, wish: Wish, key: str) -> tuple[View, Answer]:
    """The reason; Enter does it, Escape leaves it."""
    if key in {"escape", "ctrl-c"}:
        return replace(view, wish=None, note="nothing was changed"), None
    if key == "enter":
        if not view.text.strip():
            return replace(view, note="say why: it stands in the history for good"), None
        return replace(view, wish=None, note=""), wish.command(view.text.strip())
    return replace(view, text=_edited(view.text, key)), None


def _finding(view: View, key: str) -> View:
    if key == "enter":
        return replace(view, finding=False)
    if key in {"escape", "ctrl-c"}:
        return replace(view, finding=False, find="", first=0)
    return replace(view, find=_edited(view.find, key), first=0)


def _edited(text: str, key: str) -> str:
    if key == "backspace":
        return text[:-1]
    if key == "ctrl-u":
        return ""
    return (text + key)[:_LONGEST] if len(key) == 1 and key.isprintable() else text


# -- lines -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Picture:
    """What was heard, and when."""

    at: float = 0.0
    """By the clock of the one who looks; 0: never."""
    status: Json | None = None
    routes: Sequence[Json] = ()
    rates: Json | None = None
    events: Sequence[str] = ()
    """The newest last."""
    trouble: str = ""
    """Why the last attempt failed."""

    def rows(self, view: View) -> list[Row]:
        return [] if self.rates is None else rows(self.routes, self.rates, view.sort, view.find)


def report(picture: Picture, style: Style) -> Iterator[str]:
    """One look, with every route."""
    yield from _head(picture, style, picture.at)
    shown = picture.rows(View())
    yield from _list(shown, View(), style, max(1, len(shown)))


def frame(picture: Picture, view: View, style: Style, height: int, now: float) -> list[str]:
    """Exactly so many lines, none wider than the terminal."""
    head = list(_head(picture, style, now))
    foot = list(_foot(picture, view, style))
    shown = picture.rows(view)
    room = max(1, height - len(head) - len(foot) - 1)
    lines = [*head, *_list(shown, view, style, room, choose=True)]
    lines = lines[: height - len(foot)]
    return [*lines, *[""] * (height - len(lines) - len(foot)), *foot][:height]


def room_for_routes(picture: Picture, view: View, height: int) -> int:
    """Lines that the list has."""
    return max(1, height - len(list(_head(picture, Style(), 0.0))) - len(list(_foot(picture, view, Style()))) - 1)


def _head(picture: Picture, style: Style, now: float) -> Iterator[str]:
    if picture.status is None:
        yield style.bold("strangler") + f"  {picture.trouble or 'asking ...'}"
        return
    status = picture.status
    confirmed = sum(worker["confirmed"] for worker in status["workers"])
    legacy, new = picture.rates["total"] if picture.rates else (0.0, 0.0)
    kinds = sorted(order["kind"] for order in status["orders"])
    orders = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)) or "none"
    line = (
        f"revision {status['revision']}, {confirmed} of {len(status['workers'])} workers; {legacy + new:.1f} req/s, "
        f"{percent(round(100 * new / (legacy + new), 1)) if legacy + new else '-'} new; orders: {orders}"
    )
    yield style.bold(cut(line, style.width or 1000))
    for text in _wrong(picture, now):
        yield style.bad(cut(f"!! {plain(text)}", style.width or 1000))
    yield ""


def _wrong(picture: Picture, now: float) -> Iterator[str]:
    """What must not be missed, the worst first."""
    status = picture.status or {}
    if now - picture.at > STALE:
        why = picture.trouble or "no reason is known"
        yield f"NO ANSWER for {span(now - picture.at)}: everything below is old ({why})"
    source = status["source"]
    if source["status"] != "ok":
        problem = f": {source['problems'][0]}" if source["problems"] else ""
        yield f"{source['path']} is {source['status'].upper()}; the last good one stays in force{problem}"
    if not status["persisted"]:
        yield "the store does not answer: what is in force is NOT RECORDED yet"
    behind = [str(worker["id"]) for worker in status["workers"] if not worker["confirmed"]]
    if behind:
        yield f"not confirmed by worker {', '.join(behind)}"


@dataclass(frozen=True, slots=True)
class _Column:
    head: str
    width: int
    cell: Callable[[Row], str]
    needed: bool = False
    """It stays when the terminal is narrow."""


def _part(half: Half) -> str:
    return percent(round(100 * half.failing, 1)) if half.rate or half.errors else "-"


def _time(value: float | None) -> str:
    return "-" if value is None else f"{1000 * value:.3g} ms" if value < 1 else f"{value:.3g} s"


_COLUMNS: Final = (
    _Column("share", 8, lambda row: percent(row.share), needed=True),
    _Column("measured", 9, lambda row: percent(None if row.measured is None else round(row.measured, 1))),
    _Column("req/s", 8, lambda row: f"{row.rate:.1f}", needed=True),
    _Column("err new", 8, lambda row: _part(row.new), needed=True),
    _Column("err leg", 8, lambda row: _part(row.legacy)),
    _Column("p99 new", 9, lambda row: _time(row.new.p99)),
    _Column("p99 leg", 9, lambda row: _time(row.legacy.p99)),
)
_TROUBLE: Final = 18


def _list(shown: Sequence[Row], view: View, style: Style, room: int, *, choose: bool = False) -> Iterator[str]:
    columns = _fitting(style.width)
    name = (style.width or 120) - sum(column.width for column in columns) - _TROUBLE - 4
    name = max(name, 8)
    heads = "".join(column.head.rjust(column.width) for column in columns)
    sought = f" ({view.sort}{', /' + view.find if view.find else ''})"
    yield style.dim(cut(f"  {('route' + sought)[:name]:<{name}}{heads}", style.width or 1000))
    if not shown:
        yield "  no route" + (f" has {plain(view.find)!r} in its name, path or group" if view.find else "")
        return
    first = min(view.first, max(0, len(shown) - room))
    picked = _place(view, shown)
    for number, row in enumerate(shown[first : first + room], first):
        yield _line(row, columns, name, style, picked=choose and number == picked)


def _fitting(width: int) -> list[_Column]:
    """Columns that leave a name its room; the last ones go first, but for those that are needed."""
    columns = list(_COLUMNS)
    while width and width - sum(column.width for column in columns) - _TROUBLE - 4 < _LEAST:
        spare = [column for column in columns if not column.needed]
        if not spare:
            break
        columns.remove(spare[-1])
    return columns


def _line(row: Row, columns: Sequence[_Column], name: int, style: Style, *, picked: bool) -> str:
    said = cut(plain(row.name), name)
    cells = "".join(column.cell(row).rjust(column.width) for column in columns)
    text = f"{'>' if picked else ' '} {said}{' ' * (name - width_of(said))}{cells}"
    trouble = cut(plain(row.trouble), _TROUBLE)
    if style.width:
        text = cut(text, style.width)
        trouble = trouble if width_of(text) + width_of(trouble) + 2 <= style.width else ""
    if picked:
        return style.chosen(f"{text}  {trouble}".rstrip())
    shout = style.bad if trouble.isupper() else style.warn
    return f"{text}  {shout(trouble)}".rstrip()


def _foot(picture: Picture, view: View, style: Style) -> Iterator[str]:
    width = style.width or 1000
    yield ""
    for event in picture.events[-EVENTS:]:
        yield style.dim(cut(event, width))
    if view.wish is not None:
        yield style.warn(cut(f"{plain(view.wish.says)} -- Enter: do it, Esc: leave it {view.note}", width))
        yield cut(f"reason: {plain(view.text)}_", width)
        return
    if view.finding:
        yield cut(f"/{plain(view.find)}_   Enter: keep, Esc: all routes", width)
        return
    yield cut(plain(view.note), width)
    keys = "arrows choose  r roll back  h hold (freeze)  R H the whole group  u lift its order  s sort  / find  q quit"
    yield style.dim(cut(keys, width))
