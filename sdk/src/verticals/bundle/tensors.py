"""Weights as safetensors: one layout to write, and a reader that trusts no byte.

The format (https://github.com/huggingface/safetensors#format) is a length of 8 bytes, a JSON
header, and the arrays. The header is parsed here and nowhere else: the offsets that were checked
are the ones by which the arrays are cut out. Arrays are written in an order and with a header of
our own, because the digest of a bundle must not change with the version of a library.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from verticals.errors import DataError
from verticals.strictjson import canonical_json, parse_json, shown
from verticals.table import Array

MAX_HEADER_BYTES = 8 * 2**20
MAX_DIMENSIONS = 16

_TYPES: Mapping[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_NAMES = {value: key for key, value in _TYPES.items()}
_ALIGNMENT = 8


def pack_tensors(tensors: Mapping[str, Array], *, what: str) -> bytes:
    """Return arrays as safetensors: widest type first, then by name; the same bytes everywhere.

    Raises `DataError` for a type that the format of bundles does not know and for a number that
    is not finite.
    """
    arrays = {
        name: _little(array, f"{what}: tensor {shown(name)}") for name, array in tensors.items()
    }
    header: dict[str, Any] = {}
    parts: list[bytes] = []
    offset = 0
    for name in sorted(arrays, key=lambda name: (-arrays[name].itemsize, name)):
        array = arrays[name]
        end = offset + array.nbytes
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, end],
        }
        parts.append(array.tobytes())
        offset = end
    text = canonical_json(header)
    text += b" " * (-len(text) % _ALIGNMENT)  # so that every array starts at its own width
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def unpack_tensors(data: bytes, *, what: str) -> dict[str, Array]:
    """Return the arrays of a safetensors file, as read-only views of its bytes.

    Raises `DataError` if the file is truncated or longer than its header says, if an array lies
    outside of it, overlaps another or has another size than its shape, if the type is not one of
    `F64 F32 F16 I64 I32 I16 I8 U8 BOOL`, or if a number is not finite.
    """
    if len(data) < 8:
        raise DataError(f"{what} is truncated: {len(data)} bytes, expected at least 8")
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER_BYTES:
        raise DataError(
            f"{what} has a header of {length} bytes, expected at most {MAX_HEADER_BYTES}"
        )
    if length > len(data) - 8:
        raise DataError(
            f"{what} is truncated: its header has {length} bytes, {len(data) - 8} are there"
        )
    header = parse_json(data[8 : 8 + length], what=f"{what}: header", max_bytes=MAX_HEADER_BYTES)
    if not isinstance(header, dict):
        raise DataError(f"{what}: header is {type(header).__name__}, expected a JSON object")
    buffer = memoryview(data)[8 + length :]
    spans = {name: _span(entry, f"{what}: tensor {shown(name)}") for name, entry in header.items()}
    _check_cover({name: (start, end) for name, (_, _, start, end) in spans.items()}, buffer, what)
    arrays = {}
    for name, (dtype, shape, start, end) in spans.items():
        raw = buffer[start:end]
        if dtype.kind == "b" and (np.frombuffer(raw, np.uint8) > 1).any():
            raise DataError(f"{what}: tensor {shown(name)} has bytes that are neither 0 nor 1")
        array = np.frombuffer(raw, dtype).reshape(shape)
        _refuse_not_finite(array, f"{what}: tensor {shown(name)}")
        arrays[name] = array
    return arrays


def _little(array: Array, where: str) -> Array:
    found = np.asarray(array)
    found = found.astype(found.dtype.newbyteorder("<"), copy=False)
    if found.dtype not in _NAMES:
        known = ", ".join(dtype.name for dtype in _TYPES.values())
        raise DataError(f"{where} is of type {found.dtype}, expected one of {known}")
    _refuse_not_finite(found, where)
    return found


def _refuse_not_finite(array: Array, where: str) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        raise DataError(f"{where} has {count} value(s) that are not finite, expected none")


def _span(entry: Any, where: str) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    """Return type, shape, start and end of one header entry, each checked by itself."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise DataError(f"{where} has no entry of dtype, shape and data_offsets")
    dtype = _TYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        raise DataError(
            f"{where} is of dtype {shown(entry['dtype'])}, expected one of {list(_TYPES)}"
        )
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _are_counts(shape) or len(shape) > MAX_DIMENSIONS:
        raise DataError(
            f"{where} has shape {shown(shape)}, expected at most {MAX_DIMENSIONS} counts"
        )
    if not _are_counts(offsets) or len(offsets) != 2:
        raise DataError(f"{where} has offsets {shown(offsets)}, expected two counts")
    start, end = offsets
    size = math.prod(shape) * dtype.itemsize
    if end - start != size:
        raise DataError(f"{where} has {end - start} bytes, expected {size} for its shape and type")
    if math.prod(max(count, 1) for count in shape) >= 2**48:  # numpy counts these even if empty
        raise DataError(f"{where} has shape {shown(shape)}, which no array has")
    return dtype, tuple(shape), start, end


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _check_cover(spans: Mapping[str, tuple[int, int]], buffer: memoryview, what: str) -> None:
    """Refuse arrays that overlap, leave bytes unused, or lie beyond the end of the file."""
    position = 0
    for name, (start, end) in sorted(spans.items(), key=lambda item: item[1]):
        if end > len(buffer):
            raise DataError(
                f"{what} is truncated: tensor {shown(name)} ends at byte {end} of {len(buffer)}"
            )
        if start != position:
            wrong = "overlaps another" if start < position else "leaves bytes unused before it"
            raise DataError(f"{what}: tensor {shown(name)} starts at byte {start} and {wrong}")
        position = end
    if position != len(buffer):
        raise DataError(f"{what} has {len(buffer) - position} bytes that no tensor uses")
