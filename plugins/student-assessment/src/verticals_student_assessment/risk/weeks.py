"""Temporal honesty: what was known by a week, and who had left by then.

A contract says it in the `settings` of its fields:

* `{week: n}`: the field is known at the end of week n (0: at enrolment). Without it, always.
* `{left_week: true}`: the week in which the student left; missing means still there. The field is
  no input (`role: ignore`, or a stratum).
* `{panel_week: true}`: the data are a panel, one row for each student and week, and this is the
  row's week. The group is the student.

With the option `week=k` the model reads fields known by week k only, and a student who left by
then is neither trained on nor scored. In a panel that holds row by row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from verticals.contract import DataContract
from verticals.contract.model import MISSING, ROW, Field
from verticals.errors import CallError, ContractError, DataError
from verticals.table import Array, Table

ALL_WEEKS = "all"
WEEK, LEFT_WEEK, PANEL_WEEK = "week", "left_week", "panel_week"
_BY = "by"  # of the fields above: the week that the option named, kept in the bundle's contract
_ROWS_SHOWN = 3
_LATEST = 520  # ten years: a later week is a slip


def contract_for(
    contract: DataContract, options: Mapping[str, Any]
) -> tuple[DataContract, tuple[str, ...]]:
    """Return the contract as the option `week` narrows it, with a note on what is not read.

    Inputs known only after that week get `role: ignore` (a protected one is audited still, and no
    longer an input), so that scoring does not ask for columns that do not exist yet.

    Raises `CallError` for a week that is none or where no field declares one, and `ContractError`
    where the declared weeks mean nothing or no input is left.
    """
    check_weeks(contract)
    week = _chosen_week(options.get(WEEK, ALL_WEEKS))
    if week is None:
        return contract, ()
    if not any(_is_marked(item) for item in contract.fields):
        raise CallError(
            f"option week is {week}, and no field declares a week: it would change nothing",
            hint="add settings: {week: 4} to each field that is known only by then, or leave the "
            "option out",
        )
    late = [item for item in contract.inputs if _known_from(item) > week]
    fields = tuple(_narrowed(item, week, late) for item in contract.fields)
    narrowed = dataclasses.replace(contract, fields=fields)
    if not narrowed.inputs:
        raise ContractError(
            f"no input is known by week {week}, expected at least one",
            hint="choose a later --option week=…, or correct `settings: {week: …}`",
        )
    note = f"the model reads what is known by the end of week {week}"
    if late:
        names = ", ".join(f"{item.name} (week {_known_from(item)})" for item in late)
        note += f"; {len(late)} fields are known later and not read: {names}"
    return narrowed, (note,)


def prediction_week(contract: DataContract) -> int | None:
    """Return the week by whose end all inputs are known; None where no field declares a week.

    In a panel each row has its own week, and this is the last one that is scored (None: any).
    """
    for item in contract.fields:
        if _BY in item.settings:
            return int(item.settings[_BY])
    if panel_field(contract) is not None:
        return None
    weeks = [int(item.settings[WEEK]) for item in contract.inputs if WEEK in item.settings]
    return max(weeks, default=None)


def left_out(table: Table, contract: DataContract) -> tuple[Array, str]:
    """Return (rows,) True for rows that are neither trained on nor scored, and why, in counts.

    A row is left out where its student had left by the week that is predicted from (a panel: by
    the row's own week), and in a panel where its week lies after the chosen one or is missing.

    Raises `DataError` where the weeks are declared and the data lack them, or where a row of a
    panel holds a value that was not known in its week.
    """
    last = prediction_week(contract)
    its_week = row_weeks(table, contract)
    out = np.zeros(table.rows, dtype=bool)
    why = []
    if panel_field(contract) is not None:
        _check_panel(table, contract, its_week)
        late = np.isnan(its_week)
        late |= np.zeros_like(late) if last is None else its_week > last
        out |= late
        if late.any():
            beyond = "of no week" if last is None else f"of a week after {last} or of none"
            why.append(f"{int(late.sum())} {beyond}")
    left = _marked(contract, LEFT_WEEK)
    if left is not None:
        by = np.where(np.isnan(its_week), 0.0 if last is None else float(last), its_week)
        gone = ~out & (_weeks_of(table, left) <= by)
        out |= gone
        if gone.any():
            why.append(f"{int(gone.sum())} of students who had left by then")
    return out, ", ".join(why)


def row_weeks(table: Table, contract: DataContract) -> Array:
    """Return (rows,) the week each row is predicted from, NaN where none is declared."""
    panel = panel_field(contract)
    if panel is not None:
        return _weeks_of(table, panel)
    week = prediction_week(contract)
    return np.full(table.rows, np.nan if week is None else float(week))


def panel_field(contract: DataContract) -> Field | None:
    """Return the field that holds the row's week, None where the data are no panel."""
    return _marked(contract, PANEL_WEEK)


def check_weeks(contract: DataContract) -> None:
    """Raise `ContractError` with every declaration of a week that means nothing."""
    violations = list(_broken(contract))
    if violations:
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        raise ContractError(
            f"contract {contract.name!r}, {violations[0]}{more}",
            hint="settings: {week: 4}, {left_week: true} or {panel_week: true}",
            violations=violations,
        )


def _broken(contract: DataContract) -> Iterator[str]:
    for item in contract.fields:
        where = f"fields.{item.name}.settings"
        week = item.settings.get(WEEK, 0)
        if not _is_week(week):
            yield f"{where}.week is {week!r}, expected a whole number from 0 to {_LATEST}"
        if _BY in item.settings:
            yield f"{where}.{_BY} is what training itself writes, expected no such setting"
        for key in (LEFT_WEEK, PANEL_WEEK):
            if not isinstance(item.settings.get(key, False), bool):
                yield f"{where}.{key} is {item.settings[key]!r}, expected true or false"
            elif item.settings.get(key) and (item.kind != "numeric" or item.columns):
                yield f"{where}.{key} is true of kind {item.kind}, expected one numeric column"
        if item.settings.get(LEFT_WEEK) and item.is_input:
            yield f"{where}.left_week is true of an input, expected role: ignore or stratum"
    for key in (LEFT_WEEK, PANEL_WEEK):
        marked = [item.name for item in contract.fields if item.settings.get(key) is True]
        if len(marked) > 1:
            yield f"{key} is declared of {', '.join(marked)}, expected one field"
    if panel_field(contract) is not None and not contract.group:
        yield "group is missing, expected the student of each row of a panel"


def _marked(contract: DataContract, key: str) -> Field | None:
    return next((item for item in contract.fields if item.settings.get(key) is True), None)


def _known_from(item: Field) -> int:
    return int(item.settings.get(WEEK, 0))


def _chosen_week(given: Any) -> int | None:
    if given in (ALL_WEEKS, None):
        return None
    if not _is_week(given):
        raise CallError(
            f"option week is {given!r}, expected a whole number from 0 to {_LATEST}, or all",
            hint="--option week=4",
        )
    return int(given)


def _is_week(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LATEST


def _is_marked(item: Field) -> bool:
    """Tell whether a field says anything of weeks."""
    settings = item.settings
    return bool(WEEK in settings or settings.get(LEFT_WEEK) or settings.get(PANEL_WEEK))


def _narrowed(item: Field, week: int, late: list[Field]) -> Field:
    if not _is_marked(item):
        return item
    role = "ignore" if item in late and item.role != "protected" else item.role
    also = item.also_feature and item not in late
    settings = {**item.settings, _BY: week}
    return dataclasses.replace(item, role=role, also_feature=also, settings=settings)


def _weeks_of(table: Table, item: Field) -> Array:
    if item.name not in table:
        raise DataError(
            f"column {item.column!r} (for {item.name}) is missing, expected the week of each row: "
            "without it nobody can tell who is to be scored",
            hint="give the column; an empty cell means that the student has not left",
        )
    return np.asarray(table[item.name], dtype=np.float64)


def _check_panel(table: Table, contract: DataContract, its_week: Array) -> None:
    """Refuse values that stand in rows of weeks in which they were not known."""
    for item in contract.inputs:
        if _known_from(item) == 0 or item.name not in table:
            continue
        column = table[item.name]
        known = column != MISSING if column.dtype.kind in "iu" else ~np.isnan(column)
        known = known.reshape(len(column), -1).any(axis=1)
        early = np.flatnonzero(known & (its_week < _known_from(item)))
        if early.size:
            rows = table[ROW][early] if ROW in table else early + 1
            shown = ", ".join(str(int(row)) for row in rows[:_ROWS_SHOWN])
            raise DataError(
                f"field {item.name!r} holds a value in {early.size} rows of weeks before "
                f"{_known_from(item)}, in which it was not known (row {shown})",
                hint="leave those cells empty, or correct `settings: {week: …}`",
            )
