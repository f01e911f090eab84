"""Which label is announced: the likeliest by weighted chance, unless the one that stands is nearly as good.

Rare regimes are announced at less than their fair chance (class weights), or they would never be; and a label that
stands is left only for one that beats it by a margin (hysteresis), or it would flicker. Both act on the label alone,
never on the probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.bars import Floats
from ml.regime.formula import Codes


@dataclass(frozen=True, slots=True)
class Decision:
    """`log_weights`: nats added to ln p of each label, in the order of LABELS. `margin`: nats by which another label
    must lead the one that stands, >= 0; at 0 there is no memory."""

    log_weights: tuple[float, ...]
    margin: float

    def weighted(self, log_p: Floats) -> Floats:
        """Scores of labels, from their log probabilities (up to a constant), both of shape (..., labels)."""
        scores: Floats = log_p + np.asarray(self.log_weights)
        return scores

    def path(self, log_p: Floats) -> Codes:
        """Announced labels of consecutive bars, from `log_p` of shape (n, bars, labels), oldest first; (n, bars).

        At the oldest bar nothing stands yet: the highest score is announced. How it began is forgotten at the first
        bar whose best label leads every other by the margin; that is so for two bars in three.
        """
        scores = self.weighted(log_p)
        labels: Codes = np.empty(scores.shape[:2], dtype=np.int64)
        labels[:, 0] = scores[:, 0].argmax(axis=1)
        for at in range(1, scores.shape[1]):
            labels[:, at] = self._next(labels[:, at - 1], scores[:, at])
        return labels

    def _next(self, standing: Codes, scores: Floats) -> Codes:
        favoured = scores.copy()
        favoured[np.arange(len(scores)), standing] += self.margin
        best: Codes = favoured.argmax(axis=1)
        return best


def run_length(labels: Codes) -> Codes:
    """For how many bars, counted back from the last, the label has been the same; `labels` (n, bars), result (n,)."""
    same = labels[:, ::-1] == labels[:, -1:]
    run: Codes = np.where(same.all(axis=1), labels.shape[1], same.argmin(axis=1))
    return run


def macro_f1(labels: Codes, truth: Codes, classes: int) -> float:
    """Mean over the labels of 2 hits / (announced + true); a label that is neither announced nor true counts 0."""
    hits = np.bincount(truth[labels == truth], minlength=classes)
    both = np.bincount(labels, minlength=classes) + np.bincount(truth, minlength=classes)
    return float(np.divide(2.0 * hits, both, out=np.zeros(classes), where=both > 0).mean())


def switched(decision: Decision, log_p: Floats) -> float:
    """Share of bars at which whoever asks every bar sees another label; `log_p` (n, bars, labels), 3 bars or more.

    A bar later the path also starts a bar later: so the two labels are those of two paths, each with a start of its
    own, and of one bar less than there are. With the full number the share is a little smaller.
    """
    before, now = decision.path(log_p[:, :-1])[:, -1], decision.path(log_p[:, 1:])[:, -1]
    return float((before != now).mean())


def tuned(log_p: Floats, truth: Codes, most_switches: float, margins: Sequence[float]) -> Decision:
    """The decision with the best macro-F1 of the last label whose path switches in at most `most_switches` of bars.

    `log_p` has shape (n, bars, labels), oldest first, `truth` (n,) is about the last bar. Weights are found label by
    label on a grid: first without memory, then with the smallest of `margins` that is calm enough (else the largest).
    Switches are counted within the path of a row; whoever asks every bar sees a few more (see `switched`), so ask for
    less. To count what is seen instead was tried: it took margins near 1 and lost .01 of F1. Deterministic.
    """
    chosen = _best_weights(Decision((0.0,) * log_p.shape[2], 0.0), log_p[:, -1:], truth, 1.0, _COARSE)
    for margin in margins:
        chosen = Decision(chosen.log_weights, margin)
        if _changed(chosen.path(log_p)) <= most_switches:
            break
    return _best_weights(chosen, log_p, truth, most_switches, _FINE)


_COARSE = tuple(float(step) for step in np.linspace(-0.6, 0.6, 13))
_FINE = (-0.2, -0.1, 0.1, 0.2)
_ROUNDS = 2


def _best_weights(start: Decision, log_p: Floats, truth: Codes, most: float, steps: Sequence[float]) -> Decision:
    def worth(decision: Decision) -> float:
        path = decision.path(log_p)
        return macro_f1(path[:, -1], truth, classes) if _changed(path) <= most else -1.0

    classes = log_p.shape[2]
    best, best_worth = start, worth(start)
    for _ in range(_ROUNDS):
        for label in range(classes):
            for other in [_shifted(best, label, step) for step in steps]:
                found = worth(other)
                if found > best_worth:
                    best, best_worth = other, found
    return best


def _shifted(decision: Decision, label: int, step: float) -> Decision:
    weights = list(decision.log_weights)
    weights[label] = round(weights[label] + step, 6)
    return Decision(tuple(weights), decision.margin)


def _changed(path: Codes) -> float:
    """Share of rows whose label changes between their last two bars; 0 where they have one bar."""
    return float((path[:, -1] != path[:, -2]).mean()) if path.shape[1] > 1 else 0.0
