"""The feature row of the rules: what the last 24 bars look like against the last 60 days (of hourly bars)."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from ml.bars import Bars, Floats, Timeframe
from ml.capability import Question
from ml.exact import rolling_sum
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


def state(bars: Bars, _: Hashable) -> Floats:
    """One row per bar, shape (n, 7); row i depends on the 1,631 bars that end at i. NaN where a number has no meaning.

    z: net log move of the last 24 bars / (sigma sqrt 24), in [-4.9, 4.9]. v: percentile of sigma, in [0, 1]. sigma:
    root mean squared log return per bar. volatility_ratio: sigma / its mean over the last 1,440 bars. missing_bars:
    absent within the last 24, counted where the market has no closing hours, else 0. bars_in_label: for how many bars
    the rule's label has been the same, 1 .. 168. sessions: 1 for bars within a day of a market with closing hours.
    """
    power, z = stretches(bars.close)
    v = percentile(power, power)
    sigma = np.sqrt(power / STRETCH)
    closes = closing_hours(bars)
    missing = np.where(closes, 0, missing_bars(bars))
    sessions = closes & (bars.timeframe.milliseconds < Timeframe.D1.milliseconds)
    return np.column_stack([z, v, sigma, _against_usual(sigma), missing, _run(codes(z, v)), sessions])


def _against_usual(sigma: Floats) -> Floats:
    valid = ~np.isnan(sigma)
    total = rolling_sum(np.where(valid, sigma, 0.0), REFERENCE)
    count = rolling_sum(valid.astype(np.float64), REFERENCE)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0.0, sigma * count / total, np.nan)


def _run(labels: Codes) -> Floats:
    at = np.arange(len(labels))
    begins = np.ones(len(labels), dtype=np.bool_)
    begins[1:] = labels[1:] != labels[:-1]
    run = at - np.maximum.accumulate(np.where(begins, at, 0)) + 1
    return np.where(labels == NO_LABEL, np.nan, np.minimum(run, LONGEST_RUN))


def _no_variant(_: Question) -> Hashable:
    return None


STATE = BarFeatures(NAMES, WARMUP, WARMUP, state, _no_variant)
