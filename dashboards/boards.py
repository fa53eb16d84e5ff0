"""What the Grafana dashboards show.  Metrics are named as `router.telemetry` has them; `$group` and such are chosen.

Nothing here asks by path: routes have names, and what no route matches is one series.  A dashboard of one route asks
for one; what shows many asks for the worst ten.
"""

from __future__ import annotations

from typing import Final

from dashboards.panels import Board, Panel, Query, Variable
from router.telemetry import Metric

_FAILED: Final = 'code_class="5xx"'
_GROUP: Final = 'group=~"$group"'
_ROUTE: Final = 'route="$route"'
_CHOSEN: Final = 'route=~"$route"'
_WORST: Final = "topk(10, {})"
_NEW: Final = 'side="new"'
_LEGACY: Final = 'side="legacy"'
_SPAN: Final = "[$__rate_interval]"


def _rate(metric: str, labels: str = "", by: str = "") -> str:
    """Events a second, added up."""
    chosen = f"{{{labels}}}" if labels else ""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{chosen}{_SPAN}))"


def _once(metric: str, labels: str, by: str) -> str:
    """A gauge of which every router of a fleet tells the same."""
    return f"max by ({by}) ({metric}{{{labels}}})" if labels else f"max by ({by}) ({metric})"


def _quantile(part: float, labels: str, by: str = "side") -> str:
    return f"histogram_quantile({part}, {_rate(f'{Metric.DURATION}_bucket', labels, f'le, {by}')})"


def _failures(labels: str, by: str) -> str:
    """The part that failed, zero where nothing has."""
    whole = _rate(Metric.REQUESTS, labels, by)
    failed = _rate(Metric.REQUESTS, f"{labels}, {_FAILED}" if labels else _FAILED, by)
    return f"({failed} or 0 * {whole}) / ({whole} > 0)"


# -- how far it is -----------------------------------------------------------------------------------------------------

_LISTED: Final = _once(Metric.MIGRATION_APIS, f'{_GROUP}, stage!="unlisted"', "group, stage")
_FINISHED: Final = _once(Metric.MIGRATION_APIS, f'{_GROUP}, stage=~"done|retired"', "group, stage")
_STUCK: Final = _once(Metric.MIGRATION_STUCK, "", "why")

MIGRATION: Final = Board(
    "strangler-migration",
    "strangler: migration",
    "How far the migration is, by count and by traffic.",
    {
        "How far": (
            Panel(
                "APIs finished",
                "Done or retired: the new side answers everything.",
                (Query(f"sum({_FINISHED})"),),
                "stat",
                width=6,
                height=4,
            ),
            Panel("APIs in all", "Routes of routes.yaml.", (Query(f"sum({_LISTED})"),), "stat", width=6, height=4),
            Panel(
                "Traffic on the new side",
                "Of everything that came in, whatever group is chosen.",
                (Query(f"{_rate(Metric.REQUESTS, _NEW)} / {_rate(Metric.REQUESTS)}"),),
                "stat",
                "percentunit",
                width=6,
                height=4,
            ),
            Panel(
                "Waits for a person",
                "Routes that have not moved for 60 days, and orders that look forgotten: `strangler progress`.",
                (Query(f"sum({_STUCK})"),),
                "stat",
                width=6,
                height=4,
                worst=1,
            ),
        ),
        "Over time": (
            Panel(
                "APIs by stage",
                "Each route is in exactly one stage.",
                (Query(f"sum by (stage) ({_LISTED})", "{{stage}}"),),
                stacked=True,
            ),
            Panel(
                "Traffic that needs no legacy, by group",
                "Of the last hour.",
                (Query(_once(Metric.MIGRATION_TRAFFIC, _GROUP, "group"), "{{group}}"),),
                unit="percentunit",
                most=1,
            ),
            Panel(
                "Finished, by group",
                "The part of each group's routes.",
                (Query(f"sum by (group) ({_FINISHED}) / sum by (group) ({_LISTED})", "{{group}}"),),
                "bargauge",
                "percentunit",
                most=1,
            ),
            Panel(
                "Mean share",
                "What routes.yaml wants, and what is in force; a gap is an order or a cap.",
                (Query(f"avg by (layer) ({Metric.SHARE})", "{{layer}}"),),
                unit="percentunit",
                most=1,
            ),
        ),
        "What is left": (
            Panel(
                "Unlisted requests",
                "No route matches them; legacy answers.",
                (Query(_rate(Metric.REQUESTS, 'route="unlisted"'), "unlisted"),),
                unit="reqps",
            ),
            Panel(
                "What waits for a person, by kind",
                "See the runbook.",
                (Query(_STUCK, "{{why}}"),),
                "bargauge",
                worst=1,
            ),
        ),
    },
    (Variable("group", Metric.MIGRATION_APIS, "group"),),
)

