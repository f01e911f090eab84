"""From bars to feature rows: the one causal, vectorised helper behind training, replay and live answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ml.bars import Bars, Floats, Instants
from ml.capability import CannotAnswer, Question, Rows, Why
from ml.timeline import Market, Timeline

#: bars, and what the questions of a group share (a horizon, say) -> one row per bar, shape (len(bars), k).
Kernel: TypeAlias = Callable[[Bars, Hashable], Floats]


@dataclass(frozen=True, slots=True)
class BarFeatures:
    """Features of one symbol's own bars.

    `kernel` must be causal, and its row i must depend on the `warmup` bars that end at i alone: the row from a tail is
    then equal, bit for bit, to the row from full history, and this class may compute whichever is cheaper. Fewer than
    `at_least` known bars is an abstention. `variant` is what the kernel needs to know of a question; questions that
    share it are computed together.
    """

    names: tuple[str, ...]
    warmup: int
    at_least: int
    kernel: Kernel
    variant: Callable[[Question], Hashable]

    def rows(self, questions: Sequence[Question], as_of: Instants, market: Market) -> Rows:
        """One row per question; abstentions where the symbol is unknown or has too few bars."""
        values = np.full((len(questions), len(self.names)), np.nan)
        through = np.zeros(len(questions), dtype=np.int64)
        cannot: list[CannotAnswer | None] = [None] * len(questions)
        series: dict[tuple[str, str], list[int]] = defaultdict(list)
        for i, question in enumerate(questions):
            series[question.symbol, question.timeframe].append(i)
        for members in series.values():
            first = questions[members[0]]
            timeline = market.timeline(first.symbol, first.timeframe)
            if timeline is None:
                for i in members:
                    cannot[i] = _unknown(first)
            else:
                self._fill(timeline, questions, as_of, np.asarray(members), values, through, cannot)
        return Rows(self.names, values, tuple(questions), as_of, through, tuple(cannot))

    def _fill(
        self,
        timeline: Timeline,
        questions: Sequence[Question],
        as_of: Instants,
        members: Instants,
        values: Floats,
        through: Instants,
        cannot: list[CannotAnswer | None],
    ) -> None:
        seen = timeline.locate(as_of[members])
        groups: dict[tuple[int, Hashable], list[int]] = defaultdict(list)
        for k, i in enumerate(members):
            if seen.last[k] < 0:
                cannot[i] = _before_history(timeline)
                continue
            opened = timeline.edition(int(seen.edition[k])).open_at[seen.last[k]]
            through[i] = opened + timeline.timeframe.milliseconds
            if seen.last[k] + 1 < self.at_least:
                cannot[i] = _too_few(timeline, int(seen.last[k]) + 1, self.at_least)
            else:
                groups[int(seen.edition[k]), self.variant(questions[i])].append(k)
        for (edition, variant), group in groups.items():
            positions = seen.last[group]
            values[members[group]] = self._at(timeline.edition(edition), positions, variant)

    def _at(self, bars: Bars, positions: Instants, variant: Hashable) -> Floats:
        """Kernel rows at `positions`: from one long stretch where they are dense, else from a tail for each."""
        first, last = int(positions.min()), int(positions.max())
        stretch = last - first + self.warmup
        if stretch <= len(positions) * self.warmup:
            start = max(first - self.warmup + 1, 0)
            return self.kernel(bars.between(start, last + 1), variant)[positions - start]
        return np.stack([self._tail(bars, int(at), variant) for at in positions])

    def _tail(self, bars: Bars, at: int, variant: Hashable) -> Floats:
        row: Floats = self.kernel(bars.between(at - self.warmup + 1, at + 1), variant)[-1]
        return row


def _unknown(question: Question) -> CannotAnswer:
    return CannotAnswer(Why.UNKNOWN_SYMBOL, f"nobody feeds {question.timeframe} bars of this symbol")


def _before_history(timeline: Timeline) -> CannotAnswer:
    first = int(timeline.received_at[0]) if len(timeline.received_at) else None
    began = "there are none" if first is None else f"they begin {np.datetime64(first, 'ms')}Z"
    return CannotAnswer(Why.BEFORE_HISTORY, f"no {timeline.timeframe} bar was known at that time; {began}")


def _too_few(timeline: Timeline, known: int, needed: int) -> CannotAnswer:
    return CannotAnswer(Why.TOO_LITTLE_HISTORY, f"{known} {timeline.timeframe} bars are known, {needed} are needed")
