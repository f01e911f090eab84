"""Skill of the volatility rules on years they were not fitted on, against a pooled log-HAR.

    python -m benchmarks.skill_volatility --data DIR [--every 1]

The baseline regresses ln RV_h on the logs of the mean squared return over 24/168/720 bars (daily: 1/5/22), all symbols
together, on the window in which our constants were fitted, and is rescaled to a mean ratio of 1 (ratios capped at 20).
Intervals: bootstrap over calendar weeks, all symbols of a week together, 1,000 draws, 2.5% to 97.5%.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.asked_rows import Asked
from benchmarks.fit_volatility_rules import LARGEST_RATIO, SAMPLES, Sample, ask
from benchmarks.price_files import FX_FILES, PERP_FILES, instant, read
from benchmarks.skill_table import Table
from ml.bars import WEEK_MS, Bars, Floats
from ml.capability import Given, Rows
from ml.volatility import VolatilityAnswer, VolatilityQuestion
from ml.volatility.kernel import NAMES
from ml.volatility.question import Horizon, horizons_on
from ml.volatility.rules import VolatilityRules
from ml.volatility.truth import SMALLEST_TRUTH

DRAWS = 1_000
#: Quarters are counted as 13 weeks.
QUARTER_MS = 13 * WEEK_MS


@dataclass(frozen=True, slots=True)
class Stage:
    """Files on which the rules are judged, [start, stop), and the sample on which the baseline is fitted."""

    title: str
    fitted_on: Sample
    files: tuple[str, ...]
    start: str
    stop: str


_CRYPTO, _FX, _CRYPTO_DAYS, _INDEX = SAMPLES
STAGES = (
    Stage("crypto, fitted coins", _CRYPTO, _CRYPTO.files, "2022-01-01", "2024-07-01"),
    Stage("crypto, other coins", _CRYPTO, PERP_FILES, "2022-01-01", "2024-07-01"),
    Stage("crypto, all", _CRYPTO, _CRYPTO.files + PERP_FILES, "2022-01-01", "2024-07-01"),
    Stage("FX", _FX, FX_FILES, "2016-01-01", "2019-01-01"),
    Stage("index, daily", _INDEX, _INDEX.files, "2010-01-01", "2017-01-01"),
    Stage("crypto, daily", _CRYPTO_DAYS, _CRYPTO.files + PERP_FILES, "2022-01-01", "2024-07-01"),
)


@dataclass(frozen=True, slots=True)
class Skill:
    """One row of the table. `ratio` is QLIKE of the rules over that of the baseline, `low`, `high` its 95% interval."""

    rows: int
    weeks: int
    baseline: float
    rules: float
    ratio: float
    low: float
    high: float
    bias: float
    cover80: float
    cover90: float
    worst_quarter: float
    worst_symbol: float


def table(data: Path, stages: tuple[Stage, ...] = STAGES, every: int = 1) -> str:
    """The record as a Markdown table, one row per stage and horizon."""
    lines = [
        "| | horizon | rows | weeks | log-HAR | rules | ratio [95%] | mean RV/F | 80% band | 90% band | worst quarter "
        "| worst symbol |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for stage in stages:
        for horizon in horizons_on(stage.fitted_on.timeframe):
            s = skill(data, stage, horizon, every)
            lines.append(
                f"| {stage.title} | {horizon} | {s.rows:,} | {s.weeks} | {s.baseline:.3f} | {s.rules:.3f} "
                f"| {s.ratio:.3f} [{s.low:.3f}, {s.high:.3f}] | {s.bias:.2f} | {s.cover80:.3f} | {s.cover90:.3f} "
                f"| {s.worst_quarter:.3f} | {s.worst_symbol:.3f} |"
            )
    return "\n".join(lines)


def tables(data: Path) -> Iterator[Table]:
    """The model beside the rules, the specification and the goals, on late years: for `make skill`."""
    from benchmarks import volatility_lines  # which reads this file's scores

    return volatility_lines.tables(data)


def skill(data: Path, stage: Stage, horizon: Horizon, every: int = 1) -> Skill:
    """The record of one stage and horizon, every `every`-th bar asked."""
    fitted_on = stage.fitted_on
    early = _bars(data, fitted_on.files, fitted_on)
    start, stop = fitted_on.window
    baseline = fit_log_har(*_har_inputs(early, ask(early, horizon, start, stop - horizon.milliseconds, every), horizon))
    late = _bars(data, stage.files, fitted_on)
    asked = _known(ask(late, horizon, instant(stage.start), instant(stage.stop), every))
    har, _ = _har_inputs(late, asked, horizon)
    answers = _answers(asked, horizon)
    forecast = np.array([one.var for one in answers])
    ours, theirs = qlike(asked.truths, forecast), qlike(asked.truths, np.exp(har @ baseline))
    week = asked.as_of // WEEK_MS
    low, high = interval(ours, theirs, week)
    inside80 = _inside(asked.truths, [one.q10 for one in answers], [one.q90 for one in answers])
    inside90 = _inside(asked.truths, [one.q05 for one in answers], [one.q95 for one in answers])
    return Skill(
        rows=len(asked.truths),
        weeks=len(np.unique(week)),
        baseline=float(theirs.mean()),
        rules=float(ours.mean()),
        ratio=float(ours.mean() / theirs.mean()),
        low=low,
        high=high,
        bias=float(np.mean(asked.truths / forecast)),
        cover80=float(inside80.mean()),
        cover90=float(inside90.mean()),
        worst_quarter=_worst(inside80, (asked.as_of - instant(stage.start)) // QUARTER_MS, fewest=0.02),
        worst_symbol=_worst(inside80, asked.symbols, fewest=0.0),
    )


def qlike(truths: Floats, forecast: Floats) -> Floats:
    """The capability's loss, row by row."""
    ratio = np.maximum(truths, SMALLEST_TRUTH) / forecast
    return ratio - np.log(ratio) - 1.0


