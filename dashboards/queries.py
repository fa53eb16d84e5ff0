"""Expressions that several dashboards are made of.  `$route` and `$group` are what somebody chose in Grafana."""

from __future__ import annotations

from typing import Final

from router.telemetry import Metric

FAILED: Final = 'code_class="5xx"'
GROUP: Final = 'group=~"$group"'
ROUTE: Final = 'route="$route"'
CHOSEN: Final = 'route=~"$route"'
WORST: Final = "topk(10, {})"
NEW: Final = 'side="new"'
LEGACY: Final = 'side="legacy"'
SPAN: Final = "[$__rate_interval]"


def rate(metric: str, labels: str = "", by: str = "") -> str:
    """Events a second, added up."""
    chosen = f"{{{labels}}}" if labels else ""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{chosen}{SPAN}))"


def once(metric: str, labels: str, by: str) -> str:
    """A gauge of which every router of a fleet tells the same."""
    return f"max by ({by}) ({metric}{{{labels}}})" if labels else f"max by ({by}) ({metric})"


def quantile(part: float, labels: str, by: str = "side") -> str:
    return f"histogram_quantile({part}, {rate(f'{Metric.DURATION}_bucket', labels, f'le, {by}')})"


def failures(labels: str, by: str) -> str:
    """The part that failed, zero where nothing has."""
    whole = rate(Metric.REQUESTS, labels, by)
    failed = rate(Metric.REQUESTS, f"{labels}, {FAILED}" if labels else FAILED, by)
    return f"({failed} or 0 * {whole}) / ({whole} > 0)"
