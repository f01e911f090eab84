"""Seconds from the start of `barograph serve --sample`, on an empty folder, to its first answer by rules.

python -m benchmarks.first_answer
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.speed import ours

STARTS = 3


def first_answer(folder: Path) -> float:
    """Seconds from process start until a regime was answered over HTTP."""
    begun = time.perf_counter()
    with ours(folder) as server:
        reply = httpx.post(f"{server.url}/v1/tools/get_market_regime", json={"symbol": "SIMBTC"}, trust_env=False)
        took = time.perf_counter() - begun
    if reply.json()["source"] != "rules":
        raise SystemExit(f"not answered by rules: {reply.text}")
    return took


def main() -> None:
    """Prints each start; a quiet machine is the caller's to see to."""
    for _ in range(STARTS):
        with tempfile.TemporaryDirectory() as temporary:
            print(f"first answer by rules after {first_answer(Path(temporary) / 'data'):.2f} s", flush=True)


if __name__ == "__main__":
    main()
