"""What a model saw, by group of inputs, in words with a number."""

from __future__ import annotations

import math

from ml.capability import Rows

#: The column that stands for a group, and the sentence: {ratio} is exp of it, {value} the number itself.
_SAID = {
    "hours": ("volume_6", "last 6 h at {ratio:.2f} x usual volume"),
    "days": ("volume_168", "last week at {ratio:.2f} x usual volume"),
    "same_hours": ("days_6", "the same hours of 7 days at {ratio:.2f} x usual volume"),
    "noise": ("bias_24", "season x smoothed level was {ratio:.2f} x too low in the last 14 days"),
    "prices": ("size_24", "price moved {value:.1f} usual standard deviations in 24 h"),
    "holidays": ("holiday_24", "{value:.0%} of the coming 24 h on a holiday"),
    "releases": ("released_24", "releases of the economic calendar, due or just out"),
    "clock": ("hour", "hour of the day and day of the week, from {value:.0f}:00Z"),
    "market": ("market_volume_6", "market as a whole, last 6 h at {ratio:.2f} x usual volume"),
    "together": ("", "what the groups do only together, and the constant"),
}


def sentence(group: str, rows: Rows, i: int, effect: float) -> tuple[float, str]:
    """The number that stands for a group in row i, 0 where it is unknown, and a short sentence with what it does."""
    name, text = _SAID[group]
    value = float(rows.values[i, rows.names.index(name)]) if name else 0.0
    change = f"{100.0 * math.expm1(effect):+.1f}% on the forecast"
    if not math.isfinite(value):
        known = "the market as a whole" if group == "market" else group.replace("_", " ")
        return 0.0, f"{known} is unknown: {change}"
    return value, f"{text.format(ratio=math.exp(min(value, 50.0)), value=value)}: {change}"
