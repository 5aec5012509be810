"""What this distribution offers: four solutions and their audit checks, described, not imported."""

from __future__ import annotations

from verticals.plugin import AuditCheckInfo, SolutionInfo, hookimpl
from verticals_student_assessment.essays import info as essays
from verticals_student_assessment.items import info as items
from verticals_student_assessment.risk import info as risk
from verticals_student_assessment.tracing import info as tracing


@hookimpl
def verticals_solutions() -> tuple[SolutionInfo, ...]:
    """Return the four solutions."""
    return (risk.SOLUTION, items.SOLUTION, essays.SOLUTION, tracing.SOLUTION)


@hookimpl
def verticals_audit_checks() -> tuple[AuditCheckInfo, ...]:
    """Return the checks of all four."""
    return (*risk.CHECKS, *items.CHECKS, *essays.CHECKS, *tracing.CHECKS)
