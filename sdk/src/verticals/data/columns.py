"""Convert columns between Arrow and numpy: one rule for each kind, the same for every chunk.

A column's kind is found by looking at all of its chunks (`look`, `join`) before any of them is
converted (`to_numpy`), so that every chunk of a column gets the same type, and the same type that
the whole column would get.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from verticals.errors import DataError
from verticals.table import Array

if TYPE_CHECKING:
    import pyarrow as pa

# What a CSV cell may hold to say that a number, a date or a yes/no is missing.
NULLS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")
_BOOLEANS = ("true", "True", "TRUE", "false", "False", "FALSE")
# Integers of 16 digits and more may not survive as float64, and are often identifiers.
_WIDE = 10**15
_WIDE_TEXT = r"^[+-]?0*[1-9][0-9]{15,}$"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Hold what is known of a column so far.

    Kinds: missing (nothing but missing values), int, float, bool, time, zoned (a time with its
    zone), text, list. `wide` says that some integer has 16 digits or more.
    """

    kind: str
    nulls: bool = False
    wide: bool = False

    @property
    def form(self) -> str:
        """Return the form that the column takes in numpy: a kind, or flag (True, False, None)."""
        if self.kind == "int" and self.nulls:
            return "text" if self.wide else "float"
        if self.kind == "float" and self.wide:
            return "text"
        if self.kind == "bool" and self.nulls:
            return "flag"
        return self.kind


TEXT = Seen(kind="text")


def join(first: Seen, second: Seen) -> Seen:
    """Return what is known of a column from two of its chunks."""
    kinds = {first.kind, second.kind} - {"missing"}
    if not kinds:
        kind = "missing"
    elif len(kinds) == 1:
        kind = kinds.pop()
    else:
        kind = "float" if kinds == {"int", "float"} else "text"
    if kind == "text":
        return TEXT
    return Seen(kind=kind, nulls=first.nulls or second.nulls, wide=first.wide or second.wide)


def look_at_text(array: pa.Array) -> Seen:
    """Find the kind of a chunk of CSV text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pc.drop_null(_known(array))
    nulls = len(values) < len(array)
    if len(values) == 0:
        return Seen(kind="missing", nulls=nulls)
    whole = _parsed(values, pa.int64())
    # Arrow reads "0x1F" as an integer; in a table it is a code.
    if whole is not None and not pc.any(pc.match_substring_regex(values, "[xX]")).as_py():
        return Seen(kind="int", nulls=nulls, wide=_is_wide(whole))
    if _parsed(values, pa.float64()) is not None:
        wide = pc.any(pc.match_substring_regex(values, _WIDE_TEXT)).as_py()
        return Seen(kind="float", nulls=nulls, wide=wide)
    if pc.all(pc.is_in(values, pa.array(_BOOLEANS))).as_py():
        return Seen(kind="bool", nulls=nulls)
    if _parsed(values, pa.timestamp("us")) is not None:
        return Seen(kind="time", nulls=nulls)
    if _parsed(values, pa.timestamp("us", "UTC")) is not None:
        return Seen(kind="zoned", nulls=nulls)
    return TEXT


def look(array: pa.Array, where: str) -> Seen:
    """Find the kind of a chunk of a typed column; raise `DataError` for a type that has none."""
    import pyarrow as pa

    kind, nulls = _kind_of(array.type), array.null_count > 0
    if kind == "int":
        array = _plain(array)
        if pa.types.is_uint64(array.type) and _above_int64(array):
            return TEXT
        return Seen(kind="int", nulls=nulls, wide=_is_wide(array))
    if kind:
        return Seen(kind=kind, nulls=nulls)
    raise DataError(
        f"{where} has the type {array.type}, expected numbers, booleans, text, times or lists",
        hint="convert the column, or leave it out",
    )


def to_numpy(array: pa.Array, seen: Seen, where: str) -> Array:
    """Convert a chunk to the form that its column takes; `array` is typed, or CSV text.

    Raises `DataError` for a time that float or datetime64[us] cannot hold, and for nested lists
    of uneven length.
    """
    import pyarrow as pa

    textual = pa.types.is_string(array.type)
    if seen.form != "text" and textual:
        array = _known(array)
    try:
        return _CONVERT[seen.form](array)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, OverflowError):
        raise DataError(
            f"{where} holds a value that cannot be converted from {array.type} to {seen.form}",
            hint="convert the column, or leave it out",
        ) from None


def to_arrow(column: Array, where: str) -> pa.Array:
    """Convert a numpy column; NaN, NaT and None become null; raise `DataError` if it is mixed."""
    import pyarrow as pa

    column = column.astype(column.dtype.newbyteorder("="), copy=False)
    if column.ndim > 1:
        return _nested(column)
    try:
        if column.dtype.kind == "M":
            return pa.array(column.astype("datetime64[us]"))
        if column.dtype.kind == "U":
            return pa.array(column.astype(object), pa.string())
        if column.dtype.kind == "O":
            values = [item.tolist() if isinstance(item, np.ndarray) else item for item in column]
            found = pa.array(values, from_pandas=True)
            return found.cast(pa.string()) if pa.types.is_null(found.type) else found
        return pa.array(column, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        # No cause is kept: Arrow's own message shows the value.
        raise DataError(
            f"{where} has mixed values or a type that is not supported ({column.dtype}), "
            "expected numbers, booleans, text, times or arrays of numbers",
            hint="make every value of the column one type",
        ) from None


def native(column: Array, where: str) -> Array:
    """Return a numpy column in the types of a raw table; the column itself where it is so."""
    if column.ndim > 1 and column.dtype.kind in "iufb":
        return column
    if column.dtype in (np.float64, np.int64, np.bool_, np.dtype("datetime64[us]")):
        return column
    if column.dtype.kind == "O" and _holds_arrays(column):
        return column
    array = to_arrow(column, where)
    return to_numpy(array, look(array, where), where)


def _holds_arrays(column: Array) -> bool:
    found = [isinstance(item, np.ndarray) for item in column if item is not None]
    return bool(found) and all(found)


def _known(array: pa.Array) -> pa.Array:
    """Return CSV text without outer blanks, and null where it says that the value is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.ascii_trim_whitespace(array)
    missing = pc.is_in(trimmed, pa.array(NULLS))
    return pc.if_else(missing, pa.scalar(None, pa.string()), trimmed)