# -- one route, both sides ---------------------------------------------------------------------------------------------

_NEW_OF_ROUTE: Final = _rate(Metric.REQUESTS, f"{_ROUTE}, {_NEW}")

ROUTE: Final = Board(
    "strangler-route",
    "strangler: route",
    "One route: legacy and new beside each other.",
    {
        "How it is shared": (
            Panel(
                "Requests by side",
                "What the workers have answered.",
                (Query(_rate(Metric.REQUESTS, _ROUTE, "side"), "{{side}}"),),
                unit="reqps",
                stacked=True,
            ),
            Panel(
                "Share: declared, in force, measured",
                "Measured wavers around what is in force; overrides, fallbacks and health keep it away from there.",
                (
                    Query(f"max by (layer) ({Metric.SHARE}{{{_ROUTE}}})", "{{layer}}"),
                    Query(f"({_NEW_OF_ROUTE} or vector(0)) / {_rate(Metric.REQUESTS, _ROUTE)}", "measured"),
                ),
                unit="percentunit",
                most=1,
            ),
        ),
        "Both sides": (
            Panel(
                "Failed",
                "Answers 5xx, of all answers of that side. What a fallback has hidden stands in its own panel.",
                (Query(_failures(_ROUTE, "side"), "{{side}}"),),
                unit="percentunit",
            ),
            Panel(
                "Latency",
                "From the head of the request to the end of the answer.",
                (Query(_quantile(0.5, _ROUTE), "p50 {{side}}"), Query(_quantile(0.99, _ROUTE), "p99 {{side}}")),
                unit="s",
            ),
            Panel(
                "Status by side",
                "`none`: it ended before there was a status.",
                (Query(_rate(Metric.REQUESTS, _ROUTE, "side, code_class"), "{{side}} {{code_class}}"),),
                unit="reqps",
            ),
            Panel(
                "Why that side",
                "The reason that the workers give; `strangler explain` gives it for one request.",
                (Query(_rate(Metric.REQUESTS, _ROUTE, "side, reason"), "{{side}}: {{reason}}"),),
                unit="reqps",
            ),
            Panel(
                "Fallbacks by cause",
                "Legacy answered after the new side had failed: errors that no client saw.",
                (Query(_rate(Metric.FALLBACKS, _ROUTE, "cause"), "{{cause}}"),),
                unit="reqps",
            ),
            Panel(
                "Under way",
                "Exchanges that have begun and not ended.",
                (Query(f"sum by (side) ({Metric.IN_FLIGHT}{{{_ROUTE}}})", "{{side}}"),),
            ),
        ),
    },
    (Variable("route", Metric.SHARE, "route", several=False),),
)

_MISMATCHED: Final = f'{_CHOSEN}, verdict="mismatched"'

