"""Talks to the owner of a data folder over its HTTP door."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import httpx
from pydantic import ValidationError

from commands.faults import OWNED, Unusable
from registry.owner import Owner, owner_of
from registry.owner_token import token_of
from tools.refusal import ErrorBody
from tools.tool import DOOR_HEADER, WITH_TEXT, Served

if TYPE_CHECKING:
    from tools.offer import Offer

#: How long a started owner may take until it can be asked.
PATIENCE_SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.02
ANSWER_WITHIN_SECONDS = 30.0
#: A killed owner takes a moment to lose its lock and its socket, and looks alive meanwhile: look again after these.
PAUSES_SECONDS = (0.0, 0.05, 0.2, 1.0)
OWNER_LOG = "owner.log"


class NoOwner(Unusable):
    """Nobody serves the data folder, and nobody could be started, or what serves it does not answer."""


def serving(folder: Path) -> Owner | None:
    """The owner of `folder`, if it can be asked."""
    owner = owner_of(folder)
    return owner if owner and owner.url and _reachable(owner.url) else None


def start_owner(folder: Path, arguments: Sequence[str]) -> Owner:
    """The serving owner of `folder`, started where there is none. Whoever else starts one at the same time ends on the
    same: the folder's lock decides. Raises NoOwner."""
    if not folder.is_dir():
        from registry.disk import make_folder  # pulls SQLAlchemy in

        make_folder(folder)
    started: subprocess.Popen[bytes] | None = None
    for _ in range(round(PATIENCE_SECONDS / LOOK_EVERY_SECONDS)):
        owner = serving(folder)
        if owner is not None:
            return owner
        if owner_of(folder) is None:  # nobody holds the folder: ours is not there yet, or has failed
            if started is None:
                started = _started(folder, arguments)
            elif started.poll() == OWNED:  # another came first, and has gone since
                started = None
            elif started.poll() is not None:
                raise NoOwner(f"the server did not start: {_last_words(folder)}")
        time.sleep(LOOK_EVERY_SECONDS)
    holder = owner_of(folder)
    if started is None and holder is not None:
        raise NoOwner(f"{folder} is in use by {holder}, which does not serve it; wait for it, or stop it")
    raise NoOwner(f"the server did not answer within {PATIENCE_SECONDS:.0f} s; {folder / OWNER_LOG} says why")


@dataclass(slots=True)
class Remote:
    """Tools of the owner of a folder. Where that one has gone, the next call finds another, or starts one with
    `arguments`; with None, it says so."""

    client: httpx.AsyncClient
    url: str
    folder: Path
    arguments: Sequence[str] | None

    async def offer(self) -> Offer:
        """What tools, resources and prompts there are. Raises NoOwner."""
        from tools.offer import Offer  # for the proxy alone: a call from the shell does not wait for it

        reply = await self._sent("GET", "/v1/offer", None, {}, PAUSES_SECONDS)
        try:
            return Offer.model_validate_json(reply.content)
        except ValidationError as error:
            raise self._stranger() from error

    async def call(self, name: str, arguments: bytes | str, asked_by: str) -> Served:
        """Calls a tool; every tool may be called twice. Raises NoOwner."""
        headers = {"Accept": WITH_TEXT, DOOR_HEADER: asked_by}
        return await self._served(f"/v1/tools/{quote(name, safe='')}", arguments, headers, PAUSES_SECONDS)

    async def operate(self, name: str, arguments: str) -> Served:
        """Calls one of the operator's tools, once. Raises NoOwner."""
        return await self._served(f"/v1/operate/{quote(name, safe='')}", arguments, {"Accept": WITH_TEXT}, ())

    def credential(self) -> dict[str, str]:
        """The header that says who asks; each time anew: another owner has another token."""
        token = token_of(self.folder)
        return {"Authorization": f"Bearer {token}"} if token else {}

    async def _served(
        self, path: str, arguments: bytes | str, headers: dict[str, str], pauses: Sequence[float]
    ) -> Served:
        reply = await self._sent("POST", path, arguments, headers, pauses)
        try:
            if reply.headers.get("content-type") == WITH_TEXT:
                return Served.model_validate_json(reply.content)
            error = ErrorBody.model_validate_json(reply.content)
        except ValidationError as error_of_body:
            raise self._stranger() from error_of_body
        return Served(body=reply.text, text=error.line(), code=error.error.code)

    async def _sent(
        self, method: str, path: str, content: bytes | str | None, headers: dict[str, str], pauses: Sequence[float]
    ) -> httpx.Response:
        known = headers | self.credential()
        try:
            return await self.client.request(method, self.url + path, content=content, headers=known)
        except httpx.TransportError as error:
            if self.arguments is None or not pauses or isinstance(error, httpx.TimeoutException):
                raise NoOwner(f"the server at {self.url} does not answer ({type(error).__name__})") from error
            restart = self.arguments
        await asyncio.sleep(pauses[0])
        self.url = str((await asyncio.to_thread(start_owner, self.folder, restart)).url)
        return await self._sent(method, path, content, headers, pauses[1:])

    def _stranger(self) -> NoOwner:
        return NoOwner(f"what answers at {self.url} is no Barograph of this version: stop it, and try again")


def to_owner() -> httpx.AsyncClient:
    """A client for servers on this machine: a proxy of the environment must not come between."""
    return httpx.AsyncClient(timeout=ANSWER_WITHIN_SECONDS, trust_env=False)


def _reachable(url: str) -> bool:
    """Whether somebody listens there: in the instant before a new owner says who it is, the card of a killed one may
    still lie about."""
    at = urlsplit(url)
    try:
        socket.create_connection((str(at.hostname), at.port or 80), timeout=1).close()
    except OSError:
        return False
    return True


def _started(folder: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    with (folder / OWNER_LOG).open("ab") as written:
        return subprocess.Popen(  # noqa: S603 - our own command, no shell
            # -P and its own folder: nothing that lies about where the agent works can be taken for one of ours.
            [sys.executable, "-P", "-m", "barograph", "serve", "--data", str(folder), "--port", "0", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            start_new_session=True,  # it serves others when this agent has gone
        )


def _last_words(folder: Path) -> str:
    lines = (folder / OWNER_LOG).read_text("utf-8", "replace").splitlines()
    return f"{lines[-1] if lines else 'it said nothing'} ({folder / OWNER_LOG})"
