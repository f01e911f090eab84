"""May a risk engine trade? Fails closed: whatever is unknown, late, stale or wrong means no, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from barograph.errors import BarographError
from barograph.replies import REPLIES
from barograph.steps import Patience, Steps, asked, question

#: Who is asked where nobody is named.
VETOERS = ("get_market_regime", "forecast_volatility")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`because` says why not, one sentence for each objection. `replies` are those that came, by tool."""

    symbol: str
    do_not_trade: bool
    because: tuple[str, ...]
    replies: Mapping[str, Any]

    @property
    def may_trade(self) -> bool:
        """True only where everybody was asked, answered in time on fresh data, and objected to nothing."""
        return self.do_not_trade is False

    @property
    def expires_at(self) -> datetime | None:
        """When the first of the replies expires; None where one does not say."""
        ends = [reply.expires_at for reply in self.replies.values()]
        return min(ends) if ends and None not in ends else None

    def __bool__(self) -> NoReturn:
        raise TypeError("a verdict is not a truth value: ask for .may_trade or .do_not_trade")


def judged(
    symbol: str, tools: Sequence[str], timeframe: str | None, patience: Patience, within_seconds: float | None
) -> Steps[Verdict]:
    """Asks one after the other, `within_seconds` for all of them. Stops for nothing."""
    until = patience.clock() + (patience.timeout_seconds if within_seconds is None else within_seconds)
    fields = {"symbol": symbol, "timeframe": timeframe, "use": "veto"}
    because = [] if tools else ["nobody was asked"]
    replies: dict[str, Any] = {}
    for tool in tools:
        left = patience.within(until - patience.clock())
        if left.timeout_seconds <= 0:
            because.append(f"{tool}: no time was left")
            continue
        try:
            reply: Any = yield from asked(REPLIES.get(tool), question(tool, fields), left)
            because += [f"{tool}: {objection}" for objection in objections(symbol, reply)]
            replies[tool] = reply
        except BarographError as error:
            because.append(f"{tool}: {error}")
    return Verdict(symbol, bool(because), tuple(because), replies)


def refused(symbol: str, error: Exception) -> Verdict:
    """The verdict where asking itself failed."""
    return Verdict(symbol, True, (f"it could not be asked: {type(error).__name__}",), {})


def objections(symbol: str, reply: Any) -> list[str]:  # noqa: ANN401 - the reply of any instrument
    """Why one must not trade on a reply to `use: veto`."""
    found = []
    if getattr(reply, "do_not_trade", None) is not False:
        found.append(getattr(reply, "do_not_trade_because", None) or "it did not say that one may trade")
    if getattr(reply, "symbol", None) != symbol:
        found.append("it answered for another symbol")
    if getattr(reply, "stale", None) is not False:
        found.append("the data are stale")
    if getattr(reply, "answer", None) is None:
        found.append("there is no answer")
    return found
