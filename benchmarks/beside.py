"""What work in the background does to answers: latency of one HTTP answer, asked at a steady pace, while the server
asks its past and prepares a training, beside the same server at rest.

python -m benchmarks.beside [--learn]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx
import numpy as np

PER_SECOND = 100
#: How long the server is watched at rest.
REST_SECONDS = 10.0
#: Nobody waits longer for the background to end.
MOST_SECONDS = 900.0
ASKED = (("get_market_regime", b'{"symbol": "SIMBTC"}'), ("forecast_volatility", b'{"symbol": "SIMETH"}'))


@dataclass(slots=True)
class Heard:
    """When (seconds, by our clock) the server said what, from its log."""

    lines: list[tuple[float, str]] = field(default_factory=list)

    def listen(self, log: IO[str]) -> None:
        for line in log:
            self.lines.append((time.perf_counter(), line.rstrip()))

    def at(self, *words: str) -> float | None:
        """When a line held all these words first."""
        return next((at for at, line in self.lines if all(word in line for word in words)), None)


@contextmanager
def server(folder: Path, *, learn: bool) -> Iterator[tuple[str, Heard]]:
    """A server with the sample market on an empty folder; its address, and what it says."""
    config = folder.parent / "config.yaml"
    config.write_text(f"models: {{train: {str(learn).lower()}}}\n", "utf-8")
    options = ["--sample", "--port", "0", "--json", "--config", str(config), "--data", str(folder)]
    command = [sys.executable, "-m", "barograph", "serve", *options]
    heard = Heard()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        listener = threading.Thread(target=heard.listen, args=(process.stderr,), daemon=True)
        listener.start()
        try:
            yield json.loads(process.stdout.readline())["url"], heard
        finally:
            process.terminate()
            listener.join()


async def watched(url: str, heard: Heard, *, learn: bool) -> list[tuple[float, float]]:
    """(when, seconds it took) of each answer, until the background is done and `REST_SECONDS` have passed."""
    found: list[tuple[float, float]] = []
    begun = time.perf_counter()
    async with httpx.AsyncClient(trust_env=False) as client:
        while (now := time.perf_counter()) - begun < MOST_SECONDS:
            over = _over(heard, learn=learn)
            if over is not None and now - over > REST_SECONDS:
                return found
            tool, body = ASKED[len(found) % len(ASKED)]
            reply = await client.post(f"{url}/v1/tools/{tool}", content=body)
            took = time.perf_counter() - now
            if reply.status_code != httpx.codes.OK:
                raise SystemExit(f"{reply.status_code}: {reply.text}")
            found.append((now, took))
            await asyncio.sleep(max(1 / PER_SECOND - took, 0.0))
    raise SystemExit("the background did not end")


def phases(heard: Heard, *, learn: bool) -> list[tuple[str, float, float]]:
    """What the server was at, from when to when."""
    begun, over = heard.at("asking the past: 0%"), heard.at("asked along the past")
    assert begun is not None
    assert over is not None
    found = [("asking the past", begun, over)]
    marks = [(at, line) for at, line in heard.lines if "learning" in line]
    for (at, line), (until, _) in itertools.pairwise(marks):
        if "100%" not in line:
            found.append((line.split("barograph: ")[-1], at, until))
    ended = _over(heard, learn=learn)
    assert ended is not None
    return [*found, ("at rest", ended + 1.0, float("inf"))]


def _over(heard: Heard, *, learn: bool) -> float | None:
    if not learn:
        return heard.at("asking the past: 100%")
    ends = [at for at, line in heard.lines if "learning" in line and "100%" in line and "over" in line]
    trained = {line.split("learning ")[1].split(":")[0] for _, line in heard.lines if "learning " in line}
    return ends[-1] if ends and len(ends) >= len(trained) and len(trained) >= 2 else None


def main(arguments: list[str]) -> None:
    """Prints a line for each phase."""
    parser = argparse.ArgumentParser(prog="beside")
    parser.add_argument("--learn", action="store_true", help="and train, which takes minutes")
    learn = parser.parse_args(arguments).learn
    with tempfile.TemporaryDirectory() as temporary, server(Path(temporary) / "data", learn=learn) as (url, heard):
        found = np.array(asyncio.run(watched(url, heard, learn=learn)))
        size = (Path(temporary) / "data" / "state.sqlite").stat().st_size
        for what, begun, until in phases(heard, learn=learn):
            took = 1_000 * found[(found[:, 0] >= begun) & (found[:, 0] < until), 1]
            if len(took):
                p50, p99 = np.percentile(took, [50, 99])
                span = f"{min(until, found[-1, 0]) - begun:.1f} s"
                print(f"{what}: {span}, {len(took)} answers, ms p50 {p50:.2f}, p99 {p99:.2f}, most {took.max():.1f}")
        print(f"state.sqlite: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
