"""How often scores are reached on late bars, over how often they say: by the rules, and by models along history.

Models are refitted every quarter on the three years before, trees and tails and the rules' scale, in two houses: coins
by the hour with their 4h and daily bars, currencies by the hour and 4h.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.anomaly_shown import shown_table
from benchmarks.anomaly_walk import along, refits
from benchmarks.fit_anomaly_rules import BY_TABLES_OF_OTHERS, SOURCES, Source, judged_from, milliseconds, series
from benchmarks.skill_table import Column, Figure, Line, Table
from ml.anomaly.kernel import kernel
from ml.anomaly.tails import rarity
from ml.bars import Bars, Floats, Instants, Timeframe
from ml.evaluation.weeks import block_of

SCORES = (0.5, 0.6, 0.8)
DRAWS = 1_000
#: Markets that are taught together, by the folder that they lie in, and when their models begin: no later than the
#: first bars that any of them is judged on.
HOUSES = ((("crypto",), "2020-01-01"), (("fx",), "2016-01-01"))
LEARNT = (Timeframe.H1, Timeframe.H4, Timeframe.D1)


class Late(NamedTuple):
    """Bars of a source that nothing was fitted on, n of them: -log10 of their chances, and when they closed (ms)."""

    depth: Floats
    closed: Instants


def rates_tables(data: Path) -> Iterator[Table]:
    """How often scores are reached on late bars, and what so many bars can show."""
    by_rules = {_name(one): _by_rules(data, one) for one in (*SOURCES, *BY_TABLES_OF_OTHERS)}
    by_models = {name: late for markets, begin in HOUSES for name, late in _by_models(data, markets, begin).items()}
    lines = []
    for name, late in by_rules.items():
        model = by_models.get(name)
        lines.append(Line(f"rules, {name}, {len(late.depth):,} bars", tuple(rates(*late)), judged=model is None))
        if model is not None:
            lines.append(Line(f"model, {name}, {len(model.depth):,} bars", tuple(rates(*model)), judged=True))
    yield Table(
        "how often a score is reached, over how often it says, on late bars",
        tuple(Column(f"score >= {score}", 2, 0.7, 1.5) for score in SCORES),
        tuple(lines),
        ("Models are refitted every 91 days and judged up to the next refit; where there is none, bars are too few.",),
    )
    yield shown_table([(name, *late) for name, late in by_rules.items()], SCORES)


def rates(depth: Floats, closed: Instants) -> list[Figure]:
    """How often each of SCORES is reached, over how often it says."""
    return [mean_by_week((depth >= 4.0 * score) / 10.0 ** (-4.0 * score), block_of(closed)) for score in SCORES]


def mean_by_week(values: Floats, week: Instants) -> Figure:
    """A mean and its interval, by bootstrap over weeks."""
    _, member = np.unique(week, return_inverse=True)
    count, total = np.bincount(member), np.bincount(member, values)
    draws = np.random.default_rng(7).multinomial(len(count), np.full(len(count), 1.0 / len(count)), size=DRAWS)
    low, high = np.quantile(draws @ total / np.maximum(draws @ count, 1), (0.025, 0.975))
    return Figure(float(values.mean()), float(low), float(high))


def _name(source: Source) -> str:
    return f"{source.timeframe}, {source.files[0].split('/')[0]}"


def _by_rules(data: Path, source: Source) -> Late:
    depth, closed = [np.zeros(0)], [np.zeros(0, dtype=np.int64)]
    for file in source.files:
        for bars in series(data, file, source.timeframe):
            values = kernel(bars, None)
            late = np.flatnonzero(~np.isnan(values[:, 0]) & (bars.open_at >= judged_from(source, file)))
            depth.append(rarity(values[late], source.timeframe).whole)
            closed.append(bars.close_at[late])
    return Late(np.concatenate(depth), np.concatenate(closed))


def _by_models(data: Path, markets: Sequence[str], begin: str) -> dict[str, Late]:
    """The same by the models of one house, by the name of the source; bars that no model answered are left out."""
    learnt = [one for one in SOURCES if one.timeframe in LEARNT and one.files[0].split("/")[0] in markets]
    fed = {_name(source): _fed(data, source) for source in learnt}
    every = [bars for part in fed.values() for bars, _ in part]
    models = list(refits(every, milliseconds(begin), max(int(bars.close_at[-1]) for bars in every)))
    found: dict[str, Late] = {}
    for name, part in fed.items():
        depth, closed = [], []
        for bars, since in part:
            said = along(bars, models)
            late = (said.close_at > since) & ~np.isnan(said.depth["model"])
            depth.append(said.depth["model"][late])
            closed.append(said.close_at[late])
        answered = Late(np.concatenate(depth), np.concatenate(closed))
        found |= {name: answered} if len(answered.depth) else {}
    return found


def _fed(data: Path, source: Source) -> list[tuple[Bars, int]]:
    """The series of a source, each with a symbol of its own, and when it begins to be judged (ms)."""
    found: list[tuple[Bars, int]] = []
    for file in source.files:
        for bars in series(data, file, source.timeframe):
            taken = any(other.symbol == bars.symbol for other, _ in found)
            own = replace(bars, symbol=f"{bars.symbol}-2") if taken else bars
            found.append((own, judged_from(source, file)))
    return found
