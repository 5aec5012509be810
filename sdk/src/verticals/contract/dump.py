"""Write a contract as YAML that people read, with stable bytes, and its digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields as keys_of
from types import MappingProxyType
from typing import Any

from verticals.contract.model import (
    Amount,
    DataContract,
    Decision,
    Entity,
    Field,
    History,
    Target,
)
from verticals.contract.rules import plain_number

_DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "role": "feature",
        "scale": "linear",
        "late_events": "refuse",
        "unknown": "refuse",
        "digits": 2,
        "cap": 500,
    }
)
_NO_COMMENTS: Mapping[tuple[str, ...], str] = MappingProxyType({})
_CANONICAL_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?")
_NUMBER_LIKE = re.compile(r"[-+.0-9][0-9_.,eExXoO+-]*")
_PLAIN = re.compile(r"\w([\w ./$%()*@=<>;~^+-]*[\w./$%()*@=<>;~^+-])?")
# Words that some reader of YAML takes for something else than text.
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_LONGEST_KEY = 100  # YAML wants a mark before a longer one


def dump_contract(contract: DataContract) -> str:
    """Return the contract as YAML; `parse_contract` gives an equal contract back.

    Keys come in a fixed order and defaults are left out, so that equal contracts have equal
    bytes. The contract is not validated (see `validate_contract`).
    """
    return render(contract)


def contract_digest(contract: DataContract) -> str:
    """Return "sha256:" and the hexadecimal SHA-256 of `dump_contract` in UTF-8.

    Comments, layout and the order of keys in a file do not change it; any value does.
    """
    return "sha256:" + hashlib.sha256(dump_contract(contract).encode()).hexdigest()


def render(contract: DataContract, comments: Mapping[tuple[str, ...], str] = _NO_COMMENTS) -> str:
    """Return the contract as YAML with a comment beside each key path that `comments` names."""
    lines: list[str] = []
    for key in ("solution", "name", "description", "source", "licence", "id", "group", "time"):
        value = getattr(contract, key)
        if value or key in ("solution", "name"):
            lines.append(_line(key, _text(value), comments.get((key,))))
    if contract.entities:
        lines.append("entities:")
    for entity in contract.entities:
        lines += _item("entities", entity.name, _written(entity), comments)
    if contract.amount:
        inner = _flow_map(dict(_written(contract.amount)))
        lines.append(_line("amount", inner, comments.get(("amount",))))
    for key in ("label_time", "label_delay", "late_events"):
        if not _is_open(key, getattr(contract, key)):
            lines.append(_line(key, _text(getattr(contract, key)), comments.get((key,))))
    if contract.targets:
        lines.append("targets:")
    for target in contract.targets:
        lines += _item("targets", target.name, _written(target), comments)
    if contract.decision:
        inner = _flow_map(dict(_written(contract.decision)))
        lines.append(_line("decision", inner, comments.get(("decision",))))
    lines.append("fields:" if contract.fields else "fields: {}")
    for field in contract.fields:
        lines += _item("fields", field.name, _written(field), comments)
    return "\n".join(lines) + "\n"


def flow_line(name: str, item: Field) -> str:
    """Return a field as one line of YAML: `income: {column: INCOME, kind: numeric, …}`."""
    return f"{_text(name)}: {_flow_map(dict(_written(item)))}"


def _item(
    room: str,
    name: str,
    written: Sequence[tuple[str, str]],
    comments: Mapping[tuple[str, ...], str],
) -> list[str]:
    head = _line(f"  {_text(name)}", "", comments.get((room, name)))
    body = [_line(f"    {key}", text, comments.get((room, name, key))) for key, text in written]
    return [head, *body]


def _line(key: str, value: str, comment: str | None) -> str:
    line = f"{key}: {value}" if value else f"{key}:"
    return f"{line}  # {comment}" if comment else line


def _written(item: Field | Target | Decision | Entity | Amount | History) -> list[tuple[str, str]]:
    """Return (key, YAML of its value) for what differs from the default."""
    written: list[tuple[str, str]] = []
    for key in keys_of(item):
        value = getattr(item, key.name)
        if key.name in ("name", "category_labels") or _is_open(key.name, value):
            continue
        if key.name == "categories" and isinstance(item, Field) and item.category_labels:
            pairs = zip(item.categories, item.category_labels, strict=True)
            written.append((key.name, _flow_map({_value(k): _text(label) for k, label in pairs})))
        else:
            written.append((key.name, _WRITERS[key.name](value)))
    if isinstance(item, Field) and not (item.column or item.columns or item.reads):
        written.append(("reads", "[]"))  # a derived field that reads no entity
    return sorted(written, key=lambda pair: _ORDER.index(pair[0]))


def _is_open(key: str, value: Any) -> bool:
    if key in _DEFAULTS:
        return bool(value == _DEFAULTS[key])
    return value is None or value is False or (not isinstance(value, float) and not value)


def _text(text: str) -> str:
    """Return a YAML scalar for a text: plain where no reader can take it for anything else."""
    plain = _PLAIN.fullmatch(text) and text.isprintable()
    if plain and text.lower() not in _WORDS and not _NUMBER_LIKE.fullmatch(text):
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x100:
        return {"\n": "\\n", "\t": "\\t"}.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _value(value: str) -> str:
    """Return a YAML scalar for a canonical value: numbers and truth values stay plain."""
    if value in ("true", "false") or _CANONICAL_NUMBER.fullmatch(value):
        return value
    return _text(value)


def _flow(items: Sequence[str]) -> str:
    return "[" + ", ".join(items) + "]"


def _flow_map(pairs: Mapping[str, str]) -> str:
    marked = (
        (f"? {key} " if len(key) > _LONGEST_KEY else key, value) for key, value in pairs.items()
    )
    return "{" + ", ".join(f"{key}: {value}" for key, value in marked) + "}"


def _json(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return _flow_map({_text(str(key)): _json(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return _flow([_json(item) for item in value])
    return _text(str(value))


def _texts(values: Sequence[str]) -> str:
    return _flow([_text(value) for value in values])


def _history(history: History) -> str:
    return _flow_map(dict(_written(history)))


def _values(values: Sequence[str]) -> str:
    return _flow([_value(value) for value in values])


def _numbers(values: Sequence[float]) -> str:
    return _flow([plain_number(value) for value in values])


def _patterns(values: Sequence[str]) -> str:
    return _text(values[0]) if len(values) == 1 else _texts(values)


def _weights(weights: Mapping[str, float]) -> str:
    return _flow_map({_value(key): plain_number(number) for key, number in weights.items()})


_WRITERS: Mapping[str, Callable[[Any], str]] = MappingProxyType(
    {
        **dict.fromkeys(("column", "kind", "role", "scale", "label", "unit", "monotone"), _text),
        **dict.fromkeys(("purpose", "reason", "meaning", "target"), _text),
        **dict.fromkeys(("positive", "negative", "favourable"), _value),
        **dict.fromkeys(("categories", "levels", "missing", "values"), _values),
        **dict.fromkeys(("bounds", "bins", "bands"), _numbers),
        **dict.fromkeys(("cut", "rate"), plain_number),
        **dict.fromkeys(("drafted", "reads"), _texts),
        **dict.fromkeys(("currency", "currency_column", "unknown"), _text),
        **dict.fromkeys(("windows", "measures", "distinct"), _texts),
        **dict.fromkeys(("cap", "recent", "digits"), str),
        **dict.fromkeys(("also_feature", "owned", "retired"), _json),
        "history": _history,
        "rates": _weights,
        "columns": _patterns,
        "size": _json,
        "background": _weights,
        "settings": _json,
    }
)
_ORDER = (
    *("target", "column", "columns", "kind", "role", "also_feature"),
    *("currency", "currency_column", "rates", "digits", "unknown"),
    *("windows", "measures", "distinct", "cap", "recent"),
    *("bounds", "scale", "bins", "bands", "categories", "levels", "missing", "size"),
    *("positive", "negative", "favourable", "values", "cut", "rate", "monotone"),
    *("label", "unit", "meaning", "purpose", "reason", "background", "drafted", "reads"),
    *("settings", "owned", "retired", "history"),
)
