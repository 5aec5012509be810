"""Hold data against a contract: source columns become contract names, or every violation."""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np

from verticals.contract.columns import (
    Log,
    Note,
    bind_boolean,
    bind_coded,
    bind_image,
    bind_numeric,
    bind_sequence,
    bind_target,
    bind_text,
    bind_time,
    is_flat,
    read_times,
)
from verticals.contract.events import (
    absent,
    bind_amount,
    bind_entity,
    bind_label_time,
    check_order,
    check_owned,
    keyed,
    unlabelled_times,
)
from verticals.contract.model import (
    AMOUNT,
    GROUP,
    ID,
    LABEL_TIME,
    ROW,
    TIME,
    DataContract,
    Field,
)
from verticals.errors import ContractError
from verticals.table import Array, Table

Read = Callable[[Array, str, Log], Array]  # (column, its source name, log) -> bound column

_READERS: Mapping[str, Callable[[Field, Array, str, Log], Array]] = MappingProxyType(
    {
        "numeric": bind_numeric,
        "categorical": bind_coded,
        "ordinal": bind_coded,
        "boolean": bind_boolean,
        "time": bind_time,
        "text": bind_text,
        "image": bind_image,
        "sequence": bind_sequence,
    }
)


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Hold a table under contract names, and counted notes on what was odd in it."""

    table: Table
    notes: tuple[Note, ...]


def resolve(contract: DataContract, column_names: Iterable[str]) -> DataContract:
    """Return the contract with concrete column names in place of the patterns of its blocks.

    Columns come in the order of `column_names`. A pattern that is itself the name of a column
    stands for that column only, so that a resolved contract resolves to itself.

    Raises `ContractError` if a pattern matches no column, or one that another part reads.
    """
    names = tuple(column_names)
    violations = _overlaps(contract, names)
    fields = []
    for field in contract.fields:
        found = _matches(field, names)
        if field.columns and not found and field.role != "ignore":
            violations.append(_no_match(field))
        block = bool(field.columns and found)
        fields.append(dataclasses.replace(field, columns=found) if block else field)
    if violations:
        raise _refusal(contract, violations)
    return dataclasses.replace(contract, fields=tuple(fields))


def bind(
    contract: DataContract, raw: Table, *, targets: bool = True, audited: bool = True
) -> Bound:
    """Return the rows under contract names and types; nothing is changed on disk or in `raw`.

    `raw` has the source's column names; a column `@row` in it gives source row numbers, else
    rows count from 1. The inputs of the model must be there; with `targets` also targets, id,
    group and time; with `audited` also protected fields and strata. What is not required is bound
    where it is present and fits, and noted where it does not fit. The bound table holds

    * numeric and boolean: float64, NaN where missing, unclipped
    * categorical, ordinal: int32 codes into `field.values`, -1 missing, `len(values)` undeclared
    * time: datetime64[us] in UTC; text: object; image: paths or pixels; sequence: numbers
    * a block: one array of (rows, columns)
    * targets: float64, NaN where missing; `@id`, `@group`, `@time`, and `@row`
    * events: `@ENTITY` texts, None where missing; `@amount` int64 minor units; `@label_time`

    What a history reads (entities, amount, time) is an input of the model, and so required.

    Raises `ContractError` that lists every violation: the column, row numbers, values seen and
    what was expected.
    """
    if raw.rows == 0:
        what = "the data have a header but no rows" if len(raw) else "the data are empty"
        raise _refusal(contract, [f"{what}, expected at least one row"])
    log = Log(raw[ROW] if ROW in raw else np.arange(1, raw.rows + 1, dtype=np.int64))
    log.violations += _overlaps(contract, tuple(raw))
    bound: dict[str, Array] = {}
    for field in contract.fields:
        required = field.is_input or (audited and field.role in ("protected", "stratum"))
        if field.columns:
            _bind_block(field, raw, required, log, bound)
        elif field.column:
            read = partial(_READERS[field.kind], field)
            flat = field.kind not in ("image", "sequence")
            _bind_column(field.name, field.column, read, raw, required, log, bound, flat=flat)
    for target in contract.targets:
        read = partial(bind_target, target)
        _bind_column(target.name, target.column, read, raw, targets, log, bound)
    history = any(item.history is not None for item in contract.entities)
    for name, column, read_key, required in (
        (ID, contract.id, _read_id, targets),
        (GROUP, contract.group, _read_group, targets),
        (TIME, contract.time, _read_time, targets or history),
    ):
        if column:
            _bind_column(name, column, partial(read_key, required), raw, required, log, bound)
    _bind_events(contract, raw, targets, log, bound)
    if log.violations:
        raise _refusal(contract, log.violations)
    return Bound(table=Table({**bound, ROW: log.rows}), notes=tuple(log.notes))


def _bind_events(
    contract: DataContract, raw: Table, targets: bool, log: Log, bound: dict[str, Array]
) -> None:
    """Add entities, amount and label times, and hold them against one another."""
    counted = {name for item in contract.entities if item.history for name in item.history.distinct}
    for entity in contract.entities:
        required = targets or entity.history is not None or entity.name in counted
        _bind_column(entity.key, entity.column, bind_entity, raw, required, log, bound)
        if entity.owned and targets and entity.key in bound and GROUP in bound:
            check_owned(bound[entity.key], bound[GROUP], entity.column, contract.group, log)
    amount = contract.amount
    if amount is not None:
        currency = amount.currency_column
        if currency and currency not in raw:
            log.violations.append(_missing(currency, "the currency", raw))
        read = partial(bind_amount, amount, raw.get(currency))
        _bind_column(AMOUNT, amount.column, read, raw, True, log, bound)
    if contract.label_time:
        known = contract.label_time
        _bind_column(LABEL_TIME, known, bind_label_time, raw, targets, log, bound)
    if TIME in bound and (contract.entities or contract.label_time):
        names = (contract.time, contract.label_time)
        check_order(bound[TIME], bound.get(LABEL_TIME), names, log)
    if LABEL_TIME in bound and contract.targets and contract.targets[0].name in bound:
        labels = bound[contract.targets[0].name]
        unlabelled_times(labels, bound[LABEL_TIME], contract.label_time, log)


def _bind_column(
    name: str,
    column: str,
    read: Read,
    raw: Table,
    required: bool,
    log: Log,
    bound: dict[str, Array],
    *,
    flat: bool = True,
) -> None:
    """Add one bound column, or a violation; a note where it does not fit and is not required."""
    if column not in raw:
        if required:
            log.violations.append(_missing(column, name, raw))
        return
    own = Log(log.rows)
    if not flat or is_flat(raw[column], column, own):
        values = read(raw[column], column, own)
    _settle(name, column, own, required, log)
    if not own.violations:
        bound[name] = values


def _bind_block(
    field: Field, raw: Table, required: bool, log: Log, bound: dict[str, Array]
) -> None:
    """Add one array of (rows, columns) for a block."""
    found = _matches(field, tuple(raw))
    absent = [] if found else [_no_match(field)]
    absent += [_missing(name, field.name, raw) for name in field.columns if _is_lost(name, raw)]
    if absent:
        log.violations += absent if required else []
        return
    # A sequence that lies in columns is numbers side by side.
    read = bind_numeric if field.kind == "sequence" else _READERS[field.kind]
    own = Log(log.rows)
    flat = [name for name in found if is_flat(raw[name], name, own)]
    columns = [read(field, raw[name], name, own) for name in flat]
    _settle(field.name, ", ".join(field.columns), own, required, log)
    if not own.violations:
        bound[field.name] = np.stack(columns, axis=1)  # (rows, columns)


def _settle(name: str, column: str, own: Log, required: bool, log: Log) -> None:
    if required or not own.violations:
        log.violations += own.violations
        log.notes += own.notes
        return
    message = f"does not fit {name}, which is not needed here: left out"
    log.notes.append(Note(kind="unused", column=column, count=len(log.rows), message=message))


def _read_id(required: bool, column: Array, name: str, log: Log) -> Array:
    ids, codes = keyed(column)
    repeated = np.ones(codes.shape[0], dtype=bool)
    repeated[np.unique(codes, return_index=True)[1]] = False
    missing = absent(ids)
    log.note_rows("missing-id", name, missing, "without an id")
    if required:
        expected = "an id that an earlier row has, expected one row for each id"
        log.refuse_rows(name, repeated & ~missing, expected)
    else:
        log.note_rows("duplicated-id", name, repeated & ~missing, "with the id of an earlier row")
    return ids


def _read_group(required: bool, column: Array, name: str, log: Log) -> Array:
    groups, _ = keyed(column)
    if required:
        expected = "no value, expected the group of every row"
        log.refuse_rows(name, absent(groups), expected)
    return groups


def _read_time(required: bool, column: Array, name: str, log: Log) -> Array:
    times = read_times(column, name, (), log)
    if required and not log.violations:
        log.refuse_rows(name, np.isnat(times), "no value, expected the time of every row")
    return times


def _matches(field: Field, names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a block: in the order of its patterns, then of the data."""
    found: dict[str, None] = {}
    for pattern in field.columns:
        exact = pattern in names
        found |= dict.fromkeys(
            name
            for name in names
            if (name == pattern if exact else fnmatch.fnmatchcase(name, pattern))
        )
    return tuple(found)


