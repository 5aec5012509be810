"""Audit: turn evidence into a record and findings. Needs neither torch nor the plugin's model.

    record = audit(open_evidence(path), open_bundle(bundle), default_policy(), checks=())
    write_audit(folder, record, details)

The same evidence, bundle, policy and checks give the same record, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from verticals.bundle import Bundle
from verticals.errors import AuditError, DataError
from verticals.evidence import Evidence
from verticals.files import write_file
from verticals.plugin import AuditCheckInfo
from verticals.strictjson import parse_json
from verticals_compliance.accounting import Accounting, account
from verticals_compliance.applicability import set_aside
from verticals_compliance.cells import with_pooled_groups
from verticals_compliance.checks import Checks, run_checks
from verticals_compliance.explanations import explanations, protected_reasons
from verticals_compliance.fairness import compared, fairness
from verticals_compliance.findings import Facts, contradictions, findings, unmeasured_check
from verticals_compliance.material import Material, read_material
from verticals_compliance.policy import Policy, with_rules
from verticals_compliance.privacy import privacy_section
from verticals_compliance.records import (
    AuditedBundle,
    Auditor,
    AuditRecord,
    EvidenceRef,
    PolicyRef,
    from_json,
)
from verticals_compliance.schema import violations

DISTRIBUTION = "verticals-compliance"
RECORD = "audit.json"
MAX_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Hold an audit and what it was made from, so that details can be written beside it.

    `policy` is the one in force: with the rules that plugin checks brought.
    """

    record: AuditRecord
    policy: Policy
    checks: Checks
    material: Material
    accounting: Accounting
    set_aside: Mapping[str, str]


def audit(
    evidence: Evidence,
    bundle: Bundle,
    policy: Policy,
    *,
    checks: Iterable[AuditCheckInfo] = (),
    seed: int = 0,
) -> AuditRecord:
    """Return the record of an audit; see `run_audit` for what it was made from."""
    return run_audit(evidence, bundle, policy, checks=checks, seed=seed).record


def run_audit(
    evidence: Evidence,
    bundle: Bundle,
    policy: Policy,
    *,
    checks: Iterable[AuditCheckInfo] = (),
    seed: int = 0,
    carried: Checks | None = None,
) -> Audit:
    """Measure everything, hold the policy against it, and return all of it.

    `seed` governs the Monte Carlo tests of small groups, nothing else. `carried` is what an
    earlier audit found with checks that are not installed here.

    Raises `AuditError` if the evidence was recorded for another bundle, or if a table of it is
    not as `docs/reference/evidence.md` says.
    """
    if evidence.info.bundle != bundle.digest:
        raise AuditError(
            f"evidence was recorded for bundle {evidence.info.bundle}, not for {bundle.digest}",
            hint="verticals evidence BUNDLE --data DATA --out DIR records it for this bundle",
        )
    plugin = run_checks(
        checks,
        evidence.tables,
        evidence.info,
        carried=carried,
        min_cell=policy.min_cell,
        judged=[rule.metric for rule in policy.rules if rule.section == "checks"],
    )
    policy = with_rules(policy, plugin.rules)
    material = read_material(with_pooled_groups(evidence, policy.min_cell), bundle.contract, policy)
    facts = _facts(evidence, bundle, policy, material, plugin, seed)
    record = _record(evidence, bundle, policy, facts, plugin, seed)
    return Audit(
        record=record,
        policy=policy,
        checks=plugin,
        material=material,
        accounting=facts.accounting,
        set_aside=facts.set_aside,
    )


