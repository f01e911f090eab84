"""What docs/regime.md says of regimes besides the record: spells, finality, delay, and what followed each label.

    python -m benchmarks.facts_regime --data DIR

Coins, hourly, on the years of the record. Intervals: bootstrap over calendar weeks, all symbols of a week together.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.fit_regime_rules import CRYPTO, Judged, judge, load
from benchmarks.regime_scores import DRAWS, SEED, version_0
from ml.bars import HOUR_MS, WEEK_MS, Floats
from ml.regime.formula import LABELS, NO_LABEL, STRETCH, TREND_DOWN, Codes
from ml.regime.path import settled_path
from ml.regime.truth import raw_labels

LEAD = 200
"""Bars after which the path is that of the whole series: many times the longest wait."""
WAITED = "BTCUSDT"
"""Finality is a matter of the path, not of the coin: one is enough."""
CAUGHT_FROM = 12
"""A spell in hindsight of at least so many bars is one whose announcement is waited for."""


def facts(data: Path) -> str:
    """One fact a line."""
    series = list(load(data, CRYPTO, CRYPTO.judged_to))
    rows = [judge(bars, CRYPTO.judged_from) for bars in series]
    lengths = np.concatenate([_spells(one.truth)[1] for one in rows])
    announced = np.concatenate([_spells(version_0([one]).label)[1] for one in rows])
    waits = next(
        _waits(raw_labels(bars, 0)[-len(one.truth) :])
        for bars, one in zip(series, rows, strict=True)
        if bars.symbol == WAITED
    )
    delays = np.concatenate([_delays(one.truth, version_0([one]).label) for one in rows])
    met = delays[delays >= 0]
    lines = [
        f"spells in hindsight: {_spread(lengths)} bars; {168 / lengths.mean():.1f} switches per 168 bars",
        f"spells announced: {_spread(announced)} bars; {168 / announced.mean():.1f} switches per 168 bars",
        f"{WAITED}, bars until a truth is final, after the 12 of its window: {_spread(waits)}, at most {waits.max()}",
        f"bars until a spell of {CAUGHT_FROM} or more is announced: {_spread(met)}; never: {np.mean(delays < 0):.0%}",
        "share of the bars after which a trend went on over the next 24: " + _interval(*_went_on(rows)),
    ]
    for code, label in enumerate(LABELS):
        shares = np.concatenate([version_0([one]).p[version_0([one]).label == code, code] for one in rows])
        text = _interval(*_volatility_after(rows, code), digits=2)
        lines.append(
            f"{label}: confidence {shares.mean():.0%} on average; volatility of the next 24 bars {text} x usual"
        )
    return "\n".join(lines)


def _spread(values: Codes) -> str:
    return f"median {np.median(values):.0f}, mean {values.mean():.1f}, 90% up to {np.quantile(values, 0.9):.0f}"


def _interval(values: Floats, weeks: Codes, digits: int = 3) -> str:
    _, week = np.unique(weeks, return_inverse=True)
    sums = np.column_stack([np.bincount(week, values), np.bincount(week)])
    random = np.random.default_rng(SEED)
    drawn = random.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=DRAWS) @ sums
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return f"{values.mean():.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _spells(labels: Codes) -> tuple[Codes, Codes]:
    """Where each spell of one label begins, and how long it is."""
    begins = np.concatenate([[0], np.flatnonzero(labels[1:] != labels[:-1]) + 1])
    return begins, np.diff(begins, append=len(labels))


def _waits(raw: Codes) -> Codes:
    """For each bar behind the lead, how many raw labels after its own had to be known before its truth was final."""
    cuts = (raw[end - LEAD : end + 1] for end in range(LEAD, len(raw)))
    final = np.asarray([(settled_path(cut) != NO_LABEL).sum() for cut in cuts]) + np.arange(len(raw) - LEAD)
    bars = np.arange(LEAD, final[-1])
    return np.searchsorted(final, bars, side="right") + LEAD - bars


def _delays(truth: Codes, label: Codes) -> Codes:
    """Bars from the begin of each longer spell in hindsight until its label is announced; -1 where it never is."""
    found = []
    for begin, length in zip(*_spells(truth), strict=True):
        if length >= CAUGHT_FROM:
            agrees = np.flatnonzero(label[begin : begin + length] == truth[begin])
            found.append(int(agrees[0]) if len(agrees) else -1)
    return np.asarray(found)


def _next_days(rows: Sequence[Judged]) -> Iterator[tuple[Judged, Codes, Codes]]:
    """Per symbol the positions that have a row 24 hours later, and where that row is."""
    for one in rows:
        later = np.searchsorted(one.as_of, one.as_of + STRETCH * HOUR_MS)
        later = np.minimum(later, len(one.as_of) - 1)
        now = np.flatnonzero(one.as_of[later] == one.as_of + STRETCH * HOUR_MS)
        yield one, now, later[now]


def _went_on(rows: Sequence[Judged]) -> tuple[Floats, Codes]:
    """After each trend label, whether the next 24 hours moved the same way; with its week."""
    found = []
    for one, now, later in _next_days(rows):
        z, trend = one.column("z"), version_0([one]).label[now] <= TREND_DOWN
        found.append((z[now] * z[later] > 0, one.as_of[now] // WEEK_MS, trend))
    went, week, trend = (np.concatenate(column) for column in zip(*found, strict=True))
    return went[trend].astype(np.float64), week[trend]


def _volatility_after(rows: Sequence[Judged], code: int) -> tuple[Floats, Codes]:
    """Volatility of the 24 hours after each announcement of a label, over what was usual then; with its week."""
    found = []
    for one, now, later in _next_days(rows):
        sigma, ratio = one.column("sigma"), one.column("volatility_ratio")
        usual = sigma[now] / ratio[now]
        found.append((sigma[later] / usual, one.as_of[now] // WEEK_MS, version_0([one]).label[now] == code))
    ratio, week, own = (np.concatenate(column) for column in zip(*found, strict=True))
    return ratio[own], week[own]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of the market data")
    print(facts(parser.parse_args().data))


if __name__ == "__main__":
    main()
