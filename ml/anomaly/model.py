"""A fitted model as a predictor: trees that have seen planted anomalies, beside the rules, and the rarer of the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.anomaly.answer import AnomalyAnswer, answer_of
from ml.anomaly.calibrated import calibrated_to
from ml.anomaly.channels import CHANNELS, EVERY_CHANNEL, Kind
from ml.anomaly.columns import COLUMNS
from ml.anomaly.empirical import Tail
from ml.anomaly.fed_rarity import together
from ml.anomaly.market import SHARE
from ml.anomaly.rules import (
    NO_CONFIDENCE,
    AnomalyRules,
    by_timeframe,
    every_depth,
    of_rules,
    reasons_of,
    records,
    share_of,
    terms,
)
from ml.anomaly.tails import LARGEST, Rarity
from ml.anomaly.telling import rarity as rare
from ml.anomaly.winner import winners
from ml.artefacts import Runner
from ml.bars import Floats, Instants, Timeframe
from ml.capability import NOT_ASKED_FOR, CannotAnswer, Given, Rows, Term, Why

#: What the trees tell apart: normal first.
CLASSES = ("normal", Kind.PRICE, Kind.VOLUME, Kind.LIQUIDITY, Kind.DATA)
#: The type is the trees' where they find the bar nearly as rare as the rules do.
NEARLY = 0.5
#: From here on, 1 bar in 800, the rules speak alone: what was planted says nothing about how great a real crash is, and
#: crashes must not drown among what looks planted. Whatever trees find rarer is squeezed in below.
RULED_FROM = 2.9
_SQUEEZED = 0.1
_KINDS = np.array([CLASSES.index(channel.kind) if channel.kind in CLASSES else 0 for channel in CHANNELS])


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """How rare the bars of rows are, shape (n,) each: by the `rules`, by the `trees`, by both (`whole`), and the
    position in CHANNELS of what shows it."""

    rules: Rarity
    trees: Floats
    whole: Floats
    channel: Instants


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """The trees and the tails that say how rare their score is, and how rare the rarer of trees and rules."""

    trees: Runner
    tail_of_trees: Tail
    tail_of_both: Tail

    def score(self, rows: Rows) -> tuple[Floats, NDArray[np.int64]]:
        """ln of the odds that a row is an anomaly, as taught, and the likeliest kind (a position in CLASSES)."""
        margins = self.trees.run(rows.values[:, : len(COLUMNS)])
        return odds(margins), 1 + margins[:, 1:].argmax(axis=1)

    def found(self, rows: Rows) -> Found:
        """Of rows of one timeframe."""
        rules = of_rules(rows)
        score, kind = self.score(rows)
        trees = np.minimum(self.tail_of_trees.depth(score), LARGEST)
        both = np.minimum(self.tail_of_both.depth(np.fmax(rules.whole, trees)), LARGEST)
        near = np.minimum(both, RULED_FROM - (LARGEST - both) * _SQUEEZED)
        whole = np.where(rules.whole >= RULED_FROM, rules.whole, near)
        whole[np.isnan(rules.whole)] = np.nan
        own = np.where(kind[:, None] == _KINDS, rules.by_channel, -1.0).argmax(axis=1)
        by_trees = trees >= rules.whole - NEARLY
        return Found(rules, trees, whole, np.where(by_trees, own, winners(rows.values, rules)))


def odds(margins: Floats) -> Floats:
    """ln(chance of any anomaly / chance of none) from the margins of CLASSES, shape (n, 5)."""
    top = margins[:, 1:].max(axis=1)
    total = np.zeros(len(margins))
    for kind in range(1, len(CLASSES)):  # one after another: a sum along the row may round otherwise in a batch
        total += np.exp(margins[:, kind] - top)
    return np.asarray(top + np.log(total) - margins[:, 0])


@dataclass(frozen=True, slots=True, eq=False)
class AnomalyModel:
    """Answers on the timeframe that it learnt on, and where the rules do. The effects of `explain` are -log10 of each
    channel's own chance, and of the trees'."""

    version: int
    ranges: Mapping[str, tuple[float, float]]
    detector: Detector
    timeframe: Timeframe
    fitted: str
    """What it was fitted on, in words."""

    def predict(self, rows: Rows, *, reasons: bool = True) -> Sequence[Given[AnomalyAnswer] | CannotAnswer]:
        """One outcome per row."""
        outcomes: list[Given[AnomalyAnswer] | CannotAnswer] = [_other(self.timeframe)] * len(rows)
        for timeframe, here in by_timeframe(rows):
            if timeframe is self.timeframe:
                for i, outcome in zip(here.tolist(), self._answers(rows.pick(here.tolist()), reasons), strict=True):
                    outcomes[i] = outcome
        return outcomes

    def explain(self, rows: Rows) -> Sequence[tuple[Term, ...]]:
        """Per row the trees and the channels, rarest first; () where refused."""
        told: list[tuple[Term, ...]] = [()] * len(rows)
        for timeframe, here in by_timeframe(rows):
            if timeframe is not self.timeframe:
                continue
            part = rows.pick(here.tolist())
            found = self.detector.found(part)
            depths = every_depth(part, found.rules).tolist()
            for k, (i, row) in enumerate(zip(here.tolist(), records(part), strict=True)):
                if np.isfinite(found.whole[k]):
                    both = (_trees(float(found.trees[k])), *terms(row, depths[k]))
                    told[i] = tuple(sorted(both, key=lambda one: -(one.effect or 0.0)))
        return told

    def _answers(self, rows: Rows, reasons: bool) -> list[Given[AnomalyAnswer] | CannotAnswer]:
        found = self.detector.found(rows)
        unknown = AnomalyRules().predict(rows.pick(np.flatnonzero(np.isnan(found.whole)).tolist()))
        refused = iter(unknown)
        shares, depths = rows.column(SHARE).tolist(), every_depth(rows, found.rules)
        with_fed, shown = together(found.whole, found.channel, depths[:, len(CHANNELS) :])
        whole, best = with_fed.tolist(), shown.tolist()
        given: list[Given[AnomalyAnswer] | CannotAnswer] = []
        for i, (row, question) in enumerate(zip(records(rows), rows.questions, strict=True)):
            if not np.isfinite(whole[i]):
                given.append(next(refused))
                continue
            channel, holds_to = EVERY_CHANNEL[best[i]], calibrated_to(question.timeframe, row)
            answer = answer_of(question, whole[i], channel.kind, channel.name, share_of(shares[i]), holds_to)
            told = NOT_ASKED_FOR
            if reasons:
                first, *others = reasons_of(row, channel, depths[i].tolist(), whole[i])
                told = (first, f"{_trees(float(found.trees[i])).text}; {self.fitted}", *others)
            given.append(Given(answer, None, NO_CONFIDENCE, told))
        return given


def _trees(depth: float) -> Term:
    text = f"trees taught on planted anomalies find as much in {rare(depth)}"
    return Term("trees", depth, "-log10 chance", depth, text)


def _other(timeframe: Timeframe) -> CannotAnswer:
    return CannotAnswer(Why.NOT_MEASURED, f"this model was fitted on {timeframe} bars alone")
