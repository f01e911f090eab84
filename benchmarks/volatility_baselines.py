"""What the textbooks forecast: rolling variance, EWMA, GARCH(1,1)-t and EGARCH(1,1)-t, one fit per symbol.

GARCH and EGARCH are fitted once, on the three years or fewer before those that are judged, and filtered through these;
their forecasts are of many steps. All are as textbooks have them: means that nothing rescales.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from arch import arch_model

from benchmarks.learn_volatility import Table
from benchmarks.skill_volatility import qlike
from ml.bars import DAY_MS, Bars, Floats, Instants
from ml.volatility.truth import SMALLEST_TRUTH

#: What GARCH and EGARCH are fitted on: this long before the years that are judged.
FITTED_DAYS = 3 * 366
ROLLING = 24
DECAY = 0.985
#: Returns beyond this many standard deviations of the symbol are taken for it, as the filters' input alone.
LARGEST_MOVE = 30.0
#: Paths of resampled residuals, and the values of ln variance from which they start; between them is interpolated.
PATHS = 2_000
STARTS = np.linspace(-9.0, 4.0, 65)
#: Shocks of the paths beyond this count as this: an EGARCH takes the exponential of them.
LARGEST_SHOCK = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class _Series:
    """Returns of one symbol in its own standard deviations (`arch` wants them near 1), and how many of them are early:
    what a fit may see."""

    symbol: str
    close_at: Instants
    moves: Floats
    unit: float
    early: int


def losses(bars: list[Bars], asked: Table, begin: int) -> Mapping[str, Floats]:
    """QLIKE of each baseline on the rows of `asked`, (n,) each. Fits see bars closed by `begin` (ms) alone."""
    series = [_series(one, begin) for one in bars]
    most = int(asked.hours.max())
    return {
        who: qlike(asked.truths, _forecast(series, [steps(one, most) for one in series], asked))
        for who, steps in BASELINES.items()
    }


def _series(bars: Bars, begin: int) -> _Series:
    first, early = np.searchsorted(bars.close_at, [begin - FITTED_DAYS * DAY_MS, begin], side="right").tolist()
    logs = np.log(bars.close[first:])
    change = np.diff(logs, prepend=logs[:1])
    unit = float(np.std(change[: early - first]))
    moves = np.clip(change / unit, -LARGEST_MOVE, LARGEST_MOVE)
    return _Series(bars.symbol, bars.close_at[first:], moves, unit, early - first)


def _forecast(series: list[_Series], variances: list[Floats], asked: Table) -> Floats:
    """Mean forecast of RV_h of each row, from `variances` (bars, steps): of each step after each bar, in units."""
    symbols = np.array([question.symbol for question in asked.rows.questions])
    result = np.full(len(symbols), np.nan)
    for one, steps in zip(series, variances, strict=True):
        here = np.flatnonzero(symbols == one.symbol)
        newest = np.searchsorted(one.close_at, asked.rows.as_of[here], side="right") - 1
        total = np.cumsum(steps, axis=1) * one.unit**2
        result[here] = total[newest, asked.hours[here].astype(np.int64) - 1]
    return np.asarray(np.maximum(result, SMALLEST_TRUTH))


def _rolling(one: _Series, most: int) -> Floats:
    total = np.concatenate([[0.0], np.cumsum(one.moves**2)])
    mean = np.zeros(len(one.moves))
    mean[ROLLING - 1 :] = (total[ROLLING:] - total[:-ROLLING]) / ROLLING
    return np.repeat(mean[:, None], most, axis=1)


def _ewma(one: _Series, most: int) -> Floats:
    mean = np.empty(len(one.moves))
    last = 1.0
    for i, squared in enumerate((one.moves**2).tolist()):
        last = DECAY * last + (1.0 - DECAY) * squared
        mean[i] = last
    return np.repeat(mean[:, None], most, axis=1)


def _garch(one: _Series, most: int) -> Floats:
    (omega, alpha, beta, _), variance, _ = _filtered(one, "GARCH", 0)
    result = np.empty((len(variance), most))
    for step in range(most):
        result[:, step] = variance
        variance = omega + (alpha + beta) * variance
    return result


def _egarch(one: _Series, most: int) -> Floats:
    """By paths: the residuals of the fit drawn anew, for a t of 3 degrees has no mean of its exponential."""
    (omega, alpha, gamma, beta, _), variance, residuals = _filtered(one, "EGARCH", 1)
    shocks = np.random.default_rng(7).choice(residuals, (most, PATHS)).clip(-LARGEST_SHOCK, LARGEST_SHOCK)
    state = np.repeat(STARTS[:, None], PATHS, axis=1)
    ahead = np.empty((len(STARTS), most))
    for step, drawn in enumerate(shocks):
        ahead[:, step] = np.exp(state).mean(axis=1)
        state = omega + beta * state + alpha * (np.abs(drawn) - _MEAN_OF_NORMAL) + gamma * drawn
    at = np.log(variance)
    return np.column_stack([np.exp(np.interp(at, STARTS, np.log(of_step))) for of_step in ahead.T])


#: `arch` centres |shock| by the mean of a normal one.
_MEAN_OF_NORMAL = float(np.sqrt(2.0 / np.pi))

#: Variance of each of the next steps after each bar, (bars, steps), in units of the symbol.
BASELINES: Mapping[str, Callable[[_Series, int], Floats]] = {
    "rolling std 24 h": _rolling,
    "EWMA .985": _ewma,
    "GARCH(1,1)-t": _garch,
    "EGARCH(1,1)-t": _egarch,
}


def _filtered(one: _Series, form: Literal["GARCH", "EGARCH"], signed: int) -> tuple[list[float], Floats, Floats]:
    """Parameters of the early years, the variance of the bar after each bar, and the residuals of the early years."""
    model = arch_model(one.moves[: one.early], mean="Zero", dist="t", rescale=False, vol=form, p=1, o=signed, q=1)
    params = model.fit(disp="off", show_warning=False).params  # of a fit that stops early, its loss tells
    through = arch_model(
        np.append(one.moves, 0.0), mean="Zero", dist="t", rescale=False, vol=form, p=1, o=signed, q=1
    ).fix(params)
    deviation = np.asarray(through.conditional_volatility, dtype=np.float64)
    residuals = one.moves[: one.early] / deviation[: one.early]
    return params.tolist(), deviation[1:] ** 2, residuals
