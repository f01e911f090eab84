"""Time as bars count it: instants, and how much of it a bar covers. Without numpy: a proxy's start waits for it."""

from __future__ import annotations

from enum import StrEnum

#: Milliseconds since 1970-01-01T00:00Z. The only clock reading that travels below the composition root.
Instant = int

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS


class Timeframe(StrEnum):
    """How much time one bar covers. Capabilities answer on those where their rules were measured."""

    M1 = "1m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H4 = "4h"
    D1 = "1d"

    @property
    def milliseconds(self) -> int:
        return _MILLISECONDS[self]


_MILLISECONDS = {
    Timeframe.M1: MINUTE_MS,
    Timeframe.M5: 5 * MINUTE_MS,
    Timeframe.M15: 15 * MINUTE_MS,
    Timeframe.M30: 30 * MINUTE_MS,
    Timeframe.H1: HOUR_MS,
    Timeframe.H4: 4 * HOUR_MS,
    Timeframe.D1: DAY_MS,
}
