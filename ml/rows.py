"""From bars to feature rows: the one causal, vectorised helper behind training, replay and live answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from ml.bars import Bars, Floats, Instants
from ml.capability import CannotAnswer, Question, Rows, Why
from ml.series import alike, by_series
from ml.timeline import Market, Timeline


class Kernel(Protocol):
    """Feature rows of bars at positions `at` (int64, ascending; all where None), shape (len(at), k). `variant` is what
    the questions of a group share (a horizon, say)."""

    def __call__(self, bars: Bars, variant: Hashable, at: Instants | None = None) -> Floats: ...


#: So many series go through a kernel together: more, and what it works on leaves the processor's nearest memory.
TOGETHER = 8


@dataclass(frozen=True, slots=True)
class BarFeatures:
    """Features of one symbol's own bars.

    `kernel` must be causal, and its row i must depend on the `warmup` bars that end at i alone: the row from a tail is
    then equal, bit for bit, to the row from full history. So this class may compute whichever is cheaper, and the tails
    of many series together; where another series begins, time goes back. Fewer than `at_least` known bars is an
    abstention. `variant` is what the kernel needs to know of a question; questions that share it are computed together.
    """

    names: tuple[str, ...]
    warmup: int
    at_least: int
    kernel: Kernel
    variant: Callable[[Question], Hashable] = alike

    def rows(self, questions: Sequence[Question], as_of: Instants, market: Market) -> Rows:
        """One row per question; abstentions where the symbol is unknown or has too few bars."""
        values = np.full((len(questions), len(self.names)), np.nan)
        through = np.zeros(len(questions), dtype=np.int64)
        cannot: list[CannotAnswer | None] = [None] * len(questions)
        tails: dict[tuple[str, Hashable], list[_Tail]] = defaultdict(list)
        for (_, timeframe, _), members in by_series(questions).items():
            first = questions[members[0]]
            timeline = market.timeline(first.symbol, first.timeframe)
            if timeline is None:
                for i in members:
                    cannot[i] = _unknown(first)
                continue
            for part in self._parts(timeline, questions, as_of, np.asarray(members), through, cannot):
                if self._is_dense(part):
                    values[part.members] = self._stretch(part)
                else:
                    tails[timeframe, part.variant] += self._tails(part)
        for (_, variant), found in tails.items():
            rows = last_rows(partial(self.kernel, variant=variant), [one.bars for one in found], self.warmup)
            for one, row in zip(found, rows, strict=True):
                values[one.members] = row
        return Rows(self.names, values, tuple(questions), as_of, through, tuple(cannot))

    def _parts(
        self,
        timeline: Timeline,
        questions: Sequence[Question],
        as_of: Instants,
        members: Instants,
        through: Instants,
        cannot: list[CannotAnswer | None],
    ) -> Iterator[_Part]:
        """What is to be computed of one series, by edition and variant; what cannot be is said so."""
        seen = timeline.locate(as_of[members])
        for k in np.flatnonzero(seen.last < 0).tolist():
            cannot[members[k]] = _before_history(timeline)
        for edition in np.unique(seen.edition[seen.last >= 0]).tolist():
            here = np.flatnonzero((seen.edition == edition) & (seen.last >= 0))
            bars = timeline.edition(edition)
            through[members[here]] = bars.open_at[seen.last[here]] + timeline.timeframe.milliseconds
            enough = seen.last[here] + 1 >= self.at_least
            for k in here[~enough].tolist():
                cannot[members[k]] = _too_few(timeline, int(seen.last[k]) + 1, self.at_least)
            groups: dict[Hashable, list[int]] = defaultdict(list)
            for k, i in zip(here[enough].tolist(), members[here[enough]].tolist(), strict=True):
                groups[self.variant(questions[i])].append(k)
            for variant, group in groups.items():
                yield _Part(bars, seen.last[group], variant, members[group])

    def _is_dense(self, part: _Part) -> bool:
        """Whether one long stretch is cheaper than a tail for each position."""
        first, last = int(part.positions.min()), int(part.positions.max())
        return len(part.positions) > 1 and last - first + self.warmup <= len(part.positions) * self.warmup

    def _stretch(self, part: _Part) -> Floats:
        first, last = int(part.positions.min()), int(part.positions.max())
        start = max(first - self.warmup + 1, 0)
        at, of_at = np.unique(part.positions - start, return_inverse=True)
        found = self.kernel(part.bars.between(start, last + 1), part.variant, at)
        return np.asarray(found[of_at])

    def _tails(self, part: _Part) -> list[_Tail]:
        positions, of_position = np.unique(part.positions, return_inverse=True)
        return [
            _Tail(part.bars.between(max(at - self.warmup + 1, 0), at + 1), part.members[of_position == k])
            for k, at in enumerate(positions.tolist())
        ]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Rows that are wanted of one series: of the bars at `positions` for the questions `members`, one each."""

    bars: Bars
    positions: Instants
    variant: Hashable
    members: Instants


@dataclass(frozen=True, slots=True, eq=False)
class _Tail:
    """The last bars of a series up to one that is asked about, by the questions `members`."""

    bars: Bars
    members: Instants


def last_rows(kernel: Callable[..., Floats], tails: Sequence[Bars], warmup: int) -> Floats:
    """The row of the last bar of each tail of one timeframe, shape (len(tails), k). A tail has `warmup` bars, or fewer
    where no more are known.

    A row depends on the bars of its own warm-up alone, so what lies before them may be another series: whole tails are
    laid end to end and go through `kernel(bars, at=...)` together. A shorter one goes by itself.
    """
    groups: list[list[int]] = [[k] for k, one in enumerate(tails) if len(one) < warmup]
    whole = [k for k, one in enumerate(tails) if len(one) == warmup]
    groups += [whole[start : start + TOGETHER] for start in range(0, len(whole), TOGETHER)]
    rows: dict[int, Floats] = {}
    for group in groups:
        ends = np.cumsum([len(tails[k]) for k in group]) - 1
        found = kernel(end_to_end([tails[k] for k in group]), at=ends)
        rows.update(zip(group, found, strict=True))
    return np.array([rows[k] for k in range(len(tails))])


def end_to_end(parts: Sequence[Bars]) -> Bars:
    """The bars of several series in one, one series after another."""
    first = parts[0]
    if len(parts) == 1:
        return first
    columns = ("open_at", "open", "high", "low", "close", "volume")
    joined = (np.concatenate([getattr(one, name) for one in parts]) for name in columns)
    return Bars(first.symbol, first.timeframe, *joined)


def _unknown(question: Question) -> CannotAnswer:
    return CannotAnswer(Why.UNKNOWN_SYMBOL, f"nobody feeds {question.timeframe} bars of this symbol")


def _before_history(timeline: Timeline) -> CannotAnswer:
    first = int(timeline.received_at[0]) if len(timeline.received_at) else None
    began = "there are none" if first is None else f"they begin {np.datetime64(first, 'ms')}Z"
    return CannotAnswer(Why.BEFORE_HISTORY, f"no {timeline.timeframe} bar was known at that time; {began}")


def _too_few(timeline: Timeline, known: int, needed: int) -> CannotAnswer:
    return CannotAnswer(Why.TOO_LITTLE_HISTORY, f"{known} {timeline.timeframe} bars are known, {needed} are needed")
