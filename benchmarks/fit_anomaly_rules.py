"""How the tail tables of the anomaly rules were fitted: prints what `ml/anomaly/constants.py` ships.

    python -m benchmarks.fit_anomaly_rules --data DIR

Early bars only, of the series and windows named in `GROUPS`. A knot is the value that a share of the bars exceeds, the
series of a group taken together; beyond 1 bar in 1,000 a short group is extended as its tail began. The table `all` is
fitted last, on the largest channel of each bar.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from benchmarks.anomaly_fed import FUNDING_JUDGED_FROM, funding_heights
from ml.anomaly.channels import CHANNELS, looked_at
from ml.anomaly.kernel import NAMES, kernel
from ml.anomaly.scale import knots, usual
from ml.anomaly.tails import ALL, SHARES, THIN, THINNED, Knots, depths
from ml.bars import HOUR_MS, Bars, Floats, Instants, Timeframe

SPOT = tuple(f"crypto/{one}USDT_1h" for one in ("ADA", "BCH", "BTC", "DOGE", "ETH", "LINK", "LTC", "TRX", "XLM", "XRP"))
PERPS = tuple(
    f"crypto/{one}USDT-PERP_1h"
    for one in (
        "AAVE",
        "ALGO",
        "ATOM",
        "BNB",
        "COMP",
        "EOS",
        "ETC",
        "FIL",
        "KSM",
        "MATIC",
        "MKR",
        "THETA",
        "UNI",
        "VET",
    )
)
FX = tuple(f"fx/{one}_1h" for one in ("AUDUSD", "EURGBP", "EURUSD", "GBPUSD", "USDCAD", "USDCHF", "USDJPY"))
FIVE = ("crypto/BTCUSDT-PERP_5m", "crypto/ETHUSDT-PERP_5m", "crypto/1000PEPEUSDT-PERP_5m")
MINUTES = (
    *("crypto/BTC-PERP_ftx_1m_202201", "crypto/BTCUSD_binanceus_1m_202303", "crypto/BTCUSDT_binanceus_1m_202303"),
    *("crypto/BTCUSDC_binanceus_1m_202303", "crypto/BTCUSDC_kraken_1m_202303"),
)
INDEX = ("index/SPX_1d", "index/NASDAQ_1d")
PUMPS = "pumps"
"""Coins of `events/pump_bars_1m`, up to two hours before their pump."""


@dataclass(frozen=True, slots=True)
class Source:
    """Files of one market, read as bars of `timeframe`, fitted on bars that open before `judged_from`."""

    files: tuple[str, ...]
    timeframe: Timeframe
    judged_from: str


SOURCES = (
    Source((*MINUTES, PUMPS), Timeframe.M1, ""),
    Source(FIVE, Timeframe.M5, "2023-10-01"),
    Source(FIVE, Timeframe.M15, "2023-10-01"),
    Source((*SPOT, *PERPS), Timeframe.H1, "2022-01-01"),
    Source(FX, Timeframe.H1, "2016-01-01"),
    Source((*SPOT, *PERPS), Timeframe.H4, "2022-01-01"),
    Source(("fx/EURUSD_4h", *FX), Timeframe.H4, "2016-01-01"),
    Source((*SPOT, *PERPS), Timeframe.D1, "2022-01-01"),
    Source(INDEX, Timeframe.D1, "2010-01-01"),
)
#: What is answered by a table that was fitted on others of its kind.
BY_TABLES_OF_OTHERS = (Source(FX, Timeframe.D1, "2016-01-01"),)
#: Minutes: each file has its own window, since they lie in different years.
MINUTES_JUDGED_FROM = {
    "crypto/BTC-PERP_ftx_1m_202201": "2022-01-20",
    "crypto/BTCUSD_binanceus_1m_202303": "2023-03-10",
    "crypto/BTCUSDT_binanceus_1m_202303": "2023-03-10",
    "crypto/BTCUSDC_binanceus_1m_202303": "2023-03-10",
    "crypto/BTCUSDC_kraken_1m_202303": "2023-03-10",
    PUMPS: "2020-11-01",
}
#: For missing volume a group with fewer bars takes, knot by knot, the wider of its own table and that of finer bars of
#: the same market: droughts are rare and long.
FEW = 40_000
FINER = {"1d": "4h", "4h weekdays": "1h weekdays", "1d weekdays": "4h weekdays"}
#: There the knots of the whole are the mean of those of each quarter: bars pooled over years say of a crash how it was,
#: and of most years too little. Chosen within the early years (each half-year judged by the others): a score of .8 is
#: reached by the typical half-year of hourly coins .68 times as often as it says where bars are pooled, .90 so; rates
#: of 4h are nearer as well, those of currencies were not. A quarter of days is too short for it.
BY_QUARTER, FEWEST_OF_A_QUARTER = frozenset({"1h", "4h"}), 2_000
#: What is told as a chance already needs a table where it is seen this often on bars nobody complained about.
_OFTEN, _SEEN = SHARES.index(0.0006), 0.1


def milliseconds(day: str) -> int:
    return int(np.datetime64(day, "ms").astype(np.int64))


def judged_from(source: Source, file: str) -> int:
    """Bars that open before this instant (ms) are fitted on; those from it on are judged."""
    return milliseconds(MINUTES_JUDGED_FROM[file] if source.timeframe is Timeframe.M1 else source.judged_from)


def series(data: Path, file: str, timeframe: Timeframe) -> Iterator[Bars]:
    """The bars of a file below `ohlcv`, summed up to `timeframe` where they are finer; or of the coins before pumps."""
    if file == PUMPS:
        for found, pumped_at in pumped(data):
            yield found.between(0, int(np.searchsorted(found.open_at, pumped_at - 2 * HOUR_MS)))
        return
    of = next(one for one in Timeframe if f"_{one}" in file)
    found = _bars(parquet.read_table(data / "ohlcv" / f"{file}.parquet"), file.split("/")[1].rsplit("_", 1)[0], of)
    yield summed(found, timeframe) if of is not timeframe else found


def pumped(data: Path) -> Iterator[tuple[Bars, int]]:
    """Minutes of each coin around its pump, and when that was announced (ms)."""
    table = parquet.read_table(data / "events" / "pump_bars_1m.parquet")
    names = np.asarray(table["event_id"].to_pylist())
    for event in parquet.read_table(data / "events" / "pump_events.parquet").to_pylist():
        here = table.filter(pa.array(names == event["event_id"]))
        yield _bars(here, event["event_id"], Timeframe.M1), int(event["event_time"].timestamp() * 1_000)


def summed(bars: Bars, timeframe: Timeframe) -> Bars:
    """The same market in longer bars, cut on the clock."""
    block = bars.open_at // timeframe.milliseconds
    first = np.flatnonzero(np.append(True, block[1:] != block[:-1]))
    last = np.append(first[1:], len(block)) - 1
    return Bars(
        bars.symbol,
        timeframe,
        block[first] * timeframe.milliseconds,
        bars.open[first],
        np.maximum.reduceat(bars.high, first),
        np.minimum.reduceat(bars.low, first),
        bars.close[last],
        np.add.reduceat(bars.volume, first),
    )


def rows_of(bars: Bars) -> tuple[Floats, Instants]:
    """The kernel's rows of all bars that have one, but for faults of the data where a market never closes: outages are
    no part of what is usual. And the quarters in which they opened."""
    values = kernel(bars, None)
    known = ~np.isnan(values[:, NAMES.index("move")])
    values, months = values[known], bars.open_at[known].astype("datetime64[ms]").astype("datetime64[M]")
    kept = usual(values)
    return values[kept], months[kept].astype(np.int64) // 3


def fitted(data: Path, sources: Sequence[Source]) -> Mapping[str, Mapping[str, tuple[float, ...]]]:
    """Tables by group and channel."""
    parts: dict[str, list[tuple[Floats, Instants]]] = {}
    for source in sources:
        for file in source.files:
            for bars in series(data, file, source.timeframe):
                rows, quarters = rows_of(bars.between(0, int(np.searchsorted(bars.open_at, judged_from(source, file)))))
                for name, here in _groups(rows, source.timeframe):
                    parts.setdefault(name, []).append((rows[here], quarters[here]))
    found: dict[str, Mapping[str, tuple[float, ...]]] = {}
    for name, part in parts.items():
        rows, quarters = (np.concatenate(one) for one in zip(*part, strict=True))
        finer = found.get(FINER.get(name, "")) if len(rows) < FEW else None
        by_quarter = quarters if name in BY_QUARTER else None
        channels, whole = table_of(rows, finer, by_quarter, thin=name.endswith(THINNED))
        found[name] = {**channels, ALL: whole}
    return found


def table_of(
    rows: Floats,
    finer: Mapping[str, tuple[float, ...]] | None = None,
    quarters: Instants | None = None,
    *,
    thin: bool = False,
) -> tuple[Mapping[str, tuple[float, ...]], tuple[float, ...]]:
    """The knots of each channel, and of the whole."""
    channels = _channels(rows, finer)
    largest = depths(rows, Knots.of(channels), thin).max(axis=1)
    return channels, _knots(largest, None if thin else 1.0, quarters)


def _groups(rows: Floats, timeframe: Timeframe) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """As `tails.groups`, for tables that are not there yet."""
    weekends, thin = rows[:, NAMES.index("weekends")] > 0.0, rows[:, NAMES.index("idle")] > THIN
    if timeframe is Timeframe.M1:
        yield from (("1m", ~thin), (f"1m{THINNED}", thin))
    else:
        for name, here in ((str(timeframe), weekends), (f"{timeframe} weekdays", ~weekends)):
            if here.any():
                yield name, here


def _channels(rows: Floats, finer: Mapping[str, tuple[float, ...]] | None) -> Mapping[str, tuple[float, ...]]:
    found: dict[str, tuple[float, ...]] = {}
    seen = looked_at(rows[:, [NAMES.index(channel.column) for channel in CHANNELS]])
    for at, channel in enumerate(CHANNELS):
        edges = _knots(seen[:, at])
        if finer is not None and channel.name == "volume_gone":
            edges = tuple(max(pair) for pair in zip(edges, finer[channel.name], strict=True))
        if not channel.told or edges[_OFTEN] > _SEEN:
            found[channel.name] = edges
    return found


def _knots(values: Floats, slope: float | None = None, quarters: Instants | None = None) -> tuple[float, ...]:
    """What is exceeded by SHARES of the values that are known, in the mean of `quarters` where they are told."""
    known = values[~np.isnan(values)]
    if quarters is None:
        return knots([known], slope)
    blocks = [known[quarters == one] for one in np.unique(quarters)]
    return knots([one for one in blocks if len(one) >= FEWEST_OF_A_QUARTER], slope)


def _bars(table: pa.Table, symbol: str, timeframe: Timeframe) -> Bars:
    opened = table["timestamp"].cast(pa.timestamp("ms", tz="UTC"), safe=False).cast(pa.int64()).to_numpy()
    numbers = [table[name].to_numpy().astype(np.float64) for name in ("open", "high", "low", "close", "volume")]
    return Bars(symbol, timeframe, opened, *numbers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the market data (it holds ohlcv/)")
    data = parser.parse_args().data
    heights, closed = funding_heights(data)
    print(f"FUNDING = {_knots(heights[closed < milliseconds(FUNDING_JUDGED_FROM)])}")
    tables = fitted(data, SOURCES)
    print("TABLES: Mapping[str, Mapping[str, tuple[float, ...]]] = {")
    for name, table in tables.items():
        print(f'    "{name}": {{')
        for channel, edges in table.items():
            print(f'        "{channel}": {edges},')
        print("    },")
    print("}")


if __name__ == "__main__":
    main()
