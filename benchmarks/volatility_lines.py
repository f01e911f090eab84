"""The lines of the volatility table: a walk forward of the learner, beside the rules and log-HAR, by horizon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.learn_volatility import QUARTER_MS, STAGES, Judged, table, walk
from benchmarks.price_files import instant, read
from benchmarks.skill_table import Column, Figure, Line, Table, quoted
from benchmarks.skill_volatility import interval
from benchmarks.volatility_baselines import losses
from ml.bars import DAY_MS, WEEK_MS, Floats, Timeframe
from ml.volatility.learner import LEARNER

HOURS = (6.0, 12.0, 24.0, 48.0)
YEARS, REFIT_DAYS, JUDGE_EVERY = 3.0, 91, 5


@dataclass(frozen=True, slots=True)
class Market:
    """Late years of a market, and what is asked of the model there: the ratio to log-HAR by horizon, None where there
    is no goal."""

    stage: str
    title: str
    begin: str
    end: str
    goals: tuple[float | None, ...]
    musts: tuple[float, ...]
    specified: tuple[Line, ...]


def _quoted(who: str, *ratios: float | None) -> Line:
    return quoted(f"specification: {who}", *ratios, *(None,) * 5)


MARKETS = (
    Market(
        "crypto",
        "crypto, hourly",
        "2022-01-01",
        "2024-07-01",
        (0.79, 0.79, 0.83, 0.85),
        (0.84, 0.86, 0.91, 0.92),
        (
            _quoted("rolling std 24 h", 1.28, None, 1.65, 1.97),
            _quoted("GARCH(1,1)-t", 1.00, 1.04, 1.12, 1.27),
            _quoted("HAR + range + season", 0.87, 0.90, 0.95, 0.96),
            _quoted("gradient boosting, gamma loss", 0.82, 0.84, 0.87, 0.90),
            _quoted("MLP on QLIKE, pooled", 0.807, 0.808, 0.856, 0.875),
            _quoted("log-average ensemble", 0.809, 0.813, 0.848, 0.861),
        ),
    ),
    Market(
        "fx",
        "FX, hourly",
        "2016-01-01",
        "2019-01-01",
        (0.77, None, 0.94, None),
        (),
        (_quoted("measured", 0.789, None, 0.955, None),),
    ),
)


def tables(data: Path) -> Iterator[Table]:
    """One per market of `MARKETS`, as soon as it is walked."""
    for market in MARKETS:
        bars = [read(data, file, Timeframe.H1) for file in STAGES[market.stage]]
        begin, end = instant(market.begin), instant(market.end)
        taught = table(bars, begin - int(YEARS * 366 * DAY_MS), end, LEARNER.every_bars)
        begins = list(range(begin, end, REFIT_DAYS * DAY_MS))
        cpu = time.process_time()
        asked = table(bars, begin, end, JUDGE_EVERY)
        judged = walk(taught, asked, begins, end, YEARS)
        cpu = time.process_time() - cpu
        assert np.array_equal(judged.as_of, asked.rows.as_of)  # rows in the order in which the baselines are asked
        beside = [_baseline(who, one, judged) for who, one in losses(bars, asked, begin).items()]
        yield _told(market, judged, beside, begin, cpu / len(begins))


def _baseline(who: str, loss: Floats, judged: Judged) -> Line:
    return Line(who, (*(_ratio(loss, judged, np.isfinite(loss), h) for h in HOURS), *(None,) * 5))


def _told(market: Market, judged: Judged, beside: list[Line], begin: int, cpu_seconds: float) -> Table:
    answered = np.isfinite(judged.model)
    weeks, rows = len(np.unique(judged.as_of // WEEK_MS)), len(judged.as_of)
    rules = [_ratio(judged.rules, judged, np.isfinite(judged.rules), h) for h in HOURS]
    model = [_ratio(judged.model, judged, answered, h) for h in HOURS]
    quarter = (judged.as_of - begin) // QUARTER_MS
    bands = (
        _mean(judged.inside80, judged, answered),
        _mean(judged.inside90, judged, answered),
        Figure(_worst(judged.inside80, quarter, judged.hours, answered)),
        Figure(_worst(judged.inside80, judged.symbols, judged.hours, answered)),
        Figure(float(answered.mean())),
    )
    ours = Line("rules", (*rules, *(None,) * 5)), Line("model", (*model, *bands), judged=True)
    lines = (*market.specified, *beside, *ours)
    columns = (
        *(Column(f"{h:.0f} h", most=goal) for h, goal in zip(HOURS, market.goals, strict=True)),
        Column("80% band", least=0.77, most=0.83),
        Column("90% band", least=0.87, most=0.93),
        Column("worst quarter", least=0.75),
        Column("worst symbol", least=0.72),
        Column("answered", least=0.9),
    )
    symbols = len(np.unique(judged.symbols))
    title = f"{market.title}, {market.begin} to {market.end}: {symbols} symbols, {weeks} weeks, {rows:,} answers"
    return Table(title, columns, lines, tuple(_notes(market, model, judged, answered, cpu_seconds)))


def _notes(
    market: Market, model: list[Figure], judged: Judged, answered: NDArray[np.bool_], cpu_seconds: float
) -> Iterator[str]:
    yield (
        "By horizon: QLIKE over that of a pooled log-HAR, fitted anew at each refit. Worst quarter and symbol: of the "
        f"80% band, at the worst horizon. Refits every {REFIT_DAYS} days, every {JUDGE_EVERY}th bar asked; "
        f"{cpu_seconds:.0f} CPU seconds a refit with its answers."
    )
    if market.musts:
        missed = [
            f"{h:.0f} h"
            for h, must, figure in zip(HOURS, market.musts, model, strict=True)
            if round(figure.value, 3) > must or figure.high is None or figure.high >= 1.0
        ]
        asked = " / ".join(f"{must:g}" for must in market.musts)
        yield f"*Must* ({asked}, interval below 1): {'missed at ' + ', '.join(missed) if missed else 'met'}."
    beside = [_ratio(judged.model, judged, answered, h, judged.rules) for h in HOURS]
    told = ", ".join(f"{h:.0f} h {_words(figure)}" for h, figure in zip(HOURS, beside, strict=True))
    yield f"Model over rules: {told}."


def _words(figure: Figure) -> str:
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def _ratio(mine: Floats, of: Judged, some: NDArray[np.bool_], hours: float, other: Floats | None = None) -> Figure:
    here = some & (of.hours == hours)
    beside = of.har if other is None else other
    low, high = interval(mine[here], beside[here], of.as_of[here] // WEEK_MS)
    return Figure(float(mine[here].mean() / beside[here].mean()), low, high)


def _mean(values: Floats, of: Judged, some: NDArray[np.bool_]) -> Figure:
    low, high = interval(values[some], np.ones(int(some.sum())), of.as_of[some] // WEEK_MS)
    return Figure(float(values[some].mean()), low, high)


def _worst(inside: Floats, group: NDArray[np.generic], hours: Floats, some: NDArray[np.bool_]) -> float:
    """Lowest coverage of a group of at least a fiftieth of the rows, at any horizon."""
    lowest = 1.0
    for h in HOURS:
        here = some & (hours == h)
        _, member = np.unique(group[here], return_inverse=True)
        count = np.bincount(member)
        mean = np.bincount(member, inside[here]) / count
        lowest = min(lowest, float(mean[count > 0.02 * here.sum()].min()))
    return lowest
