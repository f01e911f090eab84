"""The wheel as a user has it: a server and a client from one installed name, over HTTP and stdio; types for mypy."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import Client as McpClient
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client

from registry.owner import owner_of
from tests.test_wheel import hostile, run, site, wheel

__all__ = ["hostile", "site", "wheel"]  # fixtures

ASKS = """
import sys
from barograph import Client, Refused
assert "tools" not in sys.modules, "an application's name came along"
with Client(sys.argv[1]) as client:
    reply = client.regime("SIMBTC")
    verdict = client.veto("NOPE")
    try:
        client.regime("NOPE")
    except Refused as refused:
        print(reply.symbol, reply.source, reply.stale, verdict.do_not_trade, refused.code)
"""
TYPED = """
from barograph import Client
with Client() as client:
    reveal_type(client.regime("SIMBTC").answer)
    reveal_type(client.veto("SIMBTC").may_trade)
    client.volatility("SIMBTC", horizon="7h")
"""


@pytest.fixture
def folder(hostile: Path) -> Iterator[Path]:
    """A data folder; whoever serves it is stopped in the end."""
    place = hostile / "data"
    yield place
    owner = owner_of(place)
    if owner is not None and owner.pid:
        os.kill(owner.pid, signal.SIGKILL)


@pytest.mark.anyio
async def test_the_installed_server_answers_over_stdio_and_the_installed_client_over_http(
    site: Path, hostile: Path, folder: Path
) -> None:
    words = ["-P", "-m", "barograph", "stdio", "--sample", "--data", str(folder)]
    environment = {"PYTHONPATH": str(site), "PATH": os.environ["PATH"], "HOME": str(hostile)}
    agent = StdioServerParameters(command=sys.executable, args=words, cwd=str(hostile), env=environment)
    async with McpClient(stdio_client(agent)) as client:
        told = (await client.call_tool("get_market_regime", {"symbol": "SIMBTC"})).structured_content
        assert told is not None
        assert told["source"] == "rules"
    owner = owner_of(folder)
    assert owner is not None
    done = run(site, hostile, "-P", "-c", ASKS, str(owner.url))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["SIMBTC", "rules", "False", "True", "unknown_symbol"]


def test_a_user_of_mypy_sees_the_types_of_the_installed_client(site: Path, tmp_path: Path) -> None:
    program = tmp_path / "agent.py"
    program.write_text(TYPED)
    # As in somebody's project: the wheel on the path of modules, none of our settings.
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", program.name]
    environment = {**os.environ, "MYPYPATH": str(site)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert 'Revealed type is "barograph.replies.regime.RegimeAnswer | None"' in done.stdout, done.stdout
    assert 'Revealed type is "bool"' in done.stdout
    assert 'Argument "horizon" to "volatility"' in done.stdout
    assert "Found 1 error" in done.stdout


def test_the_client_needs_nothing_of_the_wheel_but_its_own_package(site: Path, hostile: Path) -> None:
    program = "import json, sys; from barograph import AsyncClient, Client; print(json.dumps(sorted(sys.modules)))"
    done = run(site, hostile, "-P", "-c", program)
    modules = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert {"barograph", "httpx"} <= modules
    assert modules.isdisjoint({"pydantic", "mcp", "numpy", "fastapi", "commands", "server", "tools"})
