"""From rows to counts: evidence that can leave the house, and be merged with that of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from verticals.errors import EvidenceError
from verticals.evidence.cells import (
    BINS,
    CARRIED,
    CELLS,
    EDGES,
    GROUPS,
    SCORES,
    Cells,
    Counts,
    Facts,
    Key,
    counted_outputs,
    from_tables,
    to_tables,
)
from verticals.evidence.model import PRODUCER, RECOMPUTED, EvidenceInfo, OutputInfo
from verticals.evidence.noise import UNIT, noise_counts
from verticals.evidence.suppression import suppress_counts
from verticals.table import Array, Table, concatenate


def to_counts(
    evidence: Facts,
    *,
    min_cell: int | None = 10,
    noise_epsilon: float | None = None,
    unit_rows: int = 1,
) -> Counts:
    """Return evidence of the form `rows` in the form `counts` (see `evidence.cells`).

    Small cells are suppressed (see `suppress_counts`). With `noise_epsilon` noise is added
    in their place (see `noise_counts`). With `min_cell=None` and no noise the counts are raw:
    they merge exactly, and are not for publication. The fingerprint of the data is left out, and
    of the other tables those that count few persons in a cell.

    Raises `EvidenceError` if there are no scores, no probability to count, a score that is no
    probability, or a label beyond the values of its target.
    """
    info = evidence.info
    scores = evidence.tables.get("scores")
    if info.form != "rows" or scores is None:
        raise EvidenceError(f"evidence of {info.part!r} has no scores of rows, so nothing to count")
    tables = to_tables(_count(scores, info))
    tables.update({name: evidence.tables[name] for name in CARRIED if name in evidence.tables})
    most = int(np.bincount(scores["unit"]).max(initial=1))
    stated = replace(info, form="counts", fingerprint="", unit_rows=most)
    raw = Counts(info=stated, tables=tables)
    if noise_epsilon is not None:
        return noise_counts(raw, epsilon=noise_epsilon, unit_rows=unit_rows)
    return raw if min_cell is None else suppress_counts(raw, min_cell=min_cell)


def merge_counts(parts: Sequence[Facts]) -> Counts:
    """Return the counts of several sites as those of one; they speak of one bundle.

    Raw counts add up exactly to the counts of all rows. A cell that one site suppressed is NaN in
    the sum. Histograms are joined on the bins that all sites have. No person may be at two sites:
    the epsilon of noise is then the largest of theirs.

    Raises `EvidenceError` if the sites differ in bundle, outputs, attributes, decision, or in
    whether they are raw, suppressed or noised.
    """
    if not parts:
        raise EvidenceError("there are no counts to merge, expected at least one")
    infos = [part.info for part in parts]
    for info in infos:
        _check_alike(infos[0], info)
    merged = reduce(_add, [from_tables(part.tables) for part in parts])
    tables = to_tables(_ordered(merged, infos[0]))
    for name, merge in _MERGES.items():
        found = [part.tables[name] for part in parts if name in part.tables]
        if len(found) == len(parts):
            tables[name] = merge(found)
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


# ---- counting --------------------------------------------------------------------------------


def _count(scores: Table, info: EvidenceInfo) -> Cells:
    outputs = counted_outputs(info)
    if not outputs:
        raise EvidenceError("evidence has no probability of a target's value, so nothing to count")
    groups: dict[Key, Array] = {}
    histograms: dict[Key, Array] = {}
    edges: dict[tuple[str, str], Array] = {}
    for attribute, names, codes in _partitions(scores, info):
        for output in outputs:
            score = _probability(scores, output.name)
            label = _label(scores, output, outputs)
            decision = _decision(scores, output, info)
            cells = _cells(codes, len(names), score, label, decision)  # (groups, cells)
            bins = np.searchsorted(EDGES, score, side="right") - 1
            place = codes * BINS + np.minimum(bins, BINS - 1)
            kinds = [
                np.bincount(place[label == value], minlength=len(names) * BINS)
                for value in (1.0, 0.0)
            ]
            histogram = np.stack(kinds).reshape(2, len(names), BINS).astype(np.float64)
            edges[output.name, attribute] = np.arange(BINS + 1)
            for number, name in enumerate(names):
                groups[output.name, attribute, name] = cells[number]
                histograms[output.name, attribute, name] = histogram[:, number]
    return _ordered(Cells(groups=groups, edges=edges, histograms=histograms), info)


def _partitions(scores: Table, info: EvidenceInfo) -> list[tuple[str, list[str], Array]]:
    """Return attribute, names of its groups, and (rows,) their codes; all rows together first."""
    found = [("", [""], np.zeros(scores.rows, dtype=np.int64))]
    for attribute in info.attributes:
        column = scores.get(f"attr:{attribute.name}")
        if column is None:
            continue
        labels = ["" if value is None else str(value) for value in column]
        names = list(dict.fromkeys([*attribute.groups, *labels]))
        number = {name: place for place, name in enumerate(names)}
        codes = np.array([number[label] for label in labels], dtype=np.int64)
        found.append((attribute.name, names, codes))
    return found


def _probability(scores: Table, name: str) -> Array:
    score = np.asarray(scores[name], dtype=np.float64)
    wrong = int((~((score >= 0.0) & (score <= 1.0))).sum())
    if wrong:
        raise EvidenceError(
            f"output {name!r} has {wrong} scores that are no probability, expected 0 to 1"
        )
    return score


def _label(scores: Table, output: OutputInfo, outputs: Sequence[OutputInfo]) -> Array:
    """Return (rows,) 1 where the target has the value of this output, 0 where not, or NaN."""
    column = scores.get(f"target:{output.target}")
    if column is None:
        return np.full(scores.rows, np.nan)
    label = np.asarray(column, dtype=np.float64)
    if output.target_kind == "binary":
        return label
    values = [item.name for item in outputs if item.target == output.target]
    if (label >= len(values)).any():
        raise EvidenceError(
            f"target {output.target!r} has labels beyond its {len(values)} outputs {values}"
        )
    return np.where(np.isnan(label), np.nan, label == values.index(output.name))


def _decision(scores: Table, output: OutputInfo, info: EvidenceInfo) -> Array | None:
    """Return the decision where it is on the target of this output."""
    if "decision" not in scores or output.target_kind != "binary":
        return None
    if info.decision.get("target", output.target) != output.target:
        return None
    return np.asarray(scores["decision"], dtype=np.float64)


def _cells(codes: Array, count: int, score: Array, label: Array, decision: Array | None) -> Array:
    """Return (groups, cells) in the order of `CELLS`."""

    def rows(where: Array) -> Array:
        return np.bincount(codes[where], minlength=count).astype(np.float64)

    def total(values: Array, where: Array) -> Array:  # exact: whole steps of 1 / UNIT
        steps = np.rint(values[where] * UNIT)
        return np.bincount(codes[where], steps, minlength=count) / UNIT

    known = ~np.isnan(label)
    positive, negative = label == 1.0, label == 0.0
    cell = dict.fromkeys(CELLS, np.full(count, np.nan))
    cell.update(
        n=rows(np.ones(len(codes), dtype=bool)),
        positive=rows(positive),
        negative=rows(negative),
        sum_score=total(score, known),
        sum_sq_residual=total((score - label) ** 2, known),
    )
    if decision is not None:
        selected, unselected = decision == 1.0, decision == 0.0
        cell.update(
            selected=rows(selected),
            unselected=rows(unselected),
            tp=rows(selected & positive),
            fp=rows(selected & negative),
            fn=rows(unselected & positive),
            tn=rows(unselected & negative),
        )
    return np.stack([cell[name] for name in CELLS], axis=1)


# ---- merging ---------------------------------------------------------------------------------


def _check_alike(first: EvidenceInfo, other: EvidenceInfo) -> None:
    if other.form != "counts":
        raise EvidenceError(
            f"evidence of {other.part!r} is of form {other.form!r}, expected counts"
        )
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
    groups, histograms = dict(first.groups), {}
    for key, values in second.groups.items():
        groups[key] = groups[key] + values if key in groups else values
    edges = {
        place: np.intersect1d(first.edges.get(place, own), own)
        for place, own in {**first.edges, **second.edges}.items()
    }
    for key in groups:
        common = edges[key[:2]]
        joined = [
            np.add.reduceat(
                cells.histograms[key],
                np.searchsorted(cells.edges[key[:2]], common[:-1]),
                axis=1,
            )
            for cells in (first, second)
            if key in cells.histograms
        ]
        histograms[key] = sum(joined[1:], start=joined[0])
    return Cells(groups=groups, edges=edges, histograms=histograms)


def _ordered(cells: Cells, info: EvidenceInfo) -> Cells:
    """Put keys in one order: outputs, attributes and groups as declared, then the missing one."""
    outputs = [item.name for item in counted_outputs(info)]
    attributes = ["", *[item.name for item in info.attributes]]
    declared = {item.name: list(item.groups) for item in info.attributes}

    def order(key: Key) -> tuple[Any, ...]:
        output, attribute, group = key
        known = declared.get(attribute, [])
        place = known.index(group) if group in known else len(known) + (group == "")
        return outputs.index(output), attributes.index(attribute), place, group

    keys = sorted(cells.groups, key=order)
    return replace(
        cells,
        groups={key: cells.groups[key] for key in keys},
        histograms={key: cells.histograms[key] for key in keys},
    )


def _merged_attributions(tables: Sequence[Table]) -> Table:
    return _grouped(
        concatenate(tables), ("output", "field"), {"n": np.sum, "sum_abs": np.sum, "sum_sq": np.sum}
    )


def _merged_additivity(tables: Sequence[Table]) -> Table:
    worst = {"max_error": np.max, "n": np.sum, "standard_error": np.fmax.reduce}
    return _grouped(concatenate(tables), ("output", "method"), worst)


def _merged_shapes(tables: Sequence[Table]) -> Table:
    for table in tables[1:]:
        same = set(table) == set(tables[0]) and table.rows == tables[0].rows
        if not same or any(_differ(table[name], tables[0][name]) for name in table):
            raise EvidenceError("the counts differ in shapes, expected evidence of one bundle")
    return tables[0]


_MERGES: Mapping[str, Callable[[Sequence[Table]], Table]] = {
    "attributions": _merged_attributions,
    "additivity": _merged_additivity,
    "shapes": _merged_shapes,
}


def _grouped(
    table: Table, names: Sequence[str], merges: Mapping[str, Callable[[Array], Any]]
) -> Table:
    """Return one row for each key, other columns merged or, if text, as in the first row."""
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, key in enumerate(zip(*[table[name] for name in names], strict=True)):
        places.setdefault(key, []).append(place)
    first = table.take([where[0] for where in places.values()])
    merged = {
        name: np.array([merge(table[name][where]) for where in places.values()])
        for name, merge in merges.items()
        if name in table
    }
    return first.with_columns(merged)


def _differ(first: Array, second: Array) -> bool:
    if first.dtype.kind == "f":
        return not np.array_equal(first, second, equal_nan=True)
    return not np.array_equal(first, second)


__all__ = ["GROUPS", "SCORES", "Counts", "merge_counts", "to_counts"]
