"""One exchange, asked politely: by its own rate limit, again where that may help, and never believed unread.

The only place that knows ccxt, whose exchanges are one interface to a hundred REST APIs.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TypeAlias, TypeVar

import numpy as np
import stamina

from ml.bars import Bars, Floats, Instant, Instants, Timeframe
from ml.observed import BOOK_LEVELS, FIELDS, Kind

T = TypeVar("T")
#: What ccxt keeps of addresses: nested by API.
Urls: TypeAlias = "str | dict[str, Urls] | None"

#: Bars asked for at once. An exchange that gives fewer is asked again from where it stopped.
PAGE = 1_000
#: Open interest and funding rates, the same.
POINTS_PAGE = 500
#: A request is tried so often, and given up after so long.
ATTEMPTS = 4
GIVE_UP_SECONDS = 30.0
#: Longer than this nobody waits within a round; the next round asks again.
LONGEST_WAIT_SECONDS = 20.0


class Unreachable(Exception):  # noqa: N818 - told as it is
    """The exchange did not answer, or not with what was asked for. It may next time."""


class NotTraded(Exception):  # noqa: N818 - told as it is
    """The exchange does not have (or no longer has) what was asked for. Asking again soon will not help."""


class NoSuchExchange(ValueError):  # noqa: N818 - told as it is
    """ccxt knows no exchange of this name."""


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Observations of one kind as an exchange gives them, unchecked: `at` (ms, shape (n,); -1 where it told no time),
    and `values` of shape (n, len(FIELDS[kind]))."""

    kind: Kind
    at: Instants
    values: Floats


class Venue:
    """An exchange by its ccxt name (`binanceusdm`, `kraken`, ...).

    `base_url` stands for scheme and host of all its addresses: a gateway, a mirror, or a test. One event loop uses it;
    `close` ends its connections. `timeout_seconds` is for one request.
    """

    def __init__(self, name: str, *, base_url: str | None = None, timeout_seconds: float = 10.0) -> None:
        ccxt = importlib.import_module("ccxt.async_support")
        if name not in ccxt.exchanges:
            raise NoSuchExchange(f"ccxt knows no exchange '{name}'")
        self.name = name
        self._closed = False
        self._faults = _Faults.of(ccxt)
        self._exchange = getattr(ccxt, name)({"enableRateLimit": True, "timeout": int(1_000 * timeout_seconds)})
        self._exchange.parse_json = _whole(self._exchange.parse_json, ccxt.BadResponse)
        if base_url is not None:
            self._exchange.urls["api"] = _moved(self._exchange.urls["api"], base_url.rstrip("/"))

    async def close(self) -> None:
        """Ends all connections, and with them whatever waits for an answer."""
        self._closed = True
        await self._exchange.close()

    def offers(self, kind: Kind) -> bool:
        """Whether the exchange has a history of this kind, or snapshots of its books."""
        asked = {
            Kind.FUNDING: "fetchFundingRateHistory",
            Kind.OPEN_INTEREST: "fetchOpenInterestHistory",
            Kind.BOOK: "fetchOrderBook",
        }
        return self._exchange.has.get(asked[kind]) is True

    async def bars(self, symbol: str, timeframe: Timeframe, since: Instant) -> Bars:
        """One page of bars that opened at `since` (ms) or later, oldest first as a rule, unchecked; the newest may not
        have closed. Empty where there are none.

        Raises Unreachable and NotTraded.
        """
        rows = await self._asked(lambda: self._exchange.fetch_ohlcv(symbol, str(timeframe), since=since, limit=PAGE))
        table = _numbers(rows, 6)
        return Bars(symbol, timeframe, _instants(table[:, 0]), *(np.ascontiguousarray(one) for one in table[:, 1:].T))

    async def points(self, kind: Kind, symbol: str, since: Instant, every: Timeframe = Timeframe.H1) -> Points:
        """One page of funding rates or open interest (one number for each `every`), from `since` (ms) on; for books
        the one that stands now. Raises Unreachable and NotTraded."""
        if kind is Kind.BOOK:
            return await self._book(symbol)
        if kind is Kind.FUNDING:
            said = await self._asked(
                lambda: self._exchange.fetch_funding_rate_history(symbol, since=since, limit=POINTS_PAGE)
            )
            rows = [[one.get("timestamp"), one.get("fundingRate")] for one in said]
        else:
            said = await self._asked(
                lambda: self._exchange.fetch_open_interest_history(symbol, str(every), since=since, limit=POINTS_PAGE)
            )
            rows = [[one.get(key) for key in ("timestamp", "openInterestAmount", "openInterestValue")] for one in said]
        table = _numbers(rows, 1 + len(FIELDS[kind]))
        return Points(kind, _instants(table[:, 0]), table[:, 1:])

    async def _book(self, symbol: str) -> Points:
        said = await self._asked(lambda: self._exchange.fetch_order_book(symbol, limit=2 * BOOK_LEVELS))
        at = said.get("timestamp") or -1
        values = np.full((1, len(FIELDS[Kind.BOOK])), np.nan)
        for side, first in (("bids", 0), ("asks", 2)):
            for level, entry in enumerate(said[side][:BOOK_LEVELS]):
                values[0, 4 * level + first : 4 * level + first + 2] = entry[0], entry[1]
        return Points(Kind.BOOK, np.array([at], dtype=np.int64), values)

    async def _asked(self, request: Callable[[], Awaitable[T]]) -> T:
        """The answer, after some tries where the fault may pass."""
        try:
            async for attempt in stamina.retry_context(
                on=self._another_try, attempts=ATTEMPTS, timeout=GIVE_UP_SECONDS, wait_initial=0.2
            ):
                with attempt:
                    return await request()
        except self._faults.not_traded as error:
            raise NotTraded(f"{self.name} does not have it ({type(error).__name__})") from error
        except self._faults.all as error:
            raise Unreachable(f"{self.name} did not answer as it should ({type(error).__name__})") from error
        raise AssertionError("a try ends in an answer or an error")

    def _another_try(self, error: Exception) -> bool | float:
        """Whether to ask again, or after how many seconds: the exchange's own word where it says slow down."""
        if self._closed:
            return False
        if isinstance(error, self._faults.slow_down):
            return _retry_after_seconds(self._exchange.last_response_headers or {})
        return isinstance(error, self._faults.passing)