SHADOW: Final = Board(
    "strangler-shadow",
    "strangler: shadow",
    "What comparing the answers of both sides has found, and what was copied for it.",
    {
        "All routes that are compared": (
            Panel(
                "Compared",
                "Requests whose answers were compared, by verdict.",
                (Query(_rate(Metric.SHADOW_COMPARED, _CHOSEN, "verdict"), "{{verdict}}"),),
                unit="reqps",
                stacked=True,
            ),
            Panel(
                "Mismatched",
                "The ten routes with the highest part; `strangler shadow report` says in what.",
                (
                    Query(
                        _WORST.format(
                            f"{_rate(Metric.SHADOW_COMPARED, _MISMATCHED, 'route')}"
                            f" / {_rate(Metric.SHADOW_COMPARED, _CHOSEN, 'route')}"
                        ),
                        "{{route}}",
                    ),
                ),
                unit="percentunit",
                links=("strangler-route",),
            ),
            Panel(
                "A side failed",
                "Mismatches that say nothing about parity: who was up and who was not.",
                (Query(_rate(Metric.SHADOW_FAILED, _CHOSEN, "who"), "{{who}}"),),
                unit="reqps",
            ),
            Panel(
                "Copied, and not copied",
                "By reason; what is copied never holds up the request itself.",
                (
                    Query(_rate(Metric.SHADOW_COPIED, _CHOSEN), "copied"),
                    Query(f"{_rate(Metric.SHADOW_DROPPED, _CHOSEN, 'reason')} or vector(0)", "{{reason}}"),
                ),
                unit="reqps",
            ),
        ),
    },
    (Variable("route", Metric.SHADOW_COMPARED, "route"),),
)

# -- at 3 a.m. ---------------------------------------------------------------------------------------------------------

