"""Where the feature rows of a liquidity question come from, and which of them nobody should be asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.bars import Instants, Timeframe
from ml.capability import CannotAnswer, Question, Rows, Why
from ml.liquidity.columns import OWN, WARMUP, columns
from ml.liquidity.immediate import IMMEDIATE, immediate_columns
from ml.liquidity.kernel import AT_LEAST, NAMES, kernel
from ml.liquidity.market import MARKET, market_columns
from ml.liquidity.refusal import refusal
from ml.liquidity.releases import RELEASES, release_columns
from ml.rows import BarFeatures
from ml.timeline import Market

#: One row: what the rules read, what a model reads besides (releases among it), and the book for orders sent at once.
ROW_NAMES = (*NAMES, *OWN, *MARKET, *RELEASES, *IMMEDIATE)


@dataclass(frozen=True, slots=True)
class LiquidityFeatures:
    """Rows on hourly bars: for the rules one kernel; for models `own` columns of the symbol and those of the panel. All
    horizons share a row but for the book, which is walked for what is asked."""

    hourly: BarFeatures
    own: BarFeatures

    @property
    def names(self) -> tuple[str, ...]:
        return ROW_NAMES

    def rows(self, questions: Sequence[Question], as_of: Instants, market: Market) -> Rows:
        """One row per question. Abstains on other timeframes than 1h, on too little history, and on bars that the rules
        and every model would have to distrust: gaps, silence, missing prices, markets that close."""
        first = self.rows_of_rules(questions, as_of, market)
        values = np.full((len(questions), len(ROW_NAMES)), np.nan)
        values[:, : len(NAMES)] = first.values
        whole = [i for i, why in enumerate(first.cannot) if why is None]
        if whole:
            through = first.data_through[whole]
            values[whole, len(NAMES) :] = np.concatenate(
                [
                    self.own.rows([questions[i] for i in whole], as_of[whole], market).values,
                    market_columns(market, as_of[whole], through),
                    release_columns(market.calendar(), as_of[whole], through),
                    immediate_columns([questions[i] for i in whole], as_of[whole], market),
                ],
                axis=1,
            )
        return Rows(ROW_NAMES, values, first.questions, as_of, first.data_through, first.cannot)

    def rows_of_rules(self, questions: Sequence[Question], as_of: Instants, market: Market) -> Rows:
        """The same rows with what the rules read alone."""
        values = np.full((len(questions), len(NAMES)), np.nan)
        through = np.zeros(len(questions), dtype=np.int64)
        cannot: list[CannotAnswer | None] = [
            None
            if question.timeframe is Timeframe.H1
            else CannotAnswer(Why.NOT_MEASURED, f"measured on 1h bars, not on {question.timeframe}")
            for question in questions
        ]
        hours = [i for i, question in enumerate(questions) if question.timeframe is Timeframe.H1]
        if hours:
            part = self.hourly.rows([questions[i] for i in hours], as_of[hours], market)
            values[hours], through[hours] = part.values, part.data_through
            for i, given, row in zip(hours, part.cannot, part.values.tolist(), strict=True):
                cannot[i] = given or refusal(row)
        return Rows(NAMES, values, tuple(questions), as_of, through, tuple(cannot))


FEATURES = LiquidityFeatures(
    hourly=BarFeatures(NAMES, AT_LEAST, AT_LEAST, kernel),
    own=BarFeatures(OWN, WARMUP, AT_LEAST, columns),
)
