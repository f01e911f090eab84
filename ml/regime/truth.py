"""Which regime it was, in hindsight: the formula over 12 bars on either side, with flicker removed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ml.bars import Bars, Instants
from ml.capability import Question
from ml.hindsight import in_hindsight, newest_closed
from ml.regime.formula import (
    HALF,
    HISTORY,
    LABELS,
    NO_LABEL,
    Codes,
    closing_hours,
    codes,
    missing_bars,
    percentile,
    stretches,
)
from ml.regime.path import is_renewed, settled_path
from ml.timeline import Market

_LEAD = 512


def truth(questions: Sequence[Question], as_of: Instants, market: Market) -> list[str | None]:
    """The label of the newest bar closed by each `as_of` (int64 ms, shape (n,)), or None.

    It needs the 12 bars that follow and, near the end of the data, a few more until the path through the labels can no
    longer change: a truth once given stays, whatever bars follow. None for an unknown symbol, too little history (1,464
    bars), a stretch in which nothing moved, and where a market without closing hours misses a bar in the window.
    """
    return in_hindsight(questions, as_of, market, _told)


def hindsight(bars: Bars, at: Instants) -> Codes:
    """Truth codes at the positions `at` (int64, shape (n,)); NO_LABEL where there is none or not yet."""
    result = np.full(len(at), NO_LABEL, dtype=np.int64)
    asked = (at >= 0) & (at < len(bars) - HALF)
    if not asked.any():
        return result
    first = int(at[asked].min())
    start, raw = _renewed_before(bars, first)
    path = np.where(raw == NO_LABEL, NO_LABEL, settled_path(raw))
    result[asked] = path[at[asked] - start]
    return result


def _told(question: Question, bars: Bars, as_of: Instants) -> list[str | None]:  # noqa: ARG001 - all have one answer
    codes_of = hindsight(bars, newest_closed(bars, as_of)).tolist()
    return [None if code == NO_LABEL else LABELS[code].value for code in codes_of]


def _renewed_before(bars: Bars, first: int) -> tuple[int, Codes]:
    """Raw labels from a position so far before `first` that the path from `first` on is that of the whole series."""
    lead = _LEAD
    while True:
        start = max(first - lead, 0)
        raw = raw_labels(bars, start)
        if start == 0 or is_renewed(raw[: first - start]):
            return start, raw
        lead *= 4


def raw_labels(bars: Bars, start: int) -> Codes:
    """The centred formula at positions start .. len - 13, the last one whose 12 later bars are there."""
    origin = max(start - HISTORY, 0)
    cut = bars.between(origin, len(bars))
    power, z = stretches(cut.close)
    ahead = slice(HALF, None)
    v = percentile(power[ahead], power[:-HALF])
    label = codes(z[ahead], v)
    gap = ~closing_hours(cut)[:-HALF] & (missing_bars(cut)[ahead] > 0)
    return np.where(gap, NO_LABEL, label)[start - origin :]
