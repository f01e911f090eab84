"""The price files of the data folder that several measurements read, below `ohlcv`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

from ml.bars import Bars, Timeframe

SPOT = ("ADA", "BCH", "BTC", "DOGE", "ETH", "LINK", "LTC", "TRX", "XLM", "XRP")
PERPS = (
    "AAVE ALGO ATOM BNB COMP EOS ETC FIL KSM MATIC MKR THETA UNI VET".split()  # noqa: SIM905  a line, not fourteen
)
FX = ("AUDUSD", "EURGBP", "EURUSD", "GBPUSD", "USDCAD", "USDCHF", "USDJPY")
SPOT_FILES = tuple(f"crypto/{one}USDT_1h" for one in SPOT)
PERP_FILES = tuple(f"crypto/{one}USDT-PERP_1h" for one in PERPS)
FX_FILES = tuple(f"fx/{one}_1h" for one in FX)
INDEX_FILES = ("index/SPX_1d", "index/NASDAQ_1d")
#: A UTC day with so many hours is one; with fewer it had more than an outage.
_FEWEST_HOURS = 21


def instant(day: str) -> int:
    """The first millisecond of a UTC day."""
    return int(np.datetime64(day, "ms").astype(np.int64))


def read(data: Path, file: str, timeframe: Timeframe = Timeframe.H1) -> Bars:
    """Bars of one file; hours are summed up into complete UTC days where days are wanted."""
    table = parquet.read_table(data / "ohlcv" / f"{file}.parquet")
    numbers = [table[name].to_numpy().astype(np.float64) for name in ("open", "high", "low", "close", "volume")]
    open_at = table["timestamp"].cast("int64").to_numpy().astype(np.int64)
    symbol = file.split("/")[1].rsplit("_", 1)[0]
    if timeframe is Timeframe.D1 and file.endswith("_1h"):
        return _days(Bars(symbol, Timeframe.H1, open_at, *numbers))
    return Bars(symbol, timeframe, open_at, *numbers)


def _days(hours: Bars) -> Bars:
    day = hours.open_at // Timeframe.D1.milliseconds
    first = np.flatnonzero(np.append(True, day[1:] != day[:-1]))
    last = np.append(first[1:], len(day)) - 1
    whole = last - first + 1 >= _FEWEST_HOURS
    first, last = first[whole], last[whole]
    return Bars(
        hours.symbol,
        Timeframe.D1,
        day[first] * Timeframe.D1.milliseconds,
        hours.open[first],
        np.array([hours.high[a : b + 1].max() for a, b in zip(first, last, strict=True)]),
        np.array([hours.low[a : b + 1].min() for a, b in zip(first, last, strict=True)]),
        hours.close[last],
        np.array([hours.volume[a : b + 1].sum() for a, b in zip(first, last, strict=True)]),
    )
