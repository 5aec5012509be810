"""Intervals with a declared coverage: split conformal prediction, each person weighing 1.

A score's error is measured in units of the spread that the model itself expects there (Lei et al.
2018, JASA 113: locally weighted conformal inference), so that intervals are wide where the model
is unsure. The limit is such that, of new persons who come as those of the calibration part did, at
least the declared share has its score inside. With too few persons no limit can be had: it is
infinite, and the interval is the whole scale.
"""

from __future__ import annotations

import math

import numpy as np

from verticals.finish import geometric_noise, person_weights, private_quantile
from verticals.table import Array

MOST = 8.0  # a private limit is looked for below it
_RISK = 0.05  # with which a private limit may be too low
_GRID = 1001  # points of the exponential mechanism
_COUNT_SHARE = 1 / 7  # of epsilon, for the number of persons


def limit(ratio: Array, coverage: float, persons: Array | None = None) -> float:
    """Return the least limit that at least `coverage` of new ratios will not exceed.

    `ratio` (rows,) is the size of each error over its expected spread; `persons` says whose each
    is. With n persons of one row each this is the k-th lowest, k = ceil((n + 1) coverage).

    >>> limit(np.array([0.1, 0.8, 0.4, 0.3]), 0.75), limit(np.array([0.1, 0.8]), 0.75)
    (0.8, inf)
    """
    order = np.argsort(ratio, kind="stable")
    ranked = np.asarray(ratio, dtype=np.float64)[order]
    reached = np.cumsum(person_weights(len(ranked), persons)[order])
    if not len(ranked):
        return math.inf
    enough = np.flatnonzero(reached >= (reached[-1] + 1.0) * coverage - 1e-9)
    return float(ranked[enough[0]]) if len(enough) else math.inf


def private_limit(
    ratio: Array, coverage: float, epsilon: float, persons: Array | None = None
) -> float:
    """Return an epsilon-differentially private limit, higher by what its noise may come to.

    A noisy count of persons and one quantile are bought; ratios above 8 count as 8. Each errs
    beyond what is allowed for with a chance of 5 %.
    """
    own = epsilon * _COUNT_SHARE
    count = float(person_weights(len(ratio), persons).sum())
    count += geometric_noise(own) - math.log(1.0 / _RISK) / own
    error = 2.0 * math.log(_GRID / _RISK) / (epsilon - own) + 1.0  # of the rank
    share = ((count + 1.0) * coverage + error) / count if count > 0 else math.inf
    if share >= 1.0:
        return math.inf
    capped = np.clip(ratio, 0.0, MOST) / MOST
    found = MOST * private_quantile(capped, share, epsilon - own, persons=persons)
    return found if found < MOST else math.inf
