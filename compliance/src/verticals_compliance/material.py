"""What an audit measures, read from evidence of either form into the same values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verticals.contract.model import DataContract
from verticals.evidence import Evidence
from verticals_compliance.comparisons import Comparison, comparisons
from verticals_compliance.counts import (
    count_comparisons,
    count_groups,
    count_performance,
    count_predictions,
)
from verticals_compliance.curves import GroupCount, group_counts
from verticals_compliance.performance import flag_rates, performance
from verticals_compliance.policy import Policy
from verticals_compliance.predictions import Predictions, read_predictions
from verticals_compliance.records import PerformanceRow


@dataclass(frozen=True, kw_only=True)
class Material:
    """Hold what was read: predictions for curves, measures, comparisons, counts of groups."""

    predictions: tuple[Predictions, ...]
    performance: tuple[PerformanceRow, ...]
    comparisons: tuple[Comparison, ...]
    groups: tuple[GroupCount, ...]

    @property
    def events(self) -> dict[str, int]:
        """Return how often the rarest outcome of each target with classes occurs, by output."""
        found = {}
        for item in self.predictions:
            if item.target.kind == "numeric":
                continue
            codes = item.outcome[~np.isnan(item.outcome)].astype(np.int64)
            if codes.size:
                classes = 2 if item.target.kind == "binary" else len(item.target.values)
                found[item.output] = int(np.bincount(codes, minlength=classes).min())
        return found


def read_material(evidence: Evidence, contract: DataContract, policy: Policy) -> Material:
    """Read evidence of either form; without scores everything is empty.

    Raises `AuditError` for columns that are not as the evidence should have them.
    """
    level = policy.level
    if evidence.info.form == "counts":
        predictions = count_predictions(evidence, contract)
        return Material(
            predictions=predictions,
            performance=count_performance(evidence, predictions, level),
            comparisons=count_comparisons(evidence, contract),
            groups=count_groups(evidence, contract),
        )
    scores, info = evidence.tables.get("scores"), evidence.info
    if scores is None:
        return Material(predictions=(), performance=(), comparisons=(), groups=())
    predictions = read_predictions(scores, info, contract)
    columns = [
        (attribute, np.array([str(value or "") for value in scores[f"attr:{attribute.name}"]]))
        for attribute in info.attributes
        if f"attr:{attribute.name}" in scores
    ]
    return Material(
        predictions=predictions,
        performance=performance(predictions, level) + flag_rates(scores, info, level),
        comparisons=tuple(
            comparison
            for item in predictions
            for attribute, labels in columns
            for comparison in comparisons(item, attribute, labels, min_cell=policy.min_cell)
        ),
        groups=tuple(
            row
            for attribute, labels in columns
            for item in predictions
            for row in group_counts(item, attribute, labels, min_cell=policy.min_cell)
        ),
    )
