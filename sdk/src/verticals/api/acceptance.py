"""Whether a solution takes a contract, before anything is fitted: `train` and `contract check`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from verticals.api.raw import pipeline_digests, root_of, text_columns, with_files
from verticals.api.vertical import Vertical, default_options
from verticals.contract import Bound, DataContract, Note, bind, resolve
from verticals.contract.model import ROW
from verticals.data import read_table
from verticals.errors import ContractError, DataError
from verticals.plugin import SolutionInfo
from verticals.table import Table

MOST_OPENED = 1_000  # files that a check opens; of more, so many at even steps
NO_TARGET = "none"
_EXAMPLES = {
    "binary": "NAME: {column: …, kind: binary, positive: 1, negative: 0, favourable: 0}",
    "categorical": "NAME: {column: …, kind: categorical, values: [a, b, c]}",
    "ordinal": "NAME: {column: …, kind: ordinal, values: [1, 2, 3, 4]}",
    "numeric": "NAME: {column: …, kind: numeric, bounds: [0, 100]}",
}


@dataclass(frozen=True, kw_only=True)
class Held:
    """Hold data against a contract: the resolved contract, rows raw and bound, and all notes."""

    contract: DataContract
    raw: Table
    bound: Bound
    notes: tuple[Note, ...]


def refuse_targets(info: SolutionInfo, contract: DataContract) -> None:
    """Raise `ContractError` where a target is of no kind that the solution declares to take."""
    kinds = info.target_kinds
    if not kinds:
        return
    wanted = " or ".join(sorted(kinds - {NO_TARGET}))
    article = "an" if wanted.startswith("o") else "a"
    what = f"{article} {wanted} target" if wanted else "no target"
    takes = f"solution {info.name!r} takes {what}"
    example = next((_EXAMPLES[kind] for kind in _EXAMPLES if kind in kinds), "")
    hint = f"targets: {{{example}}}" if example else "leave `targets:` and `decision:` out"
    if not contract.targets and NO_TARGET not in kinds:
        raise ContractError(f"contract {contract.name!r} has no target: {takes}", hint=hint)
    for target in contract.targets:
        if target.kind not in kinds:
            raise ContractError(f"target {target.name!r} is {target.kind}: {takes}", hint=hint)


def refuse_contract(vertical: Vertical, contract: DataContract, options: Mapping[str, Any]) -> None:
    """Raise what the solution itself says of a contract that it cannot train; no data are read.

    `contract` has the derived fields. A solution says it in `accepts(contract, options)`.
    """
    refuse_targets(vertical.info, contract)
    accepts = getattr(vertical.solution, "accepts", None)
    if callable(accepts):
        with vertical.running("accepts"):
            accepts(contract, options)


def hold(
    contract: DataContract,
    data: Path,
    *,
    vertical: Vertical | None,
    encoding: str | None = None,
) -> Held:
    """Read data, and bind them by the contract as training would before it fits anything.

    With `vertical`, the solution's own rules come first, and the files that columns name are
    looked for; up to 1,000 of them are opened. Raises `ContractError` or `DataError`.
    """
    if vertical is not None:
        refuse_targets(vertical.info, contract)
    loaded = read_table(data, text_columns=text_columns(contract), encoding=encoding)
    contract = resolve(contract, list(loaded.table))
    notes = loaded.notes
    raw = loaded.table
    if vertical is None:
        bound = bind(contract, raw)
        return Held(contract=contract, raw=raw, bound=bound, notes=(*notes, *bound.notes))
    options = default_options(vertical.info)
    narrowed, _ = vertical.narrowed(contract, options)
    made = vertical.for_contract(narrowed, private=False)
    full = made.contract_with_derived(narrowed)
    refuse_contract(made, full, options)
    made.finish_for(full, None, options)
    pipeline_digests(full, made.readers)
    raw, opened = _with_files(contract, raw, root_of(str(data)), made)
    bound = bind(contract, raw)
    told: tuple[str, ...] = ()
    if made.excluded is not None:
        _, told = made.scored_rows(made.derive(bound.table), full)
    further = (Note(kind="solution", column="", count=0, message=text) for text in told)
    return Held(
        contract=contract, raw=raw, bound=bound, notes=(*notes, *opened, *bound.notes, *further)
    )


def _with_files(
    contract: DataContract, raw: Table, root: Path, vertical: Vertical
) -> tuple[Table, tuple[Note, ...]]:
    """Return the table with its files read where they are few; of many, look for every one.

    Raises `DataError` for a file that is not there, or that was opened and cannot be used.
    """
    fields = [
        field for field in contract.fields if field.kind in vertical.readers and field.column in raw
    ]
    fields = [field for field in fields if raw[field.column].dtype.kind in "OUS"]
    if not fields:
        return raw, ()
    notes = []
    for field in fields:
        _refuse_absent(raw[field.column], field.column, root)
    step = -(-raw.rows // MOST_OPENED)
    sample = raw.take(np.arange(0, raw.rows, step))
    if ROW not in sample:
        numbers = np.arange(1, raw.rows + 1, dtype=np.int64)[::step]
        sample = sample.with_columns({ROW: numbers})
    read = with_files(contract, sample, root, vertical.readers, skip_bad=False)
    for field in fields:
        if step > 1:
            message = f"{sample.rows:,} of {raw.rows:,} files were opened, the rest only looked for"
            notes.append(Note(kind="files", column=field.column, count=0, message=message))
    if step == 1:
        return read.table, tuple(notes)
    lacking = {
        field.column for field in contract.fields if field.column and field.column not in raw
    }
    if lacking:  # what the files say of themselves is known of the opened ones only
        return read.table, tuple(notes)
    return raw, tuple(notes)


def _refuse_absent(paths: Any, column: str, root: Path) -> None:
    absent = [
        (row, path)
        for row, path in enumerate(paths.tolist(), 1)
        if isinstance(path, str) and path.strip() and not (root / path).exists()
    ]
    if absent:
        shown = "; ".join(f"row {row}: {path}" for row, path in absent[:5])
        more = f"; and {len(absent) - 5} more" if len(absent) > 5 else ""
        raise DataError(
            f"column {column!r}: {len(absent)} of {len(paths)} files are not there ({shown}{more})",
            hint="paths are below the folder of the table; `train --skip-bad` leaves such rows out",
        )
