"""Refine the draft of a contract for student-risk: the weeks by which things are known."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from verticals.contract import DataContract, Field, Refined
from verticals.contract.draft import GUESS
from verticals.contract.guess import value_range
from verticals.contract.hints import label_of, word_set, words
from verticals.contract.profile import Profile
from verticals.table import Array, Table
from verticals_student_assessment.risk.weeks import LEFT_WEEK, PANEL_WEEK, WEEK

_LEFT = word_set(
    """
    drop dropped dropout exit leave leaves leaving left quit unenrol unenrolled unregister
    unregistered unregistration withdraw withdrawal withdrawn withdrew
    """
)
_NUMBERED = re.compile(r"(?:week|wk)[ _-]?([0-9]{1,2})(?![0-9])", re.IGNORECASE)


def refine(draft: DataContract, raw: Table, columns: Mapping[str, Profile]) -> Refined:
    """Return the draft with `left_week`, `panel_week` and `week` settings, as names tell them.

    When a student left is never read by the model, in weeks or in anything else. In a panel, a
    field that is empty in all rows before a week is taken as known from that week on.
    """
    fields = list(draft.fields)
    comments: dict[tuple[str, ...], str] = {}
    findings: list[str] = []
    weeks = _panel_weeks(draft, columns)
    left = next((item.name for item in fields if _is_left_week(item, columns)), "")
    for place, item in enumerate(fields):
        said = set(words(item.column))
        settings: dict[str, object] = {}
        if item.name == left:
            settings[LEFT_WEEK] = True
            item = _numeric(item, columns[item.column], role="ignore")
            findings.append(
                f"{item.column!r} is taken as the week in which a student left (empty: still "
                "there): not read by the model"
            )
        elif item.is_input and said & _LEFT:
            item = dataclasses.replace(item, role="ignore")
            findings.append(f"{item.column!r} tells who left: left out of the model")
        elif weeks is not None and item.column == weeks.column:
            settings[PANEL_WEEK] = True
            item = _numeric(item, columns[item.column], role="feature")
            findings.append(f"{item.column!r} is taken as the week of each row of a panel")
        elif item.is_input and (week := _known_from(item, raw, weeks)):
            settings[WEEK] = week
            findings.append(f"{item.column!r} is taken as known at the end of week {week}")
        if settings:
            comments["fields", item.name, "settings"] = GUESS
            item = dataclasses.replace(item, settings={**item.settings, **settings})
        fields[place] = item
    if not any(WEEK in item.settings for item in fields):
        findings.append(
            "no name tells when a field is known: declare settings: {week: 4} of each that is "
            "known only at the end of that week"
        )
    contract = dataclasses.replace(draft, fields=tuple(fields))
    return Refined(contract=contract, comments=comments, findings=tuple(findings))


def _panel_weeks(draft: DataContract, columns: Mapping[str, Profile]) -> Profile | None:
    """Return the column of a panel's weeks: named so, in each row, and with repeated students."""
    if not draft.group:
        return None
    for item in draft.fields:
        column = columns[item.column]
        named = words(item.column) in (("week",), ("wk",), ("week", "no"), ("week", "number"))
        if named and column.whole and bool(np.all(column.codes >= 0)):
            return column
    return None


def _is_left_week(item: Field, columns: Mapping[str, Profile]) -> bool:
    found, column = set(words(item.column)), columns[item.column]
    return bool(found & _LEFT and found & {"week", "wk"} and column.whole)


def _numeric(item: Field, column: Profile, *, role: str) -> Field:
    """Return the field as one numeric column, which the settings of weeks ask for."""
    numbers: Array = np.asarray(column.numbers)
    drafted = ("bounds", *(("missing",) if column.missing else ()))
    return Field(
        name=item.name,
        column=item.column,
        kind="numeric",
        role=role,
        bounds=value_range(numbers) if column.distinct > 1 else None,
        missing=column.missing,
        label=item.label or label_of(item.column),
        drafted=drafted if column.distinct > 1 else drafted[1:],
    )


def _known_from(item: Field, raw: Table, weeks: Profile | None) -> int:
    """Return the week from which a field is known, by its name, or its rows in a panel; else 0."""
    named = _NUMBERED.search(item.column)
    if named:
        return int(named[1])
    if weeks is None or weeks.numbers is None or item.kind != "numeric":
        return 0
    column = raw[item.column]
    if column.dtype.kind != "f":
        return 0
    known = ~np.isnan(column)
    first = int(weeks.numbers[known].min()) if known.any() else 0
    return first if first > int(weeks.numbers.min()) else 0
