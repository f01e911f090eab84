"""How the interpreter is set for a server: nothing of its own keeps an answer waiting for long."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: How long a thread that computes may keep the interpreter from the others. An answer waits for it a few times, and
#: Python's own 5 ms each time are too long.
SWITCH_SECONDS = 0.0005


@contextmanager
def undisturbed() -> Iterator[None]:
    """For as long as answers are given. All objects that are there at the beginning stay: to look through them for
    rubbish takes a tenth of a second, whenever, in the middle of an answer."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)
