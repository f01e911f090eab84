"""The record of the liquidity rules and of the model on years after those that they were tuned on: `make skill`.

    python -m benchmarks.skill --only liquidity

Every fifth hour of 24 coins, 2022-01 to 2024-06: ten on which the rules' constants were fitted (in earlier years) and
14 that no constant has seen. The model is walked forward (`benchmarks.learn_liquidity`): refitted every 91 days on the
three years before. WAPE is the mean of |qv - QV| over the mean QV of the symbol, as the specification has it. "Same
hours last week" is the volume of the same hours a week before. Rows that the rules or the model refuse count for
neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.learn_liquidity import Step, judged, steps_of
from benchmarks.liquidity_scores import Judged, alarms, covered, errors, mean, ratio
from benchmarks.price_files import PERP_FILES, SPOT_FILES, instant, read
from benchmarks.skill_table import Column, Figure, Line, Table, quoted
from ml.capability import Given
from ml.liquidity import Horizon

BEGIN, END = "2022-01-01", "2024-07-01"
REFIT_DAYS, YEARS, EVERY, JUDGE_EVERY = 91, 3.0, 5, 5

VOLUMES = (
    *(Column(f"WAPE {horizon}", most=most) for horizon, most in zip(Horizon, (0.315, 0.298, 0.288), strict=True)),
    *(Column(f"loss / rules {horizon}", most=1.0) for horizon in Horizon),
)
ALARMS = (
    Column("thin: average precision", least=0.65),
    Column("precision at recall .5", least=0.68),
    Column("Brier skill", least=0.40),
)
BANDS = tuple(
    column
    for horizon in Horizon
    for column in (
        Column(f"{horizon}: 80%", least=0.77, most=0.83),
        Column("90%", least=0.87, most=0.93),
        Column("worst quarter", least=0.75),
        Column("worst coin", least=0.72),
    )
)
#: `capabilities.md`, section 4.
SPECIFIED = (
    ("same hours last week", (0.664, 0.623, 0.576), (0.242, 0.25)),
    ("hour-of-week median x level", (0.453, 0.425, 0.418), (0.507, 0.50)),
    ("season x smoothed level", (0.369, 0.347, 0.340), (0.576, 0.59)),
    ("gradient boosting", (0.330, 0.312, 0.300), (0.620, 0.64)),
    ("MLP with quantile and alarm heads", (0.324, 0.306, 0.296), (0.631, 0.66)),
)


def tables(data: Path) -> Iterator[Table]:
    """Volume, then alarms, then bands, of one walk over hourly coins."""
    bars = [read(data, file) for file in SPOT_FILES + PERP_FILES]
    steps = steps_of(
        bars,
        instant(BEGIN),
        instant(END),
        refit_days=REFIT_DAYS,
        years=YEARS,
        every=EVERY,
        judge_every=JUDGE_EVERY,
    )
    model = {horizon: judged(steps, horizon, model=True) for horizon in Horizon}
    rules = {horizon: judged(steps, horizon, model=False) for horizon in Horizon}
    six = model[Horizon.H6]
    about = f"{BEGIN} to {END}, {len(np.unique(six.symbol))} coins, {len(np.unique(six.week))} weeks, {len(six):,} rows"
    yield Table(
        f"Volume, {about} a horizon",
        VOLUMES,
        (
            *(quoted(f"specification: {who}", *wape, None, None, None) for who, wape, _ in SPECIFIED),
            _volumes("rules", rules, rules),
            _volumes("model", model, rules, judged=True),
            _volumes("model, coins of the constants", *_of_coins((model, rules), fitted=True)),
            _volumes("model, other coins", *_of_coins((model, rules), fitted=False)),
        ),
        _notes(steps),
    )
    yield Table(
        f"Thin markets over 6 h, {about}",
        ALARMS,
        (
            *(quoted(f"specification: {who}", *alarm, None) for who, _, alarm in SPECIFIED),
            Line("rules", alarms(rules[Horizon.H6])),
            Line("model", alarms(six), judged=True),
        ),
    )
    yield Table(f"Bands, {about} a horizon", BANDS, (_bands("rules", rules), _bands("model", model, judged=True)))


def _volumes(who: str, said: dict[Horizon, Judged], rules: dict[Horizon, Judged], *, judged: bool = False) -> Line:
    wape = tuple(mean(errors(one), one.week) for one in said.values())
    against = tuple(ratio(_loss(said[h]), _loss(rules[h]), said[h].week) for h in Horizon)
    return Line(who, (*wape, *against), judged=judged)


def _loss(one: Judged) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The capability's loss, row by row."""
    thin = np.where(np.isnan(one.thin), 0.0, (one.p_low - one.thin) ** 2)
    return np.asarray(np.abs(one.qv - one.truth) / one.usual + thin)


def _of_coins(
    each: tuple[dict[Horizon, Judged], dict[Horizon, Judged]], *, fitted: bool
) -> tuple[dict[Horizon, Judged], dict[Horizon, Judged]]:
    first, second = (
        {h: one.at(np.char.endswith(one.symbol, "-PERP") != fitted) for h, one in said.items()} for said in each
    )
    return first, second


def _bands(who: str, said: dict[Horizon, Judged], *, judged: bool = False) -> Line:
    figures: list[Figure | None] = []
    for one in said.values():
        inside, wide, quarter, symbol = covered(one)
        figures += [inside, wide, Figure(quarter), Figure(symbol)]
    return Line(who, tuple(figures), judged=judged)


def _notes(steps: list[Step]) -> tuple[str, ...]:
    answers = sum(len(step.model) for step in steps)
    spent = 1e6 * sum(step.asked_cpu_seconds for step in steps) / answers
    fit = float(np.median([step.fit_cpu_seconds for step in steps]))
    answered = sum(isinstance(one, Given) for step in steps for one in step.model) / answers
    return (
        f"Refits every {REFIT_DAYS} days. CPU: {fit:.0f} s a fit, {spent:.0f} us an answer in a batch. The model "
        f"answered {answered:.1%} of what the rules do not refuse.",
    )
