"""Whatever comes, in whatever order and whatever the clock says: an answer that was given stands."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.dirty_streams import streams
from market import history as history_module
from market.history import History
from ml.bars import Timeframe
from tests.test_history import Kept, at, everything, line, seen, table

HOURS = st.integers(0, 40)
BARS = st.lists(st.tuples(HOURS, st.sampled_from([100.0, 101.0, 102.0])), min_size=1, max_size=12)
CLOCK = st.floats(-20.0, 60.0)
FEED = st.tuples(st.just("feed"), BARS, CLOCK, st.booleans())
ASK = st.tuples(st.just("ask"), CLOCK)
RESTART = st.tuples(st.just("restart"))
STEPS = st.lists(st.one_of(FEED, FEED, ASK, RESTART), min_size=2, max_size=14)


class Witness:
    """Asks, remembers what was seen, and checks it after everything that happens."""

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.history = kept.open()
        self.answers: dict[int, bytes] = {}

    def feed(self, bars: Sequence[tuple[int, float]], clock: float, live: bool) -> None:
        hours, closes = zip(*bars, strict=True)
        fed = table(hours, closes)
        receipt = self.history.append(fed, received_at=at(clock), live=live)
        assert receipt.kept + receipt.repeated + receipt.n_refused == len(bars)

    def ask(self, clock: float) -> None:
        self.history.seal("BTC", Timeframe.H1, at(clock))
        timeline = self.history.timeline("BTC", Timeframe.H1)
        if timeline is not None:
            self.answers[at(clock)] = seen(timeline, at(clock))

    def restart(self) -> None:
        before = everything(self.history)
        self.history = self.kept.open()
        assert everything(self.history) == before
        for as_of in self.answers:
            self.history.seal("BTC", Timeframe.H1, as_of)

    def check(self) -> None:
        if self.history.timeline("BTC", Timeframe.H1) is None:
            return
        timeline = line(self.history)
        assert (np.diff(timeline.received_at) >= 0).all()
        assert (timeline.received_at >= timeline.records.close_at).all()
        for as_of, answer in self.answers.items():
            assert seen(timeline, as_of) == answer


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_no_arrival_changes_an_answer_already_given_and_no_restart_changes_a_bit(
    steps: list[tuple[object, ...]],
) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(history_module, "MOST_SMALL_PARTS", 3),
        patch.object(history_module, "LARGE_PART_ROWS", 15),
    ):
        witness = Witness(Kept(Path(folder)))
        for what, *rest in steps:
            getattr(witness, str(what))(*rest)
            witness.check()
        witness.restart()
        _knows_it_all_already(witness.history)


def _knows_it_all_already(history: History) -> None:
    if history.timeline("BTC", Timeframe.H1) is None:
        return
    latest = line(history).latest()
    hours = [(int(open_at) - at(0)) // 3_600_000 for open_at in latest.open_at]
    before = everything(history)
    receipt = history.append(table(hours, latest.close.tolist()), received_at=at(100), live=True)
    assert receipt.repeated == len(latest)
    assert everything(history) == before


@pytest.mark.anyio
async def test_no_capability_answers_otherwise_when_late_and_revised_bars_have_come() -> None:
    """`make proof` has thousands of these streams."""
    live, replayed = await streams([9_001, 9_002, 9_003, 9_004])
    assert len(live) > 1
    assert live == replayed
    assert len({said for one in live for said in one.said.values()}) > len(live), "they do say this and that"
