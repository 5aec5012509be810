"""The saved state of a stream: arrays and JSON, checked as what nobody vouches for."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from verticals.errors import DataError
from verticals.history.define import Plan
from verticals.history.memory import ABSENT, Codes, EntityMemory, Record
from verticals.plugin import State
from verticals.strictjson import shown
from verticals.table import Array

FORMAT = 2
_TIMES = ("forgotten", "clock", "ahead")  # of each memory


def pack(
    plan: Plan,
    memories: Sequence[EntityMemory],
    codes: Mapping[str, Codes],
    counters: Mapping[str, int],
) -> State:
    """Return everything that a stream remembers. Texts are held as UTF-8 and their bounds."""
    tensors: dict[str, Array] = {}
    renumbered: dict[str, Array] = {}
    for other, book in codes.items():
        table = np.full(len(book.uses) + 1, ABSENT, dtype=np.int32)  # the last: of ABSENT itself
        table[list(book.numbers.values())] = np.arange(len(book.numbers))
        renumbered[other] = table
        _pack_texts(tensors, f"other.{other}", book.numbers)
    for memory in memories:
        name, records = memory.plan.entity, list(memory.records.values())
        _pack_texts(tensors, f"{name}.key", memory.records)
        tensors[f"{name}.latest"] = np.array([r.latest for r in records], dtype=np.int64)
        tensors[f"{name}.events"] = np.array([len(r.times) for r in records], dtype=np.int64)
        tensors[f"{name}.time"] = _joined([r.times for r in records], np.int64)
        if memory.plan.reads_amount:
            tensors[f"{name}.amount"] = _joined([r.amounts for r in records], np.int64)
        for place, other in enumerate(memory.plan.distinct):
            column = _joined([r.others[place] for r in records], np.int32)
            tensors[f"{name}.other.{other}"] = renumbered[other][column]
        tensors[f"{name}.labels"] = np.array([len(r.labels) for r in records], dtype=np.int64)
        tensors[f"{name}.label_time"] = _joined([r.label_times for r in records], np.int64)
        tensors[f"{name}.label"] = _joined([r.labels for r in records], np.int8)
    settings = {
        "format": FORMAT,
        "definitions": plan.digest,
        "counters": dict(counters),
        **{
            name: {memory.plan.entity: getattr(memory, name) for memory in memories}
            for name in _TIMES
        },
    }
    return State(tensors=tensors, settings=settings)


def _pack_texts(tensors: dict[str, Array], name: str, texts: Iterable[str]) -> None:
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    tensors[name] = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    tensors[f"{name}.bytes"] = np.array([len(item) for item in encoded], dtype=np.int64)


def _joined(columns: Sequence[array[int]], dtype: type[np.integer[Any]]) -> Array:
    return np.frombuffer(b"".join(column.tobytes() for column in columns), dtype=dtype)


def unpack(
    plan: Plan,
    state: State,
    memories: Sequence[EntityMemory],
    codes: Mapping[str, Codes],
    counters: dict[str, int],
) -> None:
    """Fill the empty memories, codes and counters of a stream from a saved state.

    Raises `DataError` for a state of another version or of other definitions, or a damaged one.
    """
    settings = state.settings
    if settings.get("format") != FORMAT:
        raise DataError(
            f"the saved stream has format {shown(settings.get('format'))}, expected {FORMAT}",
            hint="save it anew with the version of verticals that reads it",
        )
    if settings.get("definitions") != plan.digest:
        raise DataError(
            "the saved stream was made by other definitions of the derived fields",
            hint="restore it with the bundle that it was saved with, or begin an empty stream",
        )
    counters.update(_numbers(settings, "counters", counters))
    entities = [memory.plan.entity for memory in memories]
    times = {name: _numbers(settings, name, entities) for name in _TIMES}
    for other, book in codes.items():
        for text in _texts(state, f"other.{other}"):
            book.take(text, uses=0)
    for memory in memories:
        _unpack_memory(state, memory)
        for name in _TIMES:
            setattr(memory, name, times[name][memory.plan.entity])
    for other, book in codes.items():
        _check(all(book.uses), f"other.{other}")


def _unpack_memory(state: State, memory: EntityMemory) -> None:
    plan, name = memory.plan, memory.plan.entity
    keys = _texts(state, f"{name}.key")
    size = len(keys)
    latest = _tensor(state, f"{name}.latest", np.int64, size)
    ends = _ends(state, f"{name}.events", size)
    label_ends = _ends(state, f"{name}.labels", size)
    times = _tensor(state, f"{name}.time", np.int64, ends[-1])
    label_times = _tensor(state, f"{name}.label_time", np.int64, label_ends[-1])
    labels = _tensor(state, f"{name}.label", np.int8, label_ends[-1])
    _check(bool(((labels == 0) | (labels == 1)).all()), f"{name}.label")
    _check(_rising(times, ends), f"{name}.time")
    _check(_rising(label_times, label_ends), f"{name}.label_time")
    some = np.diff(ends) > 0
    _check(bool((times[ends[1:][some] - 1] <= latest[some]).all()), f"{name}.latest")
    amounts = _tensor(state, f"{name}.amount", np.int64, ends[-1]) if plan.reads_amount else None
    others = []
    for other, book in zip(plan.distinct, memory.codes, strict=True):
        column = _tensor(state, f"{name}.other.{other}", np.int32, ends[-1])
        _check(bool(((column >= ABSENT) & (column < len(book.uses))).all()), f"{name}.other")
        others.append(column)
        for number, uses in enumerate(np.bincount(column[column >= 0], minlength=len(book.uses))):
            book.uses[number] += int(uses)
    for place, key in enumerate(keys):
        record = Record(int(latest[place]), len(others))
        here = slice(ends[place], ends[place + 1])
        told = slice(label_ends[place], label_ends[place + 1])
        _fill(record.times, times[here])
        if amounts is not None:
            _fill(record.amounts, amounts[here])
        for target, column in zip(record.others, others, strict=True):
            _fill(target, column[here])
        _fill(record.label_times, label_times[told])
        _fill(record.labels, labels[told])
        memory.records[key] = record


def _fill(target: array[int], values: Array) -> None:
    target.frombytes(values.tobytes())


def _rising(times: Array, ends: Array) -> bool:
    """Tell whether no time is before the one before it, but at the start of a record."""
    falls = np.flatnonzero(times[1:] < times[:-1]) + 1
    return bool(np.isin(falls, ends).all())


def _ends(state: State, name: str, size: int) -> Array:
    lengths = _tensor(state, name, np.int64, size)
    _check(bool(((lengths >= 0) & (lengths < 2**40)).all()), name)
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])


def _texts(state: State, name: str) -> list[str]:
    lengths = state.tensors.get(f"{name}.bytes")
    ends = _ends(state, f"{name}.bytes", len(lengths) if lengths is not None else 0)
    data = _tensor(state, name, np.uint8, ends[-1]).tobytes()
    try:
        texts = [
            data[first:last].decode("utf-8", "surrogatepass") for first, last in pairwise(ends)
        ]
    except UnicodeDecodeError:
        raise _damaged(name) from None
    _check(len(set(texts)) == len(texts), name)
    return texts


def _tensor(state: State, name: str, dtype: type[np.integer[Any]], size: int) -> Array:
    values = state.tensors.get(name)
    if values is None or values.dtype != dtype or values.shape != (size,):
        raise _damaged(name)
    return values


def _numbers(settings: Mapping[str, Any], name: str, keys: Iterable[str]) -> dict[str, int]:
    values = settings.get(name)
    if not isinstance(values, Mapping) or set(values) != set(keys):
        raise _damaged(name)
    _check(all(type(value) is int for value in values.values()), name)
    return dict(values)


def _check(good: bool, name: str) -> None:
    if not good:
        raise _damaged(name)


def _damaged(name: str) -> DataError:
    return DataError(
        f"the saved stream is damaged at {name}",
        hint="restore an undamaged copy, or begin an empty stream",
    )
