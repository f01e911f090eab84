"""Strata: kinds of questions that a model is judged on, and served on, apart from each other.

A model that gains on coins may lose on currencies, over 6 h and not over 48 h. So the gate decides stratum by stratum,
and a version answers those that it has earned. A stratum's name is read by people: "48h, 1h bars, markets that close".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ml.bars import Floats
from ml.capability import Rows, by_question

__all__ = ["by_market", "by_question"]

#: Kinds of market, by whether they ever close.
OPEN, CLOSING, UNKNOWN = "markets that never close", "markets that close", "markets of unknown hours"


def by_market(closes: Callable[[Rows], Floats]) -> Callable[[Rows], Sequence[str]]:
    """By what is asked, and of which kind of market: `closes` tells for each row 1 where it closes, 0 where it never
    does, NaN where the row does not know."""

    def strata(rows: Rows) -> Sequence[str]:
        kinds = [CLOSING if one == 1.0 else OPEN if one == 0.0 else UNKNOWN for one in closes(rows).tolist()]
        return [f"{asked}, {kind}" for asked, kind in zip(by_question(rows), kinds, strict=True)]

    return strata
