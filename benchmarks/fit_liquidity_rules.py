"""How the constants of the liquidity rules were fitted: prints them, rounded, as they stand in `ml/liquidity`.

    python -m benchmarks.fit_liquidity_rules --data DIR --profiles    # season.py: hour and day factors
    python -m benchmarks.fit_liquidity_rules --data DIR               # constants.py: factors, bands and odds

The memory of a horizon is the power of the smoothed level that makes the absolute error, each symbol scaled by its own
month, smallest, with the factor that makes the forecast a median; bands are quantiles of QV_h over the forecast; the
odds of a thin market are a logistic regression. Hours from `STOP` on are never asked about.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.asked_rows import Asked, asked_of
from benchmarks.price_files import SPOT_FILES, instant, read
from ml.bars import HOUR_MS, WEEK_MS, Bars, Floats, Instants
from ml.liquidity import LIQUIDITY
from ml.liquidity.constants import BANDS
from ml.liquidity.features import FEATURES
from ml.liquidity.kernel import THIN_BARS, quote_volume
from ml.liquidity.question import Horizon, LiquidityQuestion
from ml.liquidity.season import coming
from ml.liquidity.windows import rolling_mean
from ml.week import HOURS_OF_WEEK, hour_of_week

#: Constants are fitted on `SPOT_FILES` in this window, [start, stop).
START, STOP = "2018-01-01", "2022-01-01"
MEMORIES = tuple(round(0.60 + 0.01 * step, 2) for step in range(41))


def ask(bars: list[Bars], horizon: Horizon, start: int, stop: int, every: int = 1) -> Asked:
    """Every `every`-th hour that closed in [start, stop), asked over `horizon`; without the rows that are refused."""

    def inside(one: Bars) -> Instants:
        at: Instants = one.close_at[(one.close_at >= start) & (one.close_at < stop)]
        return np.asarray(at[at // HOUR_MS % every == 0])

    return asked_of(LIQUIDITY, FEATURES, bars, lambda symbol: LiquidityQuestion(symbol=symbol, horizon=horizon), inside)


def usual(asked: Asked) -> Floats:
    """Mean quote volume of an hour in the month before, shape (n,)."""
    return np.exp(asked.column("log_level"))


def shape_of(asked: Asked, horizon: Horizon, memory: float) -> Floats:
    """What the factor multiplies, shape (n,)."""
    slots = (asked.column("first_hour").astype(np.int64) + 72) % HOURS_OF_WEEK
    return usual(asked) * np.exp(memory * asked.column("smoothed")) * coming(horizon.bars)[slots]


def memory_of(asked: Asked, horizon: Horizon) -> float:
    """The power of the smoothed level that makes mean |qv - QV| / usual smallest."""

    def error(memory: float) -> float:
        shape = shape_of(asked, horizon, memory)
        qv = shape * np.median(asked.truths / shape)
        return float(np.mean(np.abs(qv - asked.truths) / usual(asked)))

    return min(MEMORIES, key=error)


def odds(distance: Floats, thin: Floats) -> Floats:
    """Intercept and slope of a logistic regression, by Newton's method."""
    columns = np.column_stack([np.ones(len(distance)), distance])
    found = np.zeros(2)
    for _ in range(30):
        chance = 1.0 / (1.0 + np.exp(-columns @ found))
        curved = (columns * (chance * (1.0 - chance))[:, None]).T @ columns
        found = found + np.linalg.solve(curved, columns.T @ (thin - chance))
    return found


def profile_of(data: Path) -> tuple[Floats, Floats]:
    """Mean relative volume by hour of day (24,) and by day of week (7,), of mean 1."""
    total, seen = np.zeros(HOURS_OF_WEEK), np.zeros(HOURS_OF_WEEK)
    for file in SPOT_FILES:
        bars = read(data, file)
        traded = quote_volume(bars)
        ratio = traded / rolling_mean(traded, HOURS_OF_WEEK)
        usable = np.isfinite(ratio) & (bars.close_at < instant(STOP))
        slot = hour_of_week(bars.open_at)[usable]
        total += np.bincount(slot, np.minimum(ratio[usable], 8.0), HOURS_OF_WEEK)
        seen += np.bincount(slot, minlength=HOURS_OF_WEEK)
    grid = (total / seen).reshape(7, 24)
    hours, days = grid.mean(axis=0), grid.mean(axis=1)
    return np.round(hours / hours.mean(), 2), np.round(days / days.mean(), 2)


def _print_constants(data: Path) -> None:
    bars = [read(data, file) for file in SPOT_FILES]
    for horizon in Horizon:
        asked = ask(bars, horizon, instant(START), instant(STOP) - horizon.milliseconds - WEEK_MS)
        known = np.isfinite(asked.truths)
        asked = asked.at(known)
        memory = memory_of(asked, horizon)
        shape = shape_of(asked, horizon, memory)
        factor = round(float(np.median(asked.truths / shape)), 3)
        ratio = asked.truths / (factor * shape)
        bands = ", ".join(f"{one:.3f}" for one in np.quantile(ratio, BANDS))
        print(f"    Horizon.{horizon.name}: Rule({factor}, {memory}, ({bands})),", flush=True)
        if horizon.bars == THIN_BARS:
            limit = THIN_BARS * usual(asked) * np.exp(asked.column("thin_below"))
            found = odds(np.log(factor * shape / limit), (asked.truths < limit).astype(np.float64))
            print(f"    THIN_ODDS = ({found[0]:.2f}, {found[1]:.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the market data (it holds ohlcv/)")
    parser.add_argument("--profiles", action="store_true", help="print the factors of season.py instead")
    asked = parser.parse_args()
    if asked.profiles:
        hours, days = profile_of(asked.data)
        print(hours.tolist(), days.tolist(), sep="\n")
    else:
        _print_constants(asked.data)


if __name__ == "__main__":
    main()
