"""Which rows are no basis for a forecast, and what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ml.bars import Timeframe
from ml.capability import CannotAnswer, Why
from ml.volatility.kernel import DAILY, HOURLY, NAMES

_CONDITIONS = ("trades_weekends", "missing", "flat", "density")
_AT = {name: NAMES.index(name) for name in _CONDITIONS}
#: In a market that closes, the newest bars may span a long weekend, no more: hours over 24 bars, days over 5.
LONGEST_CLOSURE = {Timeframe.H1: 96.0, Timeframe.D1: 7.0}
#: FX fills .71 of the clock; a stock exchange with 7 hours a day .2, and its hours were not measured.
THINNEST_CALENDAR = {Timeframe.H1: 0.5, Timeframe.D1: 0.5}
MOST_FLAT = 0.5


def refusal(timeframe: Timeframe, row: Sequence[float]) -> CannotAnswer | None:
    """Why nobody should answer from this row (one number per `NAMES`), or None where all is well."""
    recent = (HOURLY if timeframe is Timeframe.H1 else DAILY).recent
    if not all(map(math.isfinite, row)):
        unknown = [name for name, value in zip(NAMES, row, strict=True) if not math.isfinite(value)]
        why = (
            f"{len(unknown)} of {len(NAMES)} features are unknown ({', '.join(unknown[:3])}): in the last 30 days "
            "(or 126 daily bars) a price is missing or not positive, or none moved"
        )
        return CannotAnswer(Why.MISSING_FEATURE, why)
    always, gap, flat, density = (row[_AT[name]] for name in _CONDITIONS)
    longest = 0.0 if always else LONGEST_CLOSURE[timeframe]
    if gap > longest:
        allowed = "none may be" if always else f"a closure may span {longest:.0f}"
        why = f"{gap:.0f} {timeframe} bars of clock time are missing among the newest {recent} bars; {allowed}"
        return CannotAnswer(Why.GAP_IN_DATA, why)
    if flat > MOST_FLAT:
        why = f"{flat * recent:.0f} of the newest {recent} {timeframe} bars did not move; at most half may be still"
        return CannotAnswer(Why.OUT_OF_RANGE, why)
    if density < THINNEST_CALENDAR[timeframe]:
        thinnest = THINNEST_CALENDAR[timeframe]
        why = f"bars fill {density:.0%} of the clock; calendars below {thinnest:.0%} were not measured"
        return CannotAnswer(Why.NOT_MEASURED, why)
    return None
