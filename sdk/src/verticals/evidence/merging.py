"""Merge the counts of several sites into those of one, without seeing a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from verticals.errors import EvidenceError
from verticals.evidence.cells import Cells, Counts, Facts, Key, from_tables, need, to_tables
from verticals.evidence.model import PRODUCER, RECOMPUTED, EvidenceInfo
from verticals.table import Array, Table, concatenate

_SHAPES = "shapes"
# Other tables that merge: their keys, and how each number of a key is merged.
_MERGES: Mapping[str, tuple[tuple[str, ...], Mapping[str, Callable[[Array], Any]]]] = {
    "attributions": (("output", "field"), {"n": np.sum, "sum_abs": np.sum, "sum_sq": np.sum}),
    "additivity": (
        ("output", "method"),
        {"max_error": np.max, "n": np.sum, "standard_error": np.fmax.reduce},
    ),
}


def merge_counts(parts: Sequence[Facts]) -> Counts:
    """Return the counts of several sites as those of one; they speak of one bundle.

    Raw counts add up exactly to the counts of all rows. A cell that one site suppressed is NaN in
    the sum. Histograms are joined on the bins that all sites have; an attribute that a site lacks
    is left out. No person may be at two sites: the epsilon of noise is then the largest of theirs.

    Raises `EvidenceError` if the sites differ in bundle, outputs, attributes, decision, or in
    whether they are raw, suppressed or noised.
    """
    if not parts:
        raise EvidenceError("there are no counts to merge, expected at least one")
    infos = [part.info for part in parts]
    for info in infos:
        _check_alike(infos[0], info)
    tables = to_tables(reduce(_add, [from_tables(part) for part in parts]))
    for name, (keys, merges) in _MERGES.items():
        if all(name in part.tables for part in parts):
            found = [need(part, name, texts=keys, numbers=tuple(merges)) for part in parts]
            tables[name] = _grouped(concatenate(found), keys, merges)
    if all(_SHAPES in part.tables for part in parts):
        tables[_SHAPES] = _same_shapes([part.tables[_SHAPES] for part in parts])
    cells = [info.min_cell for info in infos if info.min_cell is not None]
    noises = [info.noise_epsilon for info in infos if info.noise_epsilon is not None]
    produced = any(info.origin == PRODUCER for info in infos)
    info = replace(
        infos[0],
        origin=PRODUCER if produced else RECOMPUTED,
        part=" + ".join(dict.fromkeys(info.part for info in infos)),
        rows=sum(info.rows for info in infos),
        units=sum(info.units for info in infos),
        unit_rows=max(info.unit_rows for info in infos),
        min_cell=min(cells, default=None),
        noise_epsilon=max(noises, default=None),
    )
    return Counts(info=info, tables=tables)


def _check_alike(first: EvidenceInfo, other: EvidenceInfo) -> None:
    if other.form != "counts":
        raise EvidenceError(f"evidence of {other.part!r} is in {other.form}, expected counts")
    for name in ("bundle", "outputs", "attributes", "decision"):
        if getattr(first, name) != getattr(other, name):
            raise EvidenceError(f"the counts differ in {name}, expected evidence of one bundle")
    for name in ("min_cell", "noise_epsilon"):
        if (getattr(first, name) is None) != (getattr(other, name) is None):
            raise EvidenceError(
                f"some counts have {name} and some have none, expected all of one kind",
                hint="merge raw counts, then suppress",
            )


def _add(first: Cells, second: Cells) -> Cells:
    keys = [key for key in first.groups if key in second.groups]
    edges = {key[:2]: np.intersect1d(first.edges[key[:2]], second.edges[key[:2]]) for key in keys}
    groups = {key: first.groups[key] + second.groups[key] for key in keys}
    histograms = {
        key: _rebinned(first, key, edges[key[:2]]) + _rebinned(second, key, edges[key[:2]])
        for key in keys
    }
    return Cells(groups=groups, edges=edges, histograms=histograms)


def _rebinned(cells: Cells, key: Key, edges: Array) -> Array:
    starts = np.searchsorted(cells.edges[key[:2]], edges[:-1])
    joined: Array = np.add.reduceat(cells.histograms[key], starts, axis=1)
    return joined


def _grouped(
    table: Table, names: Sequence[str], merges: Mapping[str, Callable[[Array], Any]]
) -> Table:
    """Return one row for each key: numbers merged, text as in the first row."""
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, key in enumerate(zip(*[table[name] for name in names], strict=True)):
        places.setdefault(key, []).append(place)
    first = table.take([where[0] for where in places.values()])
    return first.with_columns(
        {
            name: np.array([merge(table[name][where]) for where in places.values()])
            for name, merge in merges.items()
        }
    )


def _same_shapes(tables: Sequence[Table]) -> Table:
    for table in tables[1:]:
        same = list(table) == list(tables[0]) and table.rows == tables[0].rows
        if not same or any(_differ(table[name], tables[0][name]) for name in table):
            raise EvidenceError("the counts differ in shapes, expected evidence of one bundle")
    return tables[0]


def _differ(first: Array, second: Array) -> bool:
    numbers = first.dtype.kind == second.dtype.kind == "f"
    return not np.array_equal(first, second, equal_nan=numbers)
