"""What a model is held against: the mean of the item, and the best logistic regression.

Best-LR (Gervet, Koedinger, Schneider & Mitchell, Journal of Educational Data Mining 12, 2020):
an intercept for each item and skill, and log(1 + count) of earlier right and wrong answers, in
total, on the question's skills, and on the item. That is Rasch's item difficulties with
performance factors (Pavlik, Cen & Koedinger, AIED 2009), fitted with a ridge of 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, sparse, special

from verticals.contract.model import DataContract
from verticals.table import Array, Table
from verticals_student_assessment.tracing.encoders import SkillsEncoder

COUNTS = tuple(
    f"{what}_{how}" for what in ("student", "skill", "item") for how in ("right", "wrong")
)
_RIDGE = 1.0
_PRIOR = 2.0  # answers at the mean of all items that each item's mean starts from
_MOST_STEPS = 200


@dataclass(frozen=True, kw_only=True)
class ItemMean:
    """Predict the share of right answers to the item; `overall` for an item never seen."""

    share: Array  # (items + 2,), the last for missing items
    overall: float

    def predict(self, item: Array) -> Array:
        """Return (rows,) shares."""
        return np.asarray(self.share[item])


@dataclass(frozen=True, kw_only=True)
class BestRegression:
    """Hold the weights of a fitted best-LR."""

    contract: DataContract
    weights: Array

    def predict(self, table: Table) -> Array:
        """Return (rows,) probabilities of a right answer."""
        return np.asarray(special.expit(_columns(self.contract, table) @ self.weights))


def fit_item_mean(contract: DataContract, table: Table, target: str) -> ItemMean:
    """Return the shares of right answers by item, drawn towards the mean by two answers."""
    label = np.asarray(table[target], dtype=np.float64)
    known = ~np.isnan(label)
    overall = float(label[known].mean()) if known.any() else 0.5
    size = len(contract.field("item").values) + 2
    item = table["item"][known] % size  # -1, missing, is the last
    right, count = np.bincount(item, label[known], size), np.bincount(item, minlength=size)
    share = (right + _PRIOR * overall) / (count + _PRIOR)
    return ItemMean(share=share, overall=overall)


def fit_best_regression(contract: DataContract, table: Table, target: str) -> BestRegression:
    """Fit best-LR to the rows whose answer is known, by L-BFGS; deterministic."""
    label = np.asarray(table[target], dtype=np.float64)
    known = np.flatnonzero(~np.isnan(label))
    x, y = _columns(contract, table.take(known)), label[known]
    held = np.append(np.full(x.shape[1] - 1, _RIDGE), 0.0)  # not the intercept

    def loss(weights: Array) -> tuple[float, Array]:
        odds = x @ weights
        value = float((np.logaddexp(0.0, odds) - y * odds).sum() + (held * weights**2).sum() / 2)
        return value, np.asarray(x.T @ (special.expit(odds) - y) + held * weights)

    found = optimize.minimize(
        loss,
        np.zeros(x.shape[1]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _MOST_STEPS, "ftol": 1e-10},
    )
    return BestRegression(contract=contract, weights=np.asarray(found.x))


def _columns(contract: DataContract, table: Table) -> sparse.csr_matrix:
    """Return item, skills, log counts and a constant, side by side: (rows, columns)."""
    size = len(contract.field("item").values) + 2
    rows = np.arange(table.rows)
    item = sparse.csr_matrix(
        (np.ones(table.rows), (rows, table["item"] % size)), shape=(table.rows, size)
    )
    skills = SkillsEncoder().encode(contract.field("skills"), table["skills"])
    counts = np.column_stack([np.log1p(np.nan_to_num(table[name])) for name in COUNTS])
    one = np.ones((table.rows, 1))
    parts = [item, sparse.csr_matrix(skills), sparse.csr_matrix(counts), sparse.csr_matrix(one)]
    return sparse.csr_matrix(sparse.hstack(parts))
