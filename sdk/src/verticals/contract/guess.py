"""Guess the parts of a draft: keys, target, decision, and the declaration of each column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from verticals.contract.hints import (
    ADVERSE,
    BIRTH,
    KEY,
    PERSON,
    PERSONAL,
    WELCOME,
    field_name,
    is_protected,
    label_of,
    target_rank,
    words,
)
from verticals.contract.model import DataContract, Decision, Field, Target
from verticals.contract.profile import Profile
from verticals.table import Array

AGE_BANDS = (25.0, 40.0, 62.0)  # 62: elderly under US Regulation B, 12 CFR 1002.2(o)

_NEARLY = 0.95  # distinct values over rows, from which a column tells rows apart
_FEW_ROWS = 10  # below which uniqueness says nothing
_TAIL = 20.0  # largest over typical size, from which a linear scale wastes its bins
_TRUE = frozenset({"true", "yes", "1", "y", "t"})


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Name the columns that tell rows, persons and times apart; `others` are identifiers too."""

    id: str = ""
    group: str = ""
    time: str = ""
    others: Mapping[str, str]  # column -> why it is left out

    @property
    def taken(self) -> frozenset[str]:
        """Return the columns that are no field."""
        return frozenset({self.id, self.group, self.time} - {""})

    def findings_in(self, contract: DataContract) -> list[str]:
        """Return what a person should know about the choices that stand in a contract."""
        said = (
            (self.id, contract.id, "looks like an identifier: taken as id"),
            (self.group, contract.group, "looks like a repeated identifier: taken as group"),
            (
                self.time,
                contract.time,
                "is the only time: taken as time, so that the split goes by it",
            ),
        )
        return [f"{own!r} {what}" for own, taken, what in said if own and own == taken]


NO_KEYS = Keys(others=MappingProxyType({}))


def guess_keys(columns: Sequence[Profile], rows: int) -> Keys:
    """Guess id, group and time, and name further columns that look like identifiers."""
    unique, repeated = "", ""
    others: dict[str, str] = {}
    named = any(_is_id(column, rows, KEY) for column in columns)
    for column in columns:
        found = set(words(column.column))
        if _is_key(column, rows):
            if not unique and _is_id(column, rows, KEY if named else PERSON):
                unique = column.column
            else:
                others[column.column] = "looks like an identifier"
        elif _repeats(column, found):
            whose = found & PERSON or found <= KEY
            if whose and not repeated and column.present == rows:
                repeated = column.column
            else:
                others[column.column] = "looks like an identifier of something"
    times = [column.column for column in times_of_events(columns) if column.present == rows]
    time = times[0] if len(times) == 1 else ""
    if not repeated:
        repeated = next((item.column for item in columns if _names_persons(item, rows)), "")
    return Keys(id=unique, group=repeated, time=time, others=others)


def times_of_events(columns: Iterable[Profile]) -> list[Profile]:
    """Return the columns of times, but for those of a birth."""
    times = (column for column in columns if column.kind == "time")
    return [column for column in times if not set(words(column.column)) & BIRTH]


def _is_id(column: Profile, rows: int, hints: Set[str]) -> bool:
    """Tell whether a column may be the id that stands beside each score: nobody's name or address.

    Without a word for a key it is a text, since numbers named after persons may be counts.
    """
    found = set(words(column.column))
    able = column.distinct == rows and bool(found & hints) and not found & PERSONAL
    return able and _is_key(column, rows) and (bool(found & KEY) or column.numbers is None)


def _names_persons(column: Profile, rows: int) -> bool:
    """Tell whether a column without a word for a key holds persons whose rows belong together."""
    found = set(words(column.column))
    whole = column.kind == "many" and column.present == rows
    return whole and bool(found) and found <= PERSON and column.distinct < _NEARLY * rows


def _is_key(column: Profile, rows: int) -> bool:
    """Tell whether a column tells rows apart, and is no measurement, picture or prose."""
    found = set(words(column.column))
    if column.kind in ("image", "text", "time", "sequence", "empty", "constant"):
        return False
    if "email" in found or (found & PERSONAL and column.kind == "many"):
        return True
    if rows < _FEW_ROWS or column.distinct_share < _NEARLY:
        return False
    if column.numbers is None or found & KEY:
        return column.numbers is None or column.whole
    # Row numbers: whole, all different, without a gap.
    lower, upper = value_range(column.numbers)
    return column.whole and column.distinct == column.present == upper - lower + 1


def _repeats(column: Profile, found: set[str]) -> bool:
    """Tell whether a column is named like a key, and its values tie rows together."""
    if not found & KEY or not (column.numbers is None or column.whole):
        return False
    person = bool(found & PERSON) and column.kind == "categorical"
    return person or column.kind in ("many", "numeric")


