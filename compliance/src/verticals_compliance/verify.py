"""Verify an audit: recompute every number from the evidence, and have a second witness.

Everything in `audit.json` and `details.json` is made again from bundle and evidence and compared,
number by number. An ε that the bundle's own noise, rate and steps contradict differs, too. Every
group measure is then computed a second time, from the evidence alone, by fairlearn's MetricFrame,
with code that shares nothing with ours but the evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from verticals.bundle import Bundle, open_bundle
from verticals.errors import AuditError
from verticals.evidence import RECOMPUTED, Evidence, open_evidence
from verticals.plugin import AuditCheckInfo
from verticals_compliance.accounting import AS_RECORDED, Accounting
from verticals_compliance.audit import read_audit, run_audit
from verticals_compliance.checks import Checks, carried_from, run_checks
from verticals_compliance.decisions import human_decisions
from verticals_compliance.details import describe, outcomes_of, policy_in_force, read_details
from verticals_compliance.records import AuditRecord, CheckRow
from verticals_compliance.witness import witness

RELATIVE = 1e-9  # what another processor or library may change in a sum
ABSOLUTE = 1e-12
ABSENT = "(absent)"

# Another version may verify, a bundle may be signed later, and details name the digest of a file
# that was read already.
AUDIT_MAY_DIFFER = ("audit.json/auditor/version",)
DETAILS_MAY_DIFFER = ("details.json/bundle/signed_by", "details.json/record")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Name a place in the record, what stands there, and what came out instead."""

    path: str
    recorded: Any
    recomputed: Any


@dataclass(frozen=True, kw_only=True)
class Verified:
    """Say how many values were compared, what differs, and what could not be compared.

    `witnessed` counts the group measures that fairlearn computed too.
    """

    compared: int
    witnessed: int
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


def verify_audit(
    folder: str | Path,
    bundle: str | Path,
    evidence: str | Path | None = None,
    *,
    checks: Iterable[AuditCheckInfo] = (),
    decisions: str | Path | None = None,
) -> Verified:
    """Recompute an audit; `evidence` is `BUNDLE.evidence` unless another one is named.

    Counts of human decisions are recomputed where their record is given as `decisions`, else taken
    as they are, and a note says so.

    Raises `AuditError`, `BundleError` or `EvidenceError` for what cannot be read, or belongs to
    another bundle or other evidence: then there is nothing to compare.
    """
    record, details = read_audit(folder), read_details(folder)
    model = open_bundle(bundle)
    facts = open_evidence(evidence_path(bundle) if evidence is None else evidence)
    _refuse_foreign(record, model, facts)
    policy = policy_in_force(details)
    outcomes = outcomes_of(details)
    infos = [info for info in checks if any(info.name == item.name for item in outcomes)]
    installed = {info.name for info in infos}
    again = _not_again(record, infos, facts)
    carried = carried_from(again, outcomes, policy.rules, installed)
    own = tuple(rule for rule in policy.rules if rule.origin == "policy")
    done = run_audit(
        facts,
        model,
        replace(policy, rules=own),
        checks=infos,
        seed=record.auditor.seed,
        carried=carried,
    )
    oversight, notes = _oversight(details, model, decisions)
    pairs = [
        ("audit.json", record.to_json(), done.record.to_json(), AUDIT_MAY_DIFFER),
        ("details.json", details, describe(facts, model, done, oversight), DETAILS_MAY_DIFFER),
    ]
    found = _compared(pairs, record, facts, model, carried)
    untrue = _untrue(done.accounting)
    return replace(
        found,
        differences=(*untrue, *found.differences),
        notes=(*found.notes, *notes, *_as_recorded(done.accounting)),
    )


def evidence_path(bundle: str | Path) -> Path:
    """Return where the evidence of a bundle stands unless somebody moved it."""
    path = Path(bundle)
    return path.with_name(f"{path.name}.evidence")


