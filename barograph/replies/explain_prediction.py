"""What `explain_prediction` says. Written by `make client` from the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ExplainedTerm:
    """One term of the answer, strongest first."""

    name: str
    value: float | None = None
    """The number that went in; null where it was missing."""
    unit: str
    effect: float | None = None
    """What it did to the answer; null where the term is a condition."""
    text: str


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The terms of a prediction with their numbers, and the reply as it was first given."""

    prediction_id: str
    summary: str
    answered_by: str
    terms: tuple[ExplainedTerm, ...]
    more_terms: int = 0
    """Weaker ones, left out of a concise reply."""
    features: Mapping[str, float | None] | None = None
    """The row that the predictor saw; null where missing. Full only."""
    asked_by: str
    asked_at: datetime
    reply: Mapping[str, Any] | None = None
    """The reply when it was first given. Full only."""
