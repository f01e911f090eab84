"""The async client, for asyncio and trio. `from barograph import AsyncClient`."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import anyio
import httpx

from barograph.async_instruments import AsyncInstruments
from barograph.connection import DEFAULT_URL, MOST_BYTES, connection, lost
from barograph.replies import REPLIES
from barograph.replies.tools import Face, Faces
from barograph.steps import Arrived, Lost, Patience, Request, Send, Steps, asked, question, said
from barograph.verdict import VETOERS, Verdict, judged, refused

T = TypeVar("T")


class AsyncClient(AsyncInstruments):
    """As `Client`, with `await`. The limit of a call holds to the moment, whatever the server does."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        key: str | None = None,
        timeout_seconds: float = 10.0,
        retries: int = 2,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._http = httpx.AsyncClient(transport=transport, **connection(url, key))
        self._patience = Patience(timeout_seconds, retries, clock, chance)
        self._sleep = sleep

    async def ask(self, tool: str, **fields: object) -> Any:  # noqa: ANN401 - the named methods have the types
        """See Client.ask."""
        return await self._asked(REPLIES.get(tool), tool, fields)

    async def say(self, tool: str, **fields: object) -> str:
        """See Client.say."""
        return await self._run(said(tool, fields, self._patience))

    async def tools(self) -> tuple[Face, ...]:
        """What the server has: names, descriptions, schemas."""
        request = Request("GET", "v1/tools", None, repeatable=True)
        return (await self._run(asked(Faces, request, self._patience))).tools

    async def veto(
        self,
        symbol: str,
        *,
        instruments: Sequence[str] = VETOERS,
        timeframe: str | None = None,
        within_seconds: float | None = None,
    ) -> Verdict:
        """See Client.veto. A cancelled task is cancelled; anything else means do not trade."""
        try:
            return await self._run(judged(symbol, instruments, timeframe, self._patience, within_seconds))
        except Exception as error:  # noqa: BLE001 - whatever it is: do not trade
            return refused(symbol, error)

    async def close(self) -> None:
        """Gives the connections back."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _asked(self, kind: type[T] | None, tool: str, fields: Mapping[str, object]) -> T:
        return await self._run(asked(kind, question(tool, fields), self._patience))

    async def _run(self, steps: Steps[T]) -> T:
        told: Arrived | Lost | None = None
        while True:
            try:
                step = steps.send(told)
            except StopIteration as ended:
                return ended.value  # type: ignore[no-any-return]  # a generator's return value is Any to mypy
            if isinstance(step, Send):
                told = await self._sent(step)
            else:
                await self._sleep(step.seconds)
                told = None

    async def _sent(self, step: Send) -> Arrived | Lost:
        try:
            with anyio.fail_after(step.timeout_seconds):
                return await self._received(step)
        except httpx.HTTPError as error:
            return lost(error)
        except TimeoutError:
            return Lost("the server did not answer in time")

    async def _received(self, step: Send) -> Arrived | Lost:
        asked = step.request
        async with self._http.stream(
            asked.method, asked.path, content=asked.body, headers={"accept": asked.accept}, timeout=step.timeout_seconds
        ) as response:
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    return Lost("the reply is too large")
            return Arrived(response.status_code, dict(response.headers), bytes(body))
