"""What item-response offers, described without importing it."""

from __future__ import annotations

from verticals.plugin import AuditCheckInfo, SolutionInfo

SOLUTION = SolutionInfo(
    name="item-response",
    api_version=1,
    state_version=1,
    target="verticals_student_assessment.items.solution:SOLUTION",
    domain="education",
)

CHECKS: tuple[AuditCheckInfo, ...] = ()
