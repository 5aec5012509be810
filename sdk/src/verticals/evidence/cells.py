"""The cells that evidence in the form `counts` is made of, and the tables that hold them.

`group_counts`: a row for each output, attribute and group; attribute and group are empty in the
row of all rows together. `n` rows, of which `positive` and `negative` by label (the rest has
none), `selected` and `unselected` by decision (selected: the positive value was decided), and
`tp`, `fp`, `fn`, `tn` where both are known. `sum_score` and `sum_sq_residual` sum score and
(score - label) squared over labelled rows; the sum of labels is `positive`.

`score_counts`: for the same rows, how many labels of each kind have a score in [lower, upper).

A cell is NaN where it is suppressed, or where nothing of its kind was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from verticals.evidence.model import EvidenceInfo, OutputInfo
from verticals.table import Array, Table

GROUPS = "group_counts"
SCORES = "score_counts"
CARRIED = ("attributions", "additivity", "shapes")  # sums over all rows; no cell of few persons

BINS = 100
EDGES: tuple[float, ...] = tuple(number / BINS for number in range(BINS + 1))

DECISION = ("selected", "unselected")
LABEL = ("positive", "negative")
CONFUSION = ("tp", "fp", "fn", "tn")
SUMS = ("sum_score", "sum_sq_residual")
CELLS = ("n", *LABEL, *DECISION, *CONFUSION, *SUMS)

Key = tuple[str, str, str]  # output, attribute, group


class Facts(Protocol):
    """What counts are made from: `Evidence` from a folder, or `Counts`."""

    @property
    def info(self) -> EvidenceInfo:
        """Return what the evidence is of."""
        ...

    @property
    def tables(self) -> Mapping[str, Table]:
        """Return the tables by name."""
        ...


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Hold evidence in the form `counts`, ready for `write_evidence(path, info, tables)`."""

    info: EvidenceInfo
    tables: Mapping[str, Table]


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Hold counts by key: `groups` (cells,) in the order of `CELLS`, and score histograms.

    `edges` are by (output, attribute), the same for every group of it: positions among the
    hundred bins. `histograms` are (2, bins): positive and negative labels.
    """

    groups: Mapping[Key, Array]
    edges: Mapping[tuple[str, str], Array]
    histograms: Mapping[Key, Array]


def counted_outputs(info: EvidenceInfo) -> tuple[OutputInfo, ...]:
    """Return the outputs of which cells are counted: the probabilities of a target's value."""
    kinds = ("binary", "categorical", "ordinal")
    return tuple(
        item
        for item in info.outputs
        if item.kind == "probability" and item.target and item.target_kind in kinds
    )


def to_tables(cells: Cells) -> dict[str, Table]:
    """Return the tables that hold these cells."""
    keys = list(cells.groups)
    values = np.array([cells.groups[key] for key in keys]).reshape(len(keys), len(CELLS))
    bins = [len(cells.edges[key[:2]]) - 1 for key in keys]
    spread = np.repeat(np.arange(len(keys)), bins)
    edges = [cells.edges[key[:2]] for key in keys]
    grid = np.array(EDGES)
    joined = np.concatenate([cells.histograms[key] for key in keys], axis=1)  # (2, all bins)
    return {
        GROUPS: Table(
            {**_key_columns(keys), **{name: values[:, n] for n, name in enumerate(CELLS)}}
        ),
        SCORES: Table(
            {
                **_key_columns([keys[place] for place in spread]),
                "lower": grid[np.concatenate([edge[:-1] for edge in edges])],
                "upper": grid[np.concatenate([edge[1:] for edge in edges])],
                "positive": joined[0],
                "negative": joined[1],
            }
        ),
    }


def from_tables(tables: Mapping[str, Table]) -> Cells:
    """Return the cells that the tables hold."""
    table = tables[GROUPS]
    values = np.stack([table[name] for name in CELLS], axis=1).astype(np.float64)
    groups = dict(zip(_keys(table), values, strict=True))
    scores = tables[SCORES]
    places: dict[Key, list[int]] = {key: [] for key in groups}
    for place, key in enumerate(_keys(scores)):
        places[key].append(place)
    labels = np.stack([scores["positive"], scores["negative"]]).astype(np.float64)
    lower = np.rint(scores["lower"] * BINS).astype(np.int64)
    edges = {key[:2]: np.append(lower[where], BINS) for key, where in places.items()}
    return Cells(
        groups=groups,
        edges=edges,
        histograms={key: labels[:, where] for key, where in places.items()},
    )


def _key_columns(keys: list[Key]) -> dict[str, Array]:
    columns = np.array(keys, dtype=object).reshape(len(keys), 3)
    return {name: columns[:, n] for n, name in enumerate(("output", "attribute", "group"))}


def _keys(table: Table) -> list[Key]:
    return list(zip(table["output"], table["attribute"], table["group"], strict=True))
