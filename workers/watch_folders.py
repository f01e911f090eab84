"""Watches folders: a file that is put there is taken in, once it is whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from market.bar_file import bar_files, read_bar_file
from market.headlines import Headlines
from market.history import History
from market.joined import joined
from market.observations import Observations
from market.other_file import ACCEPTED_NAME, HEADLINES, OtherFile, other_named, read_headline_file, read_observed_file
from market.refusal import Refusal
from ml.bars import Instant

log = logging.getLogger(__name__)

#: Size and time of change (ns): a file that keeps both over two looks is whole.
Mark = tuple[int, int]


class FileRefused(Exception):  # noqa: N818 - told as it is
    """Some files were not taken in; all others were. They are looked at again when they change."""


@dataclass(slots=True, eq=False)
class WatchFolders:
    """The job. Files stay where they are and as they are. What it remembers may be lost: a file that is taken in twice
    changes nothing."""

    folders: Sequence[Path]
    history: History
    observations: Observations
    headlines: Headlines
    clock: Callable[[], Instant]
    _seen: dict[Path, Mark] = field(default_factory=dict)
    _done: dict[Path, Mark] = field(default_factory=dict)

    async def run(self) -> None:
        """One look, in a thread. Raises FileRefused."""
        await asyncio.to_thread(self.once)

    def once(self) -> int:
        """How many files were taken in. Raises FileRefused, when all were tried."""
        marks = {path: _mark(path) for folder in self.folders for path in sorted(folder.rglob("*")) if path.is_file()}
        whole = [path for path, mark in marks.items() if self._seen.get(path) == mark and self._done.get(path) != mark]
        self._seen = marks
        refused = self._take_in(whole)
        self._done.update({path: marks[path] for path in whole})
        if refused:
            raise FileRefused(f"{len(refused)} of {len(whole)} files were not taken in: {'; '.join(refused)}")
        return len(whole)

    def _take_in(self, paths: Sequence[Path]) -> list[str]:
        refused: list[str] = []
        tables = []
        for path in paths:
            try:
                other = other_named(path)
                if other is None:
                    found, skipped = bar_files(path)
                    tables += [read_bar_file(one.path) for one in found]
                    refused += [f"{one.path.name}: {one.reason}; or {ACCEPTED_NAME}" for one in skipped]
                else:
                    self._take_other(other)
            except Refusal as refusal:
                refused.append(str(refusal))
        for table in joined(tables):
            try:
                receipt = self.history.append(table, received_at=self.clock(), live=False)
                log.info("%s %s: %d bars taken in", table.symbol, table.timeframe, receipt.kept)
            except Refusal as refusal:
                refused.append(f"{table.source}: {refusal}")
        return refused

    def _take_other(self, file: OtherFile) -> None:
        if file.what == HEADLINES:
            kept = self.headlines.append(read_headline_file(file), received_at=self.clock(), live=False).kept
        else:
            table = read_observed_file(file)
            kept = self.observations.append([table], received_at=self.clock(), live=False)[0].kept
        log.info("%s: %d rows taken in", file.path.name, kept)


def _mark(path: Path) -> Mark:
    said = path.stat()
    return said.st_size, said.st_mtime_ns
