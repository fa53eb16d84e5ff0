"""The rules of a rollout: scenarios one by one, and properties over whatever may happen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.core.advance import STALE, advance, begin, objection
from rollout.core.keeping import decode, encode
from rollout.core.run import (
    Act,
    Advance,
    Ask,
    Asked,
    Event,
    Facts,
    Judged,
    Look,
    Ordered,
    Phase,
    Refused,
    Run,
    Told,
)
from rollout.core.verdict import Breadth, Kind, Metric, Scope, Standing, Verdict
from router.core.model import PPM, Budget, Gate, Plan, PlanStep

PERCENT = PPM // 100
STEPS = tuple(PlanStep(share * PERCENT, min_time=60.0, min_clients=0, min_sample=10) for share in (1, 25, 100))
PLAN = Plan("quick", STEPS, max_time=3600.0)


def verdict(kind: Kind, standing: Standing = Standing.INCONCLUSIVE, breadth: Breadth = Breadth.ROUTE) -> Verdict:
    return Verdict(kind, standing, Scope(breadth, "p"), Metric.ERRORS, 0.0)


PROMOTE = verdict(Kind.PROMOTE, Standing.PASSED)
NONE = verdict(Kind.NONE)
HOLD = verdict(Kind.HOLD)
ROLLBACK = verdict(Kind.ROLLBACK, Standing.FAILED)
BREAKER = verdict(Kind.BREAKER)


@dataclass
class Story:
    """A run and the world around it: what is in force follows the run's orders unless a test says otherwise."""

    plan: Plan = PLAN
    run: Run = field(init=False)
    at: float = 1000.0
    share: int = 0
    order: str = ""
    revision: int = 1
    told: list[str] = field(default_factory=list)
    given: list[tuple[Act, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        began = begin(
            "p", 1, self.plan, self.plan.steps, upstream="new", fingerprint="f", base=0, actor="kim", reason="go",
            at=self.at,
        )  # fmt: skip
        self.run = began.run
        self._tell(began)

    def _tell(self, after: Advance) -> None:
        self.told += [notice.name for notice in after.notices]

    def hear(self, event: Event) -> Advance:
        after = advance(self.run, event, self.at)
        self.run = after.run
        self._tell(after)
        return after

    def facts(self, **changed: object) -> Facts:
        usual = Facts(
            self.share,
            self.order,
            self.order,
            self.revision,
            confirmed=True,
            fingerprint="f",
            seen=self.at,
            sample=1000,
        )
        return replace(usual, **changed)  # type: ignore[arg-type]

    def look(self, seconds: float = 1.0, **changed: object) -> Advance:
        self.at += seconds
        return self.hear(Look(self.facts(**changed)))

    def act(self) -> None:
        """What the run wants done is done."""
        command = self.run.pending
        assert command is not None
        self.given.append((command.act, command.share))
        self.revision += 1
        self.share = 0 if command.act is Act.ROLLBACK else command.share
        self.order = f"O-{self.revision}"
        self.hear(Ordered(command.id, self.order, self.revision))

    def ask(self, what: Ask, *, unproven: bool = False) -> str:
        asked = Asked(what, "kim", "because", unproven, self.share)
        why = objection(self.run, asked)
        self.hear(asked)
        return why

    def judging(self, step: int = 0) -> Story:
        """At this step, judged."""
        while self.run.phase is not Phase.JUDGING or self.run.step < step:
            if self.run.pending is not None:
                self.act()
            elif self.run.phase is Phase.JUDGING:
                self.hear(Judged((PROMOTE,)))
                self.look(61.0)
            else:
                self.look()
        return self


# ------------------------------------------------------------------------------------------------ the good way


def test_a_run_takes_every_step_and_is_done() -> None:
    """1, 25, 100: each ordered once, each confirmed before it is judged."""
    story = Story().judging(2)
    story.look(61.0)
    assert Phase.JUDGING is story.run.phase
    story.hear(Judged((NONE,)))
    story.look(1.0)
    assert Phase.DONE is story.run.phase
    assert [(Act.WEIGHT, 1 * PERCENT), (Act.WEIGHT, 25 * PERCENT), (Act.WEIGHT, PPM)] == story.given
    assert [Told.STEP] * 3 == [name for name in story.told if name == Told.STEP]
    assert (Told.STARTED, Told.DONE) == (story.told[0], story.told[-1])


def test_a_step_is_judged_only_after_all_workers_have_its_revision() -> None:
    """Until then nothing counts; then the judgement hears of the step."""
    story = Story()
    story.look()
    story.act()
    assert None is story.look(confirmed=False).confirmed
    assert Phase.RAISING is story.run.phase
    step = story.look().confirmed
    assert step is not None
    assert ("p", story.revision, 1 * PERCENT, "new", 1) == (
        step.route,
        step.revision,
        step.share,
        step.upstream,
        step.run,
    )
    assert Phase.JUDGING is story.run.phase


@pytest.mark.parametrize(("step", "before"), [(0, 0), (1, 1 * PERCENT)])
def test_a_share_that_is_not_confirmed_is_taken_back(step: int, before: int) -> None:
    """What cannot be judged does not stay in force; a person is asked."""
    story = Story()
    if step:
        story.judging()
        story.hear(Judged((PROMOTE,)))
        story.look(61.0)
    else:
        story.look()
    story.act()
    story.look(59.0, confirmed=False)
    assert (Phase.RAISING, None) == (story.run.phase, story.run.pending)
    story.look(2.0, confirmed=False)
    command = story.run.pending
    assert command is not None
    assert ("not every worker has confirmed" in story.run.paused, before) == (True, command.share)
    story.act()
    story.ask(Ask.RESUME)
    story.look()
    assert STEPS[step].share == (story.run.pending and story.run.pending.share)


def test_an_event_that_changes_nothing_leaves_the_very_same_run() -> None:
    """So nothing is recorded for it."""
    story = Story().judging()
    story.look()
    before = story.run
    story.look()
    assert before is story.run


# ------------------------------------------------------------------------------------------- what it waits for


@pytest.mark.parametrize(
    ("changed", "waits"),
    [
        ({"window": False}, "the plan's change window"),
        ({"frozen": "F-1 (freeze all)"}, "a freeze: F-1 (freeze all)"),
        ({"undone": ("cart",)}, "other routes: cart"),
        ({"harm": 190.0}, "the budget: 190 of 200 failed requests in 1h, and a rise may cost 15"),
        ({"sample": 3}, "sample: at least 10 requests of the new side"),
        ({"armed": False}, "the drill: the last one did not fire, so nothing is promoted by itself"),
        ({"seen": 0.0}, "the counters have not been read for 1164s"),
    ],
)
def test_it_waits_and_says_for_what(changed: dict[str, object], waits: str) -> None:
    """Evidence alone raises nothing; what is missing stands in the run, and once it is there the step is taken."""
    story = Story().judging()
    story.hear(Judged((PROMOTE,)))
    story.at = 1103.0
    story.look(61.0, **changed)
    assert (waits,) == story.run.waits
    assert (0, None) == (story.run.step, story.run.pending)
    story.look()
    assert (1, 25 * PERCENT) == (story.run.step, story.run.pending and story.run.pending.share)


def test_it_waits_for_clients_where_they_are_counted() -> None:
    """Nobody counts them: nobody can ask for them."""
    plan = replace(PLAN, steps=tuple(replace(step, min_clients=20) for step in STEPS))
    story = Story(plan).judging()
    story.hear(Judged((PROMOTE,)))
    story.look(61.0, clients=3)
    assert ("clients: at least 20",) == story.run.waits
    story.look(clients=None)
    assert 1 == story.run.step


def test_silence_never_promotes() -> None:
    """However long; at its longest it waits for a person, and says that nothing was known."""
    story = Story().judging()
    for _ in range(50):
        story.look(60.0)
    assert 0 == story.run.step
    assert ("evidence: no-data",) == story.run.waits
    story.look(3600.0)
    assert story.run.paused.startswith("no-data after")
    assert Told.INCONCLUSIVE == story.told[-1]


def test_what_is_not_enough_is_told_from_what_is_nothing() -> None:
    """NO_DATA, INCONCLUSIVE, PASSED and FAILED are four things."""
    story = Story().judging()
    assert Standing.NO_DATA is story.run.standing
    story.hear(Judged((NONE,)))
    assert Standing.INCONCLUSIVE is story.run.standing
    story.look(61.0)
    assert ("evidence: inconclusive",) == story.run.waits
    story.hear(Judged((PROMOTE,)))
    assert Standing.PASSED is story.run.standing
    story.hear(Judged((ROLLBACK,)))
    assert Standing.FAILED is story.run.standing


def test_a_manual_gate_waits_for_a_person() -> None:
    """And evidence is asked for all the same."""
    plan = replace(PLAN, steps=(replace(STEPS[0], gate=Gate.MANUAL), *STEPS[1:]))
    story = Story(plan).judging()
    story.hear(Judged((PROMOTE,)))
    story.look(61.0)
    assert ("a person to promote it",) == story.run.waits
    assert "" == story.ask(Ask.PROMOTE)
    story.hear(Judged((NONE,)))
    assert Told.APPROVED == story.told[-1]
    story.look()
    assert ("evidence: inconclusive",) == story.run.waits
    assert "promoted already" in story.ask(Ask.PROMOTE)
    story.hear(Judged((PROMOTE,)))
    story.look()
    assert 1 == story.run.step


def test_a_person_may_promote_without_evidence_but_not_against_it() -> None:
    """Who skips the proof is on record; who would go on against a hold is refused."""
    story = Story().judging()
    story.hear(Judged((HOLD,)))
    assert "evidence holds it back" in story.ask(Ask.PROMOTE, unproven=True)
    story.hear(Judged((NONE,)))
    assert "" == story.ask(Ask.PROMOTE, unproven=True)
    story.look()
    assert 1 == story.run.step


def test_a_hold_keeps_it_and_its_end_lets_it_go() -> None:
    """Told once each."""
    story = Story().judging()
    story.hear(Judged((PROMOTE,)))
    story.hear(Judged((HOLD,)))
    story.hear(Judged((HOLD,)))
    story.look(61.0)
    assert (0, None) == (story.run.step, story.run.pending)
    story.hear(Judged((PROMOTE,)))
    story.look()
    assert 1 == story.run.step
    assert [1, 1] == [story.told.count(Told.HELD), story.told.count(Told.RELEASED)]


def test_a_held_step_says_what_is_known_and_says_it_once() -> None:
    """What is proven against the route is no want of data; what holds its upstream says nothing about the route."""
    story = Story().judging()
    story.hear(Judged((verdict(Kind.HOLD, Standing.FAILED),)))
    story.look(61.0)
    assert Standing.FAILED is story.run.standing
    assert 1 == sum(wait.startswith("evidence: ") for wait in story.run.waits)
    wide = Story().judging()
    wide.hear(Judged((verdict(Kind.HOLD, Standing.FAILED, Breadth.UPSTREAM),)))
    wide.look(61.0)
    assert Standing.NO_DATA is wide.run.standing
    assert "evidence: no-data" in wide.run.waits


# ------------------------------------------------------------------------------------------------------ back


def _raising() -> Story:
    story = Story().judging()
    story.hear(Judged((PROMOTE,)))
    story.look(61.0)
    assert story.run.pending is not None
    return story


def _paused() -> Story:
    story = Story().judging()
    story.ask(Ask.PAUSE)
    return story


def _waiting() -> Story:
    story = Story().judging()
    story.look(61.0, window=False)
    return story


def _held() -> Story:
    story = Story().judging()
    story.hear(Judged((HOLD,)))
    return story


def _baking() -> Story:
    return Story().judging(1)


def _aborting() -> Story:
    story = Story().judging()
    story.ask(Ask.ABORT)
    return story


@pytest.mark.parametrize("state", [_raising, _paused, _waiting, _held, _baking, _aborting])
def test_a_rollback_fires_in_every_state(state: object) -> None:
    """Promoting, paused, waiting, held, baking, aborting."""
    story: Story = state()  # type: ignore[operator]
    story.hear(Judged((ROLLBACK,)))
    assert Phase.ROLLING_BACK is story.run.phase
    assert Act.ROLLBACK is (story.run.pending and story.run.pending.act)
    story.act()
    assert (Phase.ROLLED_BACK, 0) == (story.run.phase, story.share)
    assert ROLLBACK == story.run.verdict
    story.hear(Judged((PROMOTE,)))
    story.look(10_000.0)
    assert Phase.ROLLED_BACK is story.run.phase


def test_a_rollback_that_was_refused_is_tried_again() -> None:
    """It stays wanted until it is done."""
    story = Story().judging()
    story.hear(Judged((ROLLBACK,)))
    command = story.run.pending
    assert command is not None
    story.hear(Refused(command.id, "the store does not answer", 5.0))
    assert (command, story.at + 5.0) == (story.run.pending, story.run.retry)
    story.act()
    assert Phase.ROLLED_BACK is story.run.phase


def test_a_rise_that_was_refused_is_decided_anew() -> None:
    """Not before its time, and by another command."""
    story = _raising()
    first = story.run.pending
    assert first is not None
    story.hear(Refused(first.id, "outside of the change windows", 30.0))
    story.look(1.0)
    assert None is story.run.pending
    assert ("an order was refused: outside of the change windows",) == story.run.waits
    story.look(30.0)
    second = story.run.pending
    assert second is not None
    assert (first.share, True) == (second.share, first.id != second.id)


def test_an_abort_beats_a_promotion_under_way() -> None:
    """The answer to what it overtook is not heard any more."""
    story = _raising()
    overtaken = story.run.pending
    assert overtaken is not None
    assert "" == story.ask(Ask.ABORT)
    story.hear(Ordered(overtaken.id, "W-9", 9))
    assert Phase.ABORTING is story.run.phase
    story.act()
    assert (Phase.ABORTED, 0) == (story.run.phase, story.share)


def test_an_abort_raises_nothing() -> None:
    """A person has taken the share below that with which it began: there it stays."""
    story = Story()
    story.run = replace(story.run, base=50 * PERCENT)
    story.judging()
    story.share = 0
    story.look(order="R-5", share=0)
    assert story.run.paused
    story.ask(Ask.ABORT)
    assert (Phase.ABORTED, None) == (story.run.phase, story.run.pending)


def test_too_many_failures_in_a_row_take_the_share_to_nothing_and_call_a_person() -> None:
    """No verdict is claimed; resumed, the step begins anew."""
    story = Story().judging(1)
    story.hear(Judged((BREAKER,)))
    assert (Act.WEIGHT, 0) == (
        story.run.pending and story.run.pending.act,
        story.run.pending and story.run.pending.share,
    )
    story.act()
    story.look()
    assert story.run.paused.startswith("too many failures in a row")
    assert Phase.JUDGING is story.run.phase
    story.ask(Ask.RESUME)
    story.look()
    assert 25 * PERCENT == (story.run.pending and story.run.pending.share)


# ---------------------------------------------------------------------------------------------------- persons


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"order": "W-9", "share": 30 * PERCENT, "because": "30 %, W-9 by kim"}, "30 %, W-9 by kim"),
        ({"order": "R-9", "share": 0, "because": "0 %, R-9"}, "0 %, R-9"),
        ({"share": 5 * PERCENT, "because": "5 %, the cap of its group"}, "the cap of its group"),
        ({"fingerprint": "other"}, "the route or its plan was edited"),
        ({"fingerprint": ""}, "the route is gone"),
        ({"frozen": "F-1 (freeze route=p)", "frozen_itself": True}, "the route was frozen: F-1"),
    ],
)
def test_a_person_who_changes_the_route_pauses_it(changed: dict[str, object], why: str) -> None:
    """Weight, rollback, cap, edit, removal, freeze; it goes on when a person says so, from the step's beginning."""
    story = Story().judging(1)
    story.look(**changed)
    assert why in story.run.paused
    assert Told.PAUSED == story.told[-1]
    story.look(500.0)
    assert None is story.run.pending
    assert "" == story.ask(Ask.RESUME)
    story.look()
    assert (1, 25 * PERCENT) == (story.run.step, story.run.pending and story.run.pending.share)


