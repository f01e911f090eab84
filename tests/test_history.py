"""History keeps what comes, once, and never changes an answer that was given."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from market import history as history_module
from market.bar_table import BarTable, Fault, checked
from market.fed import Fed
from market.history import History
from market.observations import Observations
from market.parquet import DamagedPart
from market.refusal import ImplausibleClock, OriginConflict
from ml.bars import DAY_MS, HOUR_MS, Bars, Timeframe
from ml.timeline import Market, Timeline

START = 1_700_000_000_000 // DAY_MS * DAY_MS


class DiskFull(Exception):  # noqa: N818 - stands for the one of the registry
    pass


class FolderBlobs:
    """Blobs in a folder, without any promise; `full` makes the next writes fail."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.full = False

    def put(self, content: bytes, suffix: str) -> str:
        if self.full:
            raise DiskFull
        sha256 = hashlib.sha256(content).hexdigest()
        (self.root / f"{sha256}{suffix}").write_bytes(content)
        return sha256

    def renew(self, sha256: str, suffix: str) -> bool:
        return self.path(sha256, suffix).is_file()

    def path(self, sha256: str, suffix: str) -> Path:
        return self.root / f"{sha256}{suffix}"


class ListManifest:
    """A manifest in a list; `fails` raises before or after it does what it was asked to."""

    def __init__(self) -> None:
        self.list: list[str] = []
        self.fails = ""

    def parts(self, kind: str) -> Sequence[str]:
        return tuple(self.list) if kind == "bars" else ()

    def swap(self, kind: str, *, add: str, n_rows: int, remove: Sequence[str] = (), at: int) -> None:
        assert set(remove) <= set(self.list)
        assert n_rows > 0
        if self.fails == "before":
            raise DiskFull
        self.list = [one for one in self.list if one not in remove] + [add]
        if self.fails == "after":
            raise DiskFull


class Kept:
    """A folder and a list, and the histories that are opened on them."""

    def __init__(self, root: Path) -> None:
        self.blobs = FolderBlobs(root)
        self.manifest = ListManifest()

    def open(self, tenant: str = "local") -> History:
        history = History(self.manifest, self.blobs, tenant)
        history.load()
        return history


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def table(
    hours: Sequence[int], closes: Sequence[float] | None = None, symbol: str = "BTC", origin: str = "files"
) -> BarTable:
    """Bars that open `hours` after START."""
    close = np.asarray(closes if closes is not None else [100.0 + hour % 7 for hour in hours], dtype=float)
    opens = START + HOUR_MS * np.asarray(hours, dtype=np.int64)
    rows = Bars(symbol, Timeframe.H1, opens, close, close + 1, close - 1, close, close * 2)
    return checked(rows, origin, source="test")


def at(hour: float) -> int:
    return START + int(hour * HOUR_MS)


def line(history: History, symbol: str = "BTC") -> Timeline:
    found = history.timeline(symbol, Timeframe.H1)
    assert found is not None
    return found


def seen(timeline: Timeline, as_of: int) -> bytes:
    """All that an answer as of then can look at."""
    located = timeline.locate(np.array([as_of]))
    last = int(located.last[0])
    if last < 0:
        return b""
    bars = timeline.edition(int(located.edition[0])).between(0, last + 1)
    return b"".join(
        column.tobytes() for column in (bars.open_at, bars.open, bars.high, bars.low, bars.close, bars.volume)
    )


def everything(history: History) -> list[tuple[object, ...]]:
    """Every bit of every timeline, and of the scores."""
    result: list[tuple[object, ...]] = []
    for info in history.series():
        timeline = history.timeline(info.symbol, info.timeframe)
        quality = history.qualities(info.symbol, info.timeframe)
        assert timeline is not None
        assert quality is not None
        bars = timeline.records
        columns = (bars.open_at, bars.open, bars.high, bars.low, bars.close, bars.volume, timeline.received_at, quality)
        result.append((info, timeline.origin, *(column.tobytes() for column in columns)))
    return result


def test_history_is_a_market(kept: Kept) -> None:
    market: Market = Fed(kept.open(), Observations(kept.manifest, kept.blobs, "local"), panel=["BTC"])
    assert market.timeline("BTC", Timeframe.H1) is None
    assert market.panel(Timeframe.H1) == ["BTC"]


