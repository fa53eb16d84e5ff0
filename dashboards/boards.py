"""What the Grafana dashboards show.  Metrics are named as `router.telemetry` has them; `$group` and such are chosen.

Nothing here asks by path: routes have names, and what no route matches is one series.  A dashboard of one route asks
for one; what shows many asks for the worst ten.
"""

from __future__ import annotations

from typing import Final

from dashboards.boards_rollout import EVIDENCE, ROLLOUTS, SHADOW
from dashboards.panels import Board, Panel, Query, Variable
from dashboards.queries import GROUP, LEGACY, NEW, ROUTE, WORST, failures, once, quantile, rate
from router.telemetry import Metric

# -- how far it is -----------------------------------------------------------------------------------------------------

_LISTED: Final = once(Metric.MIGRATION_APIS, f'{GROUP}, stage!="unlisted"', "group, stage")
_FINISHED: Final = once(Metric.MIGRATION_APIS, f'{GROUP}, stage=~"done|retired"', "group, stage")
_STUCK: Final = once(Metric.MIGRATION_STUCK, "", "why")

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
                (Query(f"{rate(Metric.REQUESTS, NEW)} / {rate(Metric.REQUESTS)}"),),
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
                (Query(once(Metric.MIGRATION_TRAFFIC, GROUP, "group"), "{{group}}"),),
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
                (Query(rate(Metric.REQUESTS, 'route="unlisted"'), "unlisted"),),
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

_NEW_OF_ROUTE: Final = rate(Metric.REQUESTS, f"{ROUTE}, {NEW}")

SIDES: Final = Board(
    "strangler-route",
    "strangler: route",
    "One route: legacy and new beside each other.",
    {
        "How it is shared": (
            Panel(
                "Requests by side",
                "What the workers have answered.",
                (Query(rate(Metric.REQUESTS, ROUTE, "side"), "{{side}}"),),
                unit="reqps",
                stacked=True,
            ),
            Panel(
                "Share: declared, in force, measured",
                "Measured wavers around what is in force; overrides, fallbacks and health keep it away from there.",
                (
                    Query(f"max by (layer) ({Metric.SHARE}{{{ROUTE}}})", "{{layer}}"),
                    Query(f"({_NEW_OF_ROUTE} or vector(0)) / {rate(Metric.REQUESTS, ROUTE)}", "measured"),
                ),
                unit="percentunit",
                most=1,
            ),
        ),
        "Both sides": (
            Panel(
                "Failed",
                "Answers 5xx, of all answers of that side. What a fallback has hidden stands in its own panel.",
                (Query(failures(ROUTE, "side"), "{{side}}"),),
                unit="percentunit",
            ),
            Panel(
                "Latency",
                "From the head of the request to the end of the answer.",
                (Query(quantile(0.5, ROUTE), "p50 {{side}}"), Query(quantile(0.99, ROUTE), "p99 {{side}}")),
                unit="s",
            ),
            Panel(
                "Status by side",
                "`none`: it ended before there was a status.",
                (Query(rate(Metric.REQUESTS, ROUTE, "side, code_class"), "{{side}} {{code_class}}"),),
                unit="reqps",
            ),
            Panel(
                "Why that side",
                "The reason that the workers give; `strangler explain` gives it for one request.",
                (Query(rate(Metric.REQUESTS, ROUTE, "side, reason"), "{{side}}: {{reason}}"),),
                unit="reqps",
            ),
            Panel(
                "Fallbacks by cause",
                "Legacy answered after the new side had failed: errors that no client saw.",
                (Query(rate(Metric.FALLBACKS, ROUTE, "cause"), "{{cause}}"),),
                unit="reqps",
            ),
            Panel(
                "Under way",
                "Exchanges that have begun and not ended.",
                (Query(f"sum by (side) ({Metric.IN_FLIGHT}{{{ROUTE}}})", "{{side}}"),),
            ),
        ),
    },
    (Variable("route", Metric.SHARE, "route", several=False),),
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
                (Query(once(Metric.ORDERS, "", "kind"), "{{kind}}"),),
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
                (Query(rate(Metric.REQUESTS, 'reason="rollback"', "side"), "{{side}}"),),
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
                (Query(WORST.format(failures(NEW, "route")), "{{route}}"),),
                unit="percentunit",
                links=("strangler-route",),
            ),
            Panel(
                "Fallbacks",
                "The ten routes on which legacy has to help out most.",
                (Query(WORST.format(rate(Metric.FALLBACKS, "", "route")), "{{route}}"),),
                unit="reqps",
                links=("strangler-route",),
            ),
            Panel(
                "Slowest on the new side",
                "The ten highest p99.",
                (Query(WORST.format(quantile(0.99, NEW, "route")), "{{route}}"),),
                unit="s",
                links=("strangler-route",),
            ),
            Panel(
                "Slowest on legacy",
                "The same for the old side, which a rollback would load.",
                (Query(WORST.format(quantile(0.99, LEGACY, "route")), "{{route}}"),),
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
                (Query(WORST.format(rate(Metric.LIMITS, "", "limit")), "{{limit}}"),),
                unit="ops",
            ),
        ),
        "Upstreams": (
            Panel(
                "Failed tries",
                "By the stage in which they did.",
                (
                    Query(
                        rate(Metric.UPSTREAM_ERRORS, 'upstream=~"$upstream"', "upstream, stage"),
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
                (Query(rate(Metric.REQUESTS, "", "side"), "{{side}}"),),
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

BOARDS: Final = (MIGRATION, SIDES, SHADOW, SRE, ROLLOUTS, EVIDENCE)
