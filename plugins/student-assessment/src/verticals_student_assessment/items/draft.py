"""Refine the draft of a contract for item-response: which columns are items, and their levels.

Items are columns of small whole numbers that share a name but for a number at its end ("Q1", "Q2",
…), or, where there are none, all columns of 0 and 1 that nothing else claims.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from verticals.contract import DataContract, Field, Refined
from verticals.contract.draft import GUESS
from verticals.contract.guess import ignored
from verticals.contract.hints import field_name, is_protected, label_of, word_set, words
from verticals.contract.profile import Profile
from verticals.table import Table

_NUMBERED = re.compile(r"(.*?)[0-9]+")
_HIGHEST = 10  # a level above it is no score of one item
_NO_ANSWER = frozenset({-9, -8, -7, -1, 7, 8, 9, 88, 98, 99})  # codes of it, behind a gap
_ITEM = word_set("i item q question task")
_LETTER = re.compile("[A-Ja-j]")
_LANGUAGE = word_set("idioma lang langue language lingua sprache taal")
_FEWEST = 3  # items of one test
_PATTERN_SIGNS = frozenset("*?[")


def refine(draft: DataContract, raw: Table, columns: Mapping[str, Profile]) -> Refined:
    """Return the draft with its items declared; without a target, which this solution has not."""
    given = {item.column for item in draft.fields} | {item.column for item in draft.targets}
    draft = _with_languages(draft)
    scored = [item for item in columns.values() if item.column in given and _is_scored(item)]
    blocks = _blocks(scored)
    if not blocks:
        wanted = 'items: {columns: "Q*", role: item, kind: ordinal, levels: [0, 1]}'
        said = f"no columns look like items: declare them under fields, such as {wanted}"
        letters = [item.column for item in columns.values() if _is_choice(item)]
        if len(letters) >= _FEWEST:
            said = (
                f"{len(letters)} columns ({letters[0]} … {letters[-1]}) hold the answers that were "
                "chosen, not whether they are right: score them by the key of the test, 1 where "
                f"the answer is the key's and else 0, then declare {wanted}"
            )
        return Refined(contract=_without_target(draft, ()), findings=(said,))
    items = [_item(stem, members, tuple(raw)) for stem, members in blocks.items()]
    used = {member.column for members in blocks.values() for member in members}
    others = [_set_aside(item) for item in draft.fields if item.column not in used]
    names = [item.name for item in others]
    named = []
    for item in items:
        name = field_name(item.name, len(names) + 1, names)
        names.append(name)
        named.append(dataclasses.replace(item, name=name))
    contract = _without_target(draft, (*named, *others))
    comments: dict[tuple[str, ...], str] = {("fields", item.name, "role"): GUESS for item in named}
    comments |= {("fields", item.name, "missing"): GUESS for item in named if item.missing}
    count = len(used)
    unread = [
        repr(item.column) for item in draft.fields if item.is_input and item.column not in used
    ]
    dropped = (
        f"{', '.join(unread)}: no item and no group, so not read; a group that is to be compared "
        "is declared with role: protected"
    )
    numbered = any(blocks) or all(map(str.isdecimal, used))
    why = "by their numbered names" if numbered else "only because they hold 0 and 1"
    return Refined(
        contract=contract,
        comments=comments,
        findings=(
            f"{count} columns are taken as items, {why}, in the order of the file: "
            f"{_listed(named)}",
            *((dropped,) if unread else ()),
            "cut scores of ability are declared by hand: settings: {cuts: {proficient: 0.6}}",
        ),
    )


def _with_languages(draft: DataContract) -> DataContract:
    """Return the draft with the language of a test as a group that is compared."""
    fields = tuple(
        dataclasses.replace(item, role="protected")
        if item.role == "feature"
        and item.kind == "categorical"
        and _LANGUAGE & set(words(item.column))
        else item
        for item in draft.fields
    )
    return dataclasses.replace(draft, fields=fields)


def _is_choice(column: Profile) -> bool:
    """Tell whether a column holds a few single letters: the answers of a multiple choice."""
    values = column.values
    return 2 <= len(values) <= _HIGHEST and all(_LETTER.fullmatch(value) for value in values)


def _without_target(draft: DataContract, fields: tuple[Field, ...]) -> DataContract:
    """Return a contract without target and decision: nothing is predicted here."""
    kept = fields or draft.fields
    return dataclasses.replace(draft, targets=(), decision=None, time="", fields=kept)


def _is_scored(column: Profile) -> bool:
    """Tell whether a column may hold the scores of one item: a few small whole numbers."""
    if column.numbers is None or not column.whole or is_protected(column.column):
        return False
    if column.kind not in ("boolean", "categorical", "numeric", "constant"):
        return False
    levels, _ = _levels([column])
    return 2 <= len(levels) <= _HIGHEST + 1


def _levels(columns: Sequence[Profile]) -> tuple[list[int], list[int]]:
    """Return the levels of some items, lowest first and without gaps, and codes of no answer."""
    seen = sorted({int(float(value)) for column in columns for value in column.values})
    codes = [value for value in seen if value < 0]
    scored: list[int] = []
    for value in (value for value in seen if value >= 0):
        # A scale may go on to 7, 8 and 9; behind a gap they stand for no answer.
        gap = bool(scored) and value > scored[-1] + 1
        (codes if gap and value in _NO_ANSWER else scored).append(value)
    if not scored or scored[0] > 1 or scored[-1] > _HIGHEST or set(codes) - _NO_ANSWER:
        return [], []
    return list(range(scored[0], scored[-1] + 1)), codes


def _blocks(columns: Sequence[Profile]) -> Mapping[str, list[Profile]]:
    """Return the items by the part of their names that they share, "" where they share none."""
    found: dict[str, list[Profile]] = {}
    for column in columns:
        numbered = _NUMBERED.fullmatch(column.column)
        if numbered:
            found.setdefault(numbered[1], []).append(column)
    blocks = {
        stem: members for stem, members in found.items() if len(members) > 1 and _levels(members)[0]
    }
    named = {stem: members for stem, members in blocks.items() if set(words(stem)) & _ITEM}
    blocks = named or blocks
    if sum(map(len, blocks.values())) >= _FEWEST:
        return blocks
    right = [column for column in columns if set(column.values) == {"0", "1"}]
    return {"": right} if len(right) >= _FEWEST else {}


def _item(stem: str, members: Sequence[Profile], names: Sequence[str]) -> Field:
    levels, codes = _levels(members)
    pattern = f"{stem}*"
    exact = {member.column for member in members}
    plain = stem and not _PATTERN_SIGNS & set(stem)
    fits = plain and {name for name in names if fnmatchcase(name, pattern)} == exact
    return Field(
        name=stem or "items",
        kind="ordinal",
        columns=(pattern,) if fits else tuple(member.column for member in members),
        role="item",
        levels=tuple(map(str, levels)),
        missing=tuple(map(str, codes)),
        label=label_of(stem) or "Items",
        drafted=("levels", "missing") if codes else ("levels",),
    )


def _set_aside(item: Field) -> Field:
    """Return a field that is no item: protected ones are audited, others are not read."""
    if item.role in ("protected", "stratum", "ignore"):
        return item
    return ignored(item.name, item.column, item.label)


def _listed(items: Sequence[Field]) -> str:
    return ", ".join(
        item.columns[0] if len(item.columns) == 1 else f"{item.columns[0]} … {item.columns[-1]}"
        for item in items
    )