def values(found: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of a JSON document with its pointer; empty containers are values."""
    if isinstance(found, Mapping) and found:
        for key, item in found.items():
            yield from values(item, f"{path}/{key}")
    elif isinstance(found, list | tuple) and found:
        for place, item in enumerate(found):
            yield from values(item, f"{path}/{place}")
    else:
        yield path, list(found) if isinstance(found, tuple) else found


def differences(recorded: Any, recomputed: Any, name: str) -> list[Difference]:
    """Return the places where two JSON documents differ by more than rounding."""
    first, second = dict(values(recorded)), dict(values(recomputed))
    return [
        Difference(
            path=f"{name}{path}",
            recorded=first.get(path, ABSENT),
            recomputed=second.get(path, ABSENT),
        )
        for path in dict.fromkeys((*first, *second))
        if not _same(first.get(path, ABSENT), second.get(path, ABSENT))
    ]


def _same(first: Any, second: Any) -> bool:
    numbers = all(
        isinstance(item, int | float) and not isinstance(item, bool) for item in (first, second)
    )
    if numbers:
        return math.isclose(first, second, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return type(first) is type(second) and bool(first == second)


def _refuse_foreign(record: AuditRecord, bundle: Bundle, evidence: Evidence) -> None:
    for what, recorded, found in (
        ("bundle", record.bundle.digest, bundle.digest),
        ("evidence", record.evidence.digest, evidence.digest),
    ):
        if recorded != found:
            raise AuditError(
                f"the audit is of {what} {recorded}, but the {what} given is {found}",
                hint=f"verify against the {what} that was audited, or audit this one",
            )


def _untrue(found: Accounting) -> tuple[Difference, ...]:
    """Name an ε that the bundle's own noise, rate and steps contradict."""
    if not found.contradicts:
        return ()
    return (
        Difference(
            path="audit.json/privacy/epsilon", recorded=found.total, recomputed=found.reason
        ),
    )


def _as_recorded(found: Accounting) -> tuple[str, ...]:
    """Say which parts of ε could not be recomputed."""
    if found.status == AS_RECORDED:
        return (f"not recomputed, as recorded: epsilon ({found.reason})",)
    if found.other is not None:
        return (f"not recomputed, as recorded: epsilon {found.other:.4g} beside training",)
    return ()


def _oversight(
    details: Mapping[str, Any], bundle: Bundle, decisions: str | Path | None
) -> tuple[Mapping[str, Any] | None, tuple[str, ...]]:
    """Count human decisions again up to the recorded line, or take the counts as they are."""
    recorded = details.get("oversight")
    if recorded is None:
        if decisions is None:
            return None, ()
        raise AuditError(
            "the audit counted no human decisions, so there is nothing to compare them with",
            hint="leave --decisions out",
        )
    if decisions is None:
        return recorded, (
            "not recomputed, since their record is not given: human decisions (--decisions FILE)",
        )
    head = recorded.get("head") if isinstance(recorded, Mapping) else ""
    return human_decisions(decisions, bundle, head=str(head or "")), ()


def _not_again(
    record: AuditRecord, infos: Iterable[AuditCheckInfo], evidence: Evidence
) -> list[CheckRow]:
    """Return the recorded rows that no installed check gives again."""
    fresh = run_checks(infos, evidence.tables, evidence.info).rows
    again = {row.check for row in fresh if row.origin == RECOMPUTED}
    return [row for row in record.checks if row.check not in again]


def _compared(
    pairs: Iterable[tuple[str, Any, Any, tuple[str, ...]]],
    record: AuditRecord,
    evidence: Evidence,
    bundle: Bundle,
    carried: Checks,
) -> Verified:
    found: list[Difference] = []
    notes: list[str] = []
    count = 0
    for name, recorded, recomputed, may_differ in pairs:
        count += sum(1 for _ in values(recorded))
        for item in differences(recorded, recomputed, name):
            if item.path in may_differ:
                notes.append(f"{item.path} was {item.recorded!r}, now {item.recomputed!r}")
            else:
                found.append(item)
    if carried.rows:
        names = ", ".join(sorted({row.check for row in carried.rows}))
        notes.append(f"not recomputed, since the plugin is not installed: {names}")
    seen, disagreed = witness(record, evidence, bundle.contract)
    found += [
        Difference(path=f"audit.json{path}", recorded=ours, recomputed=theirs)
        for path, ours, theirs in disagreed
    ]
    return Verified(compared=count, witnessed=seen, differences=tuple(found), notes=tuple(notes))
