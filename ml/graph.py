"""What an ONNX model is made of, read from its bytes before anything runs them.

A small reader of our own: the `onnx` package (31 MB, 9 MB of memory, 60-140 ms to import) belongs to training. It reads
every occurrence of every field, where a protobuf parser keeps the last, so what it sees is never less than what runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from ml.learning import BadArtefact

LARGEST_MODEL_BYTES = 64 * 1024 * 1024
MOST_NODES = 1_000

#: What our models are made of, by domain. Nothing that loops, branches, calls, draws at random or reads a file.
OPERATORS = {
    b"": frozenset(
        b"Add Cast Clip Concat Div Elu Erf Exp Gemm Identity IsNaN LayerNormalization LeakyRelu Log MatMul Max Min Mul "
        b"Neg Pow ReduceMean ReduceSum Relu Reshape Sigmoid Softmax Softplus Sqrt Squeeze Sub Sum Tanh Unsqueeze "
        b"Where".split()
    ),
    b"ai.onnx.ml": frozenset(b"TreeEnsembleClassifier TreeEnsembleRegressor".split()),
}
#: Of these, what gives a row the same bits alone and in a batch wherever sums run in the same order: arithmetic that is
#: rounded exactly, and sums of products. The others (exp, tanh, ...) are approximated by other code at the end of a
#: buffer than in its middle: Elu differs in the last bit for one value in thousands.
ROW_BY_ROW_EXACT = frozenset(
    b"Add Cast Clip Div Gemm Identity IsNaN LeakyRelu MatMul Max Min Mul Neg Relu Sub Sum "
    b"TreeEnsembleClassifier TreeEnsembleRegressor Where".split()
)
_ALIASES = {b"ai.onnx": b""}

#: A field of a message: its number, and its content (an int where it is one, else bytes).
_Field: TypeAlias = tuple[int, int | memoryview]

# Numbers of fields in onnx.proto.
_MODEL_GRAPH, _MODEL_OPSET, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 8, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_ATTRIBUTE, _NODE_OPERATOR, _NODE_DOMAIN, _NODE_OVERLOAD = 5, 4, 7, 8
_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS = 5, 10
_ATTRIBUTE_GRAPHS = frozenset({6, 11, 22, 23})
_TENSOR_EXTERNAL = frozenset({13, 14})
_OPSET_DOMAIN = 1
_FLATBUFFER = b"ORTM"
_NOTHING = re.compile(b"")
#: A run of whole fields inside an attribute: the numbers (7, 8) and modes (9) of trees, of which there are 100,000s.
_VALUES = re.compile(rb"(?:\x3d.{4}|\x40[\x80-\xff]{0,9}+[\x00-\x7f]|\x4a\x04LEAF|\x4a\x09BRANCH_LT)*+", re.DOTALL)


def operators_of(model: bytes) -> frozenset[bytes]:
    """The operators of `model`, an ONNX model of allowed operators alone, whole in itself and of bounded size.

    Raises BadArtefact, which says what was found, for any other.
    """
    if len(model) > LARGEST_MODEL_BYTES:
        raise BadArtefact(f"a model of {len(model):,} bytes; the limit is {LARGEST_MODEL_BYTES:,}")
    if model[4:8] == _FLATBUFFER:
        raise BadArtefact("a model in ONNX Runtime's own format, which is not checked: export it as ONNX")
    found: frozenset[bytes] | None = None
    for number, content in _fields(memoryview(model)):
        if number in (_MODEL_TRAINING, _MODEL_FUNCTIONS):
            raise BadArtefact("a model with functions or training steps of its own")
        if number == _MODEL_OPSET:
            _check_domains(_message(content))
        if number == _MODEL_GRAPH:
            found = (found or frozenset()) | _operators(_message(content))
    if found is None:
        raise BadArtefact("no ONNX model: it has no graph")
    return found


def _check_domains(opset: memoryview) -> None:
    for number, content in _fields(opset):
        if number == _OPSET_DOMAIN:
            _domain(content)


def _operators(graph: memoryview) -> frozenset[bytes]:
    found: list[bytes] = []
    for number, content in _fields(graph):
        if number == _GRAPH_SPARSE:
            raise BadArtefact("a model with sparse tensors")
        if number == _GRAPH_INITIALIZER:
            _check_tensor(_message(content))
        if number == _GRAPH_NODE:
            found.append(_operator(_message(content)))
    if len(found) > MOST_NODES:
        raise BadArtefact(f"a model of {len(found):,} nodes; the limit is {MOST_NODES:,}")
    return frozenset(found)


def _operator(node: memoryview) -> bytes:
    operators, domains = [], [b""]
    for number, content in _fields(node):
        if number == _NODE_OPERATOR:
            operators.append(bytes(_message(content)))
        elif number == _NODE_DOMAIN:
            domains.append(_domain(content))
        elif number == _NODE_OVERLOAD:
            raise BadArtefact("a model that calls functions of its own")
        elif number == _NODE_ATTRIBUTE:
            _check_attribute(_message(content))
    allowed = OPERATORS[domains[-1]]
    if len(operators) != 1 or len(domains) > 2 or operators[0] not in allowed:
        named = b"|".join(operators).decode("ascii", "replace")
        raise BadArtefact(f"a model with the operator {named!r}, which we do not run")
    return operators[0]


def _check_attribute(attribute: memoryview) -> None:
    for number, content in _fields(attribute, _VALUES):
        if number in _ATTRIBUTE_GRAPHS:
            raise BadArtefact("a model with a graph inside a graph, or with sparse tensors")
        if number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
            _check_tensor(_message(content))


def _check_tensor(tensor: memoryview) -> None:
    for number, _ in _fields(tensor):
        if number in _TENSOR_EXTERNAL:
            raise BadArtefact("a model whose weights lie in another file")


def _domain(content: int | memoryview) -> bytes:
    told = bytes(_message(content))
    domain = _ALIASES.get(told, told)
    if domain not in OPERATORS:
        raise BadArtefact(f"a model with operators of {told.decode('ascii', 'replace')!r}, which we do not run")
    return domain


def _message(content: int | memoryview) -> memoryview:
    if isinstance(content, int):
        raise _damaged()
    return content


def _fields(message: memoryview, skipped: re.Pattern[bytes] = _NOTHING) -> Iterator[_Field]:
    """Fields of a protobuf message, in order, but for runs of `skipped`.

    Source: protobuf.dev/programming-guides/encoding.
    """
    at = 0
    while True:
        run = skipped.match(message, at)
        at = run.end() if run else at
        if at >= len(message):
            return
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise _damaged()
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == 2:
            size, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise _damaged()
        if at + size > len(message):
            raise _damaged()
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _damaged()


def _damaged() -> BadArtefact:
    return BadArtefact("no ONNX model: the bytes are cut short or damaged")