def fit_log_har(columns: Floats, truths: Floats) -> Floats:
    """Weights of ln F = columns b: least squares on ln RV, then rescaled to a mean (capped) ratio of 1."""
    floor = np.maximum(truths, SMALLEST_TRUTH)
    found: Floats = np.linalg.lstsq(columns, np.log(floor), rcond=None)[0].astype(np.float64)
    for _ in range(20):
        ratio = np.minimum(np.exp(np.log(floor) - columns @ found), LARGEST_RATIO)
        found[0] += np.log(ratio.mean())
    return found


def interval(ours: Floats, theirs: Floats, week: NDArray[np.int64]) -> tuple[float, float]:
    """95% interval of mean(ours) / mean(theirs), by bootstrap over weeks."""
    _, member = np.unique(week, return_inverse=True)
    mine, other = np.bincount(member, ours), np.bincount(member, theirs)
    draws = np.random.default_rng(7).integers(0, len(mine), (DRAWS, len(mine)))
    low, high = np.quantile(mine[draws].sum(axis=1) / other[draws].sum(axis=1), (0.025, 0.975))
    return float(low), float(high)


def _bars(data: Path, files: tuple[str, ...], sample: Sample) -> list[Bars]:
    return [read(data, file, sample.timeframe) for file in files]


def _har_inputs(bars: list[Bars], asked: Asked, horizon: Horizon) -> tuple[Floats, Floats]:
    """Columns of the baseline (1, and ln of h x mean squared return over three windows) and the truths, where known."""
    asked = _known(asked)
    columns = np.ones((len(asked.truths), 4))
    windows = (24, 168, 720) if horizon.bars > 5 else (1, 5, 22)
    for one, (k, window) in product(bars, enumerate(windows, start=1)):
        here = asked.symbols == one.symbol
        squared = np.diff(np.log(one.close), prepend=np.nan) ** 2
        squared[0] = 0.0
        total = np.concatenate([[0.0], np.cumsum(squared)])
        end = np.searchsorted(one.close_at, asked.as_of[here], side="right")
        mean = np.maximum((total[end] - total[end - window]) / window, SMALLEST_TRUTH)
        columns[here, k] = np.log(horizon.bars * mean)
    return columns, asked.truths


def _known(asked: Asked) -> Asked:
    ok = np.isfinite(asked.truths)
    return asked.at(ok)


def _answers(asked: Asked, horizon: Horizon) -> list[VolatilityAnswer]:
    questions = tuple(VolatilityQuestion(symbol=symbol, horizon=horizon) for symbol in asked.symbols.tolist())
    rows = Rows(NAMES, asked.values, questions, asked.as_of, asked.as_of, (None,) * len(questions))
    outcomes = VolatilityRules().predict(rows)
    return [one.answer for one in outcomes if isinstance(one, Given)]


def _inside(truths: Floats, low: list[float], high: list[float]) -> Floats:
    return ((truths >= np.array(low)) & (truths <= np.array(high))).astype(np.float64)


def _worst(inside: Floats, group: NDArray[np.generic], fewest: float) -> float:
    """Lowest coverage of a group that holds more than `fewest` of the rows."""
    _, member = np.unique(group, return_inverse=True)
    count = np.bincount(member)
    mean = np.bincount(member, inside) / count
    return float(mean[count > fewest * len(inside)].min())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the market data (it holds ohlcv/)")
    parser.add_argument("--every", type=int, default=1, help="ask at every n-th bar only (default 1)")
    asked = parser.parse_args()
    print(table(asked.data, every=asked.every))


if __name__ == "__main__":
    main()
