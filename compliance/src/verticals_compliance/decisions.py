"""What an audit takes from a record of human decisions: counts of persons, and up to where."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from verticals.bundle import Bundle
from verticals.oversight import MIN_CELL, read, summarise


def human_decisions(path: str | Path, bundle: Bundle, *, head: str | None = None) -> dict[str, Any]:
    """Return the counts of what was decided about a bundle's persons, as `details.json` has them.

    `head` is the digest of the last line that counts, "" where none does; without it all lines do.
    It says which record was read, so that one cut off later is noticed.

    Raises `EvidenceError` if the record is damaged or does not hold `head`.
    """
    records = read(path, head=head or None)
    if head is not None:
        last = next((record.index for record in records if record.digest == head), -1)
        records = records[: last + 1]
    counted = summarise(records, bundle.contract, bundle.digest)
    return {
        "head": records[-1].digest if records else "",
        "min_cell": MIN_CELL,
        "targets": [asdict(item) for item in counted],
    }
