"""The market around a bar: which share of the panel is abnormal in the same bar, by the rules."""

from __future__ import annotations

import numpy as np

from ml.anomaly.answer import ABNORMAL, DEPTH_OF_ONE
from ml.anomaly.kernel import kernel
from ml.anomaly.tails import MEASURED, rarity
from ml.anomaly.windows import WINDOWS
from ml.bars import Bars, Floats, Instants, Timeframe
from ml.panel import PanelColumns
from ml.timeline import Market

SHARE = "market_wide_share"
#: Of fewer members a share says nothing.
FEWEST = 3
_DECIMALS = 4


def market_share(market: Market, timeframe: Timeframe, as_of: Instants, through: Instants) -> Floats:
    """Shape (n,): of the panel's members that had a bar closing at `through` (int64 ms, (n,)) as known at `as_of`, the
    share that the rules call abnormal in it. NaN for fewer than three such members."""
    if len(market.panel(timeframe)) < FEWEST:
        return np.full(len(as_of), np.nan)
    times, of_time = np.unique(np.stack([as_of, through]), axis=1, return_inverse=True)
    abnormal, known = np.zeros(times.shape[1]), np.zeros(times.shape[1])
    for member in PANEL[timeframe].members(market, timeframe, times[0]):
        there = (member.data_through == times[1]) & ~np.isnan(member.values[:, 0])
        known += there
        abnormal += np.where(there, member.values[:, 0], 0.0)
    share = np.where(known >= FEWEST, abnormal / np.maximum(known, 1.0), np.nan)
    return np.asarray(np.round(share, _DECIMALS)[of_time.ravel()])


def _member(bars: Bars, at: Instants | None = None) -> Floats:
    """1 where the bar is abnormal, 0 where not, NaN where nobody can tell; at positions `at`, shape (len(at), 1)."""
    values = kernel(bars, None, at)
    told = np.full((len(values), 1), np.nan)
    known = np.flatnonzero(~np.isnan(values[:, 0]))
    if len(known):
        told[known, 0] = rarity(values[known], bars.timeframe).whole >= ABNORMAL * DEPTH_OF_ONE
    return told


PANEL = {one: PanelColumns(_member, 1, WINDOWS[one].warmup, WINDOWS[one].warmup) for one in MEASURED}
