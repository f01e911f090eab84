"""Version 0: the truth's own formula, read over the bars that are known, with the frequencies of what came true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log

from ml.capability import NOT_ASKED_FOR, CannotAnswer, Given, Rows, Term, Why
from ml.regime.answer import RegimeAnswer, answered
from ml.regime.formula import (
    HIGH_FROM_V,
    LABELS,
    LARGEST_Z,
    QUIET_TO_V,
    REFERENCE,
    STRETCH,
    TREND_FROM_Z,
    Label,
    codes,
)
from ml.regime.state import LONGEST_RUN, NAMES
from ml.regime.table import (
    FITTED_ROUND_THE_CLOCK,
    FITTED_SESSIONS,
    USUAL_ROUND_THE_CLOCK,
    USUAL_SESSIONS,
    cell_name,
    probabilities,
)

MOST_MISSING = 3
"""Up to 3 of 27 hours missing changes the label rarely; with more, "the last 24 bars" is no longer the last day."""

#: Domains rather than extremes seen: the rule reads ranks and ratios, and what it measures at any level holds at all.
RANGES: Mapping[str, tuple[float, float]] = {
    "z": (-LARGEST_Z, LARGEST_Z),
    "v": (0.0, 1.0),
    "sigma": (0.0, 1.0),
    "volatility_ratio": (0.0, float(REFERENCE)),
    "missing_bars": (0.0, 1e9),  # judged by predict, which can say what is missing
    "bars_in_label": (1.0, float(LONGEST_RUN)),
    "sessions": (0.0, 1.0),
}
_TRENDS = (Label.TREND_UP, Label.TREND_DOWN)


class RegimeRules:
    """Label by thresholds on z and v of the last 24 bars; probabilities by table, from (|z|, v) and closing hours.

    `confidence` is the table's probability of the label: how often hindsight agreed. The effects of `explain` are in
    nats, ln(probability of the label in this cell / in all cells); None for conditions.
    """

    version = 0
    ranges = RANGES

    def predict(self, rows: Rows, *, reasons: bool = True) -> Sequence[Given[RegimeAnswer] | CannotAnswer]:
        """One outcome per row; refuses where a number is missing, nothing moved, or over 3 of the bars are absent."""
        refused = [_refusal(record) for record in _records(rows)]
        answers = iter(_answers(rows.pick([i for i, why in enumerate(refused) if why is None]), reasons))
        return [next(answers) if why is None else why for why in refused]

    def explain(self, rows: Rows) -> Sequence[tuple[Term, ...]]:
        """Per row the conditions of the label, the deciding one first, then the table's cell; () where refused."""
        return [
            _terms(record, given.answer) if isinstance(given, Given) else ()
            for record, given in zip(_records(rows), self.predict(rows, reasons=False), strict=True)
        ]


Record = Mapping[str, float]


def _records(rows: Rows) -> list[Record]:
    columns = [rows.column(name).tolist() for name in NAMES]
    return [dict(zip(NAMES, numbers, strict=True)) for numbers in zip(*columns, strict=True)]


def _refusal(row: Record) -> CannotAnswer | None:
    if row["missing_bars"] > MOST_MISSING:
        missing = f"{row['missing_bars']:.0f} bars are missing within the last {STRETCH}; up to {MOST_MISSING} may be"
        return CannotAnswer(Why.GAP_IN_DATA, missing)
    if row["sigma"] == 0.0:
        return CannotAnswer(
            Why.MISSING_FEATURE, f"no price change in the last {STRETCH} bars: there is no regime to tell"
        )
    for name, value in row.items():
        if not abs(value) < float("inf"):
            text = f"{name} is missing: a price among the last {STRETCH} bars, or too many of {REFERENCE}, is not valid"
            return CannotAnswer(Why.MISSING_FEATURE, text)
    return None


def _answers(rows: Rows, reasons: bool) -> list[Given[RegimeAnswer]]:
    z, v = rows.column("z"), rows.column("v")
    shares = probabilities(z, v, rows.column("sessions")).tolist()
    given = []
    for record, code, p in zip(_records(rows), codes(z, v).tolist(), shares, strict=True):
        answer = answered(LABELS[code], p, int(record["bars_in_label"]), record["volatility_ratio"])
        given.append(Given(answer, p[code], "", _reasons(record, answer) if reasons else NOT_ASKED_FOR))
    return given


def _reasons(row: Record, answer: RegimeAnswer) -> tuple[str, ...]:
    reasons = tuple(term.text for term in _terms(row, answer))
    if answer.label in _TRENDS:
        return (*reasons, "a trend label describes the last bars; it does not predict direction")
    return reasons


def _terms(row: Record, answer: RegimeAnswer) -> tuple[Term, ...]:
    z, v, cell = _net_move(row), _level(row), _cell(row, answer)
    if answer.label in (Label.HIGH_VOLATILITY, Label.CONSOLIDATION):
        return v, cell, z
    return z, cell, v


def _net_move(row: Record) -> Term:
    text = (
        f"net move of the last {STRETCH} bars is {row['z']:+.2f} of what their volatility allows a random walk "
        f"(z; a trend from {TREND_FROM_Z} either way)"
    )
    return Term("z", row["z"], "sigma sqrt 24", None, text)


def _level(row: Record) -> Term:
    text = (
        f"volatility of {100.0 * row['sigma']:.2f}% a bar is above {row['v']:.0%} of the last {REFERENCE:,} bars "
        f"({row['volatility_ratio']:.2f} x their mean; high from {HIGH_FROM_V:.0%}, quiet to {QUIET_TO_V:.0%})"
    )
    return Term("v", row["v"], "share of bars", None, text)


def _cell(row: Record, answer: RegimeAnswer) -> Term:
    sessions = row["sessions"] > 0.0
    usual = (USUAL_SESSIONS if sessions else USUAL_ROUND_THE_CLOCK)[LABELS.index(answer.label)] / 1_000.0
    place = cell_name(row["z"], row["v"])
    fitted = FITTED_SESSIONS if sessions else FITTED_ROUND_THE_CLOCK
    text = (
        f"with {place}, hindsight said {answer.label} {answer.confidence:.0%} of the time, against {usual:.0%} "
        f"over all ({fitted})"
    )
    return Term("cell", answer.confidence, "probability", log(answer.confidence / usual), text)
