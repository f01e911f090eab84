"""How far to follow what was seen of late: the rules' scale measured anew every quarter, by itself, without trees.

    python -m benchmarks.anomaly_scale --data DIR

Rates of the scores .5, .6 and .8 over how often they say, on early bars (which the tables were fitted on, and which
flatter 0) and on late ones; and the dated events that give an alarm at .5 alarms a month of their hourly file.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.anomaly_events import alarms_at_events
from benchmarks.anomaly_rates import SCORES
from benchmarks.anomaly_walk import REFIT_MS
from benchmarks.fit_anomaly_rules import SOURCES, Source, milliseconds, series
from ml.anomaly.kernel import NAMES, kernel
from ml.anomaly.scale import FEWEST, Scale, usual
from ml.anomaly.tails import rarity
from ml.bars import Floats, Instants, Timeframe
from workers.classroom import EMBARGO_MS, TRAINING_MS

FOLLOWED = (0.0, 0.5, 1.0)
#: Alarms a month of its file at which an event counts as found.
ALARMS = 0.5
#: When the walk begins where the years before `Source.judged_from` are judged.
EARLY = {"crypto": "2020-01-01", "fx": "2013-06-01", "index": "2003-01-01"}
_MOVE = NAMES.index("move")


class Seen(NamedTuple):
    """Bars of a source in order of time: what the rules said, when each closed, whether it is usual, and whose it
    is."""

    depth: Floats
    closed: Instants
    usual: NDArray[np.bool_]
    symbol: NDArray[np.str_]


def seen(data: Path, source: Source) -> Seen:
    parts = []
    for file in source.files:
        for bars in series(data, file, source.timeframe):
            values = kernel(bars, None)
            known = ~np.isnan(values[:, _MOVE])
            values, closed = values[known], bars.close_at[known]
            name = np.full(len(closed), bars.symbol, dtype="<U32")
            parts.append((rarity(values, source.timeframe).whole, closed, usual(values), name))
    depth, closed, kept, names = (np.concatenate(one) for one in zip(*parts, strict=True))
    order = np.argsort(closed, kind="stable")
    return Seen(depth[order], closed[order], kept[order], names[order])


def walked(of: Seen, begins: int, ends: int, followed: float) -> Floats:
    """-log10 of chances by the scale of each quarter, of bars that closed from `begins` to `ends` (ms); NaN elsewhere,
    and where too little was seen."""
    told = np.full(len(of.depth), np.nan)
    for at in range(begins, ends, REFIT_MS):
        asked = (of.closed >= at) & (of.closed < min(at + REFIT_MS, ends))
        lessons = of.usual & (of.closed < at - EMBARGO_MS) & (of.closed >= at - TRAINING_MS)
        if lessons.sum() >= FEWEST:
            told[asked] = Scale.of(of.depth[lessons], followed).depth(of.depth[asked])
    return told


def lines(data: Path) -> Iterator[str]:
    for source in SOURCES:
        if source.timeframe not in (Timeframe.H1, Timeframe.H4, Timeframe.D1):
            continue
        of, market = seen(data, source), source.files[0].split("/")[0]
        early, late, end = milliseconds(EARLY[market]), milliseconds(source.judged_from), int(of.closed[-1]) + 1
        for followed in FOLLOWED:
            cells = [_rates(walked(of, *span, followed)) for span in ((early, late), (late, end))]
            told = _events(data, of, walked(of, early, end, followed)) if source.timeframe is Timeframe.H1 else ""
            yield f"| {source.timeframe}, {market}, followed {followed:g} | {' | '.join(cells)} | {told} |"


def _events(data: Path, of: Seen, told: Floats) -> str:
    by_symbol = {one: (of.closed[of.symbol == one], told[of.symbol == one]) for one in set(of.symbol.tolist())}
    alarms = alarms_at_events(data, by_symbol)
    return f"{sum(one <= ALARMS for one in alarms)} of {len(alarms)}" if alarms else ""


def _rates(told: Floats) -> str:
    known = told[~np.isnan(told)]
    return " / ".join(f"{(known >= 4.0 * score).mean() / 10.0 ** (-4.0 * score):.2f}" for score in SCORES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the market data (it holds ohlcv/)")
    asked = parser.parse_args()
    print("| .5 / .6 / .8 | early bars | late bars | events |\n|---|---|---|---|")
    for line in lines(asked.data):
        print(line, flush=True)


if __name__ == "__main__":
    main()
