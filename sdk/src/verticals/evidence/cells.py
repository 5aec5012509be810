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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from verticals.errors import EvidenceError
from verticals.evidence.model import EvidenceInfo, OutputInfo
from verticals.table import Array, Table

GROUPS = "group_counts"
SCORES = "score_counts"
CARRIED = ("attributions", "additivity", "shapes")  # sums over all rows; no cell of few persons

BINS = 100
UNIT = 2**20  # scores are summed in steps of 1 / UNIT, so that sums are exact in any order
EDGES: tuple[float, ...] = tuple(number / BINS for number in range(BINS + 1))

DECISION = ("selected", "unselected")
LABEL = ("positive", "negative")
CONFUSION = ("tp", "fp", "fn", "tn")
SUMS = ("sum_score", "sum_sq_residual")
CELLS = ("n", *LABEL, *DECISION, *CONFUSION, *SUMS)

Key = tuple[str, str, str]
_KEYS = ("output", "attribute", "group")


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


def check_raw(info: EvidenceInfo) -> None:
    """Raise `EvidenceError` for evidence that is not in counts, or suppressed, or noised."""
    if info.form != "counts" or info.min_cell is not None or info.noise_epsilon is not None:
        raise EvidenceError(
            f"evidence of {info.part!r} is not in raw counts, expected counts without "
            "suppression or noise",
            hint="count the rows again with min_cell=None",
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


def from_tables(facts: Facts) -> Cells:
    """Return the cells that the tables of some counts hold.

    Raises `EvidenceError` if the tables are not as `to_tables` makes them.
    """
    groups = need(facts, GROUPS, texts=_KEYS, numbers=CELLS)
    scores = need(facts, SCORES, texts=_KEYS, numbers=("lower", *LABEL))
    keys = list(zip(*[groups[name] for name in _KEYS], strict=True))
    values = np.stack([groups[name] for name in CELLS], axis=1).astype(np.float64)
    labels = np.stack([scores[name] for name in LABEL]).astype(np.float64)
    lower = np.rint(np.nan_to_num(np.clip(scores["lower"], 0.0, 1.0)) * BINS).astype(np.int64)
    places: dict[Key, list[int]] = {key: [] for key in keys}
    for place, key in enumerate(zip(*[scores[name] for name in _KEYS], strict=True)):
        places.setdefault(key, []).append(place)
    outputs = [item.name for item in counted_outputs(facts.info)]
    attributes = {"", *(item.name for item in facts.info.attributes)}
    wanted = {(name, *key[1:]) for key in keys for name in outputs}
    if set(places) != wanted or len(keys) != len(wanted) or not {k[1] for k in keys} <= attributes:
        raise EvidenceError(f"{GROUPS} and {SCORES} do not have each group of each output once")
    edges: dict[tuple[str, str], Array] = {}
    for key, where in places.items():
        own = np.append(lower[where], BINS)
        edges.setdefault(key[:2], own)
        if own[0] or (np.diff(own) <= 0).any() or not np.array_equal(own, edges[key[:2]]):
            raise EvidenceError(f"{SCORES} has bins for {key} that are not those of 0 to 1")
    return Cells(
        groups=dict(zip(keys, values, strict=True)),
        edges=edges,
        histograms={key: labels[:, where] for key, where in places.items()},
    )


def need(
    facts: Facts, name: str, *, texts: Sequence[str] = (), numbers: Sequence[str] = ()
) -> Table:
    """Return a table with at least these columns; raise `EvidenceError` if there is none."""
    table = facts.tables.get(name, Table({}))
    for column in (*texts, *numbers):
        kinds = "O" if column in texts else "if"
        if column not in table or table[column].dtype.kind not in kinds:
            kind = "text" if column in texts else "numbers"
            raise EvidenceError(
                f"evidence of {facts.info.part!r} lacks {kind} in column {column!r} of {name}"
            )
    return table


def _key_columns(keys: Sequence[Key]) -> dict[str, Array]:
    columns = np.array(keys, dtype=object).reshape(len(keys), len(_KEYS))
    return {name: columns[:, place] for place, name in enumerate(_KEYS)}
