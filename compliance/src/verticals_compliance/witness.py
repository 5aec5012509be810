"""A second witness for every group measure: fairlearn's MetricFrame on the evidence itself.

It shares no code with `comparisons`: outcomes and decisions are read from the table `scores` once
more, and fairlearn and scikit-learn define the measures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from verticals.contract.model import DataContract, Target
from verticals.evidence import Evidence
from verticals.table import Array, Table
from verticals_compliance.records import AuditRecord, FairnessRow

TOLERANCE = 1e-9

Disagreement = tuple[str, float | None, float | None]  # pointer, ours, fairlearn's


def witness(
    record: AuditRecord, evidence: Evidence, contract: DataContract
) -> tuple[int, list[Disagreement]]:
    """Return how many group measures fairlearn computed too, and those that differ."""
    scores = evidence.tables.get("scores")
    if scores is None:
        return 0, []
    seen = 0
    wrong: list[Disagreement] = []
    frames: dict[tuple[str, str, str], Mapping[str, float]] = {}
    for place, row in enumerate(record.fairness):
        key = (row.output, row.attribute, row.metric)
        if key not in frames:
            frames[key] = _by_group(row, scores, evidence, contract)
        for position, group in enumerate(row.groups):
            if group.estimate is None:
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


def _by_group(
    row: FairnessRow, scores: Table, evidence: Evidence, contract: DataContract
) -> Mapping[str, float]:
    """Return one measure of every group, as fairlearn gives it."""
    from fairlearn.metrics import MetricFrame

    target, column = _target_of(row.output, evidence, contract)
    labels = np.array([text or "not recorded" for text in scores[f"attr:{row.attribute}"]])
    truth = scores.get(f"target:{target.name}", np.full(scores.rows, np.nan)).astype(float)
    if row.metric == "mean_error":
        said = scores[column].astype(float)
        known = ~np.isnan(said) & ~np.isnan(truth)
    elif row.metric == "calibration_gap":
        said = scores[column].astype(float)
        if target.favourable and target.favourable != target.positive:
            said, truth = 1 - said, 1 - truth
        known = ~np.isnan(said) & ~np.isnan(truth)
    else:
        truth, said = _favoured(row.metric, target, truth, _decided(target, scores, evidence))
        known = ~np.isnan(said) & ~np.isnan(truth)
    if not known.any():
        return {}
    frame = MetricFrame(
        metrics=_measure(row.metric),
        y_true=truth[known],
        y_pred=said[known],
        sensitive_features=labels[known],
    )
    return {str(name): float(value) for name, value in frame.by_group.items()}


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


def _target_of(output: str, evidence: Evidence, contract: DataContract) -> tuple[Target, str]:
    for item in evidence.info.outputs:
        if item.name == output and item.target:
            return contract.target(item.target), output
    return contract.target(output), output


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


def _favoured(metric: str, target: Target, truth: Array, said: Array) -> tuple[Array, Array]:
    """Return outcome and decision as fairlearn wants them: 1 where favourable."""
    if metric == "accuracy":
        return truth, said
    if target.kind == "binary":
        good = 0.0 if target.favourable and target.favourable != target.positive else 1.0
    else:
        good = float(target.values.index(target.favourable))
    pair = [np.where(np.isnan(x), np.nan, (x == good).astype(float)) for x in (truth, said)]
    if metric == "selection_rate":  # the outcome plays no part, and may be unknown
        pair[0] = np.zeros(truth.size)
    return pair[0], pair[1]
