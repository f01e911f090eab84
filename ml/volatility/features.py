"""Where the feature rows of a volatility question come from, and which of them nobody should be asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.bars import Floats, Instants, Timeframe
from ml.capability import CannotAnswer, Question, Rows, Why
from ml.rows import BarFeatures
from ml.timeline import Market
from ml.volatility.columns import OWN, WARMUP, columns
from ml.volatility.kernel import DAILY, DAILY_WARMUP, HOURLY, HOURLY_WARMUP, NAMES, kernel
from ml.volatility.market import MARKET, market_columns
from ml.volatility.question import VolatilityQuestion
from ml.volatility.refusal import refusal
from ml.volatility.releases import ROW_OF_RULES, release_columns, spans

#: One row: what the rules read, then what a model reads besides. On 1d bars the latter is unknown.
ROW_NAMES = (*ROW_OF_RULES, *OWN, *MARKET)


@dataclass(frozen=True, slots=True)
class VolatilityFeatures:
    """Rows by timeframe: for the rules one kernel, windows in hours on 1h bars and in days on 1d bars; for models, on
    1h bars, `own` columns of the symbol and those of the panel."""

    hourly: BarFeatures
    daily: BarFeatures
    own: BarFeatures

    @property
    def names(self) -> tuple[str, ...]:
        return ROW_NAMES

    def rows(self, questions: Sequence[Question], as_of: Instants, market: Market) -> Rows:
        """One row per question. Abstains on other timeframes than 1h and 1d, on too little history, and on bars that
        the rules and every model would have to distrust: gaps, frozen prices, missing prices."""
        first = self.rows_of_rules(questions, as_of, market)
        values = np.full((len(questions), len(ROW_NAMES)), np.nan)
        values[:, : len(ROW_OF_RULES)] = first.values
        hours = [i for i, asked in enumerate(questions) if asked.timeframe is Timeframe.H1 and first.cannot[i] is None]
        if hours:
            values[hours, len(ROW_OF_RULES) :] = self._for_models(
                [questions[i] for i in hours], as_of[hours], first.data_through[hours], market
            )
        return Rows(ROW_NAMES, values, first.questions, as_of, first.data_through, first.cannot)

    def rows_of_rules(self, questions: Sequence[Question], as_of: Instants, market: Market) -> Rows:
        """The same rows with what the rules read alone."""
        values = np.full((len(questions), len(ROW_OF_RULES)), np.nan)
        through = np.zeros(len(questions), dtype=np.int64)
        cannot: list[CannotAnswer | None] = [None] * len(questions)
        for timeframe, features in ((Timeframe.H1, self.hourly), (Timeframe.D1, self.daily)):
            members = [i for i, question in enumerate(questions) if question.timeframe is timeframe]
            if not members:
                continue
            part = features.rows([questions[i] for i in members], as_of[members], market)
            values[members, : len(NAMES)], through[members] = part.values, part.data_through
            values[members, len(NAMES) :] = _releases(market, timeframe, part)
            for i, given, row in zip(members, part.cannot, part.values.tolist(), strict=True):
                cannot[i] = given or refusal(timeframe, row)
        for i, question in enumerate(questions):
            if question.timeframe not in (Timeframe.H1, Timeframe.D1):
                cannot[i] = CannotAnswer(Why.NOT_MEASURED, f"measured on 1h and 1d bars, not on {question.timeframe}")
        return Rows(ROW_OF_RULES, values, tuple(questions), as_of, through, tuple(cannot))

    def _for_models(self, questions: Sequence[Question], as_of: Instants, through: Instants, market: Market) -> Floats:
        own = self.own.rows(questions, as_of, market).values
        always = own[:, OWN.index("always")] == 1.0
        return np.concatenate([own, market_columns(market, as_of, through, always)], axis=1)


def _releases(market: Market, timeframe: Timeframe, rows: Rows) -> Floats:
    """`RELEASE_NAMES` of rows that hold `kernel.NAMES`; without bars, NaN."""
    weekends = rows.column("trades_weekends") == 1.0
    ahead = np.array([_bars_ahead(question) for question in rows.questions], dtype=np.int64)
    until = spans(timeframe, ahead, weekends, rows.data_through)
    found = release_columns(market.calendar(), rows.as_of, rows.data_through, until)
    return np.where(np.isnan(rows.column("log_level"))[:, None], np.nan, found)


def _bars_ahead(question: Question) -> int:
    assert isinstance(question, VolatilityQuestion)
    return question.horizon.bars


FEATURES = VolatilityFeatures(
    hourly=BarFeatures(NAMES, HOURLY_WARMUP, HOURLY.at_least, kernel, _bars_ahead),
    daily=BarFeatures(NAMES, DAILY_WARMUP, DAILY.at_least, kernel, _bars_ahead),
    own=BarFeatures(OWN, WARMUP, HOURLY.at_least, columns),
)
