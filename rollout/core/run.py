"""One run of a route's rollout: where it stands, what happens to it, and what it wants done.

A *run* is one walk through the steps of a plan.  The plan, the tolerances and the route's own settings are frozen when
it begins: whoever wants others starts another run, which is judged by stricter thresholds (`rollout.core.alpha`).

What a run wants done is a `Command` with an id that is never given out twice.  It stands in the run until somebody has
said what became of it, so that whoever takes over finds it there, looks the id up in the history of orders, and does it
only if nobody has.  `rollout.core.advance` has the rules; this module has no behaviour but that of its values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from rollout.core.evidence import Step, Tolerance
from rollout.core.verdict import Standing, Verdict
from router.core.model import PPM, Plan, PlanStep

ACTOR: Final = "rollout"
"""Who gives the orders."""


class Phase(StrEnum):
    """What a run is doing."""

    RAISING = "raising"
    """The step's share is wanted: not ordered yet, or ordered and not yet confirmed by all workers."""
    JUDGING = "judging"
    """It is in force everywhere, and evidence comes in."""
    ROLLING_BACK = "rolling-back"
    """Legacy is wanted, and every worker has yet to confirm it."""
    ABORTING = "aborting"
    """A person ended it: the share with which it began is wanted again."""
    ROLLED_BACK = "rolled-back"
    ABORTED = "aborted"
    DONE = "done"


OVER: Final = frozenset({Phase.ROLLED_BACK, Phase.ABORTED, Phase.DONE})
LEAVING: Final = OVER | {Phase.ROLLING_BACK, Phase.ABORTING}
"""Nothing raises a share any more."""


class Act(StrEnum):
    """What a command does."""

    WEIGHT = "weight"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Command:
    """Something that shall be done, once."""

    id: str
    """`product#2.7`: the route, its run, and the how many-th command of that run."""
    act: Act
    route: str
    reason: str
    share: int = 0
    """In ppm: the weight, or what shall hold once a person has resumed the rollback."""
    revision: int = 0
    """It is only meant while the route's share is the one of this revision; 0: in any case."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people should hear of: the name of an event and its fields."""

    name: str
    fields: Mapping[str, object] = field(default_factory=dict)


