"""Propose a contract from data, for a human to review: nothing in it is declared yet."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from verticals.contract.dump import render
from verticals.contract.guess import (
    NO_KEYS,
    Keys,
    declare,
    guess_decision,
    guess_keys,
    guess_target,
    protected_groups,
)
from verticals.contract.hints import PLACE, SPLIT, field_name, is_protected, words
from verticals.contract.model import DataContract, Field, Target
from verticals.contract.profile import Profile, profile
from verticals.contract.suspects import fixed_by, strongest
from verticals.errors import ContractError
from verticals.table import Array, Table

LEAK = 0.95  # AUC from which one column alone is too good
PROXY = 0.90

READ = "read from the data"
GUESS = "a guess: check it"
_HEADER = """\
# A draft, for a person to review. Nothing here is declared yet: a value with the comment
# "read from the data" is a statistic of these rows. Set it without looking at them, say why
# under `reason`, and take its key off the field's `drafted` list; private training refuses a
# field whose list is not empty.
"""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Hold the text of a proposed contract, and what a person should look at first."""

    text: str
    findings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Refined:
    """Hold a drafted contract as a solution would have it.

    `comments` stand beside the keys whose paths they name: ("fields", "item", "categories").
    """

    contract: DataContract
    comments: Mapping[tuple[str, ...], str] = dataclasses.field(
        default_factory=lambda: MappingProxyType({})
    )
    findings: tuple[str, ...] = ()


#: What a solution makes of a draft, given the raw table and a profile of each column by its name:
#: `SolutionInfo.drafter` names one.
Drafter = Callable[[DataContract, Table, Mapping[str, Profile]], Refined]


def draft_contract(
    raw: Table,
    *,
    solution: str = "",
    name: str = "",
    source: str = "",
    refine: Drafter | None = None,
) -> Draft:
    """Propose a contract for a raw table: YAML text that `parse_contract` accepts.

    Kinds, bounds and categories are read from the rows, and every such value is marked, by a
    comment and in the field's `drafted` list. Names suggest the target, the protected fields and
    the identifiers. The findings name columns that look like identifiers, like proxies of a
    protected column (AUC above .90 for one of its groups), and like leaks (AUC above .95 for the
    target, or constant within it); leaks and identifiers are left out of the model. `refine`
    then gives the draft the parts that one solution asks for.

    Raises `ContractError` if the table has no rows or no named column.
    """
    names = [name for name in raw if name.strip() and not name.startswith("@")]
    if not (raw.rows and names):
        raise ContractError(
            "there are no rows, or no named columns, to draft a contract from",
            hint="give a file with a header and rows",
            violations=["the data have no rows or no named columns"],
        )
    columns = [profile(name, raw[name]) for name in names]
    keys = guess_keys(columns, raw.rows)
    target = guess_target([item for item in columns if item.column not in keys.taken])
    taken = keys.taken | ({target.column} if target else set())
    if len(taken) == len(columns):  # a contract has at least one field
        keys, target, taken = NO_KEYS, None, frozenset()
    rest = [item for item in columns if item.column not in taken]
    fields, remarks = _fields(columns, rest, keys, target)
    contract = DataContract(
        solution=solution or "unnamed",
        name=name or Path(source).stem or "draft",
        source=Path(source).name,
        id=keys.id,
        group=keys.group,
        time=keys.time,
        targets=(target,) if target else (),
        decision=guess_decision(target),
        fields=fields,
    )
    refined = Refined(contract=contract)
    if refine is not None:
        refined = refine(contract, raw, {item.column: item for item in columns})
    contract = refined.contract
    # A column that the solution has found a use for is no longer left out for its looks.
    used = {item.column for item in contract.entities} | {item.column for item in contract.targets}
    own = {item.name: item for item in fields}
    same = {
        item.name: item.column
        for item in contract.fields
        if own.get(item.name) == item and item.column not in used
    }
    remarks = {name: text for name, text in remarks.items() if name in same}
    comments = _comments(contract)
    comments |= {("fields", name): text for name, text in remarks.items()}
    findings = [*keys.findings_in(contract), *(_said(item) for item in contract.targets)]
    if refine is None and not contract.targets:
        findings.append("no column is named like a target: declare it under targets")
    findings += [f"{same[name]!r} {remark}" for name, remark in remarks.items()]
    if not any(item.role == "protected" for item in contract.fields):
        findings.append("no column is named like a protected trait: an audit needs role protected")
    return Draft(
        text=_HEADER + render(contract, {**comments, **refined.comments}),
        findings=(*findings, *refined.findings),
    )


