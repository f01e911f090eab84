"""Many small parts of history become few, and a long one is not written again for their sake."""

from __future__ import annotations

from pathlib import Path

import pytest

from market import history as history_module
from tests.test_history import Kept, at, everything, table


def test_a_long_history_is_not_written_again_for_some_bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part that it came in is still there, while the bars that came since have become few parts."""
    monkeypatch.setattr(history_module, "MOST_SMALL_PARTS", 5)
    kept = Kept(tmp_path)
    history = kept.open()
    history.append(table(range(100)), received_at=at(100), live=False)
    archive = kept.manifest.list[0]
    for hour in range(100, 160):
        history.append(table([hour]), received_at=at(hour + 1), live=True)
        assert len(kept.manifest.list) <= 12
    assert archive in kept.manifest.list
    assert everything(kept.open()) == everything(history)
