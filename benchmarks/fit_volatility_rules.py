"""How the constants of the volatility rules were fitted: prints them, rounded, as they stand in `ml/volatility`.

    python -m benchmarks.fit_volatility_rules --data DIR --profiles    # season.py: hour and day factors
    python -m benchmarks.fit_volatility_rules --data DIR               # constants.py: weights and band factors

Weights minimise QLIKE (the ratio RV/F of a row capped at 20, so that no single crash sets them) by Newton's method;
band factors are quantiles of RV/F, each year's by weights fitted on the other years. Years after the window named in
each `Sample` are never asked about.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.asked_rows import Asked, asked_of
from benchmarks.price_files import FX_FILES, INDEX_FILES, SPOT_FILES, instant, read
from ml.bars import HOUR_MS, WEEK_MS, Bars, Floats, Instants, Timeframe
from ml.volatility import VOLATILITY
from ml.volatility.constants import BANDS, TERMS
from ml.volatility.features import FEATURES
from ml.volatility.kernel import LARGEST_BAR, PARKINSON
from ml.volatility.question import Horizon, VolatilityQuestion, horizons_on
from ml.volatility.season import Kind
from ml.week import HOURS_OF_WEEK, hour_of_week

LARGEST_RATIO = 20.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Files of one kind of market and the window in which constants may be fitted, [start, stop)."""

    kind: Kind
    timeframe: Timeframe
    files: tuple[str, ...]
    start: str
    stop: str
    unused: tuple[str, ...]
    """Terms that this kind goes without: fitted, they added nothing on the window, or only noise."""

    @property
    def window(self) -> tuple[int, int]:
        return instant(self.start), instant(self.stop)


SEASONS = ("season", "own_season")
RELEASES = ("due_payrolls", "due_fed")
SAMPLES = (
    Sample(Kind.ALWAYS, Timeframe.H1, SPOT_FILES, "2018-01-01", "2022-01-01", ("own_season", "fall", *RELEASES)),
    Sample(Kind.WEEKDAYS, Timeframe.H1, FX_FILES, "2012-11-01", "2016-01-01", ("fall",)),
    Sample(Kind.ALWAYS, Timeframe.D1, SPOT_FILES, "2018-01-01", "2022-01-01", (*SEASONS, "fall", *RELEASES)),
    Sample(Kind.WEEKDAYS, Timeframe.D1, INDEX_FILES, "1999-01-01", "2010-01-01", (*SEASONS, *RELEASES)),
)


def ask(bars: list[Bars], horizon: Horizon, start: int, stop: int, every: int = 1) -> Asked:
    """Every `every`-th bar that closed in [start, stop), asked over `horizon`; without the rows that are refused."""

    def inside(one: Bars) -> Instants:
        return one.close_at[(one.close_at >= start) & (one.close_at < stop)][::every]

    return asked_of(
        VOLATILITY, FEATURES, bars, lambda symbol: VolatilityQuestion(symbol=symbol, horizon=horizon), inside
    )


def design(asked: Asked, unused: tuple[str, ...]) -> tuple[Floats, Floats]:
    """Columns of the rules (n, 1 + len(TERMS)), zero where unused, and the log level that they correct (n,)."""
    columns = [np.ones(len(asked.as_of)), *(asked.column(name) * (name not in unused) for name in TERMS)]
    return np.column_stack(columns), asked.column("log_level")


def minimise_qlike(columns: Floats, offset: Floats, truths: Floats) -> Floats:
    """Weights b that minimise the mean of r - ln r, r = truth / exp(offset + columns b), r capped at 20."""
    floor = np.maximum(truths, 1e-12)
    free = np.abs(columns).max(axis=0) > 0.0
    kept = columns[:, free]
    found = np.linalg.lstsq(kept, np.log(floor) - offset, rcond=None)[0]
    for _ in range(30):
        ratio = np.minimum(floor * np.exp(-(offset + kept @ found)), LARGEST_RATIO)
        found = found - np.linalg.solve((kept * ratio[:, None]).T @ kept, kept.T @ (1.0 - ratio))
    weights = np.zeros(columns.shape[1])
    weights[free] = found
    return weights


