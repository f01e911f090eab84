"""One line of the ledger: what was asked, on which row, and the complete reply."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Row

from registry.faults import BadEntry

_FLOAT_BYTES = 8
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A prediction as it is kept. Instants are int ms UTC; `question`, `answer` and `passed_over` are JSON text.

    `features` holds the row as float64, little endian, one per name in `feature_names`. Raises BadEntry for
    what the database would refuse later, when nobody is there to hear of it: numpy integers, lone surrogates, a row of
    another length.
    """

    prediction_id: str
    capability: str
    version: int
    source: str
    symbol: str
    timeframe: str
    as_of: int
    data_through: int
    question: str
    feature_names: tuple[str, ...]
    features: bytes
    answer: str
    use: str
    asked_by: str
    asked_at: int
    passed_over: str

    def __post_init__(self) -> None:
        for name in _WHOLE:
            _check_whole(name, getattr(self, name))
        for name in _TEXTS:
            _check_text(name, getattr(self, name))
        if type(self.features) is not bytes or len(self.features) != _FLOAT_BYTES * len(self.feature_names):
            raise BadEntry(f"features must be {_FLOAT_BYTES} bytes for each of {len(self.feature_names)} names")

    def row(self, tenant: str) -> dict[str, Any]:
        """As a row of the table `predictions`."""
        row = {name: getattr(self, name) for name in _COLUMNS}
        row["tenant"] = tenant
        row["feature_names"] = json.dumps(self.feature_names)
        return row

    @staticmethod
    def of(row: Row[Any]) -> Entry:
        """Back from a row of the table `predictions`."""
        named = {name: getattr(row, name) for name in _COLUMNS}
        named["feature_names"] = tuple(json.loads(row.feature_names))
        return Entry(**named)


_COLUMNS = tuple(field.name for field in fields(Entry))
_WHOLE = ("version", "as_of", "data_through", "asked_at")
_TEXTS = tuple(name for name in _COLUMNS if name not in (*_WHOLE, "feature_names", "features"))


def _check_whole(name: str, value: object) -> None:
    # An integer of numpy would be stored as its bytes.
    if type(value) is not int or not -_LARGEST <= value <= _LARGEST:
        raise BadEntry(f"{name} must be an int of 64 bits, not {type(value).__name__} {value!r:.40}")


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise BadEntry(f"{name} must be text, not {type(value).__name__}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadEntry(f"{name} holds half a character (a lone surrogate): it cannot be kept") from None
