"""What student-risk offers, described without importing it."""

from __future__ import annotations

from verticals.plugin import AuditCheckInfo, SolutionInfo

SOLUTION = SolutionInfo(
    name="student-risk",
    api_version=1,
    state_version=1,
    target="verticals_student_assessment.risk.solution:SOLUTION",
    domain="education",
)

CHECKS: tuple[AuditCheckInfo, ...] = ()
