"""Splits by time as they must be where labels come late: train | label delay | test.

At the moment a model goes into service it can have learnt only from labels that were known by
then. So the parts that fit it hold no row whose label came later, however old the event is, and
the later events of an entity that was already known to be compromised count in no test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from verticals.contract import microseconds
from verticals.contract.model import LABEL_TIME, TIME, DataContract
from verticals.errors import CallError, DataError
from verticals.table import Array, Table


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Hold the rows of one prequential fold: int64 indices, ascending.

    `train` has the rows of the training window whose labels were known at `test_from`; `test` the
    rows of the test window but for `retired`: later events of entities known to be compromised.
    """

    train: Array
    test: Array
    retired: Array
    train_from: np.datetime64
    test_from: np.datetime64


def prequential_folds(
    table: Table,
    contract: DataContract,
    *,
    train: str,
    test: str,
    delay: str = "",
    folds: int = 4,
    start: np.datetime64 | None = None,
    step: str = "",
) -> tuple[Fold, ...]:
    """Return folds that walk forward in time, oldest first: train | delay | test, then a step on.

    Durations are as in a contract ("7d"). `delay` is the gap between the windows and defaults to
    the contract's label delay; `step` defaults to `test`. The newest fold's training window begins
    at `start`, or so that its test window ends with the data. A row trains only if its label was
    known when the test window begins (Dal Pozzolo et al. 2018, "Credit card fraud detection: a
    realistic modeling and a novel learning strategy").

    Raises `CallError` for impossible numbers and `DataError` where a fold would be empty.
    """
    if folds < 1:
        raise CallError(f"folds is {folds}, expected 1 or more", hint="folds=4")
    time = _times(table, contract)
    gap = delay or contract.label_delay
    learn, wait, judge, ahead = (
        np.timedelta64(microseconds(text) if text else 0, "us")
        for text in (train, gap, test, step or test)
    )
    newest = start
    if newest is None:
        newest = time.max() + np.timedelta64(1, "us") - learn - wait - judge
    newest = newest.astype("datetime64[us]")
    known = label_known(table, contract)
    found = []
    for back in range(folds - 1, -1, -1):
        begin = newest - back * ahead
        test_from = begin + learn + wait
        in_train = (time >= begin) & (time < begin + learn) & (known <= test_from)
        in_test = (time >= test_from) & (time < test_from + judge)
        gone = in_test & retired_rows(table, contract, since=begin)
        fold = Fold(
            train=np.flatnonzero(in_train),
            test=np.flatnonzero(in_test & ~gone),
            retired=np.flatnonzero(gone),
            train_from=begin,
            test_from=test_from,
        )
        for name in ("train", "test"):
            if not len(getattr(fold, name)):
                raise DataError(
                    f"fold {folds - back} of {folds} has no row to {name}, its windows start at "
                    f"{begin} and {test_from}",
                    hint="choose shorter windows, fewer folds, or another start",
                )
        found.append(fold)
    return tuple(found)


def label_known(table: Table, contract: DataContract) -> Array:
    """Return when the label of each row became known: datetime64[us], NaT for never.

    By the contract's label time or delay; without either a label is known at once.
    """
    if LABEL_TIME in table:
        found: Array = table[LABEL_TIME]
        return found
    delay = microseconds(contract.label_delay) if contract.label_delay else 0
    return _times(table, contract) + np.timedelta64(delay, "us")


def labels_as_known(contract: DataContract, table: Table) -> list[tuple[Any, int, float]]:
    """Return (when known, row, label) of the first target; the first to be known is the last.

    So that a stream pops them off as time goes on. Empty where the table has no labels.
    """
    name = contract.targets[0].name if contract.targets else ""
    if name not in table or TIME not in table:
        return []
    known, value = label_known(table, contract), table[name]
    rows = np.flatnonzero(~np.isnan(value) & ~np.isnat(known))
    order = rows[np.argsort(known[rows], kind="stable")]
    return [(known[row], int(row), float(value[row])) for row in order[::-1]]


def retired_rows(
    table: Table, contract: DataContract, *, since: np.datetime64 | None = None
) -> Array:
    """Return which rows are of an entity known, by then, to be compromised: bool of (rows,).

    An entity that the contract declares `retired` counts as known from the first time at which a
    positive label of it was known; `since` leaves older events out of that.
    """
    gone = np.zeros(table.rows, dtype=bool)
    target = next((item for item in contract.targets if item.kind == "binary"), None)
    retired = [item for item in contract.entities if item.retired and item.key in table]
    if target is None or target.name not in table or not retired:
        return gone
    time = _times(table, contract)
    known = label_known(table, contract)
    positive = (table[target.name] == 1) & ~np.isnat(known)
    if since is not None:
        positive &= time >= since
    for entity in retired:
        names = np.array(["" if name is None else name for name in table[entity.key]], dtype=str)
        code = np.unique(names, return_inverse=True)[1]
        never = np.iinfo(np.int64).max
        first = np.full(int(code.max(initial=-1)) + 1, never, dtype=np.int64)
        np.minimum.at(first, code[positive], known[positive].astype(np.int64))
        gone |= (time.astype(np.int64) >= first[code]) & (names != "")
    return gone


def with_known_labels(
    part: Array, table: Table, contract: DataContract, wanted: Array
) -> Iterator[tuple[int, Array]]:
    """Yield (part, rows) for the rows before the last used part whose labels were known by then.

    `part` is (rows,) from a split by time and `wanted` the shares. The rows are dealt again in
    order of time by the shares of the parts before the last, so that a delay empties none.
    """
    last = int(np.flatnonzero(wanted)[-1])
    time = _times(table, contract)
    begin = time[part == last].min()
    usable = np.flatnonzero((part < last) & (label_known(table, contract) <= begin))
    earlier = np.flatnonzero(wanted[:last])
    if len(usable) < len(earlier):
        raise DataError(
            f"{len(usable)} row(s) have a label that was known when the test part begins, "
            f"expected {len(earlier)} or more",
            hint="give a longer period of data, a larger share to train, or a shorter label delay",
        )
    order = usable[np.argsort(time[usable], kind="stable")]
    ends = np.round(np.cumsum(wanted[earlier]) / wanted[earlier].sum() * len(order)).astype(int)
    moments = time[order]  # equal times stay together, in the earlier part
    ends = np.searchsorted(moments, moments[np.maximum(ends, 1) - 1], side="right")
    for place, rows in zip(earlier, np.split(order, ends[:-1]), strict=True):
        yield int(place), rows


def _times(table: Table, contract: DataContract) -> Array:
    if TIME not in table:
        raise DataError(
            f"the table lacks {TIME!r}, expected it because the split goes by {contract.time!r}",
            hint="split the bound table that comes from verticals.contract.bind",
        )
    time: Array = table[TIME]
    return time
