"""Gradient-boosted trees: grown by xgboost, exported to ONNX by hand. The only importer of xgboost.

The converters on offer are silently wrong on several forms of a booster and put names of their own into the bytes. A
booster is one TreeEnsemble node and at most one more; the same booster gives the same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray
from onnx import NodeProto, helper

from ml.bars import Floats
from ml.fitting.onnx_bytes import INPUT, OUTPUT, model_bytes

#: Per objective, how a margin becomes an answer (an ONNX operator), and where `base_score` lies in margin space.
_LINKS: Mapping[str, tuple[str, Callable[[float], float]]] = {
    "reg:squarederror": ("", float),
    "reg:absoluteerror": ("", float),
    "reg:pseudohubererror": ("", float),
    "reg:quantileerror": ("", float),
    "reg:gamma": ("Exp", math.log),
    "reg:tweedie": ("Exp", math.log),
    "count:poisson": ("Exp", math.log),
    "binary:logistic": ("Sigmoid", lambda p: -math.log(1.0 / p - 1.0)),
    "multi:softprob": ("Softmax", float),
}


def grown(
    parameters: Mapping[str, Any],
    rows: Floats,
    labels: Floats,
    rounds: int,
    seed: int,
    *,
    weights: Floats | None = None,
    held_out: tuple[Floats, Floats] | None = None,
    patience: int = 0,
    tell: Callable[[float], None] = lambda _: None,
) -> xgboost.Booster:
    """A booster of at most `rounds` rounds on `rows` (n, k), NaN where missing, and `labels` (n,).

    Deterministic: one thread, histograms, `seed`. With `held_out` rows and labels, growing ends `patience` rounds after
    the last better one, and only the rounds up to that are kept. `tell` hears the share of the rounds that are done.
    """
    told = {"tree_method": "hist", **parameters, "nthread": 1, "seed": seed, "verbosity": 0}
    lessons = xgboost.DMatrix(_single(rows), _single(labels), weight=weights, nthread=1)
    watched = [] if held_out is None else [(xgboost.DMatrix(*map(_single, held_out), nthread=1), "held_out")]
    booster = xgboost.train(
        told,
        lessons,
        num_boost_round=rounds,
        evals=watched,
        early_stopping_rounds=patience if watched and patience else None,
        verbose_eval=False,
        callbacks=[_Telling(rounds, tell)],
    )
    return booster[: booster.best_iteration + 1] if watched and patience else booster


def predicted(booster: xgboost.Booster, rows: NDArray[np.floating[Any]], *, margin: bool = False) -> Floats:
    """What xgboost itself says on `rows` (n, k), shape (n,) or (n, classes): the reference of the parity gate."""
    told = booster.inplace_predict(_single(rows), predict_type="margin" if margin else "value")
    return np.asarray(told, dtype=np.float64)


def to_onnx(booster: xgboost.Booster, n_features: int, *, margin: bool = False) -> bytes:
    """The booster as ONNX, all its rounds: rows (n, n_features) to answers (n, 1) or (n, classes), float32.

    `margin` leaves out the last step (exp, sigmoid, softmax). Same booster, same bytes. Raises ValueError for a form
    that is not exported: dart, linear, several targets, random forests, categories, another objective.
    """
    learner = json.loads(booster.save_raw("json"))["learner"]
    trees, link, base = _form(learner, n_features)
    nodes = [_ensemble(trees, base, OUTPUT if margin or not link else "margins")]
    if link and not margin:
        axis: dict[str, Any] = {"axis": 1} if link == "Softmax" else {}
        nodes.append(helper.make_node(link, ["margins"], [OUTPUT], **axis))
    return model_bytes(nodes, n_features, len(base), {})


def splits(booster: xgboost.Booster, n_features: int) -> list[list[float]]:
    """Per feature the values at which trees split, ascending: where the parity gate looks for ties."""
    found: list[set[float]] = [set() for _ in range(n_features)]
    for tree in json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]:
        for left, feature, value in zip(
            tree["left_children"], tree["split_indices"], tree["split_conditions"], strict=True
        ):
            if left >= 0:
                found[feature].add(value)
    return [sorted(values) for values in found]


def _form(learner: Mapping[str, Any], n_features: int) -> tuple[list[tuple[int, Mapping[str, Any]]], str, list[float]]:
    """Trees with the number of the output that each adds to, the link, and the base of each output in margin space."""
    model, shape = learner["gradient_booster"].get("model", {}), learner["learner_model_param"]
    objective = learner["objective"]["name"]
    if learner["gradient_booster"]["name"] != "gbtree" or int(shape["num_target"]) != 1:
        raise ValueError("only plain trees with one target are exported")
    if objective not in _LINKS:
        raise ValueError(f"{objective} is not exported; {sorted(_LINKS)} are")
    if int(shape["num_feature"]) != n_features:
        raise ValueError(f"the booster has {shape['num_feature']} features, not {n_features}")
    if int(model["gbtree_model_param"]["num_parallel_tree"]) != 1 or any(any(t["split_type"]) for t in model["trees"]):
        raise ValueError("random forests and categories are not exported")
    link, to_margin = _LINKS[objective]
    outputs = max(int(shape["num_class"]), 1)
    base = [to_margin(float(value)) for value in json.loads(shape["base_score"].replace("E", "e"))]
    base = base * outputs if len(base) == 1 else base
    return list(zip(model["tree_info"], model["trees"], strict=True)), link, base


def _ensemble(trees: Sequence[tuple[int, Mapping[str, Any]]], base: Sequence[float], output: str) -> NodeProto:
    """One node for all trees. A tree of one leaf is a constant and goes into the base values."""
    constant, branching = list(base), []
    for target, tree in trees:
        if len(tree["left_children"]) == 1:
            constant[target] += tree["split_conditions"][0]
        else:
            branching.append((target, tree))
    told: dict[str, Any] = _attributes(branching or [(0, _STUMP)])
    return helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        [output],
        domain="ai.onnx.ml",
        n_targets=len(base),
        base_values=constant,
        post_transform="NONE",
        aggregate_function="SUM",
        **told,
    )


#: A tree that adds nothing, for a booster that never found a split: an ensemble must have a tree.
_STUMP = {
    "left_children": [1, -1, -1],
    "right_children": [2, -1, -1],
    "split_indices": [0, 0, 0],
    "split_conditions": [0.0, 0.0, 0.0],
    "default_left": [1, 0, 0],
}


def _attributes(trees: Sequence[tuple[int, Mapping[str, Any]]]) -> dict[str, Any]:
    lists: dict[str, list[Any]] = {f"nodes_{name}": [] for name in _NODE_LISTS}
    lists |= {f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
    for number, (target, tree) in enumerate(trees):
        left, values = tree["left_children"], tree["split_conditions"]
        leaf = [child < 0 for child in left]
        told = {
            "treeids": [number] * len(left),
            "nodeids": range(len(left)),
            "featureids": tree["split_indices"],
            "values": [0.0 if ends else value for ends, value in zip(leaf, values, strict=True)],
            "modes": ["LEAF" if ends else "BRANCH_LT" for ends in leaf],  # xgboost goes left where value < split
            "truenodeids": [max(child, 0) for child in left],
            "falsenodeids": [max(child, 0) for child in tree["right_children"]],
            "missing_value_tracks_true": tree["default_left"],
        }
        for name in _NODE_LISTS:
            lists[f"nodes_{name}"].extend(told[name])
        leaves = [at for at, ends in enumerate(leaf) if ends]
        lists["target_treeids"].extend([number] * len(leaves))
        lists["target_nodeids"].extend(leaves)
        lists["target_ids"].extend([target] * len(leaves))
        lists["target_weights"].extend(values[at] for at in leaves)
    return lists


_NODE_LISTS = (
    "treeids",
    "nodeids",
    "featureids",
    "values",
    "modes",
    "truenodeids",
    "falsenodeids",
    "missing_value_tracks_true",
)


class _Telling(xgboost.callback.TrainingCallback):
    def __init__(self, rounds: int, tell: Callable[[float], None]) -> None:
        super().__init__()
        self._rounds, self._tell = rounds, tell

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ANN401, ARG002 - theirs
        self._tell((epoch + 1) / self._rounds)
        return False


def _single(values: NDArray[np.floating[Any]]) -> Any:  # noqa: ANN401 - numpy's own
    return np.asarray(values, dtype=np.float32)
