"""`details.json`: what a report and a verification need beside the record.

`audit.json` is a public interface with few fields. Everything else that the report shows (what the
model is for, the contract, curves, shapes, the policy in force, …) stands in `details.json`, which
names the digest of its `audit.json`. Keys are always there; what is absent is empty or null.

    format, record                     1, sha256 of the bytes of audit.json
    solution, bundle, files, outputs   from the manifest: who made what, and whose data it shows
    contract                           targets, decision, fields with bounds, reasons and purposes
    split, training, privacy           how it was trained; the history of losses if not private
    accounting                         what was recomputed of epsilon: bounds, status, why not
    evidence                           form, part, rows, units, attributes, names of tables
    policy                             with every rule in force, those of plugin checks included
    checks                             what became of each plugin check
    curves                             of each probability: calibration, roc, histogram
    confusions                         persons by outcome and prediction, of classes and levels
    groups                             counts of each group: outcomes, decisions, confusion
    shapes, reasons, attributions, additivity, distribution, encoding, membership
    producer_tables                    small tables of plugins, as they are
    plots                              what solutions plot: series of points, with persons
    maps                               mean image and mean map of ten persons or more, as grids
    oversight                          counts of human decisions and appeals, if a record was given
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from verticals.bundle import Bundle
from verticals.contract.model import Amount, DataContract, Field
from verticals.errors import AuditError, DataError
from verticals.evidence import Evidence
from verticals.files import write_file
from verticals.strictjson import parse_json, plain, sha256
from verticals_compliance.applicability import told
from verticals_compliance.audit import MAX_BYTES, Audit, record_bytes
from verticals_compliance.checks import CheckOutcome
from verticals_compliance.counts import is_rough
from verticals_compliance.curves import confusions, curves
from verticals_compliance.plots import plots
from verticals_compliance.policy import Policy, from_json
from verticals_compliance.summaries import (
    additivity,
    attributions,
    distribution,
    encoding,
    history,
    maps,
    membership,
    producer_tables,
    reasons,
    shapes,
    split_notes,
)

DETAILS = "details.json"
FORMAT = 1


def describe(
    evidence: Evidence, bundle: Bundle, done: Audit, oversight: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the content of `details.json` for an audit.

    `oversight` is what `human_decisions` counted, None where no record of decisions was given.
    """
    contract, tables = bundle.contract, evidence.tables
    manifest, info = bundle.manifest, evidence.info
    level = done.policy.level
    found = {
        "format": FORMAT,
        "record": sha256(record_bytes(done.record)),
        "solution": dict(bundle.solution),
        "bundle": {
            "digest": bundle.digest,
            "trained_at": bundle.trained_at,
            "signed_by": bundle.verification.signed_by,
        },
        "files": [asdict(entry) for entry in bundle.files],
        "outputs": [asdict(output) for output in info.outputs],
        "contract": _contract(contract, manifest.extra.get("derived", ())),
        "split": {**manifest.split, "notes": split_notes(tables)},
        "training": {"settings": manifest.training, "history": history(tables)},
        "privacy": bundle.privacy,
        "accounting": done.accounting.to_json(),
        "evidence": _evidence(evidence),
        "policy": {**done.policy.to_json(), "digest": done.policy.digest},
        "set_aside": told(done.set_aside, done.policy),
        "checks": [asdict(outcome) for outcome in done.checks.outcomes],
        "curves": curves(
            done.material.predictions,
            level,
            limits=not is_rough(evidence),
            min_cell=done.policy.min_cell,
        ),
        "confusions": confusions(done.material.predictions, min_cell=done.policy.min_cell),
        "groups": [asdict(row) for row in done.material.groups],
        "shapes": shapes(tables, contract),
        "reasons": reasons(tables),
        "attributions": attributions(tables, level),
        "additivity": additivity(tables),
        "distribution": distribution(tables, contract),
        "encoding": encoding(tables),
        "membership": membership(tables),
        "producer_tables": producer_tables(tables, info.rows),
        "maps": maps(tables),
        "plots": plots(tables),
        "oversight": oversight,
    }
    result: dict[str, Any] = plain(found, "details")
    return result


def write_details(folder: str | Path, details: Mapping[str, Any]) -> Path:
    """Write `details.json` beside `audit.json`; raise `AuditError` if the system refuses."""
    path = Path(folder) / DETAILS
    text = json.dumps(details, indent=1, ensure_ascii=False, allow_nan=False)
    try:
        write_file(path, f"{text}\n".encode(), what=f"audit '{path}'")
    except DataError as error:
        raise AuditError(error.message, hint=error.hint) from error
    return path


