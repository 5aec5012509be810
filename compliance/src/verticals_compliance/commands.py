"""`verticals audit`, and the recomputing half of `verticals verify`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from verticals.bundle import Bundle, open_bundle
from verticals.evidence import Evidence, open_evidence
from verticals.ledger import append
from verticals.plugin import AuditCheckInfo
from verticals.registry import discover
from verticals.strictjson import sha256
from verticals_compliance.audit import record_bytes, run_audit, write_audit
from verticals_compliance.decisions import human_decisions
from verticals_compliance.details import describe, write_details
from verticals_compliance.findings import exit_code
from verticals_compliance.policy import default_policy, read_policy
from verticals_compliance.records import (
    INCONCLUSIVE,
    AuditRecord,
    Finding,
    measurement,
)
from verticals_compliance.verify import evidence_path
from verticals_compliance.verify import verify_audit as recompute

SHOWN_DIFFERENCES = 20
STATUSES = ("fail", "inconclusive", "not-measurable", "pass")

_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
_evidence = click.option(
    "--evidence", type=click.Path(path_type=Path), help="Default: BUNDLE.evidence."
)

_decisions = click.option(
    "--decisions",
    type=click.Path(path_type=Path),
    help="The record of human decisions, to be counted in the report.",
)


@click.command("audit")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the audit.")
@_evidence
@click.option("--policy", type=click.Path(path_type=Path), help="TOML; default: the one built in.")
@click.option("--seed", default=0, show_default=True, help="Of the tests of small groups.")
@click.option("--ledger", type=click.Path(path_type=Path), help="Append this audit to a ledger.")
@_decisions
@_json
def audit(
    bundle: Path,
    out: Path,
    evidence: Path | None,
    policy: Path | None,
    seed: int,
    ledger: Path | None,
    decisions: Path | None,
    as_json: bool,
) -> int:
    """Turn evidence into findings under a policy; needs neither torch nor the plugin.

    Exits with 1 if a finding failed, with 3 if none failed but a required one is inconclusive or
    not measurable.
    """
    rules = default_policy() if policy is None else read_policy(policy)
    model = open_bundle(bundle)
    facts = open_evidence(evidence_path(bundle) if evidence is None else evidence)
    oversight = None if decisions is None else human_decisions(decisions, model)
    done = run_audit(facts, model, rules, checks=checks_for(model, facts), seed=seed)
    path = write_audit(out, done.record)
    write_details(out, describe(facts, model, done, oversight))
    if ledger is not None:
        enter(ledger, done.record)
    if as_json:
        click.echo(json.dumps(done.record.to_json(), indent=1, ensure_ascii=False))
    else:
        for line in summary(done.record):
            click.echo(line)
        if done.set_aside:
            click.echo(
                f"set aside, as they cannot speak of this model: {', '.join(done.set_aside)}"
            )
        click.echo(f"\nwritten  {path}")
        click.echo(f"next     verticals report {out} --out report.html")
    return exit_code(done.record.findings)


@click.command("verify-audit")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--bundle", required=True, type=click.Path(path_type=Path), help="What was audited.")
@_evidence
@_decisions
@_json
def verify_audit(
    folder: Path, bundle: Path, evidence: Path | None, decisions: Path | None, as_json: bool
) -> int:
    """Recompute every number of an audit, and every group measure through fairlearn too."""
    installed = [found.info for found in discover().checks]
    found = recompute(folder, bundle, evidence, checks=installed, decisions=decisions)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=1, ensure_ascii=False, default=str))
        return 1 if found.differences else 0
    for note in found.notes:
        click.echo(f"note: {note}")
    for item in found.differences[:SHOWN_DIFFERENCES]:
        click.echo(f"{item.path}: recorded {item.recorded!r}, recomputed {item.recomputed!r}")
    if len(found.differences) > SHOWN_DIFFERENCES:
        click.echo(f"… and {len(found.differences) - SHOWN_DIFFERENCES} more (see --json)")
    told = "differ" if len(found.differences) != 1 else "differs"
    click.echo(
        f"{folder}: {found.compared} values recomputed, {found.witnessed} group measures computed "
        f"by fairlearn too, {len(found.differences)} {told}"
    )
    return 1 if found.differences else 0


def checks_for(bundle: Bundle, evidence: Evidence) -> list[AuditCheckInfo]:
    """Return the installed checks that speak of this bundle.

    Those of the distribution that made it, whatever the evidence holds, so that a missing table
    is a finding; and general ones, of distributions without a solution, whose tables are there.
    A check that names solutions speaks of no others.
    """
    installed = discover()
    makers = {found.distribution for found in installed.solutions}
    maker = bundle.solution["distribution"]
    return [
        found.info
        for found in installed.checks
        if (not found.info.solutions or bundle.solution["name"] in found.info.solutions)
        and (
            found.distribution == maker
            or (
                found.distribution not in makers
                and all(name in evidence.tables for name in found.info.needs)
            )
        )
    ]


def enter(ledger: Path, record: AuditRecord) -> None:
    """Append to a ledger what was audited, under which policy, and how it came out."""
    append(
        ledger,
        "audit",
        {
            "solution": record.bundle.solution,
            "bundle": record.bundle.digest,
            "evidence": record.evidence.digest,
            "policy": record.policy.digest,
            "record": sha256(record_bytes(record)),
            "findings": counted(record),
        },
    )


def counted(record: AuditRecord) -> dict[str, int]:
    """Return how many findings have each status, most pressing first."""
    return {name: sum(item.status == name for item in record.findings) for name in STATUSES}


def summary(record: AuditRecord) -> list[str]:
    """Return the findings as lines for a terminal: one each, most pressing first.

    `of` tells a finding from others of its rule: output where there are several, group, subject.
    """
    plain = record.to_json()
    sections = ("performance", "fairness", "explanations", "checks")
    outputs = {row.get("output") for name in sections for row in plain[name]} - {None, ""}
    keys = ("output", "group", "subject") if len(outputs) > 1 else ("group", "subject")
    places = [measurement(plain, item) for item in plain["findings"]]
    told = [", ".join(str(place[key]) for key in keys if place.get(key)) for place in places]
    pairs = zip(record.findings, told, strict=True)
    rows = [
        [item.status, item.rule, item.attribute, of, _value(item), _limit(item)]
        for item, of in sorted(pairs, key=lambda pair: STATUSES.index(pair[0].status))
    ]
    header = ["status", "rule", "attribute", "of", "value", "limit"]
    if not any(told):
        header, rows = header[:3] + header[4:], [row[:3] + row[4:] for row in rows]
    widths = [max(len(row[place]) for row in (header, *rows)) for place in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]
    counts = ", ".join(f"{count} {name}" for name, count in counted(record).items() if count)
    return [*lines, "", f"findings {len(rows)}: {counts or 'none'}"]


def _value(item: Finding) -> str:
    if item.value is None:
        if not item.evidence.startswith("/"):
            return item.evidence
        return "too little data" if item.status == INCONCLUSIVE else "not measured"
    if item.lower is None or item.upper is None or item.lower == item.upper:
        return f"{item.value:.4g}"
    return f"{item.value:.4g} ({item.lower:.4g} to {item.upper:.4g})"


def _limit(item: Finding) -> str:
    limit = item.limit
    if limit.min is not None and limit.max is not None:
        return f"{limit.min:g} to {limit.max:g}"
    if limit.min is not None:
        return f"at least {limit.min:g}"
    return "" if limit.max is None else f"at most {limit.max:g}"
