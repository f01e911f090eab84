"""Fetches a page of somebody's, politely: in bounded time and size, again where that may help."""

from __future__ import annotations

import httpx
import stamina

#: Feeds are a few hundred kilobytes.
LARGEST_BYTES = 5_000_000
ATTEMPTS = 3
GIVE_UP_SECONDS = 30.0


class NotFetched(Exception):  # noqa: N818 - told as it is
    """The page could not be had: no answer, another status than 200, or too large."""


class Web:
    """Pages by their address. One event loop uses it; `close` ends its connections."""

    def __init__(self, *, timeout_seconds: float = 10.0, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._closed = False
        self._client = httpx.AsyncClient(timeout=timeout_seconds, follow_redirects=True, transport=transport)

    async def close(self) -> None:
        """Ends all connections, and with them whatever waits for an answer."""
        self._closed = True
        await self._client.aclose()

    async def page(self, url: str) -> bytes:
        """The bytes at an address. Raises NotFetched."""
        try:
            async for attempt in stamina.retry_context(on=self._may_pass, attempts=ATTEMPTS, timeout=GIVE_UP_SECONDS):
                with attempt:
                    return await self._once(url)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotFetched(f"the feed could not be fetched ({_why(error)})") from error
        raise AssertionError("a try ends in an answer or an error")

    def _may_pass(self, error: Exception) -> bool:
        if isinstance(error, httpx.HTTPStatusError):
            return not self._closed and (error.response.status_code >= 500 or error.response.status_code == 429)
        return not self._closed and isinstance(error, httpx.TransportError)

    async def _once(self, url: str) -> bytes:
        parts: list[bytes] = []
        size = 0
        async with self._client.stream("GET", url) as response:
            response.raise_for_status()
            async for part in response.aiter_bytes():
                size += len(part)
                if size > LARGEST_BYTES:
                    raise NotFetched(f"the feed is larger than {LARGEST_BYTES:,} bytes")
                parts.append(part)
        return b"".join(parts)


def _why(error: Exception) -> str:
    return f"status {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else type(error).__name__
