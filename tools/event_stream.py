"""`GET /v1/events`: the change feed as server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing

from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from tools.changes import Changes, Page, of_names
from tools.refusal import Code, Refused

log = logging.getLogger(__name__)

#: Says that events are gone that the reader had not read: it was away for too long.
MISSED = "events.missed"
#: A comment that keeps the connection open comes this often.
BREATH_SECONDS = 15
#: A reader that takes nothing for so long is cut off; it may go on where it was.
STALLED_SECONDS = 60
#: When the server stops, a stream has so long to end by itself.
END_SECONDS = 2
#: A client that lost the connection waits so long, ms.
RETRY_MS = 2_000
MOST_NAMES = 32
_NAME = re.compile(r"[a-z_]{1,40}\.[a-z_]{1,40}")


class Stream(EventSourceResponse):
    """Ends with the server, with its reader, and where the reader takes nothing any more."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            log.info("a reader of the events took nothing for %d s and was cut off", STALLED_SECONDS)


async def stream(changes: Changes, after: str | None, names: Collection[str]) -> Stream:
    """The response to a reader that has read up to the event `after`, and wants events of these `names`; empty: all.

    Raises Refused as `Changes.after` does, and for what cannot be a name.
    """
    if len(names) > MOST_NAMES or not all(_NAME.fullmatch(one) for one in names):
        raise Refused(Code.INVALID, "this is not the name of an event", accepted=["bar.closed", "model.promoted"])
    pages = await changes.after(after)
    return Stream(
        _lines(pages, frozenset(names)),
        sep="\n",
        ping=BREATH_SECONDS,
        send_timeout=STALLED_SECONDS,
        shutdown_grace_period=END_SECONDS,
    )


async def _lines(pages: AsyncGenerator[Page, None], names: Collection[str]) -> AsyncIterator[bytes]:
    yield _line(retry=RETRY_MS)
    async with aclosing(pages):  # so that a reader that has gone makes room at once
        async for page in pages:
            yield _told(page, names)


def _told(page: Page, names: Collection[str]) -> bytes:
    """One page. Where its last event was not wanted, the id alone: the reader goes on after it."""
    first, last = page.events[0].id, page.events[-1].id
    lost = json.dumps({"missed": page.missed, "goes_on_at": first})
    told = [_line(id=str(first - 1), event=MISSED, data=lost)] if page.missed else []
    wanted = of_names(page, names)
    told += [_line(id=str(one.id), event=one.name, data=one.payload) for one in wanted]
    if not wanted or wanted[-1].id != last:
        told.append(_line(id=str(last)))
    return b"".join(told)


def _line(
    *, id: str | None = None, event: str | None = None, data: str | None = None, retry: int | None = None
) -> bytes:
    return ServerSentEvent(data, event=event, id=id, retry=retry, sep="\n").encode()
