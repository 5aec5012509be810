"""Propose a contract from data, for a human to review: nothing in it is declared yet."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from verticals.contract.draft_remarks import (
    how_to_keep,
    said_of_counts,
    said_of_header,
    said_of_targets,
    said_without_target,
)
from verticals.contract.dump import render
from verticals.contract.guess import (
    NO_KEYS,
    Keys,
    declare,
    epoch_unit,
    guess_keys,
    ignored,
    is_count,
    protected_groups,
    ties_persons,
)
from verticals.contract.guess_target import guess_decision, guess_target
from verticals.contract.hints import PERSON, PLACE, SPLIT, field_name, is_protected, words
from verticals.contract.model import DataContract, Field, Target
from verticals.contract.profile import Profile, profile
from verticals.contract.suspects import fixed_by, strongest
from verticals.errors import ContractError
from verticals.table import Array, Table

LEAK = 0.99  # AUC from which one column alone is too good, and left out
STRONG = 0.95  # from which it is named; a real measurement may reach it
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
    target_kinds: Collection[str] = (),
) -> Draft:
    """Propose a contract for a raw table: YAML text that `parse_contract` accepts.

    Kinds, bounds and categories are read from the rows, and every such value is marked, by a
    comment and in the field's `drafted` list. Names suggest the target, the protected fields and
    the identifiers. The findings name columns that look like identifiers, like proxies of a
    protected column (AUC above .90 for one of its groups), and like leaks (AUC above .95 for the
    target, or constant within it). Identifiers are left out of the model, and so are leaks from an
    AUC of .99 on, with the line that keeps one. Few whole numbers from 0 or 1 on are taken as
    numbers, unless the name is that of a code. `refine` then gives the draft the parts that one
    solution asks for; `target_kinds` are the kinds of target that it takes (empty: any).

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
    by_name = {item.column: item for item in columns}
    keys = guess_keys(columns, raw.rows)
    kinds = target_kinds if refine is None else ()
    open_columns = [item for item in columns if item.column not in keys.taken]
    target = None if set(kinds) == {"none"} else guess_target(open_columns, kinds)
    keys = _with_tied(keys, columns, target, raw.rows)
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
        refined = refine(contract, raw, by_name)
    contract, refused = _with_kinds(refined.contract, target_kinds)
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
    comments |= {("fields", name): text.split(";")[0] for name, text in remarks.items()}
    findings = [*said_of_header(columns), *keys.findings_in(contract)]
    findings += [*said_of_targets(contract, by_name), *refused]
    if refine is None and not contract.targets and "none" not in target_kinds:
        findings.append(said_without_target(columns, target_kinds, solution))
    findings += [f"{same[name]!r} {remark}" for name, remark in remarks.items()]
    counts = {item.column for item in columns if is_count(item)} & set(same.values())
    findings += said_of_counts(contract.fields, counts)
    if not any(item.role == "protected" for item in contract.fields):
        findings.append("no column is named like a protected trait: an audit needs role protected")
    return Draft(
        text=_HEADER + render(contract, {**comments, **refined.comments}),
        findings=(*findings, *refined.findings),
    )


def _with_tied(keys: Keys, columns: Sequence[Profile], target: Target | None, rows: int) -> Keys:
    """Return the keys with a column whose values tie rows of one target together.

    Named after a person, or after a key, it is the group; else, or where there is a group, it is
    an identifier of something, or a leak.
    """
    truth = _truth_of(columns, target)
    if truth is None or target is None or target.kind == "numeric":
        return keys
    group, others = keys.group, dict(keys.others)
    for column in columns:
        if column.column in (*keys.taken, target.column) or is_protected(column.column):
            continue
        if column.notation is not None or not ties_persons(column, truth):
            continue
        whole = column.present == rows
        if not group and whole and set(words(column.column)) & PERSON:
            group = column.column
            others.pop(column.column, None)
            continue
        others[column.column] = (
            "has several rows and one target for each of its values, as the id of a person or a "
            f"case has: if it is one, declare group: {column.column}; if not, it is a leak"
        )
    return dataclasses.replace(keys, group=group, others=others)


