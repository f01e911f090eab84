"""The track record: how answers did, once their truth was known, by predictor; live and replayed never mixed.

It is kept in memory as weekly sums, and on disk beside the outcomes that they count (`registry.counts`); `settle` adds
to both. The short form that travels in every answer is worked out when outcomes change, not when somebody asks.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ml.capability import AnyCapability
from ml.evaluation.intervals import FEWEST_BLOCKS
from ml.evaluation.weeks import block_of
from registry.cells import Cells, Key, Tally, add, latest_week, tally
from registry.counts import Counted, UsualCounted, WeekCounted
from registry.judging import REPLAY, RULES, Judged, Series
from registry.usual import Usual

__all__ = ["ENOUGH_WEEKS", "REPLAY", "RULES", "WINDOW_WEEKS", "Choice", "Line", "RecordBook", "Standing", "verdict"]

#: The short form looks back this far from the newest judged answer.
WINDOW_WEEKS = 52
#: Fewer weeks prove nothing (the gate of capabilities asks for as many).
ENOUGH_WEEKS = 52


@dataclass(frozen=True, slots=True)
class Standing:
    """The short form: all judged answers of a predictor, counted, and the figures of the last `WINDOW_WEEKS` of them.
    `live` says which answers the figures are of: live ones, once they span eight weeks, else replayed ones; None
    where nothing was judged."""

    n_live: int
    n_replayed: int
    live: bool | None
    tally: Tally


NOTHING = Standing(0, 0, None, tally((), 0))


@dataclass(frozen=True, slots=True)
class Choice:
    """Which answers are asked about; None takes all. `weeks` counts back from the newest judged answer."""

    symbol: str | None = None
    horizon: str | None = None
    version: int | None = None
    weeks: int | None = None

    def takes(self, series: Series) -> bool:
        return self.symbol in (None, series.symbol) and self.horizon in (None, series.horizon)


@dataclass(frozen=True, slots=True)
class Line:
    """How one predictor did on the chosen answers, live or replayed."""

    version: int
    live: bool
    tally: Tally


class RecordBook:
    """Track records of one tenant. Written by one thread, read by any."""

    def __init__(self, capabilities: Iterable[AnyCapability], seed: int = 0) -> None:
        self._capabilities: Mapping[str, AnyCapability] = {one.name: one for one in capabilities}
        self._seed = seed
        self._lock = threading.Lock()
        self._cells: dict[tuple[str, int], Cells] = defaultdict(dict)
        self._usual: dict[tuple[str, Series], Usual] = {}
        self._counted: dict[tuple[str, int, Series], int] = {}
        self._changed: set[tuple[str, int]] = set()
        self._touched: dict[tuple[str, int, Key], int] = {}
        self._came: set[tuple[str, Series, int]] = set()
        self._standings: Mapping[tuple[str, int], Standing] = {}
        self.complete = False
        """Whether all that has settled is counted here."""

    def add(self, judged: Sequence[Judged]) -> None:
        """Counts judged answers, in the order of their series. One answer given twice (as advice and as veto, say)
        counts once where the two come one after the other."""
        with self._lock:
            weeks = block_of(np.array([one.at for one in judged], dtype=np.int64)).tolist()
            for one, week in zip(judged, weeks, strict=True):
                self._add(one, week)

    def take_changes(self) -> Counted:
        """The sums that `add` has changed since this was last asked."""
        with self._lock:
            touched, self._touched = self._touched, {}
            came, self._came = self._came, set()
            return Counted(
                [
                    WeekCounted(name, version, key, at, self._cells[name, version][key].copy())
                    for (name, version, key), at in touched.items()
                    if key in self._cells[name, version]
                ],
                [
                    UsualCounted(
                        name, series, self._usual[name, series].horizon_ms, week, self._usual[name, series].week(week)
                    )
                    for name, series, week in came
                ],
            )

    def restore(self, counted: Counted) -> None:
        """Puts back all sums, in the place of whatever was here. Those of capabilities that are gone are left out."""
        self.forget()
        with self._lock:
            for one in counted.weeks:  # oldest first: the newest answer of a series is the last
                if one.capability in self._capabilities:
                    self._cells[one.capability, one.version][one.key] = one.sums
                    self._counted[one.capability, one.version, one.key.series] = one.newest_at
                    self._changed.add((one.capability, one.version))
            for said in counted.usual:
                if said.capability in self._capabilities:
                    self._usual_of(said.capability, said.series, said.horizon_ms).restore(said.week, said.came)
            self.complete = True

    def forget(self) -> None:
        """Back to the beginning: what is here may be ahead of what is on disk."""
        with self._lock:
            for kept in (self._cells, self._usual, self._counted, self._changed, self._touched, self._came):
                kept.clear()
            self.complete = False

    def publish(self) -> None:
        """Works out the short forms that have changed, for all answers from now on."""
        with self._lock:
            changed, self._changed = self._changed, set()
            new = {who: self._standing(self._cells[who], self._own(who[0])) for who in changed}
        if new:
            self._standings = {**self._standings, **new}

    def standing(self, capability: str, version: int) -> Standing:
        """The short form, as last published: one look into a table."""
        return self._standings.get((capability, version), NOTHING)

    def lines(self, capability: str, choice: Choice) -> list[Line]:
        """The full record: a line for each version, live and replayed apart, newest version first. Takes some
        milliseconds per thousand series-weeks."""
        with self._lock:
            chosen = {
                version: {key: cell.copy() for key, cell in cells.items() if choice.takes(key.series)}
                for (name, version), cells in self._cells.items()
                if name == capability and choice.version in (None, version)
            }
        newest = max((week for cells in chosen.values() if (week := latest_week(cells)) is not None), default=0)
        first = newest - choice.weeks + 1 if choice.weeks is not None else None
        found = []
        for version, cells in sorted(chosen.items(), reverse=True):
            for live in (True, False):
                said = tally(
                    ((k, c) for k, c in cells.items() if k.live is live and (first is None or k.week >= first)),
                    self._seed,
                    self._own(capability),
                )
                if said.n:
                    found.append(Line(version, live, said))
        return found

    def _add(self, one: Judged, week: int) -> None:
        same = (one.capability, one.version, one.series)
        if self._counted.get(same) == one.at:
            return
        self._counted[same] = one.at
        usual, key = self._usual_of(one.capability, one.series, one.horizon_ms), Key(one.live, one.series, week)
        add(self._cells[one.capability, one.version], key, one, usual.loss(week, one.truth))
        usual.add(week, one.truth)
        self._changed.add((one.capability, one.version))
        self._touched[one.capability, one.version, key] = one.at
        self._came.add((one.capability, one.series, week))

    def _usual_of(self, capability: str, series: Series, horizon_ms: int) -> Usual:
        place = capability, series
        if place not in self._usual:
            self._usual[place] = Usual(self._capabilities[capability], horizon_ms)
        return self._usual[place]

    def _own(self, capability: str) -> tuple[str, ...]:
        """Its own figures, by name."""
        return tuple(self._capabilities[capability].figures) if capability in self._capabilities else ()

    def _standing(self, cells: Cells, own: tuple[str, ...]) -> Standing:
        counts = {
            live: tally(((k, c) for k, c in cells.items() if k.live is live), self._seed).n for live in (True, False)
        }
        for live, fewest in ((True, FEWEST_BLOCKS), (False, 1), (True, 1)):
            newest = latest_week(cells, live)
            if newest is None:
                continue
            window = tally(
                ((k, c) for k, c in cells.items() if k.live is live and k.week > newest - WINDOW_WEEKS), self._seed, own
            )
            if window.weeks >= fewest:
                return Standing(counts[True], counts[False], live, window)
        return NOTHING


def verdict(version: int, said: Tally) -> str:
    """One line that says whether the evidence suffices, and for what."""
    if not said.n:
        return "no answer has met its truth here yet"
    span = f"{said.weeks} week{'s' if said.weeks != 1 else ''}"
    ratio = said.against_usual if version == RULES else said.against_rules
    other = "climatology" if version == RULES else "the rules"
    rules = "these are the rules, ratio 1 by definition; " if version == RULES else ""
    if ratio is None:
        return f"{rules}insufficient: {span}, nothing to compare with {other} yet"
    if ratio.interval is None:
        return f"{rules}insufficient: {span} of {ENOUGH_WEEKS}, loss {ratio.point:.3f} x {other}"
    low, high = ratio.interval.low, ratio.interval.high
    what = "better than" if high < 1.0 else "worse than" if low > 1.0 else "not distinguishable from"
    compared = f"{ratio.blocks} week{'s' if ratio.blocks != 1 else ''}"
    enough = "sufficient:" if ratio.blocks >= ENOUGH_WEEKS else f"insufficient ({compared} of {ENOUGH_WEEKS}), so far"
    return f"{rules}{enough} {what} {other}, loss {ratio.point:.3f} x ({low:.3f}-{high:.3f}) over {ratio.blocks} weeks"
