"""Guess the target of a draft from the names and values of columns, and say how it was guessed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from verticals.contract.guess import in_order, value_range
from verticals.contract.hints import ADVERSE, WELCOME, field_name, is_protected, target_rank, words
from verticals.contract.model import Decision, Target
from verticals.contract.profile import Profile
from verticals.table import Array

#: Values of which one says yes to what the column's name asks, and the other no.
_OPPOSITES = (("true", "false"), ("yes", "no"), ("1", "0"), ("y", "n"), ("t", "f"), ("1", "-1"))
_FEW_OF_ONE = 30  # rows of one value, below which neither training nor audit says much
_FEW_ROWS = 200
_KINDS = ("boolean", "categorical", "numeric")


def guess_target(columns: Sequence[Profile], kinds: Collection[str] = ()) -> Target | None:
    """Return the target that a column's name suggests; two values are preferred.

    With `kinds` (of targets) only a target of one of these is proposed.
    """
    able = {"boolean": 2, "categorical": 1, "numeric": 0}
    ranked = [
        (target_rank(column.column) + 25 * (column.distinct == 2), able[column.kind], number)
        for number, column in enumerate(columns)
        if column.kind in able
        and target_rank(column.column)
        and not is_protected(column.column)
        and (not kinds or target_kind(column) in kinds)
    ]
    if not ranked:
        return None
    number = max(ranked)[2]
    column = columns[number]
    name = field_name(column.column, number + 1, ())
    kind = target_kind(column)
    if kind == "binary":
        return _binary(name, column)
    if kind == "categorical":
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


def target_kind(column: Profile) -> str:
    """Return the kind of target that a column's values allow."""
    if column.distinct == 2 and column.kind != "numeric":
        return "binary"
    return "categorical" if column.kind == "categorical" else "numeric"


def _binary(name: str, column: Profile) -> Target:
    """Return a binary target; where only its rarity tells the positive value, that is `drafted`."""
    values = column.values  # the second one is rarer
    adverse = bool(set(words(column.column)) & ADVERSE)
    bad = [value for value in values if set(words(value)) & ADVERSE]
    good = [value for value in values if set(words(value)) & WELCOME]
    true = _true(values)
    if bad:
        positive, favourable = bad[0], _other(values, bad[0])
    elif good:
        positive, favourable = good[0], good[0]
    else:
        positive = true or values[1]
        favourable = _other(values, positive) if adverse else positive
    return Target(
        name=name,
        column=column.column,
        kind="binary",
        positive=positive,
        negative=_other(values, positive),
        favourable=favourable,
        drafted=() if bad or good or true else ("positive",),
    )


def _true(values: Sequence[str]) -> str:
    """Return the value that says yes where the other one is its opposite, else nothing.

    Of 1 and 2 neither does: in many files 2 is the rarer and the worse.
    """
    written = {value.lower(): value for value in values}
    return next((written[yes] for yes, no in _OPPOSITES if set(written) == {yes, no}), "")


def _other(values: Sequence[str], value: str) -> str:
    return values[1] if value == values[0] else values[0]


def guess_decision(target: Target | None) -> Decision | None:
    """Return a decision at one half for a binary target."""
    if target is None or target.kind != "binary":
        return None
    return Decision(target=target.name, cut=0.5)


def said_of_target(target: Target, column: Profile | None) -> str:
    """Say which column a target is, and for a binary one how many rows are positive."""
    named = ", by its name" if target_rank(target.column) else ""
    what = f"{target.column!r} is taken as the target{named}"
    if target.kind != "binary":
        return f"{what}: {target.kind}"
    share = ""
    if column is not None and target.positive in column.values and column.present:
        count = int(np.count_nonzero(column.codes == column.values.index(target.positive)))
        share = f" ({count / column.present:.1%} of {column.present:,} rows)"
    said = f"{what}: {target.positive!r} is positive{share}, {target.favourable!r} favourable"
    if "positive" in target.drafted:
        said += (
            f"; nothing but its rarity says that {target.positive!r} is the positive value: if it "
            "is the other one, exchange positive and negative, and set favourable"
        )
    return said


def thin_target(values: Sequence[str], codes: Array, column: str, kind: str) -> str:
    """Say that a target has too few rows in all, or of one value, to learn from; or nothing.

    `codes` are (rows,) places among `values`, less than 0 where there is no label. Of a numeric
    or ordinal target only the rows count.
    """
    known = codes[codes >= 0].astype(np.intp)
    if len(known) < _FEW_ROWS:
        return (
            f"{len(known)} rows have a value of the target {column!r}: with fewer than "
            f"{_FEW_ROWS} a part of them is too small to learn from, and to audit"
        )
    if kind not in ("binary", "categorical") or not values:
        return ""
    counts = np.bincount(known, minlength=len(values))
    least = int(counts.argmin())
    if counts[least] >= _FEW_OF_ONE:
        return ""
    return (
        f"{int(counts[least]):,} of {len(known):,} rows have the value {values[least]!r} of the "
        f"target {column!r}: with fewer than {_FEW_OF_ONE} little can be learnt, and less audited"
    )
