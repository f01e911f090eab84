"""The feature store keeps each row once, for ever, and describes those that may train."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from market import feature_store as store_module
from market.bar_part import encoded as bar_part
from market.feature_row import FeatureRow
from market.feature_store import FeatureStore
from market.parquet import DamagedPart
from market.quality import USABLE
from market.records import Records
from ml.bars import HOUR_MS, Floats, Timeframe
from ml.checks import bars_for_laws
from registry.blobs import Blobs
from registry.manifest import Manifest
from registry.store import Store, migrate, open_store

START = 1_700_000_000_000
NAMES = ("rsi_14", "log_return_1", "sma_10")
FOR_EVER = 10**15


class Full(Exception):  # noqa: N818 - stands for the DiskFull of the registry
    pass


class FailingManifest(Manifest):
    """Fails before or after it has done what it was asked to."""

    fails = ""

    def swap(self, kind: str, *, add: str, n_rows: int, remove: Sequence[str] = (), at: int) -> None:
        if self.fails == "before":
            raise Full
        super().swap(kind, add=add, n_rows=n_rows, remove=remove, at=at)
        if self.fails == "after":
            raise Full


class Kept:
    """A data folder, and the feature stores that are opened on it."""

    def __init__(self, root: Path, state: Store) -> None:
        self.manifest = FailingManifest(state, "local")
        self.blobs = Blobs(root / "blobs")

    def open(self, tenant: str = "local") -> FeatureStore:
        features = FeatureStore(self.manifest, self.blobs, tenant)
        features.load()
        return features


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    state = open_store(tmp_path / "state.sqlite")
    migrate(state)
    yield Kept(tmp_path, state)
    state.close()


def at(hour: int) -> int:
    return START + hour * HOUR_MS


def row(
    hour: int, values: Sequence[float] = (50.0, 0.01, 7.0), symbol: str = "AAA", quality: float = 1.0, **more: object
) -> FeatureRow:
    names: tuple[str, ...] = more.get("names", NAMES)  # type: ignore[assignment]  # keywords of a test's own
    timeframe: Timeframe = more.get("timeframe", Timeframe.H1)  # type: ignore[assignment]  # keywords of a test's own
    return FeatureRow(symbol, timeframe, at(hour), at(hour) - 1, names, np.array(values, dtype=float), quality)


def same(found: FeatureRow, expected: FeatureRow) -> bool:
    return (
        (found.symbol, found.timeframe, found.as_of, found.data_through, found.names, found.quality)
        == (
            expected.symbol,
            expected.timeframe,
            expected.as_of,
            expected.data_through,
            expected.names,
            expected.quality,
        )
    ) and found.values.tobytes() == expected.values.tobytes()


def test_rows_come_back_as_they_were_kept_from_another_process_too(kept: Kept) -> None:
    rows = [
        row(1, (50.0, np.nan, 7.0)),
        row(2, (51.0, -0.5, 1e15)),
        row(1, symbol="BBB"),
        row(1, timeframe=Timeframe.D1),
    ]
    features = kept.open()
    assert features.append(rows, at(2)) == 4
    for opened in (features, kept.open()):
        found = opened.rows("AAA", Timeframe.H1, 0, FOR_EVER)
        assert [same(one, expected) for one, expected in zip(found, rows[:2], strict=True)] == [True, True]
        assert opened.newest()["AAA", Timeframe.H1].as_of == at(2)
        assert opened.newest()["AAA", Timeframe.D1].data_through == at(1) - 1
    assert kept.open().rows("AAA", Timeframe.H1, at(2), at(2))[0].values[0] == 51.0
    assert kept.open().rows("CCC", Timeframe.H1, 0, FOR_EVER) == ()


def test_the_same_rows_again_change_nothing(kept: Kept) -> None:
    features = kept.open()
    assert features.append([row(1), row(2), row(2)], at(2)) == 2
    parts = kept.manifest.parts("features")
    assert features.append([row(1), row(2)], at(2)) == 0
    assert kept.open().append([row(2), row(1)], at(2)) == 0
    assert kept.manifest.parts("features") == parts


def test_a_row_that_was_kept_never_changes_whatever_comes_later(kept: Kept) -> None:
    features = kept.open()
    first = row(5, (50.0, 0.01, 7.0))
    features.append([first], at(5))
    later = [row(5, (99.0, 9.0, 9.0)), row(6, (60.0, 0.0, 7.0)), row(4), row(6, (99.0, 9.0, 9.0))]
    assert features.append(later, at(6)) == 2
    found = kept.open().rows("AAA", Timeframe.H1, 0, FOR_EVER)
    assert [one.as_of for one in found] == [at(4), at(5), at(6)]
    assert same(found[1], first)
    assert found[2].values[0] == 60.0
    assert features.newest()["AAA", Timeframe.H1].as_of == at(6)


def test_a_row_has_the_features_that_it_was_kept_with_whatever_others_have(kept: Kept) -> None:
    features = kept.open()
    old, new = row(1, (50.0,), names=("rsi_14",)), row(2, (np.nan, 3.0), names=("rsi_14", "adx_14"))
    features.append([old, new], at(2))
    features.append([row(3, (4.0,), names=("mfi_14",))], at(3))
    found = kept.open().rows("AAA", Timeframe.H1, 0, FOR_EVER)
    assert [one.names for one in found] == [("rsi_14",), ("rsi_14", "adx_14"), ("mfi_14",)]
    assert np.isnan(found[1].values[0])
    summaries = {(one.symbol, one.feature): one.n for one in features.statistics(Timeframe.H1, FOR_EVER)}
    assert (summaries[None, "rsi_14"], summaries[None, "adx_14"], summaries["AAA", "mfi_14"]) == (1, 1, 1)


def test_many_small_parts_become_one_and_no_row_is_lost(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MOST_SMALL_PARTS", 3)
    monkeypatch.setattr(store_module, "LARGE_PART_ROWS", 6)
    features = kept.open()
    rows = [row(hour, (hour, np.nan, 1.0 / (hour + 1))) for hour in range(20)]
    for one in rows:
        features.append([one], one.as_of)
        assert len(kept.manifest.parts("features")) <= 3 + 1 + 20 // 4
    for opened in (features, kept.open()):
        found = opened.rows("AAA", Timeframe.H1, 0, FOR_EVER)
        assert [same(one, expected) for one, expected in zip(found, rows, strict=True)] == [True] * 20
    assert len(kept.manifest.parts("features")) < 10


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_append_that_failed_can_be_made_again(kept: Kept, when: str) -> None:
    features = kept.open()
    features.append([row(1)], at(1))
    kept.manifest.fails = when
    with pytest.raises(Full):
        features.append([row(2)], at(2))
    kept.manifest.fails = ""
    features.append([row(2), row(3)], at(3))
    for opened in (features, kept.open()):
        assert [one.as_of for one in opened.rows("AAA", Timeframe.H1, 0, FOR_EVER)] == [at(1), at(2), at(3)]


def test_rows_of_another_tenant_are_refused(kept: Kept) -> None:
    kept.open().append([row(1)], at(1))
    with pytest.raises(DamagedPart, match="belongs to another tenant"):
        kept.open("other")


def test_a_part_of_something_else_is_refused(kept: Kept) -> None:
    bars = bars_for_laws(np.random.default_rng(1), Timeframe.H1, 3, "AAA")
    records = Records(bars, "files", bars.close_at, np.zeros(3, dtype=np.int64), np.ones(3))
    kept.manifest.swap("features", add=kept.blobs.put(bar_part([records], "local"), ".parquet"), n_rows=3, at=START)
    with pytest.raises(DamagedPart, match=r"is not of format barograph.features/1"):
        kept.open()


def test_a_row_from_the_future_is_refused(kept: Kept) -> None:
    with pytest.raises(ValueError, match="later than"):
        kept.open().append([row(3)], at(2))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"names": ("rsi_14", "quality", "x")}, r"none of symbol, timeframe, as_of.*\['quality'\]"),
        ({"names": ('a"b', "c", "d")}, "names like rsi_14"),
        ({"names": ("a", "a", "b")}, "different names"),
        ({"names": ("a", "b")}, r"2 features have values of shape \(3,\)"),
        ({"values": (1.0, np.inf, 2.0)}, "log_return_1 is infinite"),
        ({"quality": 1.5}, r"quality is 1.5"),
        ({"quality": float("nan")}, "quality is nan"),
    ],
)
def test_a_row_that_cannot_be_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        row(1, **wrong)  # type: ignore[arg-type]  # what is wrong here


def described(values: Floats) -> tuple[float, ...]:
    finite = values[np.isfinite(values)]
    low, middle, high = np.quantile(finite, (0.25, 0.5, 0.75))
    return (len(finite), finite.mean(), finite.std(), finite.min(), finite.max(), middle, high - low)


def test_statistics_agree_with_numpy_per_symbol_and_over_all(kept: Kept) -> None:
    random = np.random.default_rng(3)
    names = tuple(f"f_{k}" for k in range(20))  # more than one query
    values = {symbol: random.lognormal(2, 1.5, (300, 20)) * random.choice([1, -1], (300, 20)) for symbol in "AB"}
    for matrix in values.values():
        matrix[random.random((300, 20)) < 0.1] = np.nan
        matrix[:, 7] += 1e9
    features = kept.open()
    features.append(
        [row(i, one, symbol=symbol, names=names) for symbol in "AB" for i, one in enumerate(values[symbol])], at(400)
    )
    found = {(one.symbol, one.feature): one for one in features.statistics(Timeframe.H1, FOR_EVER)}
    assert len(found) == 3 * 20
    every = np.concatenate([values["A"], values["B"]])
    for symbol, matrix in (("A", values["A"]), ("B", values["B"]), (None, every)):
        for k, name in enumerate(names):
            one = found[symbol, name]
            np.testing.assert_allclose(
                (one.n, one.mean, one.sd, one.low, one.high, one.median, one.iqr),
                described(matrix[:, k]),
                rtol=1e-9,
                err_msg=f"{symbol} {name}",
            )


def test_only_rows_of_good_quality_known_by_then_and_of_the_timeframe_are_described(kept: Kept) -> None:
    features = kept.open()
    features.append(
        [
            row(1, (10.0, 0.0, 1.0)),
            row(2, (20.0, 0.0, 1.0), quality=float(np.nextafter(USABLE, 1))),
            row(3, (1e9, 0.0, 1.0), quality=USABLE),
            row(4, (1e9, 0.0, 1.0), quality=0.0),
            row(5, (30.0, 0.0, 1.0)),
            row(1, (1e9, 0.0, 1.0), timeframe=Timeframe.D1),
            row(1, (1e9, 0.0, 1.0), symbol="BAD", quality=0.2),
        ],
        at(5),
    )

    def of_rsi(until: int) -> dict[str | None, tuple[int, float]]:
        return {s.symbol: (s.n, s.mean) for s in features.statistics(Timeframe.H1, until) if s.feature == "rsi_14"}

    assert of_rsi(at(5)) == {None: (3, 20.0), "AAA": (3, 20.0)}
    assert of_rsi(at(4)) == {None: (2, 15.0), "AAA": (2, 15.0)}
    assert of_rsi(at(0)) == {}


def test_a_feature_that_never_varied_has_no_spread_and_one_never_seen_no_mean(kept: Kept) -> None:
    features = kept.open()
    features.append([row(hour, (0.1, np.nan, hour)) for hour in range(7)], at(7))
    still, unseen, moving = features.statistics(Timeframe.H1, FOR_EVER)[:3]
    assert (still.mean, still.sd, still.iqr, still.median) == (0.1, 0.0, 0.0, 0.1)
    assert unseen.n == 0
    assert np.isnan([unseen.mean, unseen.sd, unseen.low, unseen.high, unseen.median, unseen.iqr]).all()
    assert (moving.n, moving.mean, moving.median) == (7, 3.0, 3.0)


def test_a_store_without_rows_describes_nothing(kept: Kept) -> None:
    assert kept.open().statistics(Timeframe.H1, FOR_EVER) == ()
    assert kept.open().append([], at(1)) == 0
    assert kept.open().newest() == {}
