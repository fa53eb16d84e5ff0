"""Makes the Grafana dashboards: `python -m dashboards.build` writes `dashboards/grafana/` from `dashboards.boards`.

What a dashboard shows is said there, in a few words a panel; how Grafana wants it said is known here alone.  A test
holds the written files against what this makes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from dashboards.boards import BOARDS
from dashboards.panels import Board, Panel, Query, Variable

Json = dict[str, Any]

FOLDER: Final = Path(__file__).parent / "grafana"
SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
LABEL_VALUES: Final = 1
"""What Grafana's editor of variables calls a query of that kind."""
WIDTH: Final = 24
"""Columns of Grafana's grid."""
TAG: Final = "strangler"


def dashboard(board: Board) -> Json:
    """As Grafana imports it."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.says,
        "tags": [TAG],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "graphTooltip": 1,
        "links": [_to_the_others()],
        "templating": {"list": [_source(), *map(_variable, board.variables)]},
        "panels": list(_placed(board.rows)),
    }


def _to_the_others() -> Json:
    return {
        "type": "dashboards",
        "title": "strangler",
        "tags": [TAG],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
    }


def _source() -> Json:
    return {
        "type": "datasource",
        "name": "source",
        "label": "Prometheus",
        "query": "prometheus",
        "refresh": 1,
        "multi": False,
        "includeAll": False,
        "current": {},
        "options": [],
    }


def _variable(variable: Variable) -> Json:
    query = f"label_values({variable.metric}, {variable.label})"
    return {
        "type": "query",
        "name": variable.name,
        "label": variable.name,
        "datasource": SOURCE,
        "definition": query,
        "query": {"qryType": LABEL_VALUES, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "refresh": 2,
        "sort": 1,
        "multi": variable.several,
        "includeAll": variable.several,
        "options": [],
        **({"allValue": ".*", "current": {"text": "All", "value": "$__all"}} if variable.several else {"current": {}}),
    }


def _placed(rows: Mapping[str, Iterable[Panel]]) -> Iterator[Json]:
    """Panels from left to right, line by line, each with its place."""
    number, y = 0, 0
    for heading, panels in rows.items():
        number += 1
        place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        yield {"id": number, "type": "row", "title": heading, "collapsed": False, "gridPos": place, "panels": []}
        y, x, line = y + 1, 0, 0
        for panel in panels:
            if x + panel.width > WIDTH:
                y, x, line = y + line, 0, 0
            number += 1
            place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            yield {"id": number, "gridPos": place} | _panel(panel)
            x, line = x + panel.width, max(line, panel.height)
        y += line


def _panel(panel: Panel) -> Json:
    at_once = panel.kind in {"stat", "bargauge", "table"}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": SOURCE,
        "targets": [_target(index, query, at_once=at_once) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel.kind),
    }


def _target(index: int, query: Query, *, at_once: bool) -> Json:
    return {
        "refId": chr(ord("A") + index),
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "instant": at_once,
        "range": not at_once,
    }


def _defaults(panel: Panel) -> Json:
    steps: list[Json] = [{"color": "green", "value": None}]
    if panel.worst is not None:
        steps.append({"color": "red", "value": panel.worst})
    found: Json = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.most is not None:
        found["max"] = panel.most
    if panel.kind == "timeseries":
        found["custom"] = {
            "fillOpacity": 40 if panel.stacked else 0,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        }
    if panel.links:
        found["links"] = [{"title": f"open {uid}", "url": _url(uid)} for uid in panel.links]
    return found


def _url(uid: str) -> str:
    return f"/d/{uid}?var-route=${{__field.labels.route}}&${{__url_time_range}}&var-source=${{source}}"


def _options(kind: str) -> Json:
    if kind == "timeseries":
        return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    if kind == "table":
        return {"showHeader": True}
    return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "orientation": "auto"}


def made() -> dict[str, str]:
    """The text of every file, by its name."""
    return {f"{board.uid}.json": json.dumps(dashboard(board), indent=2) + "\n" for board in BOARDS}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    texts = made()
    for path in FOLDER.glob("*.json"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
