"""The kinds of planted anomalies: how a bar is changed, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ml.anomaly.channels import Kind
from ml.anomaly.kernel import raw
from ml.anomaly.usual import Anchors
from ml.anomaly.windows import WINDOWS
from ml.bars import Bars, Floats


class Plant(StrEnum):
    """The kinds of plants."""

    JUMP = "jump"
    """The price moves at once, and stays."""
    SPIKE = "spike"
    """The price moves within a bar, and comes back in the next."""
    WICK = "wick"
    """The price is far away for a moment, and back by the close."""
    THIN = "thin"
    """Wide ranges on little volume."""
    BURST = "burst"
    """Volume without a move to match."""
    DROUGHT = "drought"
    """Hardly any volume."""
    FROZEN = "frozen"
    """The feed repeats the last price."""
    REPEATED = "repeated"
    """The feed repeats the last bar."""
    GAP = "gap"
    """Bars are missing."""


KINDS: Mapping[Plant, Kind] = {
    Plant.JUMP: Kind.PRICE,
    Plant.SPIKE: Kind.PRICE,
    Plant.WICK: Kind.LIQUIDITY,
    Plant.THIN: Kind.LIQUIDITY,
    Plant.BURST: Kind.VOLUME,
    Plant.DROUGHT: Kind.VOLUME,
    Plant.FROZEN: Kind.DATA,
    Plant.REPEATED: Kind.DATA,
    Plant.GAP: Kind.DATA,
}
#: How often each is drawn.
SHARES: Mapping[Plant, float] = {
    Plant.JUMP: 0.2,
    Plant.SPIKE: 0.1,
    Plant.WICK: 0.12,
    Plant.THIN: 0.12,
    Plant.BURST: 0.16,
    Plant.DROUGHT: 0.12,
    Plant.FROZEN: 0.08,
    Plant.REPEATED: 0.05,
    Plant.GAP: 0.05,
}
#: Sizes are drawn evenly in logs, from what 1 natural bar in 50 shows to what 1 in 10,000 does (hourly coins to 2021):
#: moves and wicks over their usual size, volumes in robust standard deviations of ln volume, times in bars.
MOVES = (3.8, 23.0)
WICKS = (3.3, 26.0)
BURSTS = (3.0, 7.5)
DROUGHTS = (2.0, 5.5)
SPANS = (1.7, 5.0)
LENGTHS = (2.0, 8.0)
#: ln volume grows with ln of (1 + size of a move) by so much: 1.0 on coins, 0.4 on currencies (measured to 2020).
GROWTHS = (0.4, 1.1)
_LN_LARGEST = 3.0


@dataclass(slots=True, eq=False)
class Field:
    """Bars while they are being changed: prices in logs, `shift` what is added to all prices from a bar on."""

    bars: Bars
    prices: Floats
    """ln of open, high, low, close, shape (4, n)."""
    lv: Floats
    shift: Floats
    kept: NDArray[np.bool_]
    event: NDArray[np.int64]
    move: Floats
    wick: Floats
    volume: Floats

    @staticmethod
    def of(bars: Bars) -> Field:
        with np.errstate(all="ignore"):
            now, anchors = raw(bars), Anchors.of(bars, WINDOWS[bars.timeframe])
            median, high, wick, long_wick, low, up = anchors.quantiles(
                (np.abs(now.change), (0.5, 0.9)), (now.wick, (0.5, 0.9)), (now.volume, (0.25, 0.75))
            )
            prices = np.log(np.stack([bars.open, bars.high, bars.low, bars.close]))
            lv = np.log(bars.volume)
        n = len(bars)
        move = 0.5 * (median / 0.6745 + high / 1.645)
        return Field(
            bars,
            prices,
            lv,
            np.zeros(n),
            np.ones(n, dtype=np.bool_),
            np.full(n, -1, dtype=np.int64),
            np.where(move > 0.0, move, np.nan),
            np.fmax(0.5 * (wick / 0.6745 + long_wick / 1.645), 0.2 * move),
            np.maximum((up - low) / 1.349, 0.25),
        )

    def mark(self, at: int, stop: int, number: int) -> None:
        self.event[at:stop] = number

    def harvested(self) -> Bars:
        """The bars as they are now, but for those that are gone."""
        open_, high, low, close = np.exp(self.prices + np.cumsum(self.shift))
        touched = (np.cumsum(self.shift) != 0.0) | (self.event >= 0)
        whole = replace(
            self.bars,
            open=np.where(touched, open_, self.bars.open),
            high=np.where(touched, high, self.bars.high),
            low=np.where(touched, low, self.bars.low),
            close=np.where(touched, close, self.bars.close),
            volume=np.where(self.event >= 0, np.exp(self.lv), self.bars.volume),
        )
        keep = self.kept
        return Bars(
            whole.symbol,
            whole.timeframe,
            whole.open_at[keep],
            whole.open[keep],
            whole.high[keep],
            whole.low[keep],
            whole.close[keep],
            whole.volume[keep],
        )


#: A planter changes the field at a bar; it is told the number of its plant and what was drawn, each in [0, 1).
Planter = Callable[[Field, int, int, Sequence[float]], None]


def _jump(field: Field, at: int, number: int, draws: Sequence[float]) -> None:
    size = _drawn(draws[0], MOVES)
    _moved(field, at, _signed(draws[1]) * size * field.move[at])
    _grown(field, at, size, draws[2])
    field.mark(at, at + 1, number)


def _spike(field: Field, at: int, number: int, draws: Sequence[float]) -> None:
    size, last = _drawn(draws[0], MOVES), min(at + 1, len(field.shift) - 1)
    by = _signed(draws[1]) * size * field.move[at]
    _moved(field, at, by)
    _grown(field, at, size, draws[2])
    if last > at:
        _moved(field, last, -by)
        _grown(field, last, size, draws[2])
    field.mark(at, last + 1, number)


def _moved(field: Field, at: int, by: float) -> None:
    """The bar closes `by` away from where it would have; what follows starts from there."""
    field.shift[at] += by
    opened = field.prices[0, at] - by
    field.prices[0, at] = opened
    field.prices[1, at] = max(field.prices[1, at], opened)
    field.prices[2, at] = min(field.prices[2, at], opened)


def _wick(field: Field, at: int, number: int, draws: Sequence[float]) -> None:
    size = _drawn(draws[0], WICKS)
    by = size * field.wick[at]
    body = field.prices[[0, 3], at]
    if draws[1] < 0.5:
        field.prices[1, at] = max(field.prices[1, at], float(body.max()) + by)
    else:
        field.prices[2, at] = min(field.prices[2, at], float(body.min()) - by)
    _grown(field, at, 0.5 * size, draws[2])
    field.mark(at, at + 1, number)


def _thin(field: Field, at: int, number: int, draws: Sequence[float]) -> None:
    stop = _until(field, at, 1.0 + 2.0 * draws[3])
    size = _drawn(draws[0], SPANS)
    for one in range(at, stop):
        middle = float(field.prices[[0, 3], one].mean())
        for row in range(4):
            field.prices[row, one] = middle + (field.prices[row, one] - middle) * size
        field.lv[one] -= _drawn(draws[1], (0.7, 3.0)) * field.volume[at]
    field.mark(at, stop, number)


def _burst(field: Field, at: int, number: int, draws: Sequence[float]) -> None:
    stop = _until(field, at, 1.0 + 2.0 * draws[1])
    field.lv[at:stop] += _drawn(draws[0], BURSTS) * field.volume[at]
    field.mark(at, stop, number)


def _drought(field: Field, at: int, number: int, draws: Sequence[float]) -> None:
    stop = _until(field, at, 1.0 + 4.0 * draws[1])
    field.lv[at:stop] -= _drawn(draws[0], DROUGHTS) * field.volume[at]
    field.mark(at, stop, number)


def _frozen(field: Field, at: int, number: int, draws: Sequence[float]) -> None:
    stop = _until(field, at, _drawn(draws[0], LENGTHS))
    field.prices[:, at:stop] = field.prices[3, at - 1]
    if draws[1] < 0.5:
        field.lv[at:stop] = -np.inf
    field.mark(at, stop, number)


def _repeated(field: Field, at: int, number: int, draws: Sequence[float]) -> None:
    stop = _until(field, at, _drawn(draws[0], LENGTHS))
    field.prices[:, at:stop] = field.prices[:, at - 1 : at]
    field.lv[at:stop] = field.lv[at - 1]
    field.mark(at, stop, number)


def _gap(field: Field, at: int, number: int, draws: Sequence[float]) -> None:
    missing = int(_drawn(draws[0], LENGTHS)) - 1
    field.kept[at - missing : at] = False
    field.mark(at, at + 1, number)


def _grown(field: Field, at: int, size: float, draw: float) -> None:
    least, most = GROWTHS
    field.lv[at] += (least + (most - least) * draw) * min(float(np.log1p(size)), _LN_LARGEST)


def _until(field: Field, at: int, length: float) -> int:
    return min(at + max(int(length), 1), len(field.shift))


def _drawn(draw: float, between: tuple[float, float]) -> float:
    return float(between[0] * (between[1] / between[0]) ** draw)


def _signed(draw: float) -> float:
    return 1.0 if draw < 0.5 else -1.0


PLANTERS: Mapping[Plant, Planter] = {
    Plant.JUMP: _jump,
    Plant.SPIKE: _spike,
    Plant.WICK: _wick,
    Plant.THIN: _thin,
    Plant.BURST: _burst,
    Plant.DROUGHT: _drought,
    Plant.FROZEN: _frozen,
    Plant.REPEATED: _repeated,
    Plant.GAP: _gap,
}
