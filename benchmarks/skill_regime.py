"""The record of the regime rules and of the model on years after those they were fitted on: `make skill`.

    python -m benchmarks.skill --only regime

Rows are hours (or days) that have a final truth and that version 0 answers; weeks are the sample, all symbols of a week
together. Beside version 0 stand the climatology (early frequencies) and a textbook rule: ADX(14) above 25 is a trend,
else ATR(14) high or low against 1,440 bars; its probabilities are its own early frequencies by label, as theirs would
be fitted. "Version 0, label table" is version 0 with such a plain 5 x 5 table too, which is how the specification
measured it. The model is walked forward (`benchmarks.learn_regime`): refitted every 90 days on the three years before.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import talib

from benchmarks import learn_regime
from benchmarks.fit_regime_rules import CRYPTO, FX, INDEX, Judged, Panel, judge, load, milliseconds
from benchmarks.regime_scores import ECE, F1, LOG_LOSS, SWITCHES, Announced, Sample, sample, scores, version_0
from benchmarks.skill_table import Column, Figure, Line, Table, quoted
from ml.bars import Bars
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
    percentile,
)
from ml.regime.rules import MOST_MISSING

ADX_BARS, ADX_TREND = 14, 25.0
REFIT_DAYS = 90
_CLASSES = len(LABELS)

#: `capabilities.md`, section 2; free labels and announced ones apart.
SPECIFICATION = (
    quoted("specification: ADX/ATR rules", 0.425, 0.425, 12.6, 1.121, None),
    quoted("specification: truth's formula, trailing", 0.491, 0.491, 18.7, 1.088, None),
    quoted("specification: Gaussian HMM", 0.381, 0.381, 12.9, 1.109, None),
    quoted("specification: XGBoost, 60 features", 0.582, None, None, 0.787, None),
    quoted("specification: the same + hysteresis", None, 0.576, 13.3, 0.787, None),
    quoted("specification: ceiling", 0.697, 0.697, 19.2, 0.449, None),
)


def tables(data: Path) -> Iterator[Table]:
    """Hourly coins, hourly currencies (goals .01 less), and daily indices, on which no model is taught."""
    yield _measured(data, CRYPTO, _columns(0.0), SPECIFICATION, taught=True)
    yield _measured(data, FX, _columns(0.01), (), taught=True)
    yield _measured(data, INDEX, _columns(None), (), taught=False)


def _columns(less: float | None) -> tuple[Column, ...]:
    """The figures, with the goals lowered by `less`; None for no goals."""
    if less is None:
        names = ("macro-F1, likeliest label", "macro-F1, as announced", "switches per 168 bars", "log-loss", "ECE")
        return tuple(Column(name, 1 if "switches" in name else 3) for name in names)
    return (
        Column("macro-F1, likeliest label", least=0.585 - less),
        Column("macro-F1, as announced", least=0.575 - less),
        Column("switches per 168 bars", 1, most=12.0),
        Column("log-loss", most=0.775 + less),
        Column("ECE", most=0.015),
    )


def _measured(
    data: Path, panel: Panel, columns: tuple[Column, ...], specified: tuple[Line, ...], *, taught: bool
) -> Table:
    late, lines = _rules(data, panel)
    rows, weeks = sum(len(one.truth) for one in late), len(np.unique(sample(late).week))
    notes: list[str] = []
    if taught:
        line, notes = _model(data, panel)
        lines.append(line)
    title = (
        f"{panel.title}, {panel.judged_from} to {panel.judged_to}: {len(late)} symbols, {weeks} weeks, {rows:,} bars"
    )
    return Table(title, columns, (*specified, *lines), tuple(notes))


def _line(free: Announced, steady: Announced, on: Sample, *, judged: bool = False) -> Line:
    """One predictor by its likeliest labels and by those that it announces."""
    likely, announced = scores(free, on), scores(steady, on)

    def figure(of: int, said: tuple[np.ndarray, np.ndarray]) -> Figure:
        points, (low, high) = said
        return Figure(float(points[of]), float(low[of]), float(high[of]))

    figures = (
        figure(F1, likely),
        figure(F1, announced),
        figure(SWITCHES, announced),
        figure(LOG_LOSS, announced),
        figure(ECE, announced),
    )
    return Line(steady.name, figures, judged=judged)


def _model(data: Path, panel: Panel) -> tuple[Line, list[str]]:
    start, stop = milliseconds(panel.judged_from), milliseconds(panel.judged_to)
    parts = list(learn_regime.walk(learn_regime.series(data, panel, panel.judged_to), start, stop, REFIT_DAYS))
    on, _, free, steady = learn_regime.announced(parts)
    rows = sum(len(one.year) for one in parts)
    outside = sum(one.outside for one in parts) / rows
    fit = float(np.median([one.fit_cpu_seconds for one in parts]))
    asked_us = 1e6 * sum(one.asked_cpu_seconds for one in parts) / rows
    notes = [
        f"Refits every {REFIT_DAYS} days. CPU: {fit:.0f} s a fit, {asked_us:.0f} us an answer in a batch. Outside the "
        f"model's ranges, where the rules answer: {outside:.2%} of the bars."
    ]
    return _line(free, steady, on, judged=True), notes


def _rules(data: Path, panel: Panel) -> tuple[list[Judged], list[Line]]:
    """The late rows, and the lines of all that is no model."""
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
    return late, [_line(one, one, on) for one in announced]


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
