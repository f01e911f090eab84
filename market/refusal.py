"""What the market says to input that it cannot take."""

from __future__ import annotations


class Refusal(ValueError):  # noqa: N818 - its children are named for what they mean
    """Input was refused and nothing of it was kept. `wrong` says what was wrong, `accepted` what would be accepted.

    Neither repeats the content of what came in: names of columns and numbers of rows at the most.
    """

    def __init__(self, wrong: str, accepted: str) -> None:
        super().__init__(f"{wrong}; {accepted}")
        self.wrong = wrong
        self.accepted = accepted


class BadBarFile(Refusal):
    """A file that is not a file of bars. `file` is its name, without the folders that lead to it."""

    def __init__(self, file: str, wrong: str, accepted: str) -> None:
        super().__init__(f"{file}: {wrong}", accepted)
        self.file = file


class BadSymbol(Refusal):
    """A symbol that no question could name."""


class OriginConflict(Refusal):
    """Bars of one origin were fed into a series of another. Nothing of the batch was kept."""

    def __init__(self, symbol: str, timeframe: str, kept: str, fed: str) -> None:
        super().__init__(
            f"the {timeframe} bars of {symbol} come from '{kept}', these come from '{fed}'",
            f"bars from '{kept}', or these under another symbol",
        )
        self.symbol = symbol
        self.timeframe = timeframe
        self.kept = kept
        self.fed = fed


class ImplausibleClock(Refusal):
    """A live batch so much older than its time of receipt that the clock cannot be trusted. Nothing of it was kept."""
