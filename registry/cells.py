"""Sums of judged answers by week, from which every figure of a track record is made: they only ever add up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ml.bars import Floats
from ml.evaluation.intervals import Ratio, ratio_of_losses
from ml.evaluation.scores import BINS, bin_of, ece_of_bins
from ml.evaluation.weeks import Blocks
from registry.judging import BANDS, Judged, Series

#: Places in a cell. Each pair of losses has its own count: only rows that both answered compare.
_N, _LOSS, _N_RULES, _MINE_RULES, _RULES, _N_USUAL, _MINE_USUAL, _USUAL = range(8)
_BANDS = 8
_BINS = _BANDS + 2 * len(BANDS)
_FIGURES = _BINS + 3 * BINS
#: A capability may have so many figures of its own.
MOST_FIGURES = 8
WIDTH = _FIGURES + 2 * MOST_FIGURES


@dataclass(frozen=True, slots=True)
class Key:
    """What a cell sums over."""

    live: bool
    series: Series
    week: int


#: Cells of one predictor, each of shape (WIDTH,).
Cells: TypeAlias = dict[Key, Floats]


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure of calibration: `ece`, the coverage of a band, or one of the capability's own, its mean."""

    name: str
    value: float
    n: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How a choice of answers did. Ratios are None where no row compares; `mean_loss` where nothing was judged."""

    n: int
    first_week: int | None
    last_week: int | None
    weeks: int
    mean_loss: float | None
    against_rules: Ratio | None
    against_usual: Ratio | None
    calibration: tuple[Figure, ...]


def add(cells: Cells, key: Key, one: Judged, usual_loss: float | None) -> None:
    """Adds a judged answer; without a loss there is nothing to add."""
    if one.loss is None:
        return
    cell = cells.get(key)
    if cell is None:
        cell = cells[key] = np.zeros(WIDTH)
    _sum(cell, _N, one.loss)
    if one.rules_loss is not None:
        _sum(cell, _N_RULES, one.loss, one.rules_loss)
    if usual_loss is not None:
        _sum(cell, _N_USUAL, one.loss, usual_loss)
    for i, inside in enumerate(one.inside):
        if inside is not None:
            _sum(cell, _BANDS + 2 * i, float(inside))
    for i, figure in enumerate(one.figures):
        if figure is not None:
            _sum(cell, _FIGURES + 2 * i, figure)
    if one.right is not None and one.confidence is not None:
        at = _BINS + int(bin_of(np.array(one.confidence)))
        cell[at] += 1.0
        cell[at + BINS] += one.confidence
        cell[at + 2 * BINS] += one.right


def _sum(cell: Floats, at: int, *values: float) -> None:
    """One more at `at`, and the values behind it."""
    cell[at] += 1.0
    for i, value in enumerate(values, start=at + 1):
        cell[i] += value


def tally(chosen: Iterable[tuple[Key, Floats]], seed: int, own: Sequence[str] = ()) -> Tally:
    """The figures of the chosen cells; `own` names those of the capability itself. Intervals draw whole weeks, all
    series of a week together; `seed` for the draws."""
    by_week: dict[int, Floats] = {}
    for key, cell in chosen:
        by_week[key.week] = by_week[key.week] + cell if key.week in by_week else cell
    weeks = sorted(by_week)
    if not weeks:
        return Tally(0, None, None, 0, None, None, None, ())
    table = np.stack([by_week[week] for week in weeks])
    total = table.sum(axis=0)
    return Tally(
        n=int(total[_N]),
        first_week=weeks[0],
        last_week=weeks[-1],
        weeks=len(weeks),
        mean_loss=float(total[_LOSS] / total[_N]),
        against_rules=_ratio(weeks, table[:, [_N_RULES, _MINE_RULES, _RULES]], seed),
        against_usual=_ratio(weeks, table[:, [_N_USUAL, _MINE_USUAL, _USUAL]], seed),
        calibration=_calibration(total, own),
    )


def latest_week(cells: Mapping[Key, Floats], live: bool | None = None) -> int | None:
    """The newest week that has a cell, live or not; None where there is none."""
    return max((key.week for key in cells if live is None or key.live is live), default=None)


def _ratio(weeks: list[int], columns: Floats, seed: int) -> Ratio | None:
    some = columns[:, 0] > 0.0
    blocks = Blocks(
        np.array(weeks, dtype=np.int64)[some], columns[some, 0].astype(np.int64), columns[some, 1], columns[some, 2]
    )
    return ratio_of_losses(blocks, np.random.default_rng(seed))


def _calibration(total: Floats, own: Sequence[str]) -> tuple[Figure, ...]:
    found = []
    counts, said, hits = total[_BINS:_FIGURES].reshape(3, BINS)
    if counts.sum() > 0:
        found.append(Figure("ece", ece_of_bins(counts, said, hits), int(counts.sum())))
    for i, band in enumerate(BANDS):
        n, inside = total[_BANDS + 2 * i : _BANDS + 2 * i + 2]
        if n > 0:
            found.append(Figure(f"coverage of the {band} band", float(inside / n), int(n)))
    for i, name in enumerate(own):
        n, summed = total[_FIGURES + 2 * i : _FIGURES + 2 * i + 2]
        if n > 0:
            found.append(Figure(name, float(summed / n), int(n)))
    return tuple(found)
