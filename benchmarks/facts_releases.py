"""How much hours move in which the United States publish: `docs/volatility.md` quotes it.

    python -m benchmarks.facts_releases --data DIR

Of each release the hourly bar in which it comes out: its squared range over the median of the same hour in the two
weeks before and after; means in logs over symbols, then over releases. Intervals: 95%, bootstrap over releases.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.price_files import FX_FILES, SPOT_FILES, instant, read
from ml.bars import HOUR_MS, Bars, Floats, Instants, Timeframe
from ml.economic_calendar import EconomicCalendar
from ml.release import Release

STRETCHES = (
    ("seven currency pairs", FX_FILES, "2013-01-01", "2016-01-01"),
    ("seven currency pairs", FX_FILES, "2016-01-01", "2019-01-01"),
    ("ten coins", SPOT_FILES, "2018-01-01", "2022-01-01"),
    ("ten coins", SPOT_FILES, "2022-01-01", "2024-07-01"),
)
DRAWS = 2_000
_AROUND = [24 * days for days in range(-14, 15) if days]
_FEWEST = 6
_SMALLEST = 1e-9


def times_usual(bars: Bars, at: Instants) -> Floats:
    """ln of the squared range of the bar that holds each instant over that of its hour on other days, (n,); NaN where
    it or too many of these are missing."""
    hours, squared = bars.open_at // HOUR_MS, np.maximum(np.log(bars.high / bars.low) ** 2, _SMALLEST)

    def found(hour: Instants) -> Floats:
        place = np.minimum(np.searchsorted(hours, hour), len(hours) - 1)
        return np.where(hours[place] == hour, squared[place], np.nan)

    own = at // HOUR_MS
    around = np.column_stack([found(own + lag) for lag in _AROUND])
    known = (~np.isnan(around)).sum(axis=1) >= _FEWEST
    usual = np.full(len(at), np.nan)
    usual[known] = np.nanmedian(around[known], axis=1)
    return np.asarray(np.log(found(own) / usual))


def released(release: Release, start: int, stop: int) -> Instants:
    """Its instants (ms) in [start, stop)."""
    at, found = start, list[int]()
    while True:
        moment = np.array([at])
        hours = float(EconomicCalendar().hours_until(release, moment, moment)[0])
        at += round(hours * HOUR_MS)
        if at >= stop:
            return np.array(found, dtype=np.int64)
        found.append(at)
        at += 1


def line(name: str, bars: Sequence[Bars], release: Release, start: int, stop: int) -> str:
    """One row of the table."""
    apart = np.column_stack([times_usual(one, released(release, start, stop)) for one in bars])
    known = apart[~np.isnan(apart).all(axis=1)]
    each = np.nanmean(known, axis=1)
    draws = np.random.default_rng(7).choice(each, (DRAWS, len(each))).mean(axis=1)
    low, high = np.exp(np.quantile(draws, (0.025, 0.975)))
    years = f"{np.datetime64(start, 'ms').astype('M8[Y]')} to {np.datetime64(stop - 1, 'ms').astype('M8[Y]')}"
    return f"| {name}, {years} | {release} | {len(each)} | {np.exp(each.mean()):.1f} [{low:.1f}, {high:.1f}] |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the market data (it holds ohlcv/)")
    data = parser.parse_args().data
    print("| market | release | how many | squared range, times usual [95%] |\n|---|---|---|---|")
    for name, files, start, stop in STRETCHES:
        bars = [read(data, file, Timeframe.H1) for file in files]
        for release in Release:
            print(line(name, bars, release, instant(start), instant(stop)), flush=True)


if __name__ == "__main__":
    main()