def test_imported_bars_count_as_received_at_their_close(kept: Kept) -> None:
    history = kept.open()
    receipt = history.append(table(range(10)), received_at=at(500), live=False)
    assert (receipt.new, receipt.late, receipt.revised, receipt.repeated, receipt.n_refused) == (10, 0, 0, 0, 0)
    timeline = line(history)
    assert timeline.origin == "files"
    assert timeline.received_at.tolist() == timeline.records.close_at.tolist()


def test_the_same_bars_again_change_nothing_and_write_nothing(kept: Kept) -> None:
    history = kept.open()
    history.append(table(range(10)), received_at=at(20), live=False)
    before = everything(history)
    receipt = history.append(table(range(10)), received_at=at(30), live=True)
    assert (receipt.repeated, receipt.kept, receipt.parts) == (10, 0, ())
    assert everything(history) == before
    assert len(kept.manifest.list) == 1


def test_a_restart_gives_the_same_history_bit_by_bit(kept: Kept) -> None:
    history = kept.open()
    history.append([table(range(400)), table(range(30), symbol="ETH")], received_at=at(500), live=False)
    history.append(table([400], [7.0]), received_at=at(501), live=True)
    history.append(table([400, 3], [8.0, 9.0]), received_at=at(501), live=True)
    assert everything(kept.open()) == everything(history)


def test_a_revised_bar_never_changes_an_answer_already_given(kept: Kept) -> None:
    history = kept.open()
    history.append(table(range(10)), received_at=at(10), live=False)
    history.seal("BTC", Timeframe.H1, at(12))
    answer = seen(line(history), at(12))
    receipt = history.append(table([5], [55.0]), received_at=at(11), live=True)  # a clock that is behind the answer
    assert (receipt.revised, receipt.new) == (1, 0)
    assert seen(line(history), at(12)) == answer
    assert seen(line(history), at(12) + 1) != answer
    assert line(history).latest().close[5] == 55.0
    assert history.series()[0].n_revisions == 1


def test_a_late_bar_never_changes_an_answer_already_given(kept: Kept) -> None:
    history = kept.open()
    history.append(table([0, 1, 2, 5, 6]), received_at=at(8), live=True)
    answer = seen(line(history), at(8))
    history.seal("BTC", Timeframe.H1, at(8))
    receipt = history.append(table([3, 4]), received_at=at(8), live=True)
    assert (receipt.late, receipt.new) == (2, 0)
    assert seen(line(history), at(8)) == answer
    assert line(history).latest().open_at.tolist() == [at(hour) for hour in range(7)]


def test_an_imported_bar_that_closed_before_an_answer_was_given_counts_as_received_after_it(kept: Kept) -> None:
    history = kept.open()
    history.append(table(range(5)), received_at=at(5), live=False)
    history.seal("BTC", Timeframe.H1, at(7))
    answer = seen(line(history), at(7))
    receipt = history.append(table([5, 6, 7, 8]), received_at=at(9), live=False)
    assert (receipt.late, receipt.new) == (2, 2)
    assert seen(line(history), at(7)) == answer
    assert line(history).received_at.tolist()[-4:] == [at(8), at(9), at(9), at(9)]


def test_an_older_archive_after_a_newer_one_is_late_and_all_there(kept: Kept) -> None:
    history = kept.open()
    history.append(table(range(50, 100)), received_at=at(200), live=False)
    receipt = history.append(table(range(50)), received_at=at(200), live=False)
    assert receipt.late == 50
    assert len(line(history).latest()) == 100
    assert everything(kept.open()) == everything(history)


def test_what_comes_later_counts_as_received_later_even_when_the_clock_steps_back(kept: Kept) -> None:
    history = kept.open()
    history.append(table([0]), received_at=at(1.5), live=True)
    receipt = history.append(table([1]), received_at=at(-900), live=True)
    assert receipt.new == 1
    assert receipt.series[0].clock_behind_ms == at(1.5) - at(-900)
    received = line(history).received_at
    assert (np.diff(received) >= 0).all()
    assert received[-1] >= at(2)


