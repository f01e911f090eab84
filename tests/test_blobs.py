"""Files by their content: whole or not there, and on disk for good."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.blobs import Blobs
from registry.disk import make_folder, write_durably
from registry.faults import DamagedBlob, DiskFull, MissingBlob

SUFFIX = ".parquet"
#: Later than every file (ms).
AT_LAST = 2**62


def _listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Recorder:
    """Notes what is asked of the file system, in order, by the names of the files."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, str]] = []
        self.names: dict[int, str] = {}
        self.real_open = os.open
        self.real_write = os.write
        self.real_fsync = os.fsync
        self.real_replace = os.replace
        patch.setattr(os, "open", self.open)
        patch.setattr(os, "write", self.write)
        patch.setattr(os, "fsync", self.fsync)
        patch.setattr(os, "replace", self.replace)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = self.real_open(path, flags, mode)
        self.names[descriptor] = Path(path).name
        return descriptor

    def write(self, descriptor: int, content: memoryview) -> int:
        self.calls.append(("write", self.names[descriptor]))
        return self.real_write(descriptor, content[:100])  # a short write, as the system may do

    def fsync(self, descriptor: int) -> None:
        self.calls.append(("fsync", self.names[descriptor]))
        self.real_fsync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        self.calls.append(("rename", Path(target).name))
        self.real_replace(source, target)


def test_a_file_is_written_then_synced_then_renamed_then_its_folder_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = Blobs(tmp_path / "parts")
    with monkeypatch.context() as patch:
        recorder = Recorder(patch)
        sha256 = blobs.put(b"x" * 250, SUFFIX)
    temporary = recorder.calls[0][1]
    assert temporary.startswith(".")
    assert temporary.endswith(".unfinished")
    assert recorder.calls == [
        ("write", temporary),
        ("write", temporary),
        ("write", temporary),
        ("fsync", temporary),
        ("rename", f"{sha256}{SUFFIX}"),
        ("fsync", "parts"),
    ]
    assert blobs.read(sha256, SUFFIX) == b"x" * 250


def test_content_that_is_there_already_is_promised_only_after_its_folder_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = Blobs(tmp_path / "parts")
    first = blobs.put(b"same", SUFFIX)
    before = blobs.path(first, SUFFIX).stat()
    with monkeypatch.context() as patch:
        recorder = Recorder(patch)
        assert blobs.put(b"same", SUFFIX) == first
    assert recorder.calls == [("fsync", "parts")]
    assert blobs.path(first, SUFFIX).stat().st_ino == before.st_ino


def test_new_folders_are_synced_into_their_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        recorder = Recorder(patch)
        make_folder(tmp_path / "a" / "b")
    assert recorder.calls == [("fsync", tmp_path.name), ("fsync", "a")]
    assert (tmp_path / "a" / "b").is_dir()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=2_000))
def test_what_was_put_is_read_back_under_its_sha256(tmp_path: Path, content: bytes) -> None:
    blobs = Blobs(tmp_path)
    sha256 = blobs.put(content, SUFFIX)
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert blobs.read(sha256, SUFFIX) == content
    assert blobs.path(sha256, SUFFIX) == tmp_path / f"{sha256}{SUFFIX}"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bit=st.integers(0, 8 * 500 - 1))
def test_a_single_flipped_bit_is_found_and_healed_by_the_same_content(tmp_path: Path, bit: int) -> None:
    blobs = Blobs(tmp_path)
    sha256 = blobs.put(b"p" * 500, SUFFIX)
    path = blobs.path(sha256, SUFFIX)
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    with pytest.raises(DamagedBlob, match=f"{sha256}.*is damaged.*Restore it"):
        blobs.path(sha256, SUFFIX)
    with pytest.raises(DamagedBlob):
        blobs.read(sha256, SUFFIX)
    blobs.put(b"p" * 500, SUFFIX)
    assert blobs.read(sha256, SUFFIX) == b"p" * 500


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    for ask in (blobs.path, blobs.read):
        with pytest.raises(MissingBlob, match=r"0{64}\.parquet is missing\. Restore it"):
            ask("0" * 64, SUFFIX)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    blobs = Blobs(tmp_path)
    kept = blobs.put(b"before", SUFFIX)

    def full(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(DiskFull, match="Free some space"):
            blobs.put(b"after", SUFFIX)
    assert _listed(tmp_path) == [f"{kept}{SUFFIX}"]
    assert blobs.read(blobs.put(b"after", SUFFIX), SUFFIX) == b"after"


def test_another_fault_of_the_disk_is_not_called_a_full_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="Input/output"):
            write_durably(tmp_path / "file", b"content")
    assert _listed(tmp_path) == []


def test_a_sweep_removes_what_crashes_left_and_nothing_else(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    named, orphan = blobs.put(b"named", SUFFIX), blobs.put(b"orphan", SUFFIX)
    model = blobs.put(b"model", ".onnx")
    (tmp_path / f".{orphan}{SUFFIX}.1-1.unfinished").write_bytes(b"half")
    assert blobs.sweep([SUFFIX], {named}, older_than=AT_LAST) == 2
    assert _listed(tmp_path) == sorted([f"{named}{SUFFIX}", f"{model}.onnx"])
    blobs.remove(named, SUFFIX)
    blobs.remove(named, SUFFIX)
    assert _listed(tmp_path) == [f"{model}.onnx"]


@pytest.mark.parametrize(
    ("sha256", "suffix"),
    [("../" + "0" * 61, SUFFIX), ("0" * 63, SUFFIX), ("A" * 64, SUFFIX), ("0" * 64, "/../x"), ("0" * 64, "parquet")],
)
def test_a_name_that_could_lead_elsewhere_is_refused(tmp_path: Path, sha256: str, suffix: str) -> None:
    with pytest.raises(ValueError, match="no name of a blob"):
        Blobs(tmp_path).path(sha256, suffix)
