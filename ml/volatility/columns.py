"""What a model reads of one symbol's own hours, beyond what the rules read.

Vectorised, causal, and the same bits whatever the stretch begins with: sums are fixed-point, and everything is relative
to the symbol's own level of 720 hours, so that a price in another unit, or a calm year, changes nothing. Rounded: the
last bits of a logarithm differ between machines, and a tree's answer must not hang on them.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from ml.bars import Bars, Floats, Instants
from ml.exact import picked, rolling_mean
from ml.volatility.kernel import HOURLY, moves_of, positive, trades_weekends
from ml.volatility.measures import above_trough, below_peak, falls, jumps, ranges, signed_moves, squares, volumes
from ml.week import hour_of_week

RANGES = (1, 3, 6, 12, 24, 72, 168, 336)
SQUARES = (1, 6, 24, 168, 720)
FALLS = (6, 24, 168)
MOVES = (6, 24, 168)
PEAKS = (24, 168, 720)
JUMPS = (24, 168)
VOLUMES = (1, 6, 24, 168)

#: One row. Windows are in hours, logs are natural and of variances.
OWN = (
    "always",  # 1 where it trades at weekends
    "hour",  # hour of the day in which the newest bar opened, UTC, 0 .. 23
    "weekday",  # and its day of the week, 0 (Monday) .. 6
    *(f"range_{w}" for w in RANGES),  # ln (mean root of the ranges)^2 against the level
    *(f"squares_{w}" for w in SQUARES),  # ln mean squared return of closes against the level
    *(f"falls_{w}" for w in FALLS),  # ln share of falls in the squared returns
    *(f"move_{w}" for w in MOVES),  # return over the window in standard deviations of the level
    *(f"below_peak_{w}" for w in PEAKS),  # close over the highest of the window, in the same unit
    *(f"above_trough_{w}" for w in PEAKS),  # close over the lowest
    *(f"jump_{w}" for w in JUMPS),  # ln share of the largest squared return
    *(f"volume_{w}" for w in VOLUMES),  # mean ln volume against that of 720 hours
)
#: The oldest input: the close before the level window.
WARMUP = HOURLY.at_least

_DECIMALS = 4


def columns(bars: Bars, variant: Hashable = None, at: Instants | None = None) -> Floats:  # noqa: ARG001 - one row for all
    """One row per hourly bar at positions `at` (all where None), shape (len(at), len(OWN)); row i depends on the
    `WARMUP` bars that end there alone.

    NaN where an input is missing or not positive.
    """
    with np.errstate(all="ignore"):  # broken prices become NaN, and a NaN stays one
        moves, slots = moves_of(bars), hour_of_week(picked(bars.open_at, at))
        level = positive(rolling_mean(moves.variance, HOURLY.level, at))
        squared = np.minimum(moves.squared, 1.0)
        found = [
            np.where(trades_weekends(bars.open_at, HOURLY.level, at), 1.0, 0.0),
            slots % 24.0,
            slots // 24.0,
            *ranges(moves.root, level, RANGES, at),
            *squares(squared, level, SQUARES, at),
            *falls(moves.change, level, FALLS, at),
            *signed_moves(moves.change, level, MOVES, at),
            *below_peak(moves.close, level, PEAKS, at),
            *above_trough(moves.close, level, PEAKS, at),
            *jumps(squared, level, JUMPS, at),
            *volumes(bars.volume, VOLUMES, at),
        ]
        return np.round(np.column_stack(found), _DECIMALS)
