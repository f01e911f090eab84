"""The record of the regime rules on years after those they were fitted on, with week-block bootstrap intervals.

    python -m benchmarks.skill_regime --data DIR

Rows are hours (or days) that have a final truth; weeks are the sample, all symbols of a week together. Beside version 0
stand the climatology (early frequencies) and a textbook rule: ADX(14) above 25 is a trend, else ATR(14) high or low
against 1,440 bars; its probabilities are its own early frequencies by label, as theirs would be fitted. "Version 0,
label table" is version 0 with such a plain 5 x 5 table too, which is how the specification measured it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import talib

from benchmarks.fit_regime_rules import CRYPTO, FX, INDEX, Judged, Panel, judge, load
from ml.bars import WEEK_MS, Bars, Floats
from ml.regime.formula import (
    CONSOLIDATION,
    HIGH_FROM_V,
    HIGH_VOLATILITY,
    LABELS,
    QUIET_TO_V,
    RANGE_BOUND,
    TREND_DOWN,
    TREND_UP,
    Codes,
    codes,
    percentile,
)
from ml.regime.rules import MOST_MISSING
from ml.regime.table import probabilities

ADX_BARS, ADX_TREND = 14, 25.0
DRAWS, SEED = 500, 20261120
BINS = 10
_CLASSES = len(LABELS)


@dataclass(frozen=True, slots=True, eq=False)
class Announced:
    """Labels (n,) and probabilities (n, 5) of one predictor on rows that share truth, week and series."""

    name: str
    label: Codes
    p: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What the predictors are judged on: columns of one length, symbols one after another."""

    truth: Codes
    week: Codes
    series: Codes


def table(data: Path) -> str:
    """The record as a Markdown table: one block of rows per market, 95% intervals in brackets."""
    lines = [
        "| market | predictor | macro-F1 | log-loss | ECE | switches per 168 bars |",
        "|---|---|---|---|---|---|",
    ]
    for panel in (CRYPTO, FX, INDEX):
        lines += _panel(data, panel)
    return "\n".join(lines)


