"""String tools, as TradingAgents and many home-made agents have them: annotated functions that return a string.

How to run, with a server that is up (`barograph serve --sample --data my-data`):

    python -m venv venv && venv/bin/pip install -r requirements.txt && venv/bin/pip install --no-deps barograph
    venv/bin/python tools.py http://127.0.0.1:8765

The client needs httpx and nothing else, so it fits into the environment of any agent. What is printed is what the model
of an analyst would see; register the tools with its ToolNode. The last line is what a risk manager asks in code, and no
model sees.
"""

import sys
from typing import Annotated

from langchain_core.tools import BaseTool, tool

from barograph import BarographError, Client


def string_tools(client: Client) -> list[BaseTool]:
    """Tools that never raise: what was wrong, and what would be accepted, is for the model to read."""

    def said(name: str, **fields: object) -> str:
        try:
            return client.say(name, **fields)
        except BarographError as error:
            return f"No answer: {error}"

    @tool
    def get_market_regime(
        symbol: Annotated[str, "symbol as it is fed, e.g. BTCUSDT"],
        curr_date: Annotated[str | None, "ISO time with zone: answer with what was known then; None: now"] = None,
    ) -> str:
        """Which regime the market is in, with probabilities. It describes; it does not predict direction."""
        return said("get_market_regime", symbol=symbol, as_of=curr_date)

    @tool
    def forecast_volatility(
        symbol: Annotated[str, "symbol as it is fed, e.g. BTCUSDT"],
        horizon: Annotated[str, "6h, 12h, 24h, 48h, 1d or 5d"] = "24h",
        curr_date: Annotated[str | None, "ISO time with zone: answer with what was known then; None: now"] = None,
    ) -> str:
        """How far the price is likely to move over the horizon, with a band. It never says which way."""
        return said("forecast_volatility", symbol=symbol, horizon=horizon, as_of=curr_date)

    return [get_market_regime, forecast_volatility]


def main(url: str) -> None:
    with Client(url) as client:
        tools = {one.name: one for one in string_tools(client)}
        print(tools["get_market_regime"].invoke({"symbol": "SIMETH"}))
        print(tools["forecast_volatility"].invoke({"symbol": "SIMETH", "horizon": "6h"}))
        print(tools["get_market_regime"].invoke({"symbol": "NOPE"}))
        verdict = client.veto("SIMETH", within_seconds=2)
        print("may trade" if verdict.may_trade else f"do not trade: {'; '.join(verdict.because)}")


if __name__ == "__main__":
    main(sys.argv[1])
