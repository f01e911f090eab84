"""The regime learner, walked forward: fitted on three years, judged on the quarter after them, and so on.

    python -m benchmarks.learn_regime --data DIR [--market crypto|fx] [--start DAY] [--stop DAY] [--every-days 90]

Lessons are every 4th bar of all symbols, at least 48 h before the day of the fit. Judged is every bar that version 0
answers, as in `benchmarks.skill_regime`; both predictors on the same rows, intervals by bootstrap over weeks. "Free" is
the label by class weights alone, "steady" the one that is announced.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.fit_regime_rules import CRYPTO, FX, Panel, load, milliseconds
from benchmarks.regime_scores import Announced, Sample, scores
from ml.bars import DAY_MS, WEEK_MS, Floats, Instants
from ml.capability import Rows
from ml.learning import Lessons
from ml.regime import RegimeQuestion
from ml.regime.columns import LAGS, MODEL_NAMES, NAMES, columns
from ml.regime.decision import Decision
from ml.regime.formula import LABELS, NO_LABEL, Codes, codes
from ml.regime.inputs import bars_of
from ml.regime.learner import EMBARGO_MS, LEARNER
from ml.regime.model import RegimeModel
from ml.regime.rules import MOST_MISSING
from ml.regime.state import NAMES as STATE_NAMES
from ml.regime.state import WARMUP
from ml.regime.table import probabilities
from ml.regime.truth import hindsight

YEARS, SEED = 3, 11
_NOW = len(NAMES) - LAGS * len(MODEL_NAMES)
"""Columns of a row before its lagged copies."""


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One symbol: columns without their lagged copies, truth, and which bars are judged; one entry per bar."""

    question: RegimeQuestion
    as_of: Instants
    now: Floats
    truth: Codes
    judged: Codes

    def rows(self, at: Codes) -> Floats:
        """Whole rows at positions, lagged copies put back."""
        past = [self.now[at - lag, _NOW - len(MODEL_NAMES) :] for lag in range(1, LAGS + 1)]
        return np.concatenate([self.now[at], *past], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """A quarter's rows: what was true, and what version 0 and the model said."""

    sample: Sample
    year: Codes
    z: Floats
    v: Floats
    sessions: Floats
    p: Floats
    free: Codes
    steady: Codes
    outside: int
    fit_cpu_seconds: float
    asked_cpu_seconds: float


def series(data: Path, panel: Panel, stop: str) -> list[Series]:
    found = []
    for bars in load(data, panel, stop):
        rows = columns(bars, None)[:, :_NOW]
        truth = hindsight(bars, np.arange(len(bars)))
        judged = (truth != NO_LABEL) & ~np.isnan(rows[:, : len(STATE_NAMES)]).any(axis=1)
        judged &= (rows[:, STATE_NAMES.index("missing_bars")] <= MOST_MISSING) & (np.arange(len(bars)) >= WARMUP - 1)
        question = RegimeQuestion(symbol=bars.symbol)
        found.append(Series(question, bars.close_at, rows, truth, np.flatnonzero(judged)))
    return found


def taken(panel: Sequence[Series], start: int, stop: int, every: int) -> tuple[Rows, Codes, Codes]:
    """Judged rows closed in [start, stop), every so many bars; their truths, and the number of their series."""
    values, questions, as_of, truth, number = [], [], [], [], []
    for i, one in enumerate(panel):
        at = one.judged[(one.as_of[one.judged] >= start) & (one.as_of[one.judged] < stop)]
        at = at[at % every == 0]
        values.append(one.rows(at))
        questions += [one.question] * len(at)
        as_of.append(one.as_of[at])
        truth.append(one.truth[at])
        number.append(np.full(len(at), i))
    instants = np.concatenate(as_of)
    rows = Rows(NAMES, np.concatenate(values), tuple(questions), instants, instants, (None,) * len(instants))
    return rows, np.concatenate(truth), np.concatenate(number)


def walk(panel: Sequence[Series], start: int, stop: int, every_days: int) -> Iterator[Judgement]:
    for at in range(start, stop, every_days * DAY_MS):
        rows, truth, _ = taken(panel, at - YEARS * 365 * DAY_MS, at - EMBARGO_MS, LEARNER.every_bars)
        lessons = Lessons(rows, [LABELS[code].value for code in truth.tolist()])
        began = time.process_time()
        fitted = LEARNER.fit(lessons, SEED, lambda _share, _word: None)
        cpu = time.process_time() - began
        size = len(fitted.artefact.to_bytes()) / 1e6
        told = f"  {np.datetime64(at, 'ms')}: {cpu:.1f} CPU-s, {size:.2f} MB, {_short(fitted.report)}"
        print(told, file=sys.stderr, flush=True)
        model = LEARNER.load(fitted.artefact, 1)
        yield judged(model, cpu, *taken(panel, at, min(at + every_days * DAY_MS, stop), 1))


def judged(model: RegimeModel, fit_cpu_seconds: float, rows: Rows, truth: Codes, number: Codes) -> Judgement:
    begun = time.process_time()
    log_p = model.chances.log_p(bars_of(rows))
    free = Decision(model.decision.log_weights, 0.0).path(log_p[:, -1:])[:, -1]
    outside = np.zeros(len(rows), dtype=np.bool_)
    for name, (low, high) in model.ranges.items():
        outside |= (rows.column(name) < low) | (rows.column(name) > high)
    year = rows.as_of.astype("datetime64[ms]").astype("datetime64[Y]").astype(np.int64) + 1970
    return Judgement(
        Sample(truth, rows.as_of // WEEK_MS, number),
        year,
        rows.column("z"),
        rows.column("v"),
        rows.column("sessions"),
        np.exp(log_p[:, -1]),
        free,
        model.decision.path(log_p)[:, -1],
        int(outside.sum()),
        fit_cpu_seconds,
        time.process_time() - begun,
    )


def announced(parts: Sequence[Judgement]) -> tuple[Sample, Announced, Announced, Announced]:
    """The rows, and what version 0, the model's likeliest labels and its announced ones said on them."""
    # By series, then time: switches are counted between neighbours.
    order = np.lexsort((np.arange(sum(len(one.year) for one in parts)), _joined(parts, "number")))
    sample = Sample(*(_joined(parts, name)[order] for name in ("truth", "week", "number")))
    z, v, sessions = (_joined(parts, name)[order] for name in ("z", "v", "sessions"))
    p = np.concatenate([one.p for one in parts])[order]
    return (
        sample,
        Announced("version 0", codes(z, v), probabilities(z, v, sessions)),
        Announced("model, free", _joined(parts, "free")[order], p),
        Announced("model", _joined(parts, "steady")[order], p),
    )


def table(parts: Sequence[Judgement]) -> str:
    """The record as a Markdown table: over all, then by year."""
    order = np.lexsort((np.arange(sum(len(one.year) for one in parts)), _joined(parts, "number")))
    year = _joined(parts, "year")[order]
    sample, *said = announced(parts)
    lines = [
        "| rows | predictor | macro-F1 | log-loss | ECE | switches per 168 bars |",
        "|---|---|---|---|---|---|",
    ]
    for title, some in [("all", year > 0), *((str(y), year == y) for y in np.unique(year))]:
        part = Sample(sample.truth[some], sample.week[some], sample.series[some])
        lines += [_line(title, Announced(one.name, one.label[some], one.p[some]), part) for one in said]
    outside = sum(one.outside for one in parts) / len(year)
    share = np.bincount(sample.truth, minlength=len(LABELS)) / len(year)
    mix = ", ".join(f"{label} {part:.0%}" for label, part in zip(LABELS, share.tolist(), strict=True))
    lines.append(f"\n{len(year):,} bars; outside the model's ranges {outside:.2%}; truth: {mix}")
    return "\n".join(lines)


def _joined(parts: Sequence[Judgement], name: str) -> NDArray[Any]:
    sample = {"truth": "truth", "week": "week", "number": "series"}
    return np.concatenate(
        [getattr(one.sample, sample[name]) if name in sample else getattr(one, name) for one in parts]
    )


def _line(title: str, announced: Announced, on: Sample) -> str:
    points, bounds = scores(announced, on)
    cells = [
        f"{point:.{d}f} [{low:.{d}f}, {high:.{d}f}]"
        for point, low, high, d in zip(points, *bounds, (3, 3, 3, 1), strict=True)
    ]
    return f"| {title} | {announced.name} | " + " | ".join(cells) + " |"


def _short(report: object) -> str:
    return ", ".join(f"{k} {v:.4g}" for k, v in report.items()) if isinstance(report, dict) else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of the market data")
    parser.add_argument("--market", choices=("crypto", "fx"), default="crypto")
    parser.add_argument("--start", help="first day judged (default: the day after version 0's own window)")
    parser.add_argument("--stop", help="judged up to this day")
    parser.add_argument("--every-days", type=int, default=90, help="days between fits")
    asked = parser.parse_args()
    panel = CRYPTO if asked.market == "crypto" else FX
    start, stop = asked.start or panel.judged_from, asked.stop or panel.judged_to
    parts = list(walk(series(asked.data, panel, stop), milliseconds(start), milliseconds(stop), asked.every_days))
    print(table(parts))


if __name__ == "__main__":
    main()