def _is_lost(pattern: str, raw: Table) -> bool:
    """Tell whether a block names a column, not a pattern, that is not there."""
    return pattern not in raw and not any(sign in pattern for sign in "*?[")


def _overlaps(contract: DataContract, names: Sequence[str]) -> list[str]:
    """Return a violation for each column that a block's pattern takes from another part."""
    owner = {target.column: f"target {target.name}" for target in contract.targets}
    owner |= {field.column: f"field {field.name}" for field in contract.fields if field.column}
    owner |= {getattr(contract, key): f"the {key}" for key in ("id", "group")}
    owner |= {entity.column: f"entity {entity.name}" for entity in contract.entities}
    violations = []
    for field in contract.fields:
        for column in _matches(field, names) if field.columns else ():
            if column in owner:
                message = f"is matched by block {field.name} and read by {owner[column]}"
                violations.append(f"column {column!r} {message}: write a narrower pattern")
            owner.setdefault(column, f"block {field.name}")
    return violations


def _missing(column: str, name: str, raw: Table) -> str:
    plain = {name.strip().casefold(): name for name in raw}
    same = plain.get(column.strip().casefold())
    near = difflib.get_close_matches(column, list(raw), n=1, cutoff=0.6)
    nearest = f"; the nearest is {near[0]!r}" if near else ""
    nearest = f"; did you mean {same!r}?" if same is not None else nearest
    return f"column {column!r} (for {name}) is missing{nearest}"


def _no_match(field: Field) -> str:
    patterns = ", ".join(map(repr, field.columns))
    return f"no column matches {patterns} (for the block {field.name})"


def _refusal(contract: DataContract, violations: Sequence[str]) -> ContractError:
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return ContractError(
        f"the data do not fit contract {contract.name!r}: {violations[0]}{more}",
        hint="`verticals contract check CONTRACT --data DATA` lists everything that was found",
        violations=violations,
    )
