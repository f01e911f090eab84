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
#: What bars show. Every one of them looks at every bar, and the whole is measured on all of them together.
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
#: What is fed beside the bars shows, in the bars in which it is known.
FED_CHANNELS: tuple[Channel, ...] = (
    Channel("funding", Kind.DERIVATIVES, "funding"),
    Channel("open_interest", Kind.DERIVATIVES, "open_interest", told=True),
    Channel("spread", Kind.LIQUIDITY, "spread", told=True),
    Channel("book_gone", Kind.LIQUIDITY, "book_gone", told=True),
)
EVERY_CHANNEL = (*CHANNELS, *FED_CHANNELS)


def looked_at(columns: Floats) -> Floats:
    """What CHANNELS look at, each in its column of the rows, shape (n, len(CHANNELS)): NaN where it is not known."""
    seen: Floats = columns * _SIGNS
    seen[:, _RATIOS] = np.log(np.maximum(seen[:, _RATIOS], LEAST_RATIO))
    return seen


_SIGNS = np.array([channel.sign for channel in CHANNELS])
_RATIOS = [at for at, channel in enumerate(CHANNELS) if channel.ratio]
