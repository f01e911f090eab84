"""From checked bytes to numbers: ONNX models, run so that a row has the same answer alone and in any batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ml.bars import Floats
from ml.graph import ROW_BY_ROW_EXACT, operators_of
from ml.learning import BadArtefact

#: Rows given to the runtime at once, at most. Every size up to it is compared with single rows when a model is loaded.
BLOCK = 32

_Numbers: TypeAlias = NDArray[np.float32]
_NUMBERS = "tensor(float)"
_LOG_FATAL = 4  # what goes wrong is raised; the runtime need not print it as well


@dataclass(frozen=True, slots=True, eq=False)
class Runner:
    """A model in memory. Its methods may be called from many threads.

    Takes `n_features` columns and gives `n_outputs`. Rows are run in blocks of `block` at most: 1, unless the model is
    made of exact arithmetic and this machine was seen to sum a row in a block, of every size, as it does alone.
    """

    n_features: int
    n_outputs: int
    block: int
    _session: Any
    _input: str

    def run(self, x: NDArray[np.floating[Any]]) -> Floats:
        """Outputs of rows `x`, shape (n, n_features), float64 or float32; NaN and infinities reach the model.

        Result has shape (n, n_outputs), float64. Numbers beyond the model's float32 become infinities. Row i depends
        on row i alone, bit for bit. Raises ValueError where the shape is another one.
        """
        if x.ndim != 2 or x.shape[1] != self.n_features:
            raise ValueError(f"rows of shape (n, {self.n_features}) are needed, not {x.shape}")
        with np.errstate(over="ignore"):
            rows: _Numbers = np.ascontiguousarray(x, dtype=np.float32)
        result = np.empty((len(rows), self.n_outputs))
        for start in range(0, len(rows), self.block):
            part = rows[start : start + self.block]
            result[start : start + self.block] = _outputs(self._session, self._input, part)
        return result


def onnx_runner(model: bytes) -> Runner:
    """The runner of an ONNX model with one input of shape (n, k) and one output of shape (n,) or (n, m), both
    float32, made of the operators in `ml.graph` alone. One thread, no files.

    `model` are bytes whose sha256 was checked: a flipped bit may load, with other outputs. Raises BadArtefact.
    """
    operators = operators_of(model)
    session = _session(model)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise BadArtefact(f"a model with {len(inputs)} inputs and {len(outputs)} outputs; one and one are needed")
    features = list(inputs[0].shape)[1:]
    kinds = {inputs[0].type, outputs[0].type}
    if kinds != {_NUMBERS} or len(features) != 1 or not isinstance(features[0], int):
        raise BadArtefact(f"a model from {_shown(inputs[0])} to {_shown(outputs[0])}; float32 (n, k) is needed")
    probe: _Numbers = np.asarray(_probe(features[0]), dtype=np.float32)
    try:
        alone = np.concatenate([_outputs(session, inputs[0].name, probe[i : i + 1]) for i in range(BLOCK)])
        equal = operators <= ROW_BY_ROW_EXACT and all(
            _outputs(session, inputs[0].name, probe[:n]).tobytes() == alone[:n].tobytes() for n in range(2, BLOCK + 1)
        )
    except Exception as error:  # its exceptions have no common base but this one
        raise BadArtefact(f"a model that does not run: {type(error).__name__}: {str(error)[:200]}") from error
    return Runner(features[0], alone.shape[1], BLOCK if equal else 1, session, inputs[0].name)


def _session(model: bytes) -> Any:  # noqa: ANN401 - the runtime publishes no types
    # 0.1 s, and only who has a model needs it
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _LOG_FATAL
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base but this one
        raise BadArtefact(f"a model that does not load: {type(error).__name__}: {str(error)[:200]}") from error


def _outputs(session: Any, name: str, rows: _Numbers) -> _Numbers:  # noqa: ANN401 - onnxruntime is untyped
    (told,) = session.run(None, {name: rows})
    shaped: _Numbers = told.reshape(len(rows), -1)
    return shaped


def _probe(n_features: int) -> Floats:
    """Rows that exercise a model: spread evenly in [-4, 4] without a pattern (Weyl), then growing, then all alike."""
    golden = 0.6180339887498949
    spread = np.arange(1, BLOCK * n_features + 1) * golden % 1.0 * 8.0 - 4.0
    rows: Floats = np.reshape(spread, (-1, n_features))
    rows[BLOCK // 2 :] *= np.logspace(-3, 3, BLOCK - BLOCK // 2)[:, None]
    rows[-1] = 1.0
    return rows


def _shown(value: Any) -> str:  # noqa: ANN401 - whatever came
    return f"{value.type} {list(value.shape)}"
