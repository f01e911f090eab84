"""One line of the ledger: what was asked, on which row, and the complete reply."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, select
from sqlalchemy.dialects.sqlite import insert

from registry.faults import BadEntry
from registry.tables import feature_lists, predictions

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
        row["feature_names"], _ = _listed(self.feature_names)
        return row

    @staticmethod
    def of(row: Row[Any]) -> Entry:
        """Back from a row of `kept`."""
        named = {name: getattr(row, name) for name in _COLUMNS}
        named["feature_names"] = _names(row.names)
        return Entry(**named)


def kept(*more: Any) -> Select[Any]:  # noqa: ANN401 - whatever may be selected
    """What `Entry.of` reads: whole rows of `predictions` with the names of their features, and `more` columns."""
    same = and_(feature_lists.c.tenant == predictions.c.tenant, feature_lists.c.list_id == predictions.c.feature_names)
    return select(predictions, feature_lists.c.names, *more).join_from(predictions, feature_lists, same)


def keep_names(connection: Connection, tenant: str, entries: Iterable[Entry]) -> None:
    """Writes down the lists of names that `Entry.row` refers to: in the transaction of the rows."""
    rows = []
    for names in {one.feature_names for one in entries}:
        key, told = _listed(names)
        rows.append({"tenant": tenant, "list_id": key, "names": told})
    if rows:
        connection.execute(insert(feature_lists).on_conflict_do_nothing(), rows)


_COLUMNS = tuple(field.name for field in fields(Entry))
_WHOLE = ("version", "as_of", "data_through", "asked_at")
_TEXTS = tuple(name for name in _COLUMNS if name not in (*_WHOLE, "feature_names", "features"))


@lru_cache(maxsize=256)
def _listed(names: tuple[str, ...]) -> tuple[str, str]:
    """The key of a list of names, and the list as it is kept."""
    told = json.dumps(names)
    return hashlib.sha256(told.encode()).hexdigest()[:16], told


@lru_cache(maxsize=256)
def _names(told: str) -> tuple[str, ...]:
    return tuple(json.loads(told))


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
