"""The yardstick of a retraining: the same trees and the same net by xgboost and torch, and nothing else.

python -m benchmarks.bare_fit FILE    (an .npz: for `early` and `all` the rows, scaled rows and labels)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import xgboost
from numpy.typing import NDArray
from torch import nn

from ml.regime.learner import _BATCH, _EPOCHS, _HIDDEN, _RATE, _ROUNDS, _TREES, _WATCHED

PARTS = ("early", "all")


def fit(rows: NDArray[np.float32], scaled: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    """Trees, then a net, as the regime learner has them."""
    params = {**_TREES, "nthread": 1, "seed": 0, "tree_method": "hist", "verbosity": 0}
    xgboost.train(params, xgboost.DMatrix(rows, labels), _ROUNDS)
    torch.set_num_threads(1)
    watched = np.arange(len(scaled)) % _WATCHED == 0
    x, y = (torch.from_numpy(one[~watched]) for one in (scaled, labels))
    first, second = _HIDDEN
    net = nn.Sequential(
        *(nn.Linear(x.shape[1], first), nn.ReLU(), nn.Linear(first, second), nn.ReLU()),
        nn.Linear(second, int(_TREES["num_class"])),
    )
    optimiser, loss = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=1e-4), nn.CrossEntropyLoss()
    for _ in range(_EPOCHS):
        order = torch.randperm(len(x))
        for start in range(0, len(x), _BATCH):
            part = order[start : start + _BATCH]
            optimiser.zero_grad()
            loss(net(x[part]), y[part]).backward()
            optimiser.step()


def main() -> None:
    with np.load(Path(sys.argv[1]), allow_pickle=False) as kept:
        for part in PARTS:
            fit(kept[f"{part}_rows"], kept[f"{part}_scaled"], kept[f"{part}_labels"])


if __name__ == "__main__":
    main()