def sample(rows: Sequence[Judged]) -> Sample:
    return Sample(
        np.concatenate([one.truth for one in rows]),
        np.concatenate([one.as_of // WEEK_MS for one in rows]),
        np.concatenate([np.full(len(one.truth), i) for i, one in enumerate(rows)]),
    )


def version_0(rows: Sequence[Judged]) -> Announced:
    z, v, sessions = (np.concatenate([one.column(name) for one in rows]) for name in ("z", "v", "sessions"))
    return Announced("version 0", codes(z, v), probabilities(z, v, sessions))


def scores(of: Announced, on: Sample) -> tuple[Floats, Floats]:
    """Point estimates and 95% intervals, shapes (4,) and (2, 4): macro-F1, log-loss, ECE, switches per 168 bars."""
    weeks, week = np.unique(on.week, return_inverse=True)
    sums = _weekly(of, on, week, len(weeks))
    draws = np.random.default_rng(SEED).multinomial(len(weeks), np.full(len(weeks), 1 / len(weeks)), size=DRAWS)
    drawn = np.stack([_from_sums(times @ sums) for times in draws])
    return _from_sums(sums.sum(axis=0)), np.quantile(drawn, [0.025, 0.975], axis=0)


def _panel(data: Path, panel: Panel) -> list[str]:
    early: list[Judged] = []
    late: list[Judged] = []
    early_adx: list[Codes] = []
    late_adx: list[Codes] = []
    for bars in load(data, panel, panel.judged_to):
        stop = int(np.searchsorted(bars.close_at, np.datetime64(panel.judged_from, "ms").astype(np.int64), "right"))
        for part, start, rows, rivals in (
            (bars.between(0, stop), panel.fitted_from, early, early_adx),
            (bars, panel.judged_from, late, late_adx),
        ):
            one, adx = _answerable(part, start)
            rows.append(one)
            rivals.append(adx)
    on, past = sample(late), sample(early)
    usual = np.bincount(past.truth, minlength=_CLASSES) / len(past.truth)
    constant = Announced("climatology", np.full(len(on.truth), int(usual.argmax())), np.tile(usual, (len(on.truth), 1)))
    textbook = _by_own_label("ADX and ATR", np.concatenate(early_adx), past.truth, np.concatenate(late_adx))
    own = version_0(late)
    plain = _by_own_label("version 0, label table", version_0(early).label, past.truth, own.label)
    announced = (constant, textbook, plain, own)
    lines = [_line(panel, one, on) for one in announced]
    weeks = len(np.unique(on.week))
    lines.append(f"| | *{len(late)} symbols, {weeks} weeks, {len(on.truth):,} bars, {panel.judged_from} on* | | | | |")
    return lines


def _line(panel: Panel, announced: Announced, on: Sample) -> str:
    points, bounds = scores(announced, on)
    digits = (3, 3, 3, 1)
    cells = [
        f"{point:.{d}f} [{low:.{d}f}, {high:.{d}f}]"
        for point, low, high, d in zip(points, *bounds, digits, strict=True)
    ]
    return f"| {panel.title} | {announced.name} | " + " | ".join(cells) + " |"


def _answerable(bars: Bars, start: str) -> tuple[Judged, Codes]:
    """Rows that the rules answer, and what the textbook rule says on the same rows."""
    rows = judge(bars, start)
    keep = rows.column("missing_bars") <= MOST_MISSING
    at = np.searchsorted(bars.close_at, rows.as_of[keep])
    return Judged(rows.symbol, rows.as_of[keep], rows.features[keep], rows.truth[keep]), _adx(bars)[at]


def _adx(bars: Bars) -> Codes:
    columns = (bars.high, bars.low, bars.close)
    adx, up, down = (f(*columns, timeperiod=ADX_BARS) for f in (talib.ADX, talib.PLUS_DI, talib.MINUS_DI))
    atr = talib.ATR(*columns, timeperiod=ADX_BARS) / bars.close
    level = percentile(atr, atr)
    trend = np.where(up > down, TREND_UP, TREND_DOWN)
    calm = np.where(level <= QUIET_TO_V, CONSOLIDATION, RANGE_BOUND)
    return np.where(level >= HIGH_FROM_V, HIGH_VOLATILITY, np.where(adx > ADX_TREND, trend, calm))


def _by_own_label(name: str, early: Codes, truth: Codes, late: Codes) -> Announced:
    """Labels with the frequencies that the truth had under each of them in the early years."""
    counts = np.ones((_CLASSES, _CLASSES))
    np.add.at(counts, (early, truth), 1.0)
    return Announced(name, late, (counts / counts.sum(axis=1, keepdims=True))[late])


def _weekly(of: Announced, on: Sample, week: Codes, weeks: int) -> Floats:
    """Per week the sums that every score is made of: hits, truths and labels by class, loss, calibration, switches."""
    n = len(on.truth)
    own = of.p[np.arange(n), of.label]
    hit = of.label == on.truth
    bins = np.minimum((own * BINS).astype(np.int64), BINS - 1)
    switched = np.zeros(n)
    switched[1:] = (of.label[1:] != of.label[:-1]) & (on.series[1:] == on.series[:-1])
    one_hot = np.eye(_CLASSES)
    in_bin = np.eye(BINS)[bins]
    columns = np.column_stack(
        [
            one_hot[on.truth] * hit[:, None],
            one_hot[on.truth] + one_hot[of.label],
            in_bin * (own - hit)[:, None],
            -np.log(of.p[np.arange(n), on.truth]),
            switched,
            np.ones(n),
        ]
    )
    sums = np.zeros((weeks, columns.shape[1]))
    np.add.at(sums, week, columns)
    return sums


def _from_sums(sums: Floats) -> Floats:
    hits, both = sums[:_CLASSES], sums[_CLASSES : 2 * _CLASSES]
    gaps = sums[2 * _CLASSES : 2 * _CLASSES + BINS]
    losses, switches, n = sums[2 * _CLASSES + BINS :]
    f1 = np.divide(2 * hits, both, out=np.zeros(_CLASSES), where=both > 0).mean()
    return np.array([f1, losses / n, np.abs(gaps).sum() / n, switches / n * 168])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of the market data")
    print(table(parser.parse_args().data))


if __name__ == "__main__":
    main()
