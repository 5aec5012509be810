"""Give the digests, the commands that recompute every number, and the key of the raised signs."""

from __future__ import annotations

from collections.abc import Iterator

from verticals_compliance.report.numerals import at_most, count, finite, significant
from verticals_compliance.report.record import Record, word
from verticals_compliance.report.tree import (
    Block,
    Bullets,
    Definitions,
    Note,
    Row,
    Section,
    Spans,
    Table,
    cell,
    code,
    columns,
    marks,
    paragraph,
    say,
)

_MEANINGS = {
    "performance": "how well the model predicts",
    "fairness": "comparisons of groups; F3.1 is the second group of the fourth comparison",
    "privacy": "the privacy budget and the attack",
    "explanations": "importance of fields; E0.2 is the third field of the first output",
    "checks": "checks of the domain",
    "findings": "rules of the policy and how they stand",
    "bundle": "the model that was audited",
    "evidence": "the data that the audit used",
    "policy": "the limits",
    "auditor": "the software that made the audit",
    "details.json": "curves, counts and declarations beside the record",
}


def section(record: Record) -> Section:
    """Return digests, commands and the key."""
    blocks: tuple[Block, ...] = (
        Definitions(entries=tuple(_digests(record))),
        paragraph("Anyone who has the bundle, the evidence and the policy can check this report:"),
        Bullets(items=tuple(_commands()), ordered=True),
        *_suppressed(record),
        _key(),
        *_files(record),
    )
    return Section(id="recompute", title="Digests, and how to recompute", blocks=blocks)


def _digests(record: Record) -> Iterator[tuple[str, Spans]]:
    bundle, evidence = record.one("bundle"), record.one("evidence")
    yield "This record (audit.json)", say(code(record.digest))
    if record.details_digest:
        yield "Its details (details.json)", say(code(record.details_digest))
    yield "Bundle", say(code(word(bundle, "digest")))
    yield "Evidence", say(code(word(evidence, "digest")))
    policy = record.one("policy")
    yield "Policy", say(f"{word(policy, 'name')} ", code(word(policy, "digest")))
    data = record.detail("evidence").get("fingerprint")
    if data:
        yield "Fingerprint of the audited data", say(code(str(data)), " (a keyed hash)")
    signer = record.detail("bundle").get("signed_by")
    yield (
        "Signature of the bundle",
        say(code(str(signer)))
        if signer
        else say("none; the time of training is then only stated, as no digest covers it"),
    )
    auditor = record.one("auditor")
    name, version = word(auditor, "distribution"), word(auditor, "version")
    yield "Auditor", say(f"{name} {version}, seed {significant(auditor.get('seed'))}")
    yield "Origin of the evidence", say(_origin(record))


def _origin(record: Record) -> str:
    origin = word(record.one("evidence"), "origin")
    if origin == "recorded by the producer":
        return (
            f"{origin}: whoever trained the model also scored the audited data. Recomputing the "
            "audit checks the arithmetic, not the scores."
        )
    return f"{origin}: the audited data were scored again from the bundle."


def _commands() -> Iterator[Spans]:
    yield say(code("verticals verify BUNDLE"), " checks the bundle's files against their digests.")
    yield say(
        code("verticals verify DIR --bundle BUNDLE"),
        " recomputes every number of the record, and every group measure a second time with an "
        "independent library.",
    )
    yield say(
        code("verticals audit BUNDLE --out DIR"),
        " makes the record again; add the policy and the evidence where they are not the default.",
    )
    yield say(
        code("sha256sum DIR/audit.json DIR/details.json"),
        " must give the digests of the record and of its details above.",
    )
    yield say(
        code("verticals report DIR --out report.html"),
        " makes this report again, byte for byte the same for the same record and options.",
    )


def _suppressed(record: Record) -> Iterator[Block]:
    evidence = record.detail("evidence")
    if evidence.get("form") == "counts":
        least = evidence.get("min_cell")
        told = "The evidence is in counts."
        noise = finite(evidence.get("noise_epsilon"))
        if least:
            told = f"The evidence is in counts; cells below {count(least)} are suppressed."
        if noise is not None:
            told += f" Noise was added to them (ε = {at_most(noise)})."
        yield Note(title="Counts, not rows", blocks=(paragraph(told),))


def _key() -> Table:
    rows = tuple(
        Row(cells=(cell(letter), cell(code(name)), cell(_MEANINGS[name])))
        for letter, name in marks()
    )
    return Table(
        id="key-of-signs",
        caption="Key of the raised signs: P3 is performance[3] in audit.json, counted from 0",
        columns=columns("Sign", "Place", "Holds"),
        rows=rows,
    )


def _files(record: Record) -> Iterator[Block]:
    files = record.listed("files")
    if files:
        rows = tuple(
            Row(
                cells=(
                    cell(code(word(item, "name"))),
                    cell(code(word(item, "sha256"))),
                )
            )
            for item in files
        )
        yield Table(
            id="file-digests",
            caption="Digests of the bundle's files",
            columns=columns("File", "SHA-256"),
            rows=rows,
            folded=True,
        )
