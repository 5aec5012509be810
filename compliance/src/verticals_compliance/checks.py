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
) -> Checks:
    """Run every check; one that is missing a table, fails to load or raises becomes a problem.

    A row of a group on fewer than `min_cell` says so and holds no number, its own count neither.

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
                origin=RECOMPUTED if not problem else PRODUCER if was_recorded else NOT_RUN,
                problem="; ".join(filter(None, (problem, broken))),
            )
        )
    again = {row.check for row in rows}
    rows += [row for row in recorded if row.check not in again]
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
    return [
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


def _run(
    check: AuditCheckInfo, tables: Mapping[str, Table], info: EvidenceInfo
) -> tuple[list[CheckRow], str]:
    """Return the rows of a check, or none and the problem in words."""
    missing = [name for name in check.needs if name not in tables]
    if missing:
        return [], f"the evidence lacks the table {missing[0]!r}"
    try:
        function = cast(Callable[..., Iterable[Measurement]], load_target(check.target))
        return [_row(item) for item in function(tables, info)], ""
    except VerticalsError as error:
        return [], error.message
    except Exception as error:  # a plugin's fault must not take the audit with it
        # Only the kind of error: its text may hold data.
        return [], f"the check raised {type(error).__name__}"


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
