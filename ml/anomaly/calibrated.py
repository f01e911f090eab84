"""Up to which score the told rates were found right, on years after those that the tables were fitted on.

Found right: of the scores .5, .6 and .8 in turn, bars that reach it came .7 to 1.5 times as often as it says
(`docs/anomaly.md` has the rates; a test holds this table to them). Beyond, too few bars are there to tell, or they came
at other rates.
"""

from __future__ import annotations

from collections.abc import Mapping

from ml.anomaly.tails import THIN, group
from ml.bars import Timeframe

#: By group of tables (`tails.group`), as shipped.
CALIBRATED_TO: Mapping[str, float] = {
    "1m": 0.8,
    "1m thin": 0.8,
    "5m": 0.8,
    "15m": 0.8,
    "1h": 0.8,
    "1h weekdays": 0.6,
    "4h": 0.8,
    "4h weekdays": 0.8,
    "1d": 0.5,
    "1d weekdays": 0.5,
}
#: The same where a model has measured the scale anew.
CALIBRATED_ANEW: Mapping[str, float] = {**CALIBRATED_TO, "1h weekdays": 0.8, "1d": 0.6}


def calibrated_to(timeframe: Timeframe, row: Mapping[str, float], holds: Mapping[str, float] = CALIBRATED_TO) -> float:
    """For the market whose row this is (columns of the kernel by name)."""
    return holds[group(timeframe, row["weekends"] > 0.0, row["idle"] > THIN)]
