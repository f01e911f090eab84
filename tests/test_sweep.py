"""The sweep: what nothing refers to any more goes, after a grace, and nothing else ever does."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from commands.running import scheduled
from market import history as history_module
from market.bar_table import checked
from ml.bars import DAY_MS, HOUR_MS
from registry.blobs import Blobs
from registry.jobs import JobRuns
from registry.store import Store
from registry.tables import job_runs
from server import House, build
from tests.conftest import NOW, HandClock, hourly
from tests.test_models_served import crowned, opened, registered
from workers.schedule import Ran
from workers.sweep import DONE_MS, FAILED_MS, GRACE_MS

pytestmark = pytest.mark.anyio

PART = ".parquet"


def blobs(house: House) -> Path:
    return next((Path(house.store.path).parent / "blobs").iterdir())


def aged(folder: Path, at: int) -> None:
    """All files are as of `at` (ms): the file system has a clock of its own."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # it may be on its way in or out
            os.utime(path, ns=(at * 1_000_000, at * 1_000_000))


def grown(house: House, clock: HandClock, monkeypatch: pytest.MonkeyPatch, bars: int = 12) -> None:
    """Bars one by one, so that parts are made one again and again."""
    monkeypatch.setattr(history_module, "MOST_SMALL_PARTS", 3)
    every = hourly("AAA", seed=1, n=120 * 24 + bars, end=NOW + bars * HOUR_MS)
    for i in range(bars):
        one = every.between(120 * 24 + i, 120 * 24 + i + 1)
        clock.at = NOW + (i + 1) * HOUR_MS
        house.history.append(checked(one, "files"), received_at=clock.at, live=True)


