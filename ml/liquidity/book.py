"""What an order that is sent at once costs: the book is walked, level by level.

Cost is the average price of the fill against the mid price, in basis points, fees not counted. Half the spread is in
it. The square-root law (`order_size.py`) is for orders worked over hours; at once, the book of the moment is all there
is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.bars import Floats

_BPS = 1e4


class BadBook(ValueError):  # noqa: N818 - told as it is
    """Levels that are no book: crossed, out of order, empty, not positive."""


@dataclass(frozen=True, slots=True, eq=False)
class Book:
    """Bids and asks, best first, shape (levels, 2) each: price and size (base units), all positive."""

    bids: Floats
    asks: Floats

    def __post_init__(self) -> None:
        for name, side, way in (("bids", self.bids, -1.0), ("asks", self.asks, 1.0)):
            if side.ndim != 2 or side.shape[1:] != (2,) or not len(side):
                raise BadBook(f"{name} must have shape (levels, 2) with one level at least, not {side.shape}")
            if not (np.isfinite(side).all() and (side > 0.0).all()):
                raise BadBook(f"{name} have a price or a size that is not a positive number")
            if not (np.diff(side[:, 0]) * way > 0.0).all():
                raise BadBook(f"{name} are not in order, best first, each price once")
        if self.bids[0, 0] >= self.asks[0, 0]:
            raise BadBook(f"the book is crossed: bid {self.bids[0, 0]:g}, ask {self.asks[0, 0]:g}")

    @property
    def mid(self) -> float:
        return 0.5 * float(self.bids[0, 0] + self.asks[0, 0])


@dataclass(frozen=True, slots=True)
class Walk:
    """What became of an order. `filled_quote` is less than was asked where the levels shown do not hold it: the rest
    would go deeper, at a cost that nobody can see. `cost_bps` is that of the part that was filled."""

    filled_quote: float
    average_price: float
    worst_price: float
    cost_bps: float
    complete: bool


def walk(book: Book, order_quote: float, *, buy: bool) -> Walk:
    """An order of `order_quote` (quote currency, positive) sent at once. Raises ValueError where it is not positive."""
    if not 0.0 < order_quote < np.inf:
        raise ValueError(f"an order must be a positive amount, not {order_quote}")
    price, size = _side(book, buy)
    taken = np.minimum(price * size, np.maximum(order_quote - _before(price * size), 0.0))
    filled, bought = float(taken.sum()), float((taken / price).sum())
    average = filled / bought
    worst = float(price[np.flatnonzero(taken > 0.0)[-1]])
    return Walk(filled, average, worst, _cost_bps(average, book.mid, buy), bool(filled >= order_quote * (1.0 - 1e-12)))


def largest_within(book: Book, cost_bps: float, *, buy: bool) -> float:
    """The largest order (quote currency) that the levels shown fill at an average cost of `cost_bps` at most; 0 where
    half the spread costs more."""
    price, size = _side(book, buy)
    way = 1.0 if buy else -1.0
    limit = book.mid * (1.0 + way * cost_bps / _BPS)
    total = 0.0
    slack = 0.0  # what the levels before leave: size x (limit - price), in the direction that is cheap
    for level_price, level_size in zip(price.tolist(), size.tolist(), strict=True):
        room = way * (limit - level_price)
        if room >= 0.0:
            slack, total = slack + level_size * room, total + level_size * level_price
            continue
        share = min(slack / -room, level_size)
        total += share * level_price
        slack += share * room
        if share < level_size:
            break
    return total


def _side(book: Book, buy: bool) -> tuple[Floats, Floats]:
    side = book.asks if buy else book.bids
    return side[:, 0], side[:, 1]


def _before(amounts: Floats) -> Floats:
    """What the better levels hold together, at each level."""
    return np.concatenate([[0.0], np.cumsum(amounts)[:-1]])


def _cost_bps(average: float, mid: float, buy: bool) -> float:
    return (average / mid - 1.0) * (_BPS if buy else -_BPS)
