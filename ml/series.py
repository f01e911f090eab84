"""Questions by the series that they ask about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence

from ml.bars import Timeframe
from ml.capability import Q, Question


def alike(question: Question) -> Hashable:  # noqa: ARG001 - it tells nothing apart
    """For what does not depend on how a series is asked about: all questions are."""
    return None


def by_series(
    questions: Sequence[Q], variant: Callable[[Q], Hashable] = alike
) -> Mapping[tuple[str, Timeframe, Hashable], list[int]]:
    """Positions of the questions by (symbol, timeframe, `variant`), in the order in which these come first."""
    series: dict[tuple[str, Timeframe, Hashable], list[int]] = defaultdict(list)
    for i, question in enumerate(questions):
        series[question.symbol, question.timeframe, variant(question)].append(i)
    return series
