"""A server of our own, as a process, for proofs that ask it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Server:
    """Where it can be asked, and its process."""

    url: str
    pid: int

    def resident_bytes(self) -> int:
        """What it holds in memory now (Linux)."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server with the sample market, answered by the rules, until the block ends."""
    config = folder / "config.yaml"
    config.write_text("models:\n  train: false\n  replay_past_days: 0\nlog_level: error\n")
    words = ["serve", "--sample", "--config", str(config), "--data", str(folder / "data"), "--port", "0", "--json"]
    command = [sys.executable, "-m", "barograph", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            if not said:
                raise SystemExit("the server did not start")
            yield Server(json.loads(said)["url"], process.pid)
        finally:
            process.terminate()
            process.wait(30)