#: What reading an answer that is cut off, or of another shape, raises inside ccxt and here.
_MISREAD = (TypeError, ValueError, KeyError, AttributeError, IndexError)


@dataclass(frozen=True, slots=True)
class _Faults:
    """ccxt's errors, by what they mean to us."""

    all: tuple[type[Exception], ...]
    not_traded: tuple[type[Exception], ...]
    passing: tuple[type[Exception], ...]
    slow_down: tuple[type[Exception], ...]

    @staticmethod
    def of(ccxt: ModuleType) -> _Faults:
        return _Faults(
            (ccxt.BaseError, *_MISREAD),
            (ccxt.BadSymbol, ccxt.NotSupported),
            (ccxt.OperationFailed, *_MISREAD),
            (ccxt.DDoSProtection, ccxt.RateLimitExceeded),
        )


def _retry_after_seconds(headers: Mapping[str, str]) -> float:
    said = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return min(float(said), LONGEST_WAIT_SECONDS) if said.isdigit() else 2.0


def _whole(parse: Callable[[str], object], bad: type[Exception]) -> Callable[[str], object]:
    """ccxt's own reading of JSON, but what was cut off is an error: it would hand it on as a text, and read that
    letter by letter as rows without numbers."""

    def parsed(text: str) -> object:
        said = parse(text)
        if said is None and text.lstrip()[:1] in {"[", "{"}:
            raise bad("the JSON is cut off")
        return said

    return parsed


def _moved(urls: Urls, base_url: str) -> Urls:
    """The same addresses at another scheme and host."""
    if isinstance(urls, dict):
        return {name: _moved(one, base_url) for name, one in urls.items()}
    if isinstance(urls, str) and "://" in urls:
        _, _, rest = urls.partition("://")
        _, slash, path = rest.partition("/")
        return base_url + slash + path
    return urls


def _numbers(rows: Sequence[Sequence[object]], width: int) -> Floats:
    """Rows of numbers, shape (n, width); what is missing or no number is NaN. Raises ValueError for other shapes."""
    if not isinstance(rows, list) or any(len(row) < width for row in rows):
        raise ValueError(f"rows of {width} numbers were expected")
    return np.array([[_number(one) for one in row[:width]] for row in rows], dtype=np.float64).reshape(-1, width)


def _number(said: object) -> float:
    return float(said) if isinstance(said, (int, float)) and not isinstance(said, bool) else math.nan


def _instants(column: Floats) -> Instants:
    """Times in ms; what is no time is before all of them, where the checks of bars refuse it."""
    return np.where(np.isfinite(column), column, -1.0).astype(np.int64)
