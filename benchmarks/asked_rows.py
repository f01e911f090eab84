"""What rules read and what came true: rows on which constants are fitted and rules are judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ml.bars import Bars, Floats, Instants
from ml.capability import AnyCapability, Question, Rows
from ml.timeline import Market, StillMarket


class RulesFeatures(Protocol):
    """Features that can be had without what models alone read."""

    def rows_of_rules(self, questions: Sequence[Question], as_of: Instants, market: Market) -> Rows: ...


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Rows that are not refused, of all symbols: features, truths (NaN where unknown), instants (int64 ms) and
    symbols."""

    names: tuple[str, ...]
    values: Floats
    truths: Floats
    as_of: Instants
    symbols: NDArray[np.str_]

    def column(self, name: str) -> Floats:
        return self.values[:, self.names.index(name)]

    def at(self, chosen: NDArray[Any]) -> Asked:
        """Those at `chosen`."""
        return Asked(self.names, self.values[chosen], self.truths[chosen], self.as_of[chosen], self.symbols[chosen])


def asked_of(
    capability: AnyCapability,
    features: RulesFeatures,
    bars: Sequence[Bars],
    question: Callable[[str], Question],
    chosen: Callable[[Bars], Instants],
) -> Asked:
    """The `question` of each symbol, asked of the rules at the instants `chosen` (ms) of its bars."""
    market = StillMarket.of(*bars)
    names: tuple[str, ...] = ()
    parts: list[tuple[Floats, Floats, Instants, NDArray[np.str_]]] = []
    for one in bars:
        as_of = chosen(one)
        questions = [question(one.symbol)] * len(as_of)
        rows = features.rows_of_rules(questions, as_of, market)
        truths = known_truths(capability, questions, as_of, market)
        ok = np.array([why is None for why in rows.cannot], dtype=bool)
        names = rows.names
        parts.append((rows.values[ok], truths[ok], as_of[ok], np.full(int(ok.sum()), one.symbol)))
    return Asked(names, *(np.concatenate(column) for column in zip(*parts, strict=True)))


def known_truths(capability: AnyCapability, questions: Sequence[Question], as_of: Instants, market: Market) -> Floats:
    """What came true, (n,), NaN where it is not known."""
    told = capability.truth(questions, as_of, market)
    return np.array([np.nan if one is None else one for one in told], dtype=np.float64)
