"""Owners racing for one data folder, and the one that has it killed again and again: no job run twice, and none lost.

`python -m benchmarks.owner_race --kills 200` is part of `make proof`; CI runs a few. Three processes want the folder;
whoever has it runs four jobs by the schedule, and says through one pipe, in whose order everything happened, what it is
about to do and what is done. The owner is killed (SIGKILL) at random moments, in the middle of a job as a rule, and
replaced by a new contender.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import select
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from registry.jobs import DONE, JobRuns
from registry.owner import FolderOwned, Ownership
from registry.store import Store, migrate, open_store
from registry.tables import job_runs
from workers.schedule import Job, Schedule

TENANT = "local"
CONTENDERS = 3
#: One second of the jobs' clock takes this long: a slot, which sees several owners.
SECOND_SECONDS = 0.8
JOBS = ("first", "second", "third", "fourth")
#: A job takes about so long, and is killed in the middle of it more often than not.
JOB_SECONDS = 0.06
LONGEST_LIFE_SECONDS = 0.25
#: Nobody waits longer than this for a new owner.
MOST_SECONDS = 30.0


@dataclass(slots=True)
class Heard:
    """What was said, in order: (process, word, job, slot)."""

    lines: list[tuple[int, str, str, int]] = field(default_factory=list)

    def hear(self, line: bytes) -> None:
        pid, word, job, slot = line.decode().split()
        self.lines.append((int(pid), word, job, int(slot)))

    @property
    def owner(self) -> int | None:
        """Whoever said last that the folder is its own."""
        return next((pid for pid, word, _, _ in reversed(self.lines) if word == "owns"), None)

    def wrong(self, noted: Set[tuple[str, int]]) -> list[str]:
        """What must not be, in words; `noted` are the runs that the state says were done."""
        found: list[str] = []
        owner, seen = None, set[int]()
        for pid, word, job, slot in self.lines:
            if word == "owns":
                found += [f"{pid} owned the folder twice"] if pid in seen else []
                owner = pid
                seen.add(pid)
            elif pid != owner:
                found.append(f"{pid} said {word} {job} {slot} while {owner} had the folder")
        done = Counter((job, slot) for _, word, job, slot in self.lines if word == "done")
        found += [f"{job} {slot} was done {n} times" for (job, slot), n in done.items() if n > 1]
        found += [f"{job} {slot} was done, and the state has forgotten it" for job, slot in sorted(done.keys() - noted)]
        looked = {(job, slot) for _, word, job, slot in self.lines if word == "looked"}
        return found + [f"{job} {slot} was due and is lost" for job, slot in sorted(looked - noted)]


def race(folder: Path, kills: int, seed: int, *, careless: bool = False) -> Heard:
    """Kills `kills` owners of `folder`. With `careless` owners do not take over what the dead left: a control, which
    must find lost runs."""
    dice = random.Random(seed)  # noqa: S311 - moments to kill at, not secrets
    hear, say = os.pipe()
    heard, rest = Heard(), bytearray()
    children = {_born(folder, say, careless=careless) for _ in range(CONTENDERS)}

    def listen(seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([hear], [], [], left)[0]:
                rest.extend(os.read(hear, 65_536))
                *whole, tail = bytes(rest).split(b"\n")
                rest[:] = tail
                for line in whole:
                    heard.hear(line)

    try:
        for _ in range(kills):
            patience = time.monotonic() + MOST_SECONDS
            while heard.owner not in children:
                if time.monotonic() > patience:
                    raise RuntimeError(f"nobody took the folder within {MOST_SECONDS:.0f} s")
                listen(0.005)
            listen(dice.uniform(0, LONGEST_LIFE_SECONDS))
            killed = heard.owner
            assert killed is not None
            _killed(killed)
            children.remove(killed)
            children.add(_born(folder, say, careless=careless))
        listen(2 * SECOND_SECONDS)  # the last owner lives to do what is left
    finally:
        for child in children:
            _killed(child)
        listen(0.1)
        os.close(hear)
        os.close(say)
    return heard


def _born(folder: Path, say: int, *, careless: bool) -> int:
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(_contend(folder, say, careless=careless))
        finally:
            os._exit(1)
    return child


def _killed(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise RuntimeError(f"contender {child} ended by itself with status {status}: see its traceback above")


async def _contend(folder: Path, say: int, *, careless: bool) -> None:
    """Waits for the folder, then runs its jobs for ever."""
    pid = os.getpid()

    def tell(word: str, job: str, slot: int) -> None:
        os.write(say, f"{pid} {word} {job} {slot}\n".encode())

    while True:
        try:
            held = Ownership.claim(folder, pid, _clock())  # noqa: F841 - the lock lasts as long as somebody holds it
            break
        except FolderOwned:
            await asyncio.sleep(0.002)
    store = open_store(folder / "state.sqlite")
    migrate(store)
    runs = Told(store, tell)
    tell("owns", "-", 0)
    if not careless:
        runs.abandon(_clock())
    schedule = Schedule([Job(name, 1, _work) for name in JOBS], runs, _clock)
    while True:
        for name in JOBS:
            slot = schedule.slot(name, _clock())
            await schedule.fire(name)
            if schedule.slot(name, _clock()) == slot:  # else it may have been the next one that was fired
                tell("looked", name, slot)
        await asyncio.sleep(0.002)


async def _work() -> None:
    await asyncio.sleep(JOB_SECONDS)


class Told(JobRuns):
    """Claims that say what was begun and what was done, each when it is on disk."""

    def __init__(self, store: Store, tell: Callable[[str, str, int], None]) -> None:
        super().__init__(store, TENANT)
        self._tell = tell

    def claim(self, job: str, slot: int, at: int) -> bool:
        claimed = super().claim(job, slot, at)
        if claimed:
            self._tell("begins", job, slot)
        return claimed

    def finish(self, job: str, slot: int, at: int, *, failure: str | None = None, cut_off: bool = False) -> None:
        super().finish(job, slot, at, failure=failure, cut_off=cut_off)
        self._tell("done" if failure is None else "failed", job, slot)


def _done(folder: Path) -> set[tuple[str, int]]:
    store = open_store(folder / "state.sqlite")
    try:
        with store.read() as connection:
            return {(row.job, row.slot) for row in connection.execute(sa.select(job_runs)) if row.state == DONE}
    finally:
        store.close()


def _clock() -> int:
    return int(time.time() / SECOND_SECONDS * 1_000)


def main(arguments: Sequence[str]) -> int:
    """Prints one line, and before it what went wrong."""
    parser = argparse.ArgumentParser(prog="owner_race", description="Looks for jobs run twice or lost.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--careless", action="store_true", help="control: nobody takes over; must find lost runs")
    asked = parser.parse_args(arguments)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        heard = race(Path(folder), asked.kills, asked.seed, careless=asked.careless)
        wrong = heard.wrong(_done(Path(folder)))
    for line in wrong[:20]:
        print(line)
    said = Counter(word for _, word, _, _ in heard.lines)
    print(
        f"{asked.kills} owners killed, {said['owns']} took the folder, {said['begins']} runs begun, {said['done']} "
        f"done, {said['begins'] - said['done']} cut off, {len(wrong)} wrong, {time.perf_counter() - began:.1f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
