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
#: glibc's number for how many heaps it may have, and how many it shall. By itself it takes one for almost every thread,
#: and each keeps what its thread has freed between what it has not: 30 MB and more for every training that is prepared.
_M_ARENA_MAX, ARENAS = -8, 2


@contextmanager
def starting() -> Iterator[None]:
    """For as long as a server starts: what it imports and loads stays, and looking through it for rubbish, again and
    again while it grows, takes a tenth of the time. Over at the latest with `undisturbed`."""
    _share_heaps()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def give_back() -> None:
    """Gives freed memory back to the system. The C library keeps it, thread by thread, for whoever asks next in the
    same thread; for what a training leaves behind, tens of megabytes each time, nobody asks. Does nothing where the
    library is not glibc."""
    trim = _of_glibc("malloc_trim")
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

    _share_heaps()
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


def _share_heaps() -> None:
    """All threads allocate from few heaps: the interpreter lets one of them run at a time anyway."""
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, ARENAS)


@cache
def _of_glibc(name: str) -> Callable[..., int] | None:
    """A function that only glibc has, where it is the C library."""
    library = ctypes.CDLL(None)
    return getattr(library, name, None) if hasattr(library, "malloc_trim") else None
