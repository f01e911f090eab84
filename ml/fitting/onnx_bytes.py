"""ONNX models as bytes: one input of rows, one output, fixed versions, and nothing that differs between two runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, checker, helper, numpy_helper

#: Operator sets of 2022, which every onnxruntime that we allow runs.
OPSET, ML_OPSET, IR_VERSION = 17, 3, 8
INPUT, OUTPUT = "rows", "answers"


def model_bytes(
    nodes: Sequence[NodeProto], n_features: int, n_outputs: int, weights: Mapping[str, NDArray[np.float32]]
) -> bytes:
    """The model that leads from `INPUT` (n, n_features) to `OUTPUT` (n, n_outputs), both float32."""
    graph = helper.make_graph(
        list(nodes),
        "barograph",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", n_features])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", n_outputs])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in weights.items()],
    )
    versions = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=IR_VERSION, producer_name="barograph")
    checker.check_model(model)
    told: bytes = model.SerializeToString(deterministic=True)
    return told
