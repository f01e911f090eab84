"""Bars in, one column per indicator out: for training over history, for serving from a tail."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ml.bars import Bars, Floats
from ml.indicators.catalogue import INDICATORS
from ml.indicators.indicator import Indicator
from ml.indicators.soundness import Sound, sound

#: How many sound bars a served value may be made of. No indicator needs more, so none can tell a tail from the whole.
WINDOW_BARS = 2_000


def matrix(bars: Bars, indicators: Sequence[Indicator] = INDICATORS) -> Floats:
    """Every indicator at every bar, shape (len(bars), len(indicators)); finite, or NaN where undefined.

    Row i equals `latest(bars.between(0, i + 1))` bit for bit: training and serving follow one definition.
    """
    return _columns(bars, indicators, len(bars))


def latest(bars: Bars, indicators: Sequence[Indicator] = INDICATORS) -> Floats:
    """The served row: every indicator at the newest bar, shape (len(indicators),), made of the last 2,000 sound bars.

    All NaN where there are no bars or the newest is broken.
    """
    columns = _columns(bars, indicators, WINDOW_BARS)
    row: Floats = columns[-1] if len(columns) else np.full(len(indicators), np.nan)
    return row


def _columns(bars: Bars, indicators: Sequence[Indicator], window: int) -> Floats:
    kept: dict[bool, Sound] = {}
    for with_volume in {one.needs_volume for one in indicators}:
        kept[with_volume] = sound(bars, with_volume=with_volume).tail(window)
    # Two tails may begin at different bars (a volume was missing): rows are counted from the end.
    rows = min((len(one.mask) for one in kept.values()), default=len(bars))
    values = np.empty((rows, len(indicators)))
    for k, one in enumerate(indicators):
        values[:, k] = one.compute_sound(kept[one.needs_volume])[-rows:] if rows else []
    return values
