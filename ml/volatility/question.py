"""What is asked: the volatility of one symbol over the bars to come."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, model_validator

from ml.bars import DAY_MS, HOUR_MS, Timeframe
from ml.capability import Question


class Horizon(StrEnum):
    """How far ahead. Hours are read from 1h bars, days from 1d bars."""

    H6 = "6h"
    H12 = "12h"
    H24 = "24h"
    H48 = "48h"
    D1 = "1d"
    D5 = "5d"

    @property
    def bars(self) -> int:
        """How many bars of its timeframe the horizon spans."""
        return int(self.value[:-1])

    @property
    def timeframe(self) -> Timeframe:
        return Timeframe.H1 if self.value.endswith("h") else Timeframe.D1

    @property
    def milliseconds(self) -> int:
        return self.bars * (HOUR_MS if self.timeframe is Timeframe.H1 else DAY_MS)


class VolatilityQuestion(Question):
    """How volatile will `symbol` be over `horizon`?

    `timeframe` follows from the horizon where it is left out. On 1h and 1d bars the horizon must fit; other timeframes
    are accepted here and abstained on where they are answered, because the rules were not measured there.
    """

    horizon: Horizon = Field(
        default=Horizon.H24,
        description="How far ahead, in bars of trading: hours read 1h bars, days 1d bars.",
    )

    @model_validator(mode="after")
    def _one_follows_from_the_other(self) -> VolatilityQuestion:
        """Fill in the timeframe that the horizon implies, or the shortest horizon of a daily timeframe.

        Not a `before` validator: that would turn JSON into Python objects first, which strict validation then refuses.
        """
        if "timeframe" not in self.model_fields_set:
            object.__setattr__(self, "timeframe", self.horizon.timeframe)
        elif "horizon" not in self.model_fields_set and self.timeframe is Timeframe.D1:
            object.__setattr__(self, "horizon", Horizon.D1)
        return self

    @model_validator(mode="after")
    def _horizon_fits(self) -> VolatilityQuestion:
        fitting = horizons_on(self.timeframe)
        if fitting and self.horizon not in fitting:
            accepted = ", ".join(fitting)
            raise ValueError(
                f"horizon {self.horizon} does not fit {self.timeframe} bars: ask for {accepted}, "
                f"or leave timeframe out ({self.horizon} is read from {self.horizon.timeframe} bars)"
            )
        return self


def horizons_on(timeframe: Timeframe) -> tuple[Horizon, ...]:
    """The horizons that bars of `timeframe` can answer; empty where nothing was measured."""
    return tuple(horizon for horizon in Horizon if horizon.timeframe is timeframe)
