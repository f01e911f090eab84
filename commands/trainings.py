"""Progress of trainings that go on beside the answers: a bar on a terminal, lines in the log elsewhere."""

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
    """The bars of all trainings of one server. They are shown while there is one."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._bars = Bars(console=err, transient=True)

    def __enter__(self) -> Trainings:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._bars.stop()

    def of(self, capability: str) -> Progress:
        """The ear for one training of a capability."""
        return self._lines(capability) if self._silent else self._bar(capability)

    def _lines(self, capability: str) -> Progress:
        told = -EVERY

        def tell(share: float, doing: str) -> None:
            nonlocal told
            if share - told >= EVERY or (share >= 1.0 > told):
                told = share
                log.info("learning %s: %.0f%%, %s", capability, 100.0 * share, doing)

        return tell

    def _bar(self, capability: str) -> Progress:
        task = self._bars.add_task(f"learning {capability}", total=1.0, visible=False)

        def tell(share: float, doing: str) -> None:
            self._bars.start()
            self._bars.update(task, completed=share, description=f"learning {capability}: {doing}", visible=share < 1.0)
            if all(one.finished for one in self._bars.tasks):
                self._bars.stop()

        return tell
