"""How large an order a market bears: the square-root law of price impact.

An order of Q worked over a window costs I = Y sigma sqrt(Q / V), with sigma the volatility and V the volume of the
window; both grow with it, so the window cancels. Source: Toth et al. (2011), "Anomalous price impact and the critical
nature of liquidity in financial markets"; Y is about .7, and .3 to 1 across markets. It is for orders that are worked
over hours. A small order that is sent at once costs far less than it says, one beyond the levels shown far more: there
the book is walked (`book.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Impact of an order as large as the volume, in daily standard deviations.
Y, Y_LEAST, Y_MOST = 0.7, 0.3, 1.0
#: No order above this share of the forecast volume is said to be possible: nothing was measured there.
LARGEST_SHARE = 0.05
_BPS = 1e4


@dataclass(frozen=True, slots=True)
class Bears:
    """What a window bears: `volume` is its forecast volume in quote currency, `sigma` the standard deviation of its log
    return (a fraction)."""

    volume: float
    sigma: float

    def largest(self, cost_bps: float, y: float = Y) -> float:
        """The largest order (quote currency) whose impact stays within `cost_bps`, at most 5% of the volume."""
        share = (cost_bps / (y * self.sigma * _BPS)) ** 2
        return self.volume * min(share, LARGEST_SHARE)

    def cost_bps(self, order_quote: float, y: float = Y) -> float:
        """Expected impact of an order in basis points, however large: also where it is beyond what was measured."""
        return y * self.sigma * _BPS * math.sqrt(order_quote / self.volume)
