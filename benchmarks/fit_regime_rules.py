"""How the probability table of the regime rules was fitted. Prints what `ml/regime/table.py` ships.

    python -m benchmarks.fit_regime_rules --data DIR

Early years only: hourly coins 2018-2021, hourly currency pairs 2012-2015. A bar counts when its truth was final by the
end of the window. Cells are shrunk to the market's frequencies by 20 bars, rounded to 1/1,000, and kept above 0.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ml.bars import Bars, Floats, Instants, Timeframe
from ml.regime.formula import LABELS, NO_LABEL, TREND_DOWN, TREND_UP, Codes
from ml.regime.state import NAMES, WARMUP, state
from ml.regime.table import COLUMNS, ROWS, cells
from ml.regime.truth import hindsight

PRIOR_BARS = 20.0
PER_THOUSAND = 1_000


@dataclass(frozen=True, slots=True)
class Panel:
    """A market of the data folder, and the years that the table was fitted on: before `judged_from`."""

    title: str
    folder: str
    timeframe: Timeframe
    fitted_from: str
    judged_from: str
    judged_to: str


CRYPTO = Panel("crypto, hourly", "ohlcv/crypto", Timeframe.H1, "2018-01-01", "2022-01-01", "2024-07-01")
FX = Panel("FX, hourly", "ohlcv/fx", Timeframe.H1, "2012-01-01", "2016-01-01", "2019-01-01")
INDEX = Panel("indices, daily", "ohlcv/index", Timeframe.D1, "2000-01-01", "2009-01-01", "2017-01-01")


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Bars of one symbol with the rules' features and the truth: columns of one length."""

    symbol: str
    as_of: Instants
    features: Floats
    truth: Codes

    def column(self, name: str) -> Floats:
        return self.features[:, NAMES.index(name)]


def milliseconds(day: str) -> int:
    return int(np.datetime64(day, "ms").astype(np.int64))


def load(data: Path, panel: Panel, stop: str, symbol: str = "*") -> Iterator[Bars]:
    """Bars of every symbol of a panel, or of one, closed by the day `stop`."""
    for path in sorted((data / panel.folder).glob(f"{symbol}_{panel.timeframe.value}.parquet")):
        frame = pq.read_table(path, columns=["timestamp", "open", "high", "low", "close", "volume"])
        opened = frame.column("timestamp").cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64()).to_numpy()
        columns = [frame.column(name).to_numpy().astype(np.float64) for name in frame.column_names[1:]]
        bars = Bars(path.stem.rsplit("_", 1)[0], panel.timeframe, opened, *columns)
        yield bars.between(0, int(np.searchsorted(bars.close_at, milliseconds(stop), side="right")))


def judge(bars: Bars, start: str) -> Judged:
    """Rows from the day `start` on that the rules can answer and whose truth is final within `bars`."""
    features = state(bars, None)
    truth = hindsight(bars, np.arange(len(bars)))
    keep = (truth != NO_LABEL) & ~np.isnan(features).any(axis=1)
    keep &= (bars.close_at >= milliseconds(start)) & (np.arange(len(bars)) >= WARMUP - 1)
    return Judged(bars.symbol, bars.close_at[keep], features[keep], truth[keep])


def fit(rows: list[Judged]) -> tuple[Codes, Codes]:
    """Frequencies in 1/1,000: per cell, shape (24, 5), and over all, shape (5,); each line sums to 1,000."""
    z = np.concatenate([one.column("z") for one in rows])
    v = np.concatenate([one.column("v") for one in rows])
    truth = np.concatenate([one.truth for one in rows])
    along = truth.copy()
    along[(z < 0) & (truth == TREND_UP)] = TREND_DOWN
    along[(z < 0) & (truth == TREND_DOWN)] = TREND_UP
    counts = np.zeros((ROWS * COLUMNS, len(LABELS)))
    np.add.at(counts, (cells(z, v), along), 1.0)
    counts += PRIOR_BARS * np.bincount(along, minlength=len(LABELS)) / len(along)
    usual = np.bincount(truth, minlength=len(LABELS)) / len(truth)
    usual[[TREND_UP, TREND_DOWN]] = usual[[TREND_UP, TREND_DOWN]].mean()
    return np.stack([_per_thousand(line / line.sum()) for line in counts]), _per_thousand(usual)


def _per_thousand(shares: Floats) -> Codes:
    rounded = np.maximum(np.rint(shares * PER_THOUSAND), 1.0).astype(np.int64)
    rounded[np.argmax(rounded)] += PER_THOUSAND - rounded.sum()
    return rounded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of the market data")
    data: Path = parser.parse_args().data
    for name, panel in (("ROUND_THE_CLOCK", CRYPTO), ("SESSIONS", FX)):
        rows = [judge(bars, panel.fitted_from) for bars in load(data, panel, panel.judged_from)]
        print(f"# {panel.title}: {len(rows)} symbols, {sum(len(one.truth) for one in rows)} bars")
        per_cell, usual = fit(rows)
        print(f"{name} = (")
        for line in per_cell.tolist():
            print(f"    {tuple(line)},")
        print(f")\nUSUAL_{name} = {tuple(usual.tolist())}")


if __name__ == "__main__":
    main()
