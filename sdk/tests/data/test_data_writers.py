"""Writers: what is written comes back, and a reader sees all of a file or nothing."""

from __future__ import annotations

import os
import traceback

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import feather, parquet

from verticals.data import TableWriter, read_table, write_table
from verticals.errors import CallError, DataError
from verticals.table import Table

ENDINGS = ["csv", "parquet", "arrow", "feather"]
COLUMNS = {
    "f": np.array([0.1, np.nan, -1e-300]),
    "i": np.array([1, -(2**60), 3]),
    "b": np.array([True, False, True]),
    "flag": np.array([True, None, False], dtype=object),
    "t": np.array(['a "quoted", text\nin two lines', None, "NA"], dtype=object),
    "cr": np.array(["one\rtwo", "\r", " "], dtype=object),
    "d": np.array(["2020-01-02T03:04:05.000006", "NaT", "1900-01-01"], dtype="datetime64[us]"),
}


def write_all(path, *tables):
    with TableWriter(path) as writer:
        for table in tables:
            writer.write(table)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_written_comes_back(ending, tmp_path):
    path = tmp_path / f"rows.{ending}"
    write_table(path, COLUMNS)
    table = read_table(path).table
    assert list(table) == list(COLUMNS)
    for name, column in COLUMNS.items():
        assert table[name].dtype == column.dtype
        np.testing.assert_array_equal(table[name], column)
    assert os.listdir(tmp_path) == [path.name]


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@settings(
    deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.none() | TEXT),
        min_size=1,
        max_size=8,
    ),
    ending=st.sampled_from(ENDINGS),
)
def test_floats_and_text_survive_exactly(rows, ending, tmp_path):
    path = tmp_path / f"rows.{ending}"
    texts = np.array([text for _, text in rows], dtype=object)
    write_table(path, {"f": np.array([number for number, _ in rows]), "t": texts})
    table = read_table(path, text_columns=["t"]).table
    assert table["f"].tolist() == [number for number, _ in rows]
    assert table["t"].tolist() == [text or None for _, text in rows]


def test_csv_is_plain_and_exact(tmp_path):
    path = tmp_path / "rows.csv"
    write_table(
        path,
        {
            "p": np.array([0.1 + 0.2, 1.0]),
            "small": np.array([np.float32(0.1), np.float32("nan")]),
            "n": np.array([1, 2], np.int32),
            "ok": np.array([True, False]),
            "at": np.array(["2020-01-01", "2020-01-01T00:00:01"], "datetime64[ns]"),
            "who": np.array(["x", "y, z"]),
        },
    )
    assert path.read_text() == (
        "p,small,n,ok,at,who\n"
        "0.30000000000000004,0.10000000149011612,1,true,2020-01-01T00:00:00,x\n"
        '1.0,,2,false,2020-01-01T00:00:01,"y, z"\n'
    )


def test_a_single_column_with_a_missing_value_keeps_its_rows(tmp_path):
    path = tmp_path / "rows.csv"
    write_table(path, {"a": np.array([1.0, np.nan, 2.0])})
    np.testing.assert_array_equal(read_table(path).table["a"], [1.0, np.nan, 2.0])


@pytest.mark.parametrize("ending", ENDINGS)
def test_chunks_are_appended_in_the_order_of_the_first_columns(ending, tmp_path):
    path = tmp_path / f"rows.{ending}"
    with TableWriter(path) as writer:
        writer.write({"a": np.array([1.5]), "t": np.array([None], dtype=object)})
        writer.write(Table({"t": np.array(["x"], dtype=object), "a": np.array([2])}))
        writer.write({"a": np.array([np.nan]), "t": np.array(["y"])})
    table = read_table(path).table
    assert list(table) == ["a", "t"]
    np.testing.assert_array_equal(table["a"], [1.5, 2.0, np.nan])
    assert table["t"].tolist() == [None, "x", "y"]


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_arrays_are_written_as_lists(ending, tmp_path):
    path = tmp_path / f"rows.{ending}"
    steps = np.empty(2, dtype=object)
    steps[0], steps[1] = np.array([[1.0, 2.0], [3.0, np.nan]]), None
    write_table(path, {"image": np.arange(12.0).reshape(2, 3, 2), "steps": steps})
    table = read_table(path).table
    np.testing.assert_array_equal(table["image"][1], np.arange(6.0, 12.0).reshape(3, 2))
    np.testing.assert_array_equal(table["steps"][0], steps[0])
    assert table["steps"][1] is None


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_table_of_no_rows_names_its_columns(ending, tmp_path):
    path = tmp_path / f"rows.{ending}"
    write_table(path, {"a": np.empty(0), "t": np.empty(0, dtype=object)})
    with pytest.raises(DataError, match="no rows"):
        read_table(path)
    assert path.stat().st_size > 0


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_exception_leaves_the_old_file_and_nothing_else(ending, tmp_path):
    path = tmp_path / f"rows.{ending}"
    path.write_text("old")

    def interrupted():
        with TableWriter(path) as writer:
            writer.write({"a": np.arange(3)})
            assert len(os.listdir(tmp_path)) == 2
            assert path.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_failure_at_the_very_end_leaves_the_old_file(ending, tmp_path, monkeypatch):
    path = tmp_path / f"rows.{ending}"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="no space left"):
        write_table(path, {"a": np.arange(3)})
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == [path.name]


