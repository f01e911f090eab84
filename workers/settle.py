"""Settling: once the horizon of an answer has passed, what came true is looked up, and the loss written down.

A truth counts from the newest bar that the answer knew (`data_through`): an answer is one prediction whoever asked
within the bar, so the `as_of` of the first asker may not matter.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ml.bars import DAY_MS, HOUR_MS, Timeframe
from ml.capability import AnyCapability, Question, Truth
from ml.timeline import Market
from registry.counts import Counted
from registry.entry import Entry
from registry.judging import Judged, judge, question_of
from registry.outcomes import GROUP, START, Outcome, Outcomes, Place, Waiting
from registry.record import RecordBook

log = logging.getLogger(__name__)

#: Waiting predictions of a series that are looked at in one go: many at once, since a truth may need a whole history.
LOOK = 20_000
#: A truth that is not known when the data have gone on for so long past the horizon never will be: there is a gap.
GAP_MS = 7 * DAY_MS
#: Nor, most likely, when the clock has, and no data have come.
SILENCE_MS = 14 * DAY_MS
#: How often predictions about times long past are looked for; those of late are found on every run.
EVERYTHING_EVERY_MS = DAY_MS
#: Predictions may reach the disk a little after they were given.
LATE_MS = HOUR_MS


@dataclass(frozen=True, slots=True)
class Settled:
    """What one run did: outcomes written with a truth and without, and what still waits."""

    known: int = 0
    never: int = 0
    waiting: int = 0

    def __add__(self, other: Settled) -> Settled:
        return Settled(self.known + other.known, self.never + other.never, self.waiting + other.waiting)


@dataclass(slots=True, eq=False)
class Settle:
    """The job. `series` lists what was ever asked, (symbol, timeframe); `clock` is in ms. Its state may be lost at any
    time: what is settled stands on disk, and a new one starts from the beginning."""

    outcomes: Outcomes
    record: RecordBook
    capabilities: Mapping[str, AnyCapability]
    market: Market
    series: Callable[[], Iterable[tuple[str, str]]]
    clock: Callable[[], int]
    _behind: dict[tuple[str, str], int] = field(default_factory=dict)
    _everything_at: int | None = None
    _running: threading.Lock = field(default_factory=threading.Lock)

    async def run(self) -> None:
        """One run, in a thread."""
        done = await asyncio.to_thread(self.settle, self.clock())
        if done.known or done.never:
            log.info("settled %d answers; %d can never be; %d wait", done.known, done.never, done.waiting)

    def settle(self, now: int, *, everything: bool = False) -> Settled:
        """Settles what is due at `now` (ms). The first run, then one a day, or on `everything`, looks at all
        predictions; the others at those since the oldest that still waited. Raises a StateFault where the state
        cannot be read or written; what was written stays."""
        with self._running:
            if not self.record.complete and not self._restored():
                self._recount()
            since = self._everything_at
            everything = everything or since is None or now - since >= EVERYTHING_EVERY_MS
            if everything:
                self._behind.clear()
            done = sum((self._series(one, now) for one in sorted(self.series())), Settled())
            if everything:
                self._everything_at = now
            self.record.publish()
            return done

    def restore(self) -> None:
        """Puts the record back as it was kept, where it was: for a start. What was not is counted by the first run."""
        with self._running:
            self._restored()

    def settle_series(self, series: tuple[str, str], now: int) -> Settled:
        """Settles all of one series (symbol, timeframe) that is due at `now` (ms), however long past. As `settle`."""
        with self._running:
            if not self.record.complete and not self._restored():
                self._recount()
            self._behind.pop(series, None)
            done = self._series(series, now)
            self.record.publish()
            return done

    def _restored(self) -> bool:
        counted = self.outcomes.counted()
        if counted is None:
            return False
        self.record.restore(counted)
        self.record.publish()
        return True

    def _recount(self) -> None:
        """Counts all that has settled: a ledger that has no sums of this code, of whichever version it was written."""
        self.record.forget()
        for symbol, timeframe in sorted(self.series()):
            after: Place | None = START
            while after is not None:
                group = self.outcomes.settled(symbol, timeframe, after)
                self._count(group)
                last = group[-1][0] if len(group) == GROUP else None
                after = Place(last.as_of, last.prediction_id) if last else None
        self.outcomes.recounted(self.record.take_changes())
        self.record.complete = True
        self.record.publish()

    def _series(self, series: tuple[str, str], now: int) -> Settled:
        after = Place(self._behind[series]) if series in self._behind else START
        done, oldest = Settled(), now - LATE_MS
        while True:
            found = self.outcomes.waiting(*series, after, now, LOOK)
            for capability, members in _by_capability(found, self.capabilities):
                told, still = self._due(capability, members, now)
                done += told
                oldest = min(oldest, still)
            if len(found) < LOOK:
                self._behind[series] = oldest
                return done
            after = found[-1].place

    def _due(self, capability: AnyCapability, members: Sequence[Waiting], now: int) -> tuple[Settled, int]:
        """Settles what is due; says how it went, and the oldest `as_of` that still waits (`now` where none does)."""
        done, oldest = Settled(), now
        due: list[tuple[Waiting, Question]] = []
        lost: list[Outcome] = []
        for one in members:
            question = question_of(capability, one.question)
            if question is None:
                lost.append(Outcome(one.prediction_id, None, None, "never known: its question can no longer be read"))
            elif one.as_of + capability.horizon_ms(question) <= now:
                due.append((one, question))
            else:
                done += Settled(waiting=1)
                oldest = min(oldest, one.as_of)
        known: list[tuple[Waiting, Truth]] = []
        for (one, question), truth in zip(due, self._truths(capability, due), strict=True):
            if truth is not None:
                known.append((one, truth))
            elif note := self._never(one, one.as_of + capability.horizon_ms(question), question, now):
                lost.append(Outcome(one.prediction_id, None, None, note))
            else:
                done += Settled(waiting=1)
                oldest = min(oldest, one.as_of)
        return done + self._written(known, lost, now), oldest

    def _truths(self, capability: AnyCapability, due: Sequence[tuple[Waiting, Question]]) -> Sequence[Truth | None]:
        if not due:
            return ()
        begun = np.array([one.data_through for one, _ in due], dtype=np.int64)
        truths: Sequence[Truth | None] = capability.truth([question for _, question in due], begun, self.market)
        return truths

    def _never(self, one: Waiting, due_at: int, question: Question, now: int) -> str | None:
        """Why the truth will never be known, or None while it may be: it can come some bars after the horizon."""
        timeline = self.market.timeline(question.symbol, Timeframe(question.timeframe))
        bars = timeline.latest() if timeline is not None else None
        newest = int(bars.close_at[-1]) if bars is not None and len(bars) else None
        if newest is not None and newest >= due_at + GAP_MS:
            return f"never known: bars are missing between {_day(one.data_through)} and {_day(due_at)}, or useless"
        if now >= due_at + SILENCE_MS:
            return f"never known: the bars end {'at ' + _day(newest) if newest is not None else 'before they began'}"
        return None

    def _written(self, known: Sequence[tuple[Waiting, Truth]], lost: Sequence[Outcome], now: int) -> Settled:
        n_known = n_lost = 0
        for start in range(0, len(known), GROUP):
            truths = {one.prediction_id: truth for one, truth in known[start : start + GROUP]}
            entries = self.outcomes.entries(list(truths))
            group = [(entries[name], truth) for name, truth in truths.items()]
            n_known += len(self._counted(self._judged(group), now))
        for start in range(0, len(lost), GROUP):
            n_lost += len(self.outcomes.write(lost[start : start + GROUP], now))
        return Settled(n_known, n_lost)

    def _counted(self, judged: Sequence[Judged], now: int) -> frozenset[str]:
        """Writes outcomes and sums in one go. Where that fails, memory may be ahead of the disk, and is read again."""

        def count(new: frozenset[str]) -> Counted:
            self.record.add([one for one in judged if one.prediction_id in new])
            return self.record.take_changes()

        try:
            return self.outcomes.write([_outcome(one) for one in judged], now, count)
        except BaseException:  # whatever kept it from the disk: what is counted in memory would be ahead of it
            self.record.forget()
            raise

    def _count(self, settled: Sequence[tuple[Entry, Truth]]) -> None:
        self.record.add(self._judged([one for one in settled if one[0].capability in self.capabilities]))

    def _judged(self, settled: Sequence[tuple[Entry, Truth]]) -> list[Judged]:
        by_capability: dict[str, list[tuple[Entry, Truth]]] = defaultdict(list)
        for one in settled:
            by_capability[one[0].capability].append(one)
        return [found for name, group in by_capability.items() for found in judge(self.capabilities[name], group)]


def _by_capability(
    found: Sequence[Waiting], capabilities: Mapping[str, AnyCapability]
) -> list[tuple[AnyCapability, list[Waiting]]]:
    """Those of capabilities that are still there; what others have said waits, untouched."""
    groups: dict[str, list[Waiting]] = defaultdict(list)
    for one in found:
        if one.capability in capabilities:
            groups[one.capability].append(one)
    return [(capabilities[name], group) for name, group in groups.items()]


def _outcome(one: Judged) -> Outcome:
    note = (
        None
        if one.loss is not None
        else "its loss is not to be had: the answer can no longer be read, or lost infinitely"
    )
    return Outcome(one.prediction_id, one.truth, one.loss, note)


def _day(instant: int) -> str:
    return f"{np.datetime64(instant, 'ms').astype('datetime64[m]')}Z"
