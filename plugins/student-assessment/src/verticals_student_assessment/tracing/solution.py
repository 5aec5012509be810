"""The knowledge-tracing solution: what earlier answers say of the next one."""

from __future__ import annotations

from verticals.plugin import TorchSolution
from verticals_student_assessment.tracing.demo import demo
from verticals_student_assessment.tracing.encoders import ENCODERS
from verticals_student_assessment.tracing.evidence import evidence
from verticals_student_assessment.tracing.features import tracing_features
from verticals_student_assessment.tracing.networks import network

SOLUTION = TorchSolution(
    demo=demo,
    network=network,
    features_for=tracing_features,
    encoders=ENCODERS,
    evidence=evidence,
    # Judged on students nobody has seen. By time, most test rows would be of known students; their
    # histories come from their own answers either way, as these are derived before the split.
    split_by="group",
    # Edges at quantiles would put most bins of a count at 0 and 1; the declared scale is even.
    options={"encoding": "declared"},
    demo_shares={"train": 0.6, "validate": 0.0, "calibrate": 0.1, "test": 0.3},
)
