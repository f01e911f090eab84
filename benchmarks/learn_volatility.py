"""The volatility learner on years that it was not tuned on: a walk forward with refits, against the rules and log-HAR.

    python -m benchmarks.learn_volatility --data DIR [--stage crypto|fx] [--begin 2022-01-01] [--end 2024-07-01]
        [--refit-days 91] [--years 3] [--every 5] [--judge-every 3]

Each refit learns from what had settled a day before it, of the last `--years`. The baseline is the pooled log-HAR of
`skill_volatility`, fitted anew at each refit on the same lessons. Intervals: 95%, bootstrap over weeks.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.price_files import FX_FILES, PERP_FILES, SPOT_FILES, instant, read
from benchmarks.refits import SEED, Refit, Settled, settled
from benchmarks.skill_volatility import fit_log_har, interval, qlike
from ml.bars import DAY_MS, HOUR_MS, WEEK_MS, Bars, Floats, Instants, Timeframe
from ml.capability import Given, Rows
from ml.volatility import VOLATILITY
from ml.volatility.learner import LEARNER
from ml.volatility.releases import DUE
from ml.volatility.rules import VolatilityRules
from ml.volatility.truth import SMALLEST_TRUTH

QUARTER_MS = 13 * WEEK_MS
#: Truths that are more than so many times a forecast are shocks that nobody saw coming.
CAPPED = 20.0
STAGES = {
    "crypto": SPOT_FILES + PERP_FILES,
    "fx": FX_FILES,
}


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """What was asked and came true, and the inputs of the baseline, (n, 4)."""

    settled: Settled
    har: Floats

    @property
    def rows(self) -> Rows:
        return self.settled.rows

    @property
    def truths(self) -> Floats:
        return self.settled.truths

    @property
    def hours(self) -> Floats:
        return self.settled.hours

    def at(self, chosen: NDArray[np.int64]) -> Table:
        return Table(self.settled.at(chosen), self.har[chosen])


def table(bars: list[Bars], start: int, stop: int, every: int) -> Table:
    """Every `every`-th bar of each symbol that closed in [start, stop), over all horizons, without the refused."""
    found = settled(VOLATILITY, bars, start, stop, every)
    return Table(found, _har(bars, found.rows, found.hours))


def _har(bars: list[Bars], rows: Rows, hours: Floats) -> Floats:
    columns = np.ones((len(rows), 4))
    symbols = np.array([question.symbol for question in rows.questions])
    for one in bars:
        here = symbols == one.symbol
        squared = np.diff(np.log(one.close), prepend=np.nan) ** 2
        squared[0] = 0.0
        total = np.concatenate([[0.0], np.cumsum(squared)])
        end = np.searchsorted(one.close_at, rows.as_of[here], side="right")
        for k, window in enumerate((24, 168, 720), start=1):
            mean = np.maximum((total[end] - total[np.maximum(end - window, 0)]) / window, SMALLEST_TRUTH)
            columns[here, k] = np.log(hours[here] * mean)
    return columns


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Losses and bands of answered rows, (n,) each; NaN where the model did not answer. `due`: which releases of the
    calendar were, (n, 3)."""

    model: Floats
    rules: Floats
    har: Floats
    ratio: Floats
    inside80: Floats
    inside90: Floats
    as_of: Instants
    hours: Floats
    symbols: NDArray[np.str_]
    due: Floats


def walk(taught: Table, asked: Table, begins: list[int], ends: int, years: float, seed: int = SEED) -> Judged:
    """One refit at each of `begins`, judged until the next. Prints CPU-seconds of each."""
    parts = []
    for first, last in zip(begins, [*begins[1:], ends], strict=True):
        lessons = taught.at(taught.settled.known_at(first, DAY_MS, years))
        refit = Refit.on(VOLATILITY, lessons.rows, lessons.truths, seed)
        test = asked.at(np.flatnonzero((asked.rows.as_of >= first) & (asked.rows.as_of < last)))
        asking = time.process_time()
        said = refit.model.predict(test.rows)
        asking = time.process_time() - asking
        parts.append(_judged(test, said, lessons))
        print(
            f"{np.datetime64(first, 'ms').astype('M8[D]')} lessons {len(lessons.truths):,} "
            f"fit {refit.cpu_seconds:.1f} CPU-s {refit.wall_seconds:.1f} s, {refit.size_bytes / 1e6:.2f} MB, "
            f"asked {len(said):,} in {asking:.1f} CPU-s; "
            f"model/rules {np.nanmean(parts[-1].model) / np.mean(parts[-1].rules):.3f} {refit.fitted.report}",
            flush=True,
        )
    return Judged(*(np.concatenate([getattr(one, name) for one in parts]) for name in Judged.__slots__))