def _facts(
    evidence: Evidence,
    bundle: Bundle,
    policy: Policy,
    material: Material,
    plugin: Checks,
    seed: int,
) -> Facts:
    tables, info = evidence.tables, evidence.info
    return Facts(
        performance=material.performance,
        fairness=fairness(material.comparisons, policy, seed=seed),
        privacy=privacy_section(bundle.privacy, tables.get("membership"), policy.level),
        privacy_units=_units_of(bundle.privacy),
        accounting=account(bundle),
        explanations=explanations(tables, policy.level),
        protected_reasons=protected_reasons(tables),
        checks=plugin.rows,
        attributes=info.attributes,
        left_out=frozenset(
            (item.output, item.attribute.name, item.metric)
            for item in material.comparisons
            if compared(item, policy)[1]
        ),
        rows=info.rows,
        units=info.units,
        level=policy.level,
        events=material.events,
        set_aside=set_aside(policy, bundle.contract),
        seen=_is_training_data(evidence, bundle),
    )


def _is_training_data(evidence: Evidence, bundle: Bundle) -> bool:
    """Tell whether the audited file is the one that was trained from, by their keyed hashes.

    What training itself recorded bears the same hash, but is of the part that it held out.
    """
    held_out, known = evidence.info.part == "test", evidence.info.fingerprint
    return bool(known) and not held_out and known == bundle.manifest.split.get("fingerprint")


def write_audit(folder: str | Path, record: AuditRecord) -> Path:
    """Write `audit.json` into a folder, which is made where it is missing; return its path.

    Raises `AuditError` if the system refuses.
    """
    path = Path(folder) / RECORD
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_file(path, record_bytes(record), what=f"audit '{path}'")
    except OSError as error:
        reason = (error.strerror or "refused").lower()
        raise AuditError(f"audit folder '{folder}': {reason}") from error
    except DataError as error:
        raise AuditError(error.message, hint=error.hint) from error
    return path


def record_bytes(record: AuditRecord) -> bytes:
    """Return the bytes of `audit.json`."""
    text = json.dumps(record.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def read_audit(folder: str | Path) -> AuditRecord:
    """Read `audit.json` from a folder.

    Raises `AuditError` if it is missing, or has not exactly the fields of its schema.
    """
    path = Path(folder) / RECORD
    hint = f"verticals audit BUNDLE --out {folder}"
    try:
        record = parse_json(path.read_bytes(), what=f"'{path}'", max_bytes=MAX_BYTES)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise AuditError(f"'{path}': {reason}", hint=hint) from error
    except DataError as error:
        raise AuditError(error.message, hint=hint) from error
    wrong = next(violations(record, record_schema()), None)
    if wrong is not None:
        raise AuditError(f"'{path}' is no audit of this format: {wrong}", hint=hint)
    return from_json(record)


@cache
def record_schema() -> Mapping[str, Any]:
    """Return the JSON Schema of `audit.json`, which is a public interface."""
    text = resources.files("verticals_compliance").joinpath("audit.schema.json").read_text("utf-8")
    schema: Mapping[str, Any] = json.loads(text)
    return schema


def _units_of(promise: Mapping[str, Any] | None) -> int | None:
    units = (promise or {}).get("units")
    return units if isinstance(units, int) and not isinstance(units, bool) else None


def _record(
    evidence: Evidence, bundle: Bundle, policy: Policy, facts: Facts, plugin: Checks, seed: int
) -> AuditRecord:
    failed = [unmeasured_check(item.name, item.problem) for item in plugin.outcomes if item.problem]
    return AuditRecord(
        auditor=Auditor(distribution=DISTRIBUTION, version=_version(), seed=seed),
        policy=PolicyRef(name=policy.name, digest=policy.digest),
        bundle=AuditedBundle(
            digest=bundle.digest,
            solution=bundle.solution["name"],
            distribution=bundle.solution["distribution"],
            version=bundle.solution["version"],
            trained_at=bundle.trained_at,
        ),
        evidence=EvidenceRef(
            digest=evidence.digest,
            rows=evidence.info.rows,
            form=evidence.info.form,
            origin=evidence.info.origin,
        ),
        performance=facts.performance,
        fairness=facts.fairness,
        privacy=facts.privacy,
        explanations=facts.explanations,
        checks=facts.checks,
        findings=(*findings(policy, facts), *failed, *contradictions(facts)),
    )


def _version() -> str:
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "not installed"
