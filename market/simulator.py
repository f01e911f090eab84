"""A market that never was: hourly coins whose true volatility, regimes and jumps are known, but to tests alone.

    market return  = regime x season x garch x normal, plus clustered jumps
    coin's return  = beta x market return + season x garch x normal, plus jumps of its own
    volume         = season x (true sigma and size of the move) x autoregressive noise

Each stream of random numbers has a generator of its own, drawn one number per hour, and every recursion runs forward:
so simulating more hours reproduces the earlier ones exactly, and a market can go on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from market.seasons import volatility_season, volume_season
from ml.bars import HOUR_MS, Bars, Floats, Instant, Instants, Timeframe


class Regime(IntEnum):
    """State of the whole market. Stays for about 200, 150 and 60 hours."""

    CALM = 0
    NORMAL = 1
    STORM = 2


#: Standard deviation of the market's hourly log return in each regime.
REGIME_SIGMA = (0.0025, 0.0045, 0.0095)
#: Chance per hour of moving from a regime (row) to another (column).
TRANSITIONS = ((0.995, 0.0045, 0.0005), (0.0045, 1 - 0.0045 - 0.0022, 0.0022), (0.003, 0.0137, 1 - 0.003 - 0.0137))
#: GARCH(1,1) of unit mean: share of the last squared shock, and of the last variance. Shocks fade by half in 34 hours.
GARCH_SHOCK, GARCH_MEMORY = 0.08, 0.90
#: Chance per hour of a jump of the market; each one raises that chance, and the rise fades. On average one in 39 days.
JUMP_CHANCE, JUMP_EXCITES, JUMP_FADES = 1 / 1600, 0.08, 0.84
#: Size of a jump in standard deviations of a normal hour: evenly between these, downwards a little more often.
JUMP_LEAST, JUMP_MOST, JUMP_DOWN = 4.0, 9.0, 0.55
#: Volume: power of true sigma, weight of the hour's own move, noise and how long it lasts.
VOLUME_SIGMA_POWER, VOLUME_MOVE, VOLUME_NOISE, VOLUME_MEMORY = 0.8, 0.35, 0.20, 0.80
#: What a market without end needs: log prices are drawn back to where they began, by half in about 290 days.
PULL_BACK = 1e-4


@dataclass(frozen=True, slots=True)
class Coin:
    """One simulated coin. `beta` is its share of market moves, `own_sigma` the standard deviation of its own hourly
    log return, `own_jumps_per_year` how often it jumps alone; `price` and `volume` are where it starts and its hourly
    average (base units); prices have `decimals`."""

    symbol: str
    price: float
    decimals: int
    beta: float
    own_sigma: float
    own_jumps_per_year: float
    volume: float


@dataclass(frozen=True, slots=True, eq=False)
class CoinTruth:
    """What made one coin's bars. `sigma` is the true standard deviation of each hour's log return without jumps, shape
    (hours,); `jumps` the part of each log return that was a jump, 0 in most hours."""

    symbol: str
    sigma: Floats
    jumps: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What made the bars: the market's `regime` (values of `Regime`, shape (hours,)), and that of each coin."""

    open_at: Instants
    regime: Instants
    coins: tuple[CoinTruth, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedMarket:
    """Bars for everybody, the truth for tests."""

    bars: tuple[Bars, ...]
    truth: Truth


def simulate(seed: int, coins: Sequence[Coin], anchor_ms: Instant, hours: int) -> SimulatedMarket:
    """`hours` bars of 1h per coin, the first of which opens at `anchor_ms` (a whole hour, else ValueError).

    The same seed, coins and anchor give the same bars; more hours only add to them.
    """
    if anchor_ms % HOUR_MS or hours < 0:
        raise ValueError(f"anchor_ms must be a whole hour and hours not negative, not {anchor_ms} and {hours}")
    open_at = anchor_ms + HOUR_MS * np.arange(hours, dtype=np.int64)
    season = volatility_season(open_at)
    regime = _regimes(_draws(seed, 0, 0).random(hours))
    calm_or_storm = np.asarray(REGIME_SIGMA)[regime] * season
    market_sigma, market_shock = _garch(calm_or_storm, _draws(seed, 0, 1).standard_normal(hours))
    market_jumps = _jumps(seed, 0, hours, JUMP_CHANCE, JUMP_EXCITES) * REGIME_SIGMA[Regime.NORMAL]
    bars: list[Bars] = []
    truths: list[CoinTruth] = []
    for number, coin in enumerate(coins, start=1):
        own_sigma, own_shock = _garch(coin.own_sigma * season, _draws(seed, number, 1).standard_normal(hours))
        own_jumps = _jumps(seed, number, hours, coin.own_jumps_per_year / 8_766, 0.0) * coin.own_sigma
        sigma = np.hypot(coin.beta * market_sigma, own_sigma)
        jumps = coin.beta * market_jumps + own_jumps
        returns = coin.beta * market_shock + own_shock + jumps
        bars.append(_bars(seed, number, coin, open_at, returns, sigma))
        truths.append(CoinTruth(coin.symbol, sigma, jumps))
    return SimulatedMarket(tuple(bars), Truth(open_at, regime, tuple(truths)))


def _draws(seed: int, member: int, purpose: int) -> np.random.Generator:
    """A stream for one purpose of one member (0 is the market)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, member, purpose))))


def _regimes(draws: Floats) -> Instants:
    state = int(Regime.NORMAL)
    path = []
    for draw in draws.tolist():
        to_calm, to_normal, _ = TRANSITIONS[state]
        state = 0 if draw < to_calm else 1 if draw < to_calm + to_normal else 2
        path.append(state)
    return np.asarray(path, dtype=np.int64)


def _garch(level: Floats, normals: Floats) -> tuple[Floats, Floats]:
    """Standard deviation of each hour around its `level`, and the shocks that it made of `normals`."""
    variance = 1.0
    deviations = []
    for normal in normals.tolist():
        deviations.append(math.sqrt(variance))
        variance = 1.0 - GARCH_SHOCK - GARCH_MEMORY + variance * (GARCH_SHOCK * normal * normal + GARCH_MEMORY)
    sigma = level * np.asarray(deviations)
    return sigma, sigma * normals


def _jumps(seed: int, member: int, hours: int, chance: float, excites: float) -> Floats:
    """Signed sizes in standard deviations of a normal hour, 0 where there is no jump."""
    happens, size, sign = (_draws(seed, member, purpose).random(hours) for purpose in (2, 3, 4))
    jumped = []
    excitement = 0.0
    for draw in happens.tolist():
        jump = draw < chance + excitement
        jumped.append(jump)
        excitement = JUMP_FADES * (excitement + excites * jump)
    sizes = (JUMP_LEAST + (JUMP_MOST - JUMP_LEAST) * size) * np.where(sign < JUMP_DOWN, -1.0, 1.0)
    return np.where(np.asarray(jumped, dtype=bool), sizes, 0.0)


def _bars(seed: int, member: int, coin: Coin, open_at: Instants, returns: Floats, sigma: Floats) -> Bars:
    """Bars open where the last one closed. How far they reach beyond open and close is drawn from the law of the
    extremes of a Brownian bridge (Karatzas and Shreve 1991, 4.3.40), given the return and the true sigma."""
    hours = len(open_at)
    least = 10.0**-coin.decimals
    close = np.maximum(np.round(coin.price * np.exp(_drawn_back(returns)), coin.decimals), least)
    open_ = np.append(coin.price, close[:-1])[:hours]
    moved = np.log(close / open_)
    above, below = (np.log(1.0 - _draws(seed, member, purpose).random(hours)) for purpose in (5, 6))
    up = (moved + np.sqrt(moved**2 - 2.0 * sigma**2 * above)) / 2.0
    down = (moved - np.sqrt(moved**2 - 2.0 * sigma**2 * below)) / 2.0
    high = np.maximum(np.round(open_ * np.exp(up), coin.decimals), np.maximum(open_, close))
    low = np.maximum(np.minimum(np.round(open_ * np.exp(down), coin.decimals), np.minimum(open_, close)), least)
    volume = _volumes(_draws(seed, member, 7).standard_normal(hours), coin, open_at, returns, sigma)
    return Bars(coin.symbol, Timeframe.H1, open_at, open_, high, low, close, volume)


def _drawn_back(returns: Floats) -> Floats:
    """Log price over the first price."""
    level = 0.0
    path = []
    for change in returns.tolist():
        level = (1.0 - PULL_BACK) * level + change
        path.append(level)
    return np.asarray(path)


def _volumes(normals: Floats, coin: Coin, open_at: Instants, returns: Floats, sigma: Floats) -> Floats:
    typical = math.hypot(coin.beta * REGIME_SIGMA[Regime.NORMAL], coin.own_sigma)
    noise = 0.0
    path = []
    for normal in normals.tolist():
        noise = VOLUME_MEMORY * noise + VOLUME_NOISE * normal
        path.append(noise)
    # The season is in sigma already: taken out, or it would count twice.
    unrest = np.power(sigma / volatility_season(open_at) / typical, VOLUME_SIGMA_POWER)
    move = np.exp(VOLUME_MOVE * (np.minimum(np.abs(returns) / sigma, 5.0) - 0.8))
    return np.round(coin.volume * volume_season(open_at) * unrest * move * np.exp(path), 4)
