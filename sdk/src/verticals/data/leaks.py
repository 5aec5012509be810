"""Hold two parts of a split that somebody brings against each other: nobody may stand in both."""

from __future__ import annotations

import hashlib

import numpy as np

from verticals.contract.model import GROUP, ID, DataContract
from verticals.table import Array, Table


def split_leaks(first: Table, second: Table, contract: DataContract) -> tuple[str, ...]:
    """Return what stands in both bound tables, one line each, in counts alone; empty if nothing.

    Looked at are groups (unless the contract has a time: a test on the future knows old customers
    too), ids, and images, by their path or else by their pixels.
    """
    keys = [] if contract.time or not contract.group else [(GROUP, f"groups ({contract.group})")]
    keys += [(ID, f"ids ({contract.id})")] if contract.id else []
    keys += [(f.name, f"images ({f.name})") for f in contract.fields if f.kind == "image"]
    found = []
    for name, words in keys:
        if name not in first or name not in second:
            continue
        own, other = _names(first[name]), _names(second[name])
        shared = len(own & other)
        if shared:
            found.append(f"{shared} of {len(other)} {words} stand in both")
    return tuple(found)


def _names(column: Array) -> set[str]:
    """Return the different values of a column as texts; pixels by their hash. None is nobody."""
    if column.ndim == 1:
        return {str(value) for value in column.tolist() if value is not None}
    rows = np.ascontiguousarray(column)
    return {hashlib.blake2b(row.tobytes(), digest_size=16).hexdigest() for row in rows}
