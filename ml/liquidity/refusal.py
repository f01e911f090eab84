"""Which rows are no basis for a forecast, and what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ml.capability import CannotAnswer, Why
from ml.liquidity.kernel import LEVEL, NAMES, RECENT

_AT = {name: position for position, name in enumerate(NAMES)}
#: Of the last 720 bars; a market that never closes has 1/7.
LEAST_WEEKEND = 0.12
MOST_SILENT = 0.5


def refusal(row: Sequence[float]) -> CannotAnswer | None:
    """Why nobody should answer from this row (one number per `NAMES`), or None where all is well."""
    if not all(map(math.isfinite, row)):
        unknown = [name for name, value in zip(NAMES, row, strict=True) if not math.isfinite(value)]
        why = (
            f"{len(unknown)} of {len(NAMES)} features are unknown ({', '.join(unknown[:3])}): in the last {LEVEL} bars "
            "a price or a volume is missing or not positive, or hardly anything was traded"
        )
        return CannotAnswer(Why.MISSING_FEATURE, why)
    weekend, missing, silent = (row[_AT[name]] for name in ("weekend", "missing", "silent"))
    if weekend < LEAST_WEEKEND:
        why = (
            f"{weekend:.0%} of the last {LEVEL} bars are on a Saturday, 14% in a market that never closes; where "
            "markets close, volume is often a count of ticks or shares, and sizes in money would mean nothing"
        )
        return CannotAnswer(Why.NOT_MEASURED, why)
    if missing > 0.0:
        return CannotAnswer(Why.GAP_IN_DATA, f"{missing:.0f} of the newest {RECENT} hours are missing; none may be")
    if silent > MOST_SILENT:
        why = f"{silent * RECENT:.0f} of the newest {RECENT} hours traded nothing; at most half may be silent"
        return CannotAnswer(Why.OUT_OF_RANGE, why)
    return None
