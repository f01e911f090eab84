"""Asks an exchange for many things at once: some at a time, and each failure is that thing's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from market.exchange.venue import NotTraded, Unreachable
from ml.bars import HOUR_MS, Instant

#: What the exchange does not have is asked for again after this long.
ASK_AGAIN_MS = HOUR_MS


@dataclass(frozen=True, slots=True)
class Failure:
    """A thing that could not be asked for, and why. `gone`: the exchange does not have it (any more)."""

    symbol: str
    what: str
    text: str
    gone: bool


@dataclass(frozen=True, slots=True)
class Wish:
    """Something to ask for."""

    symbol: str
    what: str
    ask: Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Asking:
    """`at_once` requests are under way at a time. Its only memory is what is gone, and since when."""

    at_once: int
    _gone_at: dict[tuple[str, str], Instant] = field(default_factory=dict)

    async def each(self, now: Instant, wishes: Sequence[Wish]) -> list[Failure]:
        """Asks for all of them, but for what is known to be gone, and says what failed."""
        turns = asyncio.Semaphore(self.at_once)
        wanted = [
            one for one in wishes if now - self._gone_at.get((one.symbol, one.what), -ASK_AGAIN_MS) >= ASK_AGAIN_MS
        ]
        found = await asyncio.gather(*(self._one(now, one, turns) for one in wanted))
        return [one for one in found if one is not None]

    async def _one(self, now: Instant, wish: Wish, turns: asyncio.Semaphore) -> Failure | None:
        async with turns:
            try:
                await wish.ask()
            except NotTraded as gone:
                self._gone_at[wish.symbol, wish.what] = now
                return Failure(wish.symbol, wish.what, str(gone), gone=True)
            except Unreachable as failed:
                return Failure(wish.symbol, wish.what, str(failed), gone=False)
        self._gone_at.pop((wish.symbol, wish.what), None)
        return None
