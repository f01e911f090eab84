"""Scores of regimes that were announced, with their intervals by whole weeks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.fit_regime_rules import Judged
from ml.bars import WEEK_MS, Floats
from ml.regime.formula import LABELS, Codes, codes
from ml.regime.table import probabilities

#: What `scores` tells, in this order.
F1, LOG_LOSS, ECE, SWITCHES = range(4)
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