def test_a_change_while_a_rise_is_wanted_takes_the_wish_back() -> None:
    """What a person did is not overruled by what was decided before."""
    story = _raising()
    story.look(order="W-9", share=30 * PERCENT, because="W-9")
    assert None is story.run.pending
    assert story.run.paused


def test_persons_are_told_why_not() -> None:
    """Twice the same, or the wrong time."""
    story = Story()
    assert "it is not paused" == story.ask(Ask.RESUME)
    assert "not in force everywhere" in story.ask(Ask.PROMOTE)
    assert "" == story.ask(Ask.PAUSE)
    assert "paused already" in story.ask(Ask.PAUSE)
    assert "resume it first" in story.ask(Ask.PROMOTE)
    story.hear(Judged((ROLLBACK,)))
    assert "nothing stops that" in story.ask(Ask.PAUSE)
    story.act()
    assert "the rollout is rolled-back" == story.ask(Ask.ABORT)


def test_a_run_survives_being_written_down() -> None:
    """Whatever it is doing."""
    for state in (_raising, _paused, _waiting, _held, _aborting):
        run = state().run
        assert run == decode(Run, encode(run))


def test_a_plan_with_a_small_budget_begins_nothing() -> None:
    """The first step is a rise like the others."""
    story = Story(replace(PLAN, budget=Budget(10)))
    story.look()
    assert None is story.run.pending
    assert "the budget" in story.run.waits[0]


