"""Prediction sets with a declared coverage in every class: split conformal prediction.

A set holds each class whose probability reaches a floor of its own. The floor is such that, of
new images of that class, at least the declared share will have the class in their set, whatever
the model is worth, as long as new persons come as those of the calibration part did (Vovk 2012,
arXiv:1209.2673, "Mondrian" or class-conditional sets). Where persons have several images, each
person weighs 1 (Lee, Barber & Willett 2023, arXiv:2306.06342), as images of one person are no
independent evidence. With too few persons of a class no floor can be had: it is 0, and the class is
in every set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from verticals.finish import geometric_noise, person_weights, private_quantile
from verticals.table import Array

ALWAYS = 0.0  # the floor that every probability reaches
# A private floor may lie too high with this chance, for the noise of its count and its own.
_RISK = 0.05
_GRID = 1001  # points of the exponential mechanism
_COUNT_SHARE = 1 / 7  # of epsilon, for the number of persons


def floor(probability: Array, coverage: float, persons: Array | None = None) -> float:
    """Return the largest floor that at least `coverage` of new images will reach.

    `probability` is that of the true class, of calibration images of one class; `persons` says
    whose each is. With n images of n persons this is the k-th lowest, k = floor((n + 1)(1 -
    coverage)), or 0 where k is 0.

    >>> floor(np.array([0.9, 0.2, 0.6, 0.7]), 0.75), floor(np.array([0.9, 0.2]), 0.75)
    (0.2, 0.0)
    """
    order = np.argsort(probability, kind="stable")
    ranked = np.asarray(probability, dtype=np.float64)[order]
    below = np.concatenate([[0.0], np.cumsum(person_weights(len(ranked), persons)[order])])
    # A new person, who may lie below all others, takes the place of one more.
    spare = (below[-1] + 1.0) * (1.0 - coverage) - 1.0
    allowed = np.flatnonzero(below[:-1] <= spare + 1e-9)
    return float(ranked[allowed[-1]]) if len(allowed) else ALWAYS


def private_floors(
    probability: Array, coverages: Sequence[float], epsilon: float, persons: Array | None = None
) -> tuple[float, ...]:
    """Return a floor for each coverage; all of them together are epsilon-differentially private.

    A noisy count of persons and one quantile each are bought. Both err, so each floor is set
    lower by what the errors come to at most, but for a chance of 5 % each: coverage is kept, and
    the price is larger sets.
    """
    own = epsilon * _COUNT_SHARE
    spread = math.log(1.0 / _RISK) / own
    count = person_weights(len(probability), persons).sum() + geometric_noise(own) - spread
    each = (epsilon - own) / len(coverages)
    error = 2.0 * math.log(_GRID / _RISK) / each + 1.0  # of the rank (McSherry & Talwar 2007)
    found = []
    for coverage in coverages:
        share = (count + 1.0) * (1.0 - coverage) - 1.0 - error
        if count <= 0 or share <= 0:
            found.append(ALWAYS)
            continue
        low = private_quantile(probability, share / count, each, persons=persons)
        found.append(low)
    return tuple(found)


def members(probability: Array, floors: Sequence[float]) -> Array:
    """Return (rows, classes) whether each class is in the set; `probability` has that shape."""
    return np.asarray(probability >= np.asarray(floors))
