"""Follows the events of the owner of a data folder, for a proxy that passes them on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from commands.owner_client import Remote, serving

log = logging.getLogger(__name__)

#: Where the owner is gone, it is looked for again after this: a call may have started another.
AGAIN_SECONDS = 1.0
#: Whoever begins to follow waits at most so long for the owner.
BEGIN_WITHIN_SECONDS = 5.0

#: Is told the name of an event and its JSON.
Tell = Callable[[str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class OwnerEvent:
    """One event of `GET /v1/events`."""

    id: str
    name: str
    payload: str


@dataclass(slots=True, eq=False)
class OwnerEvents:
    """The change feed of the owner behind `remote`, from the first `begin` on, through other owners too: each goes on
    where the one before ended."""

    remote: Remote
    tell: Tell
    _opened: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _last: str | None = None

    async def begin(self) -> None:
        """What happens after this returns is told, unless the owner does not answer: then from when it does."""
        if self._task is None:
            self._task = asyncio.create_task(self._follow())
        with suppress(TimeoutError):
            async with asyncio.timeout(BEGIN_WITHIN_SECONDS):
                await self._opened.wait()

    async def end(self) -> None:
        """Follows no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> None:
        while True:
            try:
                await self._read()
            except httpx.HTTPError as gone:
                log.info("the events of the owner ended (%s)", type(gone).__name__)
            await asyncio.sleep(AGAIN_SECONDS)
            owner = await asyncio.to_thread(serving, self.remote.folder)
            if owner is not None:
                self.remote.url = str(owner.url)

    async def _read(self) -> None:
        headers = self.remote.credential() | ({"Last-Event-ID": self._last} if self._last else {})
        async with self.remote.client.stream("GET", f"{self.remote.url}/v1/events", headers=headers) as response:
            response.raise_for_status()
            self._opened.set()
            async for event in _events(response.aiter_lines()):
                if event.name:
                    await self.tell(event.name, event.payload)
                self._last = event.id


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[OwnerEvent]:
    """As WHATWG HTML, section 9.2.6 says, for what our own server sends."""
    said: dict[str, str] = {}
    async for line in lines:
        if not line:
            if "id" in said:
                yield OwnerEvent(said["id"], said.get("event", ""), said.get("data", "{}"))
            said = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            said[name] = value
