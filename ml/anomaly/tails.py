"""From departures to chances: how often a channel departs so far on bars that nobody complained about.

A table holds what was exceeded by shares of `SHARES` of the bars; between its knots -log10 of the chance is linear, and
beyond the last it goes on as it came: linear in a height, so exponential; linear in the log of a ratio, so a power law.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

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


def rarity(values: Floats, timeframe: Timeframe) -> Rarity:
    """Of rows of the kernel, shape (n, len(NAMES)). Channels by their own tables; the whole by that of the largest
    among them, which knows that they are many. KeyError for a timeframe that was not measured."""
    by_channel = np.zeros((len(values), len(CHANNELS)))
    whole = np.full(len(values), np.nan)
    for name, here in groups(values, timeframe):
        by_channel[here] = depths(values[here], TABLES[name], name.endswith(THINNED))
        whole[here] = np.clip(depth(TABLES[name][ALL], by_channel[here].max(axis=1), 1.0), 0.0, LARGEST)
    whole[np.isnan(values[:, NAMES.index("move")])] = np.nan
    return Rarity(by_channel, whole)


def depths(values: Floats, table: Mapping[str, Sequence[float]], thin: bool) -> Floats:
    """-log10 of the chance of each channel, shape (n, channels), by one table."""
    found = np.zeros((len(values), len(CHANNELS)))
    for at, channel in enumerate(CHANNELS):
        seen = looked_at(values[:, NAMES.index(channel.column)], channel)
        told = depth(table[channel.name], seen) if channel.name in table else seen
        if channel.name in NEVER_FAR or (thin and channel.name not in FAR_IF_THIN):
            told = np.minimum(told, NEAR + NEARER * (told - NEAR))
        found[:, at] = np.clip(np.nan_to_num(told), 0.0, LARGEST)
    return found


def depth(knots: Sequence[float], values: Floats, slope: float | None = None) -> Floats:
    """-log10 of the chance to exceed each of `values` (n,); NaN where it is NaN. `knots` belong to `SHARES`; beyond the
    last it grows by `slope`, else by `HEAVIER` of what it grew by over the last three."""
    edges = np.asarray(knots)
    inside = np.interp(values, edges, _DEPTHS)
    grown = HEAVIER * (_DEPTHS[-1] - _DEPTHS[-3]) / max(edges[-1] - edges[-3], 1e-9)
    beyond = _DEPTHS[-1] + (grown if slope is None else slope) * (values - edges[-1])
    below = _DEPTHS[0] * np.exp(np.minimum(values - edges[0], 0.0))
    return np.asarray(np.where(values > edges[-1], beyond, np.where(values < edges[0], below, inside)))


def groups(values: Floats, timeframe: Timeframe) -> list[tuple[str, np.ndarray[tuple[int], np.dtype[np.int64]]]]:
    """The names of tables that rows need, each with the positions of its rows."""
    weekends, thin = values[:, NAMES.index("weekends")] > 0.0, values[:, NAMES.index("idle")] > THIN
    found = []
    for always in (True, False):
        for idle in (True, False):
            here = np.flatnonzero((weekends == always) & (thin == idle))
            if len(here):
                found.append((group(timeframe, always, idle), here))
    return found


def group(timeframe: Timeframe, weekends: bool, thin: bool) -> str:
    """The tables of a market: by timeframe, by whether it is thin, by whether it trades at weekends."""
    names = (f"{timeframe}{THINNED}" if thin else "", "" if weekends else f"{timeframe} weekdays")
    return next((name for name in names if name in TABLES), str(timeframe))
