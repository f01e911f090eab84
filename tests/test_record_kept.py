"""The track record on disk: a start reads sums, and the ledger is counted only where there are none of this code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from barograph import __version__
from commands.config import Config, Ledger, Models
from ml.bars import HOUR_MS
from ml.catalogue import CATALOGUE
from registry import counts
from registry.counts import Counted
from registry.faults import DiskFull
from registry.outcomes import Outcomes
from registry.record import REPLAY, Choice, RecordBook
from registry.store import Store, migrate, open_store
from server import House, build
from tests.conftest import NOW, HandClock, table
from tests.test_settle import asked
from tests.test_track_record import judged
from workers.settle import Settle

pytestmark = pytest.mark.anyio

VOLATILITY = next(one for one in CATALOGUE if one.name == "volatility")
REGIME = next(one for one in CATALOGUE if one.name == "regime")
CONFIG = Config(ledger=Ledger(flush_ms=1), models=Models(train=False))


@pytest.fixture
def opened(tmp_path: Path, clock: HandClock) -> Iterator[Callable[[], House]]:
    """Opens the same folder again and again."""
    houses: list[House] = []

    def open_() -> House:
        if houses:
            houses[-1].close()
        houses.append(build(CONFIG, tmp_path / "data", clock))
        if not houses[-1].history.series():
            houses[-1].history.append([table("AAA", seed=1), table("BBB", seed=2)], received_at=NOW, live=False)
        return houses[-1]

    yield open_
    houses[-1].close()


@pytest.fixture
def never_counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on nobody may read settled entries."""

    def refuse(*_: object) -> Any:
        raise AssertionError("the ledger is counted again")

    return lambda: monkeypatch.setattr(Outcomes, "settled", refuse)


async def some(house: House) -> None:
    """Answers of two capabilities, live and replayed, settled in part."""
    await asked(house, VOLATILITY, [NOW - n * HOUR_MS for n in range(20, 500, 7)], by=REPLAY)
    await asked(house, VOLATILITY, [NOW - n * HOUR_MS for n in range(20, 90, 11)], horizon="6h")
    await asked(house, REGIME, [NOW - n * HOUR_MS for n in range(20, 400, 9)], by=REPLAY)
    assert house.settle.settle(NOW).known > 50


def told(house: House) -> Any:
    """Everything that the record says."""
    book = house.settle.record
    return [
        (book.complete, book.standing(name, 0), book.lines(name, Choice()), book.lines(name, Choice(horizon="6h")))
        for name in ("volatility", "regime")
    ]


async def test_a_restart_has_the_record_at_once_without_counting(
    opened: Callable[[], House], never_counted: Callable[[], None]
) -> None:
    house = opened()
    await some(house)
    before = told(house)
    never_counted()
    again = opened()
    assert told(again) == before
    assert again.settle.record.complete
    again.settle.settle(NOW, everything=True)
    assert told(again) == before


async def test_what_settles_after_a_restart_is_added_as_if_there_had_been_none(
    opened: Callable[[], House], tmp_path: Path, clock: HandClock
) -> None:
    steady = build(CONFIG, tmp_path / "steady", clock)
    steady.history.append([table("AAA", seed=1), table("BBB", seed=2)], received_at=NOW, live=False)
    try:
        house = opened()
        for begin in (20, 500, 900):
            instants = [NOW - n * HOUR_MS for n in range(begin, begin + 300, 5)]
            for one in (steady, house):
                await asked(one, VOLATILITY, instants, by=REPLAY)
                one.settle.settle(NOW, everything=True)
            house = opened()
        assert told(house) == told(steady)
    finally:
        steady.close()


async def test_an_answer_that_was_counted_before_a_restart_is_not_counted_again_as_a_veto(
    opened: Callable[[], House],
) -> None:
    house = opened()
    await asked(house, VOLATILITY, [NOW - 30 * HOUR_MS])
    house.settle.settle(NOW)
    house = opened()
    await asked(house, VOLATILITY, [NOW - 30 * HOUR_MS], use="veto")
    assert house.settle.settle(NOW, everything=True).known == 1
    assert house.settle.record.standing("volatility", 0).tally.n == 1


async def test_sums_of_other_code_are_made_anew_and_kept(
    opened: Callable[[], House], never_counted: Callable[[], None]
) -> None:
    house = opened()
    await some(house)
    before = told(house)

    def settle(code: str) -> Settle:
        kept = Outcomes(house.store, "local", code)
        book, by_name = RecordBook(CATALOGUE), {one.name: one for one in CATALOGUE}
        return Settle(kept, book, by_name, house.ask.market, house.ledger.asked_through_all, house.clock)

    other = settle("another version")
    other.restore()
    assert not other.record.complete
    other.settle(NOW)
    assert other.record.lines("volatility", Choice()) == before[0][2]
    never_counted()
    settle("another version").settle(NOW)
    mine = settle(__version__)
    mine.restore()
    assert not mine.record.complete


async def test_where_sums_cannot_be_written_neither_are_outcomes_and_the_next_run_makes_it_good(
    opened: Callable[[], House], monkeypatch: pytest.MonkeyPatch
) -> None:
    house = opened()
    await some(house)
    published = house.settle.record.standing("volatility", 0)
    await asked(house, VOLATILITY, [NOW - n * HOUR_MS for n in range(600, 700, 7)], by=REPLAY)

    def full(*_: object) -> None:
        raise DiskFull("no space left")

    with monkeypatch.context() as broken:
        broken.setattr(counts, "write", full)
        with pytest.raises(DiskFull):
            house.settle.settle(NOW, everything=True)
    assert house.settle.record.standing("volatility", 0) == published, "what was published stands"
    assert house.settle.settle(NOW, everything=True).known == 15
    book = house.settle.record
    assert book.complete
    assert book.standing("volatility", 0).n_replayed == published.n_replayed + 15
    before = told(house)
    assert told(opened()) == before


async def test_a_count_that_is_killed_is_begun_again(
    opened: Callable[[], House], monkeypatch: pytest.MonkeyPatch
) -> None:
    house = opened()
    await some(house)
    before = told(house)
    with house.store.write() as connection:
        connection.exec_driver_sql("DELETE FROM record_forms")
    house = opened()
    assert not house.settle.record.complete

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(Outcomes, "recounted", killed)
        with pytest.raises(KeyboardInterrupt):
            house.settle.settle(NOW)
    house = opened()
    house.settle.settle(NOW)
    assert [one[2] for one in told(house)] == [one[2] for one in before]
    assert house.settle.record.complete


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 3_000), max_size=60), st.integers(0, 60))
def test_sums_go_to_disk_and_back_bit_for_bit(tmp_path: Path, hours: list[int], cut: int) -> None:
    whole, first = RecordBook(CATALOGUE), RecordBook(CATALOGUE)
    made = [judged(0, n=n, loss=0.1 + n / 7_000) for n in sorted(hours)]
    whole.add(made)
    first.add(made[:cut])
    second = RecordBook(CATALOGUE)
    second.restore(_through_disk(tmp_path, first.take_changes()))
    second.add(made[cut:])
    assert second.lines("volatility", Choice()) == whole.lines("volatility", Choice())


def _through_disk(folder: Path, counted: Counted) -> Counted:
    store: Store = open_store(folder / "state.sqlite")
    migrate(store)
    try:
        kept = Outcomes(store, "local", "test")
        kept.recounted(counted)
        found = kept.counted()
        assert found is not None
        return found
    finally:
        store.close()
