"""Rules held against a contract, fired on rows, and joined with what the model says.

One definition fires in batch and for a single event (see `verticals_fraud_detection.rules_file`
for the file's form and for the order of precedence).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verticals.contract.canonical import canonical
from verticals.contract.model import AMOUNT, MISSING, MISSING_AMOUNT, DataContract, Field
from verticals.errors import CallError
from verticals.table import Array, Table
from verticals_fraud_detection import strict_toml as toml
from verticals_fraud_detection.policy import APPROVE, DECLINE
from verticals_fraud_detection.rules_file import (
    HINT,
    Condition,
    Rule,
    Rules,
    Value,
    parse_rules,
    read_rules,
)

__all__ = [
    "FittedRules",
    "Rule",
    "Rules",
    "apply_rules",
    "fire",
    "fit_rules",
    "parse_rules",
    "read_rules",
]

_KINDS = ("numeric", "boolean", "categorical", "ordinal", "text")


@dataclass(frozen=True, kw_only=True)
class FittedTest:
    """Hold one condition in the terms of a bound column.

    Codes of `among` are compared with numbers, texts with objects. `limits` are inclusive.
    """

    rule: str
    column: str
    form: str  # numbers, codes, texts, amount
    scale: float = 1.0  # of an amount: minor units in a major one
    among: tuple[Any, ...] | None = None
    limits: tuple[float | None, float | None] = (None, None)
    missing: bool | None = None


@dataclass(frozen=True, kw_only=True)
class FittedRules:
    """Hold rules that were held against a contract, ready to fire on any of its tables."""

    rules: Rules
    tests: tuple[tuple[FittedTest, ...], ...]  # of each rule

    def fire(self, table: Mapping[str, Array], rows: int) -> Array:
        """Tell which rule fires on which row: (rows, rules) booleans."""
        fired = np.ones((rows, len(self.tests)), dtype=bool)
        for place, tests in enumerate(self.tests):
            for test in tests:
                fired[:, place] &= _holds(test, table)
        return fired

    @property
    def columns(self) -> frozenset[str]:
        """Return the bound columns that the rules read."""
        return frozenset(test.column for tests in self.tests for test in tests)


def fire(rules: Rules, table: Table, contract: DataContract) -> Array:
    """Tell which rule fires on which row of a bound table with derived fields: (rows, rules).

    `contract` has the derived fields. Raises `CallError` for an unknown field or value, naming
    the rule and the nearest known one.
    """
    return fit_rules(rules, contract).fire(table, table.rows)


def apply_rules(rules: Rules, fired: Array, actions: Array) -> Array:
    """Return the final action of each row, from the model's and the rules' (see `rules_file`)."""
    codes = rules.codes
    strictest = np.where(fired, codes, APPROVE).max(axis=1, initial=APPROVE)
    allowed = (fired & (codes == APPROVE)).any(axis=1)
    final = np.maximum(actions, strictest)
    final = np.where(allowed, APPROVE, final)
    return np.where(strictest == DECLINE, DECLINE, final).astype(np.int8)


def fit_rules(rules: Rules, contract: DataContract) -> FittedRules:
    """Hold rules against a contract with its derived fields; raise `CallError` if they do not fit.

    A protected field that the model may not read may not be read by a rule either.
    """
    found = []
    for rule in rules.rules:
        tests = [_fitted(item, f"rule {rule.id!r}", contract) for item in rule.when]
        found.append(tuple(tests))
    return FittedRules(rules=rules, tests=tuple(found))


def _fitted(condition: Condition, where: str, contract: DataContract) -> FittedTest:
    name = condition.field
    fields = {item.name: item for item in contract.fields}
    if name in fields:
        return _of_field(condition, fields[name], where)
    if name == "amount" and contract.amount is not None:
        return FittedTest(
            rule=where,
            column=AMOUNT,
            form="amount",
            scale=10.0**contract.amount.digits,
            among=_numbers(condition, where),
            limits=_limits(condition, where),
            missing=condition.missing,
        )
    entities = {item.name: item for item in contract.entities}
    if name in entities:
        _no_limits(condition, where, "an entity")
        among = None if condition.among is None else tuple(map(canonical, condition.among))
        key = entities[name].key
        return FittedTest(
            rule=where, column=key, form="texts", among=among, missing=condition.missing
        )
    known = [*fields, *entities, *(["amount"] if contract.amount is not None else [])]
    raise CallError(
        f"{where}: field {name!r} is unknown{_nearest_name(name, known)}",
        hint="rules read fields of the contract, derived fields, amount and entities",
    )


def _of_field(condition: Condition, field: Field, where: str) -> FittedTest:
    name = field.name
    if field.role in ("protected", "stratum") and not field.is_input:
        raise CallError(
            f"{where}: field {name!r} is {field.role}, so no rule may decide on it",
            hint="leave the condition out; the audit measures what the rules do to each group",
        )
    if field.kind not in _KINDS or field.columns:
        raise CallError(f"{where}: field {name!r} is a {field.kind}, which rules cannot read")
    among: tuple[Value, ...] | None
    limits: tuple[float | None, float | None]
    if field.kind in ("numeric", "boolean"):
        among, limits, form = _numbers(condition, where), _limits(condition, where), "numbers"
    elif field.kind == "text":
        _no_limits(condition, where, "text")
        among, limits, form = _texts(condition, where), (None, None), "texts"
    else:
        among, limits = _codes(condition, field, where), _levels(condition, field, where)
        form = "codes"
    return FittedTest(
        rule=where, column=name, form=form, among=among, limits=limits, missing=condition.missing
    )


def _numbers(condition: Condition, where: str) -> tuple[float, ...] | None:
    if condition.among is None:
        return None
    for value in condition.among:
        if isinstance(value, str):
            raise CallError(f"{where}: field {condition.field!r} holds numbers, the list has text")
    return tuple(float(value) for value in condition.among)


def _texts(condition: Condition, where: str) -> tuple[str, ...] | None:
    if condition.among is None:
        return None
    texts = tuple(value for value in condition.among if isinstance(value, str))
    if len(texts) < len(condition.among):
        raise CallError(f"{where}: field {condition.field!r} holds text, the list has other values")
    return texts


def _limits(condition: Condition, where: str) -> tuple[float | None, float | None]:
    for value in (condition.min, condition.max):
        if isinstance(value, str):
            raise CallError(f"{where}: field {condition.field!r} holds numbers, its limit is text")
    low, high = (None if v is None else float(v) for v in (condition.min, condition.max))
    if low is not None and high is not None and low > high:
        raise CallError(f"{where}: min {low:g} of {condition.field!r} is above max {high:g}")
    return low, high


def _no_limits(condition: Condition, where: str, what: str) -> None:
    if condition.min is not None or condition.max is not None:
        raise CallError(
            f"{where}: {condition.field!r} is {what}, which has no order",
            hint="use in, equals or missing",
        )


def _codes(condition: Condition, field: Field, where: str) -> tuple[int, ...] | None:
    if condition.among is None:
        return None
    return tuple(_code(value, field, where) for value in condition.among)


def _levels(condition: Condition, field: Field, where: str) -> tuple[float | None, float | None]:
    if field.kind != "ordinal":
        _no_limits(condition, where, "categorical")
        return None, None
    if condition.min is None and condition.max is None:
        return None, None
    low, high = condition.min, condition.max
    # Always with an upper limit: the code of an undeclared value lies above the highest level.
    return (
        None if low is None else float(_code(low, field, where)),
        float(len(field.values) - 1 if high is None else _code(high, field, where)),
    )


def _code(value: Value, field: Field, where: str) -> int:
    text = canonical(value)
    if text not in field.values:
        near = toml.nearest(text, field.values)
        raise CallError(f"{where}: field {field.name!r} has no value {text!r}{near}", hint=HINT)
    return field.values.index(text)


def _nearest_name(name: str, known: Sequence[str]) -> str:
    near = toml.nearest(name, known)
    return near if near.startswith("; did") or len(known) <= 12 else ""


def _holds(test: FittedTest, table: Mapping[str, Array]) -> Array:
    """Tell for each row whether one test holds."""
    if test.column not in table:
        raise CallError(
            f"{test.rule} reads {test.column.lstrip('@')!r}, which the data lack",
            hint="give data with every column that the rules name",
        )
    values = table[test.column]
    if test.form == "texts":
        return _text_holds(test, values)
    if test.form == "amount":
        absent = values == MISSING_AMOUNT
        # Rounded, so that 4.2 in the file and 420 minor units are one number.
        values = np.where(absent, 0.0, values / test.scale)
    elif test.form == "codes":
        absent = values == MISSING
    else:
        absent = np.isnan(values)
    if test.missing is not None:
        return np.asarray(absent == test.missing)
    held = ~absent
    if test.among is not None:
        return np.asarray(held & np.isin(values, test.among))
    low, high = test.limits
    if low is not None:
        held = held & (values >= low)
    if high is not None:
        held = held & (values <= high)
    return np.asarray(held)


def _text_holds(test: FittedTest, values: Array) -> Array:
    if test.missing is not None:
        return np.array([(value is None) == test.missing for value in values], dtype=bool)
    wanted = frozenset(test.among or ())
    return np.array([value in wanted for value in values], dtype=bool)
