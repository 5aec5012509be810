"""Split the rows of a training run, and say how they were split."""

from __future__ import annotations

import dataclasses

import numpy as np

from verticals.contract import DataContract
from verticals.data import Shares, split_notes, split_rows
from verticals.errors import CallError, DataError
from verticals.table import Table


def parts_of(
    table: Table, contract: DataContract, seed: int, shares: Shares, *, private: bool
) -> tuple[dict[str, Table], tuple[str, ...]]:
    """Return the parts, and what a person should know of the split.

    Private training also trains on the validation part, which nothing else would read.
    """
    rows = split_rows(table, contract, seed=seed, shares=shares, independent=private)
    if private:
        rows["train"] = np.sort(np.concatenate([rows["train"], rows["validate"]]))
        rows["validate"] = rows["validate"][:0]
    for name in ("train", "test"):
        if len(rows[name]) == 0 and getattr(shares, name):
            raise DataError(
                f"the part {name!r} has 0 of {table.rows} rows, expected some",
                hint="give more rows, or another --seed or --shares",
            )
    notes = tuple(note.message for note in split_notes(table, contract, rows))
    return {name: table.take(index) for name, index in rows.items()}, notes


def split_contract(contract: DataContract, random_split: int, split_by: str) -> DataContract:
    """Return the contract that says how to split.

    It is without its time if that was asked for twice, or if the solution splits by whole groups.
    """
    if contract.group and split_by == "group":
        return dataclasses.replace(contract, time="")
    if not contract.time or not random_split:
        return contract
    if random_split < 2:
        raise CallError(
            f"contract {contract.name!r} has a time, and --random-split would let the model learn "
            "from events later than those it is tested on",
            hint="leave it out to split by time; give --random-split twice if you mean it",
        )
    return dataclasses.replace(contract, time="")


def split_kind(contract: DataContract, *, private: bool, although: bool) -> str:
    """Name the split by the contract that it went by; `although` the data have a time.

    Under privacy each row, or group, draws its part by itself (see `verticals.data.split`); else
    rows are dealt out by the value of a target with classes, or merely at random without one.
    """
    if contract.time:
        return "time"
    classed = any(target.kind in ("binary", "categorical") for target in contract.targets)
    kind = "group" if contract.group else "stratified" if classed else "random"
    kind = "independent" if private else kind
    return f"{kind}, although there is a time" if although else kind