def _judged(test: Table, said: object, lessons: Table) -> Judged:
    n = len(test.truths)
    model, low80, high80, low90, high90 = (np.full(n, np.nan) for _ in range(5))
    rules = np.full(n, np.nan)
    for i, one in enumerate(said):  # type: ignore[arg-type, var-annotated]  # outcomes of any capability
        if isinstance(one, Given):
            a = one.answer
            model[i], low80[i], high80[i], low90[i], high90[i] = a.var, a.q10, a.q90, a.q05, a.q95
    for i, outcome in enumerate(VolatilityRules().predict(test.rows)):
        if isinstance(outcome, Given):
            rules[i] = outcome.answer.var
    har = np.full(n, np.nan)
    for h in np.unique(test.hours):
        weights = fit_log_har(lessons.har[lessons.hours == h], lessons.truths[lessons.hours == h])
        har[test.hours == h] = np.exp(test.har[test.hours == h] @ weights)
    y = test.truths
    return Judged(
        qlike(y, model),
        qlike(y, rules),
        qlike(y, har),
        y / model,
        ((y >= low80) & (y <= high80)).astype(np.float64),
        ((y >= low90) & (y <= high90)).astype(np.float64),
        test.rows.as_of,
        test.hours,
        np.array([question.symbol for question in test.rows.questions]),
        test.rows.columns(DUE),
    )


def show(judged: Judged, start: int) -> str:
    """A Markdown table by horizon."""
    lines = [
        "| horizon | rows | by the model | weeks | log-HAR | rules | model | model / log-HAR [95%] "
        "| rules / log-HAR | model / rules [95%] | mean RV/F | 80% band | 90% band | worst quarter | worst symbol |",
        "|" + "---|" * 15,
    ]
    for h in np.unique(judged.hours):
        here = judged.hours == h
        answered = here & np.isfinite(judged.model)
        week = judged.as_of[answered] // WEEK_MS
        m, r, b = judged.model[answered], judged.rules[answered], judged.har[answered]
        low, high = interval(m, b, week)
        low0, high0 = interval(m, r, week)
        inside = judged.inside80[answered]
        quarter = (judged.as_of[answered] - start) // QUARTER_MS
        lines.append(
            f"| {h:.0f}h | {here.sum():,} | {answered.sum() / here.sum():.1%} | {len(np.unique(week))} "
            f"| {b.mean():.3f} "
            f"| {r.mean():.3f} | {m.mean():.3f} | {m.mean() / b.mean():.3f} [{low:.3f}, {high:.3f}] "
            f"| {r.mean() / b.mean():.3f} | {m.mean() / r.mean():.3f} [{low0:.3f}, {high0:.3f}] "
            f"| {judged.ratio[answered].mean():.2f} | {inside.mean():.3f} | {judged.inside90[answered].mean():.3f} "
            f"| {_worst(inside, quarter):.3f} | {_worst(inside, judged.symbols[answered]):.3f} |"
        )
    return "\n".join(lines)


def show_parts(judged: Judged) -> str:
    """A Markdown table by horizon and year, and by horizon and release that was due."""
    lines = ["| horizon | of | rows | model / log-HAR | 80% band |", "|" + "---|" * 5]
    year = judged.as_of.astype("datetime64[ms]").astype("datetime64[Y]")
    parts = {str(one): year == one for one in np.unique(year)}
    parts |= {name: judged.due[:, k] > 0.0 for k, name in enumerate(DUE)}
    for h in np.unique(judged.hours):
        for name, part in parts.items():
            here = (judged.hours == h) & part & np.isfinite(judged.model)
            ratio = judged.model[here].mean() / judged.har[here].mean()
            lines.append(f"| {h:.0f}h | {name} | {here.sum():,} | {ratio:.2f} | {judged.inside80[here].mean():.2f} |")
    return "\n".join(lines)


