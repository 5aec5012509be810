"""Hold a JSON document against the part of JSON Schema that `audit.schema.json` is written in.

The schema is a public interface, which any validator can read. This one saves a dependency at run
time; the tests hold it against the `jsonschema` package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: type(value) is int or (type(value) is float and value.is_integer()),
}


def violations(value: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield everything in which a document departs from a schema, each with its place.

    Knows type, const, enum, pattern, minimum, maximum, properties, required,
    additionalProperties: false, items, oneOf, and `$ref` to `$defs`.
    """
    yield from _check(value, schema, schema, "")


def _check(value: Any, part: Mapping[str, Any], root: Mapping[str, Any], at: str) -> Iterator[str]:
    if "$ref" in part:
        yield from _check(value, root["$defs"][part["$ref"].rpartition("/")[2]], root, at)
    kinds = part.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    if kinds and not any(_TYPES[kind](value) for kind in kinds):
        yield f"{at or '/'} is {type(value).__name__}, expected {' or '.join(kinds)}"
        return
    # True equals 1 in Python and not in JSON.
    same = part.get("const") == value and isinstance(value, bool) == isinstance(
        part.get("const"), bool
    )
    if "const" in part and not same:
        yield f"{at} is {value!r:.60}, expected {part['const']!r}"
    if "enum" in part and value not in part["enum"]:
        yield f"{at} is {value!r:.60}, expected one of {', '.join(part['enum'])}"
    if "pattern" in part and not re.search(part["pattern"], value):
        yield f"{at} is {value!r:.60}, which has another form"
    if "oneOf" in part:
        found = [list(_check(value, option, root, at)) for option in part["oneOf"]]
        if all(found):
            yield from found[-1]
    if _TYPES["number"](value):
        yield from _range(value, part, at)
    if isinstance(value, dict):
        yield from _object(value, part, root, at)
    if isinstance(value, list) and "items" in part:
        for place, item in enumerate(value):
            yield from _check(item, part["items"], root, f"{at}/{place}")


def _range(value: float, part: Mapping[str, Any], at: str) -> Iterator[str]:
    if value < part.get("minimum", value):
        yield f"{at} is {value}, expected at least {part['minimum']}"
    if value > part.get("maximum", value):
        yield f"{at} is {value}, expected at most {part['maximum']}"


def _object(
    value: Mapping[str, Any], part: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> Iterator[str]:
    known = part.get("properties", {})
    for key in part.get("required", ()):
        if key not in value:
            yield f"{at or '/'} lacks the field {key!r}"
    for key, item in value.items():
        if key in known:
            yield from _check(item, known[key], root, f"{at}/{key}")
        elif part.get("additionalProperties") is False:
            yield f"{at or '/'} has the unknown field {key!r:.60}"
