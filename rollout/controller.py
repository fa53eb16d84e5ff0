"""The loop of rollouts: reads counters, has them judged, lets runs advance, records it, and gives the orders.

    read       what the workers counted since the last time becomes evidence (`rollout.core.counted`)
    judge      evidence becomes verdicts (`rollout.core.judge`)
    advance    what is in force, verdicts and answers move each run (`rollout.core.advance`)
    record     evidence, runs and what happened, in one transaction
    act        what runs want done is done; people are told

It has no rules of its own.  A rise is ordered only when the record has it; a rollback does not wait for the record.
Kill it between any two lines: the next one finds what was recorded, looks up which of the wanted orders were given,
gives the others, and reads the counters from where the last row of evidence ended.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rollout.acting import Acting
from rollout.core.advance import advance, begin, objection
from rollout.core.counted import Counted, Track, limits_of, track
from rollout.core.evidence import Batch, Evidence, Step
from rollout.core.failures import NOTHING, Failed, Failure, Heard, hear, pending
from rollout.core.judge import State, current, judge
from rollout.core.keeping import decode, encode, state_from, state_json
from rollout.core.records import BadRecord, batch_from, batch_json, clients_from, firsts_from, firsts_json
from rollout.core.run import (
    Advance,
    Asked,
    Event,
    Facts,
    Judged,
    Look,
    Notice,
    Objection,
    Run,
    Told,
    Wanted,
)
from rollout.core.settings import Settings
from rollout.core.verdict import Breadth, Kind, Verdict
from rollout.ports import Journal, JournalError, Line, Platform, Source
from rollout.record import Record
from router.core.census import Watched, distinct
from router.core.clients import Firsts
from router.ports import Clock

PERIOD: Final = 0.2
"""Seconds between two readings: at a thousand requests a second each one costs one more failed request at 1 %."""
RESTING: Final = 1.0
"""The same while there is no run."""
PATIENCE: Final = 0.5
"""Seconds that a rollback waits for the record."""
CLOSING: Final = 2.0
"""Seconds that the journal has at the end."""
IDLE: Final = 30.0
"""Seconds after which the judgement hears that time has passed, when nothing else has happened."""
KEPT_EVERY: Final = 300.0
"""Seconds between two records of the judgement's state; what came since is judged anew from the log."""
REST: Final = 2.0
"""Of what a turn has taken, the loop rests at least so many times: thousands of runs must not take all of control."""
SLICE: Final = 50
"""Runs looked at in one turn of the event loop."""
INLINE: Final = 20
"""Rows of evidence that are judged without a thread."""
PAGE: Final = 1000
BATCH: Final = "batch"
"""The kind of the log's lines that hold evidence."""


@dataclass
class _Turn:
    """What one turn of the loop brings."""

    at: float
    rows: list[Evidence] = field(default_factory=list)
    clients: list[int] = field(default_factory=list)
    """Those whose errors are in the rows."""
    notices: list[Notice] = field(default_factory=list)
    harm: dict[tuple[str, float], float] = field(default_factory=dict)
    """What rollouts have cost, by upstream and the time that a budget speaks of."""


