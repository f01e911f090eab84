"""How often each regime came true where the trailing formula read so and so: the shipped constants of version 0.

Counted over |z| and v, with the move's own direction as "up": the table knows no drift. Rounded to 1/1,000, no entry
below it. Two tables, because regimes last less long where nights and weekends interrupt them. Fitted by
`benchmarks/fit_regime_rules.py`; its windows are named below, and every skill figure begins after them. The edges
alone were chosen with later years in sight (docs/regime.md).
"""

from __future__ import annotations

import numpy as np

from ml.bars import Floats
from ml.regime.formula import LABELS, QUIET_TO_V, TREND_DOWN, TREND_UP, Codes

Z_EDGES = (0.6, 1.25, 2.0)
"""Lower edges of the second to fourth row of |z|."""
V_EDGES = (0.15, 0.30, 0.50, 0.75, 0.90)
"""Upper edges of the first to fifth column of v. At .30 the edge belongs below it, at .90 above, as in the formula."""
_QUIET = V_EDGES.index(QUIET_TO_V) + 1
ROWS, COLUMNS = len(Z_EDGES) + 1, len(V_EDGES) + 1

FITTED_ROUND_THE_CLOCK = "24 coins on Binance, hourly, 2018-01-01 to 2021-12-31"
FITTED_SESSIONS = "7 currency pairs, hourly, 2012-11-15 to 2015-12-31"

# Per thousand, in the order of LABELS with a move upwards: along it, against it, range_bound, high_volatility,
# consolidation. One line per cell: |z| from small to large, and within it v from small to large.
ROUND_THE_CLOCK = (
    (92, 58, 108, 9, 733),
    (84, 50, 246, 15, 605),
    (75, 43, 514, 16, 352),
    (68, 41, 737, 36, 118),
    (57, 37, 767, 111, 28),
    (19, 23, 413, 533, 12),
    (153, 31, 112, 10, 694),
    (142, 22, 292, 13, 531),
    (137, 17, 550, 18, 278),
    (124, 16, 725, 46, 89),
    (86, 16, 712, 155, 31),
    (22, 11, 317, 637, 13),
    (254, 10, 125, 8, 603),
    (244, 6, 341, 11, 398),
    (241, 8, 547, 30, 174),
    (230, 4, 643, 73, 50),
    (150, 3, 552, 281, 14),
    (25, 1, 183, 786, 5),
    (421, 3, 161, 9, 406),
    (425, 1, 342, 21, 211),
    (423, 1, 440, 38, 98),
    (399, 1, 488, 90, 22),
    (194, 1, 371, 428, 6),
    (24, 1, 93, 876, 6),
)
SESSIONS = (
    (93, 54, 198, 41, 614),
    (78, 37, 353, 31, 501),
    (83, 45, 546, 39, 287),
    (69, 45, 677, 54, 155),
    (64, 45, 672, 139, 80),
    (41, 54, 334, 522, 49),
    (160, 28, 188, 39, 585),
    (151, 18, 342, 36, 453),
    (154, 22, 514, 39, 271),
    (131, 26, 639, 52, 152),
    (110, 32, 640, 128, 90),
    (28, 35, 306, 558, 73),
    (270, 13, 190, 47, 480),
    (290, 8, 316, 39, 347),
    (320, 11, 392, 36, 241),
    (293, 13, 518, 54, 122),
    (256, 10, 494, 170, 70),
    (46, 12, 287, 605, 50),
    (400, 25, 253, 53, 269),
    (551, 4, 291, 12, 142),
    (412, 1, 335, 46, 206),
    (446, 3, 383, 106, 62),
    (424, 2, 322, 236, 16),
    (89, 2, 213, 678, 18),
)

USUAL_ROUND_THE_CLOCK = (70, 70, 455, 112, 293)
"""Per thousand, how often each regime came true over all cells, up and down taken together and halved."""
USUAL_SESSIONS = (82, 82, 448, 118, 270)


def cells(z: Floats, v: Floats) -> Codes:
    """Cell of each (z, v), 0 .. 23, row by row; neither may be NaN."""
    row = np.searchsorted(Z_EDGES, np.abs(z), side="right")
    column = np.searchsorted(V_EDGES[:_QUIET], v, side="left") + np.searchsorted(V_EDGES[_QUIET:], v, side="right")
    cell: Codes = row * COLUMNS + column
    return cell


def cell_name(z: float, v: float) -> str:
    """Where (z, v) falls, e.g. "|z| 0.6-1.25 and volatility percentile 15-30"."""
    row, column = divmod(int(cells(np.array([z]), np.array([v]))[0]), COLUMNS)
    z_edges, v_edges = (0.0, *Z_EDGES), (0.0, *V_EDGES, 1.0)
    z_text = f"{z_edges[row]:g}-{z_edges[row + 1]:g}" if row + 1 < ROWS else f"above {z_edges[row]:g}"
    return f"|z| {z_text} and volatility percentile {100 * v_edges[column]:.0f}-{100 * v_edges[column + 1]:.0f}"


def probabilities(z: Floats, v: Floats, sessions: Floats) -> Floats:
    """Probability of each regime, shape (n, 5), rows sum to 1. `sessions` is 1 where the market has closing hours."""
    cell = cells(z, v)
    p = np.where((sessions > 0.0)[:, None], _SESSIONS[cell], _ROUND_THE_CLOCK[cell])
    down = z < 0.0
    p[down] = p[down][:, _MIRRORED]
    return p


def _mirrored() -> list[int]:
    order = list(range(len(LABELS)))
    order[TREND_UP], order[TREND_DOWN] = order[TREND_DOWN], order[TREND_UP]
    return order


_MIRRORED = _mirrored()
_ROUND_THE_CLOCK = np.asarray(ROUND_THE_CLOCK, dtype=np.float64) / 1_000.0
_SESSIONS = np.asarray(SESSIONS, dtype=np.float64) / 1_000.0
