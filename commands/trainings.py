"""Progress of long work that goes on beside the answers: a bar on a terminal, lines in the log elsewhere."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import TYPE_CHECKING

from rich.progress import Progress as Bars

from commands.terminal import err

if TYPE_CHECKING:
    from ml.learning import Progress

log = logging.getLogger("barograph")

#: Without a terminal a line is written this often, as a share of the whole.
EVERY = 0.25


class Trainings:
    """The bars of all long work of one server. They are shown while there is some."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._bars = Bars(console=err, transient=True)

    def __enter__(self) -> Trainings:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._bars.stop()

    def of(self, work: str) -> Progress:
        """The ear for one piece of work, `learning volatility` say."""
        return self._lines(work) if self._silent else self._bar(work)

    def _lines(self, work: str) -> Progress:
        told = -EVERY

        def tell(share: float, doing: str) -> None:
            nonlocal told
            if share - told >= EVERY or (share >= 1.0 > told):
                told = share
                log.info("%s: %.0f%%, %s", work, 100.0 * share, doing)

        return tell

    def _bar(self, work: str) -> Progress:
        task = self._bars.add_task(work, total=1.0, visible=False)

        def tell(share: float, doing: str) -> None:
            self._bars.start()
            self._bars.update(task, completed=share, description=f"{work}: {doing}", visible=share < 1.0)
            if all(one.finished for one in self._bars.tasks):
                self._bars.stop()

        return tell
