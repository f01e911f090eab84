"""Where the rules were measured: the extremes of 38 series with some room beyond them.

Crypto 2018-2024 and FX 2012-2018 by the hour, indices 1999-2016 and crypto 2018-2024 by the day. What the rules do
not add up has no range. `log_level` -16.5 is .026% a bar, -3.5 is 17%: a pegged coin lies below, a collapsing one
above.
"""

from __future__ import annotations

from collections.abc import Mapping

RANGES: Mapping[str, tuple[float, float]] = {
    "log_level": (-16.5, -3.5),
    "now": (-4.7, 7.5),
    "short": (-4.2, 5.5),
    "middle": (-3.5, 3.5),
    "slow": (-3.0, 1.7),
    "steadiness": (-3.5, 0.01),
    "closes": (-1.6, 1.4),
    "long_run": (-2.0, 3.0),
    "season": (-1.0, 0.8),
    "own_season": (-2.5, 1.5),
    "fall": (-20.0, 0.0),
    "due_payrolls": (0.0, 1.0),
    "due_fed": (0.0, 1.0),
}
