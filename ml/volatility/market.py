"""What a model reads of the market as a whole: means over the panel's members, and their spread.

Members count where they trade the same hours as the symbol that is asked about (weekends or not), and where their
newest bar is not much older than its own. With an empty panel all of it is unknown.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.bars import HOUR_MS, Bars, Floats, Instants, Timeframe
from ml.exact import rolling_mean
from ml.panel import Mean, PanelColumns, mark
from ml.timeline import Market
from ml.volatility.kernel import HOURLY, moves_of, positive, trades_weekends
from ml.volatility.measures import above_trough, below_peak, falls, jumps, ranges, signed_moves, squares, volumes

RANGES = (1, 3, 6, 24, 168)
MOVES = (6, 24, 168)
PEAKS = (24, 168, 720)
FALLS = (6, 24, 168)
SQUARES = (24, 168, 720)
JUMPS = (24, 168)
VOLUMES = (6, 24)
SPREAD = (1, 6, 24)

#: What is read of each member, as in `columns`.
_MEMBER = (
    "always",
    *(f"range_{w}" for w in RANGES),
    *(f"move_{w}" for w in MOVES),
    *(f"falls_{w}" for w in FALLS),
    *(f"squares_{w}" for w in SQUARES),
    *(f"below_peak_{w}" for w in PEAKS),
    *(f"above_trough_{w}" for w in PEAKS),
    *(f"jump_{w}" for w in JUMPS),
    *(f"volume_{w}" for w in VOLUMES),
)
_AT = {name: at for at, name in enumerate(_MEMBER)}
#: Columns of the market: means over members, each against its own level; the standard deviation of their ranges; and a
#: number that stands for the members' names, 0 for an empty panel.
MARKET = (
    *(f"market_{name}" for name in _MEMBER[1:]),
    *(f"market_spread_{w}" for w in SPREAD),
    "panel_mark",
)
#: A member whose newest bar closed longer than this before the symbol's own is left out.
_LATEST_MS = 6 * HOUR_MS
_DECIMALS = 4
_SPREAD_AT = [_AT[f"range_{w}"] for w in SPREAD]


def market_columns(market: Market, as_of: Instants, through: Instants, always: NDArray[np.bool_]) -> Floats:
    """Shape (n, len(MARKET)) for n questions on hourly bars: asked at `as_of`, on bars up to `through` (int64 ms), of
    symbols that trade `always` or not. NaN where no member counts."""
    times, of_time = np.unique(as_of, return_inverse=True)
    asked, of_asked = np.unique(np.stack([of_time, through, always.astype(np.int64)]), axis=1, return_inverse=True)
    at, newest, kind = asked[0], asked[1], asked[2].astype(np.float64)
    mean, square = Mean.of(len(at), len(_MEMBER)), Mean.of(len(at), len(_SPREAD_AT))
    for member in PANEL.members(market, Timeframe.H1, times):
        values = member.values[at]
        usable = (values[:, _AT["always"]] == kind) & (member.data_through[at] >= newest - _LATEST_MS)
        mean.add(values, usable)
        square.add(np.square(values[:, _SPREAD_AT]), usable)
    average = mean.values
    spread = np.sqrt(np.maximum(square.values - np.square(average[:, _SPREAD_AT]), 0.0))
    found = np.round(np.column_stack([average[:, 1:], spread]), _DECIMALS)[of_asked]
    return np.column_stack([found, np.full(len(as_of), mark(market.panel(Timeframe.H1)))])


def _member(bars: Bars) -> Floats:
    with np.errstate(all="ignore"):  # broken prices become NaN, and a NaN stays one
        moves = moves_of(bars)
        level = positive(rolling_mean(moves.variance, HOURLY.level))
        squared = np.minimum(moves.squared, 1.0)
        found = [
            np.where(trades_weekends(bars.open_at, HOURLY.level), 1.0, 0.0),
            *ranges(moves.root, level, RANGES),
            *signed_moves(moves.change, level, MOVES),
            *falls(moves.change, level, FALLS),
            *squares(squared, level, SQUARES),
            *below_peak(moves.close, level, PEAKS),
            *above_trough(moves.close, level, PEAKS),
            *jumps(squared, level, JUMPS),
            *volumes(bars.volume, VOLUMES),
        ]
    return np.column_stack(found)


PANEL = PanelColumns(_member, len(_MEMBER), HOURLY.at_least, HOURLY.at_least)
