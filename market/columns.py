"""Between numpy and Arrow, by their buffers.

`pa.array` and `to_numpy` would do, but both import pandas where it is installed (pyarrow 26): half a second and 60 MB
that a server does not want.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from market.bar_table import Mask
from ml.bars import Floats, Instants

Number = TypeVar("Number", np.float64, np.int64)


def from_numpy(values: Floats | Instants) -> pa.Array:
    """An Arrow array over the same memory."""
    kind = pa.int64() if values.dtype == np.dtype(np.int64) else pa.float64()
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def nullable(values: Floats, there: Mask) -> pa.Array:
    """An Arrow array of the values that are `there`, null where they are not."""
    valid = pa.py_buffer(np.packbits(there, bitorder="little"))
    return pa.Array.from_buffers(pa.float64(), len(values), [valid, pa.py_buffer(np.ascontiguousarray(values))])


def repeated(text: str, n: int) -> pa.DictionaryArray:
    """The same text `n` times."""
    return _dictionary([text], np.zeros(n, dtype=np.int32))


def coded(texts: Sequence[str]) -> pa.DictionaryArray:
    """These texts, of which each is kept once."""
    words = sorted(set(texts))
    code = {word: i for i, word in enumerate(words)}
    return _dictionary(words, np.array([code[text] for text in texts], dtype=np.int32))


def floats(column: pa.ChunkedArray) -> Floats:
    """Numbers of any type as float64, NaN where missing."""
    whole = column.cast(pa.float64(), safe=False).combine_chunks()
    return np.where(_missing(whole), np.nan, _values(whole, np.float64))


def integers(column: pa.ChunkedArray, missing: int) -> Instants:
    """Whole numbers, or times in their own unit, as int64, `missing` where there is none."""
    whole = column.cast(pa.int64(), safe=False).combine_chunks()
    return np.where(_missing(whole), missing, _values(whole, np.int64))


def _dictionary(words: Sequence[str], codes: NDArray[np.int32]) -> pa.DictionaryArray:
    encoded = [word.encode() for word in words]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    content = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    indices = pa.Array.from_buffers(pa.int32(), len(codes), [None, pa.py_buffer(codes)])
    return pa.DictionaryArray.from_arrays(indices, pa.Array.from_buffers(pa.string(), len(words), content))


def _values(array: pa.Array, kind: type[Number]) -> NDArray[Number]:
    if not len(array):
        return np.empty(0, dtype=kind)
    every: NDArray[Number] = np.frombuffer(array.buffers()[1], dtype=kind)
    return every[array.offset : array.offset + len(array)]


def _missing(array: pa.Array) -> Mask:
    valid = array.buffers()[0] if array.null_count else None
    if valid is None:
        return np.zeros(len(array), dtype=bool)
    bits = np.unpackbits(np.frombuffer(valid, dtype=np.uint8), bitorder="little")
    missing: Mask = bits[array.offset : array.offset + len(array)] == 0
    return missing
