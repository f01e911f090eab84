"""What both clients tell httpx, and what they make of its errors."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx

from barograph import __version__
from barograph.steps import Lost

DEFAULT_URL = "http://127.0.0.1:8765"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
#: No reply is larger. What is, comes from somebody else.
MOST_BYTES = 16 * 1024 * 1024


def connection(url: str, key: str | None) -> dict[str, Any]:
    """Arguments of httpx.Client. A proxy of the environment must not come between this machine and itself. Redirects
    are not followed: the key is for this address alone."""
    headers = {"content-type": "application/json", "user-agent": f"barograph-client/{__version__}"}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    return {
        "base_url": url,
        "headers": headers,
        "follow_redirects": False,
        "trust_env": urlsplit(url).hostname not in LOOPBACK,
    }


def lost(error: httpx.HTTPError) -> Lost:
    """What a failure on the way means. Never with the text of the error: addresses and keys may be in it."""
    never_sent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
    what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
    return Lost(f"the server {what} ({type(error).__name__})", never_sent)
