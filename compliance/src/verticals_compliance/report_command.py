"""The command `verticals report`: turn the record of an audit into a file that people read."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from verticals.errors import AuditError
from verticals.strictjson import sha256
from verticals_compliance.audit import RECORD
from verticals_compliance.details import DETAILS
from verticals_compliance.report import (
    Format,
    build,
    endings,
    read_profile,
    read_record,
    render,
)
from verticals_compliance.report.phrases import ORDER


@click.command("report")
@click.argument("folder", metavar="DIR", type=Path)
@click.option(
    "--out",
    required=True,
    metavar="FILE",
    type=Path,
    help="Where to write; the ending says the format: html, md, json, or one that a plugin adds.",
)
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    metavar="NAME",
    help="Map a regulation's clauses to the evidence: eu-ai-act, gdpr, us-ecoa, us-model-risk, "
    "or a TOML file. May be given more than once.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def report(folder: Path, out: Path, profiles: tuple[str, ...], as_json: bool) -> None:
    """Write the report of the audit in DIR.

    DIR is the folder that `verticals audit --out DIR` wrote. The same record gives the same
    bytes. Exit code 0 means that the report was written, whatever the findings say.
    """
    record = read_record(folder)
    chosen = [read_profile(name) for name in dict.fromkeys(profiles)]
    document = build(record, chosen)
    ending = out.suffix.lower().lstrip(".")
    data = render(document, ending, _formats(ending))
    own = [folder.resolve() / name for name in (RECORD, DETAILS)]
    if out.resolve() in own:
        raise AuditError(
            f"--out {out} is a file of the audit itself, expected another name",
            hint=f"verticals report {folder} --out report.html",
        )
    _write(out, data)
    counts = Counter(str(finding["status"]) for finding in record.many("findings"))
    findings = {status: counts.get(status, 0) for status in ORDER}
    if as_json:
        told = {
            "out": str(out),
            "format": ending,
            "digest": sha256(data),
            "record": record.digest,
            "profiles": [profile.name for profile in chosen],
            "findings": findings,
        }
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    said = ", ".join(f"{number} {status}" for status, number in findings.items())
    click.echo(f"{out}: {len(data):,} bytes; findings: {said}")


def _formats(ending: str) -> Mapping[str, Format]:
    """Return the formats that installed plugins add; only the one that is asked for is loaded."""
    if ending in endings():
        return {}
    from verticals.registry import discover, load_report_format

    found = {item.info.name: item for item in discover().report_formats}
    return {
        name: load_report_format(item) if name == ending else _not_loaded
        for name, item in found.items()
    }


def _not_loaded(document: Mapping[str, Any]) -> bytes:
    raise AuditError(f"the format of {document.get('title')!r} was not asked for")


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises `AuditError` if its folder does not exist or cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise AuditError(
            f"{path} cannot be written: {reason}", hint=f"mkdir -p {path.parent}"
        ) from error
