"""From a log variance and a band to the answer that is given."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ml.bars import Instant, Timeframe
from ml.volatility.answer import VolatilityAnswer
from ml.volatility.kernel import FLOOR_OF_LAST
from ml.volatility.question import Horizon
from ml.volatility.reference import SHARES
from ml.volatility.releases import HOURS_TO, ROW_OF_RULES, upcoming
from ml.volatility.season import Kind

_AT = {name: position for position, name in enumerate(ROW_OF_RULES)}
_HOURS_TO = slice(_AT[HOURS_TO[0]], _AT[HOURS_TO[-1]] + 1)
_REFERENCE_AT = _AT["rv90_00"]
#: Outside these log variances no market has been: a row that leads there is wrong.
LOG_VARIANCES = (-30.0, 3.0)
CONFIDENCE_NOTE = "a size has no hit rate: the uncertainty is in the band, q10 to q90 holds about 80% of outcomes"


def forecast(
    horizon: Horizon,
    row: Sequence[float],
    through: Instant,
    log_variance: float,
    impact: float | None,
    bands: Sequence[float],
) -> VolatilityAnswer:
    """The answer on a row that begins with `ROW_OF_RULES`, whose newest bar closed at `through` (ms UTC). `impact`: how
    much of `log_variance` is due to releases, if known; `bands` are the seven quantiles of RV_h over the mean."""
    usual = math.log(horizon.bars) + row[_AT["log_level"]]
    var = math.exp(log_variance)
    q05, q10, q25, q50, q75, q90, q95 = (var * factor for factor in bands)
    last = max(math.exp(row[_AT["last"]]) - FLOOR_OF_LAST, FLOOR_OF_LAST)
    events = upcoming(horizon.timeframe, horizon.bars, kind_of(row), through, row[_HOURS_TO])
    measured = events is not None and horizon.timeframe is Timeframe.H1
    return VolatilityAnswer(
        var=var,
        volatility_pct=100.0 * math.sqrt(var),
        q05=q05,
        q10=q10,
        q25=q25,
        q50=q50,
        q75=q75,
        q90=q90,
        q95=q95,
        percentile_90d=percentile(log_variance - usual, row[_REFERENCE_AT : _REFERENCE_AT + len(SHARES)]),
        ratio_to_last=math.exp(0.5 * (log_variance - usual - math.log(last))),
        upcoming_events=events,
        upcoming_event_impact=math.exp(0.5 * impact) if measured and impact is not None else None,
    )


def kind_of(row: Sequence[float]) -> Kind:
    """Which hours the market of such a row trades."""
    return Kind.ALWAYS if row[_AT["trades_weekends"]] else Kind.WEEKDAYS


def percentile(value: float, quantiles: Sequence[float]) -> float:
    """Where `value` stands among `quantiles` (not decreasing, at `SHARES`), 0 to 100, linear between them."""
    if value <= quantiles[0]:
        return 0.0
    for i in range(1, len(SHARES)):
        if value <= quantiles[i]:
            width = quantiles[i] - quantiles[i - 1]
            inside = (value - quantiles[i - 1]) / width
            return 100.0 * (SHARES[i - 1] + (SHARES[i] - SHARES[i - 1]) * inside)
    return 100.0
