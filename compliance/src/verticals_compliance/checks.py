"""Audit checks of plugins: run again where their code is installed, else taken as recorded."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from verticals.errors import AuditError, VerticalsError
from verticals.evidence import PRODUCER, RECOMPUTED, EvidenceInfo, Measurement
from verticals.plugin import AuditCheckInfo
from verticals.registry import load_target
from verticals.table import Table
from verticals_compliance.policy import Rule, parse_rule
from verticals_compliance.records import CheckRow

NOT_RUN = "not run"

_TEXTS = ("check", "output", "attribute", "group", "subject", "method")


@dataclass(frozen=True, kw_only=True)
class CheckOutcome:
    """Say what became of one plugin check; `problem` is empty where it was measured."""

    name: str
    summary: str
    needs: tuple[str, ...]
    origin: str  # RECOMPUTED, PRODUCER or NOT_RUN
    problem: str


@dataclass(frozen=True, kw_only=True)
class Checks:
    """Hold the rows of all checks, what became of each, and the rules that they bring."""

    rows: tuple[CheckRow, ...]
    outcomes: tuple[CheckOutcome, ...]
    rules: tuple[Rule, ...]


def run_checks(
    infos: Iterable[AuditCheckInfo],
    tables: Mapping[str, Table],
    info: EvidenceInfo,
    *,
    carried: Checks | None = None,
    min_cell: int = 1,
    judged: Collection[str] = (),
) -> Checks:
    """Run every check; one that is missing a table, fails to load or raises becomes a problem.

    So does one whose rows bear the name of another plugin's check, or cannot be: an interval
    upside down or beside its estimate, a count below 0. Such a row holds no number. A row of a
    group on fewer than `min_cell` says so and holds no number, its own count neither.

    Recorded rows that no check here and no rule of the policy (`judged` names the checks that one
    speaks of) knows are a problem too: rules come with the plugin, and none was applied to them.

    Rows that the producer recorded under other names are kept; those of a check that was run
    again are replaced by what it gives now. `carried` is what an earlier audit found with checks
    that are not installed here. Everything is in the order of the names of the checks.
    """
    recorded = recorded_rows(tables.get("checks"))
    carried = carried or Checks(rows=(), outcomes=(), rules=())
    rows: list[CheckRow] = list(carried.rows)
    outcomes: list[CheckOutcome] = list(carried.outcomes)
    rules: list[Rule] = list(carried.rules)
    for check in infos:
        found, problem = _run(check, tables, info)
        brought, broken = _rules(check)
        was_recorded = any(row.check == check.name for row in recorded)
        rows += found
        rules += brought
        outcomes.append(
            CheckOutcome(
                name=check.name,
                summary=check.summary,
                needs=tuple(check.needs),
                origin=RECOMPUTED
                if found or not problem
                else PRODUCER
                if was_recorded
                else NOT_RUN,
                problem="; ".join(filter(None, (problem, broken))),
            )
        )
    again = {row.check for row in rows}
    kept = [row for row in recorded if row.check not in again]
    rows += kept
    known = {_family(item.name) for item in outcomes}
    unheard = {_family(row.check) for row in kept if row.check not in judged}
    outcomes += [_unheard(name) for name in sorted(unheard - known)]
    return Checks(
        rows=tuple(sorted((_shown(row, min_cell) for row in rows), key=lambda row: row.check)),
        outcomes=tuple(sorted(outcomes, key=lambda outcome: outcome.name)),
        rules=tuple(sorted(rules, key=lambda rule: rule.origin)),
    )


def carried_from(
    rows: Iterable[CheckRow],
    outcomes: Iterable[CheckOutcome],
    rules: Iterable[Rule],
    installed: Collection[str],
) -> Checks:
    """Return what an earlier audit found with checks that are not installed here.

    Rows are carried only where one of these checks was run
    then: a row that an installed check gave must come from it again.
    """
    absent = tuple(item for item in outcomes if item.name not in installed)
    was_run = any(item.origin == RECOMPUTED for item in absent)
    origins = {_origin(item.name) for item in absent}
    return Checks(
        rows=tuple(row for row in rows if was_run and row.origin == RECOMPUTED),
        outcomes=absent,
        rules=tuple(rule for rule in rules if rule.origin in origins),
    )


def recorded_rows(table: Table | None) -> list[CheckRow]:
    """Return the rows of the evidence table `checks`."""
    if table is None:
        return []
    rows = [
        CheckRow(
            **{name: str(table[name][place]) for name in _TEXTS},
            n=int(table["n"][place]),
            estimate=_tidy(table["estimate"][place]),
            lower=_tidy(table["lower"][place]),
            upper=_tidy(table["upper"][place]),
            origin=PRODUCER,
        )
        for place in range(table.rows)
    ]
    return [_sound(row)[0] for row in rows]


def _run(
    check: AuditCheckInfo, tables: Mapping[str, Table], info: EvidenceInfo
) -> tuple[list[CheckRow], str]:
    """Return the rows of a check, or none and the problem in words."""
    missing = [name for name in check.needs if name not in tables]
    if missing:
        return [], f"the evidence lacks the table {missing[0]!r}"
    try:
        function = cast(Callable[..., Iterable[Measurement]], load_target(check.target))
        rows = [_row(item) for item in function(tables, info)]
    except VerticalsError as error:
        return [], error.message
    except (Exception, SystemExit) as error:  # a plugin's fault must not take the audit with it
        # Only the kind of error: its text may hold data.
        return [], f"the check raised {type(error).__name__}"
    foreign = next((r.check for r in rows if _family(r.check) != _family(check.name)), None)
    if foreign is not None:
        return [], f"the check gave rows in the name of another one, {foreign!r}"
    pairs = [_sound(row) for row in rows]
    return [row for row, _ in pairs], next((fault for _, fault in pairs if fault), "")


def _rules(check: AuditCheckInfo) -> tuple[list[Rule], str]:
    """Return the rules that a check brings, or none and what is wrong with them."""
    try:
        return [
            parse_rule(
                rule,
                f"check {check.name!r}: rule {place + 1}",
                origin=_origin(check.name),
                check=check.name,
            )
            for place, rule in enumerate(check.rules)
        ], ""
    except AuditError as error:
        return [], error.message


def _row(item: Measurement) -> CheckRow:
    return CheckRow(
        **{name: getattr(item, name) for name in _TEXTS},
        n=int(item.n),
        estimate=_tidy(item.estimate),
        lower=_tidy(item.lower),
        upper=_tidy(item.upper),
        origin=RECOMPUTED,
    )


def _sound(row: CheckRow) -> tuple[CheckRow, str]:
    """Return a row and "", or a row without its numbers and what is wrong with them."""
    value, lower, upper = row.estimate, row.lower, row.upper
    slack = 1e-6 * max(abs(value or 0.0), abs(lower or 0.0), abs(upper or 0.0))
    fault = ""
    if row.n < 0:
        fault = f"n is {row.n}"
    elif row.n == 0 and value is not None:
        fault = "it has a value although n is 0"
    elif lower is not None and upper is not None and lower > upper + slack:
        fault = "the lower limit is above the upper one"
    elif value is not None and lower is not None and value < lower - slack:
        fault = "the value is below its interval"
    elif value is not None and upper is not None and value > upper + slack:
        fault = "the value is above its interval"
    if not fault:
        return row, ""
    told = f"refused: {fault}"
    bare = replace(row, n=max(row.n, 0), estimate=None, lower=None, upper=None, method=told)
    return bare, f"a row of {row.check} was refused: {fault}"


def _family(name: str) -> str:
    """Return the part of a check's name that its plugin's checks share."""
    return name.partition(".")[0]


def _unheard(family: str) -> CheckOutcome:
    return CheckOutcome(
        name=family,
        summary="Recorded by the producer; the plugin that knows it is not installed here.",
        needs=(),
        origin=PRODUCER,
        problem="the evidence holds rows of it, but its rules come with a plugin that is not "
        "installed here, so none was applied",
    )


def _shown(row: CheckRow, min_cell: int) -> CheckRow:
    """Return a row without its numbers where it speaks of a group of too few."""
    if not row.group or not 0 < row.n < min_cell:
        return row
    told = f"withheld: on fewer than {min_cell}"
    return replace(row, n=0, estimate=None, lower=None, upper=None, method=told)


def _tidy(value: Any) -> float | None:
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) else None


def _origin(name: str) -> str:
    return f"plugin check {name}"
