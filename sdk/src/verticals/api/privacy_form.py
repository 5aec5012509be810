"""Hold what a solution says of its privacy against what was asked for, before anything is written.

The SDK's own training writes a record that it has accounted for. A solution of its own hands one
over in `State.settings["privacy"]`; a bundle, its report and a ledger then speak in its words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from verticals.errors import PrivacyError

_FORM = "docs/guide/plugin-authors.md, 'What a private training reports'"


def check_record(
    record: Any, *, who: str, epsilon: float | None, delta: float | None, unit: str, most: int
) -> None:
    """Raise `PrivacyError` unless a record keeps to what was asked for.

    `who` names the solution. `epsilon` is what its training may spend, None without privacy;
    `delta` the largest that was asked for, if one was. `unit` is `row`, or `group` where the
    contract has one; `most` is how many units the training part has.
    """
    problems = record_problems(record, epsilon=epsilon, delta=delta, unit=unit, most=most)
    if problems:
        raise PrivacyError(
            f"{who}: its privacy record {'; '.join(problems)}", hint=f"the form: {_FORM}"
        )


def record_problems(
    record: Any, *, epsilon: float | None, delta: float | None, unit: str, most: int
) -> list[str]:
    """Return what is wrong with a record, in words that go on from "its privacy record …"."""
    if epsilon is None:
        return [] if record is None else ["is there, and training was not private: expected none"]
    if record is None:
        return [f"is lacking, and training was asked to spend at most ε = {epsilon:g}"]
    if not isinstance(record, Mapping):
        return [f"is {type(record).__name__}, expected a mapping"]
    found = [_epsilon(record.get("epsilon"), epsilon)]
    given = record.get("units")
    units = int(given) if isinstance(given, int | np.integer) and given is not True else 0
    if not 1 <= units <= most:
        found.append(f"has units {given!r}, expected the number of training units, 1 to {most}")
        units = most
    found.append(_delta(record.get("delta"), delta, units))
    if record.get("unit") != unit:
        found.append(f"has unit {record.get('unit')!r}, expected {unit!r} by the contract")
    accountant = record.get("accountant")
    if not (isinstance(accountant, str) and accountant.strip()):
        found.append("has no accountant, expected a text: what ε was computed by")
    said = record.get("statement")
    if not (
        isinstance(said, list | tuple)
        and said
        and all(isinstance(item, str) and item.strip() for item in said)
    ):
        found.append("has no statement, expected a list of texts: what ε covers and what not")
    return [item for item in found if item]


def _epsilon(value: Any, most: float) -> str:
    expected = f"expected a number above 0, at most {most:g}"
    if not _finite(value):
        return f"has epsilon {value!r}, {expected}"
    return "" if 0 < value <= most else f"has epsilon {value:g}, {expected}"


def _delta(value: Any, asked: float | None, units: int) -> str:
    expected = f"expected a number from 0, below 1/{units}"
    if asked is not None:
        expected += f", at most {asked:g}"
    if not _finite(value):
        return f"has delta {value!r}, {expected}"
    sound = 0 <= value < 1 / units and (asked is None or value <= asked)
    return "" if sound else f"has delta {value:g}, {expected}"


def _finite(value: Any) -> bool:
    number = isinstance(value, int | float | np.integer | np.floating)
    return number and not isinstance(value, bool) and math.isfinite(value)
