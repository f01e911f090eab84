"""How rare what is fed beside the bars is, and what the whole then comes to.

The tables of the bars know that their channels are many, and nothing of what is fed. So each fed channel that is judged
in a bar counts as one more look: of m looks that are each as rare as p, the chance that one of them is, is
1 - (1 - p)^m; looks that go together are told to be rarer than that by nobody. A bar in which nothing fed is judged
keeps what the bars say.
"""

from __future__ import annotations

import numpy as np

from ml.anomaly.channels import CHANNELS, FED_CHANNELS
from ml.anomaly.constants import FUNDING
from ml.anomaly.fed import FED
from ml.anomaly.tails import LARGEST, depth
from ml.bars import Floats, Instants
from ml.capability import Rows

_TOLD = [FED.index(channel.column) for channel in FED_CHANNELS]
_FUNDING, _FUNDING_KNOTS = FED.index("funding"), np.array(FUNDING)


def fed_of(rows: Rows) -> Floats:
    """The columns `FED` of rows, shape (n, len(FED)); NaN in rows of before they were read."""
    if rows.names[-len(FED) :] != FED:
        return np.full((len(rows), len(FED)), np.nan)
    return rows.values[:, -len(FED) :]


def fed_depths(fed: Floats) -> Floats:
    """-log10 of the chance of each of FED_CHANNELS in rows of `FED`, shape (n, 4); NaN where it is not judged."""
    told = np.where(np.isfinite(fed), fed, np.nan)
    if np.isnan(told).all():
        return np.asarray(told[:, _TOLD])
    told[:, _FUNDING] = depth(_FUNDING_KNOTS, told[:, _FUNDING])
    return np.asarray(np.clip(told[:, _TOLD], 0.0, LARGEST))


def together(whole: Floats, channel: Instants, depths: Floats) -> tuple[Floats, Instants]:
    """How rare bars are with what was fed, and the position in EVERY_CHANNEL of what shows it most: from how rare they
    are by themselves (n,), the channel that shows that, and the depths of what was fed (n, 4)."""
    looks = 1 + (~np.isnan(depths)).sum(axis=1)
    here = np.flatnonzero((looks > 1) & ~np.isnan(whole))
    if not len(here):
        return whole, channel
    fed = np.nan_to_num(depths[here], nan=-1.0)
    rarest, most = fed.max(axis=1), np.maximum(fed.max(axis=1), whole[here])
    result, shown = whole.copy(), channel.copy()
    with np.errstate(divide="ignore"):  # a depth of 0 is a chance of 1, and stays one
        chance = -np.expm1(looks[here] * np.log1p(-(10.0**-most)))
    result[here] = np.clip(-np.log10(chance), 0.0, LARGEST)
    shown[here] = np.where(rarest > whole[here], len(CHANNELS) + fed.argmax(axis=1), channel[here])
    return result, shown
