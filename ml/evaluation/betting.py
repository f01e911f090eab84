"""Evidence that may be looked at whenever one likes: a bettor's wealth against "the challenger is not better".

The bettor stakes part of the wealth on each block of time before it is settled. If the challenger is no better, the
wealth is a supermartingale: the chance that it ever reaches 1/alpha is at most alpha, however often one looks (Ville
1939; Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting"; Choe and Ramdas 2024,
"Comparing sequential forecasters").

Blocks are the unit, not answers: answers overlap, and all symbols shake together. With blocks of a week and horizons up
to 48 h, a block shares at most two days in seven of bars with its neighbour; what dependence that and lasting moods of
the market leave between blocks is estimated (AR(1), bias-corrected) and divides the log of the wealth. That correction
is an approximation, like the scale; both are held to their rate by simulation in `tests/test_gate_simulated.py`. Known
limit: weekly differences skewed like a lognormal against the challenger promote an equal one in 8% of two-year looks.
"""

from __future__ import annotations

import numpy as np

from ml.bars import Floats

#: Nothing is staked on the first blocks: they only show how much differences scatter.
BURN_IN = 4
#: A difference counts up to 2.5 standard deviations of those before it in favour, and 3.75 against: a rare bad week
#: weighs more than a rare good one. Chosen by simulation, for power at an honest rate under skewed differences.
SCALE = 2.5
WORST = 1.5
#: Where differences hardly scatter, their scatter counts as this share of their size: wealth must not hang on rounding.
LEAST_SCATTER = 0.1
#: Shares of the largest stake; wealth is the mean over bettors who each keep to one (a universal portfolio).
STAKES = (0.3, 0.6, 0.9)
#: Above this no finite sample would tell anything.
MOST_CORRELATION = 0.9


def log_wealth(differences: Floats) -> Floats:
    """Natural log of the wealth after each block, shape (..., n), from differences of mean losses (other less mine,
    any unit), same shape. Positive favours the challenger; at log(1/alpha) the claim is made at level alpha."""
    path = _won(_stakeable(differences))
    return np.asarray(path / _inflation(differences), dtype=np.float64)


def _stakeable(differences: Floats) -> Floats:
    """Differences in [-WORST, 1], by a scatter that was known before each of them."""
    n = differences.shape[-1]
    before = np.maximum(np.arange(n), 1)
    squares = np.cumsum(differences**2, axis=-1) - differences**2
    mean = (np.cumsum(differences, axis=-1) - differences) / before
    variance = (squares - before * mean**2) / np.maximum(before - 1, 1)
    scatter = np.sqrt(np.maximum(variance, LEAST_SCATTER**2 * squares / before))
    told = (scatter > 0.0) & (np.arange(n) >= BURN_IN)
    scaled = np.divide(differences, SCALE * scatter, out=np.zeros(differences.shape), where=told)
    return np.asarray(np.clip(scaled, -WORST, 1.0), dtype=np.float64)


def _won(x: Floats) -> Floats:
    stakes = np.array(STAKES) / WORST
    paths = np.stack([np.cumsum(np.log1p(stake * x), axis=-1) for stake in stakes])
    top = paths.max(axis=0)
    return np.asarray(top + np.log(np.mean(np.exp(paths - top), axis=0)))


def _inflation(differences: Floats) -> Floats:
    """By how much neighbours that resemble each other inflate the variance of a mean, at least 1, after each block:
    (1 + r) / (1 - r) of a first-order autoregression; r raised by its bias, (1 + 3 r) / n (Marriott and Pope 1954)."""
    n = differences.shape[-1]
    count = np.arange(1, n + 1)
    mean = np.cumsum(differences, axis=-1) / count
    squares = np.cumsum(differences**2, axis=-1)
    spread = squares - count * mean**2
    neighbours = np.zeros(differences.shape)
    neighbours[..., 1:] = np.cumsum(differences[..., 1:] * differences[..., :-1], axis=-1)
    ends = differences[..., :1] + differences
    covariance = neighbours - mean * (2.0 * count * mean - ends) + (count - 1) * mean**2
    told = (spread > 1e-9 * squares) & (count >= BURN_IN)  # less is rounding
    r = np.divide(covariance, spread, out=np.zeros(differences.shape), where=told)
    r = np.clip(r + (1.0 + 3.0 * r) / np.maximum(count, BURN_IN), 0.0, MOST_CORRELATION)
    return np.asarray((1.0 + r) / (1.0 - r))
