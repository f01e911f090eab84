"""`make conformance`: software that others wrote judges the MCP door, through the production app.

The conformance suite in two versions, for both protocol revisions; the Inspector, over HTTP and stdio, in both eras;
and the validator of desktop bundles. Ends with 1 at the first thing that is not as it should be.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import sys
import tempfile
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import yaml
from mcp import MCPDeprecationWarning

from bundle.build import manifest
from registry.owner import owner_of
from tests.conformance.node import HERE, Node, NotInstalled, installed
from tests.conformance.serve import serving

ROOT = HERE.parent.parent
CACHE = ROOT / "var" / "conformance"
#: Scenarios that fail for what the SDK lacks, in the newer suite; nothing fails in the older.
EXPECTED = HERE / "expected-failures.yml"
ERAS = ("legacy", "modern")
#: The first proxy starts an owner, on a machine that may have more to do.
PATIENTLY = ("--connect-timeout", "60000", "--format", "json", "-q")
#: The Inspector's exit status when a tool said `isError`.
TOOL_SAID_ERROR = 5
NOT_AS_IT_SHOULD_BE = 1


class Wrong(Exception):  # noqa: N818 - a word of the vocabulary
    """A check failed: which, and what was said."""


async def main() -> int:
    """All checks, with a line for each."""
    logging.getLogger("mcp").setLevel(logging.ERROR)  # what the suite does wrong, it does on purpose
    warnings.simplefilter("ignore", MCPDeprecationWarning)  # and it asks for what the newer revision gave up
    try:
        node = installed(CACHE)
        with tempfile.TemporaryDirectory() as scratch:
            await _suites(node, Path(scratch))
            await _inspector(node, Path(scratch))
            await _bundle(node, Path(scratch))
    except NotInstalled as absent:
        print(absent, file=sys.stderr)
        return NOT_AS_IT_SHOULD_BE
    except Wrong as wrong:
        print("FAILED:", *wrong.args, sep="\n", file=sys.stderr)
        return NOT_AS_IT_SHOULD_BE
    return 0


async def _suites(node: Node, scratch: Path) -> None:
    """Fixtures are there, and the counts are: a scenario without its fixture would pass by not being run."""
    old, new = (node.script(name, "dist/index.js") for name in ("conformance-0.1", "conformance-0.2"))
    expected = set(yaml.safe_load(EXPECTED.read_text("utf-8"))["server"])
    async with serving(scratch / "suites") as url:
        at = ["server", "--url", f"{url}/mcp"]
        for name, words, least in (
            ("conformance 0.1.16, all", [*old, *at, "--suite", "all"], 44),
            ("conformance 0.2.0-alpha.12, 2026-07-28", [*new, *at, "--requirements", "2026-07-28"], 160),
            ("conformance 0.2.0-alpha.12, 2025-11-25", [*new, *at, "--requirements", "2025-11-25"], 80),
        ):
            said = await _run(node, name, words)
            passed, failed = map(int, re.findall(r"Total: (\d+) passed, (\d+) failed", said)[-1])
            if passed < least:
                raise Wrong(name, f"only {passed} checks passed, {least} were there\n{said[-2_000:]}")
            failing = set(re.findall(r"^✗ ([\w-]+):", said, re.MULTILINE))
            surprise = failing ^ (expected if name.endswith("2026-07-28") else set())
            if surprise:
                raise Wrong(name, f"failing and not expected, or expected and passing: {sorted(surprise)}")
            print(f"{name}: {passed} checks passed, {failed} failed in {len(failing)} scenarios, all expected")


async def _inspector(node: Node, scratch: Path) -> None:
    inspector = [*node.script("@modelcontextprotocol/inspector", "clients/launcher/build/index.js"), "--cli"]
    data = scratch / "stdio"
    stdio = [sys.executable, "-m", "barograph", "stdio", "--sample", "--data", str(data)]
    async with serving(scratch / "http", dressed=lambda _: None) as url, _owner_of(data):
        for door, target, symbol in (("http", [f"{url}/mcp"], "AAA"), ("stdio", stdio, "SIMBTC")):
            for era in ERAS:
                asked = [*inspector, *target, "--transport", door, "--protocol-era", era, *PATIENTLY]
                name = f"inspector 2.12.0, {door}, {era}"
                listed = await _run(
                    node, f"{name}: tools/list --strict", [*asked, "--method", "tools/list", "--strict"]
                )
                tools = [one["name"] for one in json.loads(listed)["result"]["tools"]]
                call = [*asked, "--method", "tools/call", "--tool-name", "forecast_volatility", "--tool-arg"]
                said = json.loads(await _run(node, f"{name}: tools/call", [*call, f"symbol={symbol}", "horizon=6h"]))
                if said["result"]["structuredContent"]["symbol"] != symbol:
                    raise Wrong(name, json.dumps(said))
                wrong = f"{name}: tools/call that is refused"
                refused = await _run(node, wrong, [*call, "symbol=NOPE"], status=TOOL_SAID_ERROR)
                if "unknown_symbol" not in refused:
                    raise Wrong(wrong, refused)
                print(f"{name}: {len(tools)} tools listed, strict; called, and refused as it should be")


async def _bundle(node: Node, scratch: Path) -> None:
    path = scratch / "manifest.json"
    path.write_text(json.dumps(manifest()), "utf-8")
    words = [*node.script("@anthropic-ai/mcpb", "dist/cli/cli.js"), "validate", str(path)]
    await _run(node, "mcpb 2.1.2: validate", words)
    print("mcpb 2.1.2: the manifest of the bundle is valid")


async def _run(node: Node, name: str, words: Sequence[str], status: int = 0) -> str:
    """What a command said. Raises Wrong where it ends otherwise than it should."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=node.folder,
        env={**node.environment, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = (part.decode(errors="replace") for part in await process.communicate())
    if process.returncode != status:
        raise Wrong(name, f"it ended with {process.returncode}, not {status}\n{out[-6_000:]}\n{err[-4_000:]}")
    return out if status == 0 else out + err


@asynccontextmanager
async def _owner_of(data: Path) -> AsyncIterator[None]:
    """Ends the owner that the first proxy starts."""
    try:
        yield
    finally:
        owner = owner_of(data)
        if owner is not None and owner.pid:
            os.kill(owner.pid, signal.SIGTERM)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
