"""Version 0: robust departures by channel, shipped tails, and the largest of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ml.anomaly.answer import AnomalyAnswer, answer_of
from ml.anomaly.calibrated import calibrated_to
from ml.anomaly.channels import CHANNELS, EVERY_CHANNEL, Channel
from ml.anomaly.fed import FED
from ml.anomaly.fed_rarity import fed_depths, fed_of, together
from ml.anomaly.kernel import NAMES
from ml.anomaly.market import SHARE
from ml.anomaly.tails import MEASURED, Rarity, rarity
from ml.anomaly.telling import rarity as rare
from ml.anomaly.telling import sentence, term
from ml.anomaly.winner import winners
from ml.bars import Floats, Timeframe
from ml.capability import NOT_ASKED_FOR, CannotAnswer, Given, Rows, Term, Why

NO_CONFIDENCE = "the score is calibrated itself: .5 is 1 bar in 100, .6 1 in 250, .8 1 in 1,600"


class AnomalyRules:
    """Per channel a robust departure from the level window, its chance by a shipped table, and of the largest of them
    the chance by a table of its own; then what is fed beside the bars, each channel as one more look. The effects of
    `explain` are -log10 of each channel's own chance."""

    version = 0
    #: Chances of the tables hold at any size; what lies beyond them is extrapolated.
    ranges: Mapping[str, tuple[float, float]] = {}

    def predict(self, rows: Rows, *, reasons: bool = True) -> Sequence[Given[AnomalyAnswer] | CannotAnswer]:
        """One outcome per row; refuses where a price is missing or nothing moves, and timeframes without tables."""
        outcomes: list[Given[AnomalyAnswer] | CannotAnswer] = [_UNKNOWN] * len(rows)
        for timeframe, here in by_timeframe(rows):
            if timeframe not in MEASURED:
                for i in here.tolist():
                    outcomes[i] = CannotAnswer(Why.NOT_MEASURED, f"no tails were measured on {timeframe} bars")
                continue
            part = rows.pick(here.tolist())
            found = of_rules(part)
            for i, outcome in zip(here.tolist(), _answers(part, found, reasons), strict=True):
                outcomes[i] = outcome
        return outcomes

    def explain(self, rows: Rows) -> Sequence[tuple[Term, ...]]:
        """Per row the channels, rarest first; () where refused."""
        outcomes = self.predict(rows, reasons=False)
        told: list[tuple[Term, ...]] = [()] * len(rows)
        for timeframe, here in by_timeframe(rows):
            if timeframe in MEASURED:
                part = rows.pick(here.tolist())
                for i, row, depths in zip(here.tolist(), records(part), every_depth(part, of_rules(part)), strict=True):
                    told[i] = terms(row, depths.tolist()) if isinstance(outcomes[i], Given) else ()
        return told


_UNKNOWN = CannotAnswer(
    Why.MISSING_FEATURE, "the move of the newest bar cannot be judged: a price is missing or not valid, or none moves"
)


def by_timeframe(rows: Rows) -> list[tuple[Timeframe, np.ndarray[tuple[int], np.dtype[np.int64]]]]:
    """The timeframes of the rows, each with the positions of its rows."""
    asked = [question.timeframe for question in rows.questions]
    if len(set(asked)) == 1:
        return [(asked[0], np.arange(len(asked)))]
    return [(one, np.flatnonzero([other is one for other in asked])) for one in sorted(set(asked))]


def of_rules(rows: Rows) -> Rarity:
    """The rarity of rows of one timeframe, by their bars alone."""
    return rarity(rows.values[:, : len(NAMES)], Timeframe(rows.questions[0].timeframe))


def every_depth(rows: Rows, found: Rarity) -> Floats:
    """-log10 of the chance by each of EVERY_CHANNEL, shape (n, channels); NaN where what is fed is not judged."""
    return np.concatenate([found.by_channel, fed_depths(fed_of(rows))], axis=1)


def records(rows: Rows) -> list[dict[str, float]]:
    """The columns that channels read by name, row by row."""
    names = (*NAMES, *FED)
    read = np.concatenate([rows.values[:, : len(NAMES)], fed_of(rows)], axis=1).tolist()
    return [dict(zip(names, numbers, strict=True)) for numbers in read]


def terms(row: dict[str, float], depths: Sequence[float]) -> tuple[Term, ...]:
    """The channels that are known, rarest first."""
    found = [
        term(channel, row, depth)
        for channel, depth in zip(EVERY_CHANNEL, depths, strict=True)
        if np.isfinite(row[channel.column]) and (depth > 0.0 or not channel.told)
    ]
    return tuple(sorted(found, key=lambda one: -(one.effect or 0.0)))


def share_of(value: float) -> float | None:
    """The share of the panel as the answer has it."""
    return None if value != value or not 0.0 <= value <= 1.0 else value


def _answers(rows: Rows, found: Rarity, reasons: bool) -> list[Given[AnomalyAnswer] | CannotAnswer]:
    given: list[Given[AnomalyAnswer] | CannotAnswer] = []
    shares, depths = rows.column(SHARE).tolist(), every_depth(rows, found)
    with_fed, shown = together(found.whole, winners(rows.values, found), depths[:, len(CHANNELS) :])
    whole, best = with_fed.tolist(), shown.tolist()
    for i, (row, question) in enumerate(zip(records(rows), rows.questions, strict=True)):
        if not np.isfinite(whole[i]):
            given.append(_UNKNOWN)
            continue
        channel, holds_to = EVERY_CHANNEL[best[i]], calibrated_to(question.timeframe, row)
        answer = answer_of(question, whole[i], channel.kind, channel.name, share_of(shares[i]), holds_to)
        told = reasons_of(row, channel, depths[i].tolist(), whole[i]) if reasons else NOT_ASKED_FOR
        given.append(Given(answer, None, NO_CONFIDENCE, told))
    return given


def reasons_of(row: dict[str, float], channel: Channel, depths: Sequence[float], whole: float) -> tuple[str, ...]:
    """What decided first, then what else stands out, then what the whole comes to."""
    others = [
        sentence(one, row)
        for one, depth in sorted(zip(EVERY_CHANNEL, np.nan_to_num(depths), strict=True), key=lambda pair: -pair[1])
        if one is not channel and depth >= _STANDS_OUT
    ]
    seen = row[channel.column]
    stands_out = np.isfinite(seen) and not (channel.told and seen == 0.0)
    first = sentence(channel, row) if stands_out else "nothing stands out"
    looked_at = sum(depth == depth for depth in depths)
    return (first, *others[:2], f"with {looked_at} channels looked at, that is {rare(whole)}")


_STANDS_OUT = 2.0
