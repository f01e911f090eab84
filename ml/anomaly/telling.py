"""What the channels saw, in words."""

from __future__ import annotations

from math import exp

from ml.anomaly.channels import Channel
from ml.capability import Term

#: What each channel says, from the columns of its row.
_SENTENCES = {
    "move": "the close moved {move_pct:+.2f}%, {move:.1f} x the usual size of a move at this hour",
    "record": "the move of {move_pct:+.2f}% is {times:.1f} x the third largest of the bars before it",
    "range": "the range is {range:.1f} robust standard deviations above its usual logarithm",
    "surge": "a move of {move_pct:+.2f}% on {volume_ratio:.1f} x the usual volume: both at once are rare",
    "wick": "the longer wick is {wick:.1f} x its usual size",
    "impact": "the range is wide for the volume: {impact:.1f} robust standard deviations",
    "volume": "volume is {volume_ratio:.2f} x its usual size at this hour ({volume:+.1f} robust standard deviations)",
    "volume_gone": "volume is {volume_ratio:.3f} x its usual size at this hour ({volume:+.1f} robust deviations)",
    "no_volume": "there is no volume at all",
    "frozen": "the price has stood still for {run:.0f} bars",
    "gap": "{missing:.0f} bars are missing before this one",
    "broken": "high and low do not hold open and close",
    "funding": "funding is {funding_bps:+.2f} bp, {funding:.1f} robust deviations from the usual {usual_bps:+.2f}",
    "open_interest": "open interest changed by {open_interest_pct:+.2f}% over the bar",
    "spread": "the spread of the book is {spread_bps:.2f} bp, {spread_times:.1f} x that of the last 24 closes",
    "book_gone": "the thinner side of the book holds {book_share:.3f} x what it held at the last 24 closes",
}
_MOST = 50.0


def sentence(channel: Channel, row: dict[str, float]) -> str:
    """What a channel saw, with its numbers."""
    told = {
        "move_pct": 100.0 * (exp(row["return"]) - 1.0),
        "times": exp(min(row["record"], _MOST)),
        "funding_bps": 1e4 * row["funding_rate"],
        "usual_bps": 1e4 * row["funding_usual"],
        "open_interest_pct": 100.0 * (exp(min(row["open_interest_change"], _MOST)) - 1.0),
    }
    return _SENTENCES[channel.name].format(**told, **row)


def term(channel: Channel, row: dict[str, float], depth: float) -> Term:
    """One channel as a term: `effect` is -log10 of its own chance."""
    text = f"{sentence(channel, row)}: {rarity(depth)} by itself"
    unit = "-log10 chance" if channel.told else "x usual" if channel.ratio else "robust standard deviations"
    return Term(channel.name, channel.sign * row[channel.column], unit, depth, text)


def rarity(depth: float) -> str:
    """`1 bar in 250`."""
    bars = 10.0**depth
    return f"1 bar in {bars:,.0f}" if bars >= 10.0 else f"1 bar in {bars:.1f}"
