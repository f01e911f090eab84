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


@dataclass(frozen=True, slots=True)
class _Heard:
    """What the answers on one bar tell, and their labels: remembered once it has been told."""

    facts: list[Fact] = field(default_factory=list)
    labels: dict[tuple[str, str, Timeframe], str] = field(default_factory=dict)


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
                heard = await self._heard(part)
                every = [fact for said in heard.values() for fact in said.facts]
                await asyncio.to_thread(self.events.publish_all, every, self.clock())
            except BaseException:  # an interrupt, too: what was not published waits on
                self._wait_again(waiting[start:])
                raise
            self._wait_again([one for one in part if one not in heard])
            for one, said in heard.items():
                self._told[one.symbol, one.timeframe] = self._more[one.symbol, one.timeframe] = one
                self._labels.update(said.labels)
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

    async def _heard(self, part: Sequence[Closed]) -> dict[Closed, _Heard]:
        """What the answers on each bar tell; one that could not be asked about is left out. Series are asked about
        together; where that fails, one by one, so that one keeps no other from being told of."""
        try:
            return await self._asked(part)
        except Exception as error:  # whatever fails in one series, the others are asked about
            if len(part) > 1:
                return {one: said for each in part for one, said in (await self._heard([each])).items()}
            (one,) = part
            self._failed += 1
            log.warning(  # at length once a round: what fails in one may fail in 5,000
                "a bar of %s %s could not be asked about (%s)",
                one.symbol,
                one.timeframe,
                type(error).__name__,
                exc_info=self._failed == 1,
            )
            return {}

    async def _asked(self, part: Sequence[Closed]) -> dict[Closed, _Heard]:
        """The plain question of every capability, the one that most ask; last, that the bar has closed."""
        heard = {one: _Heard() for one in part}
        for capability in self.capabilities:
            here = [one for one in part if one.timeframe in capability.timeframes]
            questions = [capability.question(symbol=one.symbol, timeframe=one.timeframe) for one in here]
            replies = await self.ask.many(capability, questions, WATCH) if here else []
            for one, question, reply in zip(here, questions, replies, strict=True):
                heard[one].facts.extend(strange(one, reply))
                await self._compare(capability, one, question, reply, heard[one])
            await asyncio.sleep(0)  # callers come first
        for one, said in heard.items():
            said.facts.append(closed(one))
        return heard

    async def _compare(
        self, capability: AnyCapability, one: Closed, question: Question, reply: Answered, heard: _Heard
    ) -> None:
        label, key = label_of(reply), (capability.name, one.symbol, one.timeframe)
        if label is None:
            return
        before = self._labels.get(key) or await self._label_then(capability, one, question)
        heard.labels[key] = label
        if before not in (None, label):
            heard.facts.extend(label_changed(capability.name, one, reply, before, label))

    async def _label_then(self, capability: AnyCapability, one: Closed, question: Question) -> str | None:
        """What the answer was when the series was last told of: by the server before this one."""
        told = self._told.get((one.symbol, one.timeframe))
        if told is None:
            return None
        as_of = min(told.received_at, one.close_at - 1)
        then = question.model_copy(update={"as_of": datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=as_of)})
        return label_of((await self.ask.many(capability, [then], WATCH))[0])