def _parsed(values: pa.Array, kind: pa.DataType) -> pa.Array | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        # Arrow goes on to the end though the first value fails, and each failure is dear.
        pc.cast(values.slice(0, 50), kind)
        return pc.cast(values, kind)
    except pa.ArrowInvalid:
        return None


def _is_wide(array: pa.Array) -> bool:
    import pyarrow.compute as pc

    ends = pc.min_max(array).as_py()
    return ends["min"] is not None and max(-ends["min"], ends["max"]) >= _WIDE


def _above_int64(array: pa.Array) -> bool:
    import pyarrow.compute as pc

    most = pc.max(array).as_py()
    return most is not None and most > np.iinfo(np.int64).max


def _kind_of(kind: pa.DataType) -> str:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _kind_of(kind.value_type)
    tests = {
        "missing": (types.is_null,),
        "int": (types.is_integer,),
        "float": (types.is_floating, types.is_decimal),
        "bool": (types.is_boolean,),
        "time": (types.is_timestamp, types.is_date),
        "text": (types.is_string, types.is_large_string, types.is_string_view),
        "list": (types.is_list, types.is_large_list, types.is_fixed_size_list),
    }
    found = next((name for name, some in tests.items() if any(test(kind) for test in some)), "")
    if found == "list" and _kind_of(kind.value_type) in ("", "time"):
        return ""
    return found


def _plain(array: pa.Array) -> pa.Array:
    from pyarrow import types

    return array.dictionary_decode() if types.is_dictionary(array.type) else array


def _cast(array: pa.Array, kind: str, dtype: npt.DTypeLike) -> Array:
    import pyarrow as pa

    cast = _plain(array).cast(pa.type_for_alias(kind))
    found: Array = cast.to_numpy(zero_copy_only=False)
    return found.astype(dtype, copy=False)


def _missing(array: pa.Array) -> Array:
    return np.full(len(array), np.nan)


def _times(array: pa.Array, zone: str | None = None) -> Array:
    import pyarrow as pa

    times = _plain(array)
    unit = pa.timestamp("us", getattr(times.type, "tz", None) or zone)
    # Nanoseconds are cut off: a microsecond is finer than any split or report.
    finer = getattr(times.type, "unit", "") == "ns"
    found: Array = times.cast(unit, safe=not finer).to_numpy(zero_copy_only=False)
    return found.astype("datetime64[us]")


def _texts(array: pa.Array) -> Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = _plain(array)
    if pa.types.is_boolean(texts.type):
        texts = pc.if_else(texts, "true", "false")
    texts = texts.cast(pa.large_string())
    texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.large_string()), texts)
    found: Array = texts.to_numpy(zero_copy_only=False)
    return found.astype(object)


def _lists(array: pa.Array) -> Array:
    found = array.cast(_list_of_floats(array.type)).to_numpy(zero_copy_only=False)
    rows = np.empty(len(found), dtype=object)
    for place, item in enumerate(found):
        rows[place] = None if item is None else _stacked(item)
    return rows


def _list_of_floats(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    inner = _kind_of(kind.value_type)
    if inner == "list":
        return pa.list_(_list_of_floats(kind.value_type))
    return pa.list_(pa.string() if inner == "text" else pa.float64())


def _stacked(item: Array) -> Array:
    """Turn an array of arrays into one array; raise `ValueError` if they differ in length."""
    if item.dtype == object and any(isinstance(inner, np.ndarray) for inner in item):
        if any(inner is None for inner in item):
            raise ValueError("a list within a list is missing")
        return np.stack([_stacked(inner) for inner in item])
    return item if item.size else np.empty(0)


def _nested(column: Array) -> pa.Array:
    """Convert an array of (rows, ...) to a column of lists."""
    import pyarrow as pa

    array = pa.array(np.ascontiguousarray(column).reshape(-1), from_pandas=True)
    for axis in range(column.ndim - 1, 0, -1):
        count = int(np.prod(column.shape[:axis]))
        starts = np.arange(count + 1, dtype=np.int64) * column.shape[axis]
        array = pa.LargeListArray.from_arrays(starts, array)
    return array


def concatenated(pieces: Iterable[Array]) -> Array:
    """Join the chunks of a column, which are all of one type."""
    found = list(pieces)
    return found[0] if len(found) == 1 else np.concatenate(found)


_CONVERT: Mapping[str, Callable[[Any], Array]] = {
    "missing": _missing,
    "int": functools.partial(_cast, kind="int64", dtype=np.int64),
    "float": functools.partial(_cast, kind="float64", dtype=np.float64),
    "bool": functools.partial(_cast, kind="bool", dtype=np.bool_),
    "flag": functools.partial(_cast, kind="bool", dtype=object),
    "time": _times,
    "zoned": functools.partial(_times, zone="UTC"),
    "text": _texts,
    "list": _lists,
}
