"""What `get_track_record` says. Written by `make client` from the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class RatioTold:
    """Loss over another's loss on the same rows; below 1 is better."""

    ratio: float
    low: float | None = None
    """95% interval, bootstrap over whole weeks; null under 8 weeks."""
    high: float | None = None
    n: int
    """Rows that both answered."""


@dataclass(frozen=True, kw_only=True)
class RecordLine:
    """One predictor, its live or its replayed answers."""

    answered_by: str
    kind: Literal["live", "replayed"]
    n: int
    """Answers whose truth is known."""
    weeks: int
    first: str
    """Monday of the first week."""
    last: str
    """Monday of the last week."""
    mean_loss: float
    against_rules: RatioTold | None = None
    """1 by definition for the rules themselves (@0)."""
    against_climatology: RatioTold | None = None
    """Against the mean, or the frequencies, of what had come true in the year before."""
    calibration: Mapping[str, float]
    verdict: str


@dataclass(frozen=True, kw_only=True)
class TrackRecordReply:
    """The record. `summary` is enough on its own."""

    summary: str
    instrument: str
    window: Literal["30d", "90d", "365d", "all"]
    n_live: int
    n_replayed: int
    still_counting: bool
    """True for a while after a start: what settled before is being counted."""
    records: tuple[RecordLine, ...]
    """Newest version first; live and replayed apart."""
    more_records: int = 0
    """Left out of a concise reply: older versions."""
