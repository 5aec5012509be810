"""Streams: the same values and types as one read, whatever the size of the chunks."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import csv, parquet

from verticals.data import iter_tables, read_table
from verticals.errors import CallError, DataError

SHARED = Path(__file__).parents[4] / "shared" / "data"


def equal(first, second) -> bool:
    if first.dtype != second.dtype or first.shape != second.shape:
        return False
    if first.dtype == object and any(isinstance(item, np.ndarray) for item in first):
        return all(map(np.array_equal, first, second))
    if first.dtype == object:
        return first.tolist() == second.tolist()
    return np.array_equal(first, second, equal_nan=first.dtype.kind in "fM")


def assert_same_as_one_read(source, rows, **options):
    whole = read_table(source, **options).table
    stream = iter_tables(source, rows=rows, **options)
    assert stream.names == tuple(whole)
    tables = list(stream)
    assert [table.rows for table in tables[:-1]] == [rows] * (len(tables) - 1)
    assert 0 < tables[-1].rows <= rows
    for name in whole:
        assert equal(np.concatenate([table[name] for table in tables]), whole[name]), name
        assert len({table[name].dtype for table in tables}) == 1
    return whole


CELLS = (
    *("", "NA", "1", "-7", "007", "2.5", "1e400", "inf", "x", "0x10", "true", "FALSE"),
    *("2020-01-01", "2020-01-01T00:00:00Z", "1234567890123456789", " 3 ", "é"),
)
CELL = st.sampled_from(CELLS)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cells=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=12),
    rows=st.integers(1, 5),
    block=st.integers(24, 64),
)
def test_chunks_of_a_csv_file_agree_with_one_read(cells, rows, block, tmp_path, monkeypatch):
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "".join(f'"{first}","{second}"\n' for first, second in cells))
    whole = read_table(path).table
    # Small blocks, so that a column's kind changes from one to the next.
    with monkeypatch.context() as patch:
        patch.setattr("verticals.data.delimited.BLOCK", block + 24)
        again = assert_same_as_one_read(path, rows)
    assert all(equal(again[name], whole[name]) for name in whole)


def test_no_pair_of_kinds_depends_on_where_a_block_ends(tmp_path, monkeypatch):
    """Each ordered pair of cells is a column, and each cell of it fills blocks of its own."""
    pairs = list(itertools.product(CELLS, CELLS))
    names = ",".join(f"c{place}" for place in range(len(pairs)))
    lines = [",".join(f'"{pair[half]}"' for pair in pairs) for half in (0, 0, 1, 1)]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join([names, *lines, ""]))
    whole = read_table(path).table
    monkeypatch.setattr("verticals.data.delimited.BLOCK", max(map(len, lines)) + 100)
    found = assert_same_as_one_read(path, 1)
    different = [
        pairs[place] for place, name in enumerate(whole) if not equal(found[name], whole[name])
    ]
    assert different == []


def test_a_column_that_turns_from_integers_to_text_is_text_from_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr("verticals.data.delimited.BLOCK", 64)
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "1,2\n" * 100 + "x,\n")
    first = next(iter_tables(path, rows=10))
    assert first["a"].tolist() == ["1"] * 10
    assert first["b"].dtype == np.float64  # because of the missing value at the end


def test_parquet_chunks_have_one_type_though_nulls_come_late(tmp_path):
    path = tmp_path / "rows.parquet"
    table = pa.table(
        {
            "i": pa.array([1] * 50 + [None]),
            "b": pa.array([True] * 50 + [None]),
            "t": pa.array(["x"] * 51).dictionary_encode(),
            "l": pa.array([[1.0]] * 50 + [None]),
        }
    )
    parquet.write_table(table, path, row_group_size=7)
    assert_same_as_one_read(path, 10)
    first = next(iter_tables(path, rows=10))
    assert first["i"].dtype == np.float64
    assert first["b"].dtype == object


def test_arrow_chunks_may_each_have_a_dictionary_of_their_own(tmp_path):
    path = tmp_path / "rows.arrow"
    batches = [
        pa.record_batch({"a": pa.array(words).dictionary_encode(), "i": pa.array([1, 2])})
        for words in (["x", "y"], ["y", "z"])
    ]
    with pa.ipc.new_stream(path, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    whole = assert_same_as_one_read(path, 3)
    assert whole["a"].tolist() == ["x", "y", "y", "z"]


def test_a_stream_knows_its_notes_before_the_first_table(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes("a;b\n姓;1\n".encode("gb18030"))
    stream = iter_tables(path)
    assert [note.kind for note in stream.notes] == ["encoding", "delimiter"]
    assert next(stream)["a"].tolist() == ["姓"]
    assert list(stream) == []


def test_a_dataframe_is_streamed_too():
    frame = pd.DataFrame({"a": range(5)})
    assert [table["a"].tolist() for table in iter_tables(frame, rows=2)] == [[0, 1], [2, 3], [4]]


def test_a_chunk_has_at_least_one_row(tmp_path):
    with pytest.raises(CallError, match="rows is 0"):
        iter_tables(tmp_path / "rows.csv", rows=0)


def test_a_ragged_row_far_down_is_refused_at_the_call(tmp_path, monkeypatch):
    monkeypatch.setattr("verticals.data.delimited.BLOCK", 64)
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "1,2\n" * 500 + "3\n")
    with pytest.raises(DataError, match=r"row 501 \(line 502\)"):
        iter_tables(path)


def most_memory(path, count) -> tuple[int, int]:
    """Return the most memory that Python and Arrow held while a file was streamed."""
    table = pa.table({"a": np.arange(count) * 0.5, "t": np.full(count, "some text")})
    if path.suffix == ".csv":
        csv.write_csv(table, path)
    elif path.suffix == ".parquet":
        parquet.write_table(table, path, row_group_size=1_000)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=1_000)
    del table
    arrow_before, arrow_most, rows = pa.total_allocated_bytes(), 0, 0
    tracemalloc.start()
    for part in iter_tables(path, rows=1_000):
        rows += part.rows
        arrow_most = max(arrow_most, pa.total_allocated_bytes() - arrow_before)
    python_most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == count
    return python_most, arrow_most


@pytest.mark.parametrize("ending", ["csv", "parquet", "arrow"])
def test_memory_does_not_grow_with_the_file(ending, tmp_path, monkeypatch):
    monkeypatch.setattr("verticals.data.encoding.BLOCK", 1 << 11)
    monkeypatch.setattr("verticals.data.delimited.BLOCK", 1 << 11)  # Arrow reads some 30 ahead
    monkeypatch.setattr("verticals.data.sources.BATCH_ROWS", 500)
    path = tmp_path / f"rows.{ending}"
    most_memory(path, 2_000)  # imports
    python_small, arrow_small = most_memory(path, 8_000)
    python_large, arrow_large = most_memory(path, 50_000)
    assert python_large < 2 * python_small + 100_000  # the rows alone would be 900 000 more
    assert arrow_large < 2 * arrow_small + 100_000


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
@pytest.mark.parametrize(
    "name",
    [
        "credit_taiwan_default/credit_taiwan_default.csv",
        "edu_ellipse/essays.csv",
        "edu_oulad_studentinfo/edu_oulad_studentinfo.csv",
        "fraud_vehicle_oracle/fraud_vehicle_oracle.csv",
    ],
)
def test_real_files_read_as_pandas_reads_them(name):
    path = SHARED / name
    whole = assert_same_as_one_read(path, 10_000)
    frame = pd.read_csv(path, keep_default_na=False, na_values={})
    assert list(whole) == [column.strip() for column in frame.columns]
    assert whole.rows == len(frame)
    for column in whole:
        ours, theirs = whole[column], frame[column]
        if ours.dtype == object:
            assert ours.tolist() == [text or None for text in theirs.astype(str)], column
        else:
            np.testing.assert_array_equal(ours, pd.to_numeric(theirs, errors="coerce"))
