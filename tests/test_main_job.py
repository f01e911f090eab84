"""The main job on real input: real BTC and ETH bars, asked about by MCP clients, over HTTP and in the shell."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import TextContent
from pydantic_core import to_json

from tests.cli import barograph

pytestmark = pytest.mark.anyio

QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("get_market_regime", {"symbol": "BTCUSDT", "as_of": "2024-03-05T19:00:00Z", "use": "veto"}),
    ("forecast_volatility", {"symbol": "ETHUSDT", "horizon": "12h", "as_of": "2024-03-05T19:30:00Z"}),
    ("forecast_volatility", {"symbol": "BTCUSDT", "more_symbols": ["ETHUSDT"], "as_of": "2022-11-09T00:00:00Z"}),
)
#: What the wall clock alone changes.
CLOCKED = ("data_age_seconds", "stale", "summary")


@pytest.fixture
def place(market_data: Path, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A data folder with both histories, imported from files, and the address of its server."""
    bars, folder = tmp_path / "bars", tmp_path / "data"
    bars.mkdir()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        shutil.copy(market_data / "ohlcv" / "crypto" / f"{symbol}_1h.parquet", bars)
    imported = barograph("import", "bars", bars, "--data", folder, "--json")
    assert imported.code == 0
    series = imported.json["series"]
    assert [(one["symbol"], one["refused_rows"]) for one in series] == [("BTCUSDT", {}), ("ETHUSDT", {})]
    assert all(one["new"] > 50_000 for one in series)
    config = tmp_path / "config.yaml"
    config.write_text("models: {train: false, replay_past_days: 0}\nhttp: {port: 0}\n")
    command = [sys.executable, "-m", "barograph", "serve", "--config", str(config), "--data", str(folder), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        yield folder, json.loads(server.stdout.readline())["url"]
        server.terminate()
        assert server.wait(20) == 0


def timeless(body: str) -> Any:
    """A reply without what the clock changes."""
    told = json.loads(body)
    for one in (told, *told.get("more", ())):
        for name in CLOCKED:
            one.pop(name, None)
    return told


async def test_an_mcp_client_an_http_client_and_the_shell_get_the_same_answers(place: tuple[Path, str]) -> None:
    folder, url = place
    parameters = StdioServerParameters(command=sys.executable, args=["-m", "barograph", "stdio", "--data", str(folder)])
    async with (
        httpx.AsyncClient(trust_env=False) as http,
        Client(f"{url}/mcp") as over_http,
        Client(stdio_client(parameters)) as over_stdio,
    ):
        for tool, asked in QUESTIONS:
            posted = await http.post(f"{url}/v1/tools/{tool}", json=asked)
            assert posted.status_code == 200
            told = posted.json()
            assert told["source"] == "rules"
            assert told["data_origin"] == "files"
            assert told["answer"] is not None
            for client in (over_http, over_stdio):
                result = await client.call_tool(tool, asked)
                assert not result.is_error
                assert timeless(to_json(result.structured_content).decode()) == timeless(posted.text)
                assert isinstance(result.content[0], TextContent)
                assert told["answered_by"] in result.content[0].text
            words = [
                word
                for name, value in asked.items()
                for word in (f"--{name.replace('_', '-')}", ",".join(value) if isinstance(value, list) else value)
            ]
            said = await asyncio.to_thread(shell, "call", tool, "--data", str(folder), "--json", *words)
            assert timeless(said) == timeless(posted.text)


def shell(*words: str) -> str:
    """What the command line prints, in a process of its own."""
    command = [sys.executable, "-m", "barograph", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
