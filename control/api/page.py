"""The status page: one self-contained document, readable without scripts, refreshed by itself.

Everything that came from outside (names, reasons, problems) is escaped; the style is allowed by its hash alone.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

Json = Mapping[str, Any]

STYLE: Final = """
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}
body{margin:2rem auto;max-width:75rem;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #8884;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.bad{border-left:.4rem solid #d33;padding:.5rem 1rem;background:#d331}
pre{white-space:pre-wrap;margin:.3rem 0 0}
progress{width:7rem}
"""
STYLE_HASH: Final = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


def render(status: Json) -> str:
    """The page for what `GET /api/v1/status` says."""
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">',
            '<meta name="viewport" content="width=device-width"><title>strangler</title>',
            f"<style>{STYLE}</style></head><body><h1>strangler</h1>",
            f"<p>Revision {status['revision']} in force; {_confirmed(status)}.</p>",
            *_trouble(status),
            *_orders(status["orders"]),
            *_routes(status["routes"]),
            *_workers(status["workers"]),
            "</body></html>",
        )
    )


def _confirmed(status: Json) -> str:
    workers = status["workers"]
    return f"{sum(worker['confirmed'] for worker in workers)} of {len(workers)} workers have confirmed it"


def _trouble(status: Json) -> Iterator[str]:
    source = status["source"]
    if source["status"] != "ok":
        problems = escape("\n".join(source["problems"]))
        yield (
            f'<div class="bad"><strong>{escape(source["path"])} is {escape(source["status"])}</strong>: '
            f"the last good one stays in force.<pre>{problems}</pre></div>"
        )
    if not status["persisted"]:
        yield '<div class="bad"><strong>The store does not answer</strong>: what is in force is not recorded yet.</div>'


def _orders(orders: list[Json]) -> Iterator[str]:
    yield "<h2>Orders in force</h2>"
    if not orders:
        yield "<p>None: every route follows routes.yaml.</p>"
        return
    yield "<table><tr><th>order</th><th>what</th><th>reason</th><th>by</th><th>ends</th></tr>"
    for order in orders:
        cells = (order["id"], order["text"], order["reason"], order["actor"], _end(order))
        yield "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>"
    yield "</table>"


def _end(order: Json) -> str:
    """When, and what a person has to do about it."""
    if "expires" not in order:
        return "when somebody lifts it"
    at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(order["expires"]))
    if order["provisional"]:
        return f"on trial until {at}: confirm it, or it is taken back"
    return f"due {at}, but it holds until somebody resumes it" if order["kind"] == "rollback" else at


def _routes(routes: list[Json]) -> Iterator[str]:
    yield f"<h2>Routes ({len(routes)})</h2>"
    yield '<table><tr><th>route</th><th>group</th><th class="n">declared</th><th class="n">ordered</th>'
    yield '<th class="n">effective</th><th></th><th class="n">measured</th><th class="n">req/s</th></tr>'
    for route in routes:
        share = route["effective"]
        yield f"<tr><td>{escape(route['name'])}</td><td>{escape(route['group'])}</td>"
        yield f'<td class="n">{_percent(route["declared"])}</td><td class="n">{_percent(route["ordered"])}</td>'
        yield f'<td class="n">{_percent(share)}</td><td><progress max="100" value="{share:g}"></progress></td>'
        rate = route["requests_per_second"]
        yield f'<td class="n">{_percent(route["measured"])}</td><td class="n">{rate:.1f}</td></tr>'
    yield "</table>"


def _workers(workers: list[Json]) -> Iterator[str]:
    yield '<h2>Workers</h2><table><tr><th>worker</th><th class="n">pid</th><th class="n">revision</th><th></th></tr>'
    for worker in workers:
        says = "confirmed" if worker["confirmed"] else "connected" if worker["connected"] else "not connected"
        yield f'<tr><td>{worker["id"]}</td><td class="n">{worker["pid"]}</td>'
        yield f'<td class="n">{worker["revision"]}</td><td>{says}</td></tr>'
    yield "</table>"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:g}&nbsp;%"
