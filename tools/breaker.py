"""Breakers: who has failed several times in a row is left alone for a while, then tried once.

Our own, because the libraries let every caller through at the half-open moment, or make callers wait for each other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Position(StrEnum):
    """Closed: everybody may. Open: nobody may. Half open: one is trying, the others may not."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(slots=True)
class Breaker:
    """Opens after `opens_after` failures in a row; after `cool_off_ms` exactly one caller may try.

    What counts as a failure is the caller's word: a crash, a timeout and a NaN are; an abstention is not. `clock` gives
    milliseconds. A try that is never reported is given to another after `cool_off_ms`. Safe among threads.
    """

    clock: Callable[[], int]
    opens_after: int = 3
    cool_off_ms: int = 60_000
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _failures: int = 0
    _turn: int = 0
    _wait_until: int | None = None
    _trying: bool = False

    def admit(self) -> int | None:
        """A turn to go ahead, to be reported by `succeeded` or `failed`; or None: not now."""
        with self._lock:
            if self._wait_until is not None:
                now = self.clock()
                if now < self._wait_until:
                    return None
                self._turn += 1
                self._trying, self._wait_until = True, now + self.cool_off_ms
            return self._turn

    def succeeded(self, turn: int) -> None:
        """It worked: the breaker is closed and has forgotten what was. Turns that are over are not heard."""
        with self._lock:
            if turn == self._turn:
                self._failures, self._wait_until, self._trying = 0, None, False

    def failed(self, turn: int) -> None:
        """It did not: the last of `opens_after` in a row, or the one try, opens the breaker."""
        with self._lock:
            if turn != self._turn:
                return
            self._failures += 1
            if self._trying or self._failures >= self.opens_after:
                self._turn += 1  # those still under way are not heard any more
                self._wait_until, self._trying = self.clock() + self.cool_off_ms, False

    def position(self) -> Position:
        """For the status page."""
        with self._lock:
            if self._wait_until is None:
                return Position.CLOSED
            return Position.HALF_OPEN if self._trying else Position.OPEN
