"""Split rows into train, validate, calibrate and test, so that no person or moment leaks.

* A contract with `time`: the oldest rows train, the newest test; equal times stay together. Where
  labels come late, rows whose label was not known when the test begins are in no part, and nor
  are later events of retired entities (see `verticals.data.temporal`).
* A contract with `group`: whole groups, stratified by the label that most of a group's rows have.
* Neither: rows, stratified by the first binary or categorical target.

With both, time decides row by row (a model is then judged on the future, which knows old
customers too), and `split_notes` counts the groups that stand in more than one part.

The split depends on the seed and on the rows, and on their order only where nothing names them:
rows with an id, and groups, go to the same part in whatever order they come.

Private training asks for a split in which one person moves no other (`independent`): a stratified
one reads every label, so that one more row may move others too, and the training parts of two
neighbouring data sets would differ in more than one unit.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from verticals.contract import Note
from verticals.contract.model import GROUP, ID, ROW, TIME, DataContract
from verticals.data.temporal import retired_rows, with_known_labels
from verticals.errors import CallError, DataError
from verticals.table import Array, Table

PARTS = ("train", "validate", "calibrate", "test")
LEFT_OUT = -1  # the part of a row that no part may hold
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Say which share of the rows each part gets; the shares add up to 1, and any may be 0.

    Where the contract names a group, the shares are of groups. Raises `CallError` otherwise.
    """

    train: float = 0.6
    validate: float = 0.1
    calibrate: float = 0.1
    test: float = 0.2

    def __post_init__(self) -> None:
        """Refuse shares that are no shares."""
        shares = dataclasses.astuple(self)
        if not all(0 <= share <= 1 for share in shares) or not math.isclose(sum(shares), 1):
            shown = ", ".join(f"{name} {getattr(self, name)}" for name in PARTS)
            raise CallError(
                f"shares are {shown}, expected numbers from 0 to 1 that add up to 1",
                hint="the default is train 0.6, validate 0.1, calibrate 0.1, test 0.2",
            )


def split(
    table: Table,
    contract: DataContract,
    *,
    seed: int = 0,
    shares: Shares | None = None,
    independent: bool = False,
) -> dict[str, Table]:
    """Return the four parts of a bound table, in the order of `PARTS`; rows keep their order.

    Raises as `split_rows` does.
    """
    rows = split_rows(table, contract, seed=seed, shares=shares, independent=independent)
    return {part: table.take(index) for part, index in rows.items()}


def split_rows(
    table: Table,
    contract: DataContract,
    *,
    seed: int = 0,
    shares: Shares | None = None,
    independent: bool = False,
) -> dict[str, Array]:
    """Return the row index of each part: int64, ascending, no row in more than one part.

    Each row is in exactly one part, but for late labels and retired entities in a split by time.

    Without a time, each stratum (a value of the target; a missing one is a stratum too) differs
    from its share by less than one row, or group, in each part. With `independent` each group, or
    each row (by its id, else by its place), goes to a part by a draw of its own from the seed: no
    label is read, the shares hold on average, and no unit's part depends on any other unit. A
    split by time stays as it is; the times at which its parts begin then count as public.

    Raises `DataError` if there are too few rows, groups or moments for a part with a share, or if
    the contract names a time or group that rows lack, and `CallError` for a seed below 0.
    """
    if seed < 0:
        raise CallError(f"seed is {seed}, expected 0 or more", hint="--seed 0")
    wanted = np.array(dataclasses.astuple(shares or Shares()), dtype=np.float64)
    if contract.time:
        part = _by_time(_column(table, TIME, contract.time), table, wanted)
        part = _as_known(part, table, contract, wanted)
    elif independent:
        part = _drawn(_unit_names(table, contract), seed, wanted)
    elif contract.group:
        part = _by_group(table, contract, wanted, seed)
    else:
        order = _shuffled(table.rows, seed, table.get(ID))
        part = _deal(_strata(table, contract), order, wanted, "row")
    return {name: np.flatnonzero(part == place) for place, name in enumerate(PARTS)}