def test_a_clock_that_jumped_ahead_is_refused_and_nothing_is_lost(kept: Kept) -> None:
    history = kept.open()
    history.append(table([0]), received_at=at(1), live=True)
    with pytest.raises(ImplausibleClock, match="the clock is wrong"):
        history.append(table([1]), received_at=at(24 * 365 * 40), live=True)
    assert history.append(table([1]), received_at=at(2), live=True).new == 1


def test_a_bar_that_is_not_closed_yet_is_refused(kept: Kept) -> None:
    history = kept.open()
    for live in (True, False):
        receipt = history.append(table([0, 1, 900]), received_at=at(1.5), live=live)
        assert [(one.fault, one.n, one.first_rows) for one in receipt.series[0].refused] == [
            (Fault.NOT_CLOSED, 2, (2, 3))
        ]
    assert len(line(history).records) == 1


def test_a_bar_that_overlaps_a_known_one_is_refused(kept: Kept) -> None:
    history = kept.open()
    days = Bars("SPX", Timeframe.D1, np.array([START]), *(np.array([value]) for value in (5.0, 6.0, 4.0, 5.0, 1.0)))
    history.append(checked(days, "files"), received_at=at(24), live=False)
    shifted = dataclasses.replace(days, open_at=days.open_at + 5 * HOUR_MS)
    receipt = history.append(checked(shifted, "files"), received_at=at(60), live=False)
    assert [one.fault for one in receipt.series[0].refused] == [Fault.TOO_CLOSE]
    assert receipt.kept == 0


def test_bars_of_another_origin_are_refused_with_the_whole_batch(kept: Kept) -> None:
    history = kept.open()
    history.append(table([0], origin="simulated"), received_at=at(1), live=False)
    before = everything(history)
    with pytest.raises(OriginConflict, match="come from 'simulated', these come from 'files'"):
        history.append([table([1], symbol="ETH"), table([1])], received_at=at(2), live=False)
    with pytest.raises(OriginConflict):
        history.append([table([1], symbol="ETH"), table([2], symbol="ETH", origin="x")], received_at=at(3), live=False)
    assert everything(history) == before
    assert history.append(table([1]), received_at=at(2), live=False, origin="simulated").new == 1


def test_a_full_disk_leaves_history_as_it_was(kept: Kept) -> None:
    history = kept.open()
    history.append(table(range(10)), received_at=at(10), live=False)
    before = everything(history)
    kept.blobs.full = True
    with pytest.raises(DiskFull):
        history.append([table([10]), table([0], symbol="ETH")], received_at=at(11), live=True)
    assert everything(history) == before
    assert history.timeline("ETH", Timeframe.H1) is None
    kept.blobs.full = False
    assert history.append([table([10]), table([0], symbol="ETH")], received_at=at(11), live=True).new == 2


@pytest.mark.parametrize("fails", ["before", "after"])
def test_a_failed_swap_is_looked_into_before_anything_builds_on_it(kept: Kept, fails: str) -> None:
    history = kept.open()
    history.append(table(range(10)), received_at=at(10), live=False)
    kept.manifest.fails = fails
    with pytest.raises(DiskFull):
        history.append(table([10]), received_at=at(11), live=True)
    kept.manifest.fails = ""
    receipt = history.append(table([10]), received_at=at(11), live=True)
    assert (receipt.new, receipt.repeated) == ((1, 0) if fails == "before" else (0, 1))
    assert len(line(history).records) == 11
    assert everything(kept.open()) == everything(history)


def test_a_series_that_comes_twice_in_a_batch_is_taken_in_turn(kept: Kept) -> None:
    history = kept.open()
    receipt = history.append([table([0, 1]), table([1, 2], [9.0, 8.0])], received_at=at(3), live=False)
    assert [(one.new, one.revised) for one in receipt.series] == [(2, 0), (1, 1)]
    assert line(history).latest().close.tolist() == [100.0, 9.0, 8.0]


