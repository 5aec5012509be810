"""From what a caller gives (a file, a folder, a frame) to raw columns that can be bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from verticals.contract import DataContract
from verticals.contract.model import ROW
from verticals.data import iter_tables, read_table
from verticals.errors import BadFileError, DataError
from verticals.plugin import FileReader, FolderReader
from verticals.table import Table

PATH = "@path:"  # and the field's name: the column of a raw table that keeps the paths
_SHOWN = 20
_LEAVE_OUT = "leave such rows out and list them: --skip-bad"
Readers = Mapping[str, FileReader]


@dataclass(frozen=True, kw_only=True)
class Raw:
    """Hold raw columns, files read into arrays, and what was noticed on the way."""

    table: Table
    notes: tuple[str, ...] = ()


def load_raw(
    contract: DataContract,
    data: Any,
    *,
    readers: Readers,
    encoding: str | None = None,
    skip_bad: bool = False,
) -> Raw:
    """Read data, and the files that its columns name; paths are below the data's own folder.

    A folder in place of a table is listed by the solution's reader. Raises `DataError`.
    """
    folder = _folder(data, readers)
    if folder is not None:
        reader = next(item for item in readers.values() if isinstance(item, FolderReader))
        return with_files(contract, reader.table(folder), folder, readers, skip_bad=skip_bad)
    loaded = read_table(data, text_columns=text_columns(contract), encoding=encoding)
    found = with_files(contract, loaded.table, root_of(data), readers, skip_bad=skip_bad)
    notes = tuple(note.text for note in loaded.notes)
    return Raw(table=found.table, notes=(*notes, *found.notes))


def iter_raw(
    contract: DataContract,
    data: Any,
    *,
    readers: Readers,
    rows: int,
    encoding: str | None = None,
    skip_bad: bool = False,
) -> Iterator[Raw]:
    """Read a file in chunks of at most `rows` rows, numbered throughout; a folder comes as one."""
    if _folder(data, readers) is not None:
        yield load_raw(contract, data, readers=readers, skip_bad=skip_bad)
        return
    columns = text_columns(contract)
    before = 0
    for table in iter_tables(data, rows=rows, text_columns=columns, encoding=encoding):
        numbers = np.arange(before + 1, before + table.rows + 1, dtype=np.int64)
        numbered = table if ROW in table else table.with_columns({ROW: numbers})
        before += table.rows
        yield with_files(contract, numbered, root_of(data), readers, skip_bad=skip_bad)


def with_files(
    contract: DataContract, raw: Table, root: Path, readers: Readers, *, skip_bad: bool
) -> Raw:
    """Return the table with arrays in place of paths; rows whose files are bad may be left out.

    What the files say of themselves becomes further columns; a column that is there already stays.
    """
    notes: list[str] = []
    for field in contract.fields:
        reader = readers.get(field.kind)
        column = raw.get(field.column) if field.column else None
        if reader is None or column is None or column.dtype.kind not in "OUS":
            continue
        if ROW not in raw:
            raw = raw.with_columns({ROW: np.arange(1, raw.rows + 1, dtype=np.int64)})
        numbers = raw[ROW]
        try:
            found = reader.read(field, column, root, skip_bad=skip_bad)
        except BadFileError as error:
            hint = f"{error.hint}, or {_LEAVE_OUT}" if error.hint else _LEAVE_OUT
            number = int(numbers[error.row - 1])
            raise BadFileError(error.what, row=number, hint=hint) from None
        if found.skipped:
            shown = "; ".join(f"row {numbers[n]}: {why}" for n, why in found.skipped[:_SHOWN])
            more = len(found.skipped) - _SHOWN
            notes.append(
                f"{len(found.skipped)} of {raw.rows} files were skipped: {shown}"
                + (f"; and {more} more" if more > 0 else "")
            )
        if not len(found.kept):
            raise DataError(
                f"none of the {raw.rows} files in column {field.column!r} can be used",
                hint="run again without --skip-bad to see the first reason",
            )
        facts = {name: values for name, values in found.facts.items() if name not in raw}
        paths = {PATH + field.name: column[found.kept]}
        raw = raw.take(found.kept).with_columns({field.column: found.values, **paths, **facts})
    return Raw(table=raw, notes=tuple(notes))


def pipeline_digests(contract: DataContract, readers: Readers) -> dict[str, str]:
    """Return the hash of each file field's pipeline, by the field's name."""
    return {
        field.name: readers[field.kind].digest(field)
        for field in contract.fields
        if field.kind in readers and field.role != "ignore"
    }


def text_columns(contract: DataContract) -> tuple[str, ...]:
    """Return the columns that must be read as text: ids, groups, entities, categories."""
    kinds = ("categorical", "text", "ordinal")
    fields = [item.column for item in contract.fields if item.column and item.kind in kinds]
    targets = [item.column for item in contract.targets if item.kind != "numeric"]
    entities = [item.column for item in contract.entities]
    currency = contract.amount.currency_column if contract.amount else ""
    keys = filter(None, (contract.id, contract.group, *entities, currency))
    return tuple(dict.fromkeys([*keys, *fields, *targets]))


def root_of(data: Any) -> Path:
    """Return the folder that paths in the data are relative to: the file's own, else this one."""
    return Path(data).parent if isinstance(data, str | Path) else Path.cwd()


def _folder(data: Any, readers: Readers) -> Path | None:
    if not isinstance(data, str | Path) or not Path(data).is_dir():
        return None
    if any(isinstance(item, FolderReader) for item in readers.values()):
        return Path(data)
    return None
