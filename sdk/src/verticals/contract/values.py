"""Single values of a contract's text: converted, or refused with their line and key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from verticals.contract.canonical import canonical
from verticals.contract.durations import is_duration
from verticals.contract.nodes import Node, short
from verticals.errors import ContractError

Where = tuple[str, ...]  # the keys that lead to a value: ("fields", "age", "bounds")
Convert = Callable[[Node, Where, "Reading"], Any]  # None where the value is refused

_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class Reading:
    """Collect violations while one text is read, and remember the line of every key."""

    def __init__(self) -> None:
        self.lines: dict[Where, int] = {}
        self._found: list[tuple[int, str]] = []
        self._spoilt: set[Where] = set()

    def refuse(self, node: Node, where: Where, message: str) -> None:
        """Record a value that cannot be taken."""
        self._spoilt.add(where)
        self._found.append((node.line, _violation(node.line, where, message)))

    def broken(self, where: Where, message: str) -> None:
        """Record a broken rule, unless the value it speaks of has already been refused."""
        if where in self._spoilt:
            return
        known = next(where[:n] for n in range(len(where), -1, -1) if where[:n] in self.lines)
        line = self.lines[known]
        self._found.append((line, _violation(line, where, message)))

    def spoil(self, where: Where) -> None:
        """Expect no value here: what was meant for it stands under a misspelt key."""
        self._spoilt.add(where)

    def finish(self, source: str) -> None:
        """Raise `ContractError` if anything was found."""
        if not self._found:
            return
        violations = [text for _, text in sorted(self._found, key=lambda item: item[0])]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        raise ContractError(
            f"{source} {violations[0]}{more}",
            hint=f"correct {source}, then: verticals contract check {source} --data DATA",
            violations=violations,
        )


def _violation(line: int, where: Where, message: str) -> str:
    keys = ".".join(key if key.isidentifier() else repr(short(key)) for key in where)
    return f"line {line}, {keys}: {message}" if keys else f"line {line}: {message}"


def choose(text: str, known: Sequence[str]) -> str:
    """Say which of the known words was expected, and the nearest where there is one."""
    near = difflib.get_close_matches(text, known, n=1, cutoff=0.5)
    if near and len(known) > 10:
        return f"expected {near[0]!r}, which is the nearest known one"
    nearest = f"the nearest is {near[0]!r}, " if near else ""
    return f"{nearest}expected one of {', '.join(known)}"


# Converters of single values. Each returns None after it has refused the value.


def as_text(node: Node, where: Where, reading: Reading) -> str | None:
    """Return a text as it is written."""
    if node.kind != "text":
        reading.refuse(node, where, f"is {node.shown}, expected a text")
        return None
    return node.text


def as_value(node: Node, where: Where, reading: Reading) -> str | None:
    """Return the canonical text of a value of the data."""
    text = as_text(node, where, reading)
    return None if text is None else canonical(text)


def as_flag(node: Node, where: Where, reading: Reading) -> bool | None:
    """Return true or false."""
    word = node.text.lower() if node.plain else ""
    if word not in {"true", "false"}:
        reading.refuse(node, where, f"is {node.shown}, expected true or false")
        return None
    return word == "true"


def as_number(node: Node, where: Where, reading: Reading) -> float | None:
    """Return a finite number; a quoted one is a text."""
    if node.plain and _NUMBER.fullmatch(node.text):
        number = float(node.text)
        if abs(number) < float("inf"):
            return number
    if node.plain and (_NUMBER.fullmatch(node.text) or _NOT_FINITE.fullmatch(node.text)):
        reading.refuse(node, where, f"is {node.shown}, expected a finite number")
        return None
    reading.refuse(node, where, f"is {node.shown}, expected a number")
    return None


def as_count(node: Node, where: Where, reading: Reading) -> int | None:
    """Return a whole number."""
    if not (node.plain and _INTEGER.fullmatch(node.text) and len(node.text) < 10):
        reading.refuse(node, where, f"is {node.shown}, expected a whole number")
        return None
    return int(node.text)


def as_duration(node: Node, where: Where, reading: Reading) -> str | None:
    """Return a duration as it is written."""
    if node.kind != "text" or not is_duration(node.text):
        reading.refuse(node, where, f"is {node.shown}, expected such as 30s, 10min, 24h or 7d")
        return None
    return node.text


def one_of(known: Sequence[str]) -> Convert:
    """Return a converter that takes one of the known words."""

    def convert(node: Node, where: Where, reading: Reading) -> str | None:
        if node.kind != "text" or node.text not in known:
            reading.refuse(node, where, f"is {node.shown}, {choose(node.text, known)}")
            return None
        return node.text

    return convert


def list_of(convert: Convert, example: str) -> Convert:
    """Return a converter of a list, each item by the given one; `example` is for messages."""

    def convert_all(node: Node, where: Where, reading: Reading) -> tuple[Any, ...] | None:
        if node.kind != "list":
            reading.refuse(node, where, f"is {node.shown}, expected a list: {example}")
            return None
        values = [convert(item, where, reading) for item in node.items]
        return None if None in values else tuple(values)

    return convert_all


as_numbers = list_of(as_number, "[1, 2, 3]")
as_values = list_of(as_value, "[1, 2, 3]")
as_texts = list_of(as_text, "[one, two]")


def as_pair(node: Node, where: Where, reading: Reading) -> tuple[Any, ...] | None:
    """Return two numbers."""
    numbers: tuple[Any, ...] | None = list_of(as_number, "[lower, upper]")(node, where, reading)
    if numbers is not None and len(numbers) != 2:
        reading.refuse(node, where, f"is {node.shown}, expected [lower, upper]")
        return None
    return numbers


def as_patterns(node: Node, where: Where, reading: Reading) -> tuple[str, ...] | None:
    """Return one pattern or a list of them as a tuple."""
    if node.kind == "text":
        return (node.text,)
    return as_texts(node, where, reading)  # type: ignore[no-any-return]


def as_categories(node: Node, where: Where, reading: Reading) -> tuple[Any, Any] | None:
    """Return (values, labels): a list has no labels, a map gives one to each value."""
    if node.kind != "map":
        values = list_of(as_value, "[a, b], or a map {1: male, 2: female}")(node, where, reading)
        return None if values is None else (values, ())
    values = tuple(as_value(key, where, reading) for key, _ in node.pairs)
    labels = tuple(
        value if label.is_null else as_text(label, where, reading)
        for value, (_, label) in zip(values, node.pairs, strict=True)
    )
    return None if None in values or None in labels else (values, labels)


def as_weights(node: Node, where: Where, reading: Reading) -> Mapping[str, float] | None:
    """Return a map of values to finite numbers."""
    if node.kind != "map":
        reading.refuse(node, where, f"is {node.shown}, expected a map {{value: weight}}")
        return None
    weights = {
        as_value(key, where, reading): as_number(item, where, reading) for key, item in node.pairs
    }
    if None in weights or None in weights.values():
        return None
    if len(weights) < len(node.pairs):
        reading.refuse(node, where, "names a value twice")
        return None
    return MappingProxyType(weights)  # type: ignore[arg-type]


def as_settings(node: Node, where: Where, reading: Reading) -> Mapping[str, Any] | None:
    """Return a map of JSON values; numbers and truth values are plain, text may be quoted."""
    if node.kind != "map":
        reading.refuse(node, where, f"is {node.shown}, expected a map")
        return None
    value = _json(node, where, reading)
    return None if value is None else MappingProxyType(value)


def _json(node: Node, where: Where, reading: Reading) -> Any:
    if node.kind == "list":
        return [_json(item, where, reading) for item in node.items]
    if node.kind == "map":
        keys = [as_text(key, where, reading) for key, _ in node.pairs]
        if len(set(keys)) < len(keys):
            reading.refuse(node, where, "names a key twice")
            return None
        inner = [_json(item, where, reading) for _, item in node.pairs]
        return dict(zip(keys, inner, strict=True))
    if not node.plain:
        return node.text
    if node.is_null or node.text in {"true", "false"}:
        return {"true": True, "false": False}.get(node.text)
    if _INTEGER.fullmatch(node.text) and len(node.text) < 20:
        return int(node.text)
    if _NUMBER.fullmatch(node.text) or _NOT_FINITE.fullmatch(node.text):
        return as_number(node, where, reading)
    return node.text
