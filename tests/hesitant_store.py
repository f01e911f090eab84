"""A store for races: what was read from it is told late, once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from sqlalchemy import Connection

from registry.store import Store


class Hesitant:
    """The same state as `real`; after `overtaken_by(act)` the next read is followed, before its reader goes on, by the
    act of another thread: until that is done, or waits for this one."""

    def __init__(self, real: Store) -> None:
        self._real = real
        self._other: threading.Thread | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    @property
    def store(self) -> Store:
        return cast(Store, self)

    def overtaken_by(self, act: Callable[[], object]) -> threading.Thread:
        self._other = threading.Thread(target=act)
        return self._other

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._real.read() as connection:
            yield connection
        other, self._other = self._other, None
        if other is not None:
            other.start()
            other.join(timeout=0.2)
