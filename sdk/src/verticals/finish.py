"""The default finish: a decision by a declared cut, or by a declared share of the rows.

A share needs a threshold that is fitted on the calibration part. Under privacy that threshold is
bought by the exponential mechanism. Where the calibration part holds other persons than the
training part, the two compose in parallel (McSherry 2009) and each may spend the whole epsilon;
where a split by time leaves persons in both, they compose sequentially and share it.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from verticals.contract.model import GROUP, DataContract
from verticals.errors import TrainingError
from verticals.plugin import Columns, Output
from verticals.table import Array, Table

_GRID = np.linspace(0.0, 1.0, 1001)


@dataclass(frozen=True, kw_only=True)
class DecisionFinish:
    """Add `decision` (1 where the positive value is decided) to the scores of a contract."""

    outputs: tuple[Output, ...]
    contract: DataContract
    epsilon: float | None = None

    @property
    def fits_on_data(self) -> bool:
        """Tell whether `fit` reads the calibration part."""
        return self.contract.decision is not None and self.contract.decision.rate is not None

    def fit(self, scores: Columns, table: Table) -> Mapping[str, Any]:
        """Return `{"cut": …}`: the declared one, or the one that decides the declared share.

        Raises `TrainingError` if a share is declared and the calibration part is empty.
        """
        decision = self.contract.decision
        if decision is None:
            return {}
        if decision.cut is not None:
            return {"cut": decision.cut}
        score = np.asarray(scores[score_name(self.contract)], dtype=np.float64)
        share = float(decision.rate or 0.0)
        if score.size == 0:
            raise TrainingError(
                f"decision rate {share} needs a calibration part, which has 0 rows",
                hint="give the calibrate part a share, or declare `decision: {cut: …}`",
            )
        if self.epsilon is None:
            return {"cut": float(np.quantile(score, 1.0 - share, method="higher"))}
        persons = table[GROUP] if self.contract.group else None
        return {"cut": private_quantile(score, 1.0 - share, self.epsilon, persons=persons)}

    def apply(self, scores: Columns, settings: Mapping[str, Any]) -> Columns:
        """Return the scores and, where a decision is declared, `decision` (1.0 or 0.0)."""
        if "cut" not in settings:
            return dict(scores)
        score = np.asarray(scores[score_name(self.contract)])
        return {**scores, "decision": (score >= settings["cut"]).astype(np.float64)}


def score_name(contract: DataContract, target: str = "") -> str:
    """Return the name of a target's score: `score` for a single binary target, else its name."""
    if len(contract.targets) == 1 and contract.targets[0].kind == "binary":
        return "score"
    return target or (contract.decision.target if contract.decision else "")


def shares_persons(contract: DataContract) -> bool:
    """Tell whether training and calibration part may hold rows of the same person."""
    return bool(contract.time and contract.group)


def person_weights(rows: int, persons: Array | None) -> Array:
    """Return (rows,) weights that add up to 1 for each person; `persons` says whose each row is."""
    if persons is None or not rows:
        return np.ones(rows)
    owner: Array = np.unique(persons.astype(str), return_inverse=True)[1]
    return np.asarray(1.0 / np.bincount(owner)[owner])


def geometric_noise(epsilon: float) -> int:
    """Draw two-sided geometric noise, which makes a count of sensitivity 1 epsilon-private.

    Ghosh, Roughgarden & Sundararajan, STOC 2009; from the operating system, stored nowhere.
    """
    return _steps(epsilon) - _steps(epsilon)


def _steps(epsilon: float) -> int:
    uniform = (secrets.randbits(53) + 1) / 2.0**53  # above 0, at most 1
    return math.floor(math.log(uniform) / -epsilon)


def private_quantile(
    values: Array, share: float, epsilon: float, *, persons: Array | None = None
) -> float:
    """Return an epsilon-differentially private quantile of values in [0, 1].

    Exponential mechanism on a grid of 1,001 points with the rank error as its loss (Smith 2011,
    "Privacy-preserving statistical estimation with optimal convergence rates"). `persons` says
    whose each row is: the rows of one person then weigh 1 together, so that adding or removing a
    person (without `persons`, a row) moves the rank error of a point by at most 1. Randomness
    comes from the operating system and is stored nowhere.
    """
    weight = person_weights(len(values), persons)
    order = np.argsort(values, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(weight[order])])
    places = np.asarray(np.searchsorted(values[order], _GRID, side="right"), dtype=np.int64)
    rank = below[places]
    loss = np.abs(rank - share * below[-1])
    chance = np.exp(-epsilon * (loss - loss.min()) / 2.0)
    uniform = secrets.randbits(53) / 2.0**53
    place = np.searchsorted(np.cumsum(chance) / chance.sum(), uniform, side="right")
    return float(_GRID[min(int(place), len(_GRID) - 1)])
