"""Refine the draft of a contract for images: findings as targets, strata, the pipeline's sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from verticals.contract import DataContract, Field, Refined, Target
from verticals.contract.draft import GUESS
from verticals.contract.guess_target import guess_decision, guess_target
from verticals.contract.hints import is_protected, word_set, words
from verticals.contract.profile import Profile
from verticals.table import Table

SIZE = (224, 224)
GREYS = (0.0, 255.0)  # of eight bits
DICOM_GREYS = (0.0, 4095.0)  # of twelve, as most radiographs have
_STRATUM = word_set(
    """
    acquisition center centre clinic detector device equipment hospital institution kvp laterality
    machine make manufacturer modality model mono photometric plane portable position projection
    scanner site station vendor view
    """
)
# Told of an image or its file, and no finding.
_NO_FINDING = _STRATUM | word_set("contrast file train test valid validation split inpatient")


def refine(draft: DataContract, raw: Table, columns: Mapping[str, Profile]) -> Refined:
    """Return the draft with findings as binary targets, strata, and how pixels are read.

    Where no target is named, each column of two opposite values that is no trait and no fact of
    the image is taken as a finding. No file is opened: size and bounds are guesses, and marked.
    """
    targets = draft.targets
    if not targets:
        found = [item for item in draft.fields if _is_finding(item, columns)]
        targets = tuple(filter(None, (_finding(item, columns[item.column]) for item in found)))
    taken = {item.column for item in targets}
    fields = [item for item in draft.fields if item.column not in taken]
    images = [item.name for item in fields if item.kind == "image"]
    made = tuple(_field(item, columns) for item in fields)
    contract = dataclasses.replace(
        draft,
        targets=targets,
        decision=draft.decision or guess_decision(targets[0] if targets else None),
        fields=made or draft.fields,
    )
    comments: dict[tuple[str, ...], str] = {}
    for name in images:
        for key in ("size", "bounds", "settings"):
            comments["fields", name, key] = f"{GUESS}; no image was opened"
    comments |= {("fields", item.name, "role"): GUESS for item in made if item.role == "stratum"}
    return Refined(
        contract=contract,
        comments=comments,
        findings=tuple(_said(contract, draft, images)),
    )


def _is_finding(item: Field, columns: Mapping[str, Profile]) -> bool:
    column = columns.get(item.column)
    if column is None or item.role != "feature" or is_protected(item.column):
        return False
    return column.kind == "boolean" and not set(words(item.column)) & _NO_FINDING


def _finding(item: Field, column: Profile) -> Target | None:
    """Return a finding as a target: what says yes is positive, and unfavourable to the patient."""
    found = guess_target([dataclasses.replace(column, column="abnormal")])
    if found is None:
        return None
    return dataclasses.replace(found, name=item.name, column=item.column, label=item.label)


def _field(item: Field, columns: Mapping[str, Profile]) -> Field:
    if item.kind == "image" and not item.size:
        column = columns.get(item.column)
        dicom = column is not None and any(
            value.lower().endswith(".dcm") for value in column.values
        )
        return dataclasses.replace(
            item,
            size=SIZE,
            bounds=DICOM_GREYS if dicom else GREYS,
            settings={"resize": "fit"},
            drafted=("size", "bounds"),
        )
    grouped = item.kind in ("categorical", "boolean", "ordinal")
    if item.role == "feature" and grouped and set(words(item.column)) & _STRATUM:
        return dataclasses.replace(item, role="stratum")
    return item


def _said(contract: DataContract, draft: DataContract, images: list[str]) -> list[str]:
    said = []
    if not draft.targets and contract.targets:
        said.append("each column of two values that is no trait was taken as a finding")
    if not contract.targets:
        said.append(
            "no column looks like a finding: declare it under targets, such as nodule: {column: …, "
            "kind: binary, positive: 1, negative: 0, favourable: 0}"
        )
    if not images:
        said.append(
            "no column holds the paths of images: declare it, such as image: {column: …, kind: "
            "image, size: [224, 224], bounds: [0, 255], settings: {resize: fit}}"
        )
    for name in images:
        said.append(
            f"size and bounds of {name!r} are guesses, as no image was opened: declare the size "
            "that the network is to read and the lowest and highest grey value of the files "
            "(docs/reference/dicom.md has the settings)"
        )
    if not contract.group:
        said.append(
            "no column names the patient: declare group: COLUMN, else images of one patient may "
            "be trained on and tested with"
        )
    strata = [repr(item.column) for item in contract.fields if item.role == "stratum"]
    if strata:
        said.append(f"{', '.join(strata)}: facts of the image, taken as strata to audit by")
    return said
