"""Read what the machine said from scored rows, and write beside them what persons decided."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from verticals.contract.canonical import canonical
from verticals.contract.model import DataContract, Target
from verticals.data import hash_ids
from verticals.errors import DataError
from verticals.oversight.record import Standing
from verticals.oversight.values import target_of
from verticals.table import Array, Table

#: Added to scored rows; with `_TARGET` behind where a contract has several targets.
COLUMNS = ("human_decision", "human_reason", "human_by", "appeal_state")


def machine_said(
    scored: Table,
    contract: DataContract,
    person: object,
    target: str = "",
    *,
    given: str | None = None,
) -> str:
    """Return what the machine decided about a person, from the rows that `predict` wrote.

    That is `decision` for the contract's decision, the most probable class, the level nearest to
    the expected one, or the number. `given` says it where the rows do not: where they hold none,
    or several. Messages show no id.

    Raises `DataError` if no row is of this person, if the rows and `given` leave open what was
    said, or if they contradict each other.
    """
    ids, wanted = _ids(scored, contract), canonical(person)
    mine = np.flatnonzero([canonical(value) == wanted for value in ids.tolist()])
    if not wanted or mine.size == 0:
        raise DataError(
            f"no row of the scored file has this id in column {contract.id!r}",
            hint="decisions are about persons who were scored; look at --id and --scored",
        )
    chosen = target_of(contract, target)
    said = sorted(set(_decisions(scored.take(mine), contract, chosen)) - {""})
    where = f"the {mine.size} scored row(s) of this person"
    if given is not None:
        if said and canonical(given) not in said:
            raise DataError(
                f"{where} hold another decision about target {chosen.name!r} than --machine says",
                hint="leave --machine out: the file says what the machine decided",
            )
        return given
    if len(said) != 1:
        seen = f"{len(said)} different decisions" if said else "no decision"
        raise DataError(
            f"{where} hold {seen} about target {chosen.name!r}, expected one",
            hint="--machine VALUE says which is meant",
        )
    return said[0]


def apply_to(
    scored: Table,
    contract: DataContract,
    standing: Mapping[tuple[str, str], Standing],
    key: bytes,
) -> Table:
    """Return scored rows with the human decisions beside them; what the machine said stays.

    Adds `human_decision`, `human_reason`, `human_by` and `appeal_state` (open, upheld, changed),
    each None where there is nothing; with `_TARGET` behind where there are several targets.

    Raises `DataError` if the rows lack the contract's id column or have such columns already.
    """
    people = hash_ids(_ids(scored, contract), key)
    found: dict[str, Array] = {}
    for target in contract.targets:
        tail = f"_{target.name}" if len(contract.targets) > 1 else ""
        items = [standing.get((target.name, who)) if who else None for who in people]
        values = [
            (None,) * 4
            if item is None
            else (item.human, item.reason or None, item.by or None, item.appeal or None)
            for item in items
        ]
        for place, name in enumerate(COLUMNS):
            column = np.empty(scored.rows, dtype=object)
            column[:] = [row[place] for row in values]
            found[f"{name}{tail}"] = column
    double = sorted(set(found) & set(scored))
    if double:
        raise DataError(
            f"the scored file has a column {double[0]!r} already",
            hint="give the file that `verticals predict` wrote",
        )
    return scored.with_columns(found)


def _ids(scored: Table, contract: DataContract) -> Array:
    if not contract.id:
        raise DataError(
            f"contract {contract.name!r} names no id column, so nobody can be told by an id",
            hint="declare `id:` in the contract and train again",
        )
    if contract.id not in scored:
        raise DataError(
            f"the scored file has no column {contract.id!r}, which the contract names as id",
            hint="score data that have this column: verticals predict",
        )
    return scored[contract.id]


def _decisions(scored: Table, contract: DataContract, target: Target) -> list[str]:
    decided = contract.decision
    if decided is not None and decided.target == target.name and "decision" in scored:
        return [canonical(value) for value in scored["decision"].tolist()]
    expected = target.step_name if target.kind == "ordinal" else target.name
    if target.kind in ("numeric", "ordinal") and expected in scored:
        return [_level(target, value) for value in scored[expected].tolist()]
    names = [f"{target.name}_{value}" for value in target.values]
    if target.kind == "categorical" and names and all(name in scored for name in names):
        chances = np.stack([np.asarray(scored[name], dtype=np.float64) for name in names], axis=1)
        return ["" if np.isnan(row).any() else target.values[int(row.argmax())] for row in chances]
    return [""] * scored.rows


def _level(target: Target, value: object) -> str:
    """Return a number as text, or the level nearest to an expected step (0 is the lowest)."""
    text = canonical(value)
    if target.kind == "numeric" or not text:
        return text
    try:
        place = float(np.rint(float(text)))
    except ValueError:
        return ""
    return target.values[int(np.clip(place, 0, len(target.values) - 1))]
