"""What the features of one timeframe look like: moments and quantiles over the rows that may train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

from market.feature_row import KEY_COLUMNS
from market.parquet import selected, selected_columns
from market.quality import USABLE
from ml.bars import Instant, Timeframe

#: Features described in one query: exact quantiles hold every value of these in memory, 16 bytes each.
_AT_ONCE = 8
_STATISTICS = (
    "count({0}), avg({0}), stddev_pop({0}), min({0}), max({0}), quantile_cont({0}, 0.5), "
    "quantile_cont({0}, 0.75) - quantile_cont({0}, 0.25)"
)


@dataclass(frozen=True, slots=True)
class FeatureSummary:
    """One feature of one symbol, or of all where `symbol` is None.

    `n` counts its finite values; of those `mean`, population standard deviation `sd`, extremes `low` and `high`,
    `median` and interquartile range `iqr`, in the feature's unit. All but `n` are NaN where `n` is 0. `sd` and `iqr`
    are exactly 0 where all values are equal.
    """

    symbol: str | None
    feature: str
    n: int
    mean: float
    sd: float
    low: float
    high: float
    median: float
    iqr: float


def summaries(paths: Sequence[Path], timeframe: Timeframe, until: Instant) -> tuple[FeatureSummary, ...]:
    """Of every feature in these parts, per symbol and over all, from the rows with `as_of` <= `until` whose quality is
    above `USABLE`; none where there are no such rows. Raises DamagedPart."""
    if not paths:
        return ()
    head = selected_columns(paths, "select * from read_parquet($files, union_by_name = true) limit 0")
    names = [name for name in head if name not in KEY_COLUMNS]
    found = []
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        rows = selected(paths, _query(some), timeframe=str(timeframe), until=until, usable=USABLE)
        found += [
            _summary(row[0], name, row[1 + 7 * k : 8 + 7 * k]) for row in rows if row[-1] for k, name in enumerate(some)
        ]
    return tuple(found)


def _query(names: Sequence[str]) -> str:
    """Names are those of a part, which `FeatureRow` has checked: letters, digits and underscores."""
    finite = ", ".join(f'case when isfinite("{name}") then "{name}" end as "{name}"' for name in names)
    described = ", ".join(_STATISTICS.format(f'"{name}"') for name in names)
    return (
        f"select symbol, {described}, count(*) from (select symbol, {finite} "  # noqa: S608 - see the docstring
        "from read_parquet($files, union_by_name = true) "
        "where timeframe = $timeframe and as_of <= $until and quality > $usable) "
        "group by grouping sets ((symbol), ()) order by symbol nulls first"
    )


def _summary(symbol: str | None, feature: str, found: Sequence[Any]) -> FeatureSummary:
    n, mean, sd, low, high, median, iqr = found
    if n == 0:
        return FeatureSummary(symbol, feature, 0, nan, nan, nan, nan, nan, nan)
    if low == high:  # a rounded mean would leave an sd of 1e-17, and z-scores made of nothing
        return FeatureSummary(symbol, feature, n, low, 0.0, low, high, low, 0.0)
    return FeatureSummary(symbol, feature, n, mean, sd, low, high, median, iqr)
