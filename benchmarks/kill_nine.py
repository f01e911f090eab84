"""Kills a writing process at random moments, again and again, and looks for what it had promised to keep.

`python -m benchmarks.kill_nine --kills 500` is part of `make proof`; CI runs a few. A child writes to the ledger, and
puts blobs and swaps them into the manifest; it says through a pipe what it is about to do and what it has been told is
done. After each `kill -9` the state is opened as a server would open it, and must hold exactly that.

A kill says nothing about power cuts, which lose what was written but not synced: that `synchronous=FULL` holds on each
connection, and the order write, fsync, rename, fsync of the folder, are asserted by the tests.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import select
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from registry.blobs import Blobs
from registry.faults import StateFault
from registry.ledger import Entry, Ledger
from registry.manifest import Manifest
from registry.store import migrate, open_store

TENANT = "local"
KIND = "bars"
SUFFIX = ".parquet"
#: A child is killed within this many seconds of its birth: while it makes its tables, opens them, or writes.
LONGEST_LIFE_SECONDS = 0.15
#: Then a fresh folder, so that the first start is killed too and the checks stay short.
KILLS_PER_FOLDER = 10
PART_BYTES = 200_000
#: Later than every file (ms): nothing that is unnamed is spared.
AT_LAST = 2**62
#: Parts in the manifest before the next swap replaces two of them.
MANY_PARTS = 4


@dataclass(slots=True)
class Promises:
    """What the children of one folder have said."""

    entries: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    intended: list[str] = field(default_factory=list)
    """The manifest after the swap that was going on, if one was."""

    def hear(self, line: str) -> None:
        word, *rest = line.split()
        if word == "kept":
            self.entries += rest
        elif word == "swapping":
            self.intended = rest
        elif word == "swapped":
            self.parts = self.intended


@dataclass(slots=True)
class Tally:
    """What came of it: how much was promised and checked, and what was missing (empty, or something is broken)."""

    kills: int = 0
    entries: int = 0
    swaps: int = 0
    missing: list[str] = field(default_factory=list)


def kill_many(folder: Path, kills: int, seed: int, *, boast: bool = False) -> Tally:
    """Kills `kills` children that write below `folder`; the same seed draws the same moments.

    With `boast` children promise entries that are only queued: a control, which must find some missing.
    """
    dice = random.Random(seed)  # noqa: S311 - moments to kill at, not secrets
    tally = Tally()
    _warm(folder / "warm")
    promises = Promises()
    for number in range(kills):
        home = folder / f"state-{number // KILLS_PER_FOLDER}"
        if number % KILLS_PER_FOLDER == 0:
            promises = Promises()
        said = _one_life(home, number, dice.uniform(0, LONGEST_LIFE_SECONDS), promises.parts, boast=boast)
        known = len(promises.entries)
        for line in said:
            promises.hear(line)
        tally.kills += 1
        tally.entries += len(promises.entries) - known
        tally.swaps += sum(line.startswith("swapped") for line in said)
        tally.missing += [f"kill {number}: {what}" for what in _check(home, promises)]
    return tally


def _one_life(home: Path, number: int, seconds: float, parts: list[str], *, boast: bool) -> list[str]:
    """Lines that a child said before it was killed. Whatever it said whole counts."""
    hear, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(hear)
            _write_for_ever(home, number, say, parts, boast=boast)
        finally:
            os._exit(1)
    os.close(say)
    until = time.monotonic() + seconds
    heard = bytearray()
    while (left := until - time.monotonic()) > 0:
        if select.select([hear], [], [], left)[0]:
            some = os.read(hear, 65_536)
            if not some:
                break
            heard += some
    os.kill(child, signal.SIGKILL)
    while some := os.read(hear, 65_536):
        heard += some
    os.close(hear)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise RuntimeError(f"child {number} ended by itself with status {status}: see its traceback above")
    return [line.decode() for line in bytes(heard).split(b"\n")[:-1]]


def _write_for_ever(home: Path, number: int, say: int, parts: list[str], *, boast: bool) -> None:
    def tell(*words: str) -> None:
        os.write(say, (" ".join(words) + "\n").encode())

    store = open_store(home / "state.db")
    migrate(store)
    ledger = Ledger(store, TENANT)
    blobs = Blobs(home / "parts")
    manifest = Manifest(store, TENANT)
    standing = list(parts)
    for step in count():
        names = [f"{number}-{step}-{nth}" for nth in range(1 + step % 5)]
        done = ledger.record([_entry(name) for name in names], urgent=not boast)
        if not boast:
            done.result()
        tell("kept", *names)
        if step % 3 == 0:
            content = _content(f"{number}/{step}")
            added = hashlib.sha256(content).hexdigest()
            replaced = standing[:2] if len(standing) >= MANY_PARTS else []
            standing = [added, *standing[2:]] if replaced else [*standing, added]
            tell("swapping", *standing)
            blobs.put(content, SUFFIX)
            manifest.swap(KIND, add=added, n_rows=1, remove=replaced, at=step)
            tell("swapped")
            for old in replaced:
                blobs.remove(old, SUFFIX)


def _check(home: Path, promises: Promises) -> list[str]:
    """What is missing or damaged, in words."""
    if not promises.parts and not promises.entries and not home.exists():
        return []
    store = open_store(home / "state.db")
    wrong: list[str] = []
    try:
        store.check()
        migrate(store)
        ledger = Ledger(store, TENANT)
        wrong += [f"entry {name}" for name in promises.entries if ledger.find(name) != _entry(name)]
        ledger.close()
        found = list(Manifest(store, TENANT).parts(KIND))
        if found not in (promises.parts, promises.intended):
            wrong.append(f"manifest {found} is neither {promises.parts} nor {promises.intended}")
        blobs = Blobs(home / "parts")
        blobs.sweep([SUFFIX], found, older_than=AT_LAST)
        for sha256 in found:
            blobs.path(sha256, SUFFIX)
        promises.parts = found
    except StateFault as fault:
        wrong.append(str(fault))
    finally:
        store.close()
    return wrong


def _entry(name: str) -> Entry:
    digest = hashlib.sha256(name.encode()).digest()
    return Entry(
        prediction_id=name,
        capability="volatility",
        version=0,
        source="rules",
        symbol="BTCUSDT",
        timeframe="1h",
        as_of=digest[0],
        data_through=digest[1],
        question="{}",
        feature_names=("a", "b", "c", "d"),
        features=digest,
        answer=digest.hex() * 20,
        use="veto",
        asked_by="kill_nine",
        asked_at=digest[2],
        passed_over="[]",
    )


def _content(name: str) -> bytes:
    block = hashlib.sha256(name.encode()).digest()
    return block * (1 + block[0] * PART_BYTES // 255 // len(block))


def _warm(home: Path) -> None:
    """Imports all that children need, once: they are forked, not started."""
    store = open_store(home / "state.db")
    migrate(store)
    store.close()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="kill_nine", description="Looks for lost promises after kill -9.")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--boast", action="store_true", help="control: promise what is only queued; must find losses")
    asked = parser.parse_args(arguments)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tally = kill_many(Path(folder), asked.kills, asked.seed, boast=asked.boast)
    for line in tally.missing[:20]:
        print(line)
    print(
        f"{tally.kills} kills, {tally.entries} entries and {tally.swaps} swaps promised, {len(tally.missing)} missing, "
        f"{time.perf_counter() - began:.1f} s"
    )
    return 1 if tally.missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