def test_the_file_gets_the_usual_permissions(tmp_path):
    (tmp_path / "usual").write_text("")
    write_table(tmp_path / "rows.csv", {"a": [1]})
    assert (tmp_path / "rows.csv").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_columns_give_the_same_bytes(ending, tmp_path):
    for name in ("first", "second"):
        write_table(tmp_path / f"{name}.{ending}", COLUMNS)
    first, second = (tmp_path / f"{name}.{ending}" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("second", "says"),
    [
        ({"a": np.array([1.0]), "c": np.array(["x"])}, "columns ['a', 'c'], expected ['a', 'b']"),
        ({"a": np.array([1.0])}, "columns ['a'], expected ['a', 'b']"),
    ],
)
def test_other_columns_in_a_later_chunk_are_refused(ending, second, says, tmp_path):
    with pytest.raises(DataError) as caught:
        write_all(tmp_path / f"r.{ending}", {"a": np.array([1.0]), "b": np.array(["x"])}, second)
    assert says in caught.value.message
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_another_type_in_a_later_chunk_is_refused(ending, tmp_path):
    private = {"a": np.array(["SECRET", "y"])}
    with pytest.raises(DataError, match="other types") as caught:
        write_all(tmp_path / f"r.{ending}", {"a": np.array([1, 2])}, private)
    assert "SECRET" not in "".join(traceback.format_exception(caught.value))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "column",
    [np.array([1, "SECRET"], dtype=object), np.array([1j]), np.array([object()])],
)
def test_a_column_that_no_file_can_hold_is_named(ending, column, tmp_path):
    with pytest.raises(DataError, match="column 'odd'") as caught:
        write_table(tmp_path / f"rows.{ending}", {"odd": column})
    assert "SECRET" not in "".join(traceback.format_exception(caught.value))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("column", [np.zeros((1, 2)), np.array([[1.0]]), ["\ud800"], ["x\0y"]])
def test_what_csv_cannot_hold_is_refused(column, tmp_path):
    with pytest.raises(DataError):
        write_table(tmp_path / "rows.csv", {"odd": column})
    rows = np.empty(1, dtype=object)
    rows[0] = np.ones(2)
    with pytest.raises(DataError, match="arrays"):
        write_table(tmp_path / "rows.csv", {"odd": rows})
    assert os.listdir(tmp_path) == []


def test_where_nothing_can_be_written(tmp_path):
    with pytest.raises(DataError, match="cannot be written") as caught:
        write_table(tmp_path / "absent" / "rows.csv", {"a": [1]})
    assert "mkdir" in caught.value.hint
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        write_table(tmp_path / "folder.csv", {"a": [1]})
    with pytest.raises(CallError, match=r"\.csv"):
        write_table(tmp_path / "rows.xlsx", {"a": [1]})
    with pytest.raises(DataError, match="nothing was written"), TableWriter(tmp_path / "r.csv"):
        pass
    with pytest.raises(CallError, match="with statement"):
        TableWriter(tmp_path / "r.csv").write({"a": [1]})
    assert os.listdir(tmp_path) == ["folder.csv"]


def test_other_tools_read_the_files(tmp_path):
    write_table(tmp_path / "rows.feather", COLUMNS)
    assert feather.read_table(tmp_path / "rows.feather").column_names == list(COLUMNS)
    write_table(tmp_path / "rows.parquet", COLUMNS)
    assert parquet.read_table(tmp_path / "rows.parquet")["f"].null_count == 1
