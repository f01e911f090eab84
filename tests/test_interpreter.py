"""How the interpreter of a server is set: memory that was freed goes back to the system while it serves."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
import threading

import numpy as np
import pytest

from benchmarks.soak_memory import resident
from commands.interpreter import ARENAS, give_back, starting, undisturbed


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
def test_threads_of_a_server_share_few_heaps() -> None:
    """As many threads as may be hold memory at once, in a process that has done nothing before."""
    told = subprocess.run([sys.executable, "-c", HEAPS], capture_output=True, text=True, check=True, timeout=120)
    assert 1 <= int(told.stdout) <= ARENAS + 1, "the first heap is not counted by all versions"


HEAPS = """
import ctypes, tempfile, threading
from commands.interpreter import undisturbed

libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
with undisturbed():
    meet, done = threading.Barrier(9), threading.Event()

    def hold():
        held = [bytes(3_000) for _ in range(100)]
        meet.wait()
        done.wait()

    threads = [threading.Thread(target=hold) for _ in range(8)]
    for one in threads:
        one.start()
    meet.wait()
    with tempfile.NamedTemporaryFile() as file:
        stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
        libc.malloc_info(0, stream)
        libc.fclose(stream)
        print(open(file.name).read().count("<heap nr="))
    done.set()
"""


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
