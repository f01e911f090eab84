"""What there is of one series, for status pages and data-quality alerts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market import calendar
from market.quality import USABLE
from market.series import Series
from ml.bars import Instant, Timeframe

#: Rows that the quality of a series is judged by.
RECENT_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """One series, as everything known by now leaves it.

    `n_bars` counts bars, `n_records` also the revisions (`n_revisions`) that other records replaced. `n_missing` counts
    all empty slots of time between bars, `n_expected_missing` those in which this market trades (`market.calendar`).
    Quality is of the newest `RECENT_ROWS` records: its mean, and the share above `USABLE`, both in [0, 1].
    """

    symbol: str
    timeframe: Timeframe
    origin: str
    n_bars: int
    n_records: int
    n_revisions: int
    first_open: Instant
    last_close: Instant
    last_received_at: Instant
    n_missing: int
    n_expected_missing: int
    recent_quality: float
    recent_usable_share: float


def described(series: Series) -> SeriesInfo:
    """The info of a series that has records. Takes about a millisecond per 50,000 bars."""
    bars = series.settled()
    missing, expected = calendar.missing_before(bars)
    recent = series.quality[-RECENT_ROWS:]
    return SeriesInfo(
        symbol=series.symbol,
        timeframe=series.timeframe,
        origin=series.origin,
        n_bars=len(bars),
        n_records=len(series),
        n_revisions=len(series) - len(bars),
        first_open=int(bars.open_at[0]),
        last_close=int(bars.close_at[-1]),
        last_received_at=series.newest_received_at,
        n_missing=int(missing.sum()),
        n_expected_missing=int(expected.sum()),
        recent_quality=float(np.mean(recent)),
        recent_usable_share=float(np.mean(recent > USABLE)),
    )
