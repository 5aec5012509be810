"""The student-risk solution: readable curves by default, weeks kept honest, groups audited."""

from __future__ import annotations

from verticals.plugin import TorchSolution
from verticals_student_assessment.risk.demo import demo
from verticals_student_assessment.risk.evidence import evidence
from verticals_student_assessment.risk.networks import network, network_for
from verticals_student_assessment.risk.weeks import contract_for, left_out

# Nearly half of the demo's rows are held out: fewer leave too few Black students at risk.
SOLUTION = TorchSolution(
    demo=demo,
    network=network,
    network_for=network_for,
    contract_for=contract_for,
    left_out=left_out,
    evidence=evidence,
    # A student's rows of one panel share the outcome, so they go to one part, also where there is
    # a time: by time, the model would be judged on students whose outcome it was trained on.
    split_by="group",
    demo_shares={"train": 0.4, "validate": 0.0, "calibrate": 0.15, "test": 0.45},
)
