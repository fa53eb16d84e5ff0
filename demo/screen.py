"""What the demo prints: text in, text out.  Nothing here touches a terminal or a clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from demo.tally import Rate, Tally

_BAR = 20


@dataclass(frozen=True, slots=True)
class Style:
    """Terminal colours, or none of them."""

    colour: bool

    def bold(self, text: str) -> str:
        return self._wrap("1", text)

    def dim(self, text: str) -> str:
        return self._wrap("2", text)

    def new(self, text: str) -> str:
        return self._wrap("32", text)

    def bad(self, text: str) -> str:
        return self._wrap("31;1", text)

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything runs and how a person calls the command line from here."""

    router: str
    admin: str
    services: Sequence[tuple[str, str]]
    config: str
    log: str
    command: str = "strangler"
    export: str = ""
    """What to type first when the admin address is not the usual one."""


def welcome(places: Places, style: Style) -> str:
    """What to look at and what to try."""
    services = "\n".join(f"  {name:<24} {url}" for name, url in places.services)
    curl = f"curl -i -H 'X-User-Id: you' {places.router}/v1/products/1001"
    say = places.command
    steps = [
        ("who answers, and how sure is it?", f"{say} status"),
        ("why does this user get this side?", f"{say} explain GET /v1/products/1001 -H 'X-User-Id: you'"),
        ("half of the users to the new side", f"{say} weight product 50 --reason 'looks good'"),
        ("the whole catalog back, now", f"{say} rollback --group catalog --reason 'prices look odd'"),
        ("only a person undoes that", f"{say} resume ORDER --reason 'fixed'   (the rollback printed its ORDER)"),
        (
            "break a new service",
            f"curl -X POST {_url(places, 'catalog')}/-/break   (users see no error; mend: /-/mend)",
        ),
        ("or edit and save the file", places.config),
    ]
    tries = "\n".join(f"  {style.dim(what.ljust(34))} {how}" for what, how in steps)
    first = f"  {places.export}\n" if places.export else ""
    return (
        f"\n{style.bold('A shop that is being moved, one API at a time')}\n\n"
        f"  {'router (the shop)':<24} {places.router}\n"
        f"  {'page, API and /metrics':<24} {places.admin}\n{services}\n"
        f"  {style.dim('log of the router'.ljust(24))} {style.dim(places.log)}\n\n"
        f"{style.bold('Try in another terminal')}\n\n{first}"
        f"  {style.dim('one request, with its side'.ljust(34))} {curl}\n{tries}\n\n"
        f"{style.bold('What the simulated users see')} {style.dim('measured from their answers; Ctrl-C ends all')}\n"
    )


def table(rates: Sequence[Rate], tally: Tally, median_ms: float, style: Style) -> list[str]:
    """The live picture for a terminal: one line per route and one about how users fare."""
    width = max((len(rate.route) for rate in rates), default=5)
    head = f"  {'route'.ljust(width)}  {'legacy/s':>8}  {'new/s':>8}  {'share of new':<{_BAR}}"
    lines = [style.dim(head)]
    for rate in rates:
        full = round(rate.share * _BAR)
        bar = style.new("█" * full) + style.dim("░" * (_BAR - full))
        percent = f"{rate.share:6.0%}" if rate.total else "      "
        lines.append(f"  {rate.route.ljust(width)}  {rate.legacy:8.1f}  {rate.new:8.1f}  {bar} {percent}")
    return [*lines, "  " + health(tally, median_ms, style)]


def one_line(rates: Sequence[Rate], tally: Tally, median_ms: float, style: Style) -> str:
    """The live picture where lines cannot be redrawn (a pipe, a CI log)."""
    moving = ", ".join(f"{rate.route} {rate.share:.0%}" for rate in rates if rate.new)
    legacy, new = sum(rate.legacy for rate in rates), sum(rate.new for rate in rates)
    return (
        f"  {legacy + new:5.1f} req/s: legacy {legacy:.1f}, new {new:.1f} ({moving or 'no route'}); "
        f"{health(tally, median_ms, style)}"
    )


def health(tally: Tally, median_ms: float, style: Style) -> str:
    """How the users fare, failures in the open."""
    failed = f"{tally.failed} failed (last: {tally.last_failure})" if tally.failed else "0 failed"
    shown = style.bad(failed) if tally.failed else failed
    streams = f"{tally.chat_lines} chat lines, {tally.order_events} order events"
    return f"{tally.total} answers, {shown}, median {median_ms:.0f} ms, {streams}"


def farewell(tally: Tally) -> str:
    sides = ", ".join(f"{count} by {side}" for side, count in sorted(tally.sides.items())) or "nothing yet"
    return f"Served {tally.total} requests ({sides}), {tally.failed} failed. Everything is stopped."


def _url(places: Places, name: str) -> str:
    return next(url for service, url in places.services if service.startswith(name))
