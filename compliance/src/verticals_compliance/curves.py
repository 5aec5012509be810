"""Curves for people to look at: calibration, ROC, scores by outcome, and counts of each group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from verticals.evidence import Evidence
from verticals.intervals import design_effect, wilson
from verticals.table import Array
from verticals_compliance.comparisons import (
    NOT_RECORDED,
    favourable_decision,
    favourable_outcome,
    group_names,
)
from verticals_compliance.predictions import Predictions

CALIBRATION_BINS = 10
HISTOGRAM_BINS = 20
ROC_POINTS = 101


def curves(found: Sequence[Predictions], level: float) -> list[dict[str, Any]]:
    """Return the curves of every probability of a binary target."""
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
                "calibration": _calibration(score, label, part.units, level),
                "roc": _roc(score, label),
                "histogram": _histogram(score, label),
                "decision_cut": item.cut,
            }
        )
    return rows


def group_counts(evidence: Evidence, found: Sequence[Predictions]) -> list[dict[str, Any]]:
    """Return for each group its rows, favourable outcomes and decisions, and their agreement."""
    scores = evidence.tables.get("scores")
    rows: list[dict[str, Any]] = []
    for attribute in evidence.info.attributes if scores is not None else ():
        if scores is None or f"attr:{attribute.name}" not in scores:
            continue
        labels = np.array([str(value or "") for value in scores[f"attr:{attribute.name}"]])
        for item in found:
            for group in group_names(attribute, labels):
                part = item.take(labels == ("" if group == NOT_RECORDED else group))
                rows.append(
                    {
                        "output": item.output,
                        "attribute": attribute.name,
                        "role": attribute.role,
                        "label": attribute.label,
                        "group": group,
                        **_confusion(part),
                    }
                )
    return rows


def _confusion(part: Predictions) -> dict[str, int | None]:
    decided, happened = favourable_decision(part), favourable_outcome(part)

    def count(mask: Array | None) -> int | None:
        return None if mask is None else int(np.count_nonzero(mask))

    both = decided is not None and happened is not None
    pairs = {"tp": (1, 1), "fp": (1, 0), "fn": (0, 1), "tn": (0, 0)}
    return {
        "rows": part.rows,
        "labelled": int(np.count_nonzero(~np.isnan(part.outcome))),
        "favourable_outcomes": count(None if happened is None else happened == 1),
        "favourable_decisions": count(None if decided is None else decided == 1),
        **{
            name: count((decided == said) & (happened == was)) if both else None
            for name, (said, was) in pairs.items()
        },
    }


def _calibration(
    score: Array, label: Array, units: Array | None, level: float
) -> list[dict[str, Any]]:
    """Return bins of about equal count; rows with one score stay in one bin."""
    if not score.size:
        return []
    edges = np.unique(np.quantile(score, np.linspace(0, 1, CALIBRATION_BINS + 1)))
    places = np.clip(np.searchsorted(edges, score, side="right") - 1, 0, max(edges.size - 2, 0))
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