SRE: Final = Board(
    "strangler-sre",
    "strangler: operations",
    "Is the router well, what was ordered, and which routes are worst.",
    {
        "In force": (
            Panel(
                "Orders",
                "By kind; `strangler orders` names them.",
                (Query(_once(Metric.ORDERS, "", "kind"), "{{kind}}"),),
                "bargauge",
                width=8,
                height=6,
            ),
            Panel(
                "Last rollback",
                "Seconds until every worker had confirmed it.",
                (Query(f"max({Metric.ROLLBACK})"),),
                "stat",
                "s",
                width=4,
                height=6,
                worst=1,
            ),
            Panel(
                "Trouble with routes.yaml",
                "1 while the file is refused or missing; the last good one is in force.",
                (Query(f"1 - min({Metric.CONFIG_OK})"),),
                "stat",
                width=4,
                height=6,
                worst=1,
            ),
            Panel(
                "Not recorded",
                "1 while the disk does not take what is in force.",
                (Query(f"1 - min({Metric.PERSISTED})"),),
                "stat",
                width=4,
                height=6,
                worst=1,
            ),
            Panel(
                "Age of routes.yaml",
                "Since the one in force was accepted.",
                (Query(f"time() - max({Metric.LAST_GOOD})"),),
                "stat",
                "s",
                width=4,
                height=6,
            ),
            Panel(
                "Rolled back",
                "Requests on legacy because of a rollback: the proof that it took.",
                (Query(_rate(Metric.REQUESTS, 'reason="rollback"', "side"), "{{side}}"),),
                unit="reqps",
            ),
            Panel(
                "Loads of routes.yaml",
                "By result.",
                (Query(f"sum by (result) ({Metric.RELOADS})", "{{result}}"),),
            ),
        ),
        "The worst routes": (
            Panel(
                "Failed on the new side",
                "The ten routes with the highest part of 5xx.",
                (Query(_WORST.format(_failures(_NEW, "route")), "{{route}}"),),
                unit="percentunit",
                links=("strangler-route",),
            ),
            Panel(
                "Fallbacks",
                "The ten routes on which legacy has to help out most.",
                (Query(_WORST.format(_rate(Metric.FALLBACKS, "", "route")), "{{route}}"),),
                unit="reqps",
                links=("strangler-route",),
            ),
            Panel(
                "Slowest on the new side",
                "The ten highest p99.",
                (Query(_WORST.format(_quantile(0.99, _NEW, "route")), "{{route}}"),),
                unit="s",
                links=("strangler-route",),
            ),
            Panel(
                "Slowest on legacy",
                "The same for the old side, which a rollback would load.",
                (Query(_WORST.format(_quantile(0.99, _LEGACY, "route")), "{{route}}"),),
                unit="s",
                links=("strangler-route",),
            ),
        ),
        "Workers": (
            Panel(
                "Workers that control hears from",
                "0: it carries traffic with what it had, or is gone.",
                (Query(f'{Metric.WORKER_UP}{{worker=~"$worker"}}', "worker {{worker}}"),),
                most=1,
            ),
            Panel(
                "Revision of each worker",
                "They must be one line.",
                (Query(f'{Metric.REVISION}{{worker=~"$worker"}}', "worker {{worker}}"),),
            ),
            Panel(
                "Connections of clients",
                "Open at this moment.",
                (Query(f'{Metric.CONNECTIONS}{{worker=~"$worker"}}', "worker {{worker}}"),),
                stacked=True,
            ),
            Panel(
                "Limits reached, uncommon paths taken",
                "Each a second; see docs/runbook.md.",
                (Query(_WORST.format(_rate(Metric.LIMITS, "", "limit")), "{{limit}}"),),
                unit="ops",
            ),
        ),
        "Upstreams": (
            Panel(
                "Failed tries",
                "By the stage in which they did.",
                (
                    Query(
                        _rate(Metric.UPSTREAM_ERRORS, 'upstream=~"$upstream"', "upstream, stage"),
                        "{{upstream}} {{stage}}",
                    ),
                ),
                unit="ops",
            ),
            Panel(
                "Open connections",
                "From the workers to each upstream.",
                (Query(f'sum by (upstream) ({Metric.UPSTREAM_CONNECTIONS}{{upstream=~"$upstream"}})', "{{upstream}}"),),
            ),
            Panel(
                "Endpoints that are well",
                "Of those that each upstream has, as probes and traffic find them.",
                (
                    Query(
                        f'avg by (upstream) ({Metric.ENDPOINT_UP}{{upstream=~"$upstream"}})',
                        "{{upstream}}",
                    ),
                ),
                unit="percentunit",
                most=1,
            ),
            Panel(
                "Sites: the healthy part",
                "By upstream; a site without a single well endpoint has its requests drawn elsewhere.",
                (Query(f"min by (site, upstream) ({Metric.SITE_HEALTHY})", "{{site}}: {{upstream}}"),),
                unit="percentunit",
                most=1,
            ),
            Panel(
                "Requests by side",
                "All routes together.",
                (Query(_rate(Metric.REQUESTS, "", "side"), "{{side}}"),),
                unit="reqps",
                stacked=True,
            ),
            Panel(
                "Under way",
                "All routes together.",
                (Query(f"sum by (side) ({Metric.IN_FLIGHT})", "{{side}}"),),
            ),
        ),
    },
    (
        Variable("worker", Metric.REVISION, "worker"),
        Variable("upstream", Metric.UPSTREAM_CONNECTIONS, "upstream"),
    ),
)

# -- rollouts ----------------------------------------------------------------------------------------------------------