def split_notes(
    table: Table, contract: DataContract, rows: Mapping[str, Array]
) -> tuple[Note, ...]:
    """Count what a person should know of a split: groups in several parts, rows in none."""
    notes = list(_left_out_notes(table, contract, rows))
    if not contract.group or GROUP not in table:
        return tuple(notes)
    codes, count, missing = _groups(table[GROUP])
    parts = np.zeros((count, len(rows)), dtype=bool)
    for place, index in enumerate(rows.values()):
        parts[codes[index], place] = True
    shared = parts.sum(axis=1) > 1  # (groups,)
    if shared.any():
        total = int(shared.sum())
        message = (
            f"{total} of {count} groups ({contract.group}) have rows in more than one part, "
            "because the split goes by time"
        )
        test = rows.get("test", np.zeros(0, dtype=np.int64))
        if len(test) and len(rows.get("train", ())):
            trained = np.isin(codes[test], codes[rows["train"]])
            message += f"; {trained.mean():.1%} of the test rows are of groups that also train"
        notes.append(Note(kind="shared-group", column=contract.group, count=total, message=message))
    if missing.any():
        total = int(missing.sum())
        message = f"{total} row(s) have no group ({contract.group}) and were kept together as one"
        first = tuple(_row_numbers(table, missing))
        notes.append(
            Note(
                kind="missing-group",
                column=contract.group,
                count=total,
                message=message,
                rows=first,
            )
        )
    return tuple(notes)


def _left_out_notes(
    table: Table, contract: DataContract, rows: Mapping[str, Array]
) -> Iterator[Note]:
    """Say how many rows no part holds, and why."""
    held = np.zeros(table.rows, dtype=bool)
    for index in rows.values():
        held[index] = True
    if held.all() or not contract.time:
        return
    tests = [index for index in rows.values() if len(index)]
    begin = table[TIME][tests[-1]].min()
    for kind, where, why in (
        ("late-label", table[TIME] < begin, "their label was not known when the test begins"),
        ("retired", table[TIME] >= begin, "they are of entities known by then to be compromised"),
    ):
        total = int(np.count_nonzero(~held & where))
        if total:
            message = f"{total} of {table.rows} rows are in no part: {why}"
            yield Note(kind=kind, column=contract.time, count=total, message=message)


def _by_time(time: Array, table: Table, wanted: Array) -> Array:
    """Return the part of each row; a part begins only where the time changes."""
    unknown = np.isnat(time)
    if unknown.any():
        rows = ", ".join(map(str, _row_numbers(table, unknown)))
        raise DataError(
            f"{int(unknown.sum())} row(s) have no time (first: {rows}), expected one in each row "
            "because the contract splits by time",
            hint="fill the times, drop these rows, or take `time:` out of the contract",
        )
    _, moment, counts = np.unique(time, return_inverse=True, return_counts=True)
    used = np.flatnonzero(wanted)
    if len(counts) < len(used):
        raise _too_few(len(counts), "different time", len(used), wanted)
    ends = np.cumsum(counts)  # rows up to and with each moment
    of_moment = np.full(len(counts), used[0])  # the part of each moment
    begin = 0
    for done, place in enumerate(used[:-1], start=1):
        target = wanted[: place + 1].sum() * table.rows
        nearest = int(np.argmin(np.abs(ends - target))) + 1
        begin = min(max(nearest, begin + 1), len(counts) - (len(used) - done))
        of_moment[begin:] = used[done]
    return of_moment[moment]


def _as_known(part: Array, table: Table, contract: DataContract, wanted: Array) -> Array:
    """Take out what was not known at the time: late labels, events of retired entities."""
    used = np.flatnonzero(wanted)
    if len(used) < 2 or not (contract.label_time or contract.label_delay):
        return part
    found = np.where(part == used[-1], part, LEFT_OUT)
    for place, rows in with_known_labels(part, table, contract, wanted):
        found[rows] = place
    found[(part == used[-1]) & retired_rows(table, contract)] = LEFT_OUT
    return found


def _unit_names(table: Table, contract: DataContract) -> list[str]:
    """Name the unit of each row: its group, else its id, else its place in the data as they came.

    The place among the rows that are left would move with each row that is taken out before.
    """
    if contract.group:
        return [f"group {name}" for name in _column(table, GROUP, contract.group).tolist()]
    if ID in table:
        return [f"id {name}" for name in table[ID].tolist()]
    places = table[ROW] - 1 if ROW in table else np.arange(table.rows)
    return [f"row {place}" for place in places.tolist()]


