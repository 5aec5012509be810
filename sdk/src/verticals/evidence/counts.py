"""From rows to counts: evidence that can leave the house."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from verticals.errors import EvidenceError
from verticals.evidence.cells import (
    BINS,
    CARRIED,
    CELLS,
    EDGES,
    UNIT,
    Cells,
    Counts,
    Facts,
    Key,
    counted_outputs,
    need,
    to_tables,
)
from verticals.evidence.model import EvidenceInfo, OutputInfo
from verticals.evidence.noise import noise_counts
from verticals.evidence.suppression import suppress_counts
from verticals.table import Array, Table


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
    if info.form != "rows" or "scores" not in evidence.tables:
        raise EvidenceError(f"evidence of {info.part!r} has no scores of rows, so nothing to count")
    names = [item.name for item in counted_outputs(info)]
    scores = need(evidence, "scores", numbers=("unit", *names))
    tables = to_tables(_count(scores, info))
    tables.update({name: evidence.tables[name] for name in CARRIED if name in evidence.tables})
    most = int(np.unique(scores["unit"], return_counts=True)[1].max(initial=1))
    stated = replace(info, form="counts", fingerprint="", unit_rows=most)
    raw = Counts(info=stated, tables=tables)
    if noise_epsilon is not None:
        return noise_counts(raw, epsilon=noise_epsilon, unit_rows=unit_rows)
    return raw if min_cell is None else suppress_counts(raw, min_cell=min_cell)


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
    return Cells(groups=groups, edges=edges, histograms=histograms)


def _partitions(scores: Table, info: EvidenceInfo) -> list[tuple[str, list[str], Array]]:
    """Return attribute, names of its groups, and (rows,) their codes; all rows together first.

    The names do not depend on the rows: those that are declared, then "" for missing.
    """
    found = [("", [""], np.zeros(scores.rows, dtype=np.int64))]
    for attribute in info.attributes:
        column = scores.get(f"attr:{attribute.name}")
        if column is None:
            continue
        names = list(dict.fromkeys([*attribute.groups, ""]))
        number = {name: place for place, name in enumerate(names)}
        codes = [number.get(label or "", -1) for label in column]
        if -1 in codes:
            row = codes.index(-1)
            raise EvidenceError(
                f"attribute {attribute.name!r} has a group that is not declared at row {row}, "
                f"expected one of {names}"
            )
        found.append((attribute.name, names, np.array(codes, dtype=np.int64)))
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
