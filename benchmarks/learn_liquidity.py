"""The liquidity learner walked forward, with refits, beside the rules.

    python -m benchmarks.learn_liquidity --data DIR [--begin 2021-01-01] [--end 2022-01-01] [--refit-days 91]
        [--years 3] [--every 5] [--judge-every 3]

Each refit learns from what had settled two days before it, of the last `--years`. The default stretch is the last of
the early years; `benchmarks.skill_liquidity` measures on the late ones.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.liquidity_scores import Judged, alarms, covered, errors, mean, ratio
from benchmarks.price_files import PERP_FILES, SPOT_FILES, instant, read
from benchmarks.refits import SEED, Refit, Settled, settled
from ml.bars import DAY_MS, Bars
from ml.capability import CannotAnswer, Given
from ml.liquidity import LIQUIDITY, Horizon, LiquidityAnswer
from ml.liquidity.learner import LEARNER

EMBARGO_MS = 2 * DAY_MS


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What one refit, and the rules, said on the stretch up to the next one; CPU seconds of the fit and of the
    answers."""

    asked: Settled
    model: list[Given[LiquidityAnswer] | CannotAnswer]
    rules: list[Given[LiquidityAnswer] | CannotAnswer]
    fit_cpu_seconds: float
    asked_cpu_seconds: float


def walk(
    taught: Settled, asked: Settled, begins: list[int], ends: int, years: float, seed: int = SEED
) -> Iterator[Step]:
    """One refit at each of `begins` (ms), judged until the next."""
    for first, last in zip(begins, [*begins[1:], ends], strict=True):
        lessons = taught.at(taught.known_at(first, EMBARGO_MS, years))
        refit = Refit.on(LIQUIDITY, lessons.rows, lessons.truths, seed)
        test = asked.between(first, last)
        began = time.process_time()
        said = list(refit.model.predict(test.rows))
        asked_seconds = time.process_time() - began
        yield Step(test, said, list(LIQUIDITY.rules.predict(test.rows)), refit.cpu_seconds, asked_seconds)


def judged(steps: list[Step], horizon: Horizon, *, model: bool) -> Judged:
    """Rows of one horizon that both the model and the rules answered."""
    found: list[tuple[float, ...]] = []
    as_of: list[int] = []
    symbols: list[str] = []
    for step in steps:
        for i, (one, other) in enumerate(zip(step.model, step.rules, strict=True)):
            if step.asked.hours[i] != horizon.bars or not (isinstance(one, Given) and isinstance(other, Given)):
                continue
            a, y = (one if model else other).answer, float(step.asked.truths[i])
            thin = float(y < a.thin_below) if horizon is Horizon.H6 else float("nan")
            found.append((y, a.qv, a.q05, a.q10, a.q90, a.q95, a.usual, a.p_low, thin))
            as_of.append(int(step.asked.rows.as_of[i]))
            symbols.append(step.asked.rows.questions[i].symbol)
    truth_, qv, q05, q10, q90, q95, usual, p_low, thin_ = np.array(found, dtype=np.float64).reshape(-1, 9).T
    when, who = np.array(as_of, dtype=np.int64), np.array(symbols)
    return Judged(truth_, qv, q05, q10, q90, q95, usual, p_low, thin_, when, who)


def steps_of(
    bars: list[Bars], begin: int, end: int, *, refit_days: int, years: float, every: int, judge_every: int
) -> list[Step]:
    """The whole walk."""
    taught = settled(LIQUIDITY, bars, begin - int(years * 366 * DAY_MS), end, every)
    asked = settled(LIQUIDITY, bars, begin, end, judge_every)
    return list(walk(taught, asked, list(range(begin, end, refit_days * DAY_MS)), end, years))


def show(steps: list[Step]) -> Iterator[str]:
    """Lines of plain text: figures by horizon."""
    for horizon in Horizon:
        mine, other = judged(steps, horizon, model=True), judged(steps, horizon, model=False)
        for who, one in (("rules", other), ("model", mine)):
            inside, wide, quarter, symbol = covered(one)
            yield (
                f"{horizon} {who}: {len(one):,} rows, WAPE {_told(mean(errors(one), one.week))}, "
                f"80% {inside.value:.3f}, 90% {wide.value:.3f}, worst quarter {quarter:.3f}, worst symbol {symbol:.3f}"
            )
            if horizon is Horizon.H6:
                precision, half, brier = alarms(one)
                yield f"    thin: AP {_told(precision)}, at recall .5 {_told(half)}, Brier skill {_told(brier)}"
        loss, rules = (np.abs(one.qv - one.truth) / one.usual for one in (mine, other))
        yield f"    loss over that of the rules {_told(ratio(loss, rules, mine.week))}"
    yield f"CPU: fits {', '.join(f'{step.fit_cpu_seconds:.0f}' for step in steps)} s"
    answers, spent = sum(len(step.model) for step in steps), sum(step.asked_cpu_seconds for step in steps)
    yield f"{1e6 * spent / answers:.0f} us an answer in a batch"


def _told(figure: object) -> str:
    value, low, high = (getattr(figure, name) for name in ("value", "low", "high"))
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the market data (it holds ohlcv/)")
    parser.add_argument("--begin", default="2021-01-01")
    parser.add_argument("--end", default="2022-01-01")
    parser.add_argument("--refit-days", type=int, default=91)
    parser.add_argument("--years", type=float, default=3.0)
    parser.add_argument("--every", type=int, default=LEARNER.every_bars, help="lessons every n hours")
    parser.add_argument("--judge-every", type=int, default=3, help="asked every n hours")
    asked = parser.parse_args()
    bars = [read(asked.data, file) for file in SPOT_FILES + PERP_FILES]
    begin, end = instant(asked.begin), instant(asked.end)
    steps = steps_of(
        bars,
        begin,
        end,
        refit_days=asked.refit_days,
        years=asked.years,
        every=asked.every,
        judge_every=asked.judge_every,
    )
    print(*show(steps), sep="\n")


if __name__ == "__main__":
    main()
