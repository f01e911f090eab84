"""How often scores would be reached, were the rules' tables fitted anew every quarter instead of once.

    python -m benchmarks.anomaly_refitted --data DIR [--years 3]

Tables of channels and of the whole, by the rules' own fit but without its means of quarters and its wider tables for
missing volume, on the real bars of the last `--years` before each quarter; beside them the same fit on the early bars
alone. Rates on late bars over how often the scores say; nothing is served from here.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.fit_anomaly_rules import SOURCES, Source, judged_from, series, table_of, usual
from ml.anomaly.kernel import NAMES, kernel
from ml.anomaly.tails import Knots, depth, depths
from ml.bars import DAY_MS, Floats, Instants, Timeframe

SCORES = (0.5, 0.6, 0.8)
QUARTER_MS, YEAR_MS = 91 * DAY_MS, 366 * DAY_MS
_FEWEST = 1_000
_MOVE = NAMES.index("move")


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Rows of the kernel of all bars of a source, when each closed, and whether a table may be fitted on it."""

    rows: Floats
    closed: Instants
    taught: NDArray[np.bool_]


def seen(data: Path, source: Source) -> Seen:
    parts = []
    for file in source.files:
        for bars in series(data, file, source.timeframe):
            values = kernel(bars, None)
            known = ~np.isnan(values[:, _MOVE])
            parts.append((values[known], bars.close_at[known], usual(values[known])))
    rows, closed, taught = (np.concatenate(one) for one in zip(*parts, strict=True))
    return Seen(rows, closed, taught)


def rates(of: Seen, starts: int, years: float | None) -> list[float]:
    """Rates of SCORES from `starts` (ms) on; tables of the `years` before each quarter, or of all before `starts`."""
    reached, n = np.zeros(len(SCORES)), 0
    for begins in range(starts, int(of.closed[-1]), QUARTER_MS):
        asked = (of.closed >= begins) & (of.closed < begins + QUARTER_MS)
        until, since = (starts, 0) if years is None else (begins, begins - round(years * YEAR_MS))
        lessons = of.taught & (of.closed < until) & (of.closed >= since)
        if lessons.sum() < _FEWEST or not asked.any():
            continue
        whole = _whole(of.rows[lessons], of.rows[asked])
        reached += [(whole >= 4.0 * score).sum() for score in SCORES]
        n += int(asked.sum())
    return [float(count / n / 10.0 ** (-4.0 * score)) for count, score in zip(reached, SCORES, strict=True)]


def _whole(lessons: Floats, asked: Floats) -> Floats:
    channels, whole = table_of(lessons)
    knots = Knots.of(channels)
    return depth(np.array(whole), depths(asked, knots, False).max(axis=1), 1.0)


def lines(data: Path, sources: Sequence[Source], years: float) -> Iterator[str]:
    for source in sources:
        found, starts = seen(data, source), judged_from(source, source.files[0])
        told = " | ".join(" / ".join(f"{rate:.2f}" for rate in rates(found, starts, kept)) for kept in (None, years))
        yield f"| {source.timeframe}, {source.files[0].split('/')[0]}, {source.judged_from} on | {told} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the market data (it holds ohlcv/)")
    parser.add_argument("--years", type=float, default=3.0, help="how much history a table is fitted on")
    asked = parser.parse_args()
    print(f"| .5 / .6 / .8 | fitted once | fitted every quarter on {asked.years:g} years |\n|---|---|---|")
    measured = [one for one in SOURCES if one.timeframe in (Timeframe.H1, Timeframe.H4, Timeframe.D1)]
    for line in lines(asked.data, measured, asked.years):
        print(line, flush=True)


if __name__ == "__main__":
    main()
