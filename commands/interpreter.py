"""How the interpreter is set for a server: nothing of its own keeps an answer waiting for long, or memory for ever."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

#: How long a thread that computes may keep the interpreter from the others. An answer waits for it a few times, and
#: Python's own 5 ms each time are too long.
SWITCH_SECONDS = 0.0005
#: How often freed memory is given back to the system.
GIVE_BACK_SECONDS = 60.0


@contextmanager
def starting() -> Iterator[None]:
    """For as long as a server starts: what it imports and loads stays, and looking through it for rubbish, again and
    again while it grows, takes a tenth of the time. Over at the latest with `undisturbed`."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def give_back() -> None:
    """Gives freed memory back to the system. The C library keeps it, thread by thread, for whoever asks next in the
    same thread; for what a training leaves behind, tens of megabytes each time, nobody asks. Does nothing where the
    library is not glibc."""
    trim = _trim()
    if trim is not None:
        trim(0)


@contextmanager
def undisturbed(give: Callable[[], None] = give_back, every_seconds: float = GIVE_BACK_SECONDS) -> Iterator[None]:
    """For as long as answers are given. All objects that are there at the beginning stay: to look through them for
    rubbish takes a tenth of a second, whenever, in the middle of an answer. Freed memory is given back by a thread."""
    before, over = sys.getswitchinterval(), threading.Event()

    def giving() -> None:
        while not over.wait(every_seconds):
            give()

    sys.setswitchinterval(SWITCH_SECONDS)
    gc.freeze()
    gc.enable()
    threading.Thread(target=giving, name="barograph-memory", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        gc.unfreeze()
        sys.setswitchinterval(before)


@cache
def _trim() -> Callable[[int], int] | None:
    """`malloc_trim` of glibc, where there is one."""
    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found
