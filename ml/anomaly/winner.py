"""Which channel a bar is named after."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.anomaly.channels import CHANNELS
from ml.anomaly.kernel import NAMES
from ml.anomaly.tails import Rarity
from ml.bars import Floats, Instants

_AT = {channel.name: at for at, channel in enumerate(CHANNELS)}
_INDIRECT = np.array([channel.name in ("impact", "volume", "range") for channel in CHANNELS])
_UNTRADED = np.array([channel.name in ("no_volume", "volume_gone") for channel in CHANNELS])
#: A channel explains another that is rarer where it is itself as rare as this (1 bar in 20) and has this share of the
#: other's depth. Chosen on planted bars to 2021.
_OWN, _SHARE = 1.3, 0.5
#: A feed that has stood still for this depth explains that nothing is traded.
_STALE = 2.0
#: Volume is missing, rather than the range wide, up to this height of the range.
_NARROW = 0.5


def winners(values: Floats, found: Rarity) -> Instants:
    """Position in CHANNELS for each row of the kernel, shape (n,): the rarest channel, unless another explains it. A
    move brings volume, so a rare volume with a rare move is a move; a wide range for little volume is either a wide
    range or little volume; a price that stands still trades nothing."""
    depth, best = found.by_channel, found.by_channel.argmax(axis=1)
    most = depth.max(axis=1)
    range_, volume = values[:, NAMES.index("range")], values[:, NAMES.index("volume")]

    def explains(name: str) -> NDArray[np.bool_]:
        return np.asarray((depth[:, _AT[name]] >= _OWN) & (depth[:, _AT[name]] >= _SHARE * most))

    result = best.copy()
    indirect = _INDIRECT[best]
    result[indirect & explains("wick")] = _AT["wick"]
    result[indirect & explains("move") & ~(volume < 0.0)] = _AT["move"]
    result[(best == _AT["impact"]) & (range_ < _NARROW) & (volume < 0.0)] = _AT["volume_gone"]
    result[(depth[:, _AT["frozen"]] >= _STALE) & _UNTRADED[best]] = _AT["frozen"]
    return np.asarray(result, dtype=np.int64)