def fitted(data: Path, sample: Sample) -> Iterator[tuple[Horizon, Floats, Floats]]:
    """Per horizon the rounded weights and band factors."""
    bars = [read(data, file, sample.timeframe) for file in sample.files]
    start, stop = sample.window
    for horizon in horizons_on(sample.timeframe):
        asked = ask(bars, horizon, start, stop - horizon.milliseconds - WEEK_MS)
        known = asked.truths > 0.0
        columns, offset = design(asked, sample.unused)
        offset = offset[known] + np.log(horizon.bars)
        weights = np.round(minimise_qlike(columns[known], offset, asked.truths[known]), 2)
        ratio = held_out_ratios(columns[known], offset, asked.truths[known], asked.as_of[known])
        yield horizon, weights, np.round(np.quantile(ratio, BANDS), 3)


def held_out_ratios(columns: Floats, offset: Floats, truths: Floats, as_of: Instants) -> Floats:
    """RV/F of each row by weights fitted on the other years: what a band must hold on years that no weight has seen."""
    year = as_of.astype("datetime64[ms]").astype("datetime64[Y]").astype(np.int64)
    ratio = np.empty(len(truths))
    for one in np.unique(year):
        out = year == one
        weights = minimise_qlike(columns[~out], offset[~out], truths[~out])
        ratio[out] = truths[out] / np.exp(offset[out] + columns[out] @ weights)
    return ratio


def factors(data: Path, sample: Sample) -> tuple[Floats, Floats]:
    """Mean relative variance by hour of day (24,) and by day of week (7,), of mean 1 over the open hours."""
    total, seen = np.zeros(HOURS_OF_WEEK), np.zeros(HOURS_OF_WEEK)
    for file in sample.files:
        bars = read(data, file, Timeframe.H1)
        variance = np.minimum(np.log(bars.high / bars.low) ** 2 * PARKINSON, LARGEST_BAR)
        week = np.convolve(variance, np.ones(HOURS_OF_WEEK) / HOURS_OF_WEEK)[: len(variance)]
        usable = (np.arange(len(bars)) >= HOURS_OF_WEEK) & (bars.open_at < sample.window[1] - HOUR_MS)
        slot = hour_of_week(bars.open_at)[usable]
        total += np.bincount(slot, np.minimum(variance[usable] / week[usable], 8.0), HOURS_OF_WEEK)
        seen += np.bincount(slot, minlength=HOURS_OF_WEEK)
    return _hours_and_days(total / np.maximum(seen, 1.0), seen > 0.2 * seen.max())


def _hours_and_days(profile: Floats, is_open: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """The rank-one profile hours x days nearest to `profile`, by alternating means over the open slots."""
    grid, mask = profile.reshape(7, 24), is_open.reshape(7, 24)
    hours, days = np.ones(24), np.ones(7)
    for _ in range(50):
        hours = (grid * mask).sum(axis=0) / (mask * days[:, None]).sum(axis=0)
        days = (grid * mask).sum(axis=1) / np.maximum((mask * hours[None, :]).sum(axis=1), 1e-9)
    scale = float((np.outer(days, hours) * mask).sum() / mask.sum())
    balance = float(days[days > 0].mean())
    return np.round(hours * balance / scale, 2), np.round(days / balance, 2)


def _print_profiles(data: Path) -> None:
    for sample in SAMPLES[:2]:
        hours, days = factors(data, sample)
        print(sample.kind.name, *(list(map(float, one)) for one in (hours, days)), sep="\n    ")


def _print_weights(data: Path) -> None:
    for sample in SAMPLES:
        for horizon, weights, bands in fitted(data, sample):
            constant, *others = (f"{one + 0.0:.2f}" for one in weights)  # + 0.0: no minus before a zero
            band = ", ".join(f"{one:.3f}" for one in bands)
            rule = f"Rule({constant}, ({', '.join(others)}), ({band}))"
            print(f"    (Kind.{sample.kind.name}, Horizon.{horizon.name}): {rule},", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the market data (it holds ohlcv/)")
    parser.add_argument("--profiles", action="store_true", help="print the factors of season.py instead")
    asked = parser.parse_args()
    printer: Callable[[Path], None] = _print_profiles if asked.profiles else _print_weights
    printer(asked.data)


if __name__ == "__main__":
    main()
