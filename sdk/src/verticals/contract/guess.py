"""Guess the parts of a draft: keys, and the declaration of each column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from verticals.contract.hints import (
    BIRTH,
    CODE,
    KEY,
    PERSON,
    PERSONAL,
    is_protected,
    label_of,
    word_set,
    words,
)
from verticals.contract.model import DataContract, Field
from verticals.contract.profile import Profile
from verticals.table import Array

AGE_BANDS = (25.0, 40.0, 62.0)  # 62: elderly under US Regulation B, 12 CFR 1002.2(o)

_NEARLY = 0.95  # distinct values over rows, from which a column tells rows apart
_FEWEST_TIED = 10  # values that are expected to mix the classes, from which chance is no reason
_FEW_ROWS = 10  # below which uniqueness says nothing
_YEAR_2000, _YEAR_2040 = 946_684_800.0, 2_208_988_800.0  # seconds since 1970, UTC
_NO_TIME = word_set("account amount balance card income mobile phone price salary telephone value")
_TAIL = 20.0  # largest over typical size, from which a linear scale wastes its bins


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


def epoch_unit(column: Profile) -> str:
    """Return "seconds" or "milliseconds" where whole numbers are times since 1970, else nothing.

    All lie between the years 2000 and 2040, and the name is none of a key or of money.
    """
    if column.kind != "numeric" or column.numbers is None or not column.whole:
        return ""
    found = set(words(column.column))
    if found & KEY or found & _NO_TIME:
        return ""
    lower, upper = value_range(column.numbers)
    for unit, size in (("seconds", 1.0), ("milliseconds", 1000.0)):
        if _YEAR_2000 * size <= lower and upper < _YEAR_2040 * size:
            return unit
    return ""


def _is_id(column: Profile, rows: int, hints: Set[str]) -> bool:
    """Tell whether a column may be the id that stands beside each score: nobody's name or address.

    Without a word for a key it is a text, or a number named after a person and nothing else.
    """
    found = set(words(column.column))
    able = column.distinct == rows and bool(found & hints) and not found & PERSONAL
    known = bool(found & KEY) or column.numbers is None or found <= PERSON
    return able and _is_key(column, rows) and known


def _names_persons(column: Profile, rows: int) -> bool:
    """Tell whether a column without a word for a key holds persons whose rows belong together."""
    found = set(words(column.column))
    whole = column.kind == "many" and column.present == rows and column.notation is None
    return whole and bool(found) and found <= PERSON and column.distinct < _NEARLY * rows


def ties_persons(column: Profile, truth: Array) -> bool:
    """Tell whether each value of a column ties several rows together, all of one true class.

    That is what an id of persons looks like, and what chance hardly does: of the values that have
    several rows, ten or more would be expected to mix the classes. `truth` is (rows,) class codes
    from 0, less than 0 where there is none.
    """
    keyed = column.kind == "many" or (column.kind == "numeric" and column.whole)
    known = (truth >= 0) & (column.codes >= 0)
    if not keyed or column.distinct < _FEWEST_TIED or 2 * column.distinct > known.sum():
        return False
    sizes = np.bincount(column.codes[known], minlength=column.distinct)
    shares = np.bincount(truth[known].astype(np.intp)) / known.sum()
    expected = float(np.sum(1.0 - np.sum(shares[:, None] ** sizes[None, :], axis=0)[sizes > 0]))
    pairs = column.codes[known].astype(np.int64) * len(shares) + truth[known].astype(np.int64)
    return expected >= _FEWEST_TIED and len(np.unique(pairs)) == int(np.count_nonzero(sizes))


def _is_key(column: Profile, rows: int) -> bool:
    """Tell whether a column tells rows apart, and is no measurement, picture or prose."""
    found = set(words(column.column))
    if column.kind in ("image", "text", "time", "sequence", "empty", "constant"):
        return False
    if "email" in found or (found & PERSONAL and column.kind == "many"):
        return True
    if rows < _FEW_ROWS or column.distinct_share < _NEARLY:
        return False
    if epoch_unit(column):
        return False
    if column.numbers is None or found & KEY:
        return column.notation is None and (column.numbers is None or column.whole)
    if found and found <= PERSON:
        return column.whole and column.distinct == column.present
    # Row numbers: whole, all different, without a gap.
    lower, upper = value_range(column.numbers)
    return column.whole and column.distinct == column.present == upper - lower + 1


def _repeats(column: Profile, found: set[str]) -> bool:
    """Tell whether a column is named like a key, and its values tie rows together."""
    if not found & KEY or not (column.numbers is None or column.whole):
        return False
    person = bool(found & PERSON) and column.kind == "categorical"
    return person or column.kind in ("many", "numeric")


def declare(column: Profile, name: str, *, ignore: bool) -> Field:
    """Return the proposed declaration of one column; `drafted` names what was read from it."""
    label = label_of(column.column)
    if ignore:
        return ignored(name, column.column)
    kind = "numeric" if _is_age(column) or is_count(column) else column.kind
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


def is_count(column: Profile) -> bool:
    """Tell whether a column of few whole numbers counts something, rather than names it.

    It begins with 0, 1, 2 or with 1, 2, 3, and its name is none of a code. What is worse than all
    that was seen then counts as the worst; of a category it would be unknown, and harmless.
    """
    if column.kind != "categorical" or column.numbers is None or is_protected(column.column):
        return False
    if column.distinct < 3 or not column.whole or set(words(column.column)) & CODE:
        return False
    seen = sorted(map(float, column.values))
    return seen[0] in (0, 1) and seen[2] == seen[0] + 2


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
