"""How old bars may be before an answer says so, or refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ml.timeframe import Timeframe


@dataclass(frozen=True, slots=True)
class Staleness:
    """Limits in bars that were to be expected and have not come (`market.calendar.expected_missing`).

    With `stale_after_bars` missing an answer is labelled stale; with `too_old_after_bars` missing nobody answers.
    """

    stale_after_bars: int
    too_old_after_bars: int

    def __post_init__(self) -> None:
        if not 1 <= self.stale_after_bars <= self.too_old_after_bars:
            raise ValueError(
                f"stale_after_bars must be at least 1 and at most too_old_after_bars, "
                f"not {self.stale_after_bars} and {self.too_old_after_bars}"
            )


#: Our choice: a feed that fails is told within two bars on slow timeframes and within minutes on fast ones; refused
#: after a day of missing hours, or after a week of missing trading days.
DEFAULT_STALENESS: Mapping[Timeframe, Staleness] = MappingProxyType(
    {
        Timeframe.M1: Staleness(5, 60),
        Timeframe.M5: Staleness(3, 48),
        Timeframe.M15: Staleness(2, 32),
        Timeframe.M30: Staleness(2, 24),
        Timeframe.H1: Staleness(2, 24),
        Timeframe.H4: Staleness(2, 6),
        Timeframe.D1: Staleness(2, 5),
    }
)
