"""The change feed: what happened, in order, from the outbox.

At least once: whoever reads keeps the id of the last event that it has dealt with, and goes on from there. Each reader
reads the outbox for itself, so that a slow one holds nothing up and nothing is kept for it in memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from registry.events import Event, Events
from tools.refusal import Code, Refused

log = logging.getLogger(__name__)

#: Events read at once.
PAGE = 500
#: Events that nobody told us of are looked for this often: a promotion, say, is written down by the registry alone.
LOOK_SECONDS = 1.0
#: More readers than this are turned away.
MOST_READERS = 64
#: Digits of an id; longer ones were given by nobody.
_DIGITS = 18

#: Is told of each event, in order, once while this server runs.
Ear = Callable[[Event], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Page:
    """Some events, in order. `missed` is how many were gone before the first of them could be read."""

    events: Sequence[Event]
    missed: int = 0


@dataclass(slots=True, eq=False)
class Changes:
    """One for each server. `told` may be called from any thread; the rest belongs to one event loop."""

    events: Events
    _at_end: Callable[[], None] = lambda: None
    _waiting: set[asyncio.Event] = field(default_factory=set)
    _readers: int = 0
    _ending: bool = False
    _loop: asyncio.AbstractEventLoop | None = None

    def told(self) -> None:
        """There is something new."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended, and so have its readers
                self._loop.call_soon_threadsafe(self._wake)

    @asynccontextmanager
    async def running(self, ears: Sequence[Ear] = (), at_end: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
        """Tells readers, and these ears, of what happens from now on, whoever wrote it down. `at_end` is called when
        the server is about to stop."""
        self._at_end = at_end
        self._loop, self._ending = asyncio.get_running_loop(), False
        newest = await asyncio.to_thread(self.events.newest)
        task = asyncio.create_task(self._tell(newest, ears))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def end(self) -> None:
        """Ends all readers, each after the page that it has: the server is about to stop."""
        self._ending = True
        self._at_end()
        self._wake()

    async def after(self, said: str | None) -> AsyncGenerator[Page, None]:
        """Pages after the id that a reader `said`, for ever; None: from now on. Nothing is read before the first page
        is asked for.

        Raises Refused for what is no id, for an id that no event has, and where there are too many readers.
        """
        newest = await asyncio.to_thread(self.events.newest)
        start = newest if said is None else _id(said, newest)
        if self._readers >= MOST_READERS:
            raise Refused(Code.OVERLOADED, f"{MOST_READERS} readers follow the events already", retryable=True)
        return self._pages(start)

    async def _pages(self, id: int) -> AsyncGenerator[Page, None]:
        self._loop = asyncio.get_running_loop()
        self._readers += 1
        woken = asyncio.Event()
        self._waiting.add(woken)
        try:
            while not self._ending:
                woken.clear()
                found = await asyncio.to_thread(self.events.since, id, PAGE)
                if found:  # ids have no gaps: what is missing was swept away
                    missed, id = found[0].id - id - 1, found[-1].id
                    yield Page(found, missed)
                else:
                    await woken.wait()
        finally:
            self._readers -= 1
            self._waiting.discard(woken)

    async def _tell(self, id: int, ears: Sequence[Ear]) -> None:
        woken = asyncio.Event()
        self._waiting.add(woken)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await woken.wait()
            woken.clear()
            try:
                while found := await asyncio.to_thread(self.events.since, id, PAGE):
                    id = found[-1].id
                    self._wake()
                    for event in found:
                        await _told(event, ears)
            except Exception:  # the store was busy, say: the next look must come all the same
                log.exception("the events after %d could not be read", id)

    def _wake(self) -> None:
        for woken in self._waiting:
            woken.set()


def of_names(page: Page, names: Collection[str]) -> Sequence[Event]:
    """The events of these names; all where none is named."""
    return [one for one in page.events if one.name in names] if names else page.events


async def _told(event: Event, ears: Sequence[Ear]) -> None:
    for ear in ears:
        try:
            await ear(event)
        except Exception:  # one that fails must not keep the news from the others
            log.exception("event %d could not be passed on", event.id)


def _id(said: str, newest: int) -> int:
    digits = said.isascii() and said.isdigit() and len(said) <= _DIGITS
    if not digits or int(said) > newest:
        problem = "no event has this id yet" if digits else "this is not the id of an event"
        raise Refused(Code.INVALID, problem, accepted=["an id that was read here", "0, for all there are", "none"])
    return int(said)
