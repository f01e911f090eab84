"""The sample market: what a fresh install has to talk about, without a network and without a licence.

Six coins that are simulated, and say so in their symbols and their origin; and, where the `arch` package is there,
two real stock indices, long past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from market.arch_data import arch_folder, read_arch
from market.bar_table import BarTable, checked
from market.refusal import BadBarFile
from market.simulator import Coin, SimulatedMarket, simulate
from ml.bars import DAY_MS, HOUR_MS, Bars, Instant

SIMULATED = "simulated"
SEED = 20_261
#: How far back the sample begins.
SAMPLE_DAYS = 760
COINS = (
    Coin("SIMBTC", 60_000.0, 2, beta=0.85, own_sigma=0.0020, own_jumps_per_year=4, volume=900.0),
    Coin("SIMETH", 2_500.0, 2, beta=1.05, own_sigma=0.0028, own_jumps_per_year=6, volume=14_000.0),
    Coin("SIMSOL", 140.0, 3, beta=1.30, own_sigma=0.0048, own_jumps_per_year=9, volume=180_000.0),
    Coin("SIMXRP", 0.60, 5, beta=0.95, own_sigma=0.0042, own_jumps_per_year=12, volume=20_000_000.0),
    Coin("SIMDOGE", 0.12, 6, beta=1.20, own_sigma=0.0055, own_jumps_per_year=14, volume=90_000_000.0),
    Coin("SIMLINK", 14.0, 4, beta=1.15, own_sigma=0.0045, own_jumps_per_year=9, volume=250_000.0),
)
#: The simulator is asked for this much more than is due, and asked again when that is used up.
_AHEAD_HOURS = 30 * 24
_WITHOUT_INDICES = "the sample has no daily S&P 500 and NASDAQ (1999-2018)"


@dataclass(frozen=True, slots=True)
class Sample:
    """`tables` to feed, and `notes` on what is missing. The simulated market goes on from `anchor_ms`: keep it, or find
    it again as the first open of any simulated series."""

    tables: tuple[BarTable, ...]
    notes: tuple[str, ...]
    anchor_ms: Instant


class SampleFeed:
    """The simulated coins, hour by hour, from `anchor_ms` on. The same anchor gives the same market, for ever."""

    def __init__(self, anchor_ms: Instant, *, seed: int = SEED, coins: Sequence[Coin] = COINS) -> None:
        self._anchor_ms = anchor_ms
        self._seed = seed
        self._coins = tuple(coins)
        self._hours = 0
        self._market: SimulatedMarket | None = None

    def closed_bars(self, after_ms: Instant, through_ms: Instant) -> tuple[BarTable, ...]:
        """Per coin the bars that closed later than `after_ms` and not later than `through_ms`; those may be none."""
        first = max((after_ms - self._anchor_ms) // HOUR_MS, 0)
        stop = max((through_ms - self._anchor_ms) // HOUR_MS, first)
        return tuple(
            checked(bars.between(first, stop), SIMULATED, source="simulator") for bars in self._bars(through_hour=stop)
        )

    def _bars(self, through_hour: int) -> tuple[Bars, ...]:
        if self._market is None or self._hours < through_hour:
            self._hours = through_hour + _AHEAD_HOURS
            self._market = simulate(self._seed, self._coins, self._anchor_ms, self._hours)
        return self._market.bars


def sample_anchor(through_ms: Instant) -> Instant:
    """Where a sample that is begun at `through_ms` starts: a UTC midnight, `SAMPLE_DAYS` before."""
    return through_ms // DAY_MS * DAY_MS - SAMPLE_DAYS * DAY_MS


def sample_market(through_ms: Instant, *, anchor_ms: Instant | None = None, arch_data: Path | None = None) -> Sample:
    """All of the sample that had closed by `through_ms`.

    `anchor_ms`: where the simulated market began, if it has (default: `sample_anchor`). `arch_data`: where the data of
    arch lie (default: in the installed package).
    """
    anchor = sample_anchor(through_ms) if anchor_ms is None else anchor_ms
    coins = SampleFeed(anchor).closed_bars(anchor, through_ms)
    folder = arch_data or arch_folder()
    if folder is None:
        return Sample(coins, (f"the arch package is not installed: {_WITHOUT_INDICES}",), anchor)
    try:
        return Sample((*coins, *read_arch(folder)), (), anchor)
    except BadBarFile as refusal:  # the coins are worth having all the same, and the note says what is not there
        return Sample(coins, (f"{refusal}: {_WITHOUT_INDICES}",), anchor)
