"""Reading observations back: all parts at once, or, of what memory would not hold, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from market.mapped import Mapped
from market.observed_part import FORMAT, Feeding, decoded
from market.observed_series import ObservedSeries
from market.parquet import stamp
from ml.observed import Kind, Observed

#: Of a kind that is mapped, no more rows than these are in memory at a time, unless a part alone holds more.
MOST_ROWS = 50_000


def read_back(kind: Kind, paths: Sequence[Path], mapped: Mapped | None) -> dict[str, ObservedSeries]:
    """The series of these parts by symbol; with `mapped` their numbers lie there. Raises DamagedPart, and OSError where
    there is no room for what is mapped."""
    found: dict[str, ObservedSeries] = {}
    mixed: set[str] = set()
    for group in _groups(paths) if mapped else [paths]:
        for one in decoded(kind, group):
            series = found.setdefault(one.records.symbol, _series(one, mapped))
            if _continues(series, one.records):
                _take(series, one.records)
            else:
                mixed.add(one.records.symbol)
    for symbol in mixed:  # its parts do not follow each other: they are read together
        for one in decoded(kind, paths, symbol):
            found[symbol] = _series(one, mapped)
            _take(found[symbol], one.records)
    return found


def _groups(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    group: list[Path] = []
    held = 0
    for path in paths:
        rows = stamp(path, FORMAT).n_rows
        if group and held + rows > MOST_ROWS:
            yield group
            group, held = [], 0
        group.append(path)
        held += rows
    if group:
        yield group


def _series(one: Feeding, mapped: Mapped | None) -> ObservedSeries:
    return ObservedSeries(one.records.kind, one.records.symbol, one.origin, mapped)


def _continues(series: ObservedSeries, records: Observed) -> bool:
    """Whether all of it came later than what is there; at the same millisecond, for later times."""
    if not len(series):
        return True
    first = int(records.received_at[0]), int(records.at[0])
    return first > (series.newest_received_at, int(series.just_told().max()))


def _take(series: ObservedSeries, records: Observed) -> None:
    series.put(records)
    series.publish(len(records))
