"""Hash a table's content with a key, and hash identifiers, so that neither shows what it hides."""

from __future__ import annotations

import hashlib
import hmac
from collections import defaultdict
from typing import Any

import numpy as np

from verticals.contract.canonical import canonical
from verticals.errors import CallError, DataError
from verticals.table import Array, Table

# The tag of each value says how its payload is read.
_MISSING, _NUMBER, _INTEGER, _BOOLEAN, _TIME, _TEXT, _ARRAY = range(7)
_EDGE = 2.0**63  # the first float64 above every int64


def fingerprint(table: Table, *, key: bytes = b"") -> str:
    """Return `hmac-sha256:` and the keyed hash of a table's content, in hex.

    The hash does not depend on the file format or the order of the columns; it depends on the
    order of the rows. Numbers are compared by value, so 1 and 1.0 are equal; True is not 1,
    because a contract reads the two differently; text is never equal to a number. None, NaN, NaT
    and empty text are one missing value, since CSV cannot tell them apart. A time is its
    microsecond in UTC; a row of a many-axed column equals the same array in an object column.

    Without a key anyone can test a guess of the whole table, so give one where rows are private.
    """
    columns = sorted((name.encode(), _column(table[name], name)) for name in table)
    digest = hmac.new(key, b"verticals table 1", hashlib.sha256)
    digest.update(np.int64(table.rows).astype("<i8").tobytes())
    for name, parts in columns:
        # A digest for each column keeps the boundaries between columns unambiguous.
        inner = hmac.new(key, np.int64(len(name)).astype("<i8").tobytes() + name, hashlib.sha256)
        for part in parts:
            inner.update(part)
        digest.update(inner.digest())
    return f"hmac-sha256:{digest.hexdigest()}"


def hash_ids(values: Array, key: bytes) -> Array:
    """Return HMAC-SHA256 in hex for each id, None where the id is missing: (rows,) objects.

    Ids are compared by canonical text, so 7, 7.0 and "7" give one hash. Whoever holds the key can
    test a guess; without it the hash says nothing. Raises `CallError` for an empty key.
    """
    if not key:
        raise CallError("the key for ids is empty, expected secret bytes", hint="--key FILE")
    texts = [canonical(value) for value in np.asarray(values).tolist()]
    hashed = [hmac.digest(key, text.encode(), "sha256").hex() if text else None for text in texts]
    return np.array(hashed, dtype=object)


def _column(column: Array, name: str) -> list[bytes]:
    """Return canonical bytes: a tag and 8 bytes for each value, then text and arrays at length."""
    if column.ndim > 1:
        shape = np.array([column.ndim - 1, *column.shape[1:]], dtype="<i8").tobytes()
        tags = np.full(len(column), _ARRAY, np.uint8)
        body = _column(column.reshape(-1), name)
        return [*_head(tags, np.zeros(len(column))), shape * len(column), *body]
    if column.dtype.kind in "OU":
        return _objects(column.tolist(), name)
    return _head(*_plain(column, name))


def _head(tags: Array, payload: Array) -> list[bytes]:
    return [tags.tobytes(), payload.astype("<i8", copy=False).tobytes()]


def _plain(column: Array, name: str) -> tuple[Array, Array]:
    """Return (rows,) tags and int64 payloads of numbers, booleans and times."""
    kind = column.dtype.kind
    if kind == "b":
        return np.full(len(column), _BOOLEAN, np.uint8), column.astype(np.int64)
    if kind == "M":
        unknown = np.isnat(column)
        micros = column.astype("datetime64[us]").astype(np.int64)
        return np.where(unknown, _MISSING, _TIME).astype(np.uint8), np.where(unknown, 0, micros)
    if kind == "f":
        numbers = column.astype(np.float64)
        unknown = np.isnan(numbers)
        numbers = np.where(unknown, 0.0, numbers) + 0.0  # -0.0 becomes 0.0
        return np.where(unknown, _MISSING, _NUMBER).astype(np.uint8), numbers.view(np.int64)
    if kind in "iu":
        numbers = column.astype(np.float64)
        within = (numbers >= -_EDGE) & (numbers < _EDGE)
        exact = within & (np.where(within, numbers, 0.0).astype(column.dtype) == column)
        tags = np.where(exact, _NUMBER, _INTEGER).astype(np.uint8)
        return tags, np.where(exact, numbers.view(np.int64), column.astype(np.int64))
    raise DataError(
        f"column {name!r} has the type {column.dtype}, expected numbers, booleans, times, text "
        "or arrays of numbers",
        hint="read the table with verticals.data.read_table",
    )


def _objects(values: list[Any], name: str) -> list[bytes]:
    """Return canonical bytes of Python values: text, arrays, and what `_plain` knows."""
    tags = np.full(len(values), _MISSING, np.uint8)
    payload = np.zeros(len(values), np.int64)
    places: defaultdict[type, list[int]] = defaultdict(list)
    for place, value in enumerate(values):
        if value is not None:
            places[type(value)].append(place)
    texts: list[int] = []
    arrays: list[int] = []
    for kind, where in places.items():
        if issubclass(kind, str):
            texts += where
        elif issubclass(kind, np.ndarray):
            arrays += where
        else:
            tags[where], payload[where] = _plain(np.array([values[place] for place in where]), name)
    texts.sort()
    lengths = np.array([len(values[place]) for place in texts], dtype=np.int64)
    payload[texts] = lengths
    tags[texts] = np.where(lengths > 0, _TEXT, _MISSING)
    tags[arrays] = _ARRAY
    body = "".join([values[place] for place in texts]).encode("utf-8", "surrogatepass")
    return [*_head(tags, payload), body, *_nested([values[place] for place in arrays], name)]


def _nested(arrays: list[Array], name: str) -> list[bytes]:
    """Return the shapes of arrays, and then all their values as if they were one column."""
    if not arrays:
        return []
    shapes = [np.array([array.ndim, *array.shape], dtype="<i8").tobytes() for array in arrays]
    flat = np.concatenate([array.reshape(-1) for array in arrays])
    return [b"".join(shapes), *_column(flat, name)]
