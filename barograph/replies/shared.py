"""What several tools say. Written by `make client` from the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeAlias, TypeVar

A = TypeVar("A")
"""The answer of an instrument."""

Source: TypeAlias = Literal["model", "rules", "abstain"]
"""Who the answer comes from."""

Why: TypeAlias = Literal[
    "too_little_history",
    "as_of_before_history",
    "unknown_symbol",
    "data_too_old",
    "gap_in_data",
    "not_measured",
    "out_of_range",
    "missing_feature",
    "predictor_failed",
    "predictor_too_slow",
]
"""Why an answer was refused by somebody who could be asked."""

Timeframe: TypeAlias = Literal["1m", "5m", "15m", "30m", "1h", "4h", "1d"]
"""How much time one bar covers. Capabilities answer on those where their rules were measured."""

Use: TypeAlias = Literal["advice", "veto"]
"""What the caller will do with the answer. `advice` fails open: the best available answer, labelled. `veto`
fails closed: unknown, stale or out of range means "do not trade", with the reason, and the decision is on disk
before the reply.
"""

Detail: TypeAlias = Literal["concise", "full"]
"""`concise` says all that a decision needs; `full` leaves nothing out."""


@dataclass(frozen=True, kw_only=True)
class Abstention:
    """Why there is no answer. Not a guess, not an error: nobody who could be asked should answer."""

    why: Why
    text: str


@dataclass(frozen=True, kw_only=True)
class TrackRecord:
    """How well this predictor did so far; live and replayed answers are never mixed. get_track_record tells
    more.
    """

    n_live: int
    """Live answers whose truth is known."""
    n_replayed: int
    """Replayed answers whose truth is known."""
    basis: Literal["live", "replayed"] | None = None
    """Which of them the figures are of; null: none."""
    window: str | None = None
    """When the answers behind the figures were given."""
    loss_ratio_to_rules: float | None = None
    """Loss over that of the rules on the same rows; below 1 is better."""
    loss_ratio_low: float | None = None
    """Its 95% interval by weeks; null: too few."""
    loss_ratio_high: float | None = None
    calibration: Mapping[str, float] | None = None
    """ece of the confidence (0 is honest), or how often truth fell into the bands."""
    verdict: str
    """What the record says, and whether it suffices."""


@dataclass(frozen=True, kw_only=True)
class Envelope(Generic[A]):
    """An answer with its papers. `summary` is enough on its own; so are the fields without it. What is null is
    left out when it is said.
    """

    symbol: str
    summary: str
    """The whole reply in one line."""
    answer: A | None = None
    """null when abstaining"""
    answered_by: str
    """name@version of who answered or abstained; @0 are the rules."""
    source: Source
    abstained: Abstention | None = None
    """Why there is no answer; null when there is one."""
    passed_over: tuple[str, ...] = ()
    """Better placed predictors that did not answer, and why."""
    confidence: float | None = None
    """Calibrated probability that the answer is right, or null."""
    confidence_note: str = ""
    """Why there is no confidence."""
    reasons: tuple[str, ...]
    """Strongest first, with their numbers; concise: the strongest."""
    track_record: TrackRecord | None = None
    """How well answered_by did so far."""
    do_not_trade: bool | None = None
    """For use=veto: true means do not trade. null for advice."""
    do_not_trade_because: str | None = None
    data_origin: str
    """Where the data come from, e.g. files or simulated."""
    as_of: datetime
    data_through: datetime | None = None
    """Close of the newest bar used."""
    data_age_seconds: float | None = None
    """Age of data_through by the server's clock."""
    stale: bool
    """Whether bars that should have come are missing by the server's clock."""
    prediction_id: str
    """Ask explain_prediction about it."""
    expires_at: datetime | None = None
    """Ask again after this."""


@dataclass(frozen=True, kw_only=True)
class Reply(Envelope[A], Generic[A]):
    """The reply of an instrument: its envelope, and those of the other symbols that were asked for."""

    more: tuple[Envelope[A], ...] = ()
    """The same for more_symbols, in order."""