def _drawn(names: list[str], seed: int, wanted: Array) -> Array:
    """Return the part of each row by a hash of the seed and its unit's name."""
    salt = hashlib.blake2b(f"verticals split {seed}".encode()).digest()

    def draw(name: str) -> float:
        digest = hashlib.blake2b(name.encode("utf-8"), key=salt, digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2.0**64

    found = {name: draw(name) for name in set(names)}
    draws = np.fromiter((found[name] for name in names), np.float64, len(names))
    ends = np.cumsum(wanted)
    return np.searchsorted(ends / ends[-1], draws, side="right").clip(max=len(wanted) - 1)


def _by_group(table: Table, contract: DataContract, wanted: Array, seed: int) -> Array:
    codes, count, _ = _groups(_column(table, GROUP, contract.group))
    strata = _strata(table, contract)
    values = int(strata.max(initial=0)) + 1
    held = np.bincount(codes * values + strata, minlength=count * values).reshape(count, values)
    part = _deal(held.argmax(axis=1), _shuffled(count, seed, None), wanted, "group")
    return part[codes]


def _deal(strata: Array, order: Array, wanted: Array, unit: str) -> Array:
    """Deal units to parts, stratum by stratum; what rounding leaves over goes to the next one.

    `strata` is (units,), `order` a permutation of the units; returns the part of each unit.
    """
    count = len(strata)
    part = np.empty(count, dtype=np.int64)
    owed = np.zeros(len(wanted))
    shuffled = strata[order]
    for stratum in np.unique(strata):
        members = order[shuffled == stratum]
        sizes = _rounded(wanted * len(members), owed)
        owed += wanted * len(members) - sizes
        part[members] = np.repeat(np.arange(len(wanted)), sizes)
    if not np.isin(np.flatnonzero(wanted), part).all():  # a part with a share got nothing
        raise _too_few(count, unit, math.ceil(1 / wanted[wanted > 0].min() - 1e-9), wanted)
    return part


def _rounded(exact: Array, owed: Array) -> Array:
    """Round each number down or up, keeping the sum; up where most is owed from before."""
    sizes = np.floor(exact + 1e-9).astype(np.int64)
    left = round(float(exact.sum())) - int(sizes.sum())
    claims = np.where(exact - sizes > 1e-9, owed + exact - sizes, -np.inf)
    sizes[np.argsort(-claims, kind="stable")[:left]] += 1
    return sizes


def _strata(table: Table, contract: DataContract) -> Array:
    """Return a code for the value of the first binary or categorical target; missing is one."""
    for target in contract.targets:
        if target.kind in ("binary", "categorical") and target.name in table:
            values = np.asarray(table[target.name], dtype=np.float64)
            codes = np.unique(values, return_inverse=True)[1]  # NaN is one value
            return codes.astype(np.int64)
    return np.zeros(table.rows, dtype=np.int64)


def _groups(column: Array) -> tuple[Array, int, Array]:
    """Return each row's group code, the number of groups, and which rows have none.

    Rows without a group may all be one person's, so they are one group: then nobody leaks.
    """
    names = [None if name is None or name != name else str(name) for name in column.tolist()]
    found = sorted({name for name in names if name is not None})
    code: dict[str | None, int] = {name: place for place, name in enumerate(found)}
    code[None] = len(found)
    codes = np.fromiter((code[name] for name in names), np.int64, len(names))
    missing = codes == len(found)
    return codes, len(found) + int(missing.any()), missing


def _shuffled(count: int, seed: int, names: Array | None) -> Array:
    """Return a permutation that depends on the seed alone, over names in sorted order if given."""
    # Raw PCG64 words are the same in every version of numpy; shuffles are not promised to be.
    order = np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")
    if names is None:
        return order
    known = ["" if name is None else str(name) for name in names.tolist()]
    return np.array(sorted(range(count), key=known.__getitem__), dtype=np.int64)[order]


def _column(table: Table, name: str, column: str) -> Array:
    if name not in table:
        raise DataError(
            f"the table lacks {name!r}, expected it because the contract names {column!r}",
            hint="split the bound table that comes from verticals.contract.bind",
        )
    return table[name]


def _row_numbers(table: Table, where: Array) -> list[int]:
    index = np.flatnonzero(where)[:_SHOWN]
    numbers = table[ROW][index] if ROW in table else index + 1
    return [int(number) for number in numbers]


def _too_few(found: int, unit: str, needed: int, wanted: Array) -> DataError:
    shares = ", ".join(
        f"{name} {share:g}" for name, share in zip(PARTS, wanted, strict=True) if share
    )
    return DataError(
        f"{found} {unit}(s) are too few for the parts {shares}, expected {needed} or more",
        hint="give more rows, or fewer parts by setting a share to 0",
    )
