"""The gate of every export: it answers as the trained model does, also on the rows where exports go wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ml.artefacts import Runner
from ml.bars import Floats
from ml.learning import BadArtefact

#: Rows of shape (n, k), float32, to outputs of shape (n,) or (n, m): the trained model itself.
Reference: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.floating[Any]]]

TOLERANCE = 1e-5
N_RANDOM = 512
#: Values that exports have got wrong: zeros of both signs, the smallest and the largest float32, infinities.
EXTREMES = (0.0, -0.0, 1e-45, -1e-45, 1e-30, 1.0, -1.0, 1e6, -1e6, 1e30, -1e30, 3.4e38, -3.4e38, np.inf, -np.inf)


class ParityBroken(BadArtefact):
    """The exported model answers otherwise than the trained one."""


def check(
    reference: Reference,
    runner: Runner,
    rows: Floats,
    random: np.random.Generator,
    *,
    splits: Sequence[Sequence[float]] = (),
    largest: float = np.inf,
    tolerance: float = TOLERANCE,
) -> float:
    """The largest difference found between `reference` and `runner`, relative to max(1, |reference|).

    `rows` are rows it was fitted on, shape (n, k): they, rows drawn around them, rows with NaN here, there and
    everywhere, rows with a feature at an extreme, and rows all of one value are compared; and rows with a feature at
    one of its `splits` (by feature: see `trees.splits`) and at the float32 next to it on either side. Where the trained
    model says NaN or infinity, so must the export. A caller that clips its rows to +-`largest` before it runs the model
    says so: they are clipped here too. Raises ParityBroken, with the worst row, above `tolerance`.
    """
    asked = np.concatenate([*_cases(rows, random), *_at_splits(rows, splits, random)])
    asked = np.clip(asked, -largest, largest).astype(np.float32)
    expected = np.asarray(reference(asked), dtype=np.float64)
    found = runner.run(asked)
    expected = expected.reshape(len(asked), -1)
    if expected.shape != found.shape:
        raise ParityBroken(f"the trained model gives {expected.shape[1]} outputs, the export {found.shape[1]}")
    apart = _apart(expected, found)
    worst = int(np.argmax(apart))
    if apart[worst] > tolerance:
        raise ParityBroken(
            f"{int((apart > tolerance).sum())} of {len(asked)} rows differ by more than {tolerance:g}; the worst: "
            f"{expected[worst].tolist()} trained, {found[worst].tolist()} exported, on {asked[worst].tolist()}"
        )
    return float(apart[worst])


def _apart(expected: Floats, found: Floats) -> Floats:
    """Per row the largest difference; infinity where one side is finite and the other is not, or another infinity."""
    same = (expected == found) | (np.isnan(expected) & np.isnan(found))
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(expected - found) / np.maximum(1.0, np.abs(expected))
    apart = np.where(same, 0.0, np.where(np.isfinite(apart), apart, np.inf))
    worst: Floats = apart.max(axis=1)
    return worst


def _cases(rows: Floats, random: np.random.Generator) -> list[Floats]:
    k = rows.shape[1]
    some = rows[random.integers(len(rows), size=N_RANDOM)].astype(np.float64)
    spread = np.nan_to_num(np.nanstd(np.where(np.isfinite(some), some, np.nan), axis=0), nan=1.0) + 1e-6
    around = some + random.normal(size=some.shape) * spread
    holes = np.where(random.random(some.shape) < random.random((N_RANDOM, 1)), np.nan, around)
    extremes = np.repeat(some[:1], k * len(EXTREMES), axis=0)
    extremes[np.arange(len(extremes)), np.repeat(np.arange(k), len(EXTREMES))] = np.tile(EXTREMES, k)
    each_missing = np.repeat(some[:1], k, axis=0)
    np.fill_diagonal(each_missing, np.nan)
    alike = np.repeat(np.array([*EXTREMES, np.nan])[:, None], k, axis=1)
    return [some, around, holes, extremes, each_missing, alike]


def _at_splits(rows: Floats, splits: Sequence[Sequence[float]], random: np.random.Generator) -> list[Floats]:
    """For each split value of each feature three rows: below it by one float32, at it, above it by one."""
    found = []
    for feature, values in enumerate(splits):
        at = np.unique(np.asarray(values, dtype=np.float32))
        near = np.concatenate([np.nextafter(at, np.float32(-np.inf)), at, np.nextafter(at, np.float32(np.inf))])
        part = rows[random.integers(len(rows), size=len(near))].astype(np.float64)
        part[:, feature] = near
        found.append(part)
    return found
