"""The server of the soak: `barograph serve` with the sample market, and models trained, promoted and taken back.

    python -m benchmarks.soak_server FOLDER CONFIG PORT BEGUN [TRAIN_AFTER PROMOTED_FOR]...

Its clock stood at BEGUN (ms) when it was that time, and has been `HURRY` times as fast since. The turns are seconds
after a line has come on standard input, and after the promotion, which comes when the training is done. Its address is
told on standard output, and then what was done, a line each: `promoted regime@1`.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.crowned import course
from commands import running
from commands.config import Config, load
from commands.place import system_clock
from registry.leases import Leases
from server import LEASE_MS, House
from tools.clock import Clock
from workers.train import Patience

#: A model that takes no walk-forward to make.
TAUGHT = "regime"
#: An hour in a minute: bars close, and are asked for, while somebody looks.
HURRY = 60
#: A promotion and its end are in force so much later: after every question that was answered before.
AHEAD_MS = 1_000 * HURRY


def hurried(begun_ms: int) -> Clock:
    """The clock of the soak, ms."""
    return lambda: begun_ms + HURRY * (system_clock() - begun_ms)


def main() -> None:
    """Serves until it is told to stop."""
    folder, config_file, port, begun, *times = sys.argv[1:]
    clock = hurried(int(begun))
    logging.basicConfig(level=logging.WARNING)
    config: Config = load(Path(config_file))
    seconds = [float(one) for one in times]
    turns = list(zip(seconds[::2], seconds[1::2], strict=True))
    work = running.sample_work

    def watched(house: House, *rest: object) -> object:
        schedule = work(house, *rest)  # type: ignore[arg-type]  # as it was called
        threading.Thread(target=_turns, args=(house, turns), daemon=True).start()
        return schedule

    running.sample_work = watched  # type: ignore[assignment]  # the same, and its turns
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again when it has stopped
    with socket.create_server(("127.0.0.1", int(port)), backlog=2_048) as listening:
        running.run(
            config,
            Path(folder),
            clock,
            listening,
            lambda: _say(f"http://127.0.0.1:{listening.getsockname()[1]}"),
        )


def _turns(house: House, turns: Sequence[tuple[float, float]]) -> None:
    sys.stdin.readline()
    begun = time.monotonic()
    try:
        for number, (train_after, promoted_for) in enumerate(turns):
            time.sleep(max(begun + train_after - time.monotonic(), 0.0))
            _turn(house, number, promoted_for)
    except Exception:  # whoever reads us must hear of it
        logging.exception("a turn of the soak failed")
        _say("FAILED: a training, or a move; see the log")


def _turn(house: House, seed: int, promoted_for: float) -> None:
    _say(f"training {TAUGHT}")
    leases = Leases(house.store, house.config.tenant, HURRY * LEASE_MS)
    patience = Patience(most_seconds=3_600.0 * HURRY, silent_seconds=60.0 * HURRY)
    trainer = replace(house.trainer, leases=leases, patience=patience)  # its process lives by our time
    made = trainer.train(replace(course(house, TAUGHT), seed=seed), lambda _share, _word: None)
    _say(f"trained {made.name}")
    house.versions.promote(TAUGHT, made.version, ["for the soak"], "soak", house.clock() + AHEAD_MS)
    _say(f"promoted {made.name}")
    time.sleep(promoted_for)
    house.versions.rollback(TAUGHT, ["for the soak"], "soak", house.clock() + AHEAD_MS)
    _say(f"rolled back {made.name}")


def _say(word: str) -> None:
    print(word, flush=True)


if __name__ == "__main__":
    main()
