"""Persons counted by item, matching score, group and item score: all that DIF statistics need.

Persons of both groups are matched on a sum score: that of the matching items, and always of the
studied item too, without which items with no DIF look as if they had some (Holland & Thayer 1988;
Zwick, Journal of Educational Statistics 15, 1990). Its rest score is the sum less the item's own
score, which the counts hold too. What was not answered adds nothing to a sum, and is not counted
for its own item (the practice of NAEP and of the R package difR).

Strata are single scores up to `MAX_STRATA` of them, else bands of equal width. Thin strata are
kept: one with one group only drops out of every statistic here by its formula.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verticals.errors import DataError
from verticals.table import Array, Table

MAX_STRATA = 101  # a test of 100 points keeps each score

REFERENCE, FOCAL = 0, 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """Hold counts of persons (items, strata, 2, scores); on the third axis 0 is the reference."""

    persons: Array
    maximum: Array  # (items,) highest score of each item

    @property
    def width(self) -> int:
        """Return the width of a stratum of the matching score, in points."""
        return stratum_width(self.maximum)

    @property
    def answered(self) -> Array:
        """Return (items, 2): persons of each group with an answer to the item."""
        return np.asarray(self.persons.sum(axis=(1, 3)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Responses:
    """Hold checked item scores: whole numbers, and which were answered; both (persons, items)."""

    score: Array  # int32, 0 where not answered
    answered: Array
    maximum: Array  # (items,)

    @property
    def width(self) -> int:
        """Return the width of a stratum of the matching score, in points."""
        return stratum_width(self.maximum)

    def of(self, rows: Array) -> Responses:
        """Return the responses of some persons, (persons,) mask."""
        return Responses(
            score=np.asfortranarray(self.score[rows]),
            answered=np.asfortranarray(self.answered[rows]),
            maximum=self.maximum,
        )


def stratum_width(maximum: Array) -> int:
    """Return how many points of the matching score share a stratum."""
    return -(-(int(maximum.sum()) + 1) // MAX_STRATA)


def read_responses(scores: Array, maximum: Array) -> Responses:
    """Check item scores (persons, items), NaN where not answered, and return them.

    Raises `DataError` for a score that is no whole number from 0 to the item's highest one.
    """
    values = np.asarray(scores, dtype=float)
    highest = np.asarray(maximum, dtype=np.int64)
    if values.ndim != 2 or highest.shape != values.shape[1:]:
        raise DataError(
            f"item scores have shape {values.shape} and {highest.shape} highest scores, "
            "expected (persons, items) and (items,)"
        )
    if (highest < 1).any():
        raise DataError(f"item {int(np.argmax(highest < 1))} has a highest score below 1")
    answered = ~np.isnan(values)
    whole = np.where(answered, values, 0.0)
    wrong = (whole != np.rint(whole)) | (whole < 0) | (whole > highest)
    if wrong.any():
        row, item = np.argwhere(wrong)[0]
        raise DataError(
            f"the score of person {row} on item {item} is not one of 0 to {highest[item]}",
            hint="score responses by the contract's levels before measuring DIF",
        )
    return Responses(
        score=np.asfortranarray(whole.astype(np.int32)),
        answered=np.asfortranarray(answered),
        maximum=highest,
    )


def count_cells(responses: Responses, focal: Array, matching: Array) -> Cells:
    """Count persons by item, stratum, group and score.

    `focal` (persons,) is True in the focal group and False in the reference group; `matching`
    (items,) is True for the items whose sum matches persons. The studied item is always added.
    """
    score, maximum, width = responses.score, responses.maximum, responses.width
    items, scores = maximum.size, int(maximum.max(initial=1)) + 1
    total = score[:, matching].sum(axis=1, dtype=np.int64)
    strata = int(maximum.sum()) // width + 1
    group = np.asarray(focal, dtype=np.int64)
    found = np.zeros((items, strata * 2 * scores), dtype=np.int64)
    for item in range(items):
        here, own = responses.answered[:, item], score[:, item]
        match = total if matching[item] else total + own
        code = ((match // width) * 2 + group) * scores + own
        found[item] = np.bincount(code[here], minlength=found.shape[1])
    return Cells(persons=found.reshape(items, strata, 2, scores), maximum=maximum)


def to_columns(cells: Cells) -> dict[str, Array]:
    """Return the cells that hold persons as long columns: item, stratum, focal, score, persons."""
    item, stratum, group, score = np.nonzero(cells.persons)
    return {
        "item": item,
        "stratum": stratum,
        "focal": group == FOCAL,
        "score": score,
        "persons": cells.persons[item, stratum, group, score],
    }


def from_table(table: Table, maximum: Array) -> Cells:
    """Return the cells that `to_columns` wrote; `table` holds one comparison, one matching.

    Raises `DataError` for an item, stratum or score that the items do not have, and for a count
    below 0.
    """
    highest = np.asarray(maximum, dtype=np.int64)
    scores = int(highest.max(initial=1)) + 1
    item, stratum, score, persons = (
        np.asarray(table[name], dtype=np.int64) for name in ("item", "stratum", "score", "persons")
    )
    limits = ((item, highest.size - 1), (stratum, int(highest.sum())), (score, scores - 1))
    beyond = any(((column < 0) | (column > most)).any() for column, most in limits)
    if beyond or (persons < 0).any() or (score > highest[item]).any():
        raise DataError("items.dif_counts holds a cell that no item has")
    strata = int(stratum.max(initial=0)) + 1
    group = np.asarray(table["focal"], dtype=bool).astype(np.int64)
    code = ((item * strata + stratum) * 2 + group) * scores + score
    found = np.zeros(highest.size * strata * 2 * scores, dtype=np.int64)
    np.add.at(found, code, persons)
    return Cells(persons=found.reshape(highest.size, strata, 2, scores), maximum=highest)
