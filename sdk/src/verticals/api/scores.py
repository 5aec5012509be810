"""Hold what a model gives against what it declares, where its scores enter the SDK.

A score that is lacking, not finite or out of its range would otherwise be decided on, and a column
that nobody declared would be written beside the scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from verticals.api.vertical import Vertical
from verticals.contract.model import DataContract
from verticals.errors import PluginError
from verticals.finish import DECISION, DecisionFinish
from verticals.plugin import Columns, Finish, Model, Output
from verticals.table import Array, Table

_ROUNDING = 1e-9  # of an expected level, which is a sum of products


def raw_columns(
    vertical: Vertical, contract: DataContract, model: Model, finish: Finish, table: Table
) -> Columns:
    """Return what a model predicts for a bound table, held against its outputs.

    A finish of the solution's own may take other columns than it gives: their names and values are
    then its own affair, and only the finished ones are held against what is declared.
    Raises `PluginError`, naming the solution, for what is not as declared.
    """
    return _raw(vertical, contract, model, finish, table, _scored(vertical, contract, table))


def _raw(
    vertical: Vertical,
    contract: DataContract,
    model: Model,
    finish: Finish,
    table: Table,
    scored: Array,
) -> Columns:
    with vertical.running("predict"):
        found = model.predict(table)
        if not isinstance(found, Mapping):
            raise _wrong(vertical, f"{type(found).__name__}, expected output name -> array")
        columns = {name: np.asarray(column) for name, column in found.items()}
    if not isinstance(finish, DecisionFinish):
        return columns
    raw = [item for item in finish.outputs if item.name != DECISION]
    _check(vertical, contract, raw, columns, table.rows, scored)
    return columns


def finished_columns(
    vertical: Vertical,
    contract: DataContract,
    model: Model,
    finish: Finish,
    settings: Mapping[str, Any],
    table: Table,
) -> Columns:
    """Return the output columns of a bound table: those declared, each of (rows,).

    Numbers are finite and in the range of their kind. NaN may stand where a declared flag (not the
    decision) is 1 in the same row, and in an output that speaks of no target, as of a person who
    answered nothing. Rows that the solution leaves out get NaN, and None for text.
    Raises `PluginError`, naming the solution, for what is not so.
    """
    scored = _scored(vertical, contract, table)
    raw = _raw(vertical, contract, model, finish, table, scored)
    with vertical.running("finish"):
        columns = {name: np.asarray(column) for name, column in finish.apply(raw, settings).items()}
    if not isinstance(finish, DecisionFinish):  # it adds a decision to what has been checked
        _check(vertical, contract, finish.outputs, columns, table.rows, scored)
    if scored.all():
        return columns
    return {name: _blanked(column, ~scored) for name, column in columns.items()}


def _scored(vertical: Vertical, contract: DataContract, table: Table) -> Array:
    return vertical.scored_rows(table, contract)[0]


def _check(
    vertical: Vertical,
    contract: DataContract,
    outputs: Sequence[Output],
    columns: Columns,
    rows: int,
    scored: Array,
) -> None:
    declared = {item.name for item in outputs}
    extra, lacking = sorted(map(str, set(columns) - declared)), sorted(declared - set(columns))
    if extra or lacking:
        parts = [f"no {', '.join(map(repr, lacking))}"] if lacking else []
        parts += [f"{', '.join(map(repr, extra))}, which it does not declare"] * bool(extra)
        named = ", ".join(map(repr, sorted(declared))) or "none"
        raise _wrong(vertical, f"{' and '.join(parts)}; its outputs are {named}")
    for item in outputs:
        if columns[item.name].shape != (rows,):
            shape = columns[item.name].shape
            raise _wrong(vertical, f"{item.name!r} of shape {shape}, expected ({rows},)")
    numbers = [item for item in outputs if item.kind not in ("set", "text")]
    for item in numbers:
        if columns[item.name].dtype.kind not in "fiub":
            kind = columns[item.name].dtype
            raise _wrong(vertical, f"{item.name!r} of type {kind}, expected numbers")
    flags = [
        columns[item.name] == 1 for item in numbers if item.kind == "flag" and item.name != DECISION
    ]
    explained = np.any(flags, axis=0) if flags else np.zeros(rows, dtype=bool)
    for item in numbers:
        _check_values(vertical, contract, item, columns[item.name][scored], explained[scored])


def _check_values(
    vertical: Vertical, contract: DataContract, item: Output, column: Array, explained: Array
) -> None:
    """Hold the numbers of one output against its kind; no value is shown, as it is a person's."""
    blank = np.isnan(column)
    allowed = explained if item.target else np.ones(len(column), dtype=bool)
    bad = (blank & ~allowed) | np.isinf(column)
    if bad.any():
        told = "and no declared flag of these rows says why" if item.target else "expected none"
        raise _wrong(
            vertical,
            f"a {item.name!r} that is not finite in {int(bad.sum())} of {len(column)} rows, {told}",
            hint="a model whose training did not settle gives such: try a smaller learning rate; "
            f"else verticals check {vertical.info.name}",
        )
    known = column[~blank]
    if item.kind == "flag":
        outside, expected = ~np.isin(known, (0, 1)), "0 or 1"
    elif item.kind == "probability":
        outside, expected = (known < 0) | (known > 1), "0 to 1"
    elif item.kind == "ordinal" and item.target and contract.target(item.target).values:
        top = len(contract.target(item.target).values) - 1
        outside, expected = (known < -_ROUNDING) | (known > top + _ROUNDING), f"0 to {top}"
    else:
        return
    if outside.any():
        raise _wrong(
            vertical,
            f"a {item.name!r} out of its range in {int(outside.sum())} of {len(column)} rows, "
            f"expected {expected}",
        )


def _wrong(vertical: Vertical, what: str, *, hint: str = "") -> PluginError:
    return PluginError(
        f"{vertical.named}: predict gives {what}",
        hint=hint or f"verticals check {vertical.info.name}",
    )


def _blanked(column: Array, where: Array) -> Array:
    """Return an output column without the values of some rows: NaN, or None of texts."""
    if column.dtype.kind == "O":
        found = column.copy()
        found[where] = None
        return found
    return np.where(where, np.nan, column.astype(np.float64))
