"""The envelope: what every reply carries, whoever asked and through whichever door."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Generic, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ml.capability import A, Why

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Source(StrEnum):
    """Who the answer comes from."""

    MODEL = "model"
    RULES = "rules"
    ABSTAIN = "abstain"


class Abstention(BaseModel):
    """Why there is no answer. Not a guess, not an error: nobody who could be asked should answer."""

    model_config = ConfigDict(frozen=True)

    why: Why
    text: str


class TrackRecord(BaseModel):
    """How well this predictor did so far; live and replayed answers are never mixed. get_track_record tells more."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    n_live: int = Field(description="Live answers whose truth is known.")
    n_replayed: int = Field(description="Replayed answers whose truth is known.")
    basis: Literal["live", "replayed"] | None = Field(
        default=None, description="Which of them the figures are of; null: none."
    )
    window: str | None = Field(default=None, description="When the answers behind the figures were given.")
    loss_ratio_to_rules: float | None = Field(
        default=None, description="Loss over that of the rules on the same rows; below 1 is better."
    )
    loss_ratio_low: float | None = Field(default=None, description="Its 95% interval by weeks; null: too few.")
    loss_ratio_high: float | None = None
    calibration: dict[str, float] = Field(
        default_factory=dict, description="ece of the confidence (0 is honest), or how often truth fell into the bands."
    )
    verdict: str = Field(description="What the record says, and whether it suffices.")


class Envelope(BaseModel, Generic[A]):
    """An answer with its papers. `summary` is enough on its own; so are the fields without it."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    symbol: str
    summary: str = Field(description="The whole reply in one line.")
    answer: A | None = Field(description="null when abstaining")
    answered_by: str = Field(description="name@version of who answered or abstained; @0 are the rules.")
    source: Source
    abstained: Abstention | None = Field(description="Why there is no answer; null when there is one.")
    passed_over: tuple[str, ...] = Field(description="Better placed predictors that did not answer, and why.")
    confidence: float | None = Field(description="Calibrated probability that the answer is right, or null.")
    confidence_note: str
    reasons: tuple[str, ...] = Field(description="Strongest first, with their numbers.")
    track_record: TrackRecord
    do_not_trade: bool | None = Field(description="For use=veto: true means do not trade. null for advice.")
    do_not_trade_because: str | None
    data_origin: str = Field(description="Where the data come from, e.g. files or simulated.")
    as_of: AwareDatetime
    data_through: AwareDatetime | None = Field(description="Close of the newest bar used.")
    data_age_seconds: float | None = Field(description="Age of data_through by the server's clock.")
    stale: bool = Field(description="Whether bars that should have come are missing by the server's clock.")
    prediction_id: str = Field(description="Ask explain_prediction about it.")
    expires_at: AwareDatetime | None = Field(description="Ask again after this.")


class Reply(Envelope[A], Generic[A]):
    """The reply of an instrument: its envelope, and those of the other symbols that were asked for."""

    more: tuple[Envelope[A], ...] = Field(default=(), description="The same for more_symbols, in order.")

    def text(self) -> str:
        """The reply as text: a line for each symbol."""
        return "\n".join([self.summary, *(one.summary for one in self.more)])


def moment(instant_ms: int) -> datetime:
    """The UTC time of an instant, exact to the millisecond."""
    return _EPOCH + timedelta(milliseconds=instant_ms)


def instant(time: datetime) -> int:
    """Milliseconds since 1970 of a zoned time, rounded down: an answer may not see further than its caller asked."""
    return (time - _EPOCH) // timedelta(milliseconds=1)


def brief_time(instant_ms: int) -> str:
    """A time for a sentence: to the minute where it is one."""
    at = moment(instant_ms)
    return at.strftime("%Y-%m-%d %H:%MZ") if instant_ms % 60_000 == 0 else at.strftime("%Y-%m-%d %H:%M:%SZ")
