"""Curves for people to look at: calibration, ROC, scores by outcome, and counts of each group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verticals.evidence import AttributeInfo, withheld
from verticals.intervals import design_effect, wilson
from verticals.table import Array
from verticals_compliance.cells import NOT_RECORDED
from verticals_compliance.comparisons import (
    favourable_decision,
    favourable_outcome,
    group_names,
)
from verticals_compliance.predictions import Predictions

CALIBRATION_BINS = 10
HISTOGRAM_BINS = 20
ROC_POINTS = 101
_MOST_CLASSES = 16  # that are crossed with one another: beyond it nobody reads the table


def curves(
    found: Sequence[Predictions], level: float, *, limits: bool = True, min_cell: int = 1
) -> list[dict[str, Any]]:
    """Return the curves of every probability of a binary target.

    `limits` is False where the rows stand for counts whose intervals would not hold.
    """
    rows = []
    for item in found:
        if item.target.kind != "binary" or item.score is None:
            continue
        part = item.take(~np.isnan(item.outcome) & ~np.isnan(item.score))
        score, label = np.asarray(part.score), part.outcome
        rows.append(
            {
                "output": item.output,
                "value": f"{item.target.title} = {item.target.positive}",
                "calibration": [
                    point if limits else {**point, "observed_lower": None, "observed_upper": None}
                    for point in _calibration(score, label, part.units, level, min_cell)
                ],
                "roc": _roc(score, label),
                "histogram": _histogram(score, label),
                "decision_cut": item.cut,
            }
        )
    return rows


def confusions(found: Sequence[Predictions], *, min_cell: int = 1) -> list[dict[str, Any]]:
    """Return, of each target with classes or levels, persons by outcome and prediction.

    The prediction is the most probable class, of levels the one nearest to the expected level. A
    person counts once in each cell. Cells and totals of fewer than `min_cell` persons are None,
    and so are those that would give them away.
    """
    rows = []
    for item in found:
        if item.target.kind not in ("categorical", "ordinal") or not item.target.values:
            continue
        said = item.choice
        if item.target.kind == "ordinal" and item.score is not None:
            said = np.clip(np.rint(item.score), 0, len(item.target.values) - 1)
        if said is None:
            continue
        codes = np.arange(len(item.target.values))
        if codes.size > _MOST_CLASSES:
            continue
        counts = np.array(
            [
                [item.take((item.outcome == row) & (said == column)).persons for column in codes]
                for row in codes
            ],
            dtype=np.int64,
        )
        whole = np.pad(counts, ((0, 1), (0, 1)))
        whole[-1], whole[:, -1] = whole.sum(axis=0), whole.sum(axis=1)
        whole[-1, -1] = counts.sum()
        # Shares of exact and adjacent agreement are published beside the table.
        apart = np.abs(codes[:, None] - codes[None, :])
        agreement = [apart == 0, apart <= 1] if item.target.kind == "ordinal" else [apart == 0]
        hidden = withheld(counts, min_cell=min_cell, sums=agreement)
        rows.append(
            {
                "output": item.output,
                "values": list(item.target.values),
                "persons": [
                    [None if gone else int(count) for count, gone in zip(line, mask, strict=True)]
                    for line, mask in zip(whole, hidden, strict=True)
                ],
            }
        )
    return rows


@dataclass(frozen=True, kw_only=True)
class GroupCount:
    """Hold the counts of one group, seen from the favourable outcome; None where withheld."""

    output: str
    attribute: str
    role: str
    label: str
    group: str
    rows: int | None
    labelled: int | None
    favourable_outcomes: int | None
    favourable_decisions: int | None
    tp: int | None
    fp: int | None
    fn: int | None
    tn: int | None


def group_counts(
    item: Predictions, attribute: AttributeInfo, labels: Array, *, min_cell: int = 1
) -> Iterator[GroupCount]:
    """Yield for each group its rows, favourable outcomes and decisions, and their agreement.

    Cells of fewer than `min_cell` persons are None, and so are those that would give them away.
    """
    names = group_names(attribute, labels)
    parts = [item.take(labels == ("" if name == NOT_RECORDED else name)) for name in names]
    cells = [_cells(part) for part in parts]  # of each group: name -> (rows,) flags
    hidden = np.zeros((len(names) + 1, len(cells[0]) + 1 if cells else 1), dtype=bool)
    if cells and cells[0]:
        persons = [
            [part.take(flags).persons for flags in own.values()]
            for part, own in zip(parts, cells, strict=True)
        ]
        hidden = withheld(np.array(persons, dtype=np.int64), min_cell=min_cell)
    for name, part, own, mask in zip(names, parts, cells, hidden, strict=False):
        decided, happened = favourable_decision(part), favourable_outcome(part)
        shown = {
            cell: None if gone else int(np.count_nonzero(flags))
            for (cell, flags), gone in zip(own.items(), mask, strict=False)
        }
        whole = not mask[:-1].any()
        yield GroupCount(
            output=item.output,
            attribute=attribute.name,
            role=attribute.role,
            label=attribute.label,
            group=name,
            rows=part.rows,
            labelled=None if mask[-1] else int(np.count_nonzero(~np.isnan(part.outcome))),
            favourable_outcomes=_count(happened, 1) if whole else None,
            favourable_decisions=_count(decided, 1) if whole else None,
            **{cell: shown.get(cell) for cell in ("tp", "fp", "fn", "tn")},
        )


def _cells(part: Predictions) -> dict[str, Array]:
    """Return flags (rows,) of the cells that a group is counted in; empty if nothing is counted."""
    decided, happened = favourable_decision(part), favourable_outcome(part)
    if decided is not None and happened is not None:
        pairs = {"tp": (1, 1), "fp": (1, 0), "fn": (0, 1), "tn": (0, 0)}
        return {name: (decided == d) & (happened == h) for name, (d, h) in pairs.items()}
    one = happened if decided is None else decided
    return {} if one is None else {"yes": one == 1, "no": one == 0}


def _count(column: Array | None, value: int) -> int | None:
    return None if column is None else int(np.count_nonzero(column == value))


def _calibration(
    score: Array, label: Array, units: Array | None, level: float, min_cell: int
) -> list[dict[str, Any]]:
    """Return bins of about equal count, each of `min_cell` persons; one score stays in one bin."""
    if not score.size:
        return []
    edges = np.unique(np.quantile(score, np.linspace(0, 1, CALIBRATION_BINS + 1)))
    places = np.clip(np.searchsorted(edges, score, side="right") - 1, 0, max(edges.size - 2, 0))
    places = _joined(places, units, min_cell)
    rows = []
    for place in np.unique(places):
        inside = places == place
        happened = label[inside]
        effect = 1.0 if units is None else design_effect(happened, units[inside])
        found = wilson(float(happened.sum()), happened.size, level=level, design_effect=effect)
        rows.append(
            {
                "lower": float(score[inside].min()),
                "upper": float(score[inside].max()),
                "n": int(happened.size),
                "predicted": float(score[inside].mean()),
                "observed": found.estimate,
                "observed_lower": found.lower,
                "observed_upper": found.upper,
            }
        )
    return rows


def _joined(places: Array, units: Array | None, min_cell: int) -> Array:
    """Return the bin of each row, where bins of fewer persons are joined to those below."""
    persons = np.arange(places.size) if units is None else units
    joined, first = places.copy(), -1
    for place in np.unique(places):
        inside = joined == first
        if first < 0 or np.unique(persons[inside]).size >= min_cell:
            first = place
        joined[places == place] = first
    last = joined == first
    below = np.unique(joined[~last])
    if below.size and np.unique(persons[last]).size < min_cell:
        joined[last] = below[-1]
    return joined


def _roc(score: Array, label: Array) -> list[dict[str, float]]:
    """Return points at evenly spread false positive rates, corners included."""
    positives, negatives = int((label == 1).sum()), int((label == 0).sum())
    if not positives or not negatives:
        return []
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.diff(score[order]) != 0, True)
    hits = label[order] == 1
    false = np.concatenate([[0.0], np.cumsum(~hits)[ends] / negatives])
    true = np.concatenate([[0.0], np.cumsum(hits)[ends] / positives])
    if false.size > ROC_POINTS:
        wanted = np.linspace(0, 1, ROC_POINTS - 1)
        keep = np.unique([0, *np.searchsorted(false, wanted), false.size - 1])
        false, true = false[keep], true[keep]
    return [{"fpr": float(x), "tpr": float(y)} for x, y in zip(false, true, strict=True)]


def _histogram(score: Array, label: Array) -> list[dict[str, Any]]:
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    clipped = np.clip(score, 0, 1)
    positive = np.histogram(clipped[label == 1], edges)[0]
    negative = np.histogram(clipped[label == 0], edges)[0]
    return [
        {
            "lower": float(edges[place]),
            "upper": float(edges[place + 1]),
            "positive": int(positive[place]),
            "negative": int(negative[place]),
        }
        for place in range(HISTOGRAM_BINS)
    ]