class Controller:
    """All rollouts of one router."""

    def __init__(
        self,
        *,
        platform: Platform,
        source: Source,
        journal: Journal,
        clock: Clock,
        tell: Callable[..., None],
        settings: Settings | None = None,
    ) -> None:
        """`tell` emits an event: its name and its fields."""
        self._platform = platform
        self._source = source
        self._journal = journal
        self._clock = clock
        self._tell = tell
        self.settings = settings or Settings()
        self.runs: dict[str, Run] = {}
        """The newest run of each route."""
        self.armed = True
        """The last drill has fired as it should."""
        self.judged = State()
        self._tracks: dict[str, Track] = {}
        self._firsts = Firsts()
        """Of all workers."""
        self._heard: dict[str, Heard] = {}
        """By route, failures that are in no row yet."""
        self._record = Record(journal, self._run_text)
        self._turns = asyncio.Lock()
        self._wake = asyncio.Event()
        self._acting = Acting(platform, self._record, tell, self._wake.set)
        self._steps: list[Step] = []
        self._ended: list[str] = []
        """What the judgement has yet to hear."""
        self._fresh = True
        """No run has heard a verdict yet."""
        self._seen = 0.0
        self._told = 0.0
        self._kept = 0.0
        self._keeping: asyncio.Task[None] | None = None
        self._trouble = ""
        self._watched: Mapping[str, Watched] | None = None
        """None: it was not said yet."""
        self._texts: dict[str, tuple[Run, str]] = {}
        """Runs as they were written last."""

    # -- life ---------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Takes up what the journal knows.  Raises JournalError when that cannot be read."""
        kept = await self._journal.load()
        try:
            for route, text in kept.runs.items():
                found = json.loads(text)
                self.runs[route] = decode(Run, found["run"])
                if found["track"] is not None:
                    self._tracks[route] = decode(Track, found["track"])
            self._acting.take_up(self.runs, kept.keep.get("brake"))
            await self._take_up(json.loads(kept.keep.get("judged", "{}")))
        except (BadRecord, ValueError, KeyError, TypeError) as error:
            raise JournalError(f"the journal of rollouts cannot be understood: {error}") from error

    async def _take_up(self, kept: Mapping[str, Any]) -> None:
        """The judgement as it was kept, and what came after; whose errors have counted with it."""
        number = kept.get("number", 0)
        if "state" in kept:
            self.judged = state_from(kept["state"])
        if "firsts" in kept:
            self._firsts = firsts_from(kept["firsts"])
        while lines := await self._journal.lines(kind=BATCH, after=number, limit=PAGE):
            for line in lines:
                document = json.loads(line.body)
                self.judged, _ = judge(self.judged, batch_from(document), self.settings)
                for client in clients_from(document):
                    self._firsts.admits(client, line.at, failed=True)
                await asyncio.sleep(0)
            number = lines[-1].number
        self._kept = self._clock.now()

    async def run(self) -> None:
        """Until it is cancelled.  Orders that are under way then are finished."""
        try:
            while True:
                began = self._clock.elapsed()
                await self.turn()
                took = self._clock.elapsed() - began
                try:
                    await asyncio.wait_for(self._wake.wait(), max(self._period(), took * REST))
                except TimeoutError:
                    pass
                self._wake.clear()
        finally:
            await self.finish()

    def _period(self) -> float:
        return PERIOD if any(not run.over for run in self.runs.values()) else RESTING

    async def finish(self) -> None:
        """Waits for the orders that are under way, and records what came of them."""
        await self._acting.finish()
        if self._keeping is not None:
            await asyncio.wait([self._keeping])
        await self._record.close(CLOSING)

    # -- what people ask ----------------------------------------------------------------------------

    async def begin(self, *wanted: Wanted) -> list[Run | Objection]:
        """New runs, all of them with one reading and one record."""
        async with self._turns:
            turn = _Turn(self._clock.now())
            counted = await self._source.counted([each.route for each in wanted])
            objections = {each.route: self._start(each, counted, turn) for each in wanted}
            await self._write(turn)
        await self.turn()
        self._wake.set()  # it may have been resting
        return [objections[each.route] or self.runs[each.route] for each in wanted]

    def _start(self, wanted: Wanted, counted: Mapping[str, Counted], turn: _Turn) -> Objection | None:
        before = self.runs.get(wanted.route)
        if before is not None and not before.over:
            return Objection(f"a rollout of it is under way: it is {before.phase}; abort it first")
        began = begin(
            wanted.route,
            before.number + 1 if before else 1,
            wanted.plan,
            wanted.steps,
            upstream=wanted.upstream,
            fingerprint=wanted.fingerprint,
            base=wanted.share,
            actor=wanted.actor,
            reason=wanted.reason,
            at=turn.at,
            limits=limits_of(counted.get(wanted.route, Counted()).legacy.durations),
            first=wanted.first,
        )
        self._tracks.pop(wanted.route, None)
        self._heard.pop(wanted.route, None)
        self._follow(wanted.route, began, turn)
        return None

    async def ask(self, asked: Asked, *routes: str) -> list[Run | Objection]:
        """Pause, resume, promote, abort."""
        async with self._turns:
            turn = _Turn(self._clock.now())
            objections = {route: self._asked(asked, route, turn) for route in routes}
            await self._write(turn)
        await self.turn()
        return [objections[route] or self.runs[route] for route in routes]

    def _asked(self, asked: Asked, route: str, turn: _Turn) -> Objection | None:
        run = self.runs.get(route)
        if run is None:
            return Objection("no rollout of it was ever started")
        facts = self._platform.facts(run)
        asked = replace(asked, share=facts.share if facts else run.now.share)
        if why := objection(run, asked):
            return Objection(why)
        self._follow(route, advance(run, asked, turn.at), turn)
        return None

    # -- a turn of the loop -------------------------------------------------------------------------

    async def turn(self) -> None:
        """One reading, and all that follows from it."""
        async with self._turns:
            turn = _Turn(self._clock.now())
            for route, event in self._acting.answers():
                self._advance(route, event, turn)
            await self._look(turn)
            await self._judge(turn)
            await self._write(turn)
            self._acting.act(self.runs, turn.at)

    def _advance(self, route: str, event: Event, turn: _Turn) -> None:
        self._follow(route, advance(self.runs[route], event, turn.at), turn)

    def _follow(self, route: str, after: Advance, turn: _Turn) -> None:
        before = self.runs.get(route)
        if after.run is not before:
            self.runs[route] = after.run
            self._record.changed(route)
        if after.run.over and before is not None and not before.over:
            self._ended.append(route)
        if after.confirmed is not None:
            self._steps.append(after.confirmed)
            if (known := self._tracks.get(route)) is not None:
                self._tracks[route] = replace(known, sample=0, seen=0)
        turn.notices += after.notices

    async def _look(self, turn: _Turn) -> None:
        """What is in force, and what was counted since."""
        active = [run for run in self.runs.values() if not run.over]
        counted = await self._source.counted([run.route for run in active]) if active else {}
        failed = await self._source.failed() if active else Failed()
        failures = _by_route(failed.found)
        for number, run in enumerate(active):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            facts = self._platform.facts(run)
            if facts is None:
                continue
            if (reading := counted.get(run.route)) is not None:
                self._seen = turn.at
                self._hear(run, facts, failures.get(run.route, ()), failed.dropped, turn)
                self._count(run, facts, reading, turn)
            known = self._tracks.get(run.route)
            facts = replace(
                facts,
                harm=self._harm(run, turn),
                seen=self._seen or turn.at,
                sample=known.sample if known else 0,
                clients=distinct(known.seen) if known and facts.share else None,
                armed=self.armed,
            )
            self._advance(run.route, Look(facts), turn)
        self._watch()

    def _watch(self) -> None:
        """Clients are counted under the share that evidence is gathered for."""
        counting = ((run, self._tracks.get(route)) for route, run in self.runs.items() if not run.over)
        watched = {
            run.route: Watched(known.revision, known.share, run.limits)
            for run, known in counting
            if known is not None and known.sound and known.share
        }
        if watched != self._watched:
            self._watched = watched
            self._source.watch(watched)

    def _hear(self, run: Run, facts: Facts, found: Sequence[Failure], dropped: int, turn: _Turn) -> None:
        """Failures are evidence where the counters are."""
        known = self._tracks.get(run.route)
        if not (found or dropped) or known is None:
            return
        if known.goes_on(facts.share, facts.revision):
            before = self._heard.get(run.route, NOTHING)
            heard = hear(before, found, known.epoch(run.route), run.upstream, self._firsts, turn.at)
            self._heard[run.route] = replace(heard, dropped=heard.dropped + dropped)

    def _count(self, run: Run, facts: Facts, reading: Counted, turn: _Turn) -> None:
        known = self._tracks.get(run.route)
        after, row = track(
            known,
            reading,
            route=run.route,
            share=facts.share,
            # a step that leaves the share as it was, as the shadow step does, has a newer revision than the share
            revision=max(facts.revision, run.revision),
            settled=facts.confirmed,
            at=turn.at,
            hurry=run.pending is not None,
            span=run.plan.budget.per,
            heard=self._heard.get(run.route, NOTHING),
        )
        if after is not known:
            self._tracks[run.route] = after
            self._record.changed(run.route)
            heard = self._heard.pop(run.route, NOTHING)
            turn.clients += heard.clients if row is not None else ()
        if row is not None:
            turn.rows.append(row)

    def _harm(self, run: Run, turn: _Turn) -> float:
        """What all runs to the same upstream have cost within the budget's time."""
        name = (run.upstream, run.plan.budget.per)
        if name not in turn.harm:
            routes = (other.route for other in self.runs.values() if other.upstream == run.upstream)
            tracks = (self._tracks[route] for route in routes if route in self._tracks)
            turn.harm[name] = sum(known.harm_since(turn.at - name[1]) for known in tracks)
        return turn.harm[name]

    # -- judging ------------------------------------------------------------------------------------

    async def _judge(self, turn: _Turn) -> None:
        if not (turn.rows or self._steps or self._ended or (turn.at - self._told >= IDLE and self.judged.watches)):
            return
        self._told = turn.at
        batch = Batch(turn.at, tuple(self._steps), tuple(turn.rows), tuple(self._ended))
        self._steps, self._ended = [], []
        if len(turn.rows) <= INLINE:
            text, (self.judged, verdicts) = self._judged(batch, turn.clients)
        else:  # in a thread, so that a rollback by a person need not wait for it
            text, (self.judged, verdicts) = await asyncio.to_thread(self._judged, batch, turn.clients)
        self._record.add(Line(turn.at, BATCH, "", text))
        tripped = {verdict.scope.name: verdict for verdict in verdicts if verdict.kind is Kind.BREAKER}
        for number, route in enumerate(self._concerned(verdicts)):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            run = self.runs.get(route)
            if run is not None and not run.over and (verdict := current(self.judged, route, self.settings)) is not None:
                heard = (verdict, tripped[route]) if route in tripped else (verdict,)
                self._advance(route, Judged(heard), turn)

    def _judged(self, batch: Batch, clients: Sequence[int]) -> tuple[str, tuple[State, tuple[Verdict, ...]]]:
        return json.dumps(batch_json(batch, clients)), judge(self.judged, batch, self.settings)

    def _concerned(self, verdicts: Iterable[Verdict]) -> list[str]:
        """The routes about which something has changed: all of them after a start, and when it was said of more."""
        wide = any(verdict.scope.breadth is not Breadth.ROUTE for verdict in verdicts)
        everything, self._fresh = wide or self._fresh, False
        return list(self.runs) if everything else [verdict.scope.name for verdict in verdicts]

    # -- recording ----------------------------------------------------------------------------------

    async def _write(self, turn: _Turn) -> None:
        """One transaction; what cannot be recorded now is recorded with a later one."""
        for notice in turn.notices:
            route = str(notice.fields.get("route", ""))
            self._record.add(Line(turn.at, notice.name, route, json.dumps(dict(notice.fields))))
        await self._record.write(PATIENCE)
        if self._record.trouble not in {"", self._trouble}:
            self._tell(Told.NOT_RECORDED, why=self._record.trouble)
        self._trouble = self._record.trouble
        if self._record.complete and self._keeping is None and turn.at - self._kept >= KEPT_EVERY:
            self._kept = turn.at
            self._keeping = asyncio.create_task(self._keep(self._memory(), self._record.number), name="rollout.keep")
        for notice in turn.notices:
            self._tell(notice.name, **notice.fields)

    def _memory(self) -> tuple[State, dict[str, Any]]:
        """The judgement, and whose errors are in it."""
        return self.judged, firsts_json(self._firsts, pending(self._heard.values()))

    async def _keep(self, memory: tuple[State, dict[str, Any]], number: int) -> None:
        """The judgement up to a line of the log; in a thread, since it may be large."""
        state, firsts = memory
        kept = {"number": number, "firsts": firsts}
        text = await asyncio.to_thread(lambda: json.dumps(kept | {"state": state_json(state)}))
        self._record.keep("judged", text)
        self._keeping = None

    def _run_text(self, route: str) -> str:
        """Most of the time only the counting has gone on."""
        run, known = self.runs[route], self._tracks.get(route)
        before = self._texts.get(route)
        text = before[1] if before is not None and before[0] is run else json.dumps(encode(run))
        self._texts[route] = (run, text)
        return f'{{"run": {text}, "track": {json.dumps(None if known is None else encode(known))}}}'


def _by_route(failures: Iterable[Failure]) -> Mapping[str, Sequence[Failure]]:
    found: dict[str, list[Failure]] = {}
    for failure in failures:
        found.setdefault(failure.route, []).append(failure)
    return found
