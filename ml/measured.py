"""Where a model was measured: as far as its lessons reached, and never beyond where the rules were measured."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ml.capability import Rows
from ml.learning import BadArtefact

#: Closed interval of each feature.
Ranges = Mapping[str, tuple[float, float]]


def measured(rows: Rows, widest: Ranges, room: float) -> dict[str, list[float]]:
    """Where the lessons lay, for the features of `widest`, with `room` beyond (in the unit of the feature), but no
    wider than `widest`, which also stands for what no lesson knows."""
    found = {}
    for name, (low, high) in widest.items():
        column = rows.column(name)
        known = column[np.isfinite(column)]
        inside = (low, high) if not len(known) else (float(known.min()) - room, float(known.max()) + room)
        found[name] = [max(low, inside[0]), min(high, inside[1])]
    return found


def ranges_of(told: Mapping[str, Any], names: Collection[str]) -> Ranges:
    """Back from JSON. BadArtefact for a feature that is not among `names`; TypeError or ValueError where there is no
    interval."""
    ranges = {str(name): (float(low), float(high)) for name, (low, high) in told.items()}
    if not set(ranges) <= set(names):
        raise BadArtefact("ranges of features that are not there")
    return ranges
