"""The gate before both doors: every HTTP request comes through here, MCP too. By what name was this server called, who
is it, and may they go where they want to?"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from registry.audit import AuditFull, AuditNotDurable
from registry.audit_chain import Act
from registry.scope import Scope
from tools.asgi import App, Message, Receive, Scoped, Send
from tools.challenge import WELL_KNOWN, Challenge
from tools.credentials import Credentials, refused
from tools.guard import Log, lacking
from tools.hosts import Hosts, is_loopback
from tools.principal import Principal, speaking
from tools.refusal import HTTP_STATUS, Code, Refused
from tools.step_up import Needed, looked_through

MCP_PATH = "/mcp"
#: Whoever can be reached may know these: whether the server is up, and where to get a token.
OPEN = ("/healthz", WELL_KNOWN)
#: Here every call says for itself what it takes: the guard looks.
GUARDED = ("/v1/tools/", "/v1/operate/", "/v1/market/")
#: What operators do, which takes a credential even where nothing else does.
OPERATE = ("/v1/operate/", "/v1/market/")
_SAFE = ("GET", "HEAD")
#: Paths that are written down as they are; others may hold somebody's words.
_PLAIN = re.compile(r"[a-z0-9_/.-]{1,80}")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the gate goes by. `as_user` binds an MCP session to who opened it; None: there is no MCP."""

    hosts: Hosts
    credentials: Credentials
    challenge: Challenge
    log: Log
    clock: Callable[[], int]
    as_user: Callable[[Principal], Any] | None = None


class Gate:
    """ASGI middleware. Outside of tools and MCP, whose calls say what they take, GET reads and all else operates."""

    def __init__(self, app: App, rules: Rules, needed: Needed) -> None:
        self._app, self._rules, self._needed = app, rules, needed

    async def __call__(self, scope: Scoped, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        host, origin, authorization = _shown(scope)
        path = scope["path"]
        try:
            self._rules.hosts.check(host, origin)
            if path.startswith(OPEN):
                await self._app(scope, receive, send)
                return
            principal = self._rules.credentials.principal(authorization, from_here=_from_here(scope))
            operates = self._admit(scope, path, principal)
            if path == MCP_PATH:
                receive = await looked_through(scope, principal, receive, self._needed)
        except Refused as no:
            await _refuse(scope, no, self._header(no, authorization), send)
            return
        if path == MCP_PATH and self._rules.as_user is not None:
            scope["user"] = self._rules.as_user(principal)
        if operates:
            send = self._logging(scope, principal, send)
        elif authorization is not None and (path == MCP_PATH or scope.get("method") == "GET"):
            send = self._while_good(scope, authorization, send)
        with speaking(principal):
            await self._app(scope, receive, send)

    def _admit(self, scope: Scoped, path: str, principal: Principal) -> bool:
        """Whether the request operates on the server, and so is written down here. Raises Refused."""
        if path.startswith(OPERATE) and not principal.known:
            raise refused("this takes a credential, on this machine too")
        if path.startswith(GUARDED) or path == MCP_PATH:
            return False
        needed = Scope.READ if scope.get("method", "GET") in _SAFE else Scope.OPERATE
        if needed not in principal.scopes:
            raise lacking(needed)
        return needed is Scope.OPERATE

    def _while_good(self, scope: Scoped, authorization: bytes, send: Send) -> Send:
        """Ends a stream when its credential is not good any more: at its next word."""
        ended = False

        async def checked(message: Message) -> None:
            nonlocal ended
            if ended:
                return
            if message.get("more_body"):
                try:
                    self._rules.credentials.principal(authorization, from_here=_from_here(scope))
                except Refused:
                    ended, message = True, {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        return checked

    def _logging(self, scope: Scoped, principal: Principal, send: Send) -> Send:
        """Sends nothing before what was done is written down."""
        path = scope["path"]
        subject = f"{scope.get('method', '')} {path if _PLAIN.fullmatch(path) else 'other'}"

        async def logged(message: Message) -> None:
            if message["type"] == "http.response.start":
                act = Act(self._rules.clock(), principal.id, "request", subject, f'{{"status":{message["status"]}}}')
                try:
                    await asyncio.wrap_future(self._rules.log.record_now(act))
                except (AuditFull, AuditNotDurable):
                    message = {**message, "status": HTTP_STATUS[Code.NOT_DURABLE]}
            await send(message)

        return logged

    def _header(self, no: Refused, authorization: bytes | None) -> str | None:
        if no.code is Code.UNAUTHENTICATED:
            return self._rules.challenge.missing() if authorization is None else self._rules.challenge.invalid()
        return self._rules.challenge.insufficient(no.needs) if no.needs else None


def _shown(scope: Scoped) -> tuple[bytes | None, bytes | None, bytes | None]:
    """The headers Host, Origin and Authorization."""
    host = origin = authorization = None
    for name, value in scope["headers"]:
        if name == b"host":
            host = value
        elif name == b"authorization":
            authorization = value
        elif name == b"origin":
            origin = value
    return host, origin, authorization


def _from_here(scope: Scoped) -> bool:
    """Whether the other end is on this machine: on loopback, or at the address that the server itself has."""
    client, server = scope.get("client"), scope.get("server")
    if not client:
        return False
    return is_loopback(client[0]) or bool(server and client[0] == server[0])


async def _refuse(scope: Scoped, no: Refused, challenge: str | None, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = no.body.model_dump_json(exclude_none=True).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if challenge is not None:
        headers.append((b"www-authenticate", challenge.encode("latin-1")))
    await send({"type": "http.response.start", "status": HTTP_STATUS[no.code], "headers": headers})
    await send({"type": "http.response.body", "body": body})
