"""Answers as category codes: what is omitted, not reached, undeclared, or says nothing.

Codes are (persons, items) int8, as a bound contract has them: −1 is missing, a code beyond the
item's last category is an answer that the contract does not declare. Items stand in the order in
which they were presented, which is what tells the omitted from the not reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verticals.errors import CallError, DataError
from verticals.table import Array

MOST_CATEGORIES = 100  # of an item; a block of answers is held as int8
_PATTERN_ITEMS = 64  # tests with more items have few persons who answer alike


@dataclass(frozen=True, kw_only=True)
class Handling:
    """Say what a missing answer counts as: "missing" (not presented) or "wrong" (category 0).

    `omitted`: the student answered a later item. `not_reached`: none after it. A student without
    any answer is never counted as wrong, and an undeclared answer is always missing.
    """

    omitted: str = "missing"
    not_reached: str = "missing"

    def __post_init__(self) -> None:
        """Refuse other words."""
        for name in ("omitted", "not_reached"):
            value = getattr(self, name)
            if value not in ("missing", "wrong"):
                raise CallError(
                    f"option {name} is {value!r}, expected missing or wrong",
                    hint=f"--option {name}=missing",
                )


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Count answers by item, (items,) each, and persons who gave none at all."""

    answered: Array
    omitted: Array
    not_reached: Array
    undeclared: Array
    persons: int
    without_answers: int


def handle_missing(codes: Array, categories: Array, handling: Handling) -> tuple[Array, Counted]:
    """Return codes with −1 where nothing counts, and counts of what was found.

    `codes` is (persons, items), `categories` (items,) the declared number of categories. The
    input is left as it is.
    """
    undeclared = np.asarray(codes >= categories)
    answered = (codes >= 0) & ~undeclared
    someone = np.asarray(answered.any(axis=1))
    # An undeclared answer shows that the item was reached, like any other.
    reached = np.asarray(answered | undeclared)
    last = reached.shape[1] - np.argmax(reached[:, ::-1], axis=1)
    last[~reached.any(axis=1)] = 0
    before = np.arange(codes.shape[1])[None, :] < last[:, None]
    blank = np.asarray(codes < 0)
    omitted, trailing = blank & before, blank & ~before & someone[:, None]
    found = np.where(answered, codes, -1).astype(np.int8)
    if handling.omitted == "wrong":
        found[omitted & someone[:, None]] = 0
    if handling.not_reached == "wrong":
        found[trailing] = 0
    counts = Counted(
        answered=answered.sum(axis=0),
        omitted=omitted.sum(axis=0),
        not_reached=(blank & ~before).sum(axis=0),
        undeclared=undeclared.sum(axis=0),
        persons=len(codes),
        without_answers=int((~someone).sum()),
    )
    return found, counts


@dataclass(frozen=True, kw_only=True)
class Responses:
    """Hold what a model is fitted to: distinct answer patterns and how many persons have each.

    `codes` is (patterns, items) int8, −1 missing; `weights` (patterns,) float64; `categories`
    (items,) counts an item's categories after merging, and `merged` maps declared ones to them.
    """

    codes: Array
    weights: Array
    categories: Array
    names: tuple[str, ...]
    merged: tuple[tuple[int, ...], ...]
    dropped: tuple[tuple[str, str], ...] = ()  # item, why
    notes: tuple[str, ...] = ()

    @property
    def persons(self) -> float:
        """Return the number of persons."""
        return float(self.weights.sum())


def to_responses(codes: Array, names: Sequence[str], categories: Array | int) -> Responses:
    """Return what can be learnt from: no degenerate item, no unused category, no empty person.

    An item that nobody answered, or that everybody answered alike, says nothing: it is dropped,
    with a note. A category that nobody chose is merged with the next lower one that somebody
    chose (the lowest used one takes those below it), with a note. Persons without an answer are
    left out. `codes` is (persons, items) with −1 for missing. Raises `DataError` where no item is
    left, or the codes do not fit the names.
    """
    codes = np.asarray(codes, dtype=np.int8)
    declared = np.broadcast_to(np.asarray(categories, dtype=np.int64), (codes.shape[1],))
    if len(names) != codes.shape[1]:
        raise DataError(f"{codes.shape[1]} items have {len(names)} names, expected one each")
    if codes.size and int(declared.max()) > MOST_CATEGORIES:
        raise DataError(
            f"an item has {int(declared.max())} categories, expected at most {MOST_CATEGORIES}"
        )
    kept, merged, counts, dropped, notes = [], [], [], [], []
    for place, name in enumerate(names):
        used = np.bincount(codes[:, place].astype(np.int64) + 1, minlength=declared[place] + 1)[1:]
        reason = _degenerate(used)
        if reason:
            dropped.append((name, reason))
            continue
        places = np.cumsum(used > 0) - 1
        mapping = tuple(int(max(code, 0)) for code in places)
        if (used == 0).any():
            none = ", ".join(str(code) for code in np.flatnonzero(used == 0))
            notes.append(f"item {name!r}: nobody is in category {none}, merged with a neighbour")
        kept.append(place)
        merged.append(mapping)
        counts.append(int(places[-1]) + 1)
    if not kept:
        why = f"{dropped[0][0]!r} {dropped[0][1]}" if dropped else "there is none"
        raise DataError(
            f"0 of {len(names)} items can be learnt from ({why}), expected items that some "
            "students answer right and others wrong",
            hint="verticals contract check CONTRACT --data DATA",
        )
    own = collapse_categories(codes[:, kept], merged)
    patterns, weights = _patterns(own[(own >= 0).any(axis=1)])
    return Responses(
        codes=patterns,
        weights=weights,
        categories=np.array(counts, dtype=np.int64),
        names=tuple(names[place] for place in kept),
        merged=tuple(merged),
        dropped=tuple(dropped),
        notes=(*(f"item {name!r} is dropped: {why}" for name, why in dropped), *notes),
    )


def collapse_categories(codes: Array, merged: Sequence[Sequence[int]]) -> Array:
    """Return (persons, items) int8 codes of the model's categories; −1 stays missing."""
    width = max((len(codes_of) for codes_of in merged), default=0) + 1
    table = np.full((len(merged), width), -1, dtype=np.int8)
    for place, mapping in enumerate(merged):
        table[place, 1 : len(mapping) + 1] = mapping
    if all(tuple(mapping) == tuple(range(len(mapping))) for mapping in merged):
        return np.asarray(codes, dtype=np.int8)
    columns = np.arange(codes.shape[1])[None, :]
    return np.asarray(table[columns, np.asarray(codes, dtype=np.int64) + 1])


def _degenerate(used: Array) -> str:
    if used.sum() == 0:
        return "nobody answered it"
    if (used > 0).sum() > 1:
        return ""
    code = int(np.flatnonzero(used)[0])
    if len(used) == 2:
        return "all answers are right" if code else "all answers are wrong"
    return f"all answers are in category {code}"


def _patterns(codes: Array) -> tuple[Array, Array]:
    """Return distinct rows and how often each is there."""
    if codes.shape[1] > _PATTERN_ITEMS or len(codes) == 0:
        return codes, np.ones(len(codes))
    rows = np.ascontiguousarray(codes).view(np.dtype((np.void, codes.shape[1])))[:, 0]
    _, first, counts = np.unique(rows, return_index=True, return_counts=True)
    order = np.argsort(first)
    return codes[first[order]], counts[order].astype(np.float64)