# ------------------------------------------------------------------------------------------------- properties

verdicts = st.sampled_from([PROMOTE, NONE, HOLD, ROLLBACK, BREAKER])
facts = st.fixed_dictionaries(
    {},
    optional={
        "confirmed": st.booleans(),
        "window": st.booleans(),
        "frozen": st.sampled_from(["", "F-1"]),
        "undone": st.sampled_from([(), ("cart",)]),
        "harm": st.sampled_from([0.0, 500.0]),
        "sample": st.sampled_from([0, 1000]),
        "armed": st.booleans(),
        "clients": st.sampled_from([None, 0, 100]),
    },
)
happenings = st.one_of(
    st.tuples(st.just("look"), st.floats(0.1, 400.0), facts),
    st.tuples(st.just("judged"), verdicts),
    st.tuples(st.just("act")),
    st.tuples(st.just("refuse"), st.floats(0.0, 60.0)),
    st.tuples(st.just("ask"), st.sampled_from(Ask), st.booleans()),
    st.tuples(st.just("person"), st.integers(0, PPM)),
    st.tuples(st.just("good time")),
    st.tuples(st.just("good time"), st.just(PROMOTE)),
    st.tuples(st.just("stale"), st.sampled_from(["p#1.1", "p#1.2", "other"])),
)


