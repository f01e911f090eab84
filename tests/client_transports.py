"""Ways for a client to reach a house, or something worse, without a network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx

from server import House, app


class InMemory(httpx.BaseTransport):
    """The HTTP door of a house, for a sync client."""

    def __init__(self, house: House) -> None:
        self._door = httpx.ASGITransport(app=app(house))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run(self._answered(request))

    async def _answered(self, request: httpx.Request) -> httpx.Response:
        response = await self._door.handle_async_request(request)
        body = await response.aread()
        return httpx.Response(response.status_code, headers=response.headers, content=body)


@dataclass
class Hand:
    """Time that passes by hand: what a client slept, and what its clock shows."""

    at: float = 0.0
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


@dataclass
class Script:
    """Answers one after the other; the last one for ever. A number stands for an answer that comes after so many
    seconds, and then breaks off."""

    acts: list[httpx.Response | Exception | float]
    hand: Hand = field(default_factory=Hand)
    seen: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        act = self.acts[min(len(self.seen), len(self.acts) - 1)]
        self.seen.append(request)
        if isinstance(act, Exception):
            raise act
        if isinstance(act, httpx.Response):
            return httpx.Response(act.status_code, headers=act.headers, content=act.content)
        self.hand.at += min(act, request.extensions["timeout"]["read"])
        raise httpx.ReadTimeout("", request=request)


def scripted(*acts: httpx.Response | Exception | float) -> Script:
    return Script(list(acts))


def refusal(status: int, code: str, *, retryable: bool, **headers: str) -> httpx.Response:
    error = {"code": code, "message": "no", "accepted": ["this"], "retryable": retryable}
    return httpx.Response(status, json={"error": error}, headers={k.replace("_", "-"): v for k, v in headers.items()})


def reply(**changed: Any) -> dict[str, Any]:
    """A reply of get_market_regime that says one may trade, as JSON, with fields `changed` or, if `...`, left out."""
    answer = {
        "label": "range_bound", "p_trend_up": 0.1, "p_trend_down": 0.1, "p_range_bound": 0.6, "p_high_volatility": 0.1,
        "p_consolidation": 0.1, "confidence": 0.6, "bars_in_label": 3, "volatility_ratio": 1,
    }  # fmt: skip
    said = {
        "symbol": "AAA", "summary": "AAA: range_bound 60%", "answer": answer, "answered_by": "regime@0",
        "source": "rules", "reasons": ["it is so"], "do_not_trade": False, "data_origin": "files",
        "as_of": "2024-01-01T00:00:00Z", "stale": False, "prediction_id": "0" * 32,
        "expires_at": "2024-01-01T01:00:00Z",
    } | changed  # fmt: skip
    return {name: value for name, value in said.items() if value is not ...}


def told(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=body if isinstance(body, bytes) else json.dumps(body).encode())


def each(bodies: Iterable[Any], make: Callable[[Any], httpx.Response] = told) -> list[httpx.Response]:
    return [make(one) for one in bodies]
