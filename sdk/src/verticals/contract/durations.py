"""Durations as people write them: "10min", "1h", "24h", "7d"."""

from __future__ import annotations

import re

from verticals.errors import ContractError

_DURATION = re.compile(r"([1-9][0-9]{0,5})(s|min|h|d)")
_UNIT = {"s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


def is_duration(text: str) -> bool:
    """Tell whether a text is a whole number of s, min, h or d."""
    return _DURATION.fullmatch(text) is not None


def microseconds(text: str) -> int:
    """Return a duration in microseconds, the unit of every time in a bound table.

    Raises `ContractError` for what is no duration.

    >>> microseconds("10min")
    600000000
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ContractError(f"{text!r} is no duration, expected such as 30s, 10min, 24h or 7d")
    return int(found[1]) * _UNIT[found[2]]
