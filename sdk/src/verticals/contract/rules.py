"""What must hold between the parts of a contract, whether it was read or made in Python."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from verticals.contract.canonical import canonical
from verticals.contract.event_rules import broken_event_rules
from verticals.contract.model import (
    KINDS,
    ROLES,
    SCALES,
    TARGET_KINDS,
    DataContract,
    Decision,
    Field,
    Target,
)
from verticals.contract.nodes import short
from verticals.errors import ContractError

Broken = tuple[tuple[str, ...], str]  # the keys that lead to a value, and what is wrong with it

#: Names that evidence tables and encoded blocks use for themselves.
RESERVED = ("decision", "table", "unit")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_VALUE = 200  # characters of a category, so that it can be a key and a report can show it
_APPLIES = (  # key, the kinds that it speaks of
    ("bounds", ("numeric", "image", "sequence")),
    ("bins", ("numeric",)),
    ("bands", ("numeric",)),
    ("categories", ("categorical",)),
    ("levels", ("ordinal",)),
    ("size", ("image", "sequence")),
    ("monotone", ("numeric", "ordinal")),
)
_BLOCKS = ("numeric", "categorical", "boolean", "ordinal", "sequence")
_AUDITED = ("numeric", "categorical", "boolean", "ordinal")
_DRAFTABLE = (
    *("bounds", "scale", "bins", "bands", "categories", "levels", "missing", "size", "kind"),
    "settings",
)


def validate_contract(contract: DataContract) -> None:
    """Check a contract that was made in Python by the rules that a contract's text must keep.

    Raises `ContractError` that lists every violation by its keys.
    """
    violations = [f"{'.'.join(where)}: {message}" for where, message in broken_rules(contract)]
    if violations:
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        raise ContractError(
            f"contract {contract.name!r}, {violations[0]}{more}",
            hint="correct the declaration; .violations lists everything that was found",
            violations=violations,
        )


def unreviewed(contract: DataContract) -> tuple[str, ...]:
    """Return "field.key" for every value that was read from data and not yet confirmed.

    Private training refuses a contract for which this is not empty: such a value is a statistic
    of private data that no budget was spent on. A person confirms it by setting a value that is
    right without looking at the data, and taking the key off the field's `drafted` list.
    """
    amount = contract.amount.drafted if contract.amount else ()
    return (
        *(f"amount.{key}" for key in amount),
        *(f"{target.name}.{key}" for target in contract.targets for key in target.drafted),
        *(f"{field.name}.{key}" for field in contract.fields for key in field.drafted),
    )


def broken_rules(contract: DataContract) -> Iterator[Broken]:
    """Yield every rule that the contract breaks."""
    for key in ("solution", "name"):
        if not getattr(contract, key).strip():
            yield (key,), "is missing, expected a text"
    if not contract.fields:
        yield ("fields",), "is empty, expected at least one field"
    yield from _names(contract)
    for field in contract.fields:
        for key, message in _field(field):
            yield ("fields", field.name, key), message
    for target in contract.targets:
        for key, message in _target(target):
            yield ("targets", target.name, key), message
    yield from _columns(contract)
    yield from _decision(contract)
    yield from broken_event_rules(contract)


def _names(contract: DataContract) -> Iterator[Broken]:
    seen: dict[str, str] = {}
    for room, items in (("targets", contract.targets), ("fields", contract.fields)):
        for item in items:
            where = (room, item.name)
            if not _NAME.fullmatch(item.name):
                yield where, "is no name, expected [a-z][a-z0-9_]*, at most 64 characters"
            elif item.name in RESERVED:
                yield where, f"is a reserved name, as are {', '.join(RESERVED)}"
            if item.name in seen:
                yield where, f"is also the name of one of the {seen[item.name]}"
            seen[item.name] = room


def _field(field: Field) -> Iterator[tuple[str, str]]:
    if field.kind not in KINDS:
        yield "kind", f"is {field.kind or 'missing'}, expected one of {', '.join(KINDS)}"
        return
    if field.role not in ROLES:
        yield "role", f"is {field.role!r}, expected one of {', '.join(ROLES)}"
    for key, kinds in _APPLIES:
        if getattr(field, key) and field.kind not in kinds:
            yield key, f"does not apply to kind {field.kind}, only to {', '.join(kinds)}"
    if field.column and field.columns:
        yield "columns", "stands beside column, expected one of the two"
    if field.columns and field.kind not in _BLOCKS:
        yield "columns", f"cannot be of kind {field.kind}, only of {', '.join(_BLOCKS)}"
    if field.also_feature and field.role != "protected":
        yield "also_feature", f"applies to role protected, and the role is {field.role}"
    if field.monotone not in ("", "increasing", "decreasing"):
        yield "monotone", f"is {field.monotone!r}, expected increasing or decreasing"
    if not all(number > 0 for number in field.size) or len(field.size) > 3:
        yield "size", f"is {list(field.size)}, expected one to three positive whole numbers"
    yield from _drafted(field)
    if field.kind == "numeric":
        yield from _numeric(field)
    yield from _coded(field)
    yield from _audited(field)


def _drafted(field: Field) -> Iterator[tuple[str, str]]:
    for key in field.drafted:
        if key not in _DRAFTABLE:
            yield "drafted", f"names {key!r}, expected one of {', '.join(_DRAFTABLE)}"
    if len(set(field.drafted)) < len(field.drafted):
        yield "drafted", "names a key twice"


def _numeric(field: Field) -> Iterator[tuple[str, str]]:
    if field.is_input and not (field.bounds or field.bins):
        yield "bounds", "is missing, expected [lower, upper] or bins for a numeric input"
    if field.scale not in SCALES:
        yield "scale", f"is {field.scale!r}, expected one of {', '.join(SCALES)}"
    yield from _bounds(field.bounds)
    yield from _increasing("bins", field.bins, field.bounds, least=2)
    yield from _increasing("bands", field.bands, field.bounds, least=0)
    lower = field.bounds[0] if field.bounds else (field.bins[0] if field.bins else None)
    if field.scale == "log" and lower is not None and not lower > 0:
        yield "scale", f"is log, which needs a lower bound above 0, not {plain_number(lower)}"


def _bounds(bounds: Sequence[float] | None) -> Iterator[tuple[str, str]]:
    if bounds is None:
        return
    shown = _numbers(bounds)
    if len(bounds) != 2 or not all(abs(number) < float("inf") for number in bounds):
        yield "bounds", f"is {shown}, expected two finite numbers"
    elif not bounds[0] < bounds[1]:
        yield "bounds", f"is {shown}, which is upside down: expected lower < upper"


def _increasing(
    key: str, edges: Sequence[float], bounds: Sequence[float] | None, *, least: int
) -> Iterator[tuple[str, str]]:
    if not edges:
        return
    if not all(abs(edge) < float("inf") for edge in edges):
        yield key, f"is {_numbers(edges)}, expected finite numbers"
        return
    if len(edges) < least:
        yield key, f"is {_numbers(edges)}, expected at least {least} edges"
    if not all(left < right for left, right in pairwise(edges)):
        yield key, f"is {_numbers(edges)}, expected increasing numbers"
    # A band below or at the lower bound would be a group that nobody can be in.
    outside = bounds is not None and (
        min(edges) < bounds[0] or max(edges) > bounds[1] or (key == "bands" and bounds[0] in edges)
    )
    if outside and bounds is not None and bounds[0] < bounds[1]:
        yield key, f"is {_numbers(edges)}, expected numbers inside the bounds {_numbers(bounds)}"


def _coded(field: Field) -> Iterator[tuple[str, str]]:
    yield from _values("missing", field.missing)
    if field.kind == "categorical":
        if not field.categories and field.role != "ignore":
            yield "categories", "is missing, expected the list of values, or a map value: label"
        yield from _values("categories", field.categories)
        yield from _labels(field)
    if field.kind == "ordinal":
        if len(field.levels) < 2 and field.role != "ignore":
            yield "levels", "is missing, expected two or more values, lowest first"
        yield from _values("levels", field.levels)
    both = [value for value in field.values if value in field.missing]
    if both:
        key = "levels" if field.kind == "ordinal" else "categories"
        yield "missing", f"holds {_texts(both)}, which also stand among the {key}"


def _labels(field: Field) -> Iterator[tuple[str, str]]:
    labels = field.category_labels
    if labels and len(labels) != len(field.categories):
        count = len(field.categories)
        yield "categories", f"has {len(labels)} labels, expected one for each of {count} values"
    if not all(label.strip() for label in labels):
        yield "categories", "has an empty label, expected a text"
    if len(set(labels)) < len(labels):
        yield "categories", "gives two values the same label"


def _values(key: str, values: Sequence[str]) -> Iterator[tuple[str, str]]:
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if repeated:
        yield key, f"holds {_texts(repeated)} twice"
    if "" in values:
        yield key, "holds an empty value, which always means missing: leave it out"
    odd = [value for value in values if canonical(value) != value]
    if odd:
        yield key, f"holds {_texts(odd)}, expected canonical text: {canonical(odd[0])!r}"
    if any(len(value) > MAX_VALUE for value in values):
        yield key, f"holds a value of more than {MAX_VALUE} characters"


def _audited(field: Field) -> Iterator[tuple[str, str]]:
    if field.role not in ("protected", "stratum"):
        return
    if field.kind not in _AUDITED:
        message = f"is {field.kind}, which has no groups: a {field.role} field is one of "
        yield "kind", message + ", ".join(_AUDITED)
    if field.columns:
        yield "columns", f"cannot be {field.role}: groups come from one column"
    if field.kind == "numeric" and not field.bands:
        yield "bands", f"is missing, expected edges such as [25, 40, 62] for a {field.role} field"


def _target(target: Target) -> Iterator[tuple[str, str]]:
    if not target.column:
        yield "column", "is missing, expected the name of a source column"
    if target.kind not in TARGET_KINDS:
        yield "kind", f"is {target.kind or 'missing'}, expected one of {', '.join(TARGET_KINDS)}"
        return
    if set(target.drafted) - {"positive", "values", "bounds"}:
        yield "drafted", f"is {list(target.drafted)}, expected some of positive, values, bounds"
    keys = {
        "binary": ("positive", "negative"),
        "categorical": ("values",),
        "ordinal": ("values",),
        "numeric": ("bounds",),
    }
    for key in ("positive", "negative", "values", "bounds"):
        if getattr(target, key) and key not in keys[target.kind]:
            yield key, f"does not apply to a {target.kind} target"
    if target.kind == "binary":
        yield from _binary(target)
    elif target.kind == "numeric":
        yield from _bounds(target.bounds)
        if target.favourable:
            yield "favourable", "does not apply to a numeric target"
    else:
        if len(target.values) < 2:
            yield "values", "is missing, expected two or more values"
        yield from _values("values", target.values)
        if target.favourable and target.favourable not in target.values:
            message = f"is {target.favourable!r}, expected one of {_texts(target.values)}"
            yield "favourable", message


def _binary(target: Target) -> Iterator[tuple[str, str]]:
    if not target.positive:
        yield "positive", "is missing, expected the value whose probability is the score"
    if target.negative and target.negative == target.positive:
        yield "negative", f"is {target.negative!r}, which is also the positive value"
        return
    for key in ("positive", "negative", "favourable"):
        yield from _values(key, (getattr(target, key),) if getattr(target, key) else ())
    allowed = (target.positive, target.negative)
    # Without a negative value, every value but the positive one is negative.
    if target.favourable and target.negative and target.favourable not in allowed:
        yield "favourable", f"is {target.favourable!r}, expected one of {_texts(allowed)}"


def _columns(contract: DataContract) -> Iterator[Broken]:
    owner: dict[str, Field | Target] = {}
    for target in contract.targets:
        if target.column and target.column in owner:
            message = f"is {target.column!r}, which is also target {owner[target.column].name}"
            yield ("targets", target.name, "column"), message
        owner[target.column] = target
    for field in contract.fields:
        where = ("fields", field.name, "columns" if field.columns else "column")
        for column in (field.column, *field.columns):
            if column and column in owner:
                yield where, _shared(column, field, owner[column])
            owner.setdefault(column, field)
            if column and column == contract.id:
                yield where, f"is {column!r}, which is the id: no field can read it"
            if column and column == contract.group and field.is_input:
                yield where, f"is {column!r}, which is the group: no input can read it"
    for key in ("id", "group", "time", "label_time"):
        column = getattr(contract, key)
        if column and isinstance(owner.get(column), Target):
            yield (key,), f"is {column!r}, which is the column of target {owner[column].name}"


def _shared(column: str, field: Field, other: Field | Target) -> str:
    if isinstance(other, Target):
        return f"is {column!r}, the column of target {other.name}: a target cannot be a field"
    if "protected" in (field.role, other.role) and (field.is_input or other.is_input):
        return (
            f"is {column!r}, which field {other.name} reads too: a protected column is a feature "
            "only by also_feature: true on the one protected field"
        )
    return f"is {column!r}, which field {other.name} reads too: one column, one field"


def _decision(contract: DataContract) -> Iterator[Broken]:
    decision = contract.decision
    binary = [target.name for target in contract.targets if target.kind == "binary"]
    if decision is None:
        if contract.audited and binary:
            example = f"{{target: {binary[0]}, cut: 0.5}}"
            message = f"is missing, expected such as {example}: audited fields need a decision"
            yield ("decision",), message
        return
    names = [target.name for target in contract.targets]
    if decision.target not in names:
        known = ", ".join(names) or "none is declared"
        yield ("decision", "target"), f"is {decision.target!r}, expected a target: {known}"
        return
    yield from _limit(decision, contract.target(decision.target))
    target = contract.target(decision.target)
    if contract.audited and target.kind == "binary" and not target.favourable:
        message = "is missing: an audited decision needs the value that is favourable to a person"
        yield ("targets", target.name, "favourable"), message


def _limit(decision: Decision, target: Target) -> Iterator[Broken]:
    if target.kind == "categorical":
        message = f"is {target.name!r}, a categorical target, which no cut can decide"
        yield ("decision", "target"), message
    if (decision.cut is None) == (decision.rate is None):
        have = "both" if decision.cut is not None else "neither"
        yield ("decision",), f"has {have} of cut and rate, expected one of them"
    if decision.rate is not None and not 0 < decision.rate < 1:
        yield ("decision", "rate"), f"is {decision.rate}, expected a share between 0 and 1"
    if decision.cut is not None and target.kind == "binary" and not 0 <= decision.cut <= 1:
        yield ("decision", "cut"), f"is {decision.cut}, expected a probability from 0 to 1"


def plain_number(number: float) -> str:
    """Return a number as a person writes it: 25 for 25.0."""
    if abs(number) < 1e15 and number == int(number):
        return str(int(number))
    return repr(float(number))


def _numbers(numbers: Sequence[float]) -> str:
    return "[" + ", ".join(plain_number(number) for number in numbers) + "]"


def _texts(values: Sequence[str]) -> str:
    return ", ".join(repr(short(value)) for value in values[:5])
