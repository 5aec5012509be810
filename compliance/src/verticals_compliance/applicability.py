"""Which rules of a policy can speak of a model at all, by what its contract declares.

A rule on the area under the ROC curve says nothing of a model without a binary target. It is set
aside with its reason, and is no finding: were it "not measurable", no audit of an ordinal or a
numeric target could ever end well, and what does matter would drown in what does not.

Only declarations count. A measure that the declarations allow and the evidence lacks stays a
finding, "not measurable".
"""

from __future__ import annotations

from collections.abc import Mapping

from verticals.contract.model import DataContract
from verticals_compliance.policy import Policy, Rule

_OF_BINARY = frozenset(
    {
        "roc_auc",
        "gini",
        "ks",
        "average_precision",
        "brier",
        "log_loss",
        "calibration_slope",
        "calibration_intercept",
        "decision_rate",
        "sensitivity",
        "specificity",
        "precision",
    }
)
_OF_FAVOURABLE = frozenset({"selection_rate", "tpr", "fpr", "ppv"})


def set_aside(policy: Policy, contract: DataContract) -> dict[str, str]:
    """Return the rules that cannot speak of a model, by id, with the reason in words."""
    found = {rule.id: _reason(rule, contract) for rule in policy.rules}
    return {name: reason for name, reason in found.items() if reason}


def _reason(rule: Rule, contract: DataContract) -> str:
    kinds = {target.kind for target in contract.targets}
    place = (rule.section, rule.metric)
    if rule.section == "performance" and rule.metric in _OF_BINARY and "binary" not in kinds:
        return "no target is binary"
    if place == ("fairness", "calibration_gap") and "binary" not in kinds:
        return "no target is binary"
    if rule.section == "fairness" and rule.metric in _OF_FAVOURABLE:
        named = any(target.favourable for target in contract.targets)
        return "" if named or "binary" in kinds else "no target has a favourable outcome"
    if place == ("fairness", "mean_error") and not kinds & {"numeric", "ordinal"}:
        return "no target is a number or a level"
    if place == ("evidence", "events") and not kinds & {"binary", "categorical"}:
        return "no target has two outcomes, or several without an order"
    return ""


def told(reasons: Mapping[str, str], policy: Policy) -> list[dict[str, str]]:
    """Return the rules set aside as `details.json` holds them, in the order of the policy."""
    return [
        {"rule": rule.id, "title": rule.title, "reason": reasons[rule.id]}
        for rule in policy.rules
        if rule.id in reasons
    ]
