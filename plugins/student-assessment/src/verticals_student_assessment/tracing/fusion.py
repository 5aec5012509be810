"""Late fusion: the rows of one interaction, one a skill, become one prediction, their mean.

A log that repeats an interaction for each of its skills would count it several times, and a
measure over its rows would not be one over answers (late fusion by the mean: pyKT, Liu et al.,
NeurIPS 2022 datasets and benchmarks).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from verticals.table import Array

FEWEST = 10  # persons that a published number rests on
#: From how many earlier answers each stretch of a history begins; the last has no end.
POSITIONS = (0, 1, 5, 10, 20, 40, 80)


def fuse(columns: Mapping[str, Array], interaction: Array) -> dict[str, Array]:
    """Return one value of each column for each interaction: numbers by mean, the rest by the first.

    `interaction` is (rows,) codes from 0. Only floating-point columns count as numbers.
    """
    _, first, code, counts = np.unique(
        interaction, return_index=True, return_inverse=True, return_counts=True
    )
    if len(first) == len(interaction):
        return {name: column[first] for name, column in columns.items()}
    return {
        name: np.bincount(code, column) / counts if column.dtype.kind == "f" else column[first]
        for name, column in columns.items()
    }


def stretch_name(place: int) -> str:
    """Return the name of a stretch of histories: "1–4 earlier answers"."""
    first = POSITIONS[place]
    if place + 1 == len(POSITIONS):
        return f"{first} or more earlier answers"
    last = POSITIONS[place + 1] - 1
    if first == last:
        return "the first answer" if first == 0 else f"{first} earlier answers"
    return f"{first}–{last} earlier answers"


def stretches(position: Array) -> Array:
    """Return (rows,) the place in `POSITIONS` of each number of earlier answers."""
    return np.searchsorted(np.asarray(POSITIONS), position, side="right") - 1