def test_compaction_changes_nothing_but_the_number_of_parts(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "MOST_SMALL_PARTS", 5)
    monkeypatch.setattr(history_module, "LARGE_PART_ROWS", 100)
    history = kept.open()
    history.append(table(range(100)), received_at=at(100), live=False)
    large = kept.manifest.list[0]
    for hour in range(100, 120):
        history.append([table([hour]), table([hour], symbol="ETH")], received_at=at(hour + 1), live=True)
        history.append(table([hour - 1], [50.0]), received_at=at(hour + 1), live=True)
        assert len(kept.manifest.list) <= 7
    assert large in kept.manifest.list
    assert everything(kept.open()) == everything(history)


def test_a_compaction_that_fails_loses_nothing(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "MOST_SMALL_PARTS", 2)
    history = kept.open()
    for hour in range(3):
        history.append(table([hour]), received_at=at(hour + 1), live=True)
    kept.manifest.fails = "after"
    with pytest.raises(DiskFull):
        history.append(table([3]), received_at=at(4), live=True)
    kept.manifest.fails = ""
    assert history.append(table([3]), received_at=at(4), live=True).new == 1
    assert everything(kept.open()) == everything(history)


def test_parts_of_another_tenant_are_refused(kept: Kept) -> None:
    kept.open("alice").append(table([0]), received_at=at(1), live=False)
    with pytest.raises(DamagedPart, match="another tenant"):
        kept.open("bob")


@pytest.mark.parametrize("kind", ["not parquet", "not ours"])
def test_a_part_that_is_not_one_is_a_typed_error(kept: Kept, kind: str) -> None:
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(pa.table({"a": [1]}), sink)
    content = b"PAR1, or rather not" if kind == "not parquet" else sink.getvalue().to_pybytes()
    kept.manifest.list.append(kept.blobs.put(content, ".parquet"))
    with pytest.raises(DamagedPart):
        kept.open()


def test_a_timeline_that_was_handed_out_stays_as_it_was_and_cannot_be_written(kept: Kept) -> None:
    history = kept.open()
    history.append(table(range(10)), received_at=at(10), live=False)
    timeline = line(history)
    before = seen(timeline, at(1_000))
    history.append(table([3, 10, 11], [1.0, 2.0, 3.0]), received_at=at(12), live=True)
    assert len(timeline.records) == 10
    assert seen(timeline, at(1_000)) == before
    with pytest.raises(ValueError, match="read-only"):
        timeline.records.close[0] = 0.0


def test_the_info_of_a_series_counts_bars_gaps_and_revisions(kept: Kept) -> None:
    history = kept.open()
    history.append(table([*range(400), *range(403, 500)]), received_at=at(600), live=False)
    history.append(table([499], [3.0]), received_at=at(600), live=True)
    (info,) = history.series()
    assert (info.symbol, info.timeframe, info.origin) == ("BTC", Timeframe.H1, "files")
    assert (info.n_bars, info.n_records, info.n_revisions) == (497, 498, 1)
    assert (info.n_missing, info.n_expected_missing) == (3, 3)
    assert (info.first_open, info.last_close, info.last_received_at) == (at(0), at(500), at(600))
    assert 0.99 < info.recent_quality < 1.0
    assert info.recent_usable_share > 0.99


def test_bars_go_from_files_to_memory_and_back_without_pandas_being_imported(tmp_path: Path) -> None:
    names = "timestamp,open,high,low,close,volume\n"
    (tmp_path / "X_1h.csv").write_text(f"{names}2024-01-01T00:00:00Z,1,2,0.5,1,7\n2024-01-01T01:00:00Z,1,2,0.5,1,\n")
    code = (
        "import sys; from pathlib import Path; from test_history import Kept, at;"
        "from market.bar_file import read_bar_file;"
        "folder = Path(sys.argv[1]); kept = Kept(folder); table = read_bar_file(folder / 'X_1h.csv');"
        "print(kept.open().append(table, received_at=at(9_999), live=False).new, len(kept.open().series()));"
        "print(sorted({'pandas', 'scipy', 'arch', 'polars'} & set(sys.modules)))"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent)])
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.stdout.split("\n")[:2], result.stderr) == (["1 1", "[]"], "")


def test_an_empty_table_makes_no_series(kept: Kept) -> None:
    history = kept.open()
    assert history.append(table([]), received_at=at(0), live=True).kept == 0
    assert history.append([], received_at=at(0), live=True).series == ()
    assert history.series() == ()