class Checked(Story):
    """A story in which every command is checked when it is made."""

    highest = -1
    """The highest step whose share was ordered."""

    def hear(self, event: Event) -> Advance:
        before = self.run
        after = super().hear(event)
        command = self.run.pending
        if command is not None and command is not before.pending:
            self._check(before, event)
        if before.over:
            assert before is self.run
        if isinstance(event, Judged) and any(one.kind is Kind.ROLLBACK for one in event.verdicts):
            assert before.over or Phase.ROLLING_BACK is self.run.phase
        return after

    def _check(self, before: Run, event: Event) -> None:
        command = self.run.pending
        assert command is not None
        assert command.share <= self.run.now.share, "a share above its step's"
        if command.act is Act.WEIGHT and isinstance(event, Look):
            assert self.run.step <= self.highest + 1, "a step was skipped"
            self.highest = max(self.highest, self.run.step)
        if command.act is Act.WEIGHT and command.share > self.share:
            assert isinstance(event, Look)
            assert not self.run.paused
            assert before.hold is None or before.phase is Phase.RAISING
            assert event.facts.window and not event.facts.frozen and not event.facts.undone
            if self.run.step > before.step:
                proven = before.standing is Standing.PASSED or before.unproven
                assert proven, "promoted on silence"
                assert before.hold is None


