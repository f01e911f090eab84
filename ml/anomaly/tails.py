"""From departures to chances: how often a channel departs so far on bars that nobody complained about.

A table holds what was exceeded by shares of `SHARES` of the bars; between its knots -log10 of the chance is linear, and
beyond the last it goes on as it came: linear in a height, so exponential; linear in the log of a ratio, so a power law.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.anomaly.channels import CHANNELS, looked_at
from ml.anomaly.constants import TABLES
from ml.anomaly.kernel import NAMES
from ml.bars import Floats, Timeframe

#: Shares of the bars that exceed the knots of a table.
SHARES = (0.3, 0.1, 0.03, 0.01, 0.004, 0.0015, 0.0006, 0.0002)
_DEPTHS = -np.log10(SHARES)
#: Nothing is told to be rarer than 1 bar in 10 million.
LARGEST = 7.0
#: Above this share of idle bars a market is thin: one trade moves it.
THIN = 0.05
THINNED = " thin"
#: These are not told to be much rarer than 1 bar in 1,000: volumes follow a market's own ways, which change from year
#: to year, and their far tails cried often and said little. In thin markets, where one order makes a record or stops a
#: price, all but moves.
NEAR, NEARER = 3.0, 0.1
NEVER_FAR = frozenset({"impact", "volume", "volume_gone", "no_volume"})
FAR_IF_THIN = frozenset({"move", "surge"})
#: Beyond what was seen, tails are taken for twice as heavy as they were: markets differ more there than bars do.
HEAVIER = 0.5
#: The name of the table in which the largest channel is looked up.
ALL = "all"
#: The timeframes that have tables.
MEASURED = frozenset(Timeframe(name.split()[0]) for name in TABLES)


@dataclass(frozen=True, slots=True, eq=False)
class Rarity:
    """How rare each row is. `by_channel` (n, channels) and `whole` (n,) are -log10 of chances: 2 is 1 bar in 100. A
    channel that is not known is 0; `whole` is NaN where the move is not known."""

    by_channel: Floats
    whole: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Knots:
    """One table as arrays: `edges` (channels, shares), NaN where a channel has none; `steps` (channels, shares - 1),
    what a depth grows by between two edges, and `grown` (channels,) beyond the last."""

    edges: Floats
    steps: Floats
    grown: Floats
    tabled: NDArray[np.bool_]

    @staticmethod
    def of(table: Mapping[str, Sequence[float]]) -> Knots:
        none = (np.nan,) * len(SHARES)
        edges = np.array([table.get(channel.name, none) for channel in CHANNELS])
        steps = np.diff(_DEPTHS) / np.diff(edges, axis=1)
        return Knots(edges, steps, _grown(edges), ~np.isnan(edges[:, 0]))

    def depth(self, seen: Floats) -> Floats:
        """-log10 of the chance to exceed what each channel looks at, shape (n, channels), as `depth` has it; what has
        no table is told as a chance already."""
        of_channel, at = np.arange(len(self.edges)), np.zeros(seen.shape, dtype=np.int64)
        for knot in range(1, len(SHARES) - 1):
            at += seen >= self.edges[:, knot]
        inside = self.steps[of_channel, at] * (seen - self.edges[of_channel, at]) + _DEPTHS[at]
        first, last = self.edges[:, 0], self.edges[:, -1]
        beyond = _DEPTHS[-1] + self.grown * (seen - last)
        below = _DEPTHS[0] * np.exp(np.minimum(seen - first, 0.0))
        told = np.where(seen >= last, beyond, np.where(seen < first, below, inside))
        return np.where(self.tabled, told, seen)


def rarity(values: Floats, timeframe: Timeframe) -> Rarity:
    """Of rows of the kernel, shape (n, len(NAMES)). Channels by their own tables; the whole by that of the largest
    among them, which knows that they are many. KeyError for a timeframe that was not measured."""
    by_channel = np.zeros((len(values), len(CHANNELS)))
    whole = np.full(len(values), np.nan)
    for name, here in groups(values, timeframe):
        by_channel[here] = depths(values[here], _KNOTS[name], name.endswith(THINNED))
        whole[here] = np.clip(depth(_WHOLE[name], by_channel[here].max(axis=1), 1.0), 0.0, LARGEST)
    whole[np.isnan(values[:, NAMES.index("move")])] = np.nan
    return Rarity(by_channel, whole)


def depths(values: Floats, knots: Knots, thin: bool) -> Floats:
    """-log10 of the chance of each channel, shape (n, channels), by one table."""
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite ends as 0 or as the rarest
        told = knots.depth(looked_at(values[:, _COLUMNS]))
        told = np.where(_NEAR[thin], np.minimum(told, NEAR + NEARER * (told - NEAR)), told)
    return np.where(np.isnan(told), 0.0, np.clip(told, 0.0, LARGEST))


def depth(knots: Floats, values: Floats, slope: float | None = None) -> Floats:
    """-log10 of the chance to exceed each of `values` (n,); NaN where it is NaN. `knots` belong to `SHARES`; beyond the
    last it grows by `slope`, else by `HEAVIER` of what it grew by over the last three."""
    inside = np.interp(values, knots, _DEPTHS)
    beyond = _DEPTHS[-1] + (_grown(knots) if slope is None else slope) * (values - knots[-1])
    below = _DEPTHS[0] * np.exp(np.minimum(values - knots[0], 0.0))
    return np.asarray(np.where(values > knots[-1], beyond, np.where(values < knots[0], below, inside)))


def _grown(edges: Floats) -> Floats:
    """What a depth grows by beyond the last edge, shape (...,) of edges (..., shares)."""
    return np.asarray(HEAVIER * (_DEPTHS[-1] - _DEPTHS[-3]) / np.maximum(edges[..., -1] - edges[..., -3], 1e-9))


def groups(values: Floats, timeframe: Timeframe) -> list[tuple[str, np.ndarray[tuple[int], np.dtype[np.int64]]]]:
    """The names of tables that rows need, each with the positions of its rows."""
    weekends, thin = values[:, _WEEKENDS] > 0.0, values[:, _IDLE] > THIN
    kind = 2 * weekends + thin
    found = [(number, np.flatnonzero(kind == number)) for number in (3, 2, 1, 0)]
    return [(group(timeframe, number >= 2, number % 2 == 1), here) for number, here in found if len(here)]


def group(timeframe: Timeframe, weekends: bool, thin: bool) -> str:
    """The tables of a market: by timeframe, by whether it is thin, by whether it trades at weekends."""
    names = (f"{timeframe}{THINNED}" if thin else "", "" if weekends else f"{timeframe} weekdays")
    return next((name for name in names if name in TABLES), str(timeframe))


_COLUMNS = [NAMES.index(channel.column) for channel in CHANNELS]
_WEEKENDS, _IDLE = NAMES.index("weekends"), NAMES.index("idle")
#: Which channels are not told to be far, by whether the market is thin.
_NEAR = {
    thin: np.array([one.name in NEVER_FAR or (thin and one.name not in FAR_IF_THIN) for one in CHANNELS])
    for thin in (False, True)
}
_KNOTS = {name: Knots.of(table) for name, table in TABLES.items()}
_WHOLE = {name: np.array(table[ALL]) for name, table in TABLES.items()}
