"""What a retraining costs beside the bare library calls: a process with its lessons, fits, export, parity, state."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.bare_fit import PARTS
from benchmarks.crowned import course, sample_house
from benchmarks.ratio import Ratio
from ml.regime.inputs import Scale, mirrored, newest
from ml.regime.learner import _split, _taught
from workers.train import Course

ROUNDS = 3


def rows() -> list[Ratio]:
    """One row: CPU and wall of `Trainer.train` for the regime, over the same fits by xgboost and torch alone."""
    costs: list[tuple[float, float]] = []
    bare: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as temporary:
        house = sample_house(Path(temporary) / "data")
        try:
            taught, file = course(house, "regime"), Path(temporary) / "lessons.npz"
            _hand_over(taught, file)
            for _ in range(ROUNDS):
                costs.append(_cost(lambda: house.trainer.train(taught, lambda _share, _word: None)))
                bare.append(
                    _cost(lambda: subprocess.run([sys.executable, "-m", "benchmarks.bare_fit", file], check=True))
                )
        finally:
            house.close()
    cpu, wall = (statistics.median(m[i] / b[i] for m, b in zip(costs, bare, strict=True)) for i in (0, 1))
    fit = statistics.median(one[0] for one in bare)
    why = (
        f"bare: {fit:.1f} s CPU with imports, {len(taught.lessons):,} lessons; ours tunes the decision, exports to "
        "ONNX, checks parity on four kinds of rows, and registers"
    )
    return [Ratio("a retraining of the regime / xgboost and torch alone", cpu, wall, 1.15, why)]


def _hand_over(taught: Course, file: Path) -> None:
    rows, truth = _taught(taught.lessons)
    early, _ = _split(rows)
    values = newest(rows)
    arrays: dict[str, np.ndarray] = {}
    for name, some in zip(PARTS, (early, np.arange(len(rows))), strict=True):
        other, swapped = mirrored(values[some], truth[some])
        both = np.concatenate([values[some], other])
        arrays[f"{name}_rows"] = both.astype(np.float32)
        arrays[f"{name}_scaled"] = Scale.of(both).scaled(both).astype(np.float32)
        arrays[f"{name}_labels"] = np.concatenate([truth[some], swapped])
    np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy types its keywords as flags


def _cost(work: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds, of children too, and wall seconds."""
    begun, wall = _cpu(), time.perf_counter()
    work()
    return _cpu() - begun, time.perf_counter() - wall


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
