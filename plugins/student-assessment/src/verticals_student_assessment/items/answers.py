"""From a contract's item fields to one block of category codes, in the order of presentation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verticals.contract import DataContract
from verticals.contract.model import Field
from verticals.errors import ContractError
from verticals.table import Array, Table


@dataclass(frozen=True, kw_only=True)
class ItemFields:
    """Hold the names of all items, their number of categories, and where the cut scores stand."""

    fields: tuple[str, ...]
    names: tuple[str, ...]
    categories: Array  # (items,) int64
    cuts: tuple[tuple[str, float], ...] = ()  # the level that is reached, and from where

    @property
    def levels(self) -> tuple[str, ...]:
        """Return the names of the levels, lowest first; empty without cut scores."""
        if not self.cuts:
            return ()
        return (f"below {self.cuts[0][0]}", *(name for name, _ in self.cuts))


def item_fields(contract: DataContract) -> ItemFields:
    """Return the items that a contract declares, in its order.

    Items are ordinal fields with `role: item`: a block of columns, or one column each. Cut scores
    stand in the settings of one of them, `cuts: {basic: -0.5, proficient: 0.6}`, on the scale of
    the ability. Raises `ContractError` where there is no item, one is of another kind, or a cut is
    no number above the one before it.
    """
    chosen = [item for item in contract.fields if item.role == "item"]
    odd = [item.name for item in chosen if item.kind != "ordinal"]
    if odd or not chosen:
        seen = f"field {odd[0]!r} is an item of another kind" if odd else "no field is an item"
        raise ContractError(
            f"{seen}, expected fields with role: item, kind: ordinal and levels",
            hint='items: {columns: "Q*", role: item, kind: ordinal, levels: [0, 1]}',
        )
    names = [name for item in chosen for name in _names(item)]
    counts = [len(item.levels) for item in chosen for _ in _names(item)]
    declared = [item.settings["cuts"] for item in chosen if "cuts" in item.settings]
    return ItemFields(
        fields=tuple(item.name for item in chosen),
        names=tuple(names),
        categories=np.array(counts, dtype=np.int64),
        cuts=_cuts(declared),
    )


def item_codes(table: Table, items: ItemFields) -> Array:
    """Return (rows, items) int8 codes: −1 missing, the number of levels where undeclared."""
    blocks = [np.asarray(table[name]) for name in items.fields]
    wide = [block[:, None] if block.ndim == 1 else block for block in blocks]
    found = np.concatenate(wide, axis=1)
    if found.shape[1] != len(items.names):
        raise ContractError(
            f"the data have {found.shape[1]} items, the contract {len(items.names)}",
            hint="verticals contract check CONTRACT --data DATA",
        )
    return np.asarray(np.clip(found, -1, 127), dtype=np.int8)


def _names(item: Field) -> Sequence[str]:
    return item.columns or (item.column or item.name,)


def _cuts(declared: Sequence[Any]) -> tuple[tuple[str, float], ...]:
    if not declared:
        return ()
    given = declared[0]
    good = len(declared) == 1 and isinstance(given, Mapping) and bool(given)
    cuts = tuple((str(name), value) for name, value in given.items()) if good else ()
    numbers = [
        value
        for _, value in cuts
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    ]
    if not good or len(numbers) < len(cuts) or sorted(set(numbers)) != numbers:
        shown = "declared twice" if len(declared) > 1 else repr(given)
        raise ContractError(
            f"cuts are {shown}, expected names with rising numbers on the scale of ability",
            hint="settings: {cuts: {basic: -0.5, proficient: 0.6}} on one of the item fields",
        )
    return tuple((name, float(value)) for name, value in cuts)
