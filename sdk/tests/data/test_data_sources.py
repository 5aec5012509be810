"""Parquet, Arrow, dataframes and mappings: the same plain types from each of them."""

from __future__ import annotations

import datetime as dt
import decimal
import os
import subprocess
import sys
import traceback

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from verticals.data import iter_tables, read_table
from verticals.errors import CallError, DataError, VerticalsError
from verticals.table import Table

TYPED = pa.table(
    {
        "int": pa.array([1, 2, 3], pa.int32()),
        "gap": pa.array([1, None, 3], pa.int64()),
        "float": pa.array([0.5, None, float("nan")]),
        "half": pa.array(np.array([1, 2, 3], np.float16)),
        "bool": pa.array([True, False, True]),
        "flag": pa.array([True, None, False]),
        "text": pa.array(["x", None, ""]),
        "big_text": pa.array(["x", None, "y"], pa.large_string()),
        "category": pa.array(["x", None, "y"]).dictionary_encode(),
        "coded": pa.array([5, None, 7]).dictionary_encode(),
        "time": pa.array([0, None, 1_500], pa.timestamp("ms")),
        "zoned": pa.array([0, None, 1], pa.timestamp("s", "Europe/Berlin")),
        "nanos": pa.array([1_999, None, 0], pa.timestamp("ns")),
        "date": pa.array([dt.date(2020, 1, 2), None, dt.date(1900, 1, 1)]),
        "date64": pa.array([dt.date(2020, 1, 2), None, dt.date(1900, 1, 1)], pa.date64()),
        "decimal": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("2.00")]),
        "list": pa.array([[1, 2], None, []], pa.list_(pa.int16())),
        "nested": pa.array([[[1.0, 2.0], [3.0, 4.0]], None, [[5.0, 6.0]]]),
        "fixed": pa.array([[1.0, 2.0], None, [3.0, None]], pa.list_(pa.float32(), 2)),
        "words": pa.array([["x", "y"], None, ["z"]]),
        "null": pa.nulls(3),
    }
)


def write_parquet(table, folder):
    path = folder / "rows.parquet"
    parquet.write_table(table, path)
    return path


def write_arrow(table, folder):
    path = folder / "rows.arrow"
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    return path


def write_stream(table, folder):
    path = folder / "rows.arrow"
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)
    return path


def write_feather(table, folder):
    path = folder / "rows.feather"
    feather.write_feather(table, path)
    return path


def frame(table, _):
    return table


CARRIERS = [write_parquet, write_arrow, write_stream, write_feather, frame]


@pytest.mark.parametrize("carry", CARRIERS)
def test_every_arrow_type_becomes_its_plain_numpy_type(carry, tmp_path):
    table = read_table(carry(TYPED, tmp_path)).table
    assert list(table) == TYPED.column_names
    expected = {
        "int": np.int64,
        "gap": np.float64,
        "float": np.float64,
        "half": np.float64,
        "bool": np.bool_,
        "coded": np.float64,
        "time": "datetime64[us]",
        "zoned": "datetime64[us]",
        "nanos": "datetime64[us]",
        "date": "datetime64[us]",
        "date64": "datetime64[us]",
        "decimal": np.float64,
        "null": np.float64,
    }
    assert {n: table[n].dtype for n in table} == {
        n: np.dtype(expected.get(n, object)) for n in table
    }
    np.testing.assert_array_equal(table["gap"], [1, np.nan, 3])
    np.testing.assert_array_equal(table["float"], [0.5, np.nan, np.nan])
    assert table["flag"].tolist() == [True, None, False]
    assert table["text"].tolist() == ["x", None, None]
    assert table["category"].tolist() == ["x", None, "y"]
    np.testing.assert_array_equal(table["coded"], [5, np.nan, 7])
    assert table["time"][2] == np.datetime64("1970-01-01T00:00:01.500")
    assert np.isnat(table["time"][1])
    assert table["zoned"][0] == np.datetime64("1970-01-01T00:00:00")
    assert table["nanos"][0] == np.datetime64("1970-01-01T00:00:00.000001")
    assert table["date"][0] == table["date64"][0] == np.datetime64("2020-01-02")
    np.testing.assert_array_equal(table["decimal"], [1.5, np.nan, 2.0])


