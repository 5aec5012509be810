"""The promise of privacy, and a membership attack held against it.

The attack is the loss threshold (Yeom et al., CSF 2018): rows that the model fits well are called
members of the training part. Evidence holds the histograms of both losses, no row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verticals.errors import AuditError
from verticals.intervals import auc, exact
from verticals.table import Array, Table
from verticals_compliance.records import Attack, PrivacySection

AT_FPR = 0.01
METHOD = "loss threshold, from histograms"


@dataclass(frozen=True, kw_only=True)
class LossHistogram:
    """Hold the loss histogram of training rows and of held-out rows, lowest losses first."""

    lower: Array
    upper: Array
    members: Array  # (bins,) counts
    others: Array  # (bins,)


def privacy_section(
    promise: Mapping[str, Any] | None, membership: Table | None, level: float
) -> PrivacySection:
    """Return what was promised, from the bundle, and the attack, from the evidence."""
    said = promise or {}
    epsilon, delta = _number(said.get("epsilon")), _number(said.get("delta"))
    if said.get("unsafe_noise_seed") is not None:
        epsilon = delta = None  # whoever knows the noise can take it away
    attack = None
    if membership is not None and membership.rows:
        attack = attack_on(loss_histogram(membership), epsilon, delta, level)
    return PrivacySection(
        epsilon=epsilon,
        delta=delta,
        unit=str(said.get("unit", "")),
        accountant=str(said.get("accountant") or ""),
        statement=_statement(said.get("statement", "")),
        attack=attack,
    )


def loss_histogram(table: Table) -> LossHistogram:
    """Return both histograms on their common bins; raise `AuditError` if the bins differ."""
    member = table["member"].astype(bool)
    parts = [table.take(rows) for rows in (member, ~member)]
    parts = [part.take(np.argsort(part["bin"], kind="stable")) for part in parts]
    first, second = parts
    if first.rows != second.rows or not np.array_equal(first["bin"], second["bin"]):
        raise AuditError(
            "evidence table 'membership': members and others have other bins, expected common ones",
            hint="record the evidence again with `verticals train`",
        )
    return LossHistogram(
        lower=first["lower"],
        upper=first["upper"],
        members=first["count"].astype(np.int64),
        others=second["count"].astype(np.int64),
    )


def attack_on(
    found: LossHistogram, epsilon: float | None, delta: float | None, level: float
) -> Attack:
    """Measure the attack: its AUC, and its true positive rate at a false positive rate of 1 %.

    Between two thresholds the attacker tosses a coin, so that every false positive rate can be
    had. The promise is broken where the lower limit of the true positive rate exceeds what it
    allows at the upper limit of the false one (limits as in Jagielski et al., NeurIPS 2020).
    """
    members, others = int(found.members.sum()), int(found.others.sum())
    places = -np.arange(found.members.size, dtype=float)  # a low loss scores high
    area = auc(
        np.concatenate([np.repeat(places, found.members), np.repeat(places, found.others)]),
        np.repeat([1.0, 0.0], [members, others]),
        level=level,
    )
    tpr = rate_at(found, AT_FPR)
    trials = 0 if tpr is None else members
    true = exact((tpr or 0.0) * members, trials, level=level)
    found_attack = Attack(
        method=METHOD,
        members=members,
        others=others,
        auc=area.estimate,
        auc_lower=area.lower,
        auc_upper=area.upper,
        fpr=None if tpr is None else AT_FPR,
        tpr=tpr,
        tpr_lower=true.lower,
        tpr_upper=true.upper,
        bound=None if tpr is None else allowed(AT_FPR, epsilon, delta),
        consistent=None,
    )
    beyond = excess(found_attack, epsilon, delta, level)
    return replace(found_attack, consistent=None if beyond is None else beyond[1] <= 0)


def rate_at(found: LossHistogram, fpr: float) -> float | None:
    """Return the true positive rate at a false one, by straight lines between thresholds.

    Of several thresholds with one false positive rate the best counts.
    """
    points = roc(found)
    if points is None:
        return None
    return float(np.interp(fpr, points[0], points[1]))


def roc(found: LossHistogram) -> tuple[Array, Array] | None:
    """Return false and true positive rates of each threshold, from (0, 0); None if one is empty."""
    members, others = found.members.sum(), found.others.sum()
    if members == 0 or others == 0:
        return None
    false = np.concatenate([[0.0], np.cumsum(found.others) / others])
    true = np.concatenate([[0.0], np.cumsum(found.members) / members])
    return false, true


def allowed(fpr: float, epsilon: float | None, delta: float | None) -> float | None:
    """Return the largest true positive rate that (ε, δ) allows at a false one; None without ε.

    min of 1, e^ε · fpr + δ, and 1 − e^−ε (1 − δ − fpr) (Kairouz, Oh and Viswanath 2015).
    """
    if epsilon is None:
        return None
    slack = delta or 0.0
    other = 1 - math.exp(-epsilon) * (1 - slack - fpr)
    return min(1.0, math.exp(min(epsilon, 700.0)) * fpr + slack, other)


def excess(
    attack: Attack, epsilon: float | None, delta: float | None, level: float
) -> tuple[float, float, float] | None:
    """Return tpr − what is allowed, with limits from the limits of both rates.

    None where there is no promise, or nothing was measured.
    """
    if attack.tpr is None or attack.tpr_lower is None or attack.tpr_upper is None:
        return None
    false = exact((attack.fpr or 0.0) * attack.others, attack.others, level=level)
    limits = [
        allowed(fpr, epsilon, delta)
        for fpr in (attack.fpr, false.upper, false.lower)
        if fpr is not None
    ]
    if len(limits) < 3 or limits[0] is None or limits[1] is None or limits[2] is None:
        return None
    return (
        attack.tpr - limits[0],
        attack.tpr_lower - limits[1],
        attack.tpr_upper - limits[2],
    )


def _number(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) else None


def _statement(said: Any) -> str:
    """Return the statement as one text; a record holds it as a list of sentences."""
    return str(said) if isinstance(said, str) else " ".join(str(sentence) for sentence in said)
