"""Small neural networks: fitted by torch, exported to ONNX by hand. The only importer of torch.

A multilayer perceptron is a handful of Gemm and activation nodes: written out, the same weights give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import NodeProto, helper
from torch import Tensor, nn

from ml.bars import Floats
from ml.fitting.onnx_bytes import INPUT, OUTPUT, model_bytes

__all__ = ["Lesson", "Loss", "Recipe", "fitted", "nn", "predicted", "to_onnx"]

#: Outputs (n, m) and targets (n, t) to the loss of each row, shape (n,): methods of the tensors suffice to write one.
Loss = Callable[[Tensor, Tensor], Tensor]

#: Activations that are exported: the torch module, the ONNX operator, its attributes.
_ACTIVATIONS: dict[type[nn.Module], Callable[[nn.Module], tuple[str, dict[str, Any]]]] = {
    nn.ReLU: lambda _: ("Relu", {}),
    nn.Tanh: lambda _: ("Tanh", {}),
    nn.Sigmoid: lambda _: ("Sigmoid", {}),
    nn.ELU: lambda one: ("Elu", {"alpha": float(one.alpha)}),  # type: ignore[arg-type]  # mypy sees a Module
    nn.LeakyReLU: lambda one: ("LeakyRelu", {"alpha": float(one.negative_slope)}),  # type: ignore[arg-type]  # mypy sees a Module
}
_SKIPPED = (nn.Dropout, nn.Identity)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is fitted. Adam with decoupled weight decay and a cosine rate; the weights of the epoch with the
    smallest held-out loss are kept, and fitting ends `patience` epochs after it."""

    hidden: tuple[int, ...] = (64, 32)
    activation: type[nn.Module] = nn.ReLU
    dropout: float = 0.0
    epochs: int = 40
    batch: int = 1024
    rate: float = 1e-3
    weight_decay: float = 1e-4
    patience: int = 10


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Rows (n, k) without NaN, scaled to about 1, their targets (n, t) and weights (n,)."""

    rows: Floats
    targets: Floats
    weights: Floats | None = None


def fitted(
    lesson: Lesson,
    held_out: Lesson,
    n_outputs: int,
    loss: Loss,
    recipe: Recipe,
    seed: int,
    tell: Callable[[float], None] = lambda _: None,
) -> tuple[nn.Sequential, float]:
    """A network that makes `loss` small on `lesson`, and its mean loss on `held_out`. Deterministic on one machine: one
    thread, `seed`. `tell` hears the share of the epochs that are done. Raises ValueError where every epoch's held-out
    loss was NaN."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _fitted(lesson, held_out, n_outputs, loss, recipe, tell)


def predicted(module: nn.Module, rows: NDArray[np.floating[Any]]) -> Floats:
    """What torch itself says on `rows` (n, k), shape (n, m): the reference of the parity gate."""
    module.eval()
    with torch.no_grad():
        told = module(torch.from_numpy(np.array(rows, dtype=np.float32)))
    return np.asarray(told.numpy(), dtype=np.float64)


def to_onnx(module: nn.Sequential, n_features: int) -> bytes:
    """A stack of Linear layers and activations as ONNX: rows (n, n_features) to answers (n, m), float32.

    Same weights, same bytes. Raises ValueError for a layer that is not exported.
    """
    nodes: list[NodeProto] = []
    weights: dict[str, NDArray[np.float32]] = {}
    here, width = INPUT, n_features
    for number, layer in enumerate(_layers(module)):
        there = f"layer_{number}"
        if isinstance(layer, nn.Linear):
            if layer.in_features != width:
                raise ValueError(f"layer {number} takes {layer.in_features} numbers, but is given {width}")
            width = layer.out_features
            weights[f"weight_{number}"] = layer.weight.detach().numpy()
            weights[f"bias_{number}"] = layer.bias.detach().numpy()
            given = [here, f"weight_{number}", f"bias_{number}"]
            nodes.append(helper.make_node("Gemm", given, [there], transB=1))
        elif type(layer) in _ACTIVATIONS:
            operator, attributes = _ACTIVATIONS[type(layer)](layer)
            nodes.append(helper.make_node(operator, [here], [there], **attributes))
        else:
            raise ValueError(f"{type(layer).__name__} is not exported")
        here = there
    nodes.append(helper.make_node("Identity", [here], [OUTPUT]))
    return model_bytes(nodes, n_features, width, weights)


def _layers(module: nn.Sequential) -> list[nn.Module]:
    found: list[nn.Module] = []
    for layer in module:
        found += _layers(layer) if isinstance(layer, nn.Sequential) else [layer]
    return [layer for layer in found if not isinstance(layer, _SKIPPED)]


def _network(widths: Sequence[int], recipe: Recipe) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), recipe.activation(), nn.Dropout(recipe.dropout)]
    return nn.Sequential(*layers[:-2])


def _fitted(
    lesson: Lesson, held_out: Lesson, n_outputs: int, loss: Loss, recipe: Recipe, tell: Callable[[float], None]
) -> tuple[nn.Sequential, float]:
    module = _network([lesson.rows.shape[1], *recipe.hidden, n_outputs], recipe)
    taught, judged = _tensors(lesson), _tensors(held_out)
    optimiser = torch.optim.AdamW(module.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay)
    steps = recipe.epochs * -(-len(lesson.rows) // recipe.batch)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps)
    best, best_at, kept = np.inf, -1, None
    for epoch in range(recipe.epochs):
        module.train()
        for part in _batches(len(lesson.rows), recipe.batch):
            optimiser.zero_grad()
            _mean_loss(module, [one[part] for one in taught], loss).backward()  # type: ignore[no-untyped-call]  # torch's has no types
            optimiser.step()
            rate.step()
        module.eval()
        with torch.no_grad():
            now = float(_mean_loss(module, judged, loss))
        if now < best:
            best, best_at = now, epoch
            kept = {name: value.detach().clone() for name, value in module.state_dict().items()}
        tell((epoch + 1) / recipe.epochs)
        if epoch - best_at >= recipe.patience:
            break
    if kept is None:
        raise ValueError("no epoch had a finite held-out loss: are rows without NaN and scaled to about 1?")
    module.load_state_dict(kept)
    return module.eval(), best


def _batches(n: int, size: int) -> list[Tensor]:
    order = torch.randperm(n)
    return [order[start : start + size] for start in range(0, n, size)]


def _mean_loss(module: nn.Module, lesson: Sequence[Tensor], loss: Loss) -> Tensor:
    rows, targets, weights = lesson
    return (loss(module(rows), targets) * weights).sum() / weights.sum()


def _tensors(lesson: Lesson) -> list[Tensor]:
    weights = np.ones(len(lesson.rows)) if lesson.weights is None else lesson.weights
    return [torch.from_numpy(np.array(one, dtype=np.float32)) for one in (lesson.rows, lesson.targets, weights)]
