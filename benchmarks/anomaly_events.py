"""Dated events of coins: how many alarms a month their file gives where the rarest bar of the event is one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

from ml.bars import DAY_MS, HOUR_MS, Floats, Instants


def alarms_at_events(data: Path, of: Mapping[str, tuple[Instants, Floats]]) -> list[float]:
    """Of each event in an hourly file: alarms a month. `of` has closes (ms) and depths by symbol, (n,) each, NaN where
    nobody was asked; events outside of what was asked are left out."""
    found = []
    for event in parquet.read_table(data / "events" / "market_events.parquet").to_pylist():
        symbol, timeframe = Path(event["ref_file"]).stem.rsplit("_", 1)
        if timeframe != "1h" or symbol not in of:
            continue
        closed, depth = of[symbol]
        closed, depth = closed[~np.isnan(depth)], depth[~np.isnan(depth)]
        start, end = (int(event[side].timestamp() * 1_000) for side in ("start", "end"))
        inside = (closed > start) & (closed <= end + HOUR_MS)
        if inside.any():
            found.append(_alarms_a_month(closed, depth, float(depth[inside].max())))
    return found


def _alarms_a_month(closed: Instants, depth: Floats, threshold: float) -> float:
    """Alarms at a threshold; bars within a day of one another are one alarm."""
    at = closed[depth >= threshold]
    return (1.0 + float((np.diff(at) > DAY_MS).sum())) / (len(closed) / (30.4 * 24.0))
