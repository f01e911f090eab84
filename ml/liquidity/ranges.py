"""Where the rules were measured: the extremes of 24 hourly crypto series, 2018-2024, with some room beyond them.

What is not a number of the forecast has no range. `log_level` has none either: an amount of money may be in any
currency.
"""

from __future__ import annotations

from collections.abc import Mapping

RANGES: Mapping[str, tuple[float, float]] = {
    "smoothed": (-4.0, 4.5),
    "thin_below": (-5.5, 0.0),
}
