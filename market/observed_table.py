"""Observations as they came in, checked row by row: what may enter history, and what was refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from market.bar_table import EARLIEST, LATEST, Mask
from market.refusal import BadSymbol
from ml.bars import Floats, Instants
from ml.capability import SYMBOL_PATTERN
from ml.observed import BOOK_LEVELS, FIELDS, Kind

#: A funding rate beyond this, per interval, is a mistake: exchanges cap it at a few per cent.
MOST_FUNDING = 1.0


class ObservedFault(StrEnum):
    """Why an observation was refused."""

    NO_TIME = "no time, or one outside 1970..2100"
    IN_FUTURE = "the time lies in the future"
    NOT_FINITE = "a number is missing, NaN or infinite"
    OUT_OF_BOUNDS = "a number is outside of what it can be"
    BAD_BOOK = "the book is empty, crossed, or its levels are out of order"


@dataclass(frozen=True, slots=True)
class RefusedObservations:
    """How many were refused for one `fault`."""

    fault: ObservedFault
    n: int


@dataclass(frozen=True, slots=True, eq=False)
class ObservedTable:
    """Observations of one kind and symbol that passed the checks, oldest first (`at`, int64 ms; times may repeat), and
    a note of those that did not. `values` has shape (n, len(FIELDS[kind]))."""

    kind: Kind
    symbol: str
    origin: str
    at: Instants
    values: Floats
    refused: tuple[RefusedObservations, ...] = ()

    def __len__(self) -> int:
        return len(self.at)


def checked_observations(kind: Kind, symbol: str, origin: str, at: Instants, values: Floats) -> ObservedTable:
    """The good rows, sorted by time, and counts of the others. Raises BadSymbol for a symbol that no question could
    name, ValueError where the shape is not that of the kind."""
    if re.fullmatch(SYMBOL_PATTERN, symbol) is None:
        raise BadSymbol("that is no symbol", f"a symbol matches {SYMBOL_PATTERN}")
    if values.shape != (len(at), len(FIELDS[kind])):
        raise ValueError(f"{kind}: {len(FIELDS[kind])} numbers a row were expected, shape {values.shape} came")
    good = np.ones(len(at), dtype=bool)
    refused: list[RefusedObservations] = []
    for fault, bad in _faults(kind, at, values):
        if (good & bad).any():
            refused.append(RefusedObservations(fault, int((good & bad).sum())))
        good &= ~bad
    order = np.flatnonzero(good)[np.argsort(at[good], kind="stable")]
    return ObservedTable(kind, symbol, origin, at[order], values[order], tuple(refused))


def _faults(kind: Kind, at: Instants, values: Floats) -> list[tuple[ObservedFault, Mask]]:
    no_time = (at < EARLIEST) | (at > LATEST)
    if kind is Kind.FUNDING:
        rate = values[:, 0]
        return [
            (ObservedFault.NO_TIME, no_time),
            (ObservedFault.NOT_FINITE, ~np.isfinite(rate)),
            (ObservedFault.OUT_OF_BOUNDS, np.abs(rate) > MOST_FUNDING),
        ]
    if kind is Kind.OPEN_INTEREST:
        contracts, value = values.T
        return [
            (ObservedFault.NO_TIME, no_time),
            (ObservedFault.NOT_FINITE, ~np.isfinite(contracts) | np.isinf(value)),
            (ObservedFault.OUT_OF_BOUNDS, (contracts < 0) | (value < 0)),
        ]
    return [(ObservedFault.NO_TIME, no_time), (ObservedFault.BAD_BOOK, ~_sound_books(values))]


def _sound_books(values: Floats) -> Mask:
    """Both sides there, not crossed, levels best first, prices and sizes positive; what lies beyond the end is NaN."""
    levels = values.reshape(len(values), BOOK_LEVELS, 2, 2)
    price, size = levels[..., 0], levels[..., 1]
    there = np.isfinite(price)
    sound: Mask = there[:, 0].all(axis=1) & (there == np.isfinite(size)).all(axis=(1, 2))
    sound &= (~np.isinf(values)).all(axis=1) & (there[:, 1:] <= there[:, :-1]).all(axis=(1, 2))
    with np.errstate(invalid="ignore"):
        sound &= ~((price <= 0) | (size <= 0)).any(axis=(1, 2))
        sound &= ~(np.diff(price[..., 0], axis=1) >= 0).any(axis=1)
        sound &= ~(np.diff(price[..., 1], axis=1) <= 0).any(axis=1)
        sound &= price[:, 0, 0] < price[:, 0, 1]
    return sound
