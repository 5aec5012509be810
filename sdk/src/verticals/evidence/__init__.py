"""Evidence: measured facts in named tables, beside the bundle that they speak of."""

from verticals.evidence.cells import Counts
from verticals.evidence.complementary import withheld
from verticals.evidence.counts import to_counts
from verticals.evidence.groups import audited_groups, measurement
from verticals.evidence.merging import merge_counts
from verticals.evidence.model import (
    PRODUCER,
    RECOMPUTED,
    AttributeInfo,
    EvidenceInfo,
    Measurement,
    OutputInfo,
)
from verticals.evidence.noise import noise_counts
from verticals.evidence.plots import plot_table
from verticals.evidence.store import (
    Evidence,
    PackedEvidence,
    open_evidence,
    pack_evidence,
    refuse_place_of_evidence,
    write_evidence,
)
from verticals.evidence.suppression import suppress_counts

__all__ = [
    "PRODUCER",
    "RECOMPUTED",
    "AttributeInfo",
    "Counts",
    "Evidence",
    "EvidenceInfo",
    "Measurement",
    "OutputInfo",
    "PackedEvidence",
    "audited_groups",
    "measurement",
    "merge_counts",
    "noise_counts",
    "open_evidence",
    "pack_evidence",
    "plot_table",
    "refuse_place_of_evidence",
    "suppress_counts",
    "to_counts",
    "withheld",
    "write_evidence",
]
