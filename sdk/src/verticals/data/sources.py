"""Find out what a source of rows is, and give its rows as Arrow batches, as often as asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verticals.contract import Note
from verticals.data.delimited import read_header, text_batches
from verticals.data.encoding import open_text
from verticals.errors import CallError, DataError, VerticalsError

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = (".csv", ".parquet", ".arrow", ".feather")
TEXT = (".csv", ".tsv")  # read alike, whatever parts their values
BATCH_ROWS = 8192  # of a Parquet file, held at a time
_EXPECTED = "a .csv, .tsv, .parquet, .arrow or .feather file"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Hold the columns of a source and a way to go through its rows.

    `textual` says that the batches hold CSV text, whose types are still to be found.
    """

    where: str
    names: tuple[str, ...]
    batches: Callable[[], Iterator[pa.RecordBatch]]
    textual: bool = False
    notes: tuple[Note, ...] = ()


def file_source(path: Path, encoding: str | None) -> Source:
    """Return the source of a file by its ending.

    Raises `DataError` for a file that is missing, a folder, empty, damaged or of another ending.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder, expected {_EXPECTED}", hint=f"ls {path}")
    if not path.exists():
        raise DataError(f"{path} does not exist, expected {_EXPECTED}", hint=f"ls {path.parent}")
    ending = path.suffix.lower()
    if ending not in (*ENDINGS, *TEXT) or not path.is_file():
        raise DataError(
            f"{path} is not a kind of file that can be read, expected {_EXPECTED}",
            hint="convert it, or read it yourself and pass the dataframe to the Python API",
        )
    if path.stat().st_size == 0:
        raise DataError(
            f"{path} is empty, expected a header and rows", hint="check how it was exported"
        )
    if encoding is not None and ending not in TEXT:
        raise CallError(
            f"an encoding ({encoding!r}) is given for {path}, expected one for a .csv file only",
            hint="leave --encoding out",
        )
    with _readable(path):
        if ending in TEXT:
            return _csv_source(path, encoding)
        return _parquet_source(path) if ending == ".parquet" else _arrow_source(path)


def frame_source(frame: Any) -> Source:
    """Return the source of a dataframe that narwhals knows; raise `DataError` for anything else."""
    import narwhals

    try:
        known = narwhals.from_native(frame)
        if isinstance(known, narwhals.LazyFrame):
            known = known.collect()
        known = known.rename({n: str(n) for n in known.columns if not isinstance(n, str)})
    except narwhals.exceptions.DuplicateError:
        raise DataError(
            "the dataframe has a column name more than once, expected each name once",
            hint="rename all but one of the columns",
        ) from None
    except TypeError:
        raise DataError(
            f"cannot read rows from {type(frame).__name__!r}, expected a path, a Table, a mapping "
            "of arrays, or a dataframe (pandas, polars, pyarrow)",
            hint="pass the path of the file, or a dataframe",
        ) from None
    table = _frame_to_arrow(known)
    names, notes = column_names(known.columns, "the dataframe")
    return Source(where="the dataframe", names=names, batches=_batches_of(table), notes=notes)


def column_names(names: Sequence[str], where: str) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    """Return the names without outer blanks; a column without a name gets one, and a note.

    Raises `DataError` that names what occurs twice and in which places.
    """
    stripped = [name.strip() for name in names]
    nameless = [place for place, name in enumerate(stripped, start=1) if not name]
    for place in nameless:
        stripped[place - 1] = f"column_{place}"
    for name, count in Counter(stripped).items():
        if count > 1:
            places = [str(place) for place, other in enumerate(stripped, 1) if other == name]
            raise DataError(
                f"{where}: the name {name!r} stands over columns {', '.join(places)}, expected "
                "each name once",
                hint="rename all but one of them",
            )
    if not nameless:
        return tuple(stripped), ()
    message = f"{where}: {len(nameless)} column(s) have no name; named by place, as column_1"
    return tuple(stripped), (
        Note(kind="header", column="", count=len(nameless), message=message, rows=()),
    )


def _csv_source(path: Path, encoding: str | None) -> Source:
    file = open_text(path, encoding)
    header = read_header(file)
    names, notes = column_names(header.names, str(path))

    def batches() -> Iterator[pa.RecordBatch]:
        with _readable(path):
            yield from text_batches(file, header)

    notes = (*file.notes, *header.notes, *notes)
    return Source(where=str(path), names=names, batches=batches, textual=True, notes=notes)


def _parquet_source(path: Path) -> Source:
    from pyarrow import parquet

    def batches() -> Iterator[pa.RecordBatch]:
        # Arrow's read-ahead holds on to all that was read, so that memory grows with the file.
        with _readable(path), parquet.ParquetFile(path, pre_buffer=False) as file:
            yield from file.iter_batches(batch_size=BATCH_ROWS)

    with parquet.ParquetFile(path) as file:
        names, notes = column_names(file.schema_arrow.names, str(path))
    return Source(where=str(path), names=names, batches=batches, notes=notes)


def _arrow_source(path: Path) -> Source:
    import pyarrow as pa

    def batches() -> Iterator[pa.RecordBatch]:
        with _readable(path), pa.memory_map(str(path)) as stream, _ipc_reader(stream) as reader:
            if isinstance(reader, pa.ipc.RecordBatchFileReader):
                found = (reader.get_batch(n) for n in range(reader.num_record_batches))
            else:
                found = iter(reader)
            for batch in found:
                batch.validate(full=True)  # a damaged file must not reach memory that is not its
                yield batch

    with pa.memory_map(str(path)) as stream, _ipc_reader(stream) as reader:
        names, notes = column_names(reader.schema.names, str(path))
    return Source(where=str(path), names=names, batches=batches, notes=notes)


def _ipc_reader(stream: Any) -> Any:
    """Open an Arrow file (which is also Feather 2), or an Arrow stream."""
    import pyarrow as pa

    try:
        return pa.ipc.open_file(stream)
    except pa.ArrowInvalid:
        stream.seek(0)
        return pa.ipc.open_stream(stream)


def _frame_to_arrow(frame: Any) -> pa.Table:
    try:
        return frame.to_arrow()  # pandas adds its index at the end, which the names leave out
    except Exception:  # each dataframe library has its own errors, some of which show values
        bad = [repr(name) for name in frame.columns if not _converts(frame, name)]
    raise DataError(
        f"the dataframe's column(s) {', '.join(bad)} cannot be read: mixed "
        "values or a type without an Arrow form, expected one type in each column",
        hint="make every value of the column one type, as with .astype(str)",
    )


def _converts(frame: Any, name: Any) -> bool:
    try:
        frame.get_column(name).to_arrow()
    except Exception:  # as above
        return False
    return True


def _batches_of(table: pa.Table) -> Callable[[], Iterator[pa.RecordBatch]]:
    return lambda: iter(table.to_batches())


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what Arrow and the system raise into one clear error that shows no value of the data."""
    import pyarrow as pa

    try:
        yield
    except VerticalsError:
        raise
    except PermissionError:
        raise DataError(f"{path} cannot be read: permission denied", hint=f"ls -l {path}") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        kind = path.suffix.lower().removeprefix(".")
        raise DataError(
            f"{path} is damaged or no {kind} file, expected one that can be read to its end",
            hint="export the file again, or give it the ending of what it is",
        ) from None
