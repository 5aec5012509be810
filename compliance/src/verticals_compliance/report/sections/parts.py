"""Say how the rows were split, and whether the audited rows are known to be held out."""

from __future__ import annotations

from collections.abc import Iterator

from verticals_compliance.report.numerals import count, finite, percent
from verticals_compliance.report.record import Json, Record, word
from verticals_compliance.report.tree import (
    Block,
    Note,
    Row,
    Section,
    Table,
    cell,
    columns,
    paragraph,
)
from verticals_compliance.report.words import PARTS, SPLITS, plain, plural, sentence

_CLASSED = ("binary", "categorical")  # the kinds of target that a stratified split reads


def section(record: Record) -> Section | None:
    """Return the sizes of the parts, what the split went by, and what was audited; None if unknown.

    A warning stands first where the audited rows are known to be those of the training.
    """
    split = record.detail("split")
    sizes = split.get("rows")
    if not isinstance(sizes, dict) or not sizes:
        return None
    total = sum(int(finite(value) or 0) for value in sizes.values())
    rows = tuple(
        Row(
            cells=(
                cell(f"{PARTS.get(part, plain(part)).capitalize()}"),
                cell(count(size)),
                cell(percent((finite(size) or 0) / total if total else None)),
            ),
            source=f"details:/split/rows/{part}",
        )
        for part, size in sorted(sizes.items(), key=lambda pair: _order(pair[0]))
    )
    table = Table(
        id="split-sizes",
        caption="Rows in each part",
        columns=columns("Part", "#Rows", "#Share"),
        rows=rows,
    )
    seed = f" (seed {split['seed']})" if split.get("seed") is not None else ""
    said = paragraph(f"The rows were split {_how(record, split)}{seed}. {_audited(record)}")
    notes = tuple(paragraph(sentence(str(note))) for note in split.get("notes") or ())
    blocks: tuple[Block, ...] = (*seen_in_training(record), said, table, *notes)
    return Section(id="split", title="How the data were split", blocks=blocks)


def audits_training_data(record: Record) -> bool:
    """Tell whether the record proves that the audited file is the one that was trained from.

    The fingerprints are keyed hashes of whole tables. The evidence that training itself leaves
    bears the same one although its part was held out.
    """
    evidence = record.detail("evidence")
    trained = word(record.detail("split"), "fingerprint")
    return trained == evidence.get("fingerprint") != "" and not _held_out(record)


def seen_in_training(record: Record) -> Iterator[Note]:
    """Yield the warning that the audited rows are those that the model was trained from."""
    if not audits_training_data(record):
        return
    trained = finite((record.detail("split").get("rows") or {}).get("train"))
    how_many = f" {plural(int(trained), 'row')} of it trained the model." if trained else ""
    told = (
        "The fingerprint of the audited data is that of the data from which the model was made: "
        f"these are the very rows that the model was trained from.{how_many} Figures on such rows "
        "are too good and say nothing of new cases, so no rule on performance, on groups or on a "
        "check of the domain passes here."
    )
    yield Note(
        title="The audited rows were used in training", blocks=(paragraph(told),), kind="warning"
    )


def _held_out(record: Record) -> bool:
    return word(record.detail("evidence"), "part") == "test"


def _order(part: str) -> tuple[int, str]:
    known = list(PARTS)
    return (known.index(part) if part in known else len(known)), part


def _how(record: Record, split: Json) -> str:
    """Say what the split went by.

    Older bundles say "stratified" where no outcome was read: of private models, whose rows draw
    their parts by themselves, and of contracts without an outcome that has classes.
    """
    by, contract = word(split, "by"), record.detail("contract")
    kinds = {target.get("kind") for target in contract.get("targets") or ()}
    if by == "stratified" and (record.detail("privacy") or not kinds & set(_CLASSED)):
        by = "random"
    if by == "independent" and contract.get("group"):
        return (
            f"by a draw of its own for each value of “{contract['group']}”, with all its rows; no "
            "label was read"
        )
    return SPLITS.get(by) or (f"by {plain(by)}" if by else "at random")


def _audited(record: Record) -> str:
    if _held_out(record):
        return "The part held out was not used to train, tune or calibrate the model."
    told = "The audit is of data given to “verticals evidence”"
    if audits_training_data(record):
        return f"{told}: the data from which the model was made, as the fingerprint shows."
    return (
        f"{told}, named “{word(record.detail('evidence'), 'part') or 'not recorded'}”. Nothing in "
        "the record shows whether any of them were used to train the model; a person must say."
    )
