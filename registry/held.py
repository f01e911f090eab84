"""What is on disk, held in memory for the asking."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Held(Generic[T]):
    """The newest that `read` gave. Whoever changes what is on disk calls `renew` when the change is there.

    One reads at a time: else what one has read could be told after what another has read since, and stand.
    """

    def __init__(self, read: Callable[[], T]) -> None:
        self._read, self._reading = read, threading.Lock()
        self.now = read()

    def renew(self) -> None:
        """From here on `now` knows of everything that was on disk when this was called."""
        with self._reading:
            self.now = self._read()
