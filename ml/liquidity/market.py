"""What a model reads of the market as a whole: means over the panel's members, and how far they are apart.

Members count where they never close either, and where their newest bar is not much older than the symbol's own. With an
empty panel all of it is unknown.
"""

from __future__ import annotations

import numpy as np

from ml.bars import HOUR_MS, Bars, Floats, Instants, Timeframe
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
from ml.liquidity.kernel import AT_LEAST, LEVEL, SMOOTHING, SMOOTHING_WINDOW, level_of, quote_volume
from ml.liquidity.refusal import LEAST_WEEKEND
from ml.liquidity.season import SATURDAY, hour_of_week
from ml.liquidity.windows import lagged, rolling_mean, rolling_means, smoothed
from ml.panel import Mean, PanelColumns, mark
from ml.timeline import Market

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
    "weekend",
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
_AT = {name: at for at, name in enumerate(_MEMBER)}
_SPREAD_AT = [_AT[f"volume_{w}"] for w in SPREAD]
#: Columns of the market: means over members, each against its own month; the standard deviation of their volumes; and a
#: number that stands for the members' names, 0 for an empty panel.
MARKET = (
    *(f"market_{name}" for name in _MEMBER[1:]),
    *(f"market_spread_{w}" for w in SPREAD),
    "panel_mark",
)
#: A member whose newest bar closed longer than this before the symbol's own is left out.
_LATEST_MS = 6 * HOUR_MS
_DECIMALS = 4


def market_columns(market: Market, as_of: Instants, through: Instants) -> Floats:
    """Shape (n, len(MARKET)) for n questions asked at `as_of`, on bars up to `through` (int64 ms). NaN where no member
    counts."""
    times, of_time = np.unique(as_of, return_inverse=True)
    asked, of_asked = np.unique(np.stack([of_time, through]), axis=1, return_inverse=True)
    at, newest = asked[0], asked[1]
    mean, square = Mean.of(len(at), len(_MEMBER)), Mean.of(len(at), len(_SPREAD_AT))
    for member in PANEL.members(market, Timeframe.H1, times):
        values = member.values[at]
        usable = (values[:, 0] >= LEAST_WEEKEND) & (member.data_through[at] >= newest - _LATEST_MS)
        mean.add(values, usable)
        square.add(np.square(values[:, _SPREAD_AT]), usable)
    average = mean.values
    spread = np.sqrt(np.maximum(square.values - np.square(average[:, _SPREAD_AT]), 0.0))
    found = np.round(np.column_stack([average[:, 1:], spread]), _DECIMALS)[of_asked]
    return np.column_stack([found, np.full(len(as_of), mark(market.panel(Timeframe.H1)))])


def _member(bars: Bars) -> Floats:
    with np.errstate(all="ignore"):  # what is broken becomes NaN, and a NaN stays one
        traded = quote_volume(bars)
        level, hours = level_of(traded), Hours.of(bars)
        saturdays = np.where(hour_of_week(bars.open_at) // 24 == SATURDAY, 1.0, 0.0)
        found = [
            rolling_mean(saturdays, LEVEL),
            *volumes(traded, level, VOLUMES),
            *(np.log(one / level + 0.01) for one in rolling_means(hours.steady, (1, 6))),
            np.log(smoothed(hours.steady, SMOOTHING, SMOOTHING_WINDOW) / level),
            *uneven(traded, (24,)),
            burst(traded),
            np.log(lagged(rolling_mean(traded, 6), 24 - 6) / level + 0.01),
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


PANEL = PanelColumns(_member, len(_MEMBER), AT_LEAST, AT_LEAST)