def guess_target(columns: Sequence[Profile]) -> Target | None:
    """Return the target that a column's name suggests; two values are preferred."""
    kinds = {"boolean": 2, "categorical": 1, "numeric": 0}
    ranked = [
        (target_rank(column.column) + 25 * (column.distinct == 2), kinds[column.kind], number)
        for number, column in enumerate(columns)
        if column.kind in kinds and target_rank(column.column) and not is_protected(column.column)
    ]
    if not ranked:
        return None
    number = max(ranked)[2]
    column = columns[number]
    name = field_name(column.column, number + 1, ())
    if column.distinct == 2 and column.kind != "numeric":
        return _binary(name, column)
    if column.kind == "categorical":
        return Target(
            name=name,
            column=column.column,
            kind="categorical",
            values=in_order(column.values),
            drafted=("values",),
        )
    return Target(
        name=name,
        column=column.column,
        kind="numeric",
        bounds=None if column.numbers is None else value_range(column.numbers),
        drafted=() if column.numbers is None else ("bounds",),
    )


def _binary(name: str, column: Profile) -> Target:
    values = column.values  # the second one is rarer
    adverse = bool(set(words(column.column)) & ADVERSE)
    bad = [value for value in values if set(words(value)) & ADVERSE]
    good = [value for value in values if set(words(value)) & WELCOME]
    true = [value for value in values if value.lower() in _TRUE]
    if bad:
        positive, favourable = bad[0], _other(values, bad[0])
    elif good:
        positive, favourable = good[0], good[0]
    else:
        positive = true[0] if true else values[1]
        favourable = _other(values, positive) if adverse else positive
    return Target(
        name=name,
        column=column.column,
        kind="binary",
        positive=positive,
        negative=_other(values, positive),
        favourable=favourable,
    )


def _other(values: Sequence[str], value: str) -> str:
    return values[1] if value == values[0] else values[0]


def guess_decision(target: Target | None) -> Decision | None:
    """Return a decision at one half for a binary target."""
    if target is None or target.kind != "binary":
        return None
    return Decision(target=target.name, cut=0.5)


def declare(column: Profile, name: str, *, ignore: bool) -> Field:
    """Return the proposed declaration of one column; `drafted` names what was read from it."""
    label = label_of(column.column)
    if ignore:
        return ignored(name, column.column)
    kind = "numeric" if _is_age(column) else column.kind
    role = "feature"
    if is_protected(column.column) and kind in ("boolean", "categorical", "numeric"):
        role = "protected"
    given: dict[str, Any] = {}  # read from the data
    bands: tuple[float, ...] = ()
    if kind == "numeric" and column.numbers is not None:
        given["bounds"] = value_range(column.numbers)
        if (scale := _scale(column.numbers)) != "linear":
            given["scale"] = scale
        bands = _age_bands(given["bounds"]) if _is_age(column) else ()
        if role == "protected" and not bands:
            given["bands"] = _middle(column.numbers)
    elif kind == "categorical":
        given["categories"] = in_order(column.values)
    elif kind == "image" and column.shape:
        given["size"] = column.shape
    if column.missing:
        given["missing"] = column.missing
    return Field(
        name=name,
        column=column.column,
        kind=kind,
        role=role,
        label=label,
        drafted=tuple(given),
        **({"bands": bands} | given),
    )


def ignored(name: str, column: str, label: str = "") -> Field:
    """Return the declaration of a column that nobody reads."""
    return Field(
        name=name, column=column, kind="text", role="ignore", label=label or label_of(column)
    )


def protected_groups(field: Field, column: Profile) -> Array:
    """Return (rows,) group codes of a proposed protected field; -1 where missing."""
    if field.bands and column.numbers is not None:
        groups = np.searchsorted(np.asarray(field.bands), column.numbers, side="right")
        return np.where(np.isnan(column.numbers), -1, groups)
    return column.codes


def in_order(values: Iterable[str]) -> tuple[str, ...]:
    """Return numbers by size, then text by letter."""

    def key(value: str) -> tuple[bool, float, str]:
        try:
            return False, float(value), value
        except ValueError:
            return True, 0.0, value

    return tuple(sorted(values, key=key))


def value_range(numbers: Array) -> tuple[float, float]:
    """Return the smallest and the largest number."""
    return float(np.nanmin(numbers)), float(np.nanmax(numbers))


def _scale(numbers: Array) -> str:
    lower, upper = value_range(numbers)
    sizes = np.abs(numbers)
    typical = float(np.median(sizes[sizes > 0]))
    if max(abs(lower), abs(upper)) <= _TAIL * typical:
        return "linear"
    return "log" if lower > 0 else "signed-log"


def _is_age(column: Profile) -> bool:
    return (
        column.numbers is not None
        and column.distinct > 2
        and "age" in words(column.column)
        and is_protected(column.column)
    )


def _age_bands(bounds: tuple[float, float]) -> tuple[float, ...]:
    """Return the usual bands of age that lie inside the range."""
    return tuple(band for band in AGE_BANDS if bounds[0] < band <= bounds[1])


def _middle(numbers: Array) -> tuple[float, ...]:
    """Return one band edge, near the median, that leaves somebody on either side."""
    lower, upper = value_range(numbers)
    middle = float(np.nanmedian(numbers))
    for edge in (float(round(middle)), middle):
        if lower < edge <= upper:
            return (edge,)
    return (upper,)
