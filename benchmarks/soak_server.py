"""The server of the soak: `barograph serve` with the sample market, and a training and a promotion on the way.

    python -m benchmarks.soak_server FOLDER CONFIG PORT TRAIN_AFTER PROMOTE_AFTER ROLL_BACK_AFTER

Seconds after a line has come on standard input. Its address is told on standard output, and what was done, a line each.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.crowned import course
from commands import running
from commands.config import Config, load
from commands.place import system_clock
from server import House

#: A model that takes no walk-forward to make.
TAUGHT = "regime"


def main() -> None:
    """Serves until it is told to stop."""
    folder, config_file, port, *after = sys.argv[1:]
    logging.basicConfig(level=logging.WARNING)
    config: Config = load(Path(config_file))
    turns = tuple(float(one) for one in after)
    work = running.sample_work

    def watched(house: House, *rest: object) -> object:
        schedule = work(house, *rest)  # type: ignore[arg-type]
        threading.Thread(target=_turns, args=(house, turns), daemon=True).start()
        return schedule

    running.sample_work = watched  # type: ignore[assignment]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again when it has stopped
    with socket.create_server(("127.0.0.1", int(port))) as listening:
        running.run(
            config,
            Path(folder),
            system_clock,
            listening,
            lambda: _say(f"http://127.0.0.1:{listening.getsockname()[1]}"),
        )


def _turns(house: House, at: tuple[float, ...]) -> None:
    sys.stdin.readline()
    begun, made = time.monotonic(), 0

    def due(seconds: float, word: str, what: Callable[[], object]) -> None:
        time.sleep(max(begun + seconds - time.monotonic(), 0.0))
        what()
        _say(word)

    def train() -> None:
        nonlocal made
        made = house.trainer.train(course(house, TAUGHT), lambda _share, _word: None).version

    def now() -> int:
        return system_clock() + 1_000

    due(at[0], "trained", train)
    due(at[1], "promoted", lambda: house.versions.promote(TAUGHT, made, ["for the soak"], "soak", now()))
    due(at[2], "rolled back", lambda: house.versions.rollback(TAUGHT, ["for the soak"], "soak", now()))


def _say(word: str) -> None:
    print(word, flush=True)


if __name__ == "__main__":
    main()