@pytest.mark.parametrize("carry", CARRIERS)
def test_lists_become_arrays_of_one_or_more_axes(carry, tmp_path):
    table = read_table(carry(TYPED, tmp_path)).table
    assert table["list"][0].dtype == np.float64
    np.testing.assert_array_equal(table["list"][0], [1, 2])
    assert table["list"][1] is None
    assert table["list"][2].shape == (0,)
    np.testing.assert_array_equal(table["nested"][0], [[1, 2], [3, 4]])
    np.testing.assert_array_equal(table["fixed"][2], [3, np.nan])
    assert table["words"][0].tolist() == ["x", "y"]


@pytest.mark.parametrize("carry", CARRIERS)
def test_text_columns_are_text_whatever_the_type(carry, tmp_path):
    names = ["int", "gap", "decimal", "bool", "category", "absent"]
    table = read_table(carry(TYPED, tmp_path), text_columns=names).table
    assert table["int"].tolist() == ["1", "2", "3"]
    assert table["gap"].tolist() == ["1", None, "3"]
    assert table["decimal"].tolist() == ["1.50", None, "2.00"]
    assert table["bool"].tolist() == ["true", "false", "true"]
    assert table["category"].tolist() == ["x", None, "y"]


def test_long_integers_are_not_rounded():
    exact = 2**62 + 1
    whole = read_table({"a": np.array([exact, 1])}).table["a"]
    assert whole.tolist() == [exact, 1]
    gap = read_table(pa.table({"a": pa.array([exact, None])})).table["a"]
    assert gap.tolist() == [str(exact), None]
    above = read_table(pa.table({"a": pa.array([2**64 - 1, 1], pa.uint64())})).table["a"]
    assert above.tolist() == [str(2**64 - 1), "1"]
    small = read_table(pa.table({"a": pa.array([5, 1], pa.uint64())})).table["a"]
    assert small.dtype == np.int64


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.binary(), [b"SECRET", None]),
        (pa.duration("s"), [1, 2]),
        (pa.time32("s"), [1, 2]),
        (pa.struct([("q", pa.int64())]), [{"q": 1}, None]),
        (pa.list_(pa.binary()), [[b"SECRET"], None]),
        (pa.list_(pa.date32()), [[dt.date(2020, 1, 1)], None]),
    ],
)
@pytest.mark.parametrize("carry", [write_parquet, write_arrow, frame])
def test_an_unsupported_type_names_column_and_type(carry, kind, values, tmp_path):
    if pa.types.is_duration(kind) and carry is write_parquet:
        kind = pa.duration("ms")
    source = carry(pa.table({"ok": [1, 2], "odd": pa.array(values, kind)}), tmp_path)
    for read in (read_table, iter_tables):
        with pytest.raises(DataError, match="'odd' has the type") as caught:
            read(source)
        assert "SECRET" not in caught.value.message


def test_uneven_nested_lists_name_the_column():
    with pytest.raises(DataError, match="'a'"):
        read_table(pa.table({"a": [[[1.0], [2.0, 3.0]]]}))
    with pytest.raises(DataError, match="'a'"):
        read_table(pa.table({"a": [[[1.0], None]]}))


def test_a_time_out_of_range_names_the_column():
    far = pa.table({"a": pa.array([2**60], pa.timestamp("s"))})
    with pytest.raises(DataError, match="'a'"):
        read_table(far)


@pytest.mark.parametrize("ending", ["parquet", "arrow", "feather"])
@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"", b"PAR1garbagePAR1", b"ARROW1\0\0garbage"])
def test_a_damaged_file_is_refused(ending, content, tmp_path):
    path = tmp_path / f"rows.{ending}"
    path.write_bytes(content)
    for read in (read_table, iter_tables):
        with pytest.raises(DataError, match=r"damaged|empty") as caught:
            read(path)
        assert str(path) in caught.value.message
        assert "pyarrow.lib" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("carry", [write_parquet, write_arrow, write_feather])
def test_flipped_bytes_give_an_error_or_a_table_but_no_crash(carry, tmp_path):
    table = pa.table({"a": list(range(300)), "t": [f"row {n}" for n in range(300)]})
    path = carry(table, tmp_path)
    content = path.read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(content)
        for at in generator.integers(0, len(content), 8):
            damaged[at] ^= int(generator.integers(1, 256))
        path.write_bytes(bytes(damaged))
        try:
            read_table(path)
        except VerticalsError:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.99])
