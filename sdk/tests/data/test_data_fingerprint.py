"""Fingerprints: one for each content, whatever carries it; and ids that only the key connects."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verticals.data import fingerprint, hash_ids, read_table, write_table
from verticals.errors import CallError, DataError
from verticals.table import Table

CONTENT = Table(
    {
        "f": np.array([0.1, np.nan, -3.0]),
        "i": np.array([1, -(2**60) - 1, 3]),
        "b": np.array([True, False, True]),
        "flag": np.array([True, None, False], dtype=object),
        "t": np.array(["é, text", None, "1a"], dtype=object),
        "d": np.array(["2020-01-02T03:04:05.000006", "NaT", "1900-01-01"], "datetime64[us]"),
    }
)


def of(**columns):
    return fingerprint(Table(columns), key=b"key")


def test_every_format_and_frame_of_one_content_has_one_fingerprint(tmp_path):
    expected = fingerprint(CONTENT, key=b"key")
    for ending in ("csv", "parquet", "arrow", "feather"):
        write_table(tmp_path / f"rows.{ending}", CONTENT)
        found = read_table(tmp_path / f"rows.{ending}").table
        assert fingerprint(found, key=b"key") == expected, ending
    columns = {name: column.tolist() for name, column in CONTENT.items()}
    for frame in (pa.table(columns), pl.DataFrame(columns, strict=False), pd.DataFrame(columns)):
        assert fingerprint(read_table(frame).table, key=b"key") == expected, type(frame)


def test_the_order_of_columns_does_not_matter_and_that_of_rows_does():
    backwards = Table({name: CONTENT[name] for name in reversed(list(CONTENT))})
    assert fingerprint(backwards) == fingerprint(CONTENT)
    assert fingerprint(CONTENT.take([1, 0, 2])) != fingerprint(CONTENT)


def test_the_key_decides_and_shows_in_nothing():
    first, second = (fingerprint(CONTENT, key=key) for key in (b"one", b"two"))
    assert first != second != fingerprint(CONTENT)
    assert first.startswith("hmac-sha256:")
    assert len(first) == len("hmac-sha256:") + 64
    assert fingerprint(CONTENT, key=b"k" * 500) != fingerprint(CONTENT, key=b"k" * 501)


def test_equal_values_are_equal_whatever_their_type():
    number = of(a=np.array([1, 0, 2]))
    for kind in (np.int8, np.uint16, np.int32, np.float32, np.float64):
        assert of(a=np.array([1, 0, 2], kind)) == number
    assert of(a=np.array([1.0, -0.0, 2.0])) == number
    assert of(a=np.array([1, 0.0, np.int64(2)], dtype=object)) == number
    assert of(a=np.array([2**60])) == of(a=np.array([2.0**60]))
    assert of(a=np.array([-(2**63)])) == of(a=np.array([-(2.0**63)]))
    missing = of(a=np.array([np.nan]))
    assert of(a=np.array([None])) == missing
    assert of(a=np.array([""], dtype=object)) == missing
    assert of(a=np.array([""])) == missing
    assert of(a=np.array(["NaT"], "datetime64[us]")) == missing
    assert of(a=np.array(["x"])) == of(a=np.array(["x"], dtype=object))
    days = np.array(["2020-01-01"], "datetime64[D]")
    assert of(a=days) == of(a=days.astype("datetime64[ns]"))


def test_different_values_are_different():
    tables = [
        {"a": np.array([1])},
        {"b": np.array([1])},
        {"a": np.array([2])},
        {"a": np.array([True])},
        {"a": np.array(["1"])},
        {"a": np.array(["true"])},
        {"a": np.array([1], "datetime64[us]")},
        {"a": np.array([np.nan])},
        {"a": np.array([2**60])},
        {"a": np.array([2**60 + 1])},
        {"a": np.array([2**63 - 1])},
        {"a": np.array([-(2**63)])},
        {"a": np.array([np.inf])},
        {"a": np.array([[1]])},
        {"a": np.array([[1, 1]])},
        {"a": np.array([[[1], [1]]])},
        {"a": np.array([1, 1])},
        {"a": np.array([1]), "b": np.array([1])},
        {"a": np.array(["x", "yz"], dtype=object)},
        {"a": np.array(["xy", "z"], dtype=object)},
        {"a": np.array(["xyz", None], dtype=object)},
        {},
    ]
    assert len({of(**columns) for columns in tables}) == len(tables)
    assert fingerprint(Table({}, rows=1)) != fingerprint(Table({}, rows=2))


def test_a_column_of_many_axes_equals_its_rows_as_objects():
    image = np.arange(24.0).reshape(2, 3, 4)
    rows = np.empty(2, dtype=object)
    rows[0], rows[1] = image
    assert of(a=image) == of(a=rows) == of(a=image.astype(np.int16))
    assert of(a=image) != of(a=image.reshape(2, 4, 3))
    rows[1] = None
    assert of(a=image) != of(a=rows)


VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=3)
VALUES |= st.floats(allow_nan=False) | st.sampled_from([2**53, 2**53 + 1, 2.0**53, 0.1])


def canonical(value):
    """Say in plain Python what the fingerprint takes for equal."""
    if value is None or value == "":
        return "missing"
    return type(value).__name__.replace("float", "int"), value


@settings(deadline=None, max_examples=300)
@given(
    first=st.lists(VALUES, min_size=1, max_size=4), second=st.lists(VALUES, min_size=1, max_size=4)
)
def test_fingerprints_are_equal_exactly_where_contents_are(first, second):
    columns = [np.empty(len(values), dtype=object) for values in (first, second)]
    columns[0][:], columns[1][:] = first, second
    same = list(map(canonical, first)) == list(map(canonical, second))
    assert (of(a=columns[0]) == of(a=columns[1])) == same
    pair = np.empty(2, dtype=object)
    pair[:] = [first[0], second[0]]
    assert (of(a=pair[:1]) == of(a=pair[1:])) == (canonical(first[0]) == canonical(second[0]))


def test_what_has_no_canonical_form_names_the_column():
    for column in (np.array([1j]), np.array([object()]), np.array([b"x"])):
        with pytest.raises(DataError, match="column 'odd'"):
            of(odd=column)


def test_ids_are_hashed_by_their_canonical_text():
    hashed = hash_ids(np.array(["7", None, " 7.0 ", "x"], dtype=object), b"key")
    expected = hmac.new(b"key", b"7", hashlib.sha256).hexdigest()
    assert hashed.dtype == object
    assert hashed.tolist()[:3] == [expected, None, expected]
    assert hashed[3] != expected
    assert hash_ids(np.array([7, 8]), b"key")[0] == expected
    assert hash_ids(np.array([7.0, np.nan]), b"key").tolist() == [expected, None]
    assert hash_ids(np.array(["7"]), b"other")[0] != expected
    assert hash_ids(np.empty(0, dtype=object), b"key").shape == (0,)


def test_ids_need_a_key():
    with pytest.raises(CallError, match="key"):
        hash_ids(np.array(["7"]), b"")
