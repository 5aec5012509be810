"""The ledger: what was trained, audited, signed off and spent, in lines that cannot be changed.

Its lines are a chain (`verticals.chain`): one that is changed, moved or taken out is noticed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verticals.chain import Chain, Record
from verticals.errors import CallError
from verticals.strictjson import shown

KINDS = ("training", "audit", "sign-off", "privacy")
SPENDING = ("training", "privacy")  # kinds that say what was spent on which data


@dataclass(frozen=True, kw_only=True)
class PrivacySpent:
    """Say what the releases of some data cost together.

    `epsilon` is infinite once a release was not private. `unattributed` counts releases whose
    data bear no fingerprint: they may have been of these data too, and are not in the sums.
    """

    epsilon: float
    delta: float
    releases: int
    unattributed: int


def append(
    path: str | Path, kind: str, entry: Mapping[str, Any], *, at: str | None = None
) -> Record:
    """Add a record to the ledger, which is made if there is none, and return it.

    `kind` is training, audit, sign-off or privacy. A training and a privacy record say
    `data_fingerprint` (text, empty if unknown), `epsilon` (None for a raw release) and `delta`.
    Writers wait for each other. The record is on disk when the call returns; what a killed writer
    left of a line is dropped by the next one.

    Raises `CallError` for an unknown kind or an entry that lacks these, `EvidenceError` if the
    ledger is broken or the system refuses.
    """
    return _LEDGER.append(path, kind, entry, at=at)


def check(path: str | Path) -> None:
    """Raise `EvidenceError` if the ledger at a path cannot be read or is broken; none is none.

    Also where something that is no file stands there. So a release is known to be entered before
    it is made.
    """
    if Path(path).exists():
        _LEDGER.read(path)


def read(path: str | Path, *, head: str | None = None) -> tuple[Record, ...]:
    """Return every record, oldest first, after the chain was verified.

    `head` is the digest of a record that must be there.

    Raises `EvidenceError` if the ledger cannot be read, if a line was changed, moved, taken out or
    cut off, or if `head` is not among the records.
    """
    return _LEDGER.read(path, head=head)


def privacy_spent(records: Sequence[Record], data_fingerprint: str) -> PrivacySpent:
    """Return what all releases of these data cost: epsilons and deltas add up.

    Sequential composition (Dwork and Roth 2014, The Algorithmic Foundations of Differential
    Privacy, theorem 3.16) holds however the releases depend on each other. Data are told by their
    fingerprint: overlapping data with another fingerprint are not found.

    Raises `CallError` for an empty fingerprint.
    """
    if not data_fingerprint:
        raise CallError("the fingerprint is empty, expected that of some data", hint="give --key")
    spending = [record.entry for record in records if record.kind in SPENDING]
    mine = [entry for entry in spending if entry["data_fingerprint"] == data_fingerprint]
    epsilons = [math.inf if entry["epsilon"] is None else entry["epsilon"] for entry in mine]
    return PrivacySpent(
        epsilon=math.fsum(epsilons),
        delta=min(1.0, math.fsum(entry["delta"] or 0.0 for entry in mine)),
        releases=len(mine),
        unattributed=sum(not entry["data_fingerprint"] for entry in spending),
    )


def _spending_problem(kind: str, entry: Mapping[str, Any]) -> str:
    """Say what keeps an entry from telling what was spent; empty if nothing does."""
    if kind not in SPENDING:
        return ""
    for key in ("data_fingerprint", "epsilon", "delta"):
        if key not in entry:
            return f"lacks {key!r}, which says what was spent on which data"
    if not isinstance(entry["data_fingerprint"], str):
        return f"has data_fingerprint {shown(entry['data_fingerprint'])}, expected text"
    for key, most in (("epsilon", math.inf), ("delta", 1.0)):
        value = entry[key]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and 0 <= value <= most and math.isfinite(value)):
            return f"has {key} {shown(value)}, expected a number from 0 or none"
    return ""


_LEDGER = Chain(noun="ledger", kinds=KINDS, entry_problem=_spending_problem)
