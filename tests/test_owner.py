"""One owner for a data folder: a lock that dies with its process, and a card that says where to ask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from registry.owner import CARD, LOCK, FolderOwned, Owner, Ownership, owner_of
from tests.conftest import NOW

ROOT = Path(__file__).parent.parent


def test_nobody_owns_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert owner_of(tmp_path / "data") is None
    assert not (tmp_path / "data").exists()


def test_an_owner_is_known_until_it_gives_the_folder_back(tmp_path: Path) -> None:
    ownership = Ownership.claim(tmp_path / "data", 7, NOW)
    assert owner_of(tmp_path / "data") == Owner(7, None, NOW)
    ownership.announce("http://127.0.0.1:1")
    assert owner_of(tmp_path / "data") == Owner(7, "http://127.0.0.1:1", NOW)
    ownership.release()
    assert owner_of(tmp_path / "data") is None
    Ownership.claim(tmp_path / "data", 8, NOW).release()


def test_a_second_owner_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    first = Ownership.claim(tmp_path, 7, NOW)
    with pytest.raises(FolderOwned, match=r"owned by process 7; wait for it, stop it, or name another folder"):
        Ownership.claim(tmp_path, 8, NOW)
    first.announce("http://127.0.0.1:1")
    with pytest.raises(FolderOwned, match=r"owned by process 7 at http://127.0.0.1:1; ask that one"):
        Ownership.claim(tmp_path, 8, NOW)
    assert owner_of(tmp_path) == Owner(7, "http://127.0.0.1:1", NOW), "being refused takes nothing from the owner"
    first.release()


def test_looking_never_keeps_anybody_from_claiming(tmp_path: Path) -> None:
    Ownership.claim(tmp_path, 7, NOW).release()
    enough = threading.Event()

    def look() -> None:
        while not enough.is_set():
            owner_of(tmp_path)

    watchers = [threading.Thread(target=look) for _ in range(4)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(50):
            Ownership.claim(tmp_path, 7, NOW).release()
    finally:
        enough.set()
        for watcher in watchers:
            watcher.join()


@pytest.mark.parametrize("card", ["", "{", "[]", '{"pid": 7, "port": 1}'])
def test_an_owner_whose_card_cannot_be_read_is_an_owner_all_the_same(tmp_path: Path, card: str) -> None:
    ownership = Ownership.claim(tmp_path, 7, NOW)
    (tmp_path / CARD).write_text(card)
    owner = owner_of(tmp_path)
    assert owner is not None
    assert (owner.url, str(owner)) == (None, "another process")
    ownership.release()


def test_a_claim_that_cannot_be_announced_leaves_the_folder_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            Ownership.claim(tmp_path, 7, NOW)
    assert owner_of(tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_a_killed_owner_leaves_a_folder_that_the_next_one_can_own(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, signal; from registry.owner import Ownership;"
        f"Ownership.claim(pathlib.Path({str(tmp_path)!r}), os.getpid(), 1).announce('http://127.0.0.1:1');"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=30, check=False)
    assert killed.returncode == -9
    assert json.loads((tmp_path / CARD).read_text())["url"] == "http://127.0.0.1:1", "its card still lies there"
    assert owner_of(tmp_path) is None
    Ownership.claim(tmp_path, 8, NOW).release()
