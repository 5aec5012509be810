"""JSON with one meaning: canonical bytes to hash, and a parser for text nobody vouches for."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from verticals.errors import DataError

MAX_BYTES = 8 * 2**20
MAX_DEPTH = 64

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def sha256(data: bytes) -> str:
    """Return the digest of some bytes, as `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def is_digest(value: object) -> bool:
    """Tell whether a value is text of the form that `sha256` returns."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def shown(value: object) -> str:
    """Return a value from an untrusted file as a message may show it: escaped and short."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:76]} ..."


def check_time(value: Any, where: str) -> str:
    """Return an ISO 8601 time to the second with its zone, as it came; else raise `DataError`."""
    try:
        time = datetime.datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        time = None
    if time is None or time.tzinfo is None or time.isoformat(timespec="seconds") != value:
        raise DataError(
            f"{where} is {shown(value)}, expected a time like 2026-01-31T12:00:00+00:00"
        )
    return str(value)


def canonical_json(value: Any) -> bytes:
    """Return the one JSON text of a plain value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def readable_json(value: Any) -> bytes:
    """Return the JSON text of a plain value for people to read; also the same bytes everywhere."""
    return f"{json.dumps(value, sort_keys=True, indent=1, allow_nan=False)}\n".encode("ascii")


def plain(value: Any, where: str, depth: int = 0) -> Any:
    """Return a value of ours as JSON knows it: dicts, lists, text, numbers (numpy's too), null.

    Raises `DataError`, naming the place, for what JSON cannot hold: other types, keys that are no
    text, numbers that are not finite, half of a surrogate pair, and more than `MAX_DEPTH` levels.
    """
    if depth > MAX_DEPTH:
        raise DataError(f"{where} is nested too deeply, expected at most {MAX_DEPTH} levels")
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise DataError(f"{where} is {value}, expected a finite number or null")
        return value
    if isinstance(value, str):
        return _sound(value, where)
    if isinstance(value, Mapping):
        inner = {_key(key, where): item for key, item in value.items()}
        return {key: plain(item, f"{where}.{key}", depth + 1) for key, item in inner.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{n}]", depth + 1) for n, item in enumerate(value)]
    raise DataError(f"{where} is of type {type(value).__name__}, expected a JSON value")


def parse_json(data: bytes, *, what: str, max_bytes: int = MAX_BYTES) -> Any:
    """Parse JSON that nobody vouches for; `what` names it in messages.

    Raises `DataError` if it is too large or too deep, is no UTF-8, repeats a key, or holds NaN,
    an infinity, a number beyond what a float holds, or half of a surrogate pair.
    """
    if len(data) > max_bytes:
        raise DataError(f"{what} is too large: {len(data)} bytes, expected at most {max_bytes}")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_constant,
            parse_float=_finite,
        )
    except RecursionError:
        raise DataError(f"{what} is nested too deeply, expected few levels of JSON") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{what} is no UTF-8 at byte {error.start}, expected JSON") from error
    except ValueError as error:  # also an integer of thousands of digits
        raise DataError(f"{what} is no plain JSON: {error}") from error
    _check_parsed(value, what)
    return value


def _check_parsed(value: Any, what: str) -> None:
    stack = [(value, 0)]
    while stack:
        item, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise DataError(f"{what} is nested too deeply, expected at most {MAX_DEPTH} levels")
        if isinstance(item, str):
            _sound(item, what)
        elif isinstance(item, list):
            stack.extend((inner, depth + 1) for inner in item)
        elif isinstance(item, dict):
            stack.extend((inner, depth + 1) for inner in item.values())
            for key in item:
                _sound(key, what)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen = Counter(key for key, _ in pairs)
        raise ValueError(f"key {shown(seen.most_common(1)[0][0])} stands twice")
    return found


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no finite number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is no finite number")
    return value


def _key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise DataError(f"{where} has the key {shown(key)}, expected text")
    return _sound(key, where)


def _sound(text: str, where: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"{where} holds half of a surrogate pair, expected text") from error
    return text
