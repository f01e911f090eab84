"""What a model is given: columns of the rows, scaled, missing ones at their usual value; and what it starts from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.bars import Floats
from ml.capability import Rows
from ml.liquidity.columns import OWN
from ml.liquidity.constants import RULES, THIN_ODDS
from ml.liquidity.market import MARKET
from ml.liquidity.question import Horizon
from ml.liquidity.releases import COUNTS
from ml.liquidity.season import coming
from ml.standard import LARGEST, Standard
from ml.week import HOURS_OF_WEEK, slot_of_hour, waves

HORIZONS = tuple(Horizon)
_OF_PRICES = ("range_", "move_", "size_", "falls_", "below_peak_", "above_trough_")
_OF_HOURS = ("yesterday_", "week_ago_", "days_", "weeks_")
_CALENDAR = ("hour", "weekday")
#: Inputs by what they tell; `explain` sets a group to its usual values to see what it did.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "hours": ("smoothed", "volume_1", "volume_3", "volume_6", "steady_6", "quick"),
    "days": ("thin_below", "volume_24", "volume_72", "volume_168", "uneven_24", "uneven_168", "burst_24"),
    "noise": ("missed_6", "missed_24", "bias_6", "bias_24"),
    "same_hours": tuple(name for name in OWN if name.startswith(_OF_HOURS)),
    "prices": tuple(name for name in OWN if name.startswith(_OF_PRICES)),
    "holidays": ("holiday_24", "holiday_6", "holiday_before"),
    "releases": COUNTS,
    "market": MARKET[:-1],
}
COLUMNS = tuple(name for group in GROUPS.values() for name in group)
#: Counts, mostly 0: as they are, with 1 as far from 0 as three standard deviations are.
_AS_COUNTED = np.array([name in COUNTS for name in COLUMNS])
_COUNT_DEVIATION = 1.0 / 3.0
FROM_PANEL = np.array([name in GROUPS["market"] for name in COLUMNS])
#: After the columns: whether the panel is known, three waves of the day, three of the week, and what the rules say.
N_INPUTS = len(COLUMNS) + 1 + 12 + len(HORIZONS) + 1
_KNOWN_AT = len(COLUMNS)
_RULES_AT = _KNOWN_AT + 1 + 12
CLOCK_AT = list(range(_KNOWN_AT + 1, _RULES_AT))
#: Log odds of a thin market spread about three times as far as logs of a volume.
_ODDS_SCALE = 3.0
_PANEL_SIGN = COLUMNS.index("market_volume_1")
#: What a median starts from is kept within these logs of the level.
BASES = (-6.0, 6.0)


@dataclass(frozen=True, slots=True, eq=False)
class Starts:
    """What the rules say of n rows, over all `HORIZONS` whatever was asked: ln of qv over h x level (n, horizons), and
    the log odds of a thin market (n,)."""

    medians: Floats
    odds: Floats

    @staticmethod
    def of(rows: Rows) -> Starts:
        slot = _slots(rows)
        parts = []
        for horizon in HORIZONS:
            rule = RULES[horizon]
            season = np.log(coming(horizon.bars)[slot] / horizon.bars)
            parts.append(math.log(rule.factor) + rule.memory * rows.column("smoothed") + season)
        medians = np.clip(np.column_stack(parts), *BASES)
        distance = medians[:, HORIZONS.index(Horizon.H6)] - rows.column("thin_below")
        return Starts(medians, np.clip(THIN_ODDS[0] + THIN_ODDS[1] * distance, -20.0, 20.0))

    def times(self, n: int) -> Starts:
        """The same, n times below each other."""
        return Starts(np.tile(self.medians, (n, 1)), np.tile(self.odds, n))


def standard_of(values: Floats) -> Standard:
    """What `COLUMNS` of lessons (n, len(COLUMNS)) are scaled by."""
    found = Standard.of(values)
    return Standard(np.where(_AS_COUNTED, 0.0, found.mean), np.where(_AS_COUNTED, _COUNT_DEVIATION, found.deviation))


def inputs_of(
    standard: Standard, values: Floats, clock: Floats, starts: Starts, *, panel: NDArray[np.bool_] | None = None
) -> Floats:
    """Inputs, shape (n, N_INPUTS), finite.

    `values` are `COLUMNS` of the rows, and `standard` what they are in the lessons; `clock` is hour and weekday of the
    rows (n, 2). Where `panel` is False, the panel is taken for unknown. Elementwise: a row has the same bits alone and
    among many.
    """
    known = ~np.isnan(values[:, _PANEL_SIGN])
    if panel is not None:
        known &= panel
    result = np.empty((len(values), N_INPUTS))
    result[:, : len(COLUMNS)] = standard.scaled(values, unknown=FROM_PANEL & ~known[:, None])
    result[:, _KNOWN_AT] = known
    result[:, _KNOWN_AT + 1 : _RULES_AT] = waves(clock[:, 0], clock[:, 1], (1.0, 2.0, 3.0))
    result[:, _RULES_AT:-1] = np.clip(starts.medians, -LARGEST, LARGEST)
    result[:, -1] = np.clip(starts.odds / _ODDS_SCALE, -LARGEST, LARGEST)
    return result


def columns_of(rows: Rows) -> Floats:
    """`COLUMNS` of the rows, shape (n, len(COLUMNS))."""
    return rows.columns(COLUMNS)


def clock_of(rows: Rows) -> Floats:
    """Hour and weekday of the rows, shape (n, 2)."""
    return rows.columns(_CALENDAR)


def _slots(rows: Rows) -> NDArray[np.int64]:
    first = rows.column("first_hour")
    whole = np.where(np.isfinite(first), np.clip(first, 0.0, 1e9), 0.0).astype(np.int64)
    return np.asarray((whole + slot_of_hour(0)) % HOURS_OF_WEEK)
