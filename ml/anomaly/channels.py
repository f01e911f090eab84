"""The channels: each looks at one side of a bar, and knows which type of anomaly it would be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ml.bars import Floats


class Kind(StrEnum):
    """In what way a bar is abnormal."""

    PRICE = "price"
    VOLUME = "volume"
    LIQUIDITY = "liquidity"
    DERIVATIVES = "derivatives"
    DATA = "data"


@dataclass(frozen=True, slots=True)
class Channel:
    """One line of the table of channels. `column` of the row, times `sign`, is what is looked at: the more, the more
    abnormal. `ratio`: a size over its usual size, whose tail is a power law; else a height in robust standard
    deviations, whose tail is exponential. `told`: the column is -log10 of a chance already, and needs no table but in
    thin markets. `text` says what was seen, from the columns of the row."""

    name: str
    kind: Kind
    column: str
    sign: float = 1.0
    ratio: bool = False
    told: bool = False


#: A size below this share of the usual is not looked at more closely.
LEAST_RATIO = 0.01
#: A channel that reads books or funding is one more line here, and its columns in the row.
CHANNELS: tuple[Channel, ...] = (
    Channel("move", Kind.PRICE, "move", ratio=True),
    Channel("record", Kind.PRICE, "record"),
    Channel("range", Kind.PRICE, "range"),
    Channel("surge", Kind.PRICE, "surge"),
    Channel("wick", Kind.LIQUIDITY, "wick", ratio=True),
    Channel("impact", Kind.LIQUIDITY, "impact"),
    Channel("volume", Kind.VOLUME, "volume"),
    Channel("volume_gone", Kind.VOLUME, "volume", sign=-1.0),
    Channel("no_volume", Kind.VOLUME, "no_volume", told=True),
    Channel("frozen", Kind.DATA, "frozen", told=True),
    Channel("gap", Kind.DATA, "gap", told=True),
    Channel("broken", Kind.DATA, "broken", told=True),
)


def looked_at(column: Floats, channel: Channel) -> Floats:
    """What a channel looks at, shape (n,), in its column of the rows: NaN where it is not known."""
    values = channel.sign * column
    return np.log(np.maximum(values, LEAST_RATIO)) if channel.ratio else values
