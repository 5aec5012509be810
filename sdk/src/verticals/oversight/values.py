"""Which values a decision may take under a contract, and which way one differs from another."""

from __future__ import annotations

import math

from verticals.contract.canonical import canonical
from verticals.contract.model import DataContract, Target
from verticals.errors import CallError

#: How a human decision differs from what the machine said.
DIRECTIONS = (
    "to-favourable",
    "from-favourable",
    "raised",
    "lowered",
    "other-change",
    "unchanged",
)


def target_of(contract: DataContract, name: str = "") -> Target:
    """Return the target of that name; without one that of the decision, or the only one.

    Raises `CallError` if there is none, or if the name leaves open which.
    """
    known = ", ".join(item.name for item in contract.targets)
    if not contract.targets:
        raise CallError(
            f"contract {contract.name!r} declares no target, so nobody is decided about",
            hint="decisions need a bundle whose contract has `targets:`",
        )
    if not name and contract.decision is not None:
        name = contract.decision.target
    if not name and len(contract.targets) == 1:
        name = contract.targets[0].name
    for item in contract.targets:
        if item.name == name:
            return item
    said = f"no target {name!r}" if name else "several targets and no decision"
    raise CallError(
        f"contract {contract.name!r} has {said}, expected one of {known}", hint="--target NAME"
    )


def values_of(target: Target) -> tuple[str, ...]:
    """Return the values that a decision about a target may take; none for a numeric one.

    A binary target without a declared negative value has `not POSITIVE`, as scored files have it.
    """
    if target.kind == "binary":
        return target.positive, target.negative or f"not {target.positive}"
    return target.values if target.kind in ("categorical", "ordinal") else ()


def checked_value(target: Target, value: object, what: str) -> str:
    """Return the canonical text of a decision about a target; `what` names it in messages.

    Raises `CallError` if the target cannot take it. The value itself is not shown: it may be
    something that was put in its place by mistake.
    """
    text = canonical(value)
    values = values_of(target)
    if values:
        if text in values:
            return text
        expected = f"one of {', '.join(values)}"
    else:
        number = _number(text)
        low, high = target.bounds or (-math.inf, math.inf)
        if number is not None and low <= number <= high:
            return canonical(number)
        within = f" from {low:g} to {high:g}" if target.bounds else ""
        expected = f"a number{within}"
    raise CallError(
        f"{what} is no value of target {target.name!r}, expected {expected}",
        hint="the values stand in the contract of the bundle: contract.yaml",
    )


def direction(target: Target, machine: str, human: str) -> str:
    """Say which way the human decision differs from the machine's: one of `DIRECTIONS`.

    A declared favourable value comes before the order of levels or numbers.
    """
    if human == machine:
        return "unchanged"
    if target.favourable and target.favourable in (machine, human):
        return "to-favourable" if human == target.favourable else "from-favourable"
    places = [_place(target, value) for value in (machine, human)]
    if places[0] is None or places[1] is None:
        return "other-change"
    return "raised" if places[1] > places[0] else "lowered"


def directions_of(target: Target) -> tuple[str, ...]:
    """Return the directions that decisions about a target can have."""
    ordered = target.kind in ("ordinal", "numeric")
    several = target.kind == "categorical" and len(target.values) > 2
    possible = {
        "to-favourable": bool(target.favourable),
        "from-favourable": bool(target.favourable),
        "raised": ordered,
        "lowered": ordered,
        "other-change": several or not (target.favourable or ordered),
        "unchanged": True,
    }
    return tuple(name for name in DIRECTIONS if possible[name])


def _place(target: Target, value: str) -> float | None:
    if target.kind == "ordinal":
        return float(target.values.index(value)) if value in target.values else None
    return _number(value) if target.kind == "numeric" else None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