class Told:
    """What is told, named once."""

    STARTED: Final = "rollout.started"
    STEP: Final = "rollout.step"
    """The share of a step is in force everywhere; from here on it is judged."""
    WAITING: Final = "rollout.waiting"
    """The next rise has to wait; the fields say for what."""
    HELD: Final = "rollout.held"
    RELEASED: Final = "rollout.released"
    """The grounds of a hold are gone."""
    PAUSED: Final = "rollout.paused"
    RESUMED: Final = "rollout.resumed"
    APPROVED: Final = "rollout.approved"
    INCONCLUSIVE: Final = "rollout.inconclusive"
    ROLLING_BACK: Final = "rollout.rolling_back"
    """The verdict stands, with everything it was found by; the order follows."""
    ROLLED_BACK: Final = "rollout.rolled_back"
    TRIPPED: Final = "rollout.tripped"
    """Too many failures in a row: the share is taken to 0, and a person decides."""
    ABORTED: Final = "rollout.aborted"
    DONE: Final = "rollout.done"
    REFUSED: Final = "rollout.refused"
    """An order was refused; it is tried again."""
    WITHHELD: Final = "rollout.withheld"
    """There were too many automatic rollbacks within an hour: everything is frozen, and a person is needed."""
    DRILLED: Final = "rollout.drilled"
    """The fault that was made up has been found, as it should be."""
    DISARMED: Final = "rollout.disarmed"
    """It was not: nothing is promoted by itself until a drill finds it."""
    UNAVAILABLE: Final = "rollout.unavailable"
    """The journal cannot be read: no rollouts are run, and none is rolled back, until somebody has seen to it."""
    NOT_RECORDED: Final = "rollout.not_recorded"
    """The journal does not answer: nothing is raised meanwhile."""


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that is known of one run."""

    route: str
    number: int
    """The how many-th of this route."""
    plan: Plan
    steps: tuple[PlanStep, ...]
    """Those of the plan that this route takes."""
    upstream: str
    """The new side."""
    fingerprint: str
    """Of the route as it was declared when the run began, or was resumed; empty: it is taken with the next look."""
    base: int
    """The share in force when it began, in ppm."""
    started: float
    actor: str
    reason: str
    limits: tuple[int, ...] = ()
    """What counts as slow, frozen: indexes of the bounds of the duration buckets; empty: nothing is known of legacy."""
    step: int = 0
    phase: Phase = Phase.RAISING
    since: float = 0.0
    """When the phase began; of a step that is judged: when its share was confirmed."""
    order: str = ""
    """The order that put the share of a step in force; empty: none yet."""
    placed: int = -1
    """That step; -1: none."""
    revision: int = 0
    """The revision that came of it."""
    commands: int = 0
    """How many there were."""
    pending: Command | None = None
    retry: float = 0.0
    """A refused order is not tried again before."""
    paused: str = ""
    """Why it raises nothing, in words; empty: it is not paused."""
    approved: bool = False
    """A person has said that the step may end."""
    unproven: bool = False
    """And that it may end without evidence."""
    standing: Standing = Standing.NO_DATA
    """What is known by evidence about the present step."""
    hold: Verdict | None = None
    """What holds it back, as long as it does."""
    verdict: Verdict | None = None
    """What rolled it back."""
    waits: tuple[str, ...] = ()
    """What the next rise waits for, in words."""

    @property
    def over(self) -> bool:
        return self.phase in OVER

    @property
    def now(self) -> PlanStep:
        """The step it takes or has taken."""
        return self.steps[self.step]

    @property
    def last(self) -> bool:
        return self.step == len(self.steps) - 1

    @property
    def name(self) -> str:
        """`product#2`."""
        return f"{self.route}#{self.number}"

    @property
    def tolerance(self) -> Tolerance:
        plan = self.plan
        return Tolerance(ratio=plan.ratio, floor=plan.floor / PPM, mismatch=plan.mismatch / PPM)

    def judged_step(self) -> Step:
        """The step as the judgement takes it in."""
        raises = self.step >= len(self.steps) - 2
        return Step(self.route, self.revision, self.now.share, self.upstream, self.number, raises, self.tolerance)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is in force on the run's route, and what may keep it from rising, at one moment."""

    share: int
    """In force, in ppm."""
    order: str
    """The order that decides it; empty: what is declared."""
    because: str
    """The same for people: `R-12 by kim: too many errors`."""
    revision: int
    """With which this route's share last changed."""
    confirmed: bool
    """Every live worker has that revision."""
    fingerprint: str
    """Of the route as it is declared now; empty: there is no such route."""
    frozen: str = ""
    """The freeze that covers it, for people."""
    frozen_itself: bool = False
    """The freeze names this very route."""
    window: bool = True
    """The plan's windows are open."""
    undone: tuple[str, ...] = ()
    """Routes that must be wholly new before, and are not."""
    harm: float = 0.0
    """Failed requests of the new side beyond legacy's rate, within the budget's time: all runs to this upstream."""
    seen: float = 0.0
    """When the counters were read last, Unix time."""
    clients: int | None = None
    """Distinct clients of the new side at this step; None: at a step that moves nobody there are none."""
    sample: int = 0
    """Requests of the new side at this step; comparisons at the shadow step."""
    armed: bool = True
    """The last drill of the judgement has fired as it should."""


# ------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Look:
    """Time has passed; this is how things are."""

    facts: Facts


@dataclass(frozen=True, slots=True)
class Judged:
    """Verdicts that reach this run, of one batch."""

    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Ordered:
    """A command was done: this order, with this revision, is in force or was already."""

    command: str
    order: str
    revision: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A command was not done; nothing of it is in force."""

    command: str
    why: str
    again: float
    """Seconds after which it may be tried again."""


class Ask(StrEnum):
    """What a person may ask of a run."""

    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Asked:
    """A person asks; `objection` has been heard before."""

    what: Ask
    actor: str
    reason: str
    unproven: bool = False
    """Of a promotion: it is wanted without evidence."""
    share: int = PPM
    """In force on the route, in ppm: whatever is asked for, an abort raises nothing."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run that shall begin."""

    route: str
    plan: Plan
    steps: tuple[PlanStep, ...]
    upstream: str
    fingerprint: str
    share: int
    """In force now, in ppm."""
    actor: str
    reason: str
    first: int = 0


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a person cannot have that."""

    why: str


Event = Look | Judged | Ordered | Refused | Asked


@dataclass(frozen=True, slots=True)
class Advance:
    """The run after an event, and what follows from it."""

    run: Run
    notices: tuple[Notice, ...] = ()
    confirmed: Step | None = None
    """A step whose revision all workers have: the judgement begins."""
