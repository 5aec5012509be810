"""A second witness for every group measure: fairlearn's MetricFrame on the evidence itself.

It shares no code with `comparisons` and `counts`: outcomes and decisions are read from the tables
once more, counts are spread into rows, and fairlearn and scikit-learn define the measures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from verticals.contract.model import DataContract, Target
from verticals.evidence import Evidence
from verticals.table import Array, Table
from verticals_compliance.cells import holder
from verticals_compliance.records import AuditRecord, FairnessRow

TOLERANCE = 1e-9

Disagreement = tuple[str, float | None, float | None]  # pointer, ours, fairlearn's


def witness(
    record: AuditRecord, evidence: Evidence, contract: DataContract
) -> tuple[int, list[Disagreement]]:
    """Return how many group measures fairlearn computed too, and those that differ."""
    seen = 0
    wrong: list[Disagreement] = []
    frames: dict[tuple[str, str, str], Mapping[str, float]] = {}
    for place, row in enumerate(record.fairness):
        key = (row.output, row.attribute, row.metric)
        if key not in frames:
            target = _target_of(row.output, evidence, contract)
            columns = (
                _from_cells(row, target, evidence)
                if evidence.info.form == "counts"
                else _from_scores(row, target, evidence)
            )
            if columns is not None:
                columns = (_pooled(columns[0], row), *columns[1:])
            frames[key] = {} if columns is None else _by_group(row.metric, *columns)
        for position, group in enumerate(row.groups):
            # Sums of scores, which counts hold, are no rows that a MetricFrame could take.
            if group.estimate is None or not frames[key]:
                continue
            theirs = frames[key].get(group.group)
            seen += 1
            agree = theirs is not None and math.isclose(
                group.estimate, theirs, rel_tol=TOLERANCE, abs_tol=TOLERANCE
            )
            if not agree:
                pointer = f"/fairness/{place}/groups/{position}/estimate (fairlearn)"
                wrong.append((pointer, group.estimate, theirs))
    return seen, wrong


def _pooled(labels: Array, row: FairnessRow) -> Array:
    """Return the groups as the row names them: those that it does not show by themselves as one."""
    shown = [group.group for group in row.groups]
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    return np.array([holder(str(name), shown) for name in names], dtype=object)[codes]


def _by_group(metric: str, labels: Array, truth: Array, said: Array) -> Mapping[str, float]:
    """Return one measure of every group, as fairlearn gives it."""
    from fairlearn.metrics import MetricFrame

    known = ~np.isnan(said) & ~np.isnan(truth)
    if not known.any():
        return {}
    frame = MetricFrame(
        metrics=_measure(metric),
        y_true=truth[known],
        y_pred=said[known],
        sensitive_features=labels[known],
    )
    return {str(name): float(value) for name, value in frame.by_group.items()}


def _from_scores(row: FairnessRow, target: Target, evidence: Evidence) -> tuple[Array, ...]:
    """Return (rows,) groups, outcomes and predictions, as fairlearn wants them."""
    scores = evidence.tables["scores"]
    labels = np.array([text or "not recorded" for text in scores[f"attr:{row.attribute}"]])
    truth = scores.get(f"target:{target.name}", np.full(scores.rows, np.nan)).astype(float)
    if row.metric == "mean_error":
        return labels, truth, scores[row.output].astype(float)
    if row.metric == "calibration_gap":
        said = scores[row.output].astype(float)
        return (labels, 1 - truth, 1 - said) if _is_negative(target) else (labels, truth, said)
    said = _decided(target, scores, evidence)
    if row.metric == "accuracy":
        return labels, truth, said
    good = 0.0 if _is_negative(target) else 1.0
    if target.kind != "binary":
        good = float(target.values.index(target.favourable))
    pair = [np.where(np.isnan(x), np.nan, (x == good).astype(float)) for x in (truth, said)]
    if row.metric == "selection_rate":  # the outcome plays no part, and may be unknown
        pair[0] = np.zeros(truth.size)
    return labels, *pair


def _from_cells(row: FairnessRow, target: Target, evidence: Evidence) -> tuple[Array, ...] | None:
    """Spread the counts of decisions and outcomes into rows; None for what is no count."""
    if row.metric == "calibration_gap":
        return None
    table = evidence.tables["group_counts"]
    part = table.take((table["output"] == row.output) & (table["attribute"] == row.attribute))
    kinds = {"tp": (1, 1), "fp": (0, 1), "fn": (1, 0), "tn": (0, 0)}
    if row.metric == "selection_rate":
        kinds = {"selected": (0, 1), "unselected": (0, 0)}
    labels: list[Array] = []
    pairs: list[Array] = []
    for cell, pair in kinds.items():
        counts = np.maximum(np.rint(np.nan_to_num(part[cell])), 0).astype(int)
        labels.append(np.repeat([text or "not recorded" for text in part["group"]], counts))
        pairs.append(np.repeat([pair], counts.sum(), axis=0))
    truth, said = np.concatenate(pairs).astype(float).T
    if _is_negative(target):
        said = 1 - said
        truth = truth if row.metric == "selection_rate" else 1 - truth
    return np.concatenate(labels), truth, said


def _is_negative(target: Target) -> bool:
    """Tell whether the favourable value of a binary target is not its positive one."""
    return bool(target.favourable) and target.favourable != target.positive


def _measure(metric: str) -> Callable[..., Any]:
    from fairlearn.metrics import false_positive_rate, selection_rate, true_positive_rate
    from sklearn.metrics import accuracy_score, precision_score

    def precision(y_true: Array, y_pred: Array) -> float:
        return float(precision_score(y_true, y_pred, zero_division=np.nan))

    def mean_difference(y_true: Array, y_pred: Array) -> float:
        return float(np.mean(y_pred) - np.mean(y_true))

    def rate(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda y_true, y_pred: function(y_true, y_pred, pos_label=1)

    measures: Mapping[str, Callable[..., Any]] = {
        "selection_rate": rate(selection_rate),
        "tpr": rate(true_positive_rate),
        "fpr": rate(false_positive_rate),
        "ppv": precision,
        "accuracy": accuracy_score,
        "calibration_gap": mean_difference,
        "mean_error": mean_difference,
    }
    return measures[metric]


def _target_of(output: str, evidence: Evidence, contract: DataContract) -> Target:
    for item in evidence.info.outputs:
        if item.name == output and item.target:
            return contract.target(item.target)
    return contract.target(output)


def _decided(target: Target, scores: Table, evidence: Evidence) -> Array:
    """Return (rows,) codes of what was decided, or of the most probable value."""
    if target.kind == "binary":
        return scores["decision"].astype(float)
    names = {
        item.value: item.name
        for item in evidence.info.outputs
        if item.target == target.name and item.kind == "probability"
    }
    chances = np.stack([scores[names[value]].astype(float) for value in target.values], axis=1)
    missing = np.isnan(chances).any(axis=1)
    best = np.argmax(np.where(missing[:, None], 0.0, chances), axis=1).astype(float)
    return np.where(missing, np.nan, best)
