"""A market for work of minutes: whoever reads it is told when to stop, between two series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ml.bars import Timeframe
from ml.economic_calendar import EconomicCalendar
from ml.observed import Kind, Observed
from ml.timeline import Market, Timeline


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The same market; each look at it calls `must_go_on` first, which raises when the work is to end."""

    real: Market
    must_go_on: Callable[[], None]

    def timeline(self, symbol: str, timeframe: Timeframe) -> Timeline | None:
        """The series, or None where nobody feeds it."""
        self.must_go_on()
        return self.real.timeline(symbol, timeframe)

    def panel(self, timeframe: Timeframe) -> Sequence[str]:
        """The symbols that stand for the market as a whole, sorted."""
        return self.real.panel(timeframe)

    def observed(self, kind: Kind, symbol: str) -> Observed | None:
        """What is observed of a symbol beside its bars, or None where nobody feeds it."""
        self.must_go_on()
        return self.real.observed(kind, symbol)

    def calendar(self) -> EconomicCalendar:
        """Which releases are scheduled, and since when that is known."""
        return self.real.calendar()
