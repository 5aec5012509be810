"""Suppress small cells so that no other number gives them away.

What is published obeys sums: the cells of a group add up to its totals, the groups of an
attribute add up to the row of all rows, and that row can be had from any other attribute. A
suppressed cell is safe if these sums leave it open. The cells of a group are taken as blocks,
outermost first:

    n  ⊃  selected + unselected,  positive + negative (with the sums of scores)  ⊃  tp fp fn tn

A block is suppressed whole, and every block inside it too. Whole blocks leave one number of a
group open, given the blocks around them; two suppressed groups leave the sum over groups open.
So a block that is suppressed anywhere is suppressed in at least two groups, which together have
room for at least `min_cell` persons on either side of every cell. The blocks of all outputs of
one target go together, because the values of a target add up to all.

Rows without a label or decision are not cells: that nothing is known of a person is no secret.
Attributes are taken one by one, so two that name the same groups in other words must not be
counted together.

Histograms are not suppressed by cell but pooled: neighbouring bins are joined until every group
that is shown whole, and what all others have together, has `min_cell` persons of each label in
each bin. A group of which anything is suppressed has no histogram, because a bin that ends where
the decision cuts would tell its confusion. Bins of an attribute are joined from those of all
rows, so that no difference between two histograms is a smaller bin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from verticals.errors import EvidenceError
from verticals.evidence.cells import (
    BINS,
    CARRIED,
    CELLS,
    CONFUSION,
    DECISION,
    LABEL,
    SUMS,
    Cells,
    Counts,
    Facts,
    Key,
    check_raw,
    counted_outputs,
    from_tables,
    to_tables,
)
from verticals.evidence.model import EvidenceInfo
from verticals.table import Array

Groups = Mapping[Key, Array]


def suppress_counts(counts: Facts, *, min_cell: int = 10) -> Counts:
    """Return counts in which every cell of fewer than `min_cell` persons is NaN, never 0.

    Where a person may have several rows, a cell of as many rows as that many persons can have
    counts as small. Groups without a single row stay 0. Of the other tables only those stay that
    sum over all rows.

    Raises `EvidenceError` for evidence that is not in raw counts, or smaller than one cell.
    """
    info = counts.info
    check_raw(info)
    if min_cell < 2:
        raise EvidenceError(f"min_cell is {min_cell}, expected at least 2")
    least = min_cell * info.unit_rows
    if info.rows < least:
        raise EvidenceError(
            f"evidence of {info.part!r} has {info.rows} rows, expected at least {least} to publish"
        )
    tables = to_tables(_suppressed(from_tables(counts), info, least))
    for name in CARRIED:
        table = counts.tables.get(name)
        if table is not None and ("n" not in table or not (table["n"] < least).any()):
            tables[name] = table
    return Counts(info=replace(info, min_cell=min_cell), tables=tables)


def _suppressed(cells: Cells, info: EvidenceInfo, least: int) -> Cells:
    groups: dict[Key, Array] = {key: values.copy() for key, values in cells.groups.items()}
    edges: dict[tuple[str, str], Array] = {}
    histograms: dict[Key, Array] = {}
    attributes = list(dict.fromkeys(attribute for _, attribute, _ in groups))
    attributes.sort(key=bool)  # all rows together first: others take their bins from it
    targets = list(dict.fromkeys(item.target for item in counted_outputs(info)))
    for attribute in attributes:
        for target in targets:
            outputs = [item.name for item in counted_outputs(info) if item.target == target]
            hidden = _hide(groups, outputs, attribute, least)
            for output in outputs:
                names = _names(groups, output, attribute)
                keys = [(output, attribute, name) for name in names]
                bins = edges.get((output, ""), np.arange(BINS + 1))
                raw = np.stack([cells.histograms[key] for key in keys])  # (groups, 2, 100)
                edges[output, attribute] = _pooled(raw, hidden, bins, least)
                joined = np.add.reduceat(raw, edges[output, attribute][:-1], axis=2)
                joined[hidden] = np.nan
                histograms.update(zip(keys, joined, strict=True))
    return Cells(groups=groups, edges=edges, histograms=histograms)


def _hide(groups: dict[Key, Array], outputs: Sequence[str], attribute: str, least: int) -> Array:
    """Set suppressed cells to NaN in place; return (groups,) flags of where anything was."""
    names = _names(groups, outputs[0], attribute)
    values = np.array(
        [[groups[output, attribute, name] for output in outputs] for name in names]
    )  # (groups, outputs, cells)
    cell = {name: values[:, :, place] for place, name in enumerate(CELLS)}  # (groups, outputs)
    size = cell["n"][:, 0]
    nobody = np.zeros(len(names), dtype=bool)
    whole = _open(_block(cell, ("n",)), nobody, size, least)
    decision = _open(_block(cell, DECISION), whole, size, least)
    label = _open(_block(cell, LABEL), whole, size, least)
    room = _room(cell)
    cells = _block(cell, CONFUSION)
    confusion = _open(cells, decision | label, size, least, room)
    known = (cells.sum(axis=0) >= least).all()  # the row of all rows is shown
    if known and not (room[confusion].sum(axis=0) >= least).all() and confusion.any():
        label = _open(_block(cell, LABEL), whole | confusion, size, least)
        confusion |= label
    for block, hidden in (
        (("n",), whole),
        (DECISION, decision),
        ((*LABEL, *SUMS), label),
        (CONFUSION, confusion),
    ):
        for place in np.flatnonzero(hidden):
            for output in outputs:
                of = groups[output, attribute, names[place]]
                of[[CELLS.index(name) for name in block]] = np.nan
    return whole | decision | label | confusion


def _block(cell: Mapping[str, Array], names: Sequence[str]) -> Array:
    """Return (groups, cells) of a block, the outputs side by side."""
    return np.concatenate([cell[name] for name in names], axis=1)


def _room(cell: Mapping[str, Array]) -> Array:
    """Return how far tp of each group can fall and rise between its margins, (groups, cells)."""
    fall = np.minimum(cell["tp"], cell["tn"])
    rise = np.minimum(cell["fn"], cell["fp"])
    return np.concatenate([fall, rise], axis=1)


def _open(cells: Array, outer: Array, size: Array, least: int, room: Array | None = None) -> Array:
    """Return (groups,) flags of the groups in which a block is suppressed; `cells` (groups, k).

    Small ones first, then the smallest of the others until the suppressed ones together have
    enough `room` (groups, any; the cells themselves unless given) to stay unknown.
    """
    if np.isnan(cells).all():  # nothing of this kind was recorded
        return np.zeros(len(cells), dtype=bool)
    room = cells if room is None else room
    present = size > 0
    hidden = present & (outer | ~(cells >= least).all(axis=1))
    while hidden.any():
        shown = np.flatnonzero(present & ~hidden)
        enough = (room[hidden].sum(axis=0) >= least).all()  # never for one: it has a small cell
        if enough or not len(shown):
            break
        hidden[shown[np.argmin(size[shown])]] = True
    return hidden


def _pooled(raw: Array, hidden: Array, bins: Array, least: int) -> Array:
    """Return the edges of bins that are large enough in every group; `raw` is (groups, 2, 100)."""
    present = raw.sum(axis=(1, 2)) > 0
    parts = raw[present & ~hidden]
    if not len(parts):
        return np.array([0, BINS])
    if hidden.any():
        parts = np.concatenate([parts, raw[hidden].sum(axis=0, keepdims=True)])
    below = np.concatenate([np.zeros((*parts.shape[:2], 1)), parts.cumsum(axis=2)], axis=2)
    edges = [0]
    for edge in bins[1:]:
        if (below[..., edge] - below[..., edges[-1]] >= least).all():
            edges.append(int(edge))
    return np.array([*edges[:-1], BINS] if len(edges) > 1 else [0, BINS])


def _names(groups: Groups, output: str, attribute: str) -> list[str]:
    return [name for own, of, name in groups if (own, of) == (output, attribute)]
