"""Keep small groups from being shown by themselves: they are put together with others.

A pooled row rests on at least `min_cell` persons, and what a total less the groups that are shown
leaves over is that row, so that no subtraction recovers a smaller one.

Where one group of enough persons was needed to hide smaller ones, or a few persons whose group is
not recorded, the row bears its name with theirs, and is compared like any other: otherwise a blank
in one line of the data would take a large group out of every comparison.

The four measures of a confusion (true and false positive rate, precision, accuracy) pool the same
groups: the persons of one follow from those of the other three.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from verticals.evidence import AttributeInfo, Evidence
from verticals.table import Array, Table

POOLED = "small groups together"
WITH_SMALLER = " with smaller groups"
OR_UNRECORDED = " or not recorded"
NOT_RECORDED = "not recorded"


def pool(sizes: Mapping[str, Sequence[int]], min_cell: int) -> tuple[str, ...]:
    """Return the groups to put together, smallest first: none, or so many that it is enough.

    `sizes` are the persons that each of some measures rests on in a group. Groups in which one of
    them is below `min_cell`, but not 0, are joined by the next smallest until each measure has
    `min_cell` persons together, in two groups at least: where only one group has persons, all
    groups are put together, so that none is told by the others being empty.
    """
    measures = range(len(next(iter(sizes.values()), ())))
    rank = {name: min((n for n in own if n > 0), default=0) for name, own in sizes.items()}
    rising = sorted((size, name) for name, size in rank.items() if size > 0)
    taken = sum(size < min_cell for size, _ in rising)
    if not taken:
        return ()

    def enough() -> bool:
        own = [sizes[name] for _, name in rising[:taken]]
        return all(
            sum(n[at] for n in own) >= min_cell and sum(n[at] > 0 for n in own) > 1
            for at in measures
            if any(n[at] for n in own)
        )

    while not enough():
        if taken == len(rising):
            return tuple(sorted(sizes))
        taken += 1
    return tuple(name for _, name in rising[:taken])


def pooled_name(together: Sequence[str], sizes: Mapping[str, Sequence[int]], min_cell: int) -> str:
    """Return what groups put together are called: by the one of enough persons, if there is one."""
    held = [name for name in together if any(sizes[name])]
    large = [
        name
        for name in held
        if name not in ("", NOT_RECORDED, POOLED)
        and all(n == 0 or n >= min_cell for n in sizes[name])
    ]
    if len(large) != 1:
        return POOLED
    rest = {*held} - {*large}
    return large[0] + (OR_UNRECORDED if rest <= {"", NOT_RECORDED} else WITH_SMALLER)


def holder(label: str, shown: Sequence[str]) -> str:
    """Return the shown name of the row that holds a group, its own or that of groups together."""
    if label in shown:
        return label
    made = [name for name in shown if name.endswith((POOLED, WITH_SMALLER, OR_UNRECORDED))]
    own = [name for name in made if label and name.startswith(label) and _made(name[len(label) :])]
    if label in ("", NOT_RECORDED):
        own = [name for name in made if OR_UNRECORDED in name]
    return next(iter(own or sorted(made, key=lambda name: name != POOLED)), POOLED)


def _made(ending: str) -> bool:
    return ending.replace(WITH_SMALLER, "").replace(OR_UNRECORDED, "") == ""


def with_pooled_groups(evidence: Evidence, min_cell: int) -> Evidence:
    """Return evidence of rows in which the small groups of each attribute bear one name.

    Counts have been suppressed already, and are returned as they are.
    """
    scores = evidence.tables.get("scores")
    if evidence.info.form != "rows" or scores is None:
        return evidence
    changed: dict[str, Array] = {}
    attributes: list[AttributeInfo] = []
    for attribute in evidence.info.attributes:
        name = f"attr:{attribute.name}"
        pooled: Sequence[str] = ()
        if name in scores:
            labels = np.array([str(value or "") for value in scores[name]], dtype=object)
            sizes = _persons(labels, scores)
            pooled = pool(sizes, min_cell)
        if not pooled:
            attributes.append(attribute)
            continue
        called = pooled_name(pooled, sizes, min_cell)
        changed[name] = np.where(np.isin(labels.astype(str), list(pooled)), called, labels)
        kept = tuple(group for group in attribute.groups if group not in pooled)
        attributes.append(replace(attribute, groups=(*kept, called)))
    if not changed:
        return evidence
    info = replace(evidence.info, attributes=tuple(attributes))
    # A view: the other tables stay unread until somebody asks for them.
    tables = ChainMap(
        {"scores": scores.with_columns(changed)}, cast(MutableMapping[str, Table], evidence.tables)
    )
    return replace(evidence, info=info, tables=tables)


def _persons(labels: Array, scores: Table) -> dict[str, tuple[int]]:
    """Return how many persons each group has, a person in two groups counting in both."""
    units = scores.get("unit", np.arange(scores.rows))
    return {
        str(name): (int(np.unique(units[labels == name]).size),)
        for name in np.unique(labels.astype(str))
    }
