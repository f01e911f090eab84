"""The sync client. `from barograph import Client`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import httpx

from barograph.connection import DEFAULT_URL, MOST_BYTES, connection, lost
from barograph.instruments import Instruments
from barograph.replies import REPLIES
from barograph.replies.tools import Face, Faces
from barograph.steps import Arrived, Lost, Patience, Request, Send, Steps, asked, question, said
from barograph.verdict import VETOERS, Verdict, judged, refused

T = TypeVar("T")


class Client(Instruments):
    """Asks a Barograph over HTTP.

    `key` is sent as a bearer token. A call takes `timeout_seconds` at most, with its up to `retries` further attempts:
    after a failure on the way, and after a refusal that says `retryable`, no sooner than the server asked for.
    `transport`, `clock`, `sleep` and `chance` are there for tests. Safe to share between threads.

    Every call raises Refused, Unreachable or Unexpected (see `barograph.errors`) - but `veto`, which never does.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        key: str | None = None,
        timeout_seconds: float = 10.0,
        retries: int = 2,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._http = httpx.Client(transport=transport, **connection(url, key))
        self._patience = Patience(timeout_seconds, retries, clock, chance)
        self._sleep = sleep

    def ask(self, tool: str, **fields: object) -> Any:  # noqa: ANN401 - the named methods have the types
        """Calls a tool by its name. The reply is that of the named method; of a tool that this version of the client
        does not know, something with the same attributes as the JSON."""
        return self._asked(REPLIES.get(tool), tool, fields)

    def say(self, tool: str, **fields: object) -> str:
        """The reply of a tool as text, as a host gets it that shows its model text alone: for string tools of agents.
        The text of a refusal is that of the Refused that is raised."""
        return self._run(said(tool, fields, self._patience))

    def tools(self) -> tuple[Face, ...]:
        """What the server has: names, descriptions, schemas."""
        return self._run(asked(Faces, Request("GET", "v1/tools", None, repeatable=True), self._patience)).tools

    def veto(
        self,
        symbol: str,
        *,
        instruments: Sequence[str] = VETOERS,
        timeframe: str | None = None,
        within_seconds: float | None = None,
    ) -> Verdict:
        """Whether a risk engine must keep out, by all `instruments` (names of tools). Fails closed and never raises:
        any error, delay, abstention or stale data means do not trade. `within_seconds` is for all of them together;
        default: the timeout."""
        try:
            return self._run(judged(symbol, instruments, timeframe, self._patience, within_seconds))
        except Exception as error:  # noqa: BLE001 - whatever it is: do not trade
            return refused(symbol, error)

    def close(self) -> None:
        """Gives the connections back."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _asked(self, kind: type[T] | None, tool: str, fields: Mapping[str, object]) -> T:
        return self._run(asked(kind, question(tool, fields), self._patience))

    def _run(self, steps: Steps[T]) -> T:
        told: Arrived | Lost | None = None
        while True:
            try:
                step = steps.send(told)
            except StopIteration as ended:
                return ended.value  # type: ignore[no-any-return]  # a generator's return value is Any to mypy
            if isinstance(step, Send):
                told = self._sent(step)
            else:
                self._sleep(step.seconds)
                told = None

    def _sent(self, step: Send) -> Arrived | Lost:
        asked = step.request
        try:
            with self._http.stream(
                asked.method,
                asked.path,
                content=asked.body,
                headers={"accept": asked.accept},
                timeout=step.timeout_seconds,
            ) as response:
                body = bytearray()
                for part in response.iter_bytes():
                    body += part
                    if len(body) > MOST_BYTES:
                        return Lost("the reply is too large")
                return Arrived(response.status_code, dict(response.headers), bytes(body))
        except httpx.HTTPError as error:
            return lost(error)
