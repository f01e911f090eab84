"""`barograph serve` and `barograph stdio` as processes: how they start, how they end, and that nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from registry.ledger import Ledger
from registry.owner import CARD, owner_of
from registry.store import open_store
from tests.cli import barograph

ROOT = Path(__file__).parent.parent
BAROGRAPH = (sys.executable, "-m", "barograph")
#: The checkout is importable, and a proxy of the environment leads nowhere.
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "HTTP_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
}


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    process: subprocess.Popen[str]
    folder: Path
    said: dict[str, Any]

    @property
    def url(self) -> str:
        return str(self.said["url"])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """`serve --sample` on a new folder, asked on a port of its choice."""
    folder = tmp_path / "data"
    words = [*BAROGRAPH, "serve", "--sample", "--data", str(folder), "--port", "0", "--json"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(words, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        yield Server(process, folder, json.loads(process.stdout.readline() or "null"))
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def post(url: str, tool: str, **fields: str) -> Any:
    with httpx.Client(trust_env=False, timeout=30) as client:
        reply = client.post(f"{url}/v1/tools/{tool}", json=fields)
    assert reply.status_code == 200
    return reply.json()


def test_a_server_says_where_it_is_serves_the_command_line_and_ends_with_everything_written(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = server.said["mcpServers"]["barograph"]
    assert server.said["mcp"] == f"{server.url}/mcp"
    assert agent["args"][-4:] == ["stdio", "--data", str(server.folder), "--sample"]
    assert Path(agent["command"]).is_absolute()

    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    data = ("--data", server.folder)
    assert barograph("call", "get_market_regime", "--symbol", "SIMBTC", *data).out.startswith("SIMBTC: ")
    unknown = barograph("call", "forecast_weather", "--symbol", "SIMBTC", *data, "--json")
    assert (unknown.code, unknown.error["code"]) == (1, "unknown_tool")
    assert "series" in barograph("status", *data).out
    assert f"at {server.url}" in barograph("doctor", *data).out
    second = barograph("serve", *data, "--port", "0", "--json")
    assert second.code == 3
    assert f"is owned by process {server.process.pid} at {server.url}; ask that one" in second.error["message"]

    last = post(server.url, "forecast_volatility", symbol="SIMETH", horizon="6h")["prediction_id"]
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert owner_of(server.folder) is None
    left = {path.name for path in server.folder.iterdir()}
    assert not left & {CARD, "state.sqlite-wal"}
    store = open_store(server.folder / "state.sqlite")
    ledger = Ledger(store, "local")
    assert ledger.find(last) is not None, "said a moment before the end, and written down all the same"
    ledger.close()
    store.close()


def test_a_killed_server_leaves_a_folder_that_the_next_one_owns(server: Server) -> None:
    server.process.kill()
    server.process.wait(10)
    assert (server.folder / CARD).exists()
    said = barograph("call", "get_market_regime", "--symbol", "SIMBTC", "--data", server.folder)
    assert (said.code, said.out[:8]) == (0, "SIMBTC: ")
    assert barograph("doctor", "--data", server.folder).code == 0


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose owner, whoever started it, is ended after the test."""
    yield tmp_path / "data"
    owner = owner_of(tmp_path / "data")
    if owner is not None and owner.pid:
        os.kill(owner.pid, signal.SIGKILL)


def stdio(folder: Path) -> StdioServerParameters:
    words = [*BAROGRAPH[1:], "stdio", "--sample", "--data", str(folder)]
    return StdioServerParameters(command=BAROGRAPH[0], args=words, env=ENVIRONMENT, cwd=str(folder.parent))


@pytest.mark.anyio
async def test_two_agents_that_start_at_once_end_on_one_owner_and_outlive_it(folder: Path) -> None:
    async def agent(told: list[str]) -> None:
        async with Client(stdio_client(stdio(folder))) as client:
            told += sorted(tool.name for tool in (await client.list_tools()).tools)
            reply = await client.call_tool("get_market_regime", {"symbol": "SIMBTC"})
            told.append(reply.structured_content["prediction_id"])
            wrong = await client.call_tool("get_market_regime", {"symbol": "NOPE"})
            assert wrong.meta is not None
            told.append(wrong.meta["barograph/error"]["code"])

    one: list[str] = []
    two: list[str] = []
    async with anyio.create_task_group() as both:
        both.start_soon(agent, one)
        both.start_soon(agent, two)
    assert one == two
    assert "get_market_regime" in one
    assert one[-1] == "unknown_symbol"
    first = owner_of(folder)
    assert first is not None, "the owner serves on when its agents have gone"

    async with Client(stdio_client(stdio(folder))) as client:
        os.kill(first.pid, signal.SIGKILL)
        reply = await client.call_tool("get_market_regime", {"symbol": "SIMBTC"})
        assert reply.structured_content["prediction_id"] == one[-2], "another owner, the same answer"
    second = owner_of(folder)
    assert second is not None
    assert second.pid != first.pid
    pure_stdout(folder)


def pure_stdout(folder: Path) -> None:
    """Nothing but JSON-RPC goes to standard output, and the end of input is the end."""
    client = {"name": "test", "version": "1"}
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    sent = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "get_server_status", "arguments": {}}},
    ]
    words = [*BAROGRAPH, "stdio", "--data", str(folder)]
    process = subprocess.Popen(
        words, cwd=folder.parent, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write("".join(f"{json.dumps(one)}\n" for one in sent))
        process.stdin.flush()
        lines = [process.stdout.readline() for _ in range(3)]
        process.stdin.close()
        rest = process.stdout.read()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.stdout.close()
    assert [(json.loads(line)["jsonrpc"], json.loads(line)["id"]) for line in lines] == [("2.0", n) for n in (1, 2, 3)]
    assert rest == ""


def test_an_owner_that_cannot_start_is_told_with_its_last_words(folder: Path) -> None:
    folder.mkdir()
    (folder / "state.sqlite").write_bytes(b"this is no database " * 500)
    words = [*BAROGRAPH, "stdio", "--data", str(folder)]
    done = subprocess.run(
        words, cwd=folder.parent, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "the server did not start: barograph: " in done.stderr
    assert "is not a whole SQLite database" in done.stderr
    assert "Traceback" not in done.stderr
