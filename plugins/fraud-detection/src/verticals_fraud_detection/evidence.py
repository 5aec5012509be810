"""Set down what fraud's own checks need beside the scores: three tables, without ids.

    fraud.events    day, week, minute, amount, card     one row an audited row, as in `scores`
    fraud.weekly    field, title, bin, label, week, count, effect
    fraud.left_out  field, reason, reference_cost

A column that the contract gives no ground for is absent: no day without a time, no amount without
an amount. Like `scores`, `fraud.events` holds one row an event and stays in the house.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from verticals.contract.model import (
    AMOUNT,
    GROUP,
    MISSING_AMOUNT,
    TIME,
    DataContract,
    Field,
)
from verticals.history import history_features
from verticals.plugin import Model
from verticals.table import Array, Table

MOST_TRAINING_ROWS = 200_000  # of the training part that weeks are held against, evenly spaced
TRAINING = -1  # the week under which they are counted

#: What leaving out the fields that read beyond the unit costs. Measuring it on the private data
#: themselves would be one more release of them.
REFERENCE_COST = (
    "all nine terminal fields together: average precision .655 with them, .633 without, for the "
    "additive network without privacy on simulated payments (benchmarks/fraud_quality.py)"
)
REASON = (
    "reads events beyond one {unit}: under differential privacy with the {unit} as unit, one "
    "{unit}'s events must not change another's features"
)

_MOST_BINS = 10
_MINUTE = np.timedelta64(1, "m")
_DAY = np.timedelta64(1, "D")
#: Of the score; declared, since quantiles of training scores are read from private data.
_SCORE_EDGES = (0.0, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0)


def evidence(model: Model, parts: Mapping[str, Table]) -> Mapping[str, Table]:
    """Return the tables of fraud detection for the audited part `test`.

    Weeks are held against the part `train`; where it or a time is absent, there is no
    `fraud.weekly`.
    """
    contract: DataContract | None = getattr(model, "contract", None)
    audited, train = parts["test"], parts.get("train")
    events = events_table(audited, contract)
    tables = {"fraud.events": events}
    if train is not None and train.rows and "week" in events:
        tables["fraud.weekly"] = weekly_table(model, contract, train, audited, events["week"])
    left_out = left_out_fields(contract)
    if left_out:
        unit = "customer" if contract is None or not contract.group else contract.group
        tables["fraud.left_out"] = left_out_table(left_out, unit=unit)
    return tables


def left_out_fields(contract: DataContract | None) -> tuple[str, ...]:
    """Return the declared history fields that a model's contract lacks: private training's."""
    if contract is None:
        return ()
    declared = tuple(item for item in contract.fields if item.column or item.columns)
    features = history_features(replace(contract, fields=declared))
    if features is None:
        return ()
    kept = {item.name for item in contract.fields}
    return tuple(item.name for item in features.fields if item.name not in kept)


def events_table(audited: Table, contract: DataContract | None) -> Table:
    """Return day, week and minute since the first midnight (UTC), the amount, and the card."""
    found: dict[str, Array] = {}
    time = audited.get(TIME)
    if time is not None and time.size and not np.isnat(time).any():
        start = time.min().astype("datetime64[D]")
        day = ((time - start) // _DAY).astype(np.int64)
        minute = ((time - start) // _MINUTE).astype(np.int64)
        found.update(day=day, week=day // 7, minute=minute)
    if AMOUNT in audited:
        digits = contract.amount.digits if contract is not None and contract.amount else 2
        minor = audited[AMOUNT]
        found["amount"] = np.where(minor == MISSING_AMOUNT, np.nan, minor / 10.0**digits)
    found["card"] = card_codes(audited, contract)
    return Table(found, rows=audited.rows)


def card_codes(table: Table, contract: DataContract | None) -> Array:
    """Return (rows,) running numbers of what alerts are counted by.

    That is the entity that a known fraud retires, else the group, else the row. A row without
    such an entity stands for itself.
    """
    retired = [item.key for item in contract.entities if item.retired] if contract else []
    key = next((name for name in (*retired, GROUP) if name in table), None)
    if key is None:
        return np.arange(table.rows, dtype=np.int64)
    column = table[key]
    names = np.array(
        [
            f"row {place}" if value is None else f"card {value}"
            for place, value in enumerate(column.tolist())
        ]
    )
    return np.asarray(np.unique(names, return_inverse=True)[1], dtype=np.int64)


def weekly_table(
    model: Model, contract: DataContract | None, train: Table, audited: Table, week: Array
) -> Table:
    """Count the fields that the model reads, and its scores, in training and in each week.

    `effect` is the mean design effect of the counts of one field in one week (Rao & Scott, JASA
    76, 1981): by how much the events of one card, which resemble each other, widen their error.
    """
    step = max(1, -(-train.rows // MOST_TRAINING_ROWS))
    train = train.take(slice(0, None, step))
    both = [(train, np.full(train.rows, TRAINING)), (audited, week)]
    owners = [_owner(part, contract) for part, _ in both]
    weeks = np.concatenate([weeks for _, weeks in both])
    owner = np.concatenate([owners[0], owners[1] + owners[0].max(initial=0) + 1])
    titles = {item.name: item.title for item in _inputs(model, contract).values()}
    rows: list[tuple[str, str, int, str, int, int, float]] = []
    for name, labels, place in _binned(model, contract, train, audited):
        for number in np.unique(weeks).tolist():
            here = weeks == number
            count = np.bincount(place[here], minlength=len(labels))
            effect = mean_design_effect(place[here], owner[here])
            rows += [
                (name, titles.get(name, name), at, label, number, int(count[at]), effect)
                for at, label in enumerate(labels)
            ]
    columns = list(zip(*rows, strict=True)) if rows else [()] * 7
    kinds = {"field": object, "title": object, "bin": np.int64, "label": object, "week": np.int64}
    kinds.update(count=np.int64, effect=np.float64)
    return Table(
        {
            name: np.array(column, dtype=kind)
            for (name, kind), column in zip(kinds.items(), columns, strict=True)
        }
    )


def left_out_table(names: Sequence[str], *, unit: str = "person", cost: str = "") -> Table:
    """Return the fields that private training left out, why, and what that costs elsewhere."""
    columns = {
        "field": list(names),
        "reason": [REASON.format(unit=unit)] * len(names),
        "reference_cost": [cost or REFERENCE_COST] * len(names),
    }
    return Table({name: np.array(values, dtype=object) for name, values in columns.items()})


def mean_design_effect(place: Array, owner: Array) -> float:
    """Return Σ over bins of (1 − p) × design effect, over bins − 1; never below 1.

    `place` (rows,) is the bin of each row and `owner` its card; 1 where each card has one row.
    """
    n, bins = place.size, int(place.max(initial=0)) + 1
    code = np.unique(owner, return_inverse=True)[1]
    cards = int(code.max(initial=-1)) + 1
    if cards < 2 or cards == n:
        return 1.0
    counts = np.bincount(code * bins + place, minlength=cards * bins).reshape(cards, bins)
    counts = counts[:, counts.any(axis=0)].astype(np.float64)  # (cards, bins that are used)
    if counts.shape[1] < 2:
        return 1.0
    share, size = counts.sum(axis=0) / n, counts.sum(axis=1)
    spread = ((counts - size[:, None] * share) ** 2).sum(axis=0) / (n * share)
    return max(1.0, float(spread.sum()) / (counts.shape[1] - 1) * cards / (cards - 1))


def _owner(table: Table, contract: DataContract | None) -> Array:
    """Return (rows,) persons or cards, whichever are fewer."""
    card = card_codes(table, contract)
    person = card_codes(table, None)
    return person if np.unique(person).size <= np.unique(card).size else card


def _binned(
    model: Model, contract: DataContract | None, train: Table, audited: Table
) -> Iterator[tuple[str, list[str], Array]]:
    """Yield name, bin labels and (rows,) bins of each field and score, training rows first."""
    inputs = _encoded(model)
    edges: Mapping[str, tuple[float, ...]] = inputs.edges if inputs else {}
    for field in _inputs(model, contract).values():
        if field.columns or field.name not in train or field.name not in audited:
            continue
        column = np.concatenate([train[field.name], audited[field.name]])
        if field.kind == "numeric":
            cuts = edges.get(field.name) or field.bins or field.bounds or ()
            if len(cuts) > 1:
                yield (field.name, *_numbers(column, _thinned(field, cuts)))
        elif field.kind in ("categorical", "ordinal", "boolean"):
            yield (field.name, *_codes(field, column))
    scores = [model.predict(part) for part in (train, audited)]
    for name in scores[0]:
        column = np.concatenate([np.asarray(found[name]) for found in scores])
        if column.dtype.kind == "f" and column.min() >= 0 and column.max() <= 1:
            yield (name, *_numbers(column, _SCORE_EDGES))


def _encoded(model: Model) -> Any:
    """Return what the model's encoder reads, None where it has no encoder of the SDK."""
    return getattr(getattr(model, "encoder", None), "inputs", None)


