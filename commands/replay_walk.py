"""One capability asked along history: by the rules in one stretch, or by models in the stretches between refits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
from rich.progress import Progress

from commands.replay_models import Retraining, Stretch
from commands.terminal import err
from ml.bars import Timeframe
from ml.capability import AnyCapability, Question
from registry.record import REPLAY
from server import House
from tools.ask import Ask
from workers.questions import Asked
from workers.replay import AskMany, replayed


class Walk:
    """Asks `n` questions of a capability, refitted every so often (None: never), with a progress bar. Answers are
    `written` in the house's ledger, or wanted in tables alone."""

    def __init__(
        self,
        house: House,
        capability: AnyCapability,
        timeframe: Timeframe,
        every_ms: int | None,
        n: int,
        *,
        written: bool,
        silent: bool,
    ) -> None:
        self._house = house
        self._capability = capability
        self._written = written
        self._bar = Progress(console=err, transient=True, disable=silent)
        self._learning = None if every_ms is None else Retraining(house, capability, timeframe, every_ms)
        self._taught = self._bar.add_task(f"{capability.name}: learning", total=1.0, visible=every_ms is not None)
        self._asked = self._bar.add_task(capability.name, total=n)
        self._found: Generator[Stretch] | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._found is not None:
            self._found.close()  # fits that nobody waits for any more
        self._bar.stop()

    def stretches(self, first: int, last: int) -> Iterable[Stretch]:
        """Those between `first` and `last` (ms)."""
        if self._learning is None:
            return (Stretch(self._house.ask, first, last + 1),)
        self._found = self._learning.stretches(first, last, self._tell)
        return self._found

    def ask(self, road: Ask, asked: Iterable[Asked], take: Callable[[pa.Table], object]) -> None:
        """Asks, and hands on tables of answers; they are written down in `road.book`, if it is `written`."""

        async def many(of: AnyCapability, questions: Sequence[Question]) -> Sequence[Any]:
            if self._written:
                return await road.many(of, questions, REPLAY)
            return await road.settled(of, questions)

        async def all_of_them() -> None:
            ask: AskMany = many
            async for table in replayed(ask, self._capability, asked, road.market):
                take(table)
                self._bar.advance(self._asked, len(table))

        asyncio.run(all_of_them())

    def notes(self) -> tuple[str, ...]:
        """What the gate said, as far as it was walked."""
        return () if self._learning is None else self._learning.told()

    def _tell(self, share: float, word: str) -> None:
        self._bar.update(self._taught, completed=share, description=f"{self._capability.name}: {word}")