@pytest.mark.parametrize("carry", [write_parquet, write_arrow])
def test_a_truncated_file_is_refused(carry, keep, tmp_path):
    path = carry(pa.table({"a": list(range(5000))}), tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(DataError):
        read_table(path)


@pytest.mark.parametrize("carry", [write_parquet, write_arrow, frame])
def test_no_rows_is_refused(carry, tmp_path):
    source = carry(pa.table({"a": pa.array([], pa.int64())}), tmp_path)
    for read in (read_table, iter_tables):
        with pytest.raises(DataError, match="no rows"):
            read(source)


def test_duplicate_names_in_a_file_are_refused(tmp_path):
    table = pa.table([[1], [2]], names=["a", "a"])
    path = write_arrow(table, tmp_path)
    with pytest.raises(DataError, match="'a' stands over columns 1, 2"):
        read_table(path)


# Paths


def test_paths_that_are_no_readable_file(tmp_path):
    (tmp_path / "rows.xlsx").write_bytes(b"x")
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    for name, words in {
        "absent.csv": "does not exist",
        "folder.csv": "is a folder",
        "rows.xlsx": "expected a .csv, .tsv, .parquet, .arrow or .feather file",
        "pipe.csv": "expected a .csv",
    }.items():
        for read in (read_table, iter_tables):
            with pytest.raises(DataError, match=words) as caught:
                read(tmp_path / name)
            assert name in caught.value.message
            assert caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a\n1\n")
    path.chmod(0)
    with pytest.raises(DataError, match="permission"):
        read_table(path)


def test_endings_may_be_in_capitals_and_paths_text(tmp_path):
    path = tmp_path / "ROWS.CSV"
    path.write_text("a,b\n1,2\n")
    assert read_table(str(path)).table["a"].tolist() == [1]


def test_an_encoding_goes_with_csv_only(tmp_path):
    path = write_parquet(pa.table({"a": [1]}), tmp_path)
    for source in (path, {"a": [1]}, pa.table({"a": [1]})):
        with pytest.raises(CallError, match="encoding"):
            read_table(source, encoding="utf-8")


# Dataframes


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.table])
def test_dataframes_of_every_kind_give_one_table(make):
    columns = {"i": [1, 2], "f": [0.5, 1.5], "b": [True, False], "t": ["x", None]}
    table = read_table(make(columns)).table
    assert [table[name].dtype.kind for name in table] == ["i", "f", "b", "O"]
    assert table["t"].tolist() == ["x", None]


def test_pandas_index_extension_types_and_odd_names():
    frame = pd.DataFrame(
        {
            "i": pd.array([1, None], dtype="Int64"),
            "c": pd.Categorical(["x", None]),
            "z": pd.to_datetime(["2020-01-01T00:00:00+02:00", None]),
            "o": np.array([True, None], dtype=object),
            7: [1, 2],
        },
        index=["SECRET", "y"],
    )
    table = read_table(frame).table
    assert list(table) == ["i", "c", "z", "o", "7"]
    np.testing.assert_array_equal(table["i"], [1, np.nan])
    assert table["c"].tolist() == ["x", None]
    assert table["z"][0] == np.datetime64("2019-12-31T22:00:00")
    assert table["o"].tolist() == [True, None]


def test_polars_categories_and_lists():
    frame = pl.DataFrame(
        {
            "e": pl.Series(["x", "y"], dtype=pl.Enum(["x", "y"])),
            "l": [[1.0], [2.0, 3.0]],
        }
    )
    table = read_table(frame).table
    assert table["e"].tolist() == ["x", "y"]
    np.testing.assert_array_equal(table["l"][1], [2, 3])


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "more than once"),
        (pa.table([[1], [2]], names=["a", "a"]), "more than once"),
        (pd.DataFrame({"ok": [1, 2], "bad": [1, "SECRET"]}), "'bad'"),
        (pd.DataFrame({"ok": [1, 2], "bad": [1j, 2]}), "'bad'"),
        (pd.DataFrame({3: [1, 2], 4: [1, "SECRET"]}), "'4'"),
        (pd.DataFrame(), "no rows"),
        (pd.DataFrame({"a": []}), "no rows"),
        (pd.DataFrame({"a": pd.interval_range(0, 2)}), "'a' has the type"),
        (pl.DataFrame({"a": [dt.time(1, 2)]}), "'a' has the type"),
        (pl.DataFrame({"a": [object()]}), "'a' has the type"),
        (pd.Series([1]), "Series"),
        (np.ones((2, 2)), "ndarray"),
        ([1, 2], "list"),
        (None, "NoneType"),
        (3, "int"),
    ],
)
def test_what_is_no_dataframe_of_plain_columns_is_refused(source, says):
    with pytest.raises(DataError) as caught:
        read_table(source)
    assert says in caught.value.message
    assert caught.value.hint
    assert "SECRET" not in "".join(traceback.format_exception(caught.value))


