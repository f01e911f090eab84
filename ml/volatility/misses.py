"""How far a plain forecast missed on the symbol's own last weeks: what tells how wide a band has to be today.

A row holds no past answers. So a forecast that every bar has stands for them: the ranges of its last 6, 24 and 168
hours, and the season. Wherever the h hours after it have closed, its miss is known. Where such misses lay far apart of
late, those of a better forecast do too (conformal prediction, with scores taken from bars alone).
"""

from __future__ import annotations

import numpy as np

from ml.bars import Floats, Instants
from ml.exact import Sums

#: Misses of two weeks and of two months.
WINDOWS = (336, 1440)
MISS_NAMES = (*(f"misses_spread_{w}" for w in WINDOWS), *(f"misses_mean_{w}" for w in WINDOWS))
#: Where fewer are known: what is usual.
USUAL_SPREAD, USUAL_MEAN = -0.4, 0.0
_ROOTS = ((6, 0.25), (24, 0.375), (168, 0.375))
#: Misses and their means beyond this, in ln variance, count as this.
_LARGEST_MISS, _LARGEST_MEAN = 6.0, 0.5
_SMALLEST = 1e-12
#: Variance of misses under which they do not differ.
_FLOOR = 0.01


def misses(roots: Sums, realised: Floats, season: Floats, ahead: int, at: Instants | None = None) -> list[Floats]:
    """`MISS_NAMES`: ln standard deviation, and mean, of ln RV_h over the plain forecast h bars before, for the rows at
    positions `at` (all where None), shape (len(at),) each.

    `roots`: of each bar's variance. `realised`: RV of the `ahead` bars that end at each. `season`: ln factor of the
    `ahead` bars after it. A window that is not known falls back on the shorter one, and that on what is usual.
    """
    forecast = sum(share * roots.mean(window) for window, share in _ROOTS)
    logs = 2.0 * np.log(np.maximum(forecast, _SMALLEST)) + season
    miss = np.full(len(realised), np.nan)
    miss[ahead:] = np.log(np.maximum(realised[ahead:], _SMALLEST) / ahead) - logs[:-ahead]
    scaled = np.clip(miss, -_LARGEST_MISS, _LARGEST_MISS) / _LARGEST_MISS
    n = len(realised) if at is None else len(at)
    firsts, squares = Sums.of(scaled), Sums.of(scaled * scaled)
    means, spreads = [np.full(n, USUAL_MEAN)], [np.full(n, USUAL_SPREAD)]
    for window in WINDOWS:
        mean = firsts.mean(window, at) * _LARGEST_MISS
        square = squares.mean(window, at) * _LARGEST_MISS**2
        spread = 0.5 * np.log(np.maximum(square - mean * mean, 0.0) + _FLOOR)
        means.append(_else(np.clip(mean, -_LARGEST_MEAN, _LARGEST_MEAN), means[-1]))
        spreads.append(_else(spread, spreads[-1]))
    return [*spreads[1:], *means[1:]]


def _else(values: Floats, other: Floats) -> Floats:
    return np.where(np.isnan(values), other, values)
