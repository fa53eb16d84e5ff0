"""The dashboards of shadow traffic, of rollouts, and of the evidence that decides them."""

from __future__ import annotations

from typing import Final

from dashboards.panels import Board, Panel, Query, Variable
from dashboards.queries import CHOSEN, NEW, ROUTE, WORST, failures, once, quantile, rate
from router.telemetry import Metric

# -- shadow -----------------------------------------------------------------------------------------------------------

_MISMATCHED: Final = f'{CHOSEN}, verdict="mismatched"'

SHADOW: Final = Board(
    "strangler-shadow",
    "strangler: shadow",
    "What comparing the answers of both sides has found, and what was copied for it.",
    {
        "All routes that are compared": (
            Panel(
                "Compared",
                "Requests whose answers were compared, by verdict.",
                (Query(rate(Metric.SHADOW_COMPARED, CHOSEN, "verdict"), "{{verdict}}"),),
                unit="reqps",
                stacked=True,
            ),
            Panel(
                "Mismatched",
                "The ten routes with the highest part; `strangler shadow report` says in what.",
                (
                    Query(
                        WORST.format(
                            f"{rate(Metric.SHADOW_COMPARED, _MISMATCHED, 'route')}"
                            f" / {rate(Metric.SHADOW_COMPARED, CHOSEN, 'route')}"
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
                (Query(rate(Metric.SHADOW_FAILED, CHOSEN, "who"), "{{who}}"),),
                unit="reqps",
            ),
            Panel(
                "Copied, and not copied",
                "By reason; what is copied never holds up the request itself.",
                (
                    Query(rate(Metric.SHADOW_COPIED, CHOSEN), "copied"),
                    Query(f"{rate(Metric.SHADOW_DROPPED, CHOSEN, 'reason')} or vector(0)", "{{reason}}"),
                ),
                unit="reqps",
            ),
        ),
    },
    (Variable("route", Metric.SHADOW_COMPARED, "route"),),
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
                (Query(f"count by (state) (max by (route, state) ({Metric.ROLLOUT_STATE}{{{CHOSEN}}}))", "{{state}}"),),
                "bargauge",
                width=8,
                height=6,
            ),
            Panel(
                "By what is known",
                "no-data: nothing to look at; inconclusive: not enough for either answer.",
                (
                    Query(
                        f"count by (standing) (max by (route, standing) ({Metric.ROLLOUT_STATE}{{{CHOSEN}}}))",
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
                (Query(once(Metric.ROLLOUT_STEP, CHOSEN, "route"), "{{route}}"),),
                unit="percentunit",
                most=1,
                links=("strangler-evidence", "strangler-route"),
            ),
            Panel(
                "Phases",
                "Rollouts in each phase.",
                (Query(f"count by (state) (max by (route, state) ({Metric.ROLLOUT_STATE}{{{CHOSEN}}}))", "{{state}}"),),
                stacked=True,
            ),
            Panel(
                "Evidence",
                "At 1 the verdict is due, in whichever direction it goes; see the board of the evidence.",
                (Query(once(Metric.ROLLOUT_EVIDENCE, CHOSEN, "route, claim"), "{{route}} {{claim}}"),),
                links=("strangler-evidence",),
            ),
            Panel(
                "Requests on the new side",
                "Of the routes that have a rollout.",
                (
                    Query(
                        f"{rate(Metric.REQUESTS, f'{CHOSEN}, {NEW}', 'route')}"
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
_OF_SIDE: Final = f"sum by (side) (max by (side, outcome) ({_JUDGED}{{{ROUTE}}}))"

EVIDENCE: Final = Board(
    "strangler-evidence",
    "strangler: rollout evidence",
    "Why a rollout goes on, waits or goes back: what was counted and how far it is from a verdict.",
    {
        "How far from a verdict": (
            Panel(
                "Evidence against its threshold",
                "Logarithms, so that half is half the way. 0: nothing speaks for it; 1: the verdict is due.",
                (Query(once(Metric.ROLLOUT_EVIDENCE, ROUTE, "claim"), "{{claim}}"),),
                worst=1,
            ),
            Panel(
                "Step and share",
                "What the rollout wants, and what is in force.",
                (
                    Query(f"max({Metric.ROLLOUT_STEP}{{{ROUTE}}})", "step"),
                    Query(f'max({Metric.SHARE}{{{ROUTE}, layer="effective"}})', "in force"),
                ),
                unit="percentunit",
                most=1,
            ),
        ),
        "What was counted": (
            Panel(
                "Requests judged",
                "Since this share was put in force, by side and outcome.",
                (Query(f"max by (side, outcome) ({_JUDGED}{{{ROUTE}}})", "{{side}} {{outcome}}"),),
            ),
            Panel(
                "Bad ones, of those judged",
                "What the test compares: a rate of new above legacy's is what it looks for.",
                (
                    Query(
                        f'max by (side) ({_JUDGED}{{{ROUTE}, outcome="bad"}}) / ({_OF_SIDE} > 0)',
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
                (Query(failures(ROUTE, "side"), "{{side}}"),),
                unit="percentunit",
            ),
            Panel(
                "Latency",
                "p99 of both sides.",
                (Query(quantile(0.99, ROUTE), "{{side}}"),),
                unit="s",
                links=("strangler-route",),
            ),
        ),
    },
    (Variable("route", Metric.ROLLOUT_STEP, "route", several=False),),
)