# Mappings and tables


def test_a_mapping_of_lists_and_arrays_is_made_plain():
    table = read_table(
        {
            "i": [1, 2],
            "gap": [1, None],
            "small": np.array([1, 2], np.int8),
            "f": np.array([0.5, np.nan], np.float32),
            "big_endian": np.array([1.0, 2.0], ">f8"),
            "u": np.array(["x", ""]),
            "t": ["x", None],
            "b": np.array([True, False]),
            "flag": [True, None],
            "scalars": [np.float64(1.5), np.float64(2.5)],
            "day": [dt.date(2020, 1, 1), None],
            "ns": np.array(["2020-01-01", "NaT"], "datetime64[ns]"),
            "image": np.zeros((2, 3, 4), np.uint8),
            "series": pd.Series([1.5, 2.5]),
            "none": [None, None],
        }
    ).table
    kinds = {name: table[name].dtype.str for name in table}
    assert kinds == {
        "i": "<i8",
        "gap": "<f8",
        "small": "<i8",
        "f": "<f8",
        "big_endian": "<f8",
        "u": "|O",
        "t": "|O",
        "b": "|b1",
        "flag": "|O",
        "scalars": "<f8",
        "day": "<M8[us]",
        "ns": "<M8[us]",
        "image": "|u1",
        "series": "<f8",
        "none": "|O",
    }
    assert table["u"].tolist() == ["x", None]
    assert table["image"].shape == (2, 3, 4)
    assert table["big_endian"].tolist() == [1.0, 2.0]


def test_plain_columns_of_a_table_are_not_copied():
    column = np.arange(3.0)
    table = Table({"a": column})
    assert np.shares_memory(read_table(table).table["a"], column)


def test_object_columns_of_arrays_stay_as_they_are():
    rows = np.empty(2, dtype=object)
    rows[0], rows[1] = np.ones((2, 3)), None
    assert read_table({"a": rows}).table["a"][0].shape == (2, 3)


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ([1, "SECRET"], "'a'"),
        ([b"SECRET", b"y"], "'a'"),
        (np.array([1j, 2j]), "'a'"),
        ([[1], [1, 2]], "'a'"),
        ("SECRET", "single value"),
        ([], "no rows"),
        (np.array([1, 2], "timedelta64[s]"), "'a'"),
    ],
)
def test_a_mapping_with_an_odd_column_is_refused(column, says):
    with pytest.raises(DataError) as caught:
        read_table({"a": column})
    assert says in caught.value.message
    assert "SECRET" not in "".join(traceback.format_exception(caught.value))


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(DataError, match="'b' has 1 rows, expected 2"):
        read_table({"a": [1, 2], "b": [1]})


def in_new_process(code):
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def test_importing_the_readers_loads_neither_arrow_nor_a_dataframe_library():
    names = ("pyarrow", "narwhals", "pandas", "polars", "scipy", "torch", "sklearn")
    code = f"import sys, verticals.data; print([n for n in {names} if n in sys.modules])"
    assert in_new_process(code) == "[]"


def test_reading_needs_no_dataframe_library(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b,c,d\n1,x,true,2020-01-01\n,,,\n")
    code = f"""
import sys
class Absent:
    def find_spec(self, name, *_):
        if name in ("pandas", "polars", "narwhals"):
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
from verticals.data import read_table
print([column.dtype.kind for column in read_table({str(path)!r}).table.values()])
"""
    assert in_new_process(code) == "['f', 'O', 'O', 'M']"
