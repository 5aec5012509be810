"""The record of an audit, as frozen values with exactly the fields of `audit.json`.

None stands for a number that could not be measured, never for zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

FORMAT = 1

GAP = "gap"
NO_GAP = "no-material-gap"
INSUFFICIENT = "insufficient-evidence"

PASS = "pass"
FAIL = "fail"
INCONCLUSIVE = "inconclusive"
NOT_MEASURABLE = "not-measurable"


@dataclass(frozen=True, kw_only=True)
class Auditor:
    """Say which software made the audit, and with which seed."""

    distribution: str
    version: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class PolicyRef:
    """Name the policy that was in force."""

    name: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class AuditedBundle:
    """Name the bundle that was audited."""

    digest: str
    solution: str
    distribution: str
    version: str
    trained_at: str


@dataclass(frozen=True, kw_only=True)
class EvidenceRef:
    """Name the evidence that the audit rests on."""

    digest: str
    rows: int
    form: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class PerformanceRow:
    """State one measure of one output over all audited rows."""

    output: str
    metric: str
    estimate: float | None
    lower: float | None
    upper: float | None
    n: int
    method: str


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """State one measure of one group; `n` is its denominator."""

    group: str
    n: int
    estimate: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, kw_only=True)
class Disparity:
    """State how far apart the groups are: the largest difference, or the smallest ratio."""

    kind: str  # difference or ratio
    estimate: float | None
    lower: float | None
    upper: float | None
    method: str


@dataclass(frozen=True, kw_only=True)
class FairnessRow:
    """State one measure for every group of one attribute, and the disparity between them."""

    output: str
    attribute: str
    metric: str
    favourable: str
    decision: str
    groups: tuple[GroupRow, ...]
    disparity: Disparity
    p_value: float | None
    p_adjusted: float | None
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Attack:
    """State how well a membership attack did, beside what the promise of privacy allows."""

    method: str
    members: int
    others: int
    auc: float | None
    auc_lower: float | None
    auc_upper: float | None
    fpr: float | None
    tpr: float | None
    tpr_lower: float | None
    tpr_upper: float | None
    bound: float | None
    consistent: bool | None


@dataclass(frozen=True, kw_only=True)
class PrivacySection:
    """State the promise of privacy; all None or empty where none was made."""

    epsilon: float | None
    delta: float | None
    unit: str
    accountant: str
    statement: str
    attack: Attack | None


@dataclass(frozen=True, kw_only=True)
class FieldAttribution:
    """State how much a field moves an output, on average over the audited rows."""

    field: str
    mean_abs: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, kw_only=True)
class ExplanationRow:
    """State how one output was explained, and by how much its attributions fail to add up."""

    output: str
    method: str
    additivity_error: float | None
    fields: tuple[FieldAttribution, ...]


@dataclass(frozen=True, kw_only=True)
class CheckRow:
    """State one measurement of a plugin's audit check."""

    check: str
    output: str
    attribute: str
    group: str
    subject: str
    n: int
    estimate: float | None
    lower: float | None
    upper: float | None
    method: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class Limit:
    """Hold the limits of a rule; None means that there is none on that side."""

    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """State what a rule of the policy found.

    `evidence` points into the record (`/fairness/3`) or, where nothing could be measured, says
    why in words.
    """

    rule: str
    required: bool
    attribute: str
    value: float | None
    lower: float | None
    upper: float | None
    limit: Limit
    status: str
    source: str
    evidence: str


@dataclass(frozen=True, kw_only=True)
class AuditRecord:
    """Hold everything that an audit states."""

    auditor: Auditor
    policy: PolicyRef
    bundle: AuditedBundle
    evidence: EvidenceRef
    performance: tuple[PerformanceRow, ...]
    fairness: tuple[FairnessRow, ...]
    privacy: PrivacySection
    explanations: tuple[ExplanationRow, ...]
    checks: tuple[CheckRow, ...]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the content of `audit.json`: fields in the order of the design."""
        record: dict[str, Any] = {"format": FORMAT, **_plain(self)}
        for row in record["explanations"]:
            row["global"] = row.pop("fields")  # a word that Python keeps for itself
        return record


def from_json(record: Mapping[str, Any]) -> AuditRecord:
    """Return the record that `to_json` gave; `record` already follows the schema."""
    return AuditRecord(
        auditor=Auditor(**record["auditor"]),
        policy=PolicyRef(**record["policy"]),
        bundle=AuditedBundle(**record["bundle"]),
        evidence=EvidenceRef(**record["evidence"]),
        performance=tuple(PerformanceRow(**row) for row in record["performance"]),
        fairness=tuple(_fairness(row) for row in record["fairness"]),
        privacy=_privacy(record["privacy"]),
        explanations=tuple(_explanation(row) for row in record["explanations"]),
        checks=tuple(CheckRow(**row) for row in record["checks"]),
        findings=tuple(
            Finding(**{**row, "limit": Limit(**row["limit"])}) for row in record["findings"]
        ),
    )


def measurement(record: Mapping[str, Any], finding: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the object of a record (`audit.json`) that a finding rests on.

    Empty where nothing was measured, or where the finding's pointer leads nowhere.
    """
    place = str(finding.get("evidence") or "")
    value: Any = record if place.startswith("/") else None
    for part in place.strip("/").split("/"):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, Sequence) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return {}
    return value if isinstance(value, Mapping) else {}


def _plain(value: Any) -> Any:
    return asdict(value, dict_factory=lambda pairs: {k: _listed(v) for k, v in pairs})


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _fairness(row: Mapping[str, Any]) -> FairnessRow:
    groups = tuple(GroupRow(**group) for group in row["groups"])
    return FairnessRow(**{**row, "groups": groups, "disparity": Disparity(**row["disparity"])})


def _privacy(section: Mapping[str, Any]) -> PrivacySection:
    attack = section["attack"]
    return PrivacySection(**{**section, "attack": None if attack is None else Attack(**attack)})


def _explanation(row: Mapping[str, Any]) -> ExplanationRow:
    fields = tuple(FieldAttribution(**field) for field in row["global"])
    return ExplanationRow(
        output=row["output"],
        method=row["method"],
        additivity_error=row["additivity_error"],
        fields=fields,
    )
