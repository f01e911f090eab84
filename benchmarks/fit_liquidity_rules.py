"""How the constants of the liquidity rules were fitted: prints them, rounded, as they stand in `ml/liquidity`.

    python -m benchmarks.fit_liquidity_rules --data DIR --profiles    # season.py: hour and day factors
    python -m benchmarks.fit_liquidity_rules --data DIR               # constants.py: factors, bands and odds

The memory of a horizon is the power of the smoothed level that makes the absolute error, each symbol scaled by its own
month, smallest, with the factor that makes the forecast a median; bands are quantiles of QV_h over the forecast; the
odds of a thin market are a logistic regression. Hours from `STOP` on are never asked about.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from ml.bars import WEEK_MS, Bars, Floats, Instants, Timeframe
from ml.liquidity.constants import BANDS
from ml.liquidity.features import FEATURES
from ml.liquidity.kernel import NAMES, THIN_BARS, quote_volume
from ml.liquidity.question import Horizon, LiquidityQuestion
from ml.liquidity.season import HOURS_OF_WEEK, coming, hour_of_week
from ml.liquidity.truth import truth
from ml.liquidity.windows import rolling_mean
from ml.timeline import StillMarket

SPOT = ("ADA", "BCH", "BTC", "DOGE", "ETH", "LINK", "LTC", "TRX", "XLM", "XRP")
PERPS = (
    "AAVE ALGO ATOM BNB COMP EOS ETC FIL KSM MATIC MKR THETA UNI VET".split()  # noqa: SIM905  a line, not fourteen
)
SPOT_FILES = tuple(f"crypto/{one}USDT_1h" for one in SPOT)
PERP_FILES = tuple(f"crypto/{one}USDT-PERP_1h" for one in PERPS)
#: Constants are fitted on `SPOT_FILES` in this window, [start, stop).
START, STOP = "2018-01-01", "2022-01-01"
MEMORIES = tuple(round(0.60 + 0.01 * step, 2) for step in range(41))


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Rows of one horizon, all symbols: what the rules read, truths (NaN where unknown), instants (int64 ms) and
    symbols."""

    values: Floats
    truths: Floats
    as_of: Instants
    symbols: NDArray[np.str_]

    def column(self, name: str) -> Floats:
        return self.values[:, NAMES.index(name)]

    @property
    def usual(self) -> Floats:
        """Mean quote volume of an hour in the month before, shape (n,)."""
        return np.exp(self.column("log_level"))


def instant(day: str) -> int:
    return int(np.datetime64(day, "ms").astype(np.int64))


def read(data: Path, file: str) -> Bars:
    """Hourly bars of one file below `ohlcv`."""
    table = parquet.read_table(data / "ohlcv" / f"{file}.parquet")
    numbers = [table[name].to_numpy().astype(np.float64) for name in ("open", "high", "low", "close", "volume")]
    open_at = table["timestamp"].cast("int64").to_numpy().astype(np.int64)
    return Bars(file.split("/")[1].rsplit("_", 1)[0], Timeframe.H1, open_at, *numbers)


def ask(bars: list[Bars], horizon: Horizon, start: int, stop: int, every: int = 1) -> Asked:
    """Every `every`-th hour that closed in [start, stop), asked over `horizon`; without the rows that are refused."""
    market = StillMarket.of(*bars)
    parts: list[tuple[Floats, Floats, Instants, NDArray[np.str_]]] = []
    for one in bars:
        inside = (one.close_at >= start) & (one.close_at < stop) & (one.close_at // 3_600_000 % every == 0)
        as_of = one.close_at[inside]
        questions = [LiquidityQuestion(symbol=one.symbol, horizon=horizon)] * len(as_of)
        rows = FEATURES.rows_of_rules(questions, as_of, market)
        truths = np.array([np.nan if y is None else y for y in truth(questions, as_of, market)], dtype=np.float64)
        ok = np.array([why is None for why in rows.cannot], dtype=bool)
        parts.append((rows.values[ok], truths[ok], as_of[ok], np.full(int(ok.sum()), one.symbol)))
    return Asked(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def shape_of(asked: Asked, horizon: Horizon, memory: float) -> Floats:
    """What the factor multiplies, shape (n,)."""
    slots = (asked.column("first_hour").astype(np.int64) + 72) % HOURS_OF_WEEK
    return asked.usual * np.exp(memory * asked.column("smoothed")) * coming(horizon.bars)[slots]


def memory_of(asked: Asked, horizon: Horizon) -> float:
    """The power of the smoothed level that makes mean |qv - QV| / usual smallest."""

    def error(memory: float) -> float:
        shape = shape_of(asked, horizon, memory)
        qv = shape * np.median(asked.truths / shape)
        return float(np.mean(np.abs(qv - asked.truths) / asked.usual))

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
        asked = Asked(asked.values[known], asked.truths[known], asked.as_of[known], asked.symbols[known])
        memory = memory_of(asked, horizon)
        shape = shape_of(asked, horizon, memory)
        factor = round(float(np.median(asked.truths / shape)), 3)
        ratio = asked.truths / (factor * shape)
        bands = ", ".join(f"{one:.3f}" for one in np.quantile(ratio, BANDS))
        print(f"    Horizon.{horizon.name}: Rule({factor}, {memory}, ({bands})),", flush=True)
        if horizon.bars == THIN_BARS:
            limit = THIN_BARS * asked.usual * np.exp(asked.column("thin_below"))
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