def show_left(judged: Judged) -> str:
    """A Markdown table by horizon of what the model leaves: its loss against log-HAR's and the rules' where no truth
    counts for more than `CAPPED` times a forecast, and whether its misses have a memory: the correlation of the panel's
    mean of ln(RV/F) with the newest that had closed by then, and of a symbol's distance from that mean with its own."""
    lines = [
        f"| horizon | log-HAR, RV/F <= {CAPPED:g} | model / log-HAR [95%] | model / rules "
        "| memory of the panel's misses | of a symbol's own |",
        "|" + "---|" * 6,
    ]
    most = CAPPED - np.log(CAPPED) - 1.0
    for h in np.unique(judged.hours):
        here = (judged.hours == h) & np.isfinite(judged.model) & (judged.ratio > 0.0)
        m, r, b = (np.minimum(one[here], most) for one in (judged.model, judged.rules, judged.har))
        low, high = interval(m, b, judged.as_of[here] // WEEK_MS)
        panel, own = _memory(np.log(judged.ratio[here]), judged.as_of[here], judged.symbols[here], int(h) * HOUR_MS)
        lines.append(
            f"| {h:.0f}h | {b.mean():.3f} | {m.mean() / b.mean():.3f} [{low:.3f}, {high:.3f}] "
            f"| {m.mean() / r.mean():.3f} | {panel:+.2f} | {own:+.2f} |"
        )
    return "\n".join(lines)


def _memory(missed: Floats, as_of: Instants, symbols: NDArray[np.str_], horizon_ms: int) -> tuple[float, float]:
    instants, when = np.unique(as_of, return_inverse=True)
    names, who = np.unique(symbols, return_inverse=True)
    table = np.full((len(instants), len(names)), np.nan)
    table[when, who] = missed
    mean = np.nanmean(table, axis=1)
    before = np.searchsorted(instants, instants - horizon_ms, side="right") - 1
    now = np.flatnonzero(before >= 0)
    own, own_before = (table - mean[:, None])[now], (table - mean[:, None])[before[now]]
    both = np.isfinite(own) & np.isfinite(own_before)
    panel = np.corrcoef(mean[now], mean[before[now]])[0, 1]
    return float(panel), float(np.corrcoef(own[both], own_before[both])[0, 1])


def _worst(inside: Floats, group: NDArray[np.generic]) -> float:
    _, member = np.unique(group, return_inverse=True)
    count = np.bincount(member)
    return float((np.bincount(member, inside) / count)[count > 0.02 * len(inside)].min())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the market data (it holds ohlcv/)")
    parser.add_argument("--stage", choices=sorted(STAGES), default="crypto")
    parser.add_argument("--begin", default="2022-01-01")
    parser.add_argument("--end", default="2024-07-01")
    parser.add_argument("--refit-days", type=int, default=91)
    parser.add_argument("--years", type=float, default=3.0)
    parser.add_argument("--every", type=int, default=LEARNER.every_bars, help="lessons every n hours")
    parser.add_argument("--judge-every", type=int, default=3, help="asked every n hours")
    asked = parser.parse_args()
    bars = [read(asked.data, file, Timeframe.H1) for file in STAGES[asked.stage]]
    begin, end = instant(asked.begin), instant(asked.end)
    taught = table(bars, begin - int(asked.years * 366 * DAY_MS), end, asked.every)
    judged_on = table(bars, begin, end, asked.judge_every)
    begins = list(range(begin, end, asked.refit_days * DAY_MS))
    judged = walk(taught, judged_on, begins, end, asked.years)
    print(f"{show(judged, begin)}\n\n{show_parts(judged)}\n\n{show_left(judged)}")


if __name__ == "__main__":
    main()
