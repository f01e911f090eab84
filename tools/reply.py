"""The envelope: what every reply carries, whoever asked and through whichever door."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Generic, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ml.capability import A, Why
from tools.detail import Said
from tools.written import Written

#: A concise reply has so many reasons; fewer where it would be longer than this, text and JSON together: 500 tokens.
MOST_REASONS = 2
MOST_CHARACTERS = 2_000
LEFT_OUT_WHEN_EMPTY = ("passed_over", "confidence_note", "more")
_BRIEF = len("2026-11-20 11:02:22")
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
    calibration: dict[str, float] | None = Field(
        default=None, description="ece of the confidence (0 is honest), or how often truth fell into the bands."
    )
    verdict: str = Field(description="What the record says, and whether it suffices.")


class Envelope(BaseModel, Generic[A]):
    """An answer with its papers. `summary` is enough on its own; so are the fields without it.

    What is null is left out when it is said."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    symbol: str
    summary: str = Field(description="The whole reply in one line.")
    answer: A | None = Field(default=None, description="null when abstaining")
    answered_by: str = Field(description="name@version of who answered or abstained; @0 are the rules.")
    source: Source
    abstained: Abstention | None = Field(default=None, description="Why there is no answer; null when there is one.")
    passed_over: tuple[str, ...] = Field(
        default=(), description="Better placed predictors that did not answer, and why."
    )
    confidence: float | None = Field(
        default=None, description="Calibrated probability that the answer is right, or null."
    )
    confidence_note: str = Field(default="", description="Why there is no confidence.")
    reasons: tuple[str, ...] = Field(description="Strongest first, with their numbers; concise: the strongest.")
    track_record: TrackRecord | None = Field(default=None, description="How well answered_by did so far.")
    do_not_trade: bool | None = Field(
        default=None, description="For use=veto: true means do not trade. null for advice."
    )
    do_not_trade_because: str | None = None
    data_origin: str = Field(description="Where the data come from, e.g. files or simulated.")
    as_of: AwareDatetime
    data_through: AwareDatetime | None = Field(default=None, description="Close of the newest bar used.")
    data_age_seconds: float | None = Field(default=None, description="Age of data_through by the server's clock.")
    stale: bool = Field(description="Whether bars that should have come are missing by the server's clock.")
    prediction_id: str = Field(description="Ask explain_prediction about it.")
    expires_at: AwareDatetime | None = Field(default=None, description="Ask again after this.")

    def line(self) -> str:
        """All that a host which shows text alone must know, in one line."""
        fresh = "stale" if self.stale else "fresh" if self.data_through else "no data"
        at = self.as_of.isoformat(" ", "seconds")[:_BRIEF]
        return f"{self.summary} As of {at}Z, {fresh}; prediction {self.prediction_id}."

    def lines(self) -> list[str]:
        """The same with its reasons and its record, for `detail: full`."""
        sure = f"- confidence {self.confidence:.3g}" if self.confidence is not None else f"- {self.confidence_note}"
        record = [f"- track record: {self.track_record.verdict}"] if self.track_record else []
        return [self.line(), *(f"- {reason}" for reason in self.reasons), sure, *record]


class Reply(Envelope[A], Generic[A]):
    """The reply of an instrument: its envelope, and those of the other symbols that were asked for."""

    more: tuple[Envelope[A], ...] = Field(default=(), description="The same for more_symbols, in order.")

    def text(self) -> str:
        """The reply as text, a paragraph for each symbol."""
        return "\n".join(line for one in (self, *self.more) for line in one.lines())

    def concise(self) -> Said:
        """The reply with the verdict of the track record, and as many of the strongest reasons as fit;
        for the other symbols with one reason, and without the record where it is that of the first."""
        text = self.line() if not self.more else "\n".join(one.line() for one in (self, *self.more))
        for n_reasons in range(MOST_REASONS, 0, -1):
            body = self._concise_json(n_reasons)
            if len(body) + len(text) <= MOST_CHARACTERS:
                break
        return Said(body, text)

    @cached_property
    def written(self) -> dict[int, Written]:
        """Its concise JSON but for the clock, by how many reasons it may have. No field: it is not said, and counts for
        nothing where replies are compared."""
        return {}

    def at(self, as_of: datetime, data_age_seconds: float | None) -> Self:
        """The same reply at another time, when nothing of it has changed but the clock: what was written of one is
        good for all. Not for a reply about more symbols."""
        written, moved = self.written, super().model_copy()
        moved.__dict__.update(as_of=as_of, data_age_seconds=data_age_seconds, written=written)
        return moved

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; what was written of this one is not taken along."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("written", None)
        return copied

    def _concise_json(self, n_reasons: int) -> str:
        known = self.written.get(n_reasons)
        if known is not None:
            return known.at(self.as_of, self.data_age_seconds)
        more = tuple(_brief(one, self.answered_by) for one in self.more)
        left_out = {name for name in LEFT_OUT_WHEN_EMPTY if not getattr(self, name)}
        kept = {"reasons": self.reasons[:n_reasons], "track_record": _short(self.track_record), "more": more}
        body = self.model_copy(update=kept).model_dump_json(exclude_none=True, exclude=left_out)
        if not more:
            self.written[n_reasons] = Written.of(body, aged=self.data_age_seconds is not None)
        return body


def _brief(one: Envelope[A], answered_by: str) -> Envelope[A]:
    record = None if one.answered_by == answered_by else _short(one.track_record)
    return one.model_copy(update={"reasons": one.reasons[:1], "track_record": record})


def _short(record: TrackRecord | None) -> TrackRecord | None:
    """The verdict has the figures in words."""
    if record is None:
        return None
    return TrackRecord(n_live=record.n_live, n_replayed=record.n_replayed, verdict=record.verdict)


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
