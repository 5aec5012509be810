"""Read single values of an event, and say what is wrong with one that cannot be used."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np

from verticals.errors import DataError


def value_of(event: Mapping[str, Any], name: str) -> Any:
    """Return a value of a bound event; raise `DataError` if the event has no such name."""
    if name not in event:
        raise DataError(
            f"an event has no {name}, which the derived fields need",
            hint="bind the event with the contract of the bundle",
        )
    return event[name]


def text_of(event: Mapping[str, Any], name: str) -> str | None:
    """Return a text, None where it is missing; raise `DataError` for anything else."""
    value = value_of(event, name)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{name} is a {type(value).__name__}, expected text or None")
    return None if value is None else str(value)


def micros_of(event: Mapping[str, Any], name: str) -> int:
    """Return a time in µs since 1970; raise `DataError` if it is missing, zoned or none."""
    value = value_of(event, name)
    zoned = isinstance(value, datetime.datetime) and value.tzinfo is not None
    if zoned or not isinstance(value, (datetime.datetime, np.datetime64)):
        raise DataError(
            f"{name} is a {type(value).__name__}{' with a zone' if zoned else ''}, expected a "
            "datetime64 or a datetime without a zone"
        )
    stamp = np.asarray(value, dtype="datetime64[us]")
    if np.isnat(stamp):
        raise DataError(f"{name} is missing, expected a time")
    return int(stamp.view(np.int64))
