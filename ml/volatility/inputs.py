"""What a model is given: columns of the rows, relative and scaled, missing ones at their usual value."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ml.bars import Floats, Timeframe
from ml.capability import Rows
from ml.standard import Standard
from ml.volatility.columns import FALLS, MOVES, PEAKS
from ml.volatility.market import MARKET
from ml.volatility.question import Horizon, VolatilityQuestion, horizons_on
from ml.volatility.releases import DUE, RELEASED
from ml.week import waves

#: Inputs by what they tell; `explain` sets a group to its usual values to see what it did.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "hours": ("now", "short", "range_1", "range_3", "range_6", "range_12"),
    "days": ("middle", "slow", "range_24", "range_72", "range_168", "range_336"),
    "closes": (
        *("closes", "steadiness", "squares_1", "squares_6", "squares_24", "squares_168", "squares_720"),
        *("jump_24", "jump_168"),
    ),
    "falls": (
        *(f"falls_{w}" for w in FALLS),
        *(f"move_{w}" for w in MOVES),
        *(f"below_peak_{w}" for w in PEAKS),
        *(f"above_trough_{w}" for w in PEAKS),
    ),
    "volume": ("volume_1", "volume_6", "volume_24", "volume_168"),
    "season": ("season", "own_season"),
    "long_run": ("long_run",),
    "market": MARKET[:-1],
    "releases": DUE,
    "aftermath": RELEASED,
}
COLUMNS = tuple(name for group in GROUPS.values() for name in group)
#: Counts, mostly 0: as they are, with 1 as far from 0 as three standard deviations are.
_COUNTS = np.array([name in (*DUE, *RELEASED) for name in COLUMNS])
_COUNT_DEVIATION = 1.0 / 3.0
FROM_PANEL = np.array([name in GROUPS["market"] for name in COLUMNS])
#: After the columns: whether the panel is known, the horizon as ln h about its middle and its square, and waves of the
#: day and of the week.
N_INPUTS = len(COLUMNS) + 3 + 8
#: The linear base reads in addition which hour of the day and which day of the week it is, 0 or 1 each.
N_LINEAR = N_INPUTS + 24 + 7
CALENDAR = ("hour", "weekday")
_KNOWN_AT = len(COLUMNS)
_PANEL_SIGN = COLUMNS.index("market_range_1")
#: Inputs that tell the hour and the day.
CALENDAR_AT = list(range(_KNOWN_AT + 3, N_LINEAR))
#: What each input usually is: 0, its mean in the lessons; every hour of the day and every day of the week alike.
USUAL = np.array([0.0] * N_INPUTS + [1.0 / 24.0] * 24 + [1.0 / 7.0] * 7)
HOURS = horizons_on(Timeframe.H1)


def standard_of(values: Floats) -> Standard:
    """What `COLUMNS` of lessons (n, len(COLUMNS)) are scaled by."""
    found = Standard.of(values)
    return Standard(np.where(_COUNTS, 0.0, found.mean), np.where(_COUNTS, _COUNT_DEVIATION, found.deviation))


def inputs_of(
    standard: Standard, values: Floats, hours: Floats, calendar: Floats, *, panel: NDArray[np.bool_] | None = None
) -> Floats:
    """Inputs of a linear base, shape (n, N_LINEAR), finite; the first N_INPUTS are those of nets and trees.

    `values` are `COLUMNS` of the rows, and `standard` what they are in the lessons; `hours` is h of each row (n,),
    `calendar` its `CALENDAR` (n, 2). Where `panel` is False, the panel is taken for unknown. Elementwise: a row has the
    same bits alone and among many.
    """
    known = ~np.isnan(values[:, _PANEL_SIGN])
    if panel is not None:
        known &= panel
    result = np.empty((len(values), N_LINEAR))
    result[:, : len(COLUMNS)] = standard.scaled(values, unknown=FROM_PANEL & ~known[:, None])
    ahead = (np.log(hours) - _MIDDLE) / _WIDTH
    result[:, _KNOWN_AT] = known
    result[:, _KNOWN_AT + 1] = ahead
    result[:, _KNOWN_AT + 2] = ahead * ahead - 1.0
    hour, day = calendar[:, 0], calendar[:, 1]
    result[:, _KNOWN_AT + 3 : N_INPUTS] = waves(hour, day, (1.0, 2.0))
    result[:, N_INPUTS : N_INPUTS + 24] = hour[:, None] == np.arange(24.0)
    result[:, N_INPUTS + 24 :] = day[:, None] == np.arange(7.0)
    return result


_MIDDLE, _WIDTH = float(np.mean(np.log([h.bars for h in HOURS]))), float(np.std(np.log([h.bars for h in HOURS])))


def panel_known(inputs: Floats) -> NDArray[np.bool_]:
    """Which rows of `inputs_of` know the panel."""
    return inputs[:, _KNOWN_AT] > 0.5


def columns_of(rows: Rows) -> Floats:
    """`COLUMNS` of the rows, shape (n, len(COLUMNS))."""
    return rows.columns(COLUMNS)


def calendar_of(rows: Rows) -> Floats:
    """`CALENDAR` of the rows, shape (n, 2)."""
    return rows.columns(CALENDAR)


def hours_of(rows: Rows) -> Floats:
    """h of each row's question; NaN where it is asked of daily bars. Shape (n,)."""
    return np.array([_hours(question) for question in rows.questions], dtype=np.float64)


def _hours(question: object) -> float:
    assert isinstance(question, VolatilityQuestion)
    horizon: Horizon = question.horizon
    return float(horizon.bars) if horizon.timeframe is question.timeframe is Timeframe.H1 else float("nan")
