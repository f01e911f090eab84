"""A row of features: what was measured of one series at one instant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np

from ml.bars import Floats, Instant, Timeframe

#: Columns of a part beside the features, whose names no feature may take.
KEY_COLUMNS = ("symbol", "timeframe", "as_of", "data_through", "quality")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True, eq=False)
class FeatureRow:
    """Features of a series as they were known at `as_of`, made of bars up to the close `data_through` (both ms UTC).

    `values` (float64, shape (len(names),)) is finite, or NaN where a feature is missing. `quality` is the score of the
    newest bar, in [0, 1] (`market.quality`). A row is named by symbol, timeframe and `as_of`. ValueError where a name
    is no `[a-z][a-z0-9_]*` or a value cannot be.
    """

    symbol: str
    timeframe: Timeframe
    as_of: Instant
    data_through: Instant
    names: tuple[str, ...]
    values: Floats
    quality: float

    def __post_init__(self) -> None:
        _must_be_names(self.names)
        if self.values.shape != (len(self.names),):
            raise ValueError(f"{len(self.names)} features have values of shape {self.values.shape}")
        if np.isinf(self.values).any():
            raise ValueError(f"{self.names[int(np.isinf(self.values).argmax())]} is infinite; missing is NaN")
        if not 0.0 <= self.quality <= 1.0:
            raise ValueError(f"quality is {self.quality}, not in 0..1")
        if self.data_through > self.as_of:
            raise ValueError(f"a row as of {self.as_of} is not made of bars that closed at {self.data_through}")

    @property
    def series(self) -> tuple[str, Timeframe]:
        return self.symbol, self.timeframe


@cache
def _must_be_names(names: tuple[str, ...]) -> None:
    wrong = [name for name in names if not _NAME.fullmatch(name) or name in KEY_COLUMNS]
    if wrong or not names or len(set(names)) < len(names):
        raise ValueError(f"features have different names like rsi_14, none of {', '.join(KEY_COLUMNS)}: {wrong[:3]}")
