"""What a draft says to the person who reviews it: of targets, of counts, and of the header."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from verticals.contract.dump import flow_line
from verticals.contract.guess import declare
from verticals.contract.guess_target import said_of_target, target_kind, thin_target
from verticals.contract.hints import is_protected, target_rank
from verticals.contract.model import DataContract, Field
from verticals.contract.profile import Profile

_SEPARATORS = "|;\t^~"
_VALUE = re.compile(r"[-+0-9.,: ]*[0-9][-+0-9.,: ]*")
_WRITE_TARGET = "declare it under targets"


def said_of_targets(contract: DataContract, columns: Mapping[str, Profile]) -> Iterator[str]:
    """Yield what was taken as target, and whether it has enough rows to learn from."""
    for target in contract.targets:
        column = columns.get(target.column)
        yield said_of_target(target, column)
        if column is None:
            continue
        if thin := thin_target(column.values, column.codes, target.column, target.kind):
            yield thin


def said_without_target(columns: Sequence[Profile], kinds: Collection[str], solution: str) -> str:
    """Say why no column was taken as the target."""
    named = [column for column in columns if target_rank(column.column)]
    named = [column for column in named if not is_protected(column.column)]
    wanted = f"{solution or 'the solution'} takes a {' or '.join(sorted(kinds))} target"
    for column in sorted(named, key=lambda item: -target_rank(item.column)):
        if column.kind == "constant":
            value = column.values[0] if column.values else "one number"
            return (
                f"{column.column!r} is named like a target, and has the same value in every row "
                f"({value!r}): there is nothing to learn; give rows of both outcomes, or "
                f"{_WRITE_TARGET} another column"
            )
        if column.kind == "empty":
            return f"{column.column!r} is named like a target, and has no value: {_WRITE_TARGET}"
        if kinds and column.kind in ("numeric", "categorical", "boolean"):
            return (
                f"{column.column!r} is named like a target, and is {target_kind(column)}: "
                f"{wanted}; {_WRITE_TARGET} a column that is"
            )
    return f"no column is named like a target: {_WRITE_TARGET}"


def said_of_counts(fields: Sequence[Field], counts: Collection[str]) -> Iterator[str]:
    """Say of columns with few whole numbers that they were taken as numbers; all in one line."""
    names = [repr(item.column) for item in fields if item.column in counts and item.is_input]
    if names:
        verb = "holds few whole numbers and is"
        verb = "hold few whole numbers and are" if len(names) > 1 else verb
        yield (
            f"{', '.join(names)} {verb} taken as numeric, so that a higher one than was seen "
            "counts as the highest; where the numbers are codes of kinds, declare kind: "
            "categorical and categories"
        )


def said_of_header(columns: Sequence[Profile]) -> Iterator[str]:
    """Say where the first line is no header, or the columns are parted by another sign."""
    names = [column.column for column in columns]
    if len(names) == 1:
        sign = next((sign for sign in _SEPARATORS if names[0].count(sign) > 0), "")
        if sign:
            yield (
                f"the file has one column, whose name holds {sign!r} {names[0].count(sign)} times: "
                "its cells seem to be parted by it; write them parted by a comma, a semicolon or a "
                "tab"
            )
    valued = [name for name in names if _VALUE.fullmatch(name)]
    if len(valued) > 1 and 2 * len(valued) >= len(names):
        yield (
            f"the first line looks like values, not names ({', '.join(map(repr, valued[:3]))}): "
            "the file seems to have no header; add one, with a name for each column"
        )


def how_to_keep(column: Profile, name: str) -> str:
    """Return the line with which a column that is left out would be read after all."""
    return flow_line(name, declare(column, name, ignore=False))
