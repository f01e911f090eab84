"""What a model reads of the market as a whole: means over the panel's members, and how far they are apart.

Members count where they never close either, and where their newest bar is not much older than the symbol's own. With an
empty panel all of it is unknown.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.bars import Bars, Floats, Instants, Timeframe
from ml.lags import lagged
from ml.liquidity.columns import (
    Hours,
    above_trough,
    below_peak,
    burst,
    falls,
    ranges,
    signed_moves,
    uneven,
    volumes,
)
from ml.liquidity.kernel import AT_LEAST, LEVEL, SMOOTHING, SMOOTHING_WINDOW
from ml.liquidity.refusal import LEAST_WEEKEND
from ml.liquidity.windows import rolling_mean, rolling_means, smoothed
from ml.panel import PanelColumns, PanelMeans
from ml.timeline import Market
from ml.week import SATURDAY, hour_of_week

VOLUMES = (1, 3, 6, 24, 168)
RANGES = (1, 6, 24)
MOVES = (1, 6, 24)
SIZES = (1, 3, 6, 24, 72, 168, 719)
FALLS = (6, 24, 168)
PEAKS = (24,)
TROUGHS = (24, 168, 720)
SPREAD = (1, 6, 24)

#: What is read of each member, as in `columns`.
_MEMBER = (
    "weekend",  # of which kind it is
    *(f"volume_{w}" for w in VOLUMES),
    "steady_1",
    "steady_6",
    "smoothed",
    "uneven_24",
    "burst_24",
    "yesterday_6",
    *(f"range_{w}" for w in RANGES),
    *(f"move_{w}" for w in MOVES),
    *(f"size_{w}" for w in SIZES),
    *(f"falls_{w}" for w in FALLS),
    *(f"below_peak_{w}" for w in PEAKS),
    *(f"above_trough_{w}" for w in TROUGHS),
)
#: Columns of the market: means over members, each against its own month; the standard deviation of their volumes; and a
#: number that stands for the members' names, 0 for an empty panel.
MARKET = (
    *(f"market_{name}" for name in _MEMBER[1:]),
    *(f"market_spread_{w}" for w in SPREAD),
    "panel_mark",
)


def market_columns(market: Market, as_of: Instants, through: Instants) -> Floats:
    """Shape (n, len(MARKET)) for n questions asked at `as_of`, on bars up to `through` (int64 ms). NaN where no member
    counts."""
    return _MEANS.columns(market, Timeframe.H1, as_of, through, np.ones(len(as_of)))


def _member(bars: Bars, at: Instants | None = None) -> Floats:
    with np.errstate(all="ignore"):  # what is broken becomes NaN, and a NaN stays one
        hours = Hours.of(bars, at)
        saturdays = np.where(hour_of_week(bars.open_at) // 24 == SATURDAY, 1.0, 0.0)
        found = [
            rolling_mean(saturdays, LEVEL, at),
            *volumes(hours, VOLUMES),
            *(np.log(one / hours.level + 0.01) for one in rolling_means(hours.steady, (1, 6), at)),
            np.log(smoothed(hours.steady, SMOOTHING, SMOOTHING_WINDOW, at) / hours.level),
            *uneven(hours, (24,)),
            burst(hours),
            np.log(lagged(hours.traded.mean(6), 24 - 6, at) / hours.level + 0.01),
            *ranges(hours, RANGES),
            *signed_moves(hours, MOVES),
            *(np.abs(one) for one in signed_moves(hours, SIZES)),
            *falls(hours, FALLS),
            *below_peak(hours, PEAKS),
            *above_trough(hours, TROUGHS),
        ]
        result = np.stack(found)
    result[np.isinf(result)] = np.nan
    return result.T


def _never_closes(weekend: Floats, asked: Floats) -> NDArray[np.bool_]:  # noqa: ARG001 - all that are asked about never do
    return np.asarray(weekend >= LEAST_WEEKEND)


PANEL = PanelColumns(_member, len(_MEMBER), AT_LEAST, AT_LEAST)
_MEANS = PanelMeans(PANEL, tuple(_MEMBER.index(f"volume_{w}") for w in SPREAD), _never_closes)
