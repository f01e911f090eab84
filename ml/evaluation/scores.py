"""Scores beside the loss: are probabilities honest, do bands cover, are labels right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ml.bars import Floats

#: Equal bins of confidence over [0, 1].
BINS = 10


def bin_of(confidence: Floats) -> NDArray[np.int64]:
    """The bin of each confidence in [0, 1]; 1 belongs to the last."""
    return np.minimum((np.asarray(confidence) * BINS).astype(np.int64), BINS - 1)


def ece(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """Expected calibration error: mean over answers of |share right - mean confidence| of their bin; 0 is honest, at
    most 1. Few answers look worse than they are: noise does not average out. Shapes (n,); ValueError on none.

    Source: Naeini, Cooper and Hauskrecht (2015), equal-width bins.
    """
    at = bin_of(confidence)
    counts = np.bincount(at, minlength=BINS).astype(np.float64)
    said = np.bincount(at, weights=confidence, minlength=BINS).astype(np.float64)
    hits = np.bincount(at, weights=np.asarray(right, dtype=np.float64), minlength=BINS).astype(np.float64)
    return ece_of_bins(counts, said, hits)


def ece_of_bins(counts: Floats, confidence_sums: Floats, hits: Floats) -> float:
    """The same from sums by bin, shape (BINS,): they may be added up over weeks first."""
    if not counts.sum() > 0:
        raise ValueError("there are no answers to calibrate on")
    return float(np.abs(hits - confidence_sums).sum() / counts.sum())


def coverage(low: Floats, high: Floats, truth: Floats) -> float:
    """Share of truths within their closed band [low, high], shapes (n,). NaN truths count for nothing; ValueError where
    there is no truth."""
    known = ~np.isnan(truth)
    if not known.any():
        raise ValueError("there is no truth to be covered")
    return float(((truth >= low) & (truth <= high))[known].mean())


def macro_f1(said: Sequence[str], truth: Sequence[str], labels: Sequence[str]) -> float:
    """Mean over `labels` of F1, each label alike; in [0, 1], more is better. A label that was never said and never true
    counts 0, as scikit-learn has it. ValueError on lengths that differ or no labels."""
    if len(said) != len(truth) or not labels:
        raise ValueError(f"{len(said)} labels were said, {len(truth)} came true, of {len(labels)}")
    spoken, came = np.asarray(said, dtype=object), np.asarray(truth, dtype=object)
    scores = []
    for label in labels:
        hit = int(((spoken == label) & (came == label)).sum())
        named = int((spoken == label).sum()) + int((came == label).sum())
        scores.append(2.0 * hit / named if named else 0.0)
    return float(np.mean(scores))
