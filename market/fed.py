"""What is fed as the road sees it: timelines, observations, and which bars should have come by now."""

from __future__ import annotations

from collections.abc import Sequence

from market.calendar import expected_missing
from market.history import History
from market.observations import Observations
from ml.bars import Timeframe
from ml.economic_calendar import EconomicCalendar
from ml.observed import Kind, Observed
from ml.timeline import Timeline


class Fed:
    """What is fed, with its calendar. `panel` are the symbols that stand for the market as a whole; None: whatever is
    fed, which is for replays alone, whose market is complete before the first question."""

    def __init__(
        self,
        history: History,
        observations: Observations,
        panel: Sequence[str] | None = (),
        scheduled: EconomicCalendar = EconomicCalendar(),  # noqa: B008 - it cannot change
    ) -> None:
        self._history = history
        self._observations = observations
        self._panel = panel
        self._scheduled = scheduled

    def timeline(self, symbol: str, timeframe: Timeframe) -> Timeline | None:
        """The series, or None where nobody feeds it."""
        return self._history.timeline(symbol, timeframe)

    def panel(self, timeframe: Timeframe) -> Sequence[str]:
        """The symbols that stand for the market as a whole, sorted."""
        if self._panel is not None:
            return sorted(self._panel)
        return sorted(one.symbol for one in self._history.series() if one.timeframe is timeframe)

    def observed(self, kind: Kind, symbol: str) -> Observed | None:
        """What is observed of a symbol beside its bars, or None where nobody feeds it."""
        return self._observations.observed(kind, symbol)

    def calendar(self) -> EconomicCalendar:
        """Which releases are scheduled, and since when that is known."""
        return self._scheduled

    def seal(self, symbol: str, timeframe: Timeframe, as_of: int) -> None:
        """Somebody was answered as of then: what is received later was not known then, bars and observations alike.
        Where nobody feeds the bars, there is no answer that would have to stand."""
        if self._history.timeline(symbol, timeframe) is not None:
            self._history.seal(symbol, timeframe, as_of)
            self._observations.seal(symbol, as_of)

    def symbols(self) -> Sequence[str]:
        """All symbols, sorted."""
        return sorted({series.symbol for series in self._history.series()})

    def missing(self, symbol: str, timeframe: Timeframe, as_of: int, at: int) -> int:
        """How many bars after the newest one known at `as_of` were to be expected by `at`, both ms; 0 for a series
        that nobody feeds or that had not begun."""
        timeline = self._history.timeline(symbol, timeframe)
        known = 0 if timeline is None else timeline.known_at(as_of)
        if timeline is None or known == 0:
            return 0
        newest = int(timeline.newest_open[known - 1])
        if at - newest < 2 * timeframe.milliseconds:  # the next bar has not closed yet
            return 0
        return expected_missing(timeline.edition(int(timeline.edition_of[known - 1])), newest, at)
