"""What a model reads of the market as a whole: means over the panel's members, and their spread.

Members count where they trade the same hours as the symbol that is asked about (weekends or not), and where their
newest bar is not much older than its own. With an empty panel all of it is unknown.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.bars import Bars, Floats, Instants, Timeframe
from ml.exact import rolling_mean
from ml.panel import PanelColumns, PanelMeans
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
    "always",  # of which kind it is
    *(f"range_{w}" for w in RANGES),
    *(f"move_{w}" for w in MOVES),
    *(f"falls_{w}" for w in FALLS),
    *(f"squares_{w}" for w in SQUARES),
    *(f"below_peak_{w}" for w in PEAKS),
    *(f"above_trough_{w}" for w in PEAKS),
    *(f"jump_{w}" for w in JUMPS),
    *(f"volume_{w}" for w in VOLUMES),
)
#: Columns of the market: means over members, each against its own level; the standard deviation of their ranges; and a
#: number that stands for the members' names, 0 for an empty panel.
MARKET = (
    *(f"market_{name}" for name in _MEMBER[1:]),
    *(f"market_spread_{w}" for w in SPREAD),
    "panel_mark",
)


def market_columns(market: Market, as_of: Instants, through: Instants, always: NDArray[np.bool_]) -> Floats:
    """Shape (n, len(MARKET)) for n questions on hourly bars: asked at `as_of`, on bars up to `through` (int64 ms), of
    symbols that trade `always` or not. NaN where no member counts."""
    return _MEANS.columns(market, Timeframe.H1, as_of, through, always.astype(np.float64))


def _member(bars: Bars, at: Instants | None = None) -> Floats:
    with np.errstate(all="ignore"):  # broken prices become NaN, and a NaN stays one
        moves = moves_of(bars)
        level = positive(rolling_mean(moves.variance, HOURLY.level, at))
        squared = np.minimum(moves.squared, 1.0)
        found = [
            np.where(trades_weekends(bars.open_at, HOURLY.level, at), 1.0, 0.0),
            *ranges(moves.root, level, RANGES, at),
            *signed_moves(moves.change, level, MOVES, at),
            *falls(moves.change, level, FALLS, at),
            *squares(squared, level, SQUARES, at),
            *below_peak(moves.close, level, PEAKS, at),
            *above_trough(moves.close, level, PEAKS, at),
            *jumps(squared, level, JUMPS, at),
            *volumes(bars.volume, VOLUMES, at),
        ]
    return np.column_stack(found)


def _of_one_kind(always: Floats, asked: Floats) -> NDArray[np.bool_]:
    return np.asarray(always == asked)


PANEL = PanelColumns(_member, len(_MEMBER), HOURLY.at_least, HOURLY.at_least)
_MEANS = PanelMeans(PANEL, tuple(_MEMBER.index(f"range_{w}") for w in SPREAD), _of_one_kind)
