"""How long a caller waits for each instrument over HTTP: the first call after a start, then questions that nobody has
asked before (other times, so that features are worked out) and such that are asked again.

    python -m benchmarks.latency [--models]

The goals are 200 ms for the first call and 20 ms for the 95th percentile. Wall times are of this machine as busy as it
is: server CPU stands beside them. `--models` teaches models on the sample market and promotes them by hand.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from benchmarks.crowned import crown
from benchmarks.speed import Served, ours
from ml.catalogue import CATALOGUE

SYMBOLS = ("SIMBTC", "SIMETH", "SIMSOL")
TIMES = 300
HOUR = np.timedelta64(1, "h")
#: By nothing else than these is a first call slow; a caller waits on average for less.
FIRST_MS, P95_MS = 200.0, 20.0


@dataclass(frozen=True)
class Waited:
    """One instrument, ms. `fresh` are questions asked for the first time, `again` the same ones asked again."""

    tool: str
    answered_by: str
    first: float
    fresh: np.ndarray[tuple[int], np.dtype[np.float64]]
    again: np.ndarray[tuple[int], np.dtype[np.float64]]
    fresh_cpu: float

    def line(self) -> str:
        """A row of the table."""
        quantiles = [float(np.quantile(of, q)) for of in (self.fresh, self.again) for q in (0.5, 0.95, 0.99)]
        held = "yes" if self.first <= FIRST_MS and quantiles[1] <= P95_MS else "no"
        told = " | ".join(f"{one:.1f}" for one in (self.first, *quantiles, self.fresh_cpu))
        return f"| {self.tool} | {self.answered_by} | {told} | {held} |"


def main() -> None:
    """Prints the table; each instrument is asked on a server of its own, just started."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", action="store_true")
    asked = parser.parse_args()
    print("| tool | answered by | first | new p50 | p95 | p99 | again p50 | p95 | p99 | new, CPU | held |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "data"
        if asked.models:
            crown(folder, tuple(one.name for one in CATALOGUE))
        for capability in CATALOGUE:
            with ours(folder) as server:
                print(waited(server, capability.tool).line(), flush=True)


def waited(server: Served, tool: str) -> Waited:
    """Of one instrument on a server that nobody has asked yet."""
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as http:
        first, said = _asked(http, tool, {"symbol": SYMBOLS[0]})
        newest = np.datetime64(said["data_through"].rstrip("Z"), "ms")
        questions = [
            {"symbol": SYMBOLS[i % len(SYMBOLS)], "as_of": f"{newest - (i // len(SYMBOLS)) * HOUR}Z"}
            for i in range(1, TIMES + 1)
        ]
        for question in questions[:10]:  # the connection and the code have been used
            _asked(http, tool, question)
        cpu = server.cpu_seconds()
        fresh = np.array([_asked(http, tool, one)[0] for one in questions[10:]])
        cpu = 1_000.0 * (server.cpu_seconds() - cpu) / len(fresh)
        again = np.array([_asked(http, tool, one)[0] for one in questions[10:]])
    return Waited(tool, said["answered_by"], first, fresh, again, cpu)


def _asked(http: httpx.Client, tool: str, question: dict[str, str]) -> tuple[float, dict[str, str]]:
    """ms, and the reply."""
    began = time.perf_counter()
    reply = http.post(f"/v1/tools/{tool}", json=question)
    took = 1_000.0 * (time.perf_counter() - began)
    if reply.status_code != httpx.codes.OK:
        raise SystemExit(f"{tool}: {reply.text}")
    told: dict[str, str] = reply.json()
    return took, told


if __name__ == "__main__":
    main()