def read_details(folder: str | Path) -> Mapping[str, Any]:
    """Read `details.json`; raise `AuditError` if it is missing or of another `audit.json`."""
    path, hint = Path(folder) / DETAILS, f"verticals audit BUNDLE --out {folder}"
    try:
        found = parse_json(path.read_bytes(), what=f"'{path}'", max_bytes=MAX_BYTES)
        record = sha256((Path(folder) / "audit.json").read_bytes())
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise AuditError(f"'{error.filename}': {reason}", hint=hint) from error
    except DataError as error:
        raise AuditError(error.message, hint=hint) from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise AuditError(f"'{path}' is no details of format {FORMAT}", hint=hint)
    if found.get("record") != record:
        raise AuditError(
            f"'{path}' belongs to another audit.json: {found.get('record')}, not {record}",
            hint=hint,
        )
    return found


def policy_in_force(details: Mapping[str, Any]) -> Policy:
    """Return the policy that an audit was made under, rules of plugin checks included.

    Raises `AuditError` if the details hold none that could have been written.
    """
    try:
        return from_json({k: v for k, v in details["policy"].items() if k != "digest"})
    except (KeyError, TypeError, AttributeError) as error:
        raise AuditError(
            f"details.json holds no policy of an audit: {type(error).__name__} {error}",
            hint="verticals audit BUNDLE --out DIR writes it again",
        ) from error


def outcomes_of(details: Mapping[str, Any]) -> tuple[CheckOutcome, ...]:
    """Return what became of each plugin check; raise `AuditError` as `policy_in_force` does."""
    try:
        return tuple(
            CheckOutcome(**{**item, "needs": tuple(item["needs"])}) for item in details["checks"]
        )
    except (KeyError, TypeError) as error:
        raise AuditError(
            f"details.json holds no checks of an audit: {type(error).__name__} {error}",
            hint="verticals audit BUNDLE --out DIR writes it again",
        ) from error


def _evidence(evidence: Evidence) -> dict[str, Any]:
    info = evidence.info
    return {
        "digest": evidence.digest,
        "form": info.form,
        "bundle": info.bundle,
        "part": info.part,
        "rows": info.rows,
        "units": info.units,
        "origin": info.origin,
        "min_cell": info.min_cell,
        "noise_epsilon": info.noise_epsilon,
        "fingerprint": info.fingerprint,
        "decision": info.decision,
        "tables": list(evidence.tables),
        "attributes": [{**asdict(item), "groups": list(item.groups)} for item in info.attributes],
    }


def _contract(contract: DataContract, derived: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    decision = contract.decision
    return {
        **{
            key: getattr(contract, key)
            for key in ("name", "solution", "description", "source", "licence")
        },
        **{key: getattr(contract, key) for key in ("id", "group", "time")},
        **{key: getattr(contract, key) for key in ("label_time", "label_delay")},
        "entities": [asdict(entity) for entity in contract.entities],
        "amount": None if contract.amount is None else _amount(contract.amount),
        "targets": [asdict(target) for target in contract.targets],
        "decision": None if decision is None else asdict(decision),
        "fields": [_field(item) for item in (*contract.fields, *map(_derived, derived))],
    }


def _amount(amount: Amount) -> dict[str, Any]:
    return {item.name: getattr(amount, item.name) for item in fields(amount)}


def _derived(found: Mapping[str, Any]) -> Field:
    """Return a derived field as the bundle describes it."""
    low, high = found.get("bounds") or (None, None)
    return Field(
        name=str(found["name"]),
        label=str(found["label"]),
        kind=str(found["kind"]),
        unit=str(found["unit"]),
        scale=str(found["scale"]),
        bounds=None if low is None or high is None else (float(low), float(high)),
        reads=tuple(map(str, found["reads"])),
    )


def _field(item: Field) -> dict[str, Any]:
    labels = item.category_labels or item.values
    texts = ("name", "role", "kind", "also_feature", "is_input", "column", "bounds", "scale")
    rest = ("bins", "bands", "missing", "unit", "monotone", "purpose", "reason", "drafted", "reads")
    return {
        **{key: getattr(item, key) for key in (*texts, *rest)},
        "label": item.title,
        "columns": max(1, len(item.columns)),
        "values": [
            {"value": value, "label": label}
            for value, label in zip(item.values, labels, strict=True)
        ],
    }
