"""The evidence of differential item functioning: counts, from which an auditor computes the rest.

Each focal group is compared with the reference group: the first declared group, or the largest
one where that has fewer than 10 persons. A purified matching score needs the answers of persons,
which an audit does not have: so the counts are recorded twice, by the score of all items and by
the purified one, and what the producer's purification did is recorded beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from verticals.table import Array, Table
from verticals_student_assessment.items.dif import plots
from verticals_student_assessment.items.dif.cells import (
    Cells,
    Responses,
    count_cells,
    from_table,
    read_responses,
    to_columns,
)
from verticals_student_assessment.items.dif.mantel import MIN_PERSONS
from verticals_student_assessment.items.dif.purify import Purified, purify
from verticals_student_assessment.items.small_counts import (
    least_persons,
    told_groups,
    told_persons,
)

COMPARISONS, ITEMS, COUNTS = "items.dif_comparisons", "items.dif_items", "items.dif_counts"

_COUNT_COLUMNS = ("comparison", "purified", "item", "stratum", "focal", "score", "persons")
_FLAGS = ("purified", "focal")
_TEXTS = ("attribute", "role", "label", "reference", "focal", "reference_rule", "purification")


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupField:
    """Name an audited field and say in which of its groups each person is."""

    name: str
    role: str  # protected or stratum
    label: str
    groups: tuple[str, ...]  # declared order: the first is the reference group
    index: Array  # (persons,) place in `groups`, -1 where it is not recorded


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Describe one focal group beside its reference group, and how persons were matched.

    Where the exact numbers of an attribute's groups would tell, by subtraction, that of a group
    below 10, or of those in no group, one of them is told as 10: "at least 10".
    """

    attribute: str
    role: str
    label: str
    reference: str
    focal: str
    reference_rule: str
    reference_persons: int
    persons: int  # of the focal group
    matching_items: int  # left by purification
    steps: int
    purification: str  # how it ended; "" where a group has fewer than 10 persons
    points: int  # of the matching score in one stratum

    @property
    def measured(self) -> bool:
        """Return whether both groups have the persons that a measurement needs."""
        return min(self.reference_persons, self.persons) >= MIN_PERSONS


def dif_tables(
    scores: Array, items: Sequence[str], maximum: Sequence[int], fields: Sequence[GroupField]
) -> dict[str, Table]:
    """Return the evidence tables of DIF, from all persons.

    `scores` (persons, items) holds item scores from 0 to `maximum` (items,), NaN where an item was
    not answered. The tables are there without any field too, then without rows. `items.dif_counts`
    holds small cells: it stays in the house, and no report shows it.

    Raises `DataError` for a score that its item does not have.
    """
    responses = read_responses(scores, np.asarray(maximum))
    comparisons: list[Comparison] = []
    counts: list[dict[str, Array]] = []
    drawn: list[plots.Drawn] = []
    for field in fields:
        for comparison, cells, purified in _comparisons(responses, field):
            if cells is not None and purified is not None:
                number = len(comparisons)
                counts.append(_stamped(cells, number, purified=False))
                counts.append(_stamped(purified.cells, number, purified=True))
                drawn.append(
                    plots.Drawn(
                        label=comparison.label,
                        reference=comparison.reference,
                        focal=comparison.focal,
                        purified=purified,
                    )
                )
            comparisons.append(comparison)
    return {
        COMPARISONS: _comparison_table(comparisons),
        ITEMS: Table(
            {
                "item": np.array(list(items), dtype=object),
                "maximum": responses.maximum,
                # As a count it would tell the few who did not answer.
                "persons": told_persons(responses.answered.sum(axis=0), len(responses.answered)),
            }
        ),
        COUNTS: _joined(counts),
        "items.plot_dif": plots.effects(drawn),
        "items.plot_dif_curves": plots.curves(drawn, tuple(items)),
    }


def read_comparisons(table: Table) -> tuple[Comparison, ...]:
    """Return the comparisons of `items.dif_comparisons`, in order."""

    def text(name: str, place: int) -> str:
        return str(table[name][place])

    def count(name: str, place: int) -> int:
        return int(table[name][place])

    return tuple(
        Comparison(
            attribute=text("attribute", place),
            role=text("role", place),
            label=text("label", place),
            reference=text("reference", place),
            focal=text("focal", place),
            reference_rule=text("reference_rule", place),
            reference_persons=count("reference_persons", place),
            persons=count("persons", place),
            matching_items=count("matching_items", place),
            steps=count("steps", place),
            purification=text("purification", place),
            points=count("points", place),
        )
        for place in range(table.rows)
    )


def read_cells(counts: Table, number: int, maximum: Array, *, purified: bool) -> Cells:
    """Return the counts of one comparison from `items.dif_counts`."""
    rows = (counts["comparison"] == number) & (counts["purified"] == purified)
    return from_table(counts.take(rows), maximum)


def _comparisons(
    responses: Responses, field: GroupField
) -> Iterator[tuple[Comparison, Cells | None, Purified | None]]:
    index = np.asarray(field.index)
    sizes = [int((index == place).sum()) for place in range(len(field.groups))]
    if len(sizes) < 2:
        return
    # Exact numbers of all other groups would tell, by subtraction, that of a group below 10.
    told = [
        least_persons(size, exact=exact)
        for size, exact in zip(sizes, told_groups(sizes, rest=index.size - sum(sizes)), strict=True)
    ]
    reference, rule = 0, "first declared"
    if sizes[0] < MIN_PERSONS:
        reference, rule = int(np.argmax(sizes)), "largest: the first has fewer than 10 persons"
    for focal in range(len(sizes)):
        if focal == reference:
            continue
        cells, purified = None, None
        if min(sizes[reference], sizes[focal]) >= MIN_PERSONS:
            rows = (index == reference) | (index == focal)
            both, member = responses.of(rows), index[rows] == focal
            cells = count_cells(both, member, np.ones(responses.maximum.size, dtype=bool))
            purified = purify(both, member)
        yield (
            Comparison(
                attribute=field.name,
                role=field.role,
                label=field.label,
                reference=field.groups[reference],
                focal=field.groups[focal],
                reference_rule=rule,
                reference_persons=told[reference],
                persons=told[focal],
                matching_items=int(purified.matching.sum()) if purified else 0,
                steps=purified.steps if purified else 0,
                purification=purified.outcome if purified else "",
                points=responses.width,
            ),
            cells,
            purified,
        )


def _stamped(cells: Cells, number: int, *, purified: bool) -> dict[str, Array]:
    found = to_columns(cells)
    rows = found["item"].size
    return {
        "comparison": np.full(rows, number, dtype=np.int64),
        "purified": np.full(rows, purified, dtype=bool),
        **found,
    }


def _joined(parts: Sequence[dict[str, Array]]) -> Table:
    return Table(
        {
            name: np.concatenate(
                [np.empty(0, dtype=bool if name in _FLAGS else np.int64)]
                + [part[name] for part in parts]
            )
            for name in _COUNT_COLUMNS
        }
    )


def _comparison_table(comparisons: Sequence[Comparison]) -> Table:
    return Table(
        {
            name: np.array(
                [getattr(item, name) for item in comparisons],
                dtype=object if name in _TEXTS else np.int64,
            )
            for name in Comparison.__dataclass_fields__
        }
    )
