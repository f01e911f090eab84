"""How the interpreter of a server is set: memory that was freed goes back to the system while it serves."""

from __future__ import annotations

import gc
import os
import platform
import sys
import threading

import numpy as np
import pytest

from benchmarks.soak_memory import resident
from commands.interpreter import give_back, starting, undisturbed


def test_while_answers_are_given_memory_is_given_back_again_and_again_and_then_no_more() -> None:
    given, thrice = [0], threading.Event()

    def give() -> None:
        given[0] += 1
        if given[0] == 3:
            thrice.set()

    before = sys.getswitchinterval()
    with undisturbed(give, every_seconds=0.001):
        assert thrice.wait(20)
        assert sys.getswitchinterval() < before
    assert sys.getswitchinterval() == before
    for thread in threading.enumerate():
        if thread.name == "barograph-memory":
            thread.join(20)
            assert not thread.is_alive()


def test_nothing_looks_for_rubbish_while_a_server_starts() -> None:
    with starting():
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries are not asked")
def test_what_a_thread_has_freed_goes_back_to_the_system() -> None:
    last: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []

    def work() -> None:
        """128 MB in pieces that are too small to be given back one by one; the last of them stays."""
        pieces = [np.ones(2_000) for _ in range(8_000)]
        last.append(pieces.pop())

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    held = resident(os.getpid())
    give_back()
    assert resident(os.getpid()) < held - 64e6
    assert last[0].sum() == 2_000
