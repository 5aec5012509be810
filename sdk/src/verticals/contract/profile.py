"""What a raw column holds, as far as a draft of a contract needs to know."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from verticals.contract.canonical import coded
from verticals.contract.notation import Notation, notation_of
from verticals.contract.rules import MAX_VALUE
from verticals.table import Array

FEW = 10  # whole numbers with at most so many values are taken for codes
HUGE = 1e300  # from which a difference of two numbers may overflow
MOST_VALUES = 1000  # of a number, from which they are not listed one by one
MANY = 50  # text with more values than this is no category

_TOKENS = frozenset({"?", "-", ".", "NA", "N/A", "n/a", "na", "null", "NULL", "None", "missing"})
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_CODE = re.compile(r"0[0-9]+")  # a leading zero: a code, whatever a number reader makes of it
_IMAGE = re.compile(r".+\.(png|jpe?g|dcm|tiff?|bmp|webp)", re.IGNORECASE)
_TRUTHS = tuple(map(frozenset, (("true", "false"), ("yes", "no"), ("0", "1"), "yn", "tf")))
_LONG = 8  # words on average, from which text is prose


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Describe one raw column.

    Kinds are those of a field, and: empty, constant, many (text of too many values). `codes`
    gives (rows,) places among the distinct values, -1 where missing. `values` are these values,
    canonical and most frequent first, or nothing where a number has more than 1,000 of them.
    `numbers` is float64 of (rows,) where all values are numbers or times, NaN where missing.
    `notation` says how the values are written where they are numbers or dates of another notation.
    """

    column: str
    kind: str
    codes: Array
    distinct: int = 0
    values: tuple[str, ...] = ()
    numbers: Array | None = None
    missing: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    notation: Notation | None = None

    @property
    def present(self) -> int:
        """Return the number of rows that have a value."""
        return int(np.count_nonzero(self.codes >= 0))

    @property
    def distinct_share(self) -> float:
        """Return distinct values over rows that have a value; 0 where there is none."""
        return self.distinct / self.present if self.present else 0.0

    @property
    def whole(self) -> bool:
        """Tell whether every value is a whole number."""
        return self.numbers is not None and _are_whole(self.numbers)


def profile(name: str, column: Array) -> Profile:
    """Describe a raw column by its values. Numbers of 1e300 and more count as missing here."""
    kind = column.dtype.kind
    none = np.full(column.shape[0], -1, dtype=np.intp)
    if column.ndim > 1:
        many = "image" if column.ndim > 2 else "sequence"
        return Profile(column=name, kind=many, codes=none, shape=column.shape[1:3])
    if kind == "O" and any(isinstance(cell, list | np.ndarray) for cell in column):
        return Profile(column=name, kind="sequence", codes=none)
    if kind == "M":
        seconds = column.astype("datetime64[s]").astype(np.float64)
        return _measured(name, "time", np.where(np.isnat(column), np.nan, seconds))
    if kind in "iuf":
        numbers = column.astype(np.float64)
        finite = np.where(np.abs(numbers) < HUGE, numbers, np.nan)
        measured = _measured(name, "numeric", finite)
        if measured.distinct > MOST_VALUES:
            return measured
        column = finite if kind == "f" else column
    return _listed(name, column)


def _measured(name: str, kind: str, numbers: Array) -> Profile:
    """Describe a column by its numbers alone, without the text of each value."""
    missing = np.isnan(numbers)
    distinct, codes = np.unique(numbers[~missing], return_inverse=True)
    places = np.full(numbers.shape[0], -1, dtype=np.intp)
    places[~missing] = codes
    if len(distinct) < 2:
        kind = "constant" if len(distinct) else "empty"
    return Profile(column=name, kind=kind, codes=places, distinct=len(distinct), numbers=numbers)


def _listed(name: str, column: Array) -> Profile:
    """Describe a column by the list of its values."""
    raw, texts = coded(column)
    sizes = np.bincount(raw, minlength=len(texts))
    counter: Counter[str] = Counter()
    for text, size in zip(texts, sizes.tolist(), strict=True):
        counter[text] += size
    counter.pop("", None)
    tokens = tuple(sorted(_TOKENS & set(counter)))
    numeric = _are_numbers(counter.keys() - _TOKENS)
    for token in tokens if numeric else ():
        del counter[token]
    values = sorted(counter, key=lambda value: (-counter[value], value))
    place = {value: n for n, value in enumerate(values)}
    codes = np.array([place.get(text, -1) for text in texts], dtype=np.intp)[raw]
    numbers = np.array([*map(float, values), np.nan])[codes] if numeric else None
    kind = _kind(values, int(np.count_nonzero(codes >= 0)), numbers)
    foreign = kind in ("categorical", "many", "text") and numbers is None
    return Profile(
        column=name,
        kind=kind,
        codes=codes,
        distinct=len(values),
        values=tuple(values),
        numbers=numbers,
        missing=tokens if numeric else (),
        notation=notation_of(text for text in values if text not in _TOKENS) if foreign else None,
    )


def _are_numbers(values: Collection[str]) -> bool:
    if not values or any(_CODE.fullmatch(value) for value in values):
        return False
    return all(_NUMBER.fullmatch(value) and abs(float(value)) < HUGE for value in values)


def _are_whole(numbers: Array) -> bool:
    return bool(np.all(np.isnan(numbers) | (numbers == np.floor(numbers))))


def _kind(values: Sequence[str], present: int, numbers: Array | None) -> str:
    if len(values) < 2:
        return "constant" if values else "empty"
    if len(values) == 2 and {value.lower() for value in values} in _TRUTHS:
        return "boolean"
    if numbers is not None:
        few = len(values) == 2 or (len(values) <= FEW and _are_whole(numbers))
        return "categorical" if few and max(map(len, values)) <= MAX_VALUE else "numeric"
    if all(map(_is_time, values)):
        return "time"
    if all(_IMAGE.fullmatch(value) for value in values):
        return "image"
    prose = np.mean([value.count(" ") for value in values]) >= _LONG and len(values) > FEW
    if prose or max(map(len, values)) > MAX_VALUE:
        return "text"
    # A value for every second row, say, is no category however small the file is.
    return "categorical" if len(values) <= min(MANY, max(FEW, present // 2)) else "many"


def _is_time(text: str) -> bool:
    if len(text) < 8 or text.isdigit():
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
