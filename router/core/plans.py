"""The plan that every routes.yaml may name without defining it, and how a name becomes a plan.

The values stand in `router.core.model`, how they are read in `router.core.parse_plans`, and what they mean for a
running rollout in `rollout.core`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.core.model import PPM, Plan, PlanStep, Route

STEPS: Final = (1, 5, 25, 50, 95, 100)
BAKE: Final = 24 * 3600.0
"""The least time at the last step below 100 %, where legacy still answers enough to be compared with."""


def _careful() -> Plan:
    steps = [PlanStep(percent * PPM // 100) for percent in STEPS]
    steps[-2] = PlanStep(steps[-2].share, min_time=BAKE)
    return Plan("careful", tuple(steps))


CAREFUL: Final = _careful()
"""1, 5, 25, 50, 95 and 100 %, and a day at 95 %."""


def plan_named(plans: Mapping[str, Plan], name: str) -> Plan | None:
    """A declared plan, or the built-in one; None for the empty name."""
    return plans.get(name) or (CAREFUL if name == CAREFUL.name else None)


def steps_for(plan: Plan, route: Route) -> tuple[PlanStep, ...]:
    """The steps that this route takes: one that declares no shadow begins with the first that moves somebody."""
    return tuple(step for step in plan.steps if not step.shadow or route.shadow is not None)
