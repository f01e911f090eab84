"""A fitted model as a predictor: trees that have seen planted anomalies, beside the rules, and the rarer of the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.anomaly.answer import AnomalyAnswer, answer_of
from ml.anomaly.calibrated import CALIBRATED_ANEW, calibrated_to
from ml.anomaly.channels import CHANNELS, EVERY_CHANNEL, Kind
from ml.anomaly.columns import COLUMNS
from ml.anomaly.empirical import Tail
from ml.anomaly.fed_rarity import together
from ml.anomaly.kernel import NAMES
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
from ml.anomaly.scale import Scale
from ml.anomaly.tails import LARGEST, MEASURED, Rarity, groups
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
    """How rare the bars of rows are, shape (n,) each: by the `rules` and their tables, by the `trees`, by both
    (`whole`), and the position in CHANNELS of what shows it. `trees` and `whole` are NaN where no such market was
    seen, `whole` also where the rules say nothing."""

    rules: Rarity
    trees: Floats
    whole: Floats
    channel: Instants


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What was measured on one kind of market: the rules' `scale`, how rare a score of the `trees` is, and how rare the
    rarer of the two (`both`)."""

    scale: Scale
    trees: Tail
    both: Tail

    def depths(self, ruled: Floats, score: Floats) -> tuple[Floats, Floats, Floats]:
        """How rare bars are by the rules on this scale, by the trees, and by both, from what the rules say and the
        score of the trees, shape (n,) each; NaN by the rules and by both where the rules say nothing."""
        ruled, trees = self.scale.depth(ruled), np.minimum(self.trees.depth(score), LARGEST)
        told = np.minimum(self.both.depth(np.fmax(ruled, trees)), LARGEST)
        near = np.minimum(told, RULED_FROM - (LARGEST - told) * _SQUEEZED)
        whole = np.where(ruled >= RULED_FROM, ruled, near)
        return ruled, trees, np.where(np.isnan(ruled), np.nan, whole)


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """The trees, and what was measured by group of tables (`tails.group`)."""

    trees: Runner
    measured: Mapping[str, Measured]

    def score(self, rows: Rows) -> tuple[Floats, NDArray[np.int64]]:
        """ln of the odds that a row is an anomaly, as taught, and the likeliest kind (a position in CLASSES)."""
        margins = self.trees.run(rows.values[:, : len(COLUMNS)])
        return odds(margins), 1 + margins[:, 1:].argmax(axis=1)

    def found(self, rows: Rows) -> Found:
        """Of rows of one timeframe."""
        rules = of_rules(rows)
        score, kind = self.score(rows)
        ruled, trees, whole = np.full((3, len(rows)), np.nan)
        for name, here in groups(rows.values[:, : len(NAMES)], Timeframe(rows.questions[0].timeframe)):
            if name in self.measured:
                ruled[here], trees[here], whole[here] = self.measured[name].depths(rules.whole[here], score[here])
        own = np.where(kind[:, None] == _KINDS, rules.by_channel, -1.0).argmax(axis=1)
        by_trees = trees >= ruled - NEARLY
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
    """Answers where bars of such a market and timeframe were among its lessons, and where the rules do. The effects of
    `explain` are -log10 of each channel's own chance, and of the trees'."""

    version: int
    ranges: Mapping[str, tuple[float, float]]
    detector: Detector
    fitted: str
    """What it was fitted on, in words."""

    def predict(self, rows: Rows, *, reasons: bool = True) -> Sequence[Given[AnomalyAnswer] | CannotAnswer]:
        """One outcome per row."""
        outcomes: list[Given[AnomalyAnswer] | CannotAnswer] = [_OTHER] * len(rows)
        for timeframe, here in by_timeframe(rows):
            if timeframe in MEASURED:
                for i, outcome in zip(here.tolist(), self._answers(rows.pick(here.tolist()), reasons), strict=True):
                    outcomes[i] = outcome
        return outcomes

    def explain(self, rows: Rows) -> Sequence[tuple[Term, ...]]:
        """Per row the trees and the channels, rarest first; () where refused."""
        told: list[tuple[Term, ...]] = [()] * len(rows)
        for timeframe, here in by_timeframe(rows):
            if timeframe not in MEASURED:
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
        unknown = AnomalyRules().predict(rows.pick(np.flatnonzero(np.isnan(found.rules.whole)).tolist()))
        refused = iter(unknown)
        shares, depths = rows.column(SHARE).tolist(), every_depth(rows, found.rules)
        with_fed, shown = together(found.whole, found.channel, depths[:, len(CHANNELS) :])
        whole, best = with_fed.tolist(), shown.tolist()
        given: list[Given[AnomalyAnswer] | CannotAnswer] = []
        for i, (row, question) in enumerate(zip(records(rows), rows.questions, strict=True)):
            if not np.isfinite(whole[i]):
                given.append(next(refused) if np.isnan(found.rules.whole[i]) else _OTHER)
                continue
            channel, holds_to = EVERY_CHANNEL[best[i]], calibrated_to(question.timeframe, row, CALIBRATED_ANEW)
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


_OTHER = CannotAnswer(Why.NOT_MEASURED, "too few bars of such markets and this length were there to fit this model on")
