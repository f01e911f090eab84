"""A bounded memory of answers already worked out. It may forget; it may never be wrong."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Memo(Generic[V]):
    """Keeps the `capacity` most recently used values. Keys must say all that the value depends on."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[Hashable, V] = OrderedDict()

    def get(self, key: Hashable) -> V | None:
        """The value, or None where it was never put or is forgotten."""
        value = self._kept.get(key)
        if value is not None:
            self._kept.move_to_end(key)
        return value

    def put(self, key: Hashable, value: V) -> None:
        """Keeps the value, and forgets the least recently used one where there is no room."""
        self._kept[key] = value
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
