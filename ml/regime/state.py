"""The feature row of the rules: what the last 24 bars look like against the last 60 days (of hourly bars)."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from ml.bars import Bars, Floats, Instants, Timeframe
from ml.exact import picked, rolling_sum
from ml.regime.formula import (
    HISTORY,
    NO_LABEL,
    REFERENCE,
    STRETCH,
    Codes,
    closing_hours,
    codes,
    missing_bars,
    percentile,
    stretches,
)
from ml.rows import BarFeatures

LONGEST_RUN = 168
"""`bars_in_label` is counted up to here; it reads "168 or more"."""
WARMUP = HISTORY + LONGEST_RUN - 1

NAMES = ("z", "v", "sigma", "volatility_ratio", "missing_bars", "bars_in_label", "sessions")


def state(bars: Bars, variant: Hashable, at: Instants | None = None) -> Floats:  # noqa: ARG001 - all questions share a row
    """One row per bar at positions `at` (ascending; all where None), shape (len(at), 7); row i depends on the 1,631
    bars that end there. NaN where a number has no meaning.

    z: net log move of the last 24 bars / (sigma sqrt 24), in [-4.9, 4.9]. v: percentile of sigma, in [0, 1]. sigma:
    root mean squared log return per bar. volatility_ratio: sigma / its mean over the last 1,440 bars. missing_bars:
    absent within the last 24, counted where the market has no closing hours, else 0. bars_in_label: for how many bars
    the rule's label has been the same, 1 .. 168. sessions: 1 for bars within a day of a market with closing hours.
    """
    power, z = stretches(bars.close)
    wanted = np.arange(len(bars)) if at is None else at
    needed = wanted if at is None else before(wanted, LONGEST_RUN - 1)
    v = percentile(power, power, needed)
    run = _run(needed, codes(z[needed], v))
    here = np.searchsorted(needed, wanted)
    sigma = np.sqrt(power / STRETCH)
    closes = closing_hours(bars, at)
    missing = np.where(closes, 0, missing_bars(bars, at))
    sessions = closes & (bars.timeframe.milliseconds < Timeframe.D1.milliseconds)
    usual = _against_usual(sigma, at)
    return np.column_stack([z[wanted], v[here], sigma[wanted], usual, missing, run[here], sessions])


def before(at: Instants, bars: int) -> Instants:
    """The positions of `at` (ascending) and of the `bars` before each, where there are any; ascending, none twice."""
    reach = np.zeros(int(at[-1]) + 2 if len(at) else 1, dtype=np.int64)
    np.add.at(reach, np.maximum(at - bars, 0), 1)
    np.add.at(reach, at + 1, -1)
    return np.flatnonzero(np.cumsum(reach)[:-1] > 0)


def _against_usual(sigma: Floats, at: Instants | None) -> Floats:
    valid = ~np.isnan(sigma)
    total = rolling_sum(np.where(valid, sigma, 0.0), REFERENCE, at)
    count = rolling_sum(valid.astype(np.float64), REFERENCE, at)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0.0, picked(sigma, at) * count / total, np.nan)


def _run(at: Instants, labels: Codes) -> Floats:
    """For how many bars the labels at these positions have been the same."""
    here = np.arange(len(labels))
    begins = np.ones(len(labels), dtype=np.bool_)
    begins[1:] = (labels[1:] != labels[:-1]) | (at[1:] != at[:-1] + 1)
    run = here - np.maximum.accumulate(np.where(begins, here, 0)) + 1
    return np.where(labels == NO_LABEL, np.nan, np.minimum(run, LONGEST_RUN))


STATE = BarFeatures(NAMES, WARMUP, WARMUP, state)
