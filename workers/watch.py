"""Watches the market as it comes in: asks every capability about each bar that closed, and tells what changed.

So evidence does not depend on what agents happen to ask, and answers are fresh before anybody asks: first the plain
question of every capability on every series, then, while nothing new waits, other horizons. `bar.closed` is told when
the answers know the bar, in one transaction with what changed: where the server is killed before that, the next one
asks again, and tells.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from market.receipt import Receipt
from market.series_info import SeriesInfo
from ml.bars import Instant, Timeframe
from ml.capability import AnyCapability, Question
from registry.events import Events, Fact
from workers.news import BAR_CLOSED, Answered, Closed, closed, label_changed, label_of, seen_in, strange

log = logging.getLogger(__name__)

#: `asked_by` of these questions.
WATCH = "watch"
#: A bar that closed longer ago, counted in bars, is not asked about.
RECENT_BARS = 2
#: Series asked about before what changed in them is told.
TOGETHER = 8
#: What could not be asked about or told is tried again after this.
AGAIN_SECONDS = 10.0
#: Events read at the start, to know what had been told.
REMEMBERED = 20_000

Key = tuple[str, Timeframe]


class Road(Protocol):
    """`tools.ask.Ask`, handed over by the composition root."""

    async def many(
        self, capability: AnyCapability, questions: Sequence[Question], asked_by: str
    ) -> Sequence[Answered]: ...


@dataclass(slots=True, eq=False)
class Watch:
    """Runs beside the schedule. `heard` may be called from any thread; the rest belongs to one event loop. `clock` is
    in ms, `series` says what is fed; `published` is called when there is news in the outbox."""

    ask: Road
    capabilities: Sequence[AnyCapability]
    events: Events
    clock: Callable[[], Instant]
    series: Callable[[], Sequence[SeriesInfo]]
    published: Callable[[], None] = lambda: None
    _waiting: dict[Key, Closed] = field(default_factory=dict)
    _adding: threading.Lock = field(default_factory=threading.Lock)
    _told: dict[Key, Closed] = field(default_factory=dict)
    _more: dict[Key, Closed] = field(default_factory=dict)
    _labels: dict[tuple[str, str, Timeframe], str] = field(default_factory=dict)
    _failed: int = 0
    _loop: asyncio.AbstractEventLoop | None = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def heard(self, receipt: Receipt) -> None:
        """Bars have come in. Only what closed just now is asked about, and of each series the newest: an archive had
        its time."""
        for one in receipt.series:
            if one.kept:
                self._wait_for(one.symbol, one.timeframe, one.through)
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended: nobody watches any more
                self._loop.call_soon_threadsafe(self._woken.set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watches while entered, at first what closed while nobody did."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self.remember)
        self._woken.set()
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._loop = None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def remember(self) -> None:
        """What had been told before this start, from the outbox; newer bars than these wait to be asked about."""
        for event in self.events.newest_of(BAR_CLOSED, REMEMBERED):
            one = seen_in(event)
            self._told.setdefault((one.symbol, one.timeframe), one)
        for info in self.series():
            self._wait_for(info.symbol, info.timeframe, info.last_close)

    async def once(self) -> int:
        """Asks about all that waits, and publishes what changed; how many series that were. A series that could not be
        asked about waits on. Raises what the outbox does."""
        self._failed = 0
        with self._adding:
            waiting, self._waiting = list(self._waiting.values()), {}
        for start in range(0, len(waiting), TOGETHER):
            part = waiting[start : start + TOGETHER]
            try:
                facts = {one: await self._facts(one) for one in part}
                done = [one for one, told in facts.items() if told is not None]
                every = [fact for told in facts.values() if told is not None for fact in told]
                await asyncio.to_thread(self.events.publish_all, every, self.clock())
            except BaseException:
                self._wait_again(waiting[start:])
                raise
            self._wait_again([one for one, told in facts.items() if told is None])
            for one in done:
                self._told[one.symbol, one.timeframe] = self._more[one.symbol, one.timeframe] = one
            self.published()
        return len(waiting)

    async def more(self) -> None:
        """Asks what else a replay would ask, other horizons, about what was told of, until another bar waits."""
        while self._more and not self._waiting:
            _, one = self._more.popitem()
            for capability in self.capabilities:
                others = capability.replayed(one.symbol, one.timeframe)
                if len(others) > 1 and one.timeframe in capability.timeframes:
                    await self.ask.many(capability, others, WATCH)
                    await asyncio.sleep(0)

    async def _watch(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self.once()
                await self.more()
            except Exception:  # the disk is full, say: what closed waits
                log.exception("what closed could not be told")
            if self._waiting and self._loop is not None:
                self._loop.call_later(AGAIN_SECONDS, self._woken.set)

    def _wait_for(self, symbol: str, timeframe: Timeframe, close_at: Instant) -> None:
        key, now = (symbol, timeframe), self.clock()
        with self._adding:
            newest = max((one.close_at for one in (self._waiting.get(key), self._told.get(key)) if one), default=0)
            if newest < close_at and now - close_at < RECENT_BARS * timeframe.milliseconds:
                self._waiting[key] = Closed(symbol, timeframe, close_at, now)

    def _wait_again(self, failed: Sequence[Closed]) -> None:
        with self._adding:
            self._waiting = {**{(one.symbol, one.timeframe): one for one in failed}, **self._waiting}

    async def _facts(self, one: Closed) -> list[Fact] | None:
        """What there is to tell of a bar, that it closed last; None where it could not be asked about."""
        facts: list[Fact] = []
        try:
            for capability in self.capabilities:
                if one.timeframe in capability.timeframes:
                    facts += await self._answers(capability, one)
                    await asyncio.sleep(0)  # callers come first
        except Exception as error:  # whatever fails in one series, the others are asked about
            self._failed += 1
            log.warning(  # at length once a round: what fails in one may fail in 5,000
                "a bar of %s %s could not be asked about (%s)",
                one.symbol,
                one.timeframe,
                type(error).__name__,
                exc_info=self._failed == 1,
            )
            return None
        return [*facts, closed(one)]

    async def _answers(self, capability: AnyCapability, one: Closed) -> list[Fact]:
        """What the answer to its plain question tells: the one that most ask."""
        question = capability.question(symbol=one.symbol, timeframe=one.timeframe)
        (reply,) = await self.ask.many(capability, [question], WATCH)
        return [*strange(one, reply), *await self._changed(capability, one, question, reply)]

    async def _changed(
        self, capability: AnyCapability, one: Closed, question: Question, reply: Answered
    ) -> Sequence[Fact]:
        label, key = label_of(reply), (capability.name, one.symbol, one.timeframe)
        if label is None:
            return ()
        before = self._labels.get(key) or await self._label_then(capability, one, question)
        self._labels[key] = label
        return label_changed(capability.name, one, reply, before, label) if before not in (None, label) else ()

    async def _label_then(self, capability: AnyCapability, one: Closed, question: Question) -> str | None:
        """What the answer was when the series was last told of: by the server before this one."""
        told = self._told.get((one.symbol, one.timeframe))
        if told is None:
            return None
        as_of = min(told.received_at, one.close_at - 1)
        then = question.model_copy(update={"as_of": datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=as_of)})
        return label_of((await self.ask.many(capability, [then], WATCH))[0])
