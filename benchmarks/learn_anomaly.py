"""What an alarm adds to a volatility forecast: measured, and so far nothing.

    python -m benchmarks.learn_anomaly --data DIR [--every 6]

ln RV over the next 24 h less ln of the volatility rules' forecast, on 24 hourly coins. Bars are grouped by the anomaly
rules' score, below .5, .5-.6, .6-.8, .8 and above; each group's forecast is multiplied by one number, fitted to 2021 by
least QLIKE, and judged from 2022 on. Intervals: bootstrap over calendar weeks.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.fit_anomaly_rules import PERPS, SPOT, milliseconds, series
from benchmarks.skill_table import Column, Figure, Line, Table
from ml.anomaly.kernel import kernel
from ml.anomaly.tails import rarity
from ml.bars import Bars, Floats, Instants, Timeframe
from ml.capability import Given
from ml.evaluation.weeks import block_of
from ml.timeline import StillMarket
from ml.volatility import VOLATILITY, VolatilityQuestion
from ml.volatility.features import FEATURES
from ml.volatility.truth import SMALLEST_TRUTH

EDGES = (0.5, 0.6, 0.8)
NAMES = ("score under .5", ".5 to .6", ".6 to .8", ".8 and above")
LARGEST_RATIO = 20.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the market data (it holds ohlcv/)")
    parser.add_argument("--every", type=int, default=6, help="ask at every n-th bar, and at all with a score of .5")
    asked = parser.parse_args()
    print(null(asked.data, asked.every).markdown())


def null(data: Path, every: int) -> Table:
    parts = [_pairs(bars, every) for file in (*SPOT, *PERPS) for bars in series(data, file, Timeframe.H1)]
    ratio, score, at, weight = (np.concatenate(one) for one in zip(*parts, strict=True))
    group = np.searchsorted(EDGES, score, side="right")
    late = at >= milliseconds("2022-01-01")
    factor = np.array([_level(*(one[~late & (group == g)] for one in (ratio, weight))) for g in range(len(NAMES))])
    base = _level(ratio[~late], weight[~late])
    lines = []
    for g, name in [(None, "all bars"), *enumerate(NAMES)]:
        here = late & (group == g) if g is not None else late
        plain, told = _qlike(ratio[here] / base), _qlike(ratio[here] / factor[group[here]])
        low, high = _interval(told * weight[here], plain * weight[here], block_of(at[here]))
        point = float((told * weight[here]).sum() / (plain * weight[here]).sum())
        lines.append(
            Line(
                name,
                (
                    Figure(float(here.sum())),
                    Figure(factor[g] / base if g is not None else 1.0),
                    Figure(point, low, high),
                ),
            )
        )
    return Table(
        "QLIKE of the 24 h volatility rules that know the score, over those that do not, 24 coins, 2022-01 to 2024-06",
        (Column("bars", 0), Column("factor fitted to 2021", 2), Column("loss ratio")),
        tuple(lines),
    )


def _pairs(bars: Bars, every: int) -> tuple[Floats, Floats, Instants, Floats]:
    """RV over its forecast, the score, when asked, and how many bars each stands for."""
    values = kernel(bars, None)
    known = ~np.isnan(values[:, 0])
    score = np.full(len(bars), np.nan)
    score[known] = rarity(values[known], bars.timeframe).whole / 4.0
    chosen = np.flatnonzero(known & ((np.arange(len(bars)) % every == 0) | (score >= EDGES[0])))
    questions = [VolatilityQuestion(symbol=bars.symbol)] * len(chosen)
    market, closes = StillMarket.of(bars), bars.close_at[chosen]
    rows = FEATURES.rows_of_rules(questions, closes, market)
    truths = VOLATILITY.truth(questions, closes, market)
    fit = [i for i, one in enumerate(truths) if one is not None and rows.cannot[i] is None]
    said = dict(zip(fit, VOLATILITY.rules.predict(rows.pick(fit)), strict=True))
    ratio = {
        i: max(float(truths[i] or 0.0), SMALLEST_TRUTH) / one.answer.var
        for i, one in said.items()
        if isinstance(one, Given)
    }
    at = np.array(list(ratio), dtype=np.int64)
    weight = np.where(score[chosen[at]] >= EDGES[0], 1.0, float(every))
    return np.array(list(ratio.values())), score[chosen[at]], closes[at], weight


def _level(ratio: Floats, weight: Floats) -> float:
    """The multiplier of least QLIKE: the mean ratio, capped."""
    return float(np.average(np.minimum(ratio, LARGEST_RATIO), weights=weight))


def _qlike(ratio: Floats) -> Floats:
    return np.asarray(ratio - np.log(ratio) - 1.0)


def _interval(told: Floats, plain: Floats, week: Instants) -> tuple[float, float]:
    _, member = np.unique(week, return_inverse=True)
    mine, other = np.bincount(member, told), np.bincount(member, plain)
    draws = np.random.default_rng(7).integers(0, len(mine), (1_000, len(mine)))
    low, high = np.quantile(mine[draws].sum(axis=1) / other[draws].sum(axis=1), (0.025, 0.975))
    return float(low), float(high)


if __name__ == "__main__":
    main()
