"""Exports: trees and nets answer in ONNX as in training, on the rows where exports go wrong, or are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml import parity
from ml.artefacts import BLOCK, Runner, onnx_runner
from ml.bars import Floats
from ml.fitting import nets, trees
from ml.parity import ParityBroken

K = 6
N = 600
RANDOM = np.random.default_rng(5)
ROWS = RANDOM.normal(size=(N, K))
ROWS[:, 2] = np.round(ROWS[:, 2])
ROWS[RANDOM.random(ROWS.shape) < 0.1] = np.nan
TRUTH = np.exp(np.nan_to_num(ROWS[:, 0]) + 0.2 * RANDOM.normal(size=N))
CLASSES = np.clip(np.nan_to_num(ROWS[:, 2]) + 2, 0, 3)
FULL = np.nan_to_num(ROWS)


def grown(objective: str, labels: Floats, rounds: int = 40, **told: Any) -> Any:
    return trees.grown({"objective": objective, "max_depth": 4, **told}, ROWS, labels, rounds, seed=3)


def agree(booster: Any, model: bytes, *, margin: bool = False) -> float:
    random, splits = np.random.default_rng(0), trees.splits(booster, K)
    return parity.check(
        lambda x: trees.predicted(booster, x, margin=margin), onnx_runner(model), ROWS, random, splits=splits
    )


@pytest.mark.parametrize("margin", [False, True])
@pytest.mark.parametrize(
    ("objective", "labels", "told"),
    [
        ("reg:squarederror", TRUTH, {}),
        ("reg:squarederror", TRUTH * 1e6, {}),
        ("reg:absoluteerror", TRUTH, {}),
        ("reg:pseudohubererror", TRUTH, {}),
        ("reg:quantileerror", TRUTH, {"quantile_alpha": 0.9}),
        ("reg:gamma", TRUTH, {}),
        ("reg:gamma", TRUTH * 1e-4, {"base_score": 0.5}),
        ("reg:tweedie", TRUTH, {}),
        ("count:poisson", TRUTH, {}),
        ("binary:logistic", (TRUTH > 1).astype(float), {}),
        ("multi:softprob", CLASSES, {"num_class": 4}),
        ("multi:softprob", CLASSES, {"num_class": 4, "subsample": 0.5, "colsample_bytree": 0.5}),
    ],
)
def test_exported_trees_answer_as_the_booster_does(
    objective: str, labels: Floats, told: dict[str, Any], margin: bool
) -> None:
    booster = grown(objective, labels, **told)
    model = trees.to_onnx(booster, K, margin=margin)
    assert agree(booster, model, margin=margin) <= parity.TOLERANCE
    assert onnx_runner(model).n_outputs == (4 if "multi" in objective else 1)


@pytest.mark.parametrize("objective", ["reg:gamma", "reg:squarederror"])
def test_trees_that_are_single_leaves_are_exported_as_the_constants_that_they_are(objective: str) -> None:
    booster = grown(objective, TRUTH, gamma=1e9)
    assert trees.splits(booster, K) == [[] for _ in range(K)]
    model = trees.to_onnx(booster, K)
    assert agree(booster, model) <= parity.TOLERANCE
    found = onnx_runner(model).run(ROWS)
    assert np.ptp(found) == 0.0
    assert found[0, 0] == pytest.approx(float(TRUTH.mean()), rel=0.2)


def test_some_single_leaves_among_the_trees_do_no_harm() -> None:
    booster = grown("reg:gamma", TRUTH, gamma=3.0, rounds=80)
    assert "[" in booster.get_dump()[0]
    assert "[" not in booster.get_dump()[-1]
    assert agree(booster, trees.to_onnx(booster, K)) <= parity.TOLERANCE


@pytest.mark.parametrize(
    ("objective", "told", "match"),
    [
        ("multi:softmax", {"num_class": 4}, "multi:softmax is not exported"),
        ("reg:logistic", {}, "reg:logistic is not exported"),
        ("reg:squarederror", {"num_parallel_tree": 3}, "random forests"),
        ("reg:squarederror", {"booster": "dart"}, "only plain trees"),
        ("reg:squarederror", {"booster": "gblinear"}, "only plain trees"),
    ],
)
def test_a_form_that_is_not_exported_is_refused(objective: str, told: dict[str, Any], match: str) -> None:
    labels = (TRUTH > 1).astype(float) if objective == "reg:logistic" else CLASSES
    linear = told.get("booster") == "gblinear"
    plain = {"tree_method": "auto", "updater": "coord_descent", "max_depth": 0} if linear else {}
    with pytest.raises(ValueError, match=match):
        trees.to_onnx(grown(objective, labels, 3, **plain, **told), K)


def test_trees_are_the_same_bytes_for_the_same_lessons_and_others_for_another_seed() -> None:
    told = {"objective": "reg:gamma", "subsample": 0.5}
    same = [trees.to_onnx(trees.grown(told, ROWS, TRUTH, 10, seed), K) for seed in (1, 1, 2)]
    assert same[0] == same[1] != same[2]
    with pytest.raises(ValueError, match="the booster has 6 features, not 7"):
        trees.to_onnx(grown("reg:gamma", TRUTH, 3), K + 1)


def test_growing_ends_when_it_no_longer_helps_and_tells_how_far_it_is() -> None:
    noise = np.random.default_rng(1).normal(size=N)
    heard: list[float] = []
    booster = trees.grown(
        {"objective": "reg:squarederror"},
        ROWS[:300],
        noise[:300],
        200,
        seed=1,
        held_out=(ROWS[300:], noise[300:]),
        patience=5,
        tell=heard.append,
    )
    assert booster.num_boosted_rounds() <= 10
    assert heard == [round_ / 200 for round_ in range(1, len(heard) + 1)]
    assert agree(booster, trees.to_onnx(booster, K)) <= parity.TOLERANCE


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 30))
def test_whatever_the_trees_a_row_has_the_same_bits_alone_and_in_a_batch(seed: int, depth: int, rounds: int) -> None:
    booster = trees.grown({"objective": "reg:gamma", "max_depth": depth}, ROWS, TRUTH, rounds, seed)
    runner = onnx_runner(trees.to_onnx(booster, K, margin=bool(seed % 2)))
    assert runner.block == (BLOCK if seed % 2 else 1), "the sums of trees run in blocks; exp does not"
    assert agree(booster, trees.to_onnx(booster, K)) <= parity.TOLERANCE
    some = ROWS[seed % 500 :][:70]
    alone = np.concatenate([runner.run(some[i : i + 1]) for i in range(len(some))])
    assert runner.run(some).tobytes() == alone.tobytes()


def squared(out: Any, target: Any) -> Any:
    return ((out - target) ** 2).sum(dim=1)


def net(seed: int = 1, **told: Any) -> tuple[Any, float]:
    targets = np.stack([np.log(TRUTH), np.abs(FULL[:, 1])], axis=1)
    recipe = nets.Recipe(**{"hidden": (16, 8), "epochs": 15, "batch": 64, "rate": 1e-2, **told})
    taught, held_out = nets.Lesson(FULL[:400], targets[:400]), nets.Lesson(FULL[400:], targets[400:])
    return nets.fitted(taught, held_out, 2, squared, recipe, seed)


@pytest.mark.parametrize("activation", [nets.nn.ReLU, nets.nn.Tanh, nets.nn.Sigmoid, nets.nn.ELU, nets.nn.LeakyReLU])
def test_exported_nets_answer_as_torch_does_and_say_nan_to_nan(activation: Any) -> None:
    module, _ = net(activation=activation, dropout=0.1)
    runner = onnx_runner(nets.to_onnx(module, K))
    apart = parity.check(lambda x: nets.predicted(module, x), runner, FULL, np.random.default_rng(0), largest=10.0)
    assert apart <= parity.TOLERANCE
    assert runner.n_outputs == 2
    holes = np.where(np.eye(K) == 1.0, np.nan, 0.0)
    assert np.isnan(runner.run(holes)).all()


def test_nets_learn_and_are_the_same_bytes_for_the_same_seed() -> None:
    (first, loss), (again, same), (other, _) = net(1), net(1), net(2)
    assert loss == same
    assert loss < 0.5 * float(np.var(np.log(TRUTH[400:])) + np.var(np.abs(FULL[400:, 1])))
    assert nets.to_onnx(first, K) == nets.to_onnx(again, K) != nets.to_onnx(other, K)


def test_fitting_a_net_leaves_the_random_state_of_others_alone() -> None:
    before = torch.random.get_rng_state().clone()
    net(1, epochs=1)
    assert bool((torch.random.get_rng_state() == before).all())


def test_a_net_on_rows_with_holes_is_a_mistake_that_is_told() -> None:
    with pytest.raises(ValueError, match="no epoch had a finite held-out loss"):
        nets.fitted(nets.Lesson(ROWS, TRUTH[:, None]), nets.Lesson(ROWS, TRUTH[:, None]), 1, squared, nets.Recipe(), 1)


def test_layers_that_are_not_exported_are_refused() -> None:
    with pytest.raises(ValueError, match="LayerNorm is not exported"):
        nets.to_onnx(nets.nn.Sequential(nets.nn.Linear(K, 2), nets.nn.LayerNorm(2)), K)
    with pytest.raises(ValueError, match="layer 0 takes 6 numbers, but is given 7"):
        nets.to_onnx(nets.nn.Sequential(nets.nn.Linear(K, 2)), K + 1)


@pytest.fixture(scope="module")
def booster() -> Any:
    return grown("reg:squarederror", TRUTH)


@pytest.fixture(scope="module")
def runner(booster: Any) -> Runner:
    return onnx_runner(trees.to_onnx(booster, K))


@pytest.mark.parametrize(
    "lie",
    [
        lambda x, y: np.where(np.isnan(x).any(axis=1), y + 1e-3, y),
        lambda x, y: np.where(np.isnan(x).all(axis=1), y + 1e-3, y),
        lambda x, y: np.where(np.all(x == x[:, :1], axis=1), y + 1e-3, y),
        lambda x, y: np.where((np.abs(x) > 1e29).any(axis=1), y + 1e-3, y),
        lambda x, y: np.where(np.any(x == np.inf, axis=1), np.nan, y),
        lambda x, y: y + 1e-3 * (x[:, 1] > 1.0),
        lambda x, y: y * (1 + 2e-5),
        lambda x, y: np.stack([y, y], axis=1),
    ],
)
def test_an_export_that_is_wrong_somewhere_is_caught(booster: Any, runner: Runner, lie: Any) -> None:
    with pytest.raises(ParityBroken):
        parity.check(
            lambda x: lie(x, trees.predicted(booster, x)), runner, ROWS, np.random.default_rng(0), tolerance=1e-5
        )


def test_a_split_that_takes_ties_to_the_wrong_side_is_caught_at_the_split_alone(booster: Any, runner: Runner) -> None:
    splits = trees.splits(booster, K)
    ties = {np.float32(value) for value in splits[0]}

    def wrong(x: Any) -> Floats:
        tied = np.isin(x[:, 0], list(ties)) & (x[:, 0] != 0)
        return np.where(tied, trees.predicted(booster, x) + 1.0, trees.predicted(booster, x))

    parity.check(lambda x: trees.predicted(booster, x), runner, ROWS, np.random.default_rng(0), splits=splits)
    with pytest.raises(ParityBroken, match=r"differ by more than 1e-05; the worst: .* trained, .* exported, on \["):
        parity.check(wrong, runner, ROWS, np.random.default_rng(0), splits=splits)
