"""Evidence: measured facts in named tables, beside the bundle that they speak of."""

from verticals.evidence.model import (
    PRODUCER,
    RECOMPUTED,
    AttributeInfo,
    EvidenceInfo,
    Measurement,
    OutputInfo,
)
from verticals.evidence.store import Evidence, open_evidence, write_evidence

__all__ = [
    "PRODUCER",
    "RECOMPUTED",
    "AttributeInfo",
    "Evidence",
    "EvidenceInfo",
    "Measurement",
    "OutputInfo",
    "open_evidence",
    "write_evidence",
]
