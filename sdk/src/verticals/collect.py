"""Collect evidence: score the held-out part once and set down every fact an audit may need.

One function for each named table; the names and columns are those of `docs/reference/evidence.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np

from verticals.contract import group_labels, group_of
from verticals.contract.model import GROUP, DataContract, Field
from verticals.evidence import AttributeInfo, Measurement, OutputInfo
from verticals.explain import Attributions, adverse_sign, principal_reasons
from verticals.plugin import Columns, Output
from verticals.table import Array, Table

PRINCIPAL_REASONS = 4
MOST_EXPLAINED_ROWS = 20_000  # unless the model says how many
_LOSS_BINS = 50
_SCORE_BINS = 10
_MOST_BINS = 20


@runtime_checkable
class Attributes(Protocol):
    """A model that can say what each field added to a score."""

    def attributions(self, table: Table) -> Attributions:
        """Return attributions for every row of a bound table."""
        ...


@runtime_checkable
class Losses(Protocol):
    """A model that can say how badly it fits each row."""

    def row_losses(self, table: Table) -> Array:
        """Return (rows,) losses against the targets in the table."""
        ...


def output_infos(contract: DataContract, outputs: Sequence[Output]) -> tuple[OutputInfo, ...]:
    """Describe output columns in the words of the contract."""
    infos = []
    for output in outputs:
        target = contract.target(output.target) if output.target else None
        infos.append(
            OutputInfo(
                name=output.name,
                kind=output.kind,
                target=output.target,
                target_kind=target.kind if target else "",
                value=output.value,
                positive=target.positive if target else "",
                favourable=target.favourable if target else "",
                meaning=target.meaning if target else "",
            )
        )
    return tuple(infos)


def attribute_infos(contract: DataContract) -> tuple[AttributeInfo, ...]:
    """Describe the protected fields and strata of a contract."""
    return tuple(
        AttributeInfo(
            name=item.name,
            role=item.role,
            label=item.title,
            groups=group_labels(item),
            also_feature=item.also_feature,
        )
        for item in contract.audited
    )


def unit_index(table: Table) -> Array:
    """Return (rows,) person indices: by `@group` where there is one, else one a row."""
    if GROUP not in table:
        return np.arange(table.rows, dtype=np.int64)
    names = np.array([str(value) for value in table[GROUP]], dtype=object)
    return np.asarray(np.unique(names.astype(str), return_inverse=True)[1], dtype=np.int64)


def scores_table(contract: DataContract, table: Table, columns: Columns) -> Table:
    """Return outputs, labels, decision and audited groups of every row; no id, no feature."""
    found: dict[str, Array] = {"unit": unit_index(table)}
    found.update({name: np.asarray(column) for name, column in columns.items()})
    for target in contract.targets:
        if target.name in table:
            found[f"target:{target.name}"] = np.asarray(table[target.name], dtype=np.float64)
    for item in contract.audited:
        if item.name in table:
            found[f"attr:{item.name}"] = group_of(item, table[item.name])
    return Table(found, rows=table.rows)


def attribution_tables(contract: DataContract, found: Attributions) -> dict[str, Table]:
    """Return `attributions` and `additivity`."""
    magnitude = np.abs(found.values)  # (rows, outputs, fields)
    rows = [(output, name) for output in found.outputs for name in found.fields]
    names = [name for _, name in rows]
    error = found.standard_error
    tables = {
        "attributions": Table(
            {
                "output": _text([output for output, _ in rows]),
                "field": _text(names),
                "label": _text([_title(contract, name) for name in names]),
                "protected": np.array([_protected(contract, name) for name in names], dtype=float),
                "n": np.full(len(rows), found.values.shape[0], dtype=np.int64),
                "sum_abs": magnitude.sum(axis=0).reshape(-1),
                "sum_sq": (magnitude**2).sum(axis=0).reshape(-1),
            }
        ),
        "additivity": Table(
            {
                "output": _text(found.outputs),
                "method": _text([found.method] * len(found.outputs)),
                "max_error": np.full(len(found.outputs), found.additivity_error),
                "n": np.full(len(found.outputs), found.values.shape[0], dtype=np.int64),
                "standard_error": np.full(
                    len(found.outputs), np.nan if error is None or not error.size else error.max()
                ),
            }
        ),
    }
    return tables


def adverse_rows(contract: DataContract, decision: Array | None) -> Array | None:
    """Return which rows were decided adversely; None where no decision has reasons."""
    if decision is None or not _has_reasons(contract):
        return None
    return np.asarray(decision == (1.0 if adverse_sign(contract) > 0 else 0.0))


def reasons_table(contract: DataContract, found: Attributions) -> Table:
    """Count how often each field is the first, second, … reason of rows decided adversely."""
    count = min(PRINCIPAL_REASONS, len(found.fields))
    adverse = np.ones(len(found.values), dtype=bool)
    reasons = principal_reasons(found, contract, count=count, adverse=adverse)
    names, ranks, counts = [], [], []
    for rank in range(count):
        seen = np.bincount(reasons.fields[:, rank] + 1, minlength=len(found.fields) + 1)[1:]
        for position in np.flatnonzero(seen):
            names.append(found.fields[position])
            ranks.append(rank + 1)
            counts.append(int(seen[position]))
    return Table(
        {
            "field": _text(names),
            "label": _text([_title(contract, name) for name in names]),
            "protected": np.array([_protected(contract, name) for name in names], dtype=float),
            "rank": np.array(ranks, dtype=np.int64),
            "count": np.array(counts, dtype=np.int64),
        }
    )


def membership_table(members: Array, others: Array) -> Table:
    """Return histograms of the losses of training rows and held-out rows, on common bins."""
    both = np.concatenate([members, others])
    edges = np.unique(np.quantile(both, np.linspace(0.0, 1.0, _LOSS_BINS + 1)))
    if len(edges) < 2:
        edges = np.array([edges[0], edges[0] + 1.0])
    counts = [np.histogram(part, bins=edges)[0] for part in (members, others)]
    bins = len(edges) - 1
    return Table(
        {
            "member": np.repeat([1, 0], bins),
            "bin": np.tile(np.arange(bins), 2),
            "lower": np.tile(edges[:-1], 2),
            "upper": np.tile(edges[1:], 2),
            "count": np.concatenate(counts),
        }
    )


def distribution_table(
    contract: DataContract,
    edges: Mapping[str, tuple[float, ...]],
    train: tuple[Table, Columns],
    audited: tuple[Table, Columns],
) -> Table:
    """Count fields and probabilities in the training and the audited part, on declared bins."""
    parts: list[tuple[str, str, int, int]] = []
    for item in contract.inputs:
        if item.columns or item.name not in train[0] or item.name not in audited[0]:
            continue
        labels, first = _binned(item, train[0][item.name], edges.get(item.name, ()))
        _, second = _binned(item, audited[0][item.name], edges.get(item.name, ()))
        parts += [(item.name, *row) for row in zip(labels, first, second, strict=True)]
    for name in train[1]:
        values = (np.asarray(train[1][name]), np.asarray(audited[1].get(name, np.zeros(0))))
        if name == "decision" or values[0].dtype.kind != "f" or not _in_unit_range(*values):
            continue
        grid = np.linspace(0.0, 1.0, _SCORE_BINS + 1)
        both = [np.histogram(value, bins=grid)[0] for value in values]
        for place in range(_SCORE_BINS):
            label = f"{grid[place]:.1f}–{grid[place + 1]:.1f}"
            parts.append((name, label, int(both[0][place]), int(both[1][place])))
    places: dict[str, int] = {}
    bins = []
    for name, *_ in parts:
        places[name] = places.get(name, -1) + 1
        bins.append(places[name])
    return Table(
        {
            "field": _text([row[0] for row in parts]),
            "bin": np.array(bins, dtype=np.int64),
            "label": _text([row[1] for row in parts]),
            "train": np.array([row[2] for row in parts], dtype=np.int64),
            "audited": np.array([row[3] for row in parts], dtype=np.int64),
        }
    )


def checks_table(measured: Sequence[Measurement]) -> Table:
    """Set down the measurements of plugin checks, as the producer recorded them."""
    texts = ("check", "output", "attribute", "group", "subject", "method")
    numbers = ("estimate", "lower", "upper")
    return Table(
        {
            **{name: _text([getattr(item, name) for item in measured]) for name in texts},
            "n": np.array([item.n for item in measured], dtype=np.int64),
            **{
                name: np.array(
                    [
                        np.nan if (value := getattr(item, name)) is None else value
                        for item in measured
                    ],
                    dtype=np.float64,
                )
                for name in numbers
            },
        },
        rows=len(measured),
    )


def _binned(item: Field, column: Array, edges: tuple[float, ...]) -> tuple[list[str], list[int]]:
    """Count a bound column by declared bins or values; below, above, other and missing apart."""
    if item.kind in ("categorical", "ordinal", "boolean"):
        names = (
            ["no", "yes"] if item.kind == "boolean" else list(item.category_labels or item.values)
        )
        codes = np.where(np.isnan(column), -1, column) if item.kind == "boolean" else column
        counts = np.bincount(np.asarray(codes, dtype=np.int64) + 1, minlength=len(names) + 2)
        return [*names, "other", "missing"], [*map(int, counts[1:]), int(counts[0])]
    if item.kind != "numeric" or len(edges) < 2:
        return [], []
    step = max(1, (len(edges) - 1) // _MOST_BINS)
    grid = np.array([*edges[:-1:step], edges[-1]])
    known = column[~np.isnan(column)]
    clipped = np.clip(known, grid[0], grid[-1])
    counts = np.histogram(clipped, bins=grid)[0]
    labels = [f"{low:g} – {high:g}" for low, high in pairwise(grid)]
    return [*labels, "missing"], [*map(int, counts), int(len(column) - len(known))]


def _in_unit_range(*values: Array) -> bool:
    return all(value.size and value.min() >= 0.0 and value.max() <= 1.0 for value in values)


def _has_reasons(contract: DataContract) -> bool:
    decision = contract.decision
    if decision is None:
        return False
    target = contract.target(decision.target)
    return target.kind == "binary" and bool(target.favourable)


def _title(contract: DataContract, name: str) -> str:
    return next((item.title for item in contract.fields if item.name == name), name)


def _protected(contract: DataContract, name: str) -> bool:
    return any(item.name == name and item.role == "protected" for item in contract.fields)


def _text(values: Sequence[str]) -> Array:
    return np.array(list(values), dtype=object)
