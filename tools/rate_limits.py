"""How often each caller may use each tool. The only place that knows the library `limits`."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import NoReturn

from limits import RateLimitItem, parse
from limits.storage.base import MovingWindowSupport, Storage
from limits.strategies import MovingWindowRateLimiter

from tools.principal import Principal

#: Above this many (caller, tool) pairs, those that have been quiet are forgotten.
MOST_WINDOWS = 10_000


class RateLimits:
    """Moving windows, in memory. A rate is written as `limits` reads it: `300/second`, `10/minute`.

    `keyed` is the rate of a caller with a credential, `unkeyed` of those on this machine without one, for each tool;
    `tools` has the rate of a tool where it is another. `seconds` is a clock.
    """

    def __init__(self, keyed: str, unkeyed: str, tools: Mapping[str, str], seconds: Callable[[], float]) -> None:
        self._windows = _Windows(seconds)
        self._limiter = MovingWindowRateLimiter(self._windows)
        self._seconds = seconds
        self._found: dict[tuple[str, bool, str], tuple[RateLimitItem, str, int]] = {}
        self._keyed, self._unkeyed = parse(keyed), parse(unkeyed)
        self._tools = {name: parse(rate) for name, rate in tools.items()}

    def take(self, principal: Principal, tool: str) -> int | None:
        """Counts a call. None where it may go on; else in how many whole seconds it would be let in."""
        rate, key, expiry = self._window(principal, tool)
        if self._windows.admits(key, rate.amount, expiry):
            return None  # as MovingWindowRateLimiter.hit has it, but that its key is not put together for every call
        opens_at = self._limiter.get_window_stats(rate, principal.id, tool).reset_time
        return max(1, math.ceil(opens_at - self._seconds()))

    def rate(self, principal: Principal, tool: str) -> str:
        """The rate in words, for whoever has met it."""
        rate = self._rate(principal, tool)
        return f"{rate.amount} calls in {rate.get_expiry()} s"

    def _window(self, principal: Principal, tool: str) -> tuple[RateLimitItem, str, int]:
        who = principal.id, principal.known, tool
        found = self._found.get(who)
        if found is None:
            if len(self._found) >= MOST_WINDOWS:
                self._found.clear()
            rate = self._rate(principal, tool)
            found = self._found[who] = rate, rate.key_for(principal.id, tool), rate.get_expiry()
        return found

    def _rate(self, principal: Principal, tool: str) -> RateLimitItem:
        return self._tools.get(tool) or (self._keyed if principal.known else self._unkeyed)


class _Windows(Storage, MovingWindowSupport):
    """When the calls of each key came. The library's own keeps the wall clock and starts a thread for every burst."""

    STORAGE_SCHEME = None

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__()
        self._seconds = seconds
        self._calls: dict[str, deque[float]] = {}
        self._longest = 1.0

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """As their port has it; they wrap it in a net for the faults of a network."""
        return self.admits(key, limit, expiry, amount)

    def admits(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Whether `amount` more calls fit into the window of `expiry` seconds that ends now; then they are counted."""
        now = self._seconds()
        calls = self._calls.get(key)
        if calls is None:
            calls = self._new(key, now, expiry)
        begins = now - expiry
        while calls and calls[0] <= begins:
            calls.popleft()
        if len(calls) + amount > limit:
            return False
        for _ in range(amount):
            calls.append(now)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002 - their port
        """When the oldest call of the window came, and how many are in it."""
        now = self._seconds()
        inside = [at for at in self._calls.get(key, ()) if at > now - expiry]
        return (inside[0] if inside else now), len(inside)

    def _new(self, key: str, now: float, expiry: int) -> deque[float]:
        self._longest = max(self._longest, expiry)
        if len(self._calls) >= MOST_WINDOWS:
            quiet = now - self._longest
            self._calls = {one: calls for one, calls in self._calls.items() if calls and calls[-1] > quiet}
        calls = self._calls[key] = deque()
        return calls

    def incr(self, key: str, expiry: int, amount: int = 1) -> NoReturn:
        raise NotImplementedError("these are moving windows, not counters")

    def get(self, key: str) -> NoReturn:
        raise NotImplementedError("these are moving windows, not counters")

    def get_expiry(self, key: str) -> NoReturn:
        raise NotImplementedError("these are moving windows, not counters")

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        n = len(self._calls)
        self._calls.clear()
        return n

    def clear(self, key: str) -> None:
        self._calls.pop(key, None)