def _inputs(model: Model, contract: DataContract | None) -> Mapping[str, Field]:
    """Return the fields that the model reads, by name, derived ones included."""
    inputs = _encoded(model)
    declared = contract.inputs if contract is not None else ()
    return inputs.fields if inputs else {field.name: field for field in declared}


def _thinned(field: Field, edges: Sequence[float]) -> tuple[float, ...]:
    """Return at most ten bins: some of the edges there are, or cuts of the declared bounds."""
    if len(edges) == 2:
        low, high = edges
        if field.scale == "log" and low > 0:
            return tuple(np.geomspace(low, high, _MOST_BINS + 1).tolist())
        return tuple(np.linspace(low, high, _MOST_BINS + 1).tolist())
    step = -(-(len(edges) - 1) // _MOST_BINS)
    return tuple(dict.fromkeys((*edges[:-1:step], edges[-1])))


def _numbers(column: Array, edges: Sequence[float]) -> tuple[list[str], Array]:
    """Place numbers in bins; what lies outside is in the first or last, what is missing apart."""
    place = np.searchsorted(np.asarray(edges[1:-1]), column, side="right")
    labels = [f"{low:g} – {high:g}" for low, high in pairwise(edges)]
    return [*labels, "missing"], np.where(np.isnan(column), len(labels), place)


def _codes(field: Field, column: Array) -> tuple[list[str], Array]:
    """Place categories; what was not declared is "other"."""
    if field.kind == "boolean":
        place = np.where(np.isnan(column), 2, column == 1).astype(np.int64)
        return ["no", "yes", "missing"], place
    labels = list(field.category_labels or field.values)
    place = np.where(column < 0, len(labels) + 1, np.minimum(column, len(labels)))
    return [*labels, "other", "missing"], place.astype(np.int64)