ROLLOUTS: Final = Board(
    "strangler-rollouts",
    "strangler: rollouts",
    "What the controller of rollouts does: the newest run of each route.",
    {
        "Now": (
            Panel(
                "By phase",
                "Routes whose newest rollout is in this phase.",
                (
                    Query(
                        f"count by (state) (max by (route, state) ({Metric.ROLLOUT_STATE}{{{_CHOSEN}}}))", "{{state}}"
                    ),
                ),
                "bargauge",
                width=8,
                height=6,
            ),
            Panel(
                "By what is known",
                "no-data: nothing to look at; inconclusive: not enough for either answer.",
                (
                    Query(
                        f"count by (standing) (max by (route, standing) ({Metric.ROLLOUT_STATE}{{{_CHOSEN}}}))",
                        "{{standing}}",
                    ),
                ),
                "bargauge",
                width=8,
                height=6,
            ),
            Panel(
                "Judgement is armed",
                "0: the last drill did not find its fault, and nothing is promoted.",
                (Query(f"min({Metric.ROLLOUT_ARMED})"),),
                "stat",
                width=8,
                height=6,
            ),
        ),
        "Over time": (
            Panel(
                "Step",
                "The share of the step that each rollout has taken or takes.",
                (Query(_once(Metric.ROLLOUT_STEP, _CHOSEN, "route"), "{{route}}"),),
                unit="percentunit",
                most=1,
                links=("strangler-evidence", "strangler-route"),
            ),
            Panel(
                "Phases",
                "Rollouts in each phase.",
                (
                    Query(
                        f"count by (state) (max by (route, state) ({Metric.ROLLOUT_STATE}{{{_CHOSEN}}}))", "{{state}}"
                    ),
                ),
                stacked=True,
            ),
            Panel(
                "Evidence",
                "At 1 the verdict is due, in whichever direction it goes; see the board of the evidence.",
                (Query(_once(Metric.ROLLOUT_EVIDENCE, _CHOSEN, "route, claim"), "{{route}} {{claim}}"),),
                links=("strangler-evidence",),
            ),
            Panel(
                "Requests on the new side",
                "Of the routes that have a rollout.",
                (
                    Query(
                        f"{_rate(Metric.REQUESTS, f'{_CHOSEN}, {_NEW}', 'route')}"
                        f" and on (route) max by (route) ({Metric.ROLLOUT_STEP})",
                        "{{route}}",
                    ),
                ),
                unit="reqps",
                links=("strangler-route",),
            ),
        ),
    },
    (Variable("route", Metric.ROLLOUT_STEP, "route"),),
)

_JUDGED: Final = Metric.ROLLOUT_JUDGED
_OF_SIDE: Final = f"sum by (side) (max by (side, outcome) ({_JUDGED}{{{_ROUTE}}}))"

EVIDENCE: Final = Board(
    "strangler-evidence",
    "strangler: rollout evidence",
    "Why a rollout goes on, waits or goes back: what was counted and how far it is from a verdict.",
    {
        "How far from a verdict": (
            Panel(
                "Evidence against its threshold",
                "Logarithms, so that half is half the way. 0: nothing speaks for it; 1: the verdict is due.",
                (Query(_once(Metric.ROLLOUT_EVIDENCE, _ROUTE, "claim"), "{{claim}}"),),
                worst=1,
            ),
            Panel(
                "Step and share",
                "What the rollout wants, and what is in force.",
                (
                    Query(f"max({Metric.ROLLOUT_STEP}{{{_ROUTE}}})", "step"),
                    Query(f'max({Metric.SHARE}{{{_ROUTE}, layer="effective"}})', "in force"),
                ),
                unit="percentunit",
                most=1,
            ),
        ),
        "What was counted": (
            Panel(
                "Requests judged",
                "Since this share was put in force, by side and outcome.",
                (Query(f"max by (side, outcome) ({_JUDGED}{{{_ROUTE}}})", "{{side}} {{outcome}}"),),
            ),
            Panel(
                "Bad ones, of those judged",
                "What the test compares: a rate of new above legacy's is what it looks for.",
                (
                    Query(
                        f'max by (side) ({_JUDGED}{{{_ROUTE}, outcome="bad"}}) / ({_OF_SIDE} > 0)',
                        "{{side}}",
                    ),
                ),
                unit="percentunit",
            ),
        ),
        "The same from the traffic": (
            Panel(
                "Failed",
                "5xx of all answers of that side.",
                (Query(_failures(_ROUTE, "side"), "{{side}}"),),
                unit="percentunit",
            ),
            Panel(
                "Latency",
                "p99 of both sides.",
                (Query(_quantile(0.99, _ROUTE), "{{side}}"),),
                unit="s",
                links=("strangler-route",),
            ),
        ),
    },
    (Variable("route", Metric.ROLLOUT_STEP, "route", several=False),),
)

BOARDS: Final = (MIGRATION, ROUTE, SHADOW, SRE, ROLLOUTS, EVIDENCE)
