"""What was promised is there after `kill -9`: a short run of `benchmarks.kill_nine`, and of its control."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def _kill(*arguments: str) -> tuple[int, dict[str, int]]:
    # A process of its own: it forks, which a test runner with threads should not.
    command = [sys.executable, "-m", "benchmarks.kill_nine", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    said = re.findall(r"(\d+) (kills|entries|swaps|missing)", done.stdout.splitlines()[-1])
    return done.returncode, {word: int(number) for number, word in said}


def test_nothing_that_was_promised_is_missing_after_a_kill() -> None:
    code, found = _kill("--kills", "8", "--seed", "9")
    assert (code, found["kills"], found["missing"]) == (0, 8, 0)
    assert found["entries"] > 0
    assert found["swaps"] > 0


def test_the_kill_test_notices_entries_that_were_promised_too_early() -> None:
    code, found = _kill("--kills", "4", "--seed", "9", "--boast")
    assert code == 1
    assert found["missing"] > 0
