"""How much a row of bars can be trusted, from the bars up to it: a score in [0, 1], 1 where nothing is to be said.

The score is 1 less a penalty for each thing seen, never below 0. The penalties are our judgement; what they are made
to do is below each. Checklist row C11: rows above 0.9 train, an alert goes out below 80% of such rows.
"""

from __future__ import annotations

import numpy as np

from market.bar_table import Mask, consistent
from market.calendar import missing_before
from ml.bars import WEEK_MS, Bars, Floats, Timeframe
from ml.exact import rolling_mean

#: Rows with a score above this may train.
USABLE = 0.9

#: Per expected bar missing just before, and at most: one lost hour may train, three may not.
GAP_PENALTY, GAP_PENALTY_MOST = 0.04, 0.30
#: The same five numbers as the bar before: a feed that repeats itself.
REPEATED_PENALTY = 0.50
#: Nothing traded. The price is somebody's guess.
NO_VOLUME_PENALTY = 0.20
#: high == low. Happens in thin markets, so it does not exclude a row on its own.
FLAT_PENALTY = 0.05
#: Excursion (the farther of high and low from the close before, in logs) in units of the mean absolute log return of
#: the bars before. A crash is real and must train: only with another fault does an extreme move exclude a row.
EXTREME_MOVE, EXTREME_PENALTY = 15.0, 0.08
#: Beyond 50 units AND half the price it is a split that nobody adjusted, or a bad print. Units alone do not tell: true
#: hourly moves of coins reached 118 of them, and the franc 260 when its peg was given up.
ABSURD_MOVE, ABSURD_EXCURSION, ABSURD_PENALTY = 50.0, 0.40, 0.50

#: Returns that make up a series' own scale; with any of them missing, moves are not judged.
SCALE_WINDOW = 96


def context(timeframe: Timeframe) -> int:
    """How many bars before a bar its score reads at most: a score from this tail equals the one from all history."""
    return max(3 * WEEK_MS // timeframe.milliseconds, SCALE_WINDOW + 1) + 1


def scores(bars: Bars) -> Floats:
    """Score of each bar, shape (n,). Causal, and the same for prices in any unit of money.

    Rows that could not have passed the checks of a table (NaN, no positive price, high below low) score 0.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        sound = consistent(bars) & (np.minimum(bars.low, bars.close) > 0) & np.isfinite(bars.high)
        excursion = _excursions(bars)
        moved = excursion / _own_scale(bars)
    penalty = np.minimum(GAP_PENALTY * missing_before(bars)[1], GAP_PENALTY_MOST)
    penalty[1:] += REPEATED_PENALTY * _repeated(bars)
    penalty += NO_VOLUME_PENALTY * ~(bars.volume > 0)
    penalty += FLAT_PENALTY * (bars.high == bars.low)
    absurd = (moved >= ABSURD_MOVE) & (excursion >= ABSURD_EXCURSION)
    penalty += np.where(absurd, ABSURD_PENALTY, EXTREME_PENALTY * (moved >= EXTREME_MOVE))
    return np.where(sound & np.isfinite(bars.volume), np.maximum(1.0 - penalty, 0.0), 0.0)


def _excursions(bars: Bars) -> Floats:
    """How far high or low went from the close before, in logs, shape (n,); 0 for the first bar."""
    result = np.zeros(len(bars))
    before = bars.close[:-1]
    result[1:] = np.maximum(np.log(bars.high[1:] / before), -np.log(bars.low[1:] / before))
    return result


def _own_scale(bars: Bars) -> Floats:
    """Mean absolute log return of the bars before, shape (n,); infinite where it is not known yet, or zero."""
    result = np.full(len(bars), np.inf)
    if len(bars) > SCALE_WINDOW + 1:
        returns = np.abs(np.log(bars.close[1:] / bars.close[:-1]))
        scale = rolling_mean(returns, SCALE_WINDOW)[:-1]  # shifted: a move is not part of the scale that judges it
        result[2:] = np.where(scale > 0, scale, np.inf)
    return result


def _repeated(bars: Bars) -> Mask:
    columns = np.stack([bars.open, bars.high, bars.low, bars.close, bars.volume])
    same: Mask = (columns[:, 1:] == columns[:, :-1]).all(axis=0)
    return same
