"""How far back "usual" reaches, by timeframe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ml.bars import Timeframe


@dataclass(frozen=True, slots=True)
class Windows:
    """In bars. `level`: what a bar is compared with. `step`: for how long such a comparison stands before the window
    moves on, counted on the clock; a bar is never in its own window. `season`: from how many bars the hour of the day
    is read; 0 where the level window is too short to hold a week of hours, and follows the day instead."""

    level: int
    step: int
    season: int

    @property
    def warmup(self) -> int:
        """The bars that a row depends on: its own block, the level window, for the oldest bar in it the hours and the
        ranges before, and the close before those."""
        return self.step + self.level + max(self.season, RECENT) + RECENT + 1


LEVEL = 336
#: Ranges are floored by a share of their mean over so many bars.
RECENT = 48
WINDOWS: Mapping[Timeframe, Windows] = {
    Timeframe.M1: Windows(LEVEL, 12, 0),
    Timeframe.M5: Windows(LEVEL, 12, 0),
    Timeframe.M15: Windows(LEVEL, 16, 672),
    Timeframe.H1: Windows(LEVEL, 24, 240),
    Timeframe.H4: Windows(LEVEL, 6, 180),
    Timeframe.D1: Windows(LEVEL, 5, 0),
}
