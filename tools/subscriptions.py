"""Who wants to hear that a resource has changed, in both protocol eras: `resources/subscribe` with its sessions, and
the streams of `subscriptions/listen`. What is pushed says that it has changed, never what it is now."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from mcp.types import (
    INVALID_PARAMS,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from registry.scope import Scope
from tools.principal import speaker
from tools.resources import SYMBOL, Resource, found

if TYPE_CHECKING:
    from registry.events import Event  # pulls SQLAlchemy in, which a proxy has no use for

log = logging.getLogger(__name__)

#: Resources that one session or stream may follow.
MOST_RESOURCES = 2_000
#: Sessions that follow anything; as many as a server keeps open (`tools.sessions`).
MOST_SESSIONS = 256
#: Streams of the stateless era that are open at once.
MOST_STREAMS = 256
#: A session that takes nothing for so long follows nothing any more.
STALLED_SECONDS = 60.0
_SESSION = "mcp-session-id"

Context: TypeAlias = ServerRequestContext[Any]
#: A resource by its address, and the symbol in it.
About: TypeAlias = tuple[str, str]


@dataclass(slots=True, eq=False)
class _Session:
    """One session of the era with handshakes: the resources that it follows, by what they are about, each under the
    address that it gave; those of them that have changed and are not told yet; and who tells it."""

    session: ServerSession
    follows: dict[About, str] = field(default_factory=dict)
    changed: dict[str, None] = field(default_factory=dict)
    telling: asyncio.Task[None] | None = None


class Subscriptions:
    """One for each MCP server object; belongs to one event loop. `first` is awaited before anybody follows anything: a
    proxy begins to follow the owner then."""

    def __init__(self, resources: Sequence[Resource], first: Callable[[], Awaitable[None]] | None = None) -> None:
        self._resources, self._first = resources, first
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._bus = InMemorySubscriptionBus()
        self._streams = ListenHandler(self._bus, max_subscriptions=MOST_STREAMS, max_buffered_events=MOST_RESOURCES)

    async def subscribe(self, ctx: Context, params: SubscribeRequestParams) -> EmptyResult:
        """`resources/subscribe`. Raises MCPError for an address where nothing is, and for too many."""
        _must_read()
        about = self._about(str(params.uri))
        one = self._session(ctx)
        if about not in one.follows and len(one.follows) >= MOST_RESOURCES:
            raise MCPError(INVALID_PARAMS, f"a session may follow {MOST_RESOURCES} resources")
        await self._begin()
        one.follows[about] = str(params.uri)
        return EmptyResult()

    async def unsubscribe(self, ctx: Context, params: UnsubscribeRequestParams) -> EmptyResult:
        """`resources/unsubscribe`; what was not followed is not missed."""
        one = self._sessions.get(_name(ctx))
        if one is not None:
            one.follows.pop(self._about(str(params.uri)), None)
        return EmptyResult()

    async def listen(self, ctx: Context, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        """`subscriptions/listen`: one call is one stream, until its client or the server goes."""
        _must_read()
        named = params.notifications.resource_subscriptions or ()
        if len(named) > MOST_RESOURCES:
            raise MCPError(INVALID_PARAMS, f"a stream may follow {MOST_RESOURCES} resources")
        for uri in named:
            self._about(str(uri))
        await self._begin()
        return await self._streams(ctx, params)

    async def heard(self, event: Event) -> None:
        """Something has happened: an ear for the change feed."""
        await self.tell(event.name, event.payload)

    async def tell(self, event: str, payload: str) -> None:
        """The same, where an event is known by its name and its JSON alone."""
        for resource, symbol in touched(self._resources, event, payload):
            for one in list(self._sessions.values()):
                if uri := one.follows.get((resource.uri, symbol)):
                    self._tell(one, uri)
            for uri in _addresses(resource, symbol):
                await self._bus.publish(ResourceUpdated(uri))

    def end(self) -> None:
        """Ends all streams in order: the server is about to stop."""
        self._streams.close()

    def _tell(self, one: _Session, uri: str) -> None:
        """A session that is slow to take its news holds nobody up, and hears of each resource once."""
        one.changed[uri] = None
        if one.telling is None or one.telling.done():
            one.telling = asyncio.create_task(self._telling(one))

    async def _telling(self, one: _Session) -> None:
        try:
            while one.changed:
                uri = next(iter(one.changed))
                del one.changed[uri]
                async with asyncio.timeout(STALLED_SECONDS):
                    await one.session.send_resource_updated(uri)
        except TimeoutError:
            log.info("a session took no news for %.0f s and follows nothing any more", STALLED_SECONDS)
            one.follows.clear()
            one.changed.clear()

    async def _begin(self) -> None:
        if self._first is not None:
            await self._first()

    def _session(self, ctx: Context) -> _Session:
        """The session of a request. Of more than a server keeps open, the oldest have gone."""
        name = _name(ctx)
        one = self._sessions.setdefault(name, _Session(ctx.session))
        self._sessions.move_to_end(name)
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return one

    def _about(self, uri: str) -> About:
        at = found(self._resources, uri)
        if at is None:
            raise MCPError(INVALID_PARAMS, "there is no such resource")
        return at[0].uri, at[1]


def touched(resources: Sequence[Resource], event: str, payload: str) -> Iterator[tuple[Resource, str]]:
    """The resources that say something else after this event, each with its symbol, if it is of one."""
    told = json.loads(payload)
    for one in resources:
        if event in one.changed_by and one.timeframe in (None, told.get("timeframe")):
            yield one, str(told.get("symbol", "")) if one.template else ""


def _addresses(resource: Resource, symbol: str) -> set[str]:
    """Under these a client may know it: a symbol with `/` in it may be in per cent or not."""
    if not resource.template:
        return {resource.uri}
    return {resource.uri.replace(SYMBOL, one) for one in (symbol, quote(symbol, safe=""))}


def _name(ctx: Context) -> str:
    """The session's id; over stdio there is one session."""
    headers = getattr(ctx.request, "headers", None)
    return headers.get(_SESSION, "") if headers is not None else ""


def _must_read() -> None:
    """Who may not read may not follow either. In a proxy nobody speaks: the owner looks."""
    principal = speaker()
    if principal is not None and Scope.READ not in principal.scopes:
        raise MCPError(INVALID_PARAMS, f"this needs the scope {Scope.READ}")