def _with_kinds(
    contract: DataContract, kinds: Collection[str]
) -> tuple[DataContract, tuple[str, ...]]:
    """Return the contract without targets of kinds that the solution does not take, and why."""
    odd = [item for item in contract.targets if kinds and item.kind not in kinds]
    if not odd:
        return contract, ()
    wanted = " or ".join(sorted(set(kinds) - {"none"}))
    article = "an" if wanted.startswith("o") else "a"
    takes = f"takes {article} {wanted} target" if wanted else "takes no target"
    said = tuple(
        f"{item.column!r} would be a {item.kind} target, and {contract.solution} {takes}: left out"
        for item in odd
    )
    kept = tuple(item for item in contract.targets if item not in odd)
    decision = contract.decision
    if decision is not None and decision.target not in {item.name for item in kept}:
        decision = guess_decision(kept[0] if kept else None)
    return (
        dataclasses.replace(
            contract,
            targets=kept,
            decision=decision,
            fields=(*contract.fields, *(ignored(item.name, item.column) for item in odd)),
        ),
        said,
    )


def _truth_of(columns: Sequence[Profile], target: Target | None) -> Array | None:
    """Return (rows,) class codes of the target, None where there is none."""
    found = (_truth(item) for item in columns if target and item.column == target.column)
    return next(found, None)


def _fields(
    columns: Sequence[Profile], rest: Sequence[Profile], keys: Keys, target: Target | None
) -> tuple[tuple[Field, ...], dict[str, str]]:
    """Return the proposed fields, and a remark for each that a person should look at."""
    truth = _truth_of(columns, target)
    names: dict[str, None] = {target.name: None} if target else {}
    fields: list[Field] = []
    remarks: dict[str, str] = {}
    for number, column in enumerate(columns, 1):
        if column not in rest:
            continue
        name = field_name(column.column, number, names)
        names[name] = None
        leak = "" if truth is None or is_protected(column.column) else _leak(column, truth)
        why = _why_not(column, keys, leak)
        fields.append(declare(column, name, ignore=bool(why)))
        if why:
            kept = f"; where it is known in time, keep it: {how_to_keep(column, name)}"
            remarks[name] = f"{why}: left out of the model{kept if why == leak else ''}"
        elif truth is not None and fields[-1].is_input and (said := _strong(column, truth)):
            remarks[name] = said
        elif column.notation is not None and column.kind == "categorical":
            remarks[name] = f"{column.notation.text}; until then its texts are categories"
    remarks |= _proxies(fields, {item.column: item for item in rest})
    return tuple(fields), remarks


def _why_not(column: Profile, keys: Keys, leak: str) -> str:
    """Say why a column should not be read by the model, or nothing; `leak` comes among the rest."""
    if column.column in keys.others:
        return keys.others[column.column]
    if column.kind == "empty":
        return "has no value in any row"
    if column.kind == "constant":
        return "has the same value in every row"
    if set(words(column.column)) & PLACE and column.kind in ("many", "numeric"):
        return "looks like a place, a proxy of race, ethnicity or income"
    if column.notation is not None and column.kind != "categorical":
        return column.notation.text
    if unit := epoch_unit(column):
        return f"holds times in {unit} since 1970: write them as 2024-05-31T10:00:00 in the file"
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


def _strong(column: Profile, truth: Array) -> str:
    """Say that a column tells the target well, though not too well to be true."""
    auc = strongest(column, truth)
    if auc is None or auc <= STRONG:
        return ""
    return (
        f"alone tells the target with AUC {auc:.3f}, and is kept: where it is known only with the "
        "outcome, or after it, set role: ignore"
    )


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
        for key in target.drafted:
            comments["targets", target.name, key] = READ
    for field in contract.fields:
        for key in field.drafted:
            comments["fields", field.name, key] = READ
        if field.role == "protected":
            comments["fields", field.name, "role"] = GUESS
            comments.setdefault(("fields", field.name, "bands"), GUESS)
    return comments