def _said(target: Target) -> str:
    what = f"{target.column!r} is taken as the target, by its name"
    if target.kind != "binary":
        return f"{what}: {target.kind}"
    return f"{what}: {target.positive!r} is positive, {target.favourable!r} favourable"


def _fields(
    columns: Sequence[Profile], rest: Sequence[Profile], keys: Keys, target: Target | None
) -> tuple[tuple[Field, ...], dict[str, str]]:
    """Return the proposed fields, and a remark for each that a person should look at."""
    truth = next(
        (_truth(item) for item in columns if target and item.column == target.column), None
    )
    names: dict[str, None] = {target.name: None} if target else {}
    fields: list[Field] = []
    remarks: dict[str, str] = {}
    for number, column in enumerate(columns, 1):
        if column not in rest:
            continue
        name = field_name(column.column, number, names)
        names[name] = None
        why = _why_not(column, keys, truth)
        fields.append(declare(column, name, ignore=bool(why)))
        if why:
            remarks[name] = f"{why}: left out of the model"
    remarks |= _proxies(fields, {item.column: item for item in rest})
    return tuple(fields), remarks


def _why_not(column: Profile, keys: Keys, truth: Array | None) -> str:
    """Say why a column should not be read by the model, or nothing."""
    if column.column in keys.others:
        return keys.others[column.column]
    if column.kind == "empty":
        return "has no value in any row"
    if column.kind == "constant":
        return "has the same value in every row"
    if set(words(column.column)) & PLACE and column.kind in ("many", "numeric"):
        return "looks like a place, a proxy of race, ethnicity or income"
    if truth is not None and not is_protected(column.column):
        leak = _leak(column, truth)
        if leak:
            return leak
    if set(words(column.column)) & SPLIT:
        return "looks like a split that somebody made"
    if column.kind == "many":
        trait = "looks like a protected trait, and " if is_protected(column.column) else ""
        return f"{trait}has {column.distinct} different texts, too many for a category"
    if column.kind == "time":
        return "is a time, which needs a derived field"
    return ""


def _leak(column: Profile, truth: Array) -> str:
    if fixed_by(column, truth):
        return "looks like a leak: it is constant within the target"
    auc = strongest(column, truth)
    if auc is not None and auc > LEAK:
        return f"looks like a leak: it alone tells the target with AUC {auc:.3f}"
    return ""


def _truth(target: Profile) -> Array:
    """Return (rows,) class codes of the target; of a number, whether it is above the median."""
    if target.kind == "numeric" and target.numbers is not None:
        above = target.numbers > np.nanmedian(target.numbers)
        return np.where(np.isnan(target.numbers), -1, above)
    return target.codes


def _proxies(fields: Sequence[Field], columns: dict[str, Profile]) -> dict[str, str]:
    """Return, for each feature that stands in for a protected field, what was found."""
    protected = {
        field.title: protected_groups(field, columns[field.column])
        for field in fields
        if field.role == "protected"
    }
    found: dict[str, str] = {}
    for field in fields:
        if field.role != "feature":
            continue
        place = set(words(field.column)) & PLACE
        if place:
            found[field.name] = "looks like a place, a proxy of race, ethnicity or income"
        for name, groups in protected.items():
            auc = strongest(columns[field.column], groups)
            if auc is not None and auc > PROXY:
                found[field.name] = f"looks like a proxy of {name}: it tells a group, AUC {auc:.3f}"
    return found


def _comments(contract: DataContract) -> dict[tuple[str, ...], str]:
    """Return the comments that mark what was read from the data, or guessed."""
    comments: dict[tuple[str, ...], str] = {("time",): GUESS, ("id",): GUESS, ("group",): GUESS}
    if contract.solution == "unnamed":
        comments["solution",] = "the solution to train: `verticals list` names them"
    if contract.decision:
        comments["decision",] = GUESS
    for target in contract.targets:
        comments["targets", target.name] = GUESS
        for key in ("positive", "negative", "favourable"):
            comments["targets", target.name, key] = GUESS
        for key in ("values", "bounds"):
            comments["targets", target.name, key] = READ
    for field in contract.fields:
        for key in field.drafted:
            comments["fields", field.name, key] = READ
        if field.role == "protected":
            comments["fields", field.name, "role"] = GUESS
            comments.setdefault(("fields", field.name, "bands"), GUESS)
    return comments
