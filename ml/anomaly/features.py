"""Where the feature rows of an anomaly question come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.anomaly.columns import COLUMNS, columns, warmup
from ml.anomaly.fed import FED, fed_columns
from ml.anomaly.market import SHARE, market_share
from ml.anomaly.tails import MEASURED
from ml.anomaly.windows import WINDOWS
from ml.bars import Instants, Timeframe
from ml.capability import CannotAnswer, Question, Rows, Why
from ml.rows import BarFeatures
from ml.timeline import Market

#: One row: the symbol's own columns, the share of the panel that is abnormal in the same bar, and what is fed beside.
ROW_NAMES = (*COLUMNS, SHARE, *FED)
_SHARE = len(COLUMNS)


@dataclass(frozen=True, slots=True)
class AnomalyFeatures:
    """Rows by timeframe: the windows that say what is usual are counted in bars, and reach as far as a timeframe
    needs."""

    by_timeframe: tuple[tuple[Timeframe, BarFeatures], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return ROW_NAMES

    def rows(self, questions: Sequence[Question], as_of: Instants, market: Market) -> Rows:
        """One row per question; abstains on timeframes that were not measured and on too little history."""
        values = np.full((len(questions), len(ROW_NAMES)), np.nan)
        through = np.zeros(len(questions), dtype=np.int64)
        cannot: list[CannotAnswer | None] = [_not_measured(one) for one in questions]
        for timeframe, features in self.by_timeframe:
            members = [i for i, question in enumerate(questions) if question.timeframe is timeframe]
            if not members:
                continue
            part = features.rows([questions[i] for i in members], as_of[members], market)
            values[members, :_SHARE], through[members] = part.values, part.data_through
            for i, given in zip(members, part.cannot, strict=True):
                cannot[i] = given
            answered = [i for i in members if cannot[i] is None]
            if answered:
                values[answered, _SHARE] = market_share(market, timeframe, as_of[answered], through[answered])
                asked = [questions[i] for i in answered]
                values[answered, _SHARE + 1 :] = fed_columns(asked, through[answered], market)
        return Rows(ROW_NAMES, values, tuple(questions), as_of, through, tuple(cannot))


def _not_measured(question: Question) -> CannotAnswer | None:
    if question.timeframe in MEASURED:
        return None
    return CannotAnswer(Why.NOT_MEASURED, f"no tails were measured on {question.timeframe} bars")


FEATURES = AnomalyFeatures(
    tuple((timeframe, BarFeatures(COLUMNS, warmup(timeframe), warmup(timeframe), columns)) for timeframe in WINDOWS)
)