async def test_parts_that_were_replaced_go_after_a_day_and_history_is_as_it_was(
    house: House, clock: HandClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown(house, clock, monkeypatch)
    schedule = scheduled(house, [], NOW)
    for name in ("features", "feature_statistics"):
        assert await schedule.fire(name) is Ran.DONE
    before = sorted(path.name for path in blobs(house).iterdir())
    aged(blobs(house), clock.at - GRACE_MS)
    assert house.sweep.once() == (0, 0), "not yet"
    aged(blobs(house), clock.at - GRACE_MS - 1)
    assert await schedule.fire("sweep") is Ran.DONE
    left = sorted(path.name for path in blobs(house).iterdir())
    assert len(left) < len(before)
    assert house.sweep.once() == (0, 0)
    again = build(house.config, _copied(tmp_path), clock)
    try:
        found, kept = (one.history.timeline("AAA", "1h") for one in (again, house))  # type: ignore[arg-type]  # a timeframe is its text
        assert found is not None
        assert kept is not None
        assert found.records.close.tolist() == kept.records.close.tolist()
        assert again.features.newest() == house.features.newest()
        assert again.summaries.in_force("1h", clock.at + DAY_MS)  # type: ignore[arg-type]  # a timeframe is its text
    finally:
        again.close()


async def test_artefacts_of_every_version_stay_whatever_became_of_it(tmp_path: Path, clock: HandClock) -> None:
    house = opened(tmp_path / "data", clock)
    try:
        crowned(house, 0.9)
        house.versions.reject("volatility", registered(house, 0.8), ["a test wants it"], "test", NOW)
        house.versions.retire("volatility", registered(house, 0.7), ["a test wants it"], "test", NOW)
        orphan = house.trainer.blobs.put(b"of a training that was killed before it was registered", ".artefact")
        other = blobs(house) / f"{'0' * 64}.later"
        other.write_bytes(b"a kind of file that is not ours to judge")
        aged(blobs(house), NOW - GRACE_MS - 1)
        assert house.sweep.once()[0] == 1
        left = {path.name for path in blobs(house).iterdir()}
        assert f"{orphan}.artefact" not in left
        assert other.name in left
        assert len(left) == 4
    finally:
        house.close()


async def test_a_part_that_is_replaced_now_stays_for_whoever_reads_it(
    house: House, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown(house, clock, monkeypatch, bars=3)
    aged(blobs(house), NOW - 10 * DAY_MS)
    grown_to = len(list(blobs(house).iterdir()))
    every = hourly("AAA", seed=1, n=120 * 24 + 5, end=NOW + 5 * HOUR_MS)
    clock.at = NOW + 5 * HOUR_MS
    house.history.append(checked(every.between(120 * 24 + 3, 120 * 24 + 5), "files"), received_at=clock.at, live=True)
    assert house.sweep.once()[0] == 0, "replaced a moment ago, though written days ago"
    assert len(list(blobs(house).iterdir())) >= grown_to


async def test_content_that_is_put_again_before_anything_refers_to_it_is_young(tmp_path: Path) -> None:
    kept = Blobs(tmp_path)
    sha256 = kept.put(b"the same bars once more", PART)
    aged(tmp_path, NOW)
    assert kept.put(b"the same bars once more", PART) == sha256
    assert kept.sweep([PART], (), older_than=NOW + 1) == 0
    assert kept.read(sha256, PART) == b"the same bars once more"


def test_puts_beside_a_sweep_never_lose_what_they_put(tmp_path: Path) -> None:
    kept, stop = Blobs(tmp_path), threading.Event()
    contents = [bytes([n]) * 100 for n in range(8)]
    whole: list[bool] = []

    def put() -> None:
        while not stop.is_set():
            for content in contents:
                aged(tmp_path, 0)
                sha256 = kept.put(content, PART)
                whole.append(kept.path(sha256, PART).read_bytes() == content)

    writer = threading.Thread(target=put)
    writer.start()
    swept = 0
    try:
        while len(whole) < 100 and writer.is_alive():
            swept += kept.sweep([PART], (), older_than=NOW)
    finally:
        stop.set()
        writer.join()
    assert swept
    assert whole
    assert all(whole)


@pytest.mark.parametrize("dies_at", [1, 2, 4])
async def test_a_sweep_that_is_killed_leaves_a_history_that_opens_and_the_next_goes_on(
    house: House, clock: HandClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    grown(house, clock, monkeypatch)
    aged(blobs(house), NOW - 10 * DAY_MS)
    unlink = Path.unlink
    gone: list[Path] = []

    def dying(path: Path, missing_ok: bool = False) -> None:
        if len(gone) == dies_at:
            raise KeyboardInterrupt
        gone.append(path)
        unlink(path, missing_ok)

    with monkeypatch.context() as killed:
        killed.setattr(Path, "unlink", dying)
        with pytest.raises(KeyboardInterrupt):
            house.sweep.once()
    again = build(house.config, _copied(tmp_path), clock)
    try:
        assert len(again.history.series()) == 2
        assert again.sweep.once()[0] > 0
        again.history.load()
    finally:
        again.close()


def ran(job: str, at: int, state: str = "done", tenant: str = "local") -> dict[str, object]:
    return {"tenant": tenant, "job": job, "slot": at, "state": state, "claimed_at": at}


def test_runs_that_are_long_over_go_and_the_newest_of_each_job_never_does(store: Store) -> None:
    hours = range(NOW, NOW - 100 * DAY_MS, -HOUR_MS)  # a hundred days of an hourly job that fails at midnight
    rows = [ran("hourly", at, "failed" if at % DAY_MS == 0 else "done") for at in hours]
    lone = [("yearly", NOW - 300 * DAY_MS, "done"), ("killed", NOW - 200 * DAY_MS, "running")]
    rows += [*(ran(*one) for one in lone), ran("hourly", 1, tenant="other")]
    with store.write() as connection:
        connection.execute(insert(job_runs), rows)
    runs = JobRuns(store, "local")
    removed = runs.prune(done_before=NOW - DONE_MS, failed_before=NOW - FAILED_MS)
    with store.read() as connection:
        left = {(row.job, row.slot) for row in connection.execute(select(job_runs))}
    assert left == {
        *(("hourly", at) for at in hours if at >= NOW - DONE_MS),
        *(("hourly", at) for at in hours if at >= NOW - FAILED_MS and at % DAY_MS == 0),
        *((job, at) for job, at, _ in lone),
        ("hourly", 1),
    }
    assert removed == len(rows) - len(left)
    assert not any(runs.claim(job, at, NOW) for job, at, _ in lone), "their slots are the newest that may come again"


def test_many_runs_go_in_groups_so_that_others_may_write(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.jobs.GROUP", 7)
    runs = JobRuns(store, "local")
    for slot in range(40):
        runs.claim("often", slot, slot)
        runs.finish("often", slot, slot)
    assert runs.prune(done_before=NOW, failed_before=NOW) == 39
    assert runs.prune(done_before=NOW, failed_before=NOW) == 0


def _copied(tmp_path: Path) -> Path:
    """The folder as a process that was killed leaves it."""
    return Path(shutil.copytree(tmp_path / "data", tmp_path / "copy"))
