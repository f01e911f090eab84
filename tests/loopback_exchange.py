"""An exchange on this machine that speaks Binance's USD-M REST format, plays given bars, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ml.bars import Bars

_MS = {
    "1m": 60_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "4h": 14_400_000,
    "1d": 86_400_000,
}


class Trouble(Enum):
    """What goes wrong with one answer."""

    NONE = auto()
    SLOW_DOWN = auto()
    BROKEN = auto()
    CUT_OFF = auto()
    RESET = auto()
    SILENCE = auto()
    DRIP = auto()
    SHUFFLED = auto()
    DUPLICATED = auto()
    NAN = auto()
    NEGATIVE = auto()
    MISSING = auto()
    AHEAD = auto()


@dataclass
class LoopbackExchange:
    """Bars by symbol id (`BTCUSDT`), as candles in a dict by open; `now` is its clock. Each answer but the listing of
    markets takes the next of `troubles`."""

    now: Callable[[], int]
    candles: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    timeframe: str = "1h"
    delisted: set[str] = field(default_factory=set)
    troubles: deque[Trouble] = field(default_factory=deque)
    rates: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def plays(self, symbol: str, bars: Bars) -> None:
        columns = zip(bars.open_at.tolist(), bars.open, bars.high, bars.low, bars.close, bars.volume, strict=True)
        self.candles[symbol] = {at: [float(one) for one in numbers] for at, *numbers in columns}

    def misbehaves(self, *troubles: Trouble) -> None:
        self.troubles.extend(troubles)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[LoopbackExchange]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = request.split(" ")[1]
            await self._answer(reader, writer, path)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # whoever asked has gone
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
        parts = urlsplit(path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.asked.append(f"{parts.path}?{asked.get('symbol', '')}")
        if parts.path.endswith("/exchangeInfo"):
            await _send(writer, 200, json.dumps(self._listing()))
            return
        trouble = self.troubles.popleft() if self.troubles else Trouble.NONE
        if trouble is Trouble.SILENCE:
            await reader.read()  # until whoever asked gives up
            return
        if trouble is Trouble.RESET:
            writer.transport.abort()
            return
        if trouble is Trouble.SLOW_DOWN:
            await _send(writer, 429, '{"code":-1003,"msg":"Too many requests."}', "Retry-After: 0\r\n")
            return
        if trouble is Trouble.BROKEN:
            await _send(writer, 500, "<html>oops</html>")
            return
        status, rows = self._rows(parts.path, asked, trouble)
        body = json.dumps(rows)
        if trouble is Trouble.CUT_OFF:
            body = body[: len(body) // 2]
        await _send(writer, status, body, drip=trouble is Trouble.DRIP)

    def _rows(self, path: str, asked: dict[str, str], trouble: Trouble) -> tuple[int, Any]:
        symbol = asked.get("symbol", "")
        if symbol in self.delisted or (path.endswith("/klines") and symbol not in self.candles):
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        since, limit = int(asked.get("startTime", 0)), int(asked.get("limit", 500))
        if path.endswith("/klines"):
            return 200, _troubled(self._klines(symbol, since, limit, ahead=trouble is Trouble.AHEAD), trouble)
        if path.endswith("/fundingRate"):
            told = [(at, rate) for at, rate in self.rates.get(symbol, []) if since <= at <= self.now()][:limit]
            return 200, [{"symbol": symbol, "fundingTime": at, "fundingRate": str(rate)} for at, rate in told]
        if path.endswith("/openInterestHist"):
            hours = range(-(-since // 3_600_000) * 3_600_000, self.now() + 1, 3_600_000)
            return 200, [
                {
                    "symbol": symbol,
                    "sumOpenInterest": "75375.6",
                    "sumOpenInterestValue": "3248828883.7",
                    "timestamp": at,
                }
                for at in list(hours)[:limit]
            ]
        if path.endswith("/depth"):
            last = self._klines(symbol, 0, 10**9, ahead=False)[-1]
            price = float(last[4])
            levels = range(1, 21)
            return 200, {
                "lastUpdateId": 1,
                "E": self.now(),
                "T": self.now(),
                "bids": [[f"{price * (1 - 1e-4 * level):.6f}", f"{level}.5"] for level in levels],
                "asks": [[f"{price * (1 + 1e-4 * level):.6f}", f"{level}.25"] for level in levels],
            }
        return 404, {"code": -1, "msg": "nothing here"}

    def _klines(self, symbol: str, since: int, limit: int, *, ahead: bool) -> list[list[Any]]:
        """As the exchange gives them: the newest one has only begun. With a clock ahead there is one more."""
        step = _MS[self.timeframe]
        until = self.now() + (step if ahead else 0)
        opens = sorted(at for at in self.candles[symbol] if since <= at <= until)[:limit]
        return [
            [at, *(f"{one:.12g}" for one in self.candles[symbol][at]), at + step - 1, "0", 1, "0", "0", "0"]
            for at in opens
        ]

    def _listing(self) -> dict[str, Any]:
        return {
            "timezone": "UTC",
            "serverTime": self.now(),
            "symbols": [_market(symbol) for symbol in self.candles if symbol not in self.delisted],
        }


def _troubled(rows: list[list[Any]], trouble: Trouble) -> list[list[Any]]:
    if trouble is Trouble.SHUFFLED:
        return rows[::-1]
    if trouble is Trouble.DUPLICATED:
        return [row for row in rows for _ in range(2)]
    if trouble is Trouble.MISSING and len(rows) > 2:
        return [*rows[:-2], rows[-1]]
    if trouble in {Trouble.NAN, Trouble.NEGATIVE} and len(rows) > 1:
        spoilt = list(rows[-2])
        spoilt[4] = "NaN" if trouble is Trouble.NAN else "-" + spoilt[4]
        return [*rows[:-2], spoilt, rows[-1]]
    return rows


def _market(symbol: str) -> dict[str, Any]:
    base = symbol.removesuffix("USDT")
    return {
        "symbol": symbol,
        "pair": symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "filters": [{"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "9999999", "tickSize": "0.01"}],
        "orderTypes": ["LIMIT"],
        "timeInForce": ["GTC"],
    }


async def _send(writer: asyncio.StreamWriter, status: int, body: str, headers: str = "", *, drip: bool = False) -> None:
    content = body.encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n{headers}"
    writer.write((head + "Connection: close\r\n\r\n").encode())
    for piece in _pieces(content, 997 if drip else len(content) or 1):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)


def _pieces(content: bytes, size: int) -> Iterable[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))
