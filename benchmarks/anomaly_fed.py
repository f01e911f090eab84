"""What is fed beside the bars, for the record of `detect_anomalies`: real funding, and stand-ins for what there is not.

No series of open interest or of books is long enough to measure on. Their channels rank a number among its own last
ones, and so does this with what is as stormy: sizes of hourly moves for changes of open interest, ranges over those of
the last 24 bars for spreads, and the same of what is not traded for books that hold little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from ml.anomaly import AnomalyQuestion
from ml.anomaly.channels import CHANNELS
from ml.anomaly.fed import FED, fed_columns
from ml.anomaly.fed_rarity import fed_depths, together
from ml.anomaly.kernel import kernel, raw
from ml.anomaly.rank import OF_LATE, of_late, rank_depth
from ml.anomaly.tails import rarity
from ml.anomaly.windows import LEVEL
from ml.bars import HOUR_MS, Bars, Floats, Instants
from ml.observed import Kind, Observed
from ml.timeline import StillMarket

#: Rates to here make the table of funding; it is judged on those after.
FUNDING_JUDGED_FROM = "2022-01-01"
#: Spot bars of the coins whose perpetuals the rates are of.
FUNDED = ("ADA", "BTC", "ETH", "LTC", "XRP")


class Depths(NamedTuple):
    """-log10 of the chances that were told of bars, and when these closed (ms). `told` where users are told them: other
    lines are there to be compared with."""

    name: str
    depth: Floats
    closed: Instants
    told: bool = False


def funding(data: Path) -> list[Observed]:
    """Rates of the perpetuals by the name of the coin's spot bars, received as they were settled."""
    table = parquet.read_table(data / "funding" / "binance_funding.parquet")
    symbols = np.asarray(table["symbol"].to_pylist())
    at = table["timestamp"].cast(pa.timestamp("ms", tz="UTC"), safe=False).cast(pa.int64()).to_numpy()
    rates = table["funding_rate"].to_numpy().astype(np.float64)
    found = []
    for coin in FUNDED:
        here = np.flatnonzero(symbols == f"{coin}USDT-PERP")
        here = here[np.argsort(at[here], kind="stable")]
        found.append(Observed(Kind.FUNDING, f"{coin}USDT", at[here], at[here], rates[here][:, None]))
    return found


def funding_columns(observed: Observed) -> tuple[Floats, Instants]:
    """`FED` of the hours in which its rates became known, and when these closed."""
    closed = observed.at + -observed.at % HOUR_MS
    question = AnomalyQuestion(symbol=observed.symbol)
    market = StillMarket.of(observed=[observed])
    return fed_columns([question] * len(closed), closed, market), closed


def funding_heights(data: Path) -> tuple[Floats, Instants]:
    """What the channel of funding looks at, by settlement, and when its hour closed."""
    found = [funding_columns(one) for one in funding(data)]
    heights = np.concatenate([columns[:, FED.index("funding")] for columns, _ in found])
    closed = np.concatenate([one for _, one in found])
    known = ~np.isnan(heights)
    return heights[known], closed[known]


def late_depths(data: Path, coins: Sequence[Bars], since: int) -> Iterator[Depths]:
    """Of hourly `coins` from the instant `since` (ms) on: funding by itself, bars with it, and the stand-ins."""
    judged = [_with_funding(one, bars) for one in funding(data) for bars in coins if bars.symbol == one.symbol]
    fed, alone, whole, closed = (np.concatenate(one) for one in zip(*judged, strict=True))
    late, known = closed >= since, ~np.isnan(fed)
    yield Depths("funding by itself, settlements", fed[late & known], closed[late & known])
    yield Depths("1h bars in which a rate became known, without it", alone[late & known], closed[late & known])
    yield Depths("the same with it", whole[late & known], closed[late & known], told=True)
    yield Depths("all 1h bars of these coins, with it", whole[late], closed[late], told=True)
    ranks = [_ranks(bars, since) for bars in coins if bars.symbol in {f"{coin}USDT" for coin in FUNDED}]
    for number, name in enumerate(("moves, for open interest", "ranges, for spreads", "volumes, for books")):
        parts = [rank[number] for rank in ranks]
        yield Depths(
            f"stand-in: {name}", np.concatenate([one[0] for one in parts]), np.concatenate([one[1] for one in parts])
        )


def _with_funding(observed: Observed, bars: Bars) -> tuple[Floats, Floats, Floats, Instants]:
    values = kernel(bars, None)
    known = np.flatnonzero(~np.isnan(values[:, 0]))
    closed = bars.close_at[known]
    alone = rarity(values[known], bars.timeframe).whole
    question = AnomalyQuestion(symbol=bars.symbol, timeframe=bars.timeframe)
    market = StillMarket.of(observed=[observed])
    depths = fed_depths(fed_columns([question] * len(known), closed, market))
    whole, _ = together(alone, np.full(len(known), len(CHANNELS)), depths)
    return depths[:, 0], alone, whole, closed


def _ranks(bars: Bars, since: int) -> list[tuple[Floats, Instants]]:
    with np.errstate(all="ignore"):
        now = raw(bars)
        idle = 1.0 / np.where(bars.volume > 0.0, bars.volume * bars.close, np.nan)
        levels = [np.abs(now.change), now.span / of_late(now.span), idle / of_late(idle)]
    late = np.arange(LEVEL + OF_LATE, len(bars))
    late = late[bars.close_at[late] >= since]
    found = [rank_depth(one, late, 0.0) for one in levels]
    return [(depth[~np.isnan(depth)], bars.close_at[late][~np.isnan(depth)]) for depth in found]
