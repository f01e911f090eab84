"""What a model saw, by group of inputs, in words with a number."""

from __future__ import annotations

import math

from ml.capability import Rows

#: The column that stands for a group, and the sentence: {ratio} is exp of half of it, a ratio of two volatilities.
_SAID = {
    "hours": ("range_6", "last 6 h at {ratio:.2f} x usual volatility"),
    "days": ("range_168", "last week at {ratio:.2f} x usual volatility"),
    "closes": ("squares_24", "closes of the last 24 h at {ratio:.2f} x the volatility of usual ranges"),
    "falls": ("move_24", "last 24 h moved {value:+.1f} usual standard deviations"),
    "volume": ("volume_24", "volume of the last 24 h at {whole:.2f} x usual"),
    "season": ("season", "coming hours of the week usually at {ratio:.2f} x the week's volatility"),
    "long_run": ("long_run", "last 2,000 h at {ratio:.2f} x the volatility of the last month"),
    "market": ("market_range_6", "market as a whole, last 6 h at {ratio:.2f} x usual volatility"),
    "releases": ("", "releases of the economic calendar that are due"),
    "aftermath": ("released_24", "releases of the economic calendar in the last 24 h: {value:.0f}"),
    "together": ("", "what the groups do only together, and the constant"),
}
_UNKNOWN = {"market": "the market as a whole is unknown"}


def sentence(group: str, rows: Rows, i: int, effect: float) -> tuple[float, str]:
    """The number that stands for a group in row i, 0 where it is unknown, and a short sentence with what it does."""
    name, text = _SAID[group]
    value = float(rows.values[i, rows.names.index(name)]) if name else 0.0
    change = f"{100.0 * math.expm1(0.5 * effect):+.1f}% on the forecast"
    if not math.isfinite(value):
        return 0.0, f"{_UNKNOWN.get(group, f'{group} is unknown')}: {change}"
    said = text.format(ratio=math.exp(min(0.5 * value, 50.0)), whole=math.exp(min(value, 50.0)), value=value)
    return value, f"{said}: {change}"
