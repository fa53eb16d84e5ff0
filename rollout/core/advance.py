"""The rules of a rollout: a run, what happens to it, and the time; out comes the run as it is then.

    rollback   fires in every state: paused, held, waiting, promoting, baking.  Nothing and nobody stops it
    abort      likewise, and beats a promotion that is under way
    raising    only when nothing holds it back: no person, no freeze, no window, no dependency, no budget, no silence
    judging    begins when every worker has confirmed the revision with the step's share, not before

What is known is kept apart: NO_DATA (nothing came in), INCONCLUSIVE (not enough for either answer), PASSED, FAILED.
Only PASSED raises by itself; a person may raise without evidence, and is on record for it.

A person who changes the route while it is being moved (a weight, a pin, a cap, a rollback, a freeze, an edit of the
file) knows something that we do not: the run is paused until a person resumes it.  Evidence still comes in, so that a
paused run is rolled back like any other.

The run never skips a step, and no command ever wants a share above its step's.  Events that change nothing leave the
very same run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from rollout.core.run import (
    LEAVING,
    Act,
    Advance,
    Ask,
    Asked,
    Command,
    Event,
    Facts,
    Judged,
    Look,
    Notice,
    Ordered,
    Phase,
    Refused,
    Run,
    Told,
)
from rollout.core.verdict import Breadth, Kind, Standing, Verdict, verdict_json
from router.core.model import Gate, Plan, PlanStep
from router.core.units import write_duration, write_percent

STALE: Final = 30.0
"""Seconds without a look at the counters after which nothing is known any more."""
CONFIRM: Final = 60.0
"""Seconds that workers have to confirm a share; then it is taken back, and a person is asked."""
PRICE: Final = 15
"""Failed requests that a rise may cost before a bad new side is found out; nearly the same at every share."""

_STANDINGS: Final = {Kind.PROMOTE: Standing.PASSED, Kind.ROLLBACK: Standing.FAILED}


def begin(
    route: str,
    number: int,
    plan: Plan,
    steps: Sequence[PlanStep],
    *,
    upstream: str,
    fingerprint: str,
    base: int,
    actor: str,
    reason: str,
    at: float,
    limits: tuple[int, ...] = (),
    first: int = 0,
) -> Advance:
    """A new run; it takes its `first` step as soon as it may."""
    run = Run(
        route,
        number,
        plan,
        tuple(steps),
        upstream,
        fingerprint,
        base,
        at,
        actor,
        reason,
        limits,
        step=first,
        since=at,
    )
    shown = [step_name(step) for step in run.steps[first:]]
    return Advance(run, (_notice(Told.STARTED, run, actor=actor, reason=reason, plan=plan.name, steps=shown),))


def advance(run: Run, event: Event, at: float) -> Advance:
    """The one function of a rollout."""
    if run.over:
        return Advance(run)
    match event:
        case Judged(verdicts):
            return _judged(run, verdicts, at)
        case Asked():
            return Advance(run) if objection(run, event) else _asked(run, event, at)
        case Ordered():
            return _ordered(run, event, at)
        case Refused():
            return _refused(run, event, at)
        case Look(facts):
            return _look(run, facts, at)


# ------------------------------------------------------------------------------------------------ commands


def _command(run: Run, act: Act, why: str, share: int = 0, revision: int = 0) -> Run:
    """The run with a command to be done; it takes the place of any other."""
    number = run.commands + 1
    name = f"{run.name}.{number}"
    command = Command(name, act, run.route, f"{why} [{name}]", share, revision)
    return replace(run, pending=command, commands=number, retry=0.0)


def _ordered(run: Run, event: Ordered, at: float) -> Advance:
    """A command that is not pending any more was overtaken by another one."""
    done = run.pending
    if done is None or done.id != event.command:
        return Advance(run)
    run = replace(run, pending=None, order=event.order, placed=run.step, revision=event.revision)
    match run.phase:
        case Phase.ROLLING_BACK:
            run = replace(run, phase=Phase.ROLLED_BACK, since=at)
            fields = {"order": event.order, "revision": event.revision, "verdict": str(run.verdict)}
            return Advance(run, (_notice(Told.ROLLED_BACK, run, **fields),))
        case Phase.ABORTING:
            run = replace(run, phase=Phase.ABORTED, since=at)
            return Advance(run, (_notice(Told.ABORTED, run, order=event.order, revision=event.revision),))
        case _:
            return Advance(replace(run, waits=(), since=at if run.phase is Phase.RAISING else run.since))


def _refused(run: Run, event: Refused, at: float) -> Advance:
    """A rise is decided anew later; a rollback is tried again and again."""
    if run.pending is None or run.pending.id != event.command:
        return Advance(run)
    leaving = run.phase in LEAVING or run.pending.share == 0
    waits = (f"an order was refused: {event.why}",)
    told = waits != run.waits
    run = replace(run, pending=run.pending if leaving else None, retry=at + event.again, waits=waits)
    return Advance(run, (_notice(Told.REFUSED, run, why=event.why),) if told else ())


# ----------------------------------------------------------------------------------------------- judgement


def _judged(run: Run, verdicts: Sequence[Verdict], at: float) -> Advance:
    for verdict in verdicts:
        if verdict.kind is Kind.ROLLBACK and run.phase is not Phase.ROLLING_BACK:
            return _roll_back(run, verdict, at)
    for verdict in verdicts:
        if verdict.kind is Kind.BREAKER and run.phase not in LEAVING and run.now.share and not run.paused:
            return _trip(run, verdict)
    if run.phase in LEAVING:
        return Advance(run)
    hold = next((verdict for verdict in verdicts if verdict.kind is Kind.HOLD), None)
    before, run = run, _standing(run, verdicts)
    if (hold is None) == (before.hold is None):
        return Advance(run)
    run = replace(run, hold=hold)
    if hold is None:
        return Advance(run, (_notice(Told.RELEASED, run),))
    return Advance(run, (_notice(Told.HELD, run, why=str(hold), verdict=verdict_json(hold)),))


def _standing(run: Run, verdicts: Sequence[Verdict]) -> Run:
    """What is known about the step: what passed counts only while nothing holds it.

    That its upstream is held, or everything, says nothing about the route itself.
    """
    if run.phase is not Phase.JUDGING:
        return run
    passed = any(verdict.kind is Kind.PROMOTE for verdict in verdicts)
    own = (verdict for verdict in verdicts if verdict.kind is not Kind.HOLD or verdict.scope.breadth is Breadth.ROUTE)
    known = [verdict.standing for verdict in own]
    standing = Standing.PASSED if passed else next(iter(known), run.standing)
    return run if standing is run.standing else replace(run, standing=standing)


def _roll_back(run: Run, verdict: Verdict, at: float) -> Advance:
    """In every state; what else was to be done is not done any more."""
    run = _command(run, Act.ROLLBACK, str(verdict), min(run.base, run.now.share))
    run = replace(run, phase=Phase.ROLLING_BACK, since=at, verdict=verdict, standing=Standing.FAILED, waits=())
    return Advance(run, (_notice(Told.ROLLING_BACK, run, why=str(verdict), verdict=verdict_json(verdict)),))


def _trip(run: Run, verdict: Verdict) -> Advance:
    """No statistics: nobody is sent to a side that answers nothing, and a person looks at it."""
    run = _command(run, Act.WEIGHT, str(verdict), 0)
    run = replace(run, paused=f"too many failures in a row: {verdict}", waits=())
    return Advance(run, (_notice(Told.TRIPPED, run, why=str(verdict), verdict=verdict_json(verdict)),))


# ------------------------------------------------------------------------------------------------- persons


def objection(run: Run, asked: Asked) -> str:
    """Why a person cannot have that now; empty: nothing speaks against it."""
    if run.over:
        return f"the rollout is {run.phase}"
    if run.phase in LEAVING:
        return f"the rollout is {run.phase}, and nothing stops that"
    match asked.what:
        case Ask.PAUSE:
            return f"it is paused already: {run.paused}" if run.paused else ""
        case Ask.RESUME:
            return "" if run.paused else "it is not paused"
        case Ask.PROMOTE:
            return _no_promotion(run, asked)
        case Ask.ABORT:
            return ""


def _no_promotion(run: Run, asked: Asked) -> str:
    if run.paused:
        return f"it is paused: {run.paused}; resume it first"
    if run.hold is not None:
        return f"evidence holds it back: {run.hold}"
    if run.phase is not Phase.JUDGING:
        return "the share of its step is not in force everywhere yet"
    if run.approved and (run.unproven or not asked.unproven):
        return "it has been promoted already; it waits for " + ("; ".join(run.waits) or "evidence")
    return ""


def _asked(run: Run, asked: Asked, at: float) -> Advance:
    said = {"actor": asked.actor, "reason": asked.reason}
    match asked.what:
        case Ask.PAUSE:
            pending = run.pending if run.pending is not None and run.pending.share == 0 else None
            run = replace(run, paused=f"{asked.actor}: {asked.reason}", pending=pending, waits=())
            return Advance(run, (_notice(Told.PAUSED, run, why=run.paused, **said),))
        case Ask.RESUME:
            run = replace(_again(run, at), paused="", fingerprint="")  # whoever resumes has seen the edit
            return Advance(run, (_notice(Told.RESUMED, run, **said),))
        case Ask.PROMOTE:
            run = replace(run, approved=True, unproven=asked.unproven)
            return Advance(run, (_notice(Told.APPROVED, run, unproven=asked.unproven, **said),))
        case Ask.ABORT:
            return _abort(run, asked, at)


def _abort(run: Run, asked: Asked, at: float) -> Advance:
    """Back to the share with which it began; where a person has gone below that, it stays."""
    share = min(run.base, run.now.share, asked.share)
    if share < asked.share or run.pending is not None:
        run = _command(run, Act.WEIGHT, f"aborted by {asked.actor}: {asked.reason}", share)
        return Advance(replace(run, phase=Phase.ABORTING, since=at, paused="", waits=()))
    run = replace(run, phase=Phase.ABORTED, since=at, paused="", waits=())
    return Advance(run, (_notice(Told.ABORTED, run, actor=asked.actor, reason=asked.reason),))


def _again(run: Run, at: float) -> Run:
    """The same step from its beginning: its share is wanted once more, and it is judged from now on."""
    pending = run.pending if run.pending is not None and run.pending.share == 0 else None
    run = replace(run, phase=Phase.RAISING, since=at, order="", placed=-1, pending=pending)
    return replace(run, standing=Standing.NO_DATA, waits=(), retry=0.0)


# ---------------------------------------------------------------------------------------------------- time


def _look(run: Run, facts: Facts, at: float) -> Advance:
    if run.phase in LEAVING or run.paused:
        return Advance(run)
    if not run.fingerprint:
        run = replace(run, fingerprint=facts.fingerprint)
    if why := _changed_by_a_person(run, facts):
        run = replace(run, paused=why, pending=None, waits=())
        return Advance(run, (_notice(Told.PAUSED, run, why=why),))
    if run.phase is Phase.RAISING:
        return _raising(run, facts, at)
    return _judging(run, facts, at)


def _changed_by_a_person(run: Run, facts: Facts) -> str:
    if not facts.fingerprint:
        return "the route is gone from routes.yaml"
    if facts.fingerprint != run.fingerprint:
        return "the route or its plan was edited in routes.yaml"
    if facts.frozen_itself:
        return f"the route was frozen: {facts.frozen}"
    placed = run.placed >= 0 and run.steps[run.placed].share
    if run.placed >= 0 and (facts.order != run.order or facts.share != placed):
        return f"its share was changed: {facts.because}"
    return ""


def _raising(run: Run, facts: Facts, at: float) -> Advance:
    if run.pending is not None:
        return Advance(run)
    if run.placed == run.step:
        return _confirmed(run, at) if facts.confirmed else _unconfirmed(run, at)
    if at < run.retry:
        return Advance(run)
    step = run.now
    if step.share > facts.share and (waits := _in_the_way(run, facts)):
        return _wait(run, waits)
    why = f"rollout {run.name}, plan {run.plan.name}: step {run.step + 1} of {len(run.steps)}"
    run = _command(run, Act.WEIGHT, f"{why}, {step_name(step)}", step.share, facts.revision)
    return Advance(replace(run, waits=()))


def _confirmed(run: Run, at: float) -> Advance:
    """From here on the step is judged."""
    run = replace(run, phase=Phase.JUDGING, since=at, standing=Standing.NO_DATA, hold=None)
    run = replace(run, approved=False, unproven=False, waits=())
    said = {"step": step_name(run.now), "order": run.order, "revision": run.revision}
    return Advance(run, (_notice(Told.STEP, run, **said),), run.judged_step())


def _unconfirmed(run: Run, at: float) -> Advance:
    """A share that not every worker has cannot be judged, and what is not judged is not left in force."""
    if at - run.since < CONFIRM:
        return Advance(run)
    before = run.steps[run.step - 1].share if run.step else min(run.base, run.now.share)
    why = f"not every worker has confirmed {step_name(run.now)} within {write_duration(CONFIRM)}"
    run = replace(_command(run, Act.WEIGHT, why, before), paused=why)
    return Advance(run, (_notice(Told.PAUSED, run, why=why),))


def _judging(run: Run, facts: Facts, at: float) -> Advance:
    lasted = at - run.since
    if lasted >= run.plan.max_time and run.standing is not Standing.PASSED and not run.approved:
        why = f"{run.standing} after {write_duration(round(lasted))} at {step_name(run.now)}"
        run = replace(run, paused=why, waits=())
        return Advance(run, (_notice(Told.INCONCLUSIVE, run, why=why),))
    waits = _missing(run, facts, lasted, at)
    if run.last:
        return _wait(run, waits) if waits else _done(run, at)
    waits += _in_the_way(run, facts)
    if waits:
        return _wait(run, waits)
    risen = replace(run, step=run.step + 1, phase=Phase.RAISING, since=at)
    return _raising(risen, facts, at)


def _done(run: Run, at: float) -> Advance:
    run = replace(run, phase=Phase.DONE, since=at, waits=())
    return Advance(run, (_notice(Told.DONE, run, step=step_name(run.now)),))


def _missing(run: Run, facts: Facts, lasted: float, at: float) -> tuple[str, ...]:
    """What the step itself still asks for."""
    step, found = run.now, []
    if at - facts.seen > STALE:
        found.append(f"the counters have not been read for {write_duration(round(at - facts.seen))}")
    if run.hold is not None:
        found.append(f"evidence: {run.hold}")
    if not run.unproven:
        found += _proof_missing(run, facts, lasted)
    if step.gate is Gate.MANUAL and not run.approved:
        found.append("a person to promote it")
    return tuple(found)


def _proof_missing(run: Run, facts: Facts, lasted: float) -> list[str]:
    step, found = run.now, []
    if lasted < step.min_time:
        found.append(f"time: at least {write_duration(step.min_time)} at this step")
    if facts.sample < step.min_sample:
        what = "comparisons" if step.shadow else "requests of the new side"
        found.append(f"sample: at least {step.min_sample} {what}")
    if facts.clients is not None and facts.clients < step.min_clients:
        found.append(f"clients: at least {step.min_clients}")
    held = run.hold is not None and run.hold.standing is run.standing  # has been said, with all its numbers
    if run.standing is not Standing.PASSED and not (held or (run.last and run.standing is not Standing.NO_DATA)):
        found.append(f"evidence: {run.standing}")
    if not facts.armed:
        found.append("the drill: the last one did not fire, so nothing is promoted by itself")
    return found


def _in_the_way(run: Run, facts: Facts) -> tuple[str, ...]:
    """What keeps any share from rising."""
    found = []
    if facts.frozen:
        found.append(f"a freeze: {facts.frozen}")
    if not facts.window:
        found.append("the plan's change window")
    if facts.undone:
        found.append(f"other routes: {', '.join(facts.undone)}")
    budget = run.plan.budget
    if facts.harm + PRICE > budget.failed:
        spent = f"{facts.harm:.0f} of {budget.failed} failed requests in {write_duration(budget.per)}"
        found.append(f"the budget: {spent}, and a rise may cost {PRICE}")
    return tuple(found)


def _wait(run: Run, waits: tuple[str, ...]) -> Advance:
    """Told when it begins to wait for something else, not when a figure has moved."""
    if waits == run.waits:
        return Advance(run)
    told = _kinds(waits) != _kinds(run.waits)
    run = replace(run, waits=waits)
    return Advance(run, (_notice(Told.WAITING, run, waits=list(waits)),) if told else ())


def _kinds(waits: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(wait.partition(":")[0] for wait in waits)


# --------------------------------------------------------------------------------------------------- words


def step_name(step: PlanStep) -> str:
    """`25 %`, or `shadow`."""
    return "shadow" if step.shadow else f"{write_percent(step.share)} %"


def _notice(name: str, run: Run, **fields: object) -> Notice:
    return Notice(name, {"route": run.route, "run": run.number, **fields})
