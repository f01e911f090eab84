"""Keys from the command line: beside a running owner that asks for keys, and without one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from registry.owner import owner_of
from registry.owner_token import FILE
from tests.cli import barograph
from tests.test_cli_processes import BAROGRAPH, ENVIRONMENT


def test_keys_are_made_listed_and_ended_where_no_server_runs(tmp_path: Path) -> None:
    data = ("--data", tmp_path / "data")
    assert barograph("keys", "list", *data, "--json").json == {"keys": []}
    made = barograph("keys", "add", "desk bot", "--scope", "read", "--scope", "trade", "--expires-in-days", 90, *data)
    assert made.code == 0
    token = made.out.strip()
    assert token.startswith("barograph_")
    assert "may read, trade. Its token is not shown again" in made.err
    listed = barograph("keys", "list", *data)
    assert "desk bot" in listed.out
    assert token.rpartition("_")[2] not in listed.out
    (card,) = barograph("keys", "list", *data, "--json").json["keys"]
    assert (card["scopes"], card["state"], card["created_by"]) == (["read", "trade"], "live", "local")
    assert barograph("keys", "revoke", card["key_id"], *data).out == f"revoked {card['key_id']} (desk bot)\n"
    assert barograph("keys", "revoke", card["key_id"], *data).code == 2
    assert barograph("keys", "revoke", "--all", *data).out == "there was none\n"
    assert "3 rows" not in barograph("audit", "verify", *data).out
    assert owner_of(tmp_path / "data") is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add", "<name>"), "name: String should match pattern"),
        (("add", "bot", "--scope", "everything"), "scopes: Input should be 'read', 'trade' or 'operate'"),
        (("add", "bot", "--expires-in-days", "0"), "expires_in_days: Input should be greater than or equal to 1"),
        (("revoke",), "either one key is named, or every"),
        (("revoke", "nothing"), "key_id: String should match pattern"),
        (("revoke", "00000000"), "unknown_key: there is no key of this id"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    said = barograph("keys", *words, "--data", tmp_path / "data", "--json")
    assert (said.code, said.out) == (2, "")
    assert says in said.error["message"]


def test_a_server_that_others_could_reach_does_not_start_without_a_key(tmp_path: Path) -> None:
    said = barograph("serve", "--host", "0.0.0.0", "--port", 0, "--data", tmp_path / "data", "--json")
    assert said.code == 2
    assert (
        "other machines can reach 0.0.0.0, and there is no key yet: make one first (barograph keys add"
        in said.error["message"]
    )
    assert owner_of(tmp_path / "data") is None
    assert not (tmp_path / "data" / FILE).exists()


def test_the_log_is_verified_and_what_was_done_to_it_is_told(tmp_path: Path) -> None:
    import sqlite3

    data = ("--data", tmp_path / "data")
    assert barograph("audit", "verify", *data).code == 2, "there is nothing yet"
    for name in ("one", "two", "three"):
        barograph("keys", "add", name, *data)
    whole = barograph("audit", "verify", *data, "--json").json
    assert (whole["well"], whole["rows"]) == (True, 3)
    assert barograph("audit", "verify", "--head", whole["head"], *data).code == 0
    assert barograph("audit", "verify", "--head", "3:abc", *data).code == 2
    other = barograph("audit", "verify", "--head", f"3:{'0' * 64}", *data)
    assert (other.code, "the log was written anew" in other.err) == (1, True)
    with sqlite3.connect(tmp_path / "data" / "state.sqlite") as state:
        state.execute("UPDATE audit SET subject = 'key:00000000' WHERE id = 2")
    state.close()
    broken = barograph("audit", "verify", *data, "--json")
    assert (broken.code, broken.error["message"]) == (1, "row 2 was changed")


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[tuple[str, Path, subprocess.Popen[str]]]:
    """A server that asks everybody for a key: its address, its folder, its process."""
    config, folder = tmp_path / "config.yaml", tmp_path / "data"
    config.write_text("access: {keys_on_loopback: true}\nmodels: {train: false}\n")
    words = [*BAROGRAPH, "serve", "--sample", "--config", str(config), "--data", str(folder), "--port", "0", "--json"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(words, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        said = json.loads(process.stdout.readline())
        assert said["access"] == "locked: keys (barograph keys add NAME --scope read)"
        yield said["url"], folder, process
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def post(url: str, token: str | None, **fields: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(trust_env=False, timeout=30) as client:
        return client.post(f"{url}/v1/tools/get_market_regime", json=fields, headers=headers)


async def as_desktop_agent(folder: Path) -> None:
    words = [*BAROGRAPH[1:], "stdio", "--data", str(folder)]
    agent = StdioServerParameters(command=BAROGRAPH[0], args=words, env=ENVIRONMENT, cwd=str(folder.parent))
    async with Client(stdio_client(agent)) as client:
        assert not (await client.call_tool("get_market_regime", {"symbol": "SIMBTC", "use": "veto"})).is_error


def test_the_user_of_a_locked_server_needs_no_key_at_its_command_line(
    locked: tuple[str, Path, subprocess.Popen[str]],
) -> None:
    url, folder, process = locked
    assert post(url, None, symbol="SIMBTC").status_code == 401
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600

    data = ("--data", folder)
    assert barograph("call", "get_market_regime", "--symbol", "SIMBTC", *data).out.startswith("SIMBTC: ")
    anyio.run(as_desktop_agent, folder)

    token = barograph("keys", "add", "bot", *data).out.strip()
    assert post(url, token, symbol="SIMBTC").status_code == 200
    assert post(url, token, symbol="SIMBTC", use="veto").status_code == 403
    (card,) = barograph("keys", "list", *data, "--json").json["keys"]
    assert barograph("keys", "revoke", card["key_id"], *data).code == 0
    assert post(url, token, symbol="SIMBTC").json()["error"]["message"] == "this key was revoked"

    head = barograph("audit", "verify", *data, "--json").json["head"]
    process.terminate()
    assert process.wait(20) == 0
    assert not (folder / FILE).exists(), "the token is worth nothing any more"
    assert barograph("audit", "verify", "--head", head, *data).code == 0
