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

from verticals.contract.model import GROUP, DataContract, Target
from verticals.errors import PrivacyError, TrainingError
from verticals.plugin import Columns, Output
from verticals.table import Array, Table

DECISION = "decision"  # the output that every finish gives where the contract decides

_POINTS = 1001  # of the grid on which a private quantile is drawn
_UNIT_RANGE = (0.0, 1.0)


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

        Rows without a score (NaN) count for no share. Raises `TrainingError` if a share is declared
        and the calibration part has no score, `PrivacyError` as `score_range`.
        """
        decision = self.contract.decision
        if decision is None:
            return {}
        if decision.cut is not None:
            return {"cut": decision.cut}
        score = np.asarray(scores[score_name(self.contract)], dtype=np.float64)
        known = ~np.isnan(score)
        score = score[known]
        share = float(decision.rate or 0.0)
        if score.size == 0:
            raise TrainingError(
                f"decision rate {share} needs a calibration part, which has 0 rows with a score",
                hint="give the calibrate part a share, or declare `decision: {cut: …}`",
            )
        if self.epsilon is None:
            return {"cut": float(np.quantile(score, 1.0 - share, method="higher"))}
        persons = table[GROUP][known] if self.contract.group else None
        cut = private_quantile(
            score, 1.0 - share, self.epsilon, persons=persons, bounds=score_range(self.contract)
        )
        return {"cut": cut}

    def apply(self, scores: Columns, settings: Mapping[str, Any]) -> Columns:
        """Return the scores and, where a decision is declared, `decision`.

        It is 1.0 or 0.0, and NaN (undecided) for a row without a score.
        """
        if "cut" not in settings:
            return dict(scores)
        score = np.asarray(scores[score_name(self.contract)], dtype=np.float64)
        decided = np.where(np.isnan(score), np.nan, score >= settings["cut"])
        return {**scores, DECISION: decided}


def score_name(contract: DataContract, target: str = "") -> str:
    """Return the name of a target's score: `score` for a single binary target, else its name.

    That of an ordinal target is its expected step: `<target>_step`.
    """
    if len(contract.targets) == 1 and contract.targets[0].kind == "binary":
        return "score"
    name = target or (contract.decision.target if contract.decision else "")
    ordinal = next((t for t in contract.targets if t.name == name and t.kind == "ordinal"), None)
    return name if ordinal is None else ordinal.step_name


def expected_outputs(target: Target) -> tuple[Output, ...]:
    """Return the outputs that say what is expected of a target beside its probabilities.

    `<target>` for a numeric target, in its unit. For an ordinal one `<target>_step`, counted from
    0, and `<target>`, on the scale of its levels, where these are numbers.
    """
    if target.kind == "numeric":
        return (Output(name=target.name, kind="real", target=target.name),)
    if target.kind != "ordinal":
        return ()
    step = Output(name=target.step_name, kind="ordinal", target=target.name)
    points = Output(name=target.name, kind="real", target=target.name)
    return (points, step) if target.points else (step,)


def score_range(contract: DataContract) -> tuple[float, float]:
    """Return the range of the score that is decided on, from declarations alone.

    0 to 1 for a probability, the declared bounds of a numeric target, 0 to the highest level for an
    ordinal one. Raises `PrivacyError` for a numeric target without bounds: a private quantile needs
    a range that no row decided.
    """
    target = contract.target(contract.decision.target) if contract.decision is not None else None
    if target is None or target.kind in ("binary", "categorical"):
        return _UNIT_RANGE
    if target.kind == "ordinal":
        return 0.0, float(len(target.values) - 1)
    if target.bounds is None:
        raise PrivacyError(
            f"the decision on {target.name!r} is by rate, and the target has no bounds: a private "
            "cut is drawn between declared ones",
            hint=f"declare `bounds: [lowest, highest]` of the target {target.name!r}, or "
            "`decision: {cut: …}`",
        )
    return target.bounds


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
    values: Array,
    share: float,
    epsilon: float,
    *,
    persons: Array | None = None,
    bounds: tuple[float, float] = _UNIT_RANGE,
) -> float:
    """Return an epsilon-differentially private quantile of values in declared bounds.

    Exponential mechanism on a grid of 1,001 points between the bounds with the rank error as its
    loss (Smith 2011, "Privacy-preserving statistical estimation with optimal convergence rates");
    of values beyond the bounds it gives the bound. `persons` says whose each row is: the rows of
    one person then weigh 1 together, so that adding or removing a person (without `persons`, a
    row) moves the rank error of a point by at most 1. Randomness comes from the operating system
    and is stored nowhere.
    """
    grid = np.linspace(*bounds, _POINTS)
    weight = person_weights(len(values), persons)
    order = np.argsort(values, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(weight[order])])
    places = np.asarray(np.searchsorted(values[order], grid, side="right"), dtype=np.int64)
    rank = below[places]
    loss = np.abs(rank - share * below[-1])
    chance = np.exp(-epsilon * (loss - loss.min()) / 2.0)
    uniform = secrets.randbits(53) / 2.0**53
    place = np.searchsorted(np.cumsum(chance) / chance.sum(), uniform, side="right")
    return float(grid[min(int(place), len(grid) - 1)])
