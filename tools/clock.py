"""What time it is: for a server, and for a replay."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

log = logging.getLogger("barograph")

#: A wall clock: milliseconds since 1970.
Clock: TypeAlias = Callable[[], int]


class Clocked:
    """A clock that never runs backwards: where the system's does, time stands still until it has caught up."""

    def __init__(self, system: Clock) -> None:
        self._system, self._latest = system, 0

    def __call__(self) -> int:
        now = self._system()
        if now < self._latest - 1_000:
            log.warning(
                "the system clock went back by %d ms; time stands still until it catches up", self._latest - now
            )
        self._latest = max(self._latest, now)
        return self._latest


@dataclass(frozen=True, slots=True)
class Live:
    """Time as it passes: the clock, whatever is asked about."""

    clock: Clock

    def __call__(self, as_of: int | None) -> int:  # noqa: ARG002 - the past does not change what time it is
        return self.clock()


def replayed_time(as_of: int | None) -> int:
    """Time in a replay: it is always as late as the question says."""
    if as_of is None:
        raise ValueError("a replayed question says its as_of")
    return as_of
