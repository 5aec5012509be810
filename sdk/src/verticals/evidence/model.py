"""The values that evidence is made of: measurements with intervals, and what a folder declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

PRODUCER = "recorded by the producer"
RECOMPUTED = "recomputed"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """State one measured number with its interval.

    `estimate`, `lower` and `upper` are None where the number is not measurable (an empty
    denominator, say), which is not the same as zero. The interval has 95 % coverage unless
    `method` says otherwise. `subject` is what is measured where it is neither an output nor a
    group: a field, a score band, an item.
    """

    check: str
    estimate: float | None
    lower: float | None = None
    upper: float | None = None
    n: int = 0
    method: str = ""
    output: str = ""
    attribute: str = ""
    group: str = ""
    subject: str = ""


@dataclass(frozen=True, kw_only=True)
class AttributeInfo:
    """Name an audited attribute and its groups, in the order in which they are shown."""

    name: str
    role: str  # protected or stratum
    label: str
    groups: tuple[str, ...]
    also_feature: bool = False


@dataclass(frozen=True, kw_only=True)
class OutputInfo:
    """Say what an output column of the evidence holds, in words that a report can print."""

    name: str
    kind: str  # probability, ordinal, real, flag, set, text
    target: str = ""
    target_kind: str = ""  # binary, categorical, ordinal, numeric
    value: str = ""
    positive: str = ""
    favourable: str = ""  # the target's value that is favourable to the person
    meaning: str = ""


@dataclass(frozen=True, kw_only=True)
class EvidenceInfo:
    """Say what an evidence folder holds, for which bundle, and in which form."""

    form: str  # rows or counts
    bundle: str  # digest
    origin: str  # PRODUCER or RECOMPUTED
    part: str  # test, or the name of the audited data
    rows: int
    units: int  # persons where the contract has a group, else rows
    outputs: tuple[OutputInfo, ...]
    attributes: tuple[AttributeInfo, ...]
    decision: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    min_cell: int | None = None  # counts: cells below it are suppressed
    noise_epsilon: float | None = None  # counts: epsilon of the noise on them, for one person
    unit_rows: int = 1  # counts: the most rows that one person has
    fingerprint: str = ""  # keyed hash of the audited data
