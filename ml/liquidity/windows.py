"""Sums of the last bars, worked out in the same order for every bar: the same bits whatever a stretch begins
with.

By doubling: sums of 1, 2, 4, ... bars, and of those that make up a window. Only additions, so there is nothing to
cancel and no scale to keep to: an hour may have traded .001 of its currency, or 1e12.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ml.bars import Floats, Instants
from ml.lags import lagged


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums of the last values of one series, of any window up to a largest, worked out once: `blocks[k]` are those of
    2^k values, each value times `keep` to the power of its age."""

    blocks: tuple[Floats, ...]
    keep: float

    @staticmethod
    def of(values: Floats, largest: int, keep: float = 1.0) -> Sums:
        """Of values of shape (n,), for windows of 1 to `largest`."""
        blocks, reach = [values], 1
        while 2 * reach <= largest:
            blocks.append(blocks[-1] + _faded(blocks[-1], reach, keep, None))
            reach *= 2
        return Sums(tuple(blocks), keep)

    def sum(self, window: int, at: Instants | None = None) -> Floats:
        """Sum over the `window` values that end at each position of `at`, at all where None; NaN where fewer are there
        or one of them is NaN."""
        total: Floats | None = None
        done = 0
        for k, block in enumerate(self.blocks):
            if window & (1 << k):
                part = _faded(block, done, self.keep, at)
                total = part if total is None else total + part
                done += 1 << k
        assert total is not None, "a window is at least 1"
        return total

    def mean(self, window: int, at: Instants | None = None) -> Floats:
        """`sum` over `window`."""
        return self.sum(window, at) / window


def rolling_sum(values: Floats, window: int, at: Instants | None = None) -> Floats:
    """Sum of the last `window` (at least 1) values, at positions `at`: see `Sums`."""
    return Sums.of(values, window).sum(window, at)


def rolling_mean(values: Floats, window: int, at: Instants | None = None) -> Floats:
    """Mean of the last `window` values."""
    return rolling_sum(values, window, at) / window


def rolling_means(values: Floats, windows: Sequence[int], at: Instants | None = None) -> list[Floats]:
    """The same for several windows at once."""
    sums = Sums.of(values, max(windows))
    return [sums.mean(window, at) for window in windows]


def smoothed(values: Floats, alpha: float, window: int, at: Instants | None = None) -> Floats:
    """Exponentially weighted mean of the last `window` values, weights alpha (1 - alpha)^lag, rescaled to sum to 1."""
    keep = 1.0 - alpha
    return Sums.of(values, window, keep).sum(window, at) * (alpha / (1.0 - keep**window))


def _faded(values: Floats, lag: int, keep: float, at: Instants | None) -> Floats:
    """keep^lag x the value `lag` bars before."""
    result = lagged(values, lag, at)
    return result if keep == 1.0 or not lag else result * keep**lag
