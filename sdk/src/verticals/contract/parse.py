"""Read a data contract: from YAML text to frozen values, with every violation and its line."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from verticals.contract.model import (
    KINDS,
    LATE,
    MEASURES,
    ROLES,
    SCALES,
    TARGET_KINDS,
    Amount,
    DataContract,
    Decision,
    Entity,
    Field,
    History,
    Target,
)
from verticals.contract.nodes import Node, read_tree, refused
from verticals.contract.rules import broken_rules
from verticals.contract.values import (
    Convert,
    Reading,
    Where,
    as_categories,
    as_count,
    as_duration,
    as_flag,
    as_number,
    as_numbers,
    as_pair,
    as_patterns,
    as_settings,
    as_text,
    as_texts,
    as_value,
    as_values,
    as_weights,
    choose,
    list_of,
    one_of,
)
from verticals.errors import ContractError


def read_contract(path: str | os.PathLike[str]) -> DataContract:
    """Read the contract in a file (UTF-8, with or without a byte order mark).

    Raises `ContractError` if the file cannot be read, or as `parse_contract` does.
    """
    source = str(path)
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise ContractError(
            f"contract {source} does not exist",
            hint="`verticals contract draft DATA --out contract.yaml` writes one to start from",
            violations=["the file does not exist"],
        ) from error
    except UnicodeDecodeError as error:
        message = f"is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}"
        raise refused(source, f"{message}; save the file as UTF-8") from error
    except OSError as error:
        raise refused(source, f"cannot be read: {error.strerror}") from error
    return parse_contract(text, source=source)


def parse_contract(text: str, *, source: str = "contract") -> DataContract:
    """Return the contract that a YAML text declares; `source` names it in messages.

    Raises `ContractError`: its message shows the first violation, `.violations` lists all of
    them, each with line, key, the value seen and what was expected.
    """
    reading = Reading()
    contract = _contract(read_tree(text, source), reading)
    for where, message in broken_rules(contract):
        reading.broken(where, message)
    reading.finish(source)
    return contract


_FIELD: Mapping[str, Convert] = MappingProxyType(
    {
        "column": as_text,
        "columns": as_patterns,
        "kind": one_of(KINDS),
        "role": one_of(ROLES),
        "also_feature": as_flag,
        "bounds": as_pair,
        "scale": one_of(SCALES),
        "bins": as_numbers,
        "bands": as_numbers,
        "categories": as_categories,
        "levels": as_values,
        "missing": as_values,
        "size": list_of(as_count, "[224, 224]"),
        "label": as_text,
        "unit": as_text,
        "monotone": one_of(("increasing", "decreasing")),
        "purpose": as_text,
        "reason": as_text,
        "background": as_weights,
        "drafted": as_texts,
        "reads": as_texts,
        "settings": as_settings,
    }
)
_TARGET: Mapping[str, Convert] = MappingProxyType(
    {
        "column": as_text,
        "kind": one_of(TARGET_KINDS),
        "positive": as_value,
        "negative": as_value,
        "favourable": as_value,
        "values": as_values,
        "bounds": as_pair,
        "meaning": as_text,
        "label": as_text,
        "drafted": as_texts,
    }
)
_DECISION: Mapping[str, Convert] = MappingProxyType(
    {"target": as_text, "cut": as_number, "rate": as_number}
)


def _read_map(
    node: Node, where: Where, known: Mapping[str, Convert] | None, reading: Reading
) -> dict[str, Any]:
    """Return the converted values of a map by key; None for `known` keeps the nodes of any key."""
    found: dict[str, Any] = {}
    if node.kind != "map":
        reading.refuse(node, where, f"is {node.shown}, expected a map")
        return found
    seen: set[str] = set()
    for key, item in node.pairs:
        if key.kind != "text":
            reading.refuse(key, where, f"has {key.shown} as a key, expected a text")
            continue
        here = (*where, key.text)
        if key.text in seen:
            first = reading.lines[here]
            reading.refuse(key, here, f"is given twice, first in line {first}")
            continue
        seen.add(key.text)
        reading.lines[here] = key.line
        if known is None:
            found[key.text] = item
        elif key.text not in known:
            reading.refuse(key, here, f"is an unknown key, {choose(key.text, tuple(known))}")
            for meant in difflib.get_close_matches(key.text, known, n=1, cutoff=0.5):
                reading.spoil((*where, meant))
        elif not item.is_null:
            value = known[key.text](item, here, reading)
            if value is not None:
                found[key.text] = value
    return found


def _field(name: str, node: Node, reading: Reading) -> Field:
    where: Where = ("fields", name)
    values = _read_map(node, where, _FIELD, reading)
    given = {key.text for key, item in node.pairs if not item.is_null}
    if node.kind == "map" and not given & {"column", "columns", "reads"}:
        reading.broken((*where, "column"), "is missing, expected the name of a source column")
    categories, labels = values.pop("categories", ((), ()))
    if values.get("role") == "ignore" and "kind" not in given:
        values["kind"] = "text"
    values = {"kind": "", "categories": categories, "category_labels": labels} | values
    if node.kind != "map":
        reading.spoil((*where, "kind"))
    return Field(name=name, **values)


def _target(name: str, node: Node, reading: Reading) -> Target:
    where: Where = ("targets", name)
    values = {"kind": "", "column": ""} | _read_map(node, where, _TARGET, reading)
    if node.kind != "map":
        reading.spoil((*where, "kind"))
        reading.spoil((*where, "column"))
    return Target(name=name, **values)


def _maps(node: Node, where: Where, reading: Reading) -> dict[str, Node]:
    return _read_map(node, where, None, reading)


def _decision(node: Node, where: Where, reading: Reading) -> Decision | None:
    values = _read_map(node, where, _DECISION, reading)
    if node.kind != "map":
        return None
    return Decision(**({"target": ""} | values))


_HISTORY: Mapping[str, Convert] = MappingProxyType(
    {
        "windows": list_of(as_duration, "[10min, 1h, 7d]"),
        "measures": list_of(one_of(MEASURES), "[count, mean]"),
        "distinct": as_texts,
        "cap": as_count,
        "recent": as_count,
    }
)


def _history(node: Node, where: Where, reading: Reading) -> History | None:
    values = _read_map(node, where, _HISTORY, reading)
    return History(**values) if node.kind == "map" else None


_ENTITY: Mapping[str, Convert] = MappingProxyType(
    {
        "column": as_text,
        "label": as_text,
        "owned": as_flag,
        "retired": as_flag,
        "history": _history,
    }
)
_AMOUNT: Mapping[str, Convert] = MappingProxyType(
    {
        "column": as_text,
        "currency": as_text,
        "digits": as_count,
        "bounds": as_pair,
        "currency_column": as_text,
        "rates": as_weights,
        "unknown": one_of(("refuse", "missing")),
        "drafted": as_texts,
    }
)


def _entity(name: str, node: Node, reading: Reading) -> Entity:
    where: Where = ("entities", name)
    values = {"column": ""} | _read_map(node, where, _ENTITY, reading)
    if node.kind != "map":
        reading.spoil((*where, "column"))
    return Entity(name=name, **values)


def _amount(node: Node, where: Where, reading: Reading) -> Amount | None:
    values = {"column": "", "currency": ""} | _read_map(node, where, _AMOUNT, reading)
    return Amount(**values) if node.kind == "map" else None


_TOP: Mapping[str, Convert] = MappingProxyType(
    {
        "solution": as_text,
        "name": as_text,
        "description": as_text,
        "source": as_text,
        "licence": as_text,
        "id": as_text,
        "group": as_text,
        "time": as_text,
        "entities": _maps,
        "amount": _amount,
        "label_time": as_text,
        "label_delay": as_duration,
        "late_events": one_of(LATE),
        "targets": _maps,
        "decision": _decision,
        "fields": _maps,
    }
)


def _contract(root: Node, reading: Reading) -> DataContract:
    reading.lines[()] = root.line
    values = {"solution": "", "name": ""} | _read_map(root, (), _TOP, reading)
    entities = values.pop("entities", {})
    targets = values.pop("targets", {})
    fields = values.pop("fields", {})
    return DataContract(
        **values,
        entities=tuple(_entity(name, node, reading) for name, node in entities.items()),
        targets=tuple(_target(name, node, reading) for name, node in targets.items()),
        fields=tuple(_field(name, node, reading) for name, node in fields.items()),
    )
