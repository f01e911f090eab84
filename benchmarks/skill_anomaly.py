"""Skill of the anomaly rules and of the model: planted anomalies, dated events, pumps, honesty of the score.

    python -m benchmarks.skill_anomaly --data DIR [--seed 1] [--only planted,rates,fed,pumps]

Planted: one plant in 168 bars on average, by `--seed` (the model practises on others), in bars of 24 coins that opened
from 2022 on; refits every 91 days on the three years before. A plant is found where one of its bars is above the
threshold that one bar a symbol-week without a plant exceeds. Nothing is point-adjusted. Intervals: bootstrap over
calendar weeks, all symbols of a week together, thresholds as they are.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from benchmarks.anomaly_events import alarms_at_events
from benchmarks.anomaly_fed import FUNDED, FUNDING_JUDGED_FROM, late_depths
from benchmarks.anomaly_rates import LEARNT, SCORES, mean_by_week, rates, rates_tables
from benchmarks.anomaly_walk import Fitted, Seen, along, refits
from benchmarks.fit_anomaly_rules import PERPS, SPOT, milliseconds, pumped, series
from benchmarks.skill_table import Column, Figure, Line, Table, quoted
from ml.anomaly.kernel import NAMES, kernel
from ml.anomaly.planting import plant
from ml.anomaly.tails import rarity
from ml.bars import DAY_MS, HOUR_MS, MINUTE_MS, Bars, Floats, Instants, Timeframe
from ml.evaluation.weeks import block_of

DRAWS = 1_000
#: Bars of a symbol-week, and bars between plants.
WEEK_BARS = 168
#: Alarms a month at which dated events are looked for; alarms within a day are one.
ALARMS = (2.0, 0.5)
#: A minute as rare as once a week is an alarm on pumps.
PUMP_DEPTH = float(np.log10(7 * 24 * 60))
SPOT_OF_FUNDED = tuple(f"crypto/{coin}USDT_1h" for coin in FUNDED)


def tables(data: Path, seed: int = 1, only: Sequence[str] = ("planted", "rates", "fed", "pumps")) -> Iterator[Table]:
    """The record; the first table holds the dated events as well."""
    if "planted" in only:
        yield from planted_tables(data, seed)
    if "rates" in only:
        yield from rates_tables(data)
    if "fed" in only:
        yield fed_table(data)
    if "pumps" in only:
        yield pumps_table(data)


def planted_tables(data: Path, seed: int) -> Iterator[Table]:
    """On hourly bars, and on the longer ones that the same models answer."""
    every = {one: [bars for file in (*SPOT, *PERPS) for bars in series(data, file, one)] for one in LEARNT}
    started = time.process_time()
    fed = [bars for part in every.values() for bars in part]
    models = list(refits(fed, milliseconds("2020-01-01"), milliseconds("2024-07-01")))
    fit_seconds = (time.process_time() - started) / max(len(models), 1)
    yield _hourly_table(data, every[Timeframe.H1], models, seed, fit_seconds)
    yield _longer_table(every, models, seed)


def _longer_table(every: Mapping[Timeframe, Sequence[Bars]], models: Sequence[Fitted], seed: int) -> Table:
    lines = []
    for timeframe in (Timeframe.H4, Timeframe.D1):
        seen = _joined([_after(one, milliseconds("2022-01-01")) for one in _asked(every[timeframe], models, seed)])
        plants = len(np.unique(seen.event)) - 1
        for who in ("rules", "model"):
            name = f"{who}, {timeframe}, {len(seen.close_at):,} bars, {plants:,} plants"
            lines.append(Line(name, _planted(seen, who), judged=who == "model"))
    return Table(
        "the same on longer bars, by trees that saw hourly ones alone",
        (Column("recall at 1 alarm in 168 bars", least=0.8), Column("AP", least=0.6), Column("type right", least=0.92)),
        tuple(lines),
    )


def _asked(coins: Sequence[Bars], models: Sequence[Fitted], seed: int) -> list[Seen]:
    planted = [plant(bars.between(_late(bars) - 1_200, len(bars)), seed, WEEK_BARS) for bars in coins]
    return [along(one.bars, models, one.labels, one.event) for one in planted]


def _hourly_table(data: Path, coins: Sequence[Bars], models: Sequence[Fitted], seed: int, fit_seconds: float) -> Table:
    started = time.process_time()
    seen = _asked(coins, models, seed)
    answer_us = 1e6 * (time.process_time() - started) / sum(len(one.close_at) for one in seen)
    real = {bars.symbol: along(bars, models) for bars in coins}
    late = [_after(one, milliseconds("2022-01-01")) for one in real.values()]
    together = _joined([_after(one, milliseconds("2022-01-01")) for one in seen])
    lines = [
        Line(f"{who}", (*_planted(together, who), *_rates(late, who), *_events(data, real, who)), judged=who == "model")
        for who in ("rules", "model")
    ]
    return Table(
        f"24 coins, hourly, 2022-01 to 2024-06, {len(np.unique(block_of(together.close_at)))} weeks, "
        f"{len(together.close_at):,} bars, {len(np.unique(together.event)) - 1:,} plants (seed {seed})",
        (
            Column("planted: recall at 1 alarm a symbol-week", least=0.8),
            Column("AP", least=0.6),
            Column("type right", least=0.92),
            *(Column(f"score >= {score} against its rate", 2, 0.7, 1.5) for score in SCORES),
            *(Column(f"events at {rate:g} alarms a month", 2) for rate in ALARMS),
        ),
        (
            quoted("robust z (MAD) rules", 0.489, 0.246, None, None, None, None, 0.91, 0.82),
            quoted("isolation forest", 0.658, 0.368, None, None, None, None, 0.91, 0.73),
            quoted("XGBoost on planted", 0.718, 0.635, None, None, None, None, 0.36, 0.0),
            quoted("maximum of calibrated tails", 0.826, 0.623, None, None, None, None, 0.91, 0.82),
            *lines,
        ),
        (
            f"{len(models)} refits, {fit_seconds:.1f} CPU-s each with its lessons; {answer_us:.0f} us of CPU a bar for "
            "both.",
            "Quoted lines are on other plants and events. Events: hourly files of coins, 2020-01 to 2024-06.",
        ),
    )


def _planted(seen: Seen, who: str) -> tuple[Figure, Figure, Figure]:
    """Recall of plants, average precision of bars, share of right types among what was found."""
    depth, made = seen.depth[who], seen.event >= 0
    threshold = float(np.quantile(depth[~made], 1.0 - 1.0 / WEEK_BARS))
    week = block_of(seen.close_at)
    numbers, first = np.unique(seen.event[made], return_index=True)
    found = np.zeros(len(numbers))
    np.maximum.at(found, np.searchsorted(numbers, seen.event[made]), (depth[made] > threshold).astype(np.float64))
    hit = made & (depth > threshold)
    right = (seen.kind[who] == seen.label)[hit].astype(np.float64)
    return (
        mean_by_week(found, week[made][first]),
        _bootstrapped(week, partial(_average_precision, depth, made)),
        mean_by_week(right, week[hit]),
    )


def _average_precision(depth: Floats, made: NDArray[np.bool_], weights: Floats) -> float:
    order = np.argsort(-depth, kind="stable")
    hits, every = np.cumsum(weights[order] * made[order]), np.cumsum(weights[order])
    return float(np.sum((hits / np.maximum(every, 1e-9) * weights[order])[made[order]]) / hits[-1])


def _rates(seen: Sequence[Seen], who: str) -> list[Figure]:
    return rates(np.concatenate([one.depth[who] for one in seen]), np.concatenate([one.close_at for one in seen]))


def _events(data: Path, real: dict[str, Seen], who: str) -> list[Figure]:
    """Share of the dated events whose rarest bar gives an alarm, where the file gives so many alarms a month."""
    asked = {name: np.where(np.isnan(one.depth["model"]), np.nan, one.depth[who]) for name, one in real.items()}
    alarms = alarms_at_events(data, {name: (real[name].close_at, depth) for name, depth in asked.items()})
    return [Figure(float(np.mean([one <= rate for one in alarms]))) for rate in ALARMS]


def fed_table(data: Path) -> Table:
    """The same of what is fed beside the bars."""
    coins = [bars for file in SPOT_OF_FUNDED for bars in series(data, file, Timeframe.H1)]
    lines = [
        Line(f"{one.name}, {len(one.depth):,}", tuple(rates(one.depth, one.closed)), judged=one.told)
        for one in late_depths(data, coins, milliseconds(FUNDING_JUDGED_FROM))
    ]
    return Table(
        "how often a score is reached, over how often it says, with what is fed, from 2022-01 on",
        tuple(Column(f"score >= {score}", 2, 0.7, 1.5) for score in SCORES),
        tuple(lines),
        (
            "Rates of five Binance perpetuals, bars of their coins. Neither open interest nor books could be measured: "
            "ranks of what is as stormy stand in for them, and are careful at .8 by design.",
        ),
    )


def pumps_table(data: Path) -> Table:
    """Minutes around announced pumps: found within two minutes, at a threshold that was fixed beforehand."""
    caught, alarms, days = [], 0, 0.0
    weak = {one["event_id"]: one["weak_label"] for one in _pump_events(data)}
    for bars, announced in pumped(data):
        values = kernel(bars, None)
        known = ~np.isnan(values[:, NAMES.index("move")])
        depth = rarity(values, Timeframe.M1).whole
        after = known & (bars.close_at > announced) & (bars.open_at < announced + 2 * MINUTE_MS)
        if not weak[bars.symbol]:
            caught.append(bool((depth[after] >= PUMP_DEPTH).any()))
        quiet = known & (bars.open_at < announced - 2 * HOUR_MS)
        if quiet.any():
            alarms += len(np.unique(bars.open_at[quiet & (depth >= PUMP_DEPTH)] // (30 * MINUTE_MS)))
            days += float(announced - 2 * HOUR_MS - bars.open_at[quiet][0]) / DAY_MS
    found = Line("rules", (Figure(float(np.mean(caught))), Figure(alarms / days)), judged=True)
    return Table(
        f"{len(caught)} pumps of small coins, 1m bars, {days:.0f} quiet coin-days before them",
        (Column("recall within 2 minutes", 2, least=0.94), Column("false alarms a day", 3, most=0.05)),
        (
            quoted("price-and-volume rule", 0.76, None),
            quoted("isolation forest", 0.94, 0.033),
            quoted("XGBoost on labelled pumps", 1.0, None),
            found,
        ),
        ("An alarm is a minute as rare as once a week; alarms within half an hour are one.",),
    )


def _pump_events(data: Path) -> list[dict[str, object]]:
    events: list[dict[str, object]] = parquet.read_table(data / "events" / "pump_events.parquet").to_pylist()
    return events


def _bootstrapped(week: Instants, statistic: Callable[[Floats], float]) -> Figure:
    """A statistic of weighted rows; fewer draws, since each sorts them all."""
    _, member = np.unique(week, return_inverse=True)
    n, random = int(member.max()) + 1, np.random.default_rng(7)
    draws = [statistic(random.multinomial(n, np.full(n, 1.0 / n))[member].astype(np.float64)) for _ in range(60)]
    low, high = np.quantile(draws, (0.025, 0.975))
    return Figure(statistic(np.ones(len(week))), float(low), float(high))


def _late(bars: Bars) -> int:
    return max(int(np.searchsorted(bars.open_at, milliseconds("2022-01-01"))), 1_200)


def _after(seen: Seen, at: int) -> Seen:
    keep = (seen.close_at > at) & ~np.isnan(seen.depth["rules"]) & ~np.isnan(seen.depth["model"])
    depth = {who: values[keep] for who, values in seen.depth.items()}
    return Seen(
        seen.close_at[keep],
        depth,
        {who: kinds[keep] for who, kinds in seen.kind.items()},
        seen.label[keep],
        seen.event[keep],
    )


def _joined(parts: Sequence[Seen]) -> Seen:
    offsets = np.cumsum([0, *(int(one.event.max(initial=-1)) + 1 for one in parts)])
    events = [np.where(one.event >= 0, one.event + by, -1) for one, by in zip(parts, offsets[:-1], strict=True)]
    return Seen(
        np.concatenate([one.close_at for one in parts]),
        {who: np.concatenate([one.depth[who] for one in parts]) for who in parts[0].depth},
        {who: np.concatenate([one.kind[who] for one in parts]) for who in parts[0].kind},
        np.concatenate([one.label for one in parts]),
        np.concatenate(events),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the market data (it holds ohlcv/)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the plants (default 1)")
    parser.add_argument("--only", default="planted,rates,fed,pumps", help="tables, A,B")
    asked = parser.parse_args()
    for table in tables(asked.data, asked.seed, asked.only.split(",")):
        print(f"{table.markdown()}\n", flush=True)


if __name__ == "__main__":
    main()
