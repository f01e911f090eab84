"""The past: every capability asked along the history that a server was given, so that its record does not start empty.

The questions go down the same road as a caller's, with time as it was then: bars and revisions received by then, and
the version in force then. They are written down as replayed, never as live. Each series is walked once, in chunks, with
pauses as long as the work, so that answers are not kept waiting; a kill loses a chunk at most, and asking it again
gives the predictions that stand.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from market.series_info import SeriesInfo
from ml.bars import DAY_MS, HOUR_MS, Timeframe
from ml.capability import AnyCapability, Question
from ml.learning import Progress
from registry.entry import Entry
from registry.judging import REPLAY
from registry.ledger import Ledger
from registry.outcomes import ABSTAIN
from registry.past import Past, Stretch
from workers.questions import grid
from workers.schedule import CutOff
from workers.settle import Settle

log = logging.getLogger(__name__)

#: Questions of one chunk: some tens of milliseconds of work.
CHUNK = 96
#: A pause is as long as the chunk before it, and no shorter than this.
LEAST_PAUSE_SECONDS = 0.02


class Road(Protocol):
    """The road with time as it was then. Advice never waits on anything there, so it may run in a thread."""

    def many(
        self, capability: AnyCapability, questions: Sequence[Question], asked_by: str
    ) -> Coroutine[Any, Any, object]: ...


class GivenAlone:
    """The ledger for answers that nobody is waiting for: what is an answer is on disk when `record` returns, and what
    is none is not kept, for it says nothing that could come true."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def record(self, entries: Sequence[Entry], *, urgent: bool = False) -> Future[None]:  # noqa: ARG002 - the port's words
        written = self._ledger.record([one for one in entries if one.source != ABSTAIN], urgent=True)
        written.result()
        return written

    def asked(self, symbol: str, timeframe: str, as_of: int) -> None:
        self._ledger.asked(symbol, timeframe, as_of)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is asked: the last `days` of each series (0: nothing), every `every_hours`, about `most_answers` of each
    capability, series by series in their order; a run ends after about `most_seconds`, and the next one goes on."""

    days: int = 365
    every_hours: int = 25
    most_answers: int = 20_000
    most_seconds: float = 600.0


@dataclass(frozen=True, slots=True, eq=False)
class AskPast:
    """The job. `series` lists what there is; `clock` is in ms, `monotonic` in seconds. `stop` ends a run soon."""

    road: Road
    past: Past
    settle: Settle
    series: Callable[[], Sequence[SeriesInfo]]
    catalogue: Sequence[AnyCapability]
    clock: Callable[[], int]
    monotonic: Callable[[], float]
    plan: Plan = Plan()
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    _stopped: threading.Event = field(default_factory=threading.Event, repr=False)

    async def run(self, tell: Progress) -> None:
        """One run: goes on where the last one stood. Raises CutOff when it was stopped, and what the ledger and the
        state raise; the next run goes on."""
        walks = await asyncio.to_thread(self._walks)
        if not walks:
            return
        try:
            if await self._walked(walks, tell):
                log.info("asked along the past of %d series", len({walk.series for walk in walks}))
            elif self._stopped.is_set():
                raise CutOff("the server is stopping")
        finally:
            tell(1.0, "over")

    def stop(self) -> None:
        """Ends the run that is under way after its chunk, and every later one at once."""
        self._stopped.set()

    async def _walked(self, walks: Sequence[_Walk], tell: Progress) -> bool:
        """Whether all was asked; each series is settled when its last walk is over."""
        every, asked, until = sum(len(walk.instants) for walk in walks), 0, self.monotonic() + self.plan.most_seconds
        for walk, following in zip(walks, (*walks[1:], None), strict=True):
            for instants in walk.chunks():
                if self._stopped.is_set() or self.monotonic() >= until:
                    return False
                tell(asked / every, f"{walk.capability.name} of {walk.stretch.symbol}")
                begun = self.monotonic()
                await asyncio.to_thread(self._ask, walk, instants)
                await self.pause(max(self.monotonic() - begun, LEAST_PAUSE_SECONDS))
                asked += len(instants)
            if following is None or following.series != walk.series:
                await asyncio.to_thread(self.settle.settle_series, walk.series, self.clock())
        return True

    def _ask(self, walk: _Walk, instants: Sequence[int]) -> None:
        """On disk when it returns, the answers first."""
        found = grid(walk.capability, [walk.stretch.symbol], walk.timeframe, instants)
        questions = [one.question for one in found if one.question is not None]
        asyncio.run(self.road.many(walk.capability, questions, REPLAY))
        self.past.reached(walk.stretch, instants[-1])

    def _walks(self) -> list[_Walk]:
        """What is left to ask, series by series; what is new is written down."""
        known, spent = self.past.stretches(), Counter[str]()
        found: list[_Walk] = []
        for info in self.series() if self.plan.days else ():
            for capability in self.catalogue:
                walk = self._walk(capability, info, known)
                if walk is None or spent[capability.name] >= self.plan.most_answers:
                    continue
                spent[capability.name] += walk.n_answers
                if walk.stretch.key not in known:
                    self.past.begin(walk.stretch)
                if walk.instants:
                    found.append(walk)
        return found

    def _walk(
        self, capability: AnyCapability, info: SeriesInfo, known: Mapping[tuple[str, str, str], Stretch]
    ) -> _Walk | None:
        patterns = capability.replayed(info.symbol, info.timeframe) if info.timeframe in capability.timeframes else ()
        if not patterns:
            return None
        longest_ms = max(capability.horizon_ms(one) for one in patterns)
        every_ms = _every_ms(info, self.plan)
        stretch = _stretch(capability, info, self.plan, every_ms, longest_ms)
        stretch = known.get(stretch.key, stretch)
        return _Walk(capability, info.timeframe, stretch, every_ms, len(patterns))


@dataclass(frozen=True, slots=True, eq=False)
class _Walk:
    """A stretch, and what is left of it; `patterns` questions at each instant."""

    capability: AnyCapability
    timeframe: Timeframe
    stretch: Stretch
    every_ms: int
    patterns: int

    @property
    def n_answers(self) -> int:
        """Of the whole stretch, at most."""
        return self.patterns * ((self.stretch.ends - self.stretch.begins) // self.every_ms + 1)

    @property
    def series(self) -> tuple[str, str]:
        return self.stretch.symbol, self.stretch.timeframe

    @property
    def instants(self) -> range:
        return range(self.stretch.through + self.every_ms, self.stretch.ends + 1, self.every_ms)

    def chunks(self) -> Iterator[range]:
        at_once = max(CHUNK // self.patterns, 1)
        for start in range(0, len(self.instants), at_once):
            yield self.instants[start : start + at_once]


def _every_ms(info: SeriesInfo, plan: Plan) -> int:
    """Whole bars, one at least. Of hourly bars 25 rather than 24: every hour of the day has its turn."""
    bar_ms = info.timeframe.milliseconds
    return max(plan.every_hours * HOUR_MS // bar_ms, 1) * bar_ms


def _stretch(capability: AnyCapability, info: SeriesInfo, plan: Plan, every_ms: int, longest_ms: int) -> Stretch:
    """The last closes of the series whose truth has closed: who asks about one of them today is no live caller. `ends`
    is the last of them, `through` one step before the first; a series that is too short is done at once."""
    bar_ms = info.timeframe.milliseconds
    first = max(info.first_open + bar_ms, info.last_close - plan.days * DAY_MS // bar_ms * bar_ms)
    last = info.last_close - longest_ms - bar_ms
    steps = max((last - first) // every_ms, -1)
    ends = first + steps * every_ms
    return Stretch(capability.name, info.symbol, info.timeframe, first, ends, first - every_ms)
