"""Where a search begins: which values are estimated, and a part of a large set of persons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from verticals.table import Array
from verticals_student_assessment.items.irt.responses import Responses

_LARGE, _PART, _LEAST_IN_PART = 20_000, 5_000, 10  # persons; of a category in the part


def free_values(categories: Array, model: str) -> Array:
    """Return which values are estimated, (items, K + 1) bool."""
    most = int(categories.max())
    free = np.zeros((len(categories), most + 1), dtype=bool)
    free[:, 0] = True
    free[:, 1:-1] = np.arange(1, most) < categories[:, None]
    free[:, -1] = (categories == 2) & (model == "3PL")
    return free


def spaced_part(data: Responses) -> Responses | None:
    """Return evenly spaced persons of a large set, None of a small one.

    They give starting values near the top, so that few passes over everyone are left. None too
    where a category would be lost, whose intercept would run away.
    """
    if len(data.codes) < _LARGE:
        return None
    every = slice(None, None, len(data.codes) // _PART)
    codes = data.codes[every]
    for place, count in enumerate(data.categories):
        used = np.bincount(codes[:, place].astype(np.int64) + 1, minlength=count + 1)[1:]
        if used.min() < _LEAST_IN_PART:
            return None
    return replace(data, codes=codes, weights=data.weights[every])
