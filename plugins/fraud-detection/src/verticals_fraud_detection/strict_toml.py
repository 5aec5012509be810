"""Read a TOML file strictly: every key is known, every value of the kind that was expected."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from verticals.errors import CallError

_MAX_BYTES = 8_000_000  # a deny list of some hundred thousand cards


def read_text(path: str | Path, what: str) -> str:
    """Return the text of a file; raise `CallError` if it is unreadable, too large or no UTF-8."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "cannot be read"
        raise CallError(f"{what} {str(path)!r}: {reason.lower()}") from error
    if len(data) > _MAX_BYTES:
        raise CallError(
            f"{what} {str(path)!r} has {len(data)} bytes, expected {_MAX_BYTES} at most"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CallError(f"{what} {str(path)!r} is no UTF-8 at byte {error.start}") from error


def parse(text: str, source: str) -> dict[str, Any]:
    """Return a TOML document; raise `CallError` for what is none."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CallError(f"{source} is no TOML: {error}") from error


def nearest(word: str, known: Sequence[str]) -> str:
    """Return "; did you mean …" for a misspelt word, or the list of what is known."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"


def known_keys(table: Mapping[str, Any], keys: Sequence[str], where: str, hint: str = "") -> None:
    """Raise `CallError` for a key that is not among `keys`."""
    for key in table:
        if key not in keys:
            raise CallError(f"{where}: unknown key {key!r}{nearest(key, keys)}", hint=hint)


def table_of(document: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any] | None:
    """Return a table of the document, None where it is absent."""
    value = document.get(key)
    if value is not None and not isinstance(value, Mapping):
        raise CallError(f"{where}: {key} is {shown(value)}, expected a table [{key}]")
    return value


def text_of(table: Mapping[str, Any], key: str, where: str, *, required: bool = False) -> str:
    """Return a text, stripped; empty where it is absent and not required."""
    value = table.get(key, "")
    if not isinstance(value, str):
        raise CallError(f"{where}: {key} is {shown(value)}, expected text")
    if required and not value.strip():
        raise CallError(f"{where} lacks {key!r}, expected text")
    return value.strip()


def number_of(
    table: Mapping[str, Any], key: str, where: str, low: float = -math.inf, high: float = math.inf
) -> float | None:
    """Return a finite number from `low` to `high`, None where it is absent."""
    if key not in table:
        return None
    value = table[key]
    if not is_number(value) or not low <= value <= high:
        bound = f" from {low:g}" if math.isfinite(low) else ""
        bound += f" to {high:g}" if math.isfinite(high) else ""
        raise CallError(f"{where}: {key} is {shown(value)}, expected a number{bound}")
    return float(value)


def is_number(value: object) -> bool:
    """Tell whether a TOML value is a finite number (and no truth value)."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)  # type: ignore[arg-type]


def shown(value: object) -> str:
    """Return a value of the file as a message may show it: short."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]} ..."
