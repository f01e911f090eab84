"""Failures that an operator can do something about: told in a line. All others are our mistakes, and keep their
traceback."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from types import TracebackType

import typer

from commands.terminal import stop
from registry.owner import FolderOwned

#: Exit codes: of what cannot be done as asked, and of a folder that another process has. (1 is a tool's refusal, or an
#: ill finding of the doctor.)
FAILED, OWNED = 2, 3

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


class Unusable(Exception):  # noqa: N818 - told to the operator as it is
    """What was asked of the command line cannot be done: what is wrong with it, and what there is instead."""


@dataclass(frozen=True, slots=True)
class Told:
    """`with Told(json_wanted):` ends the command with one line where the block fails in a way that is known."""

    json_wanted: bool

    def __enter__(self) -> None:
        """Nothing yet."""

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        said = None if error is None else said_of(error)
        if said is not None:
            owned = isinstance(error, FolderOwned) or isinstance(getattr(error, "__cause__", None), FolderOwned)
            stop(said, json_wanted=self.json_wanted, code=OWNED if owned else FAILED)


def said_of(error: BaseException) -> str | None:
    """What to tell the operator; None for what nobody expected."""
    if isinstance(error, OSError):
        return _of_system(error)
    if not isinstance(error, Exception) or isinstance(error, typer.Exit):
        return None
    # Only now, so that a command that goes well need not import them.
    from market.parquet import DamagedPart
    from market.refusal import Refusal
    from registry.faults import StateFault
    from tools.refusal import Refused
    from workers.questions import BadQuestions

    if isinstance(error, Refused):
        why = f" ({error.__cause__})" if error.__cause__ is not None else ""
        return f"{error.body.line()}{why}"
    if isinstance(error, DamagedPart):
        return f"{error}; restore the data folder from a backup, or start with an empty one and import again"
    return str(error) if isinstance(error, Unusable | StateFault | FolderOwned | Refusal | BadQuestions) else None


def _of_system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in _NO_SPACE:
        return f"{where}no space is left on this disk; free some and run the command again"
    return f"{where}{error.strerror or error}; see that it exists, and that this user may use it"
