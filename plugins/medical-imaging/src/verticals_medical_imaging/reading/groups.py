"""Functional groups: where an enhanced multi-frame image says what belongs to one frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import Dataset


def functional_group(dataset: Dataset, frame: int, keyword: str) -> Dataset:
    """Return the functional group of a frame, its own before the shared one, else the dataset."""
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for group in (*own[frame : frame + 1], *shared[:1]):
        items = group.get(keyword)
        if items:
            found: Dataset = items[0]
            return found
    return dataset
