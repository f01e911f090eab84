"""A few threads of a model's own: one that hangs holds up itself, never the answers of others, and never the exit."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

#: A thread without work ends after this: versions come and go.
IDLE_SECONDS = 30.0


class AllStuck(Exception):  # noqa: N818 - told as it is
    """Every thread is held by a call that was given up long ago."""


class Crowded(Exception):  # noqa: N818 - told as it is
    """The call waited for a thread until its deadline, and was never begun: no fault of whoever was to be called."""


@dataclass(slots=True, eq=False)
class _Task:
    call: Callable[[], Any]
    future: Future[Any] = field(default_factory=Future)
    given_up: bool = False
    over: bool = False


class Threads:
    """At most `most` daemon threads, started when they are needed. Call `run` from an event loop."""

    def __init__(self, most: int = 2) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._coming: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        self._alive = 0
        self._stuck = 0

    async def run(self, call: Callable[[], T], deadline_seconds: float) -> T:
        """What `call` returns. Raises TimeoutError where it takes longer, AllStuck at once where no thread can come
        free, Crowded where none did, and whatever the call raises."""
        task = self._begun(call)
        try:
            async with asyncio.timeout(deadline_seconds):
                result: T = await asyncio.wrap_future(task.future)
                return result
        except (TimeoutError, asyncio.CancelledError) as ended:
            if task.future.cancelled() and isinstance(ended, TimeoutError):
                raise Crowded("no thread came free within the deadline") from None
            raise
        finally:
            self._give_up(task)

    def _begun(self, call: Callable[[], Any]) -> _Task:
        task = _Task(call)
        with self._lock:
            if self._stuck >= self._most:
                raise AllStuck("all its threads hang")
            self._coming.put(task)
            if self._alive < self._most:
                self._alive += 1
                threading.Thread(target=self._work, name="barograph-model", daemon=True).start()
        return task

    def _give_up(self, task: _Task) -> None:
        with self._lock:
            if task.future.running() and not task.over:
                task.given_up = True
                self._stuck += 1

    def _work(self) -> None:
        while (task := self._next()) is not None:
            if not task.future.set_running_or_notify_cancel():
                continue
            error, result = None, None
            try:
                result = task.call()
            except BaseException as raised:  # noqa: BLE001 - handed on to whoever waits
                error = raised
            with self._lock:
                task.over = True
                self._stuck -= task.given_up
            if error is None:
                task.future.set_result(result)
            else:
                task.future.set_exception(error)

    def _next(self) -> _Task | None:
        """The next task; None, and one thread less, where none came for a while."""
        try:
            return self._coming.get(timeout=IDLE_SECONDS)
        except queue.Empty:
            with self._lock:
                if not self._coming.empty():
                    return self._coming.get_nowait()
                self._alive -= 1
                return None