@given(st.lists(happenings, max_size=60))
@settings(max_examples=300, deadline=None)
def test_whatever_happens_the_rules_hold(events: list[tuple[object, ...]]) -> None:
    """Never up while paused, held or closed; no step skipped; no share above its step's; back from everywhere."""
    story = Checked()
    for what, *more in events:
        match what:
            case "look":
                story.look(more[0], **more[1])  # type: ignore[arg-type]
            case "judged":
                story.hear(Judged((more[0],)))  # type: ignore[arg-type]
            case "act" if story.run.pending is not None:
                story.act()
            case "refuse" if story.run.pending is not None:
                story.hear(Refused(story.run.pending.id, "no", more[0]))  # type: ignore[arg-type]
            case "good time":
                if more:
                    story.hear(Judged((PROMOTE,)))
                for _ in range(2):
                    story.look(61.0)
                    if story.run.pending is not None:
                        story.act()
            case "ask":
                story.ask(more[0], unproven=bool(more[1]))  # type: ignore[arg-type]
            case "person":
                story.share, story.order = int(more[0]), "W-person"  # type: ignore[call-overload]
                story.revision += 1
            case "stale" if story.run.pending is None or story.run.pending.id != more[0]:
                before = story.run
                story.hear(Ordered(str(more[0]), "W-old", 1))
                assert before is story.run
    assert story.run == decode(Run, encode(story.run))


def test_the_counters_may_be_silent_for_a_while() -> None:
    """Half a minute; then nothing is known any more."""
    story = Story().judging()
    story.hear(Judged((PROMOTE,)))
    story.look(61.0, seen=story.at + 61.0 - STALE)
    assert 1 == story.run.step
