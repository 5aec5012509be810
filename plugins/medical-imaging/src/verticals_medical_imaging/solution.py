"""The imaging solution: files to pixels, a network, a finish that may abstain, its evidence."""

from __future__ import annotations

from verticals.plugin import TorchSolution
from verticals_medical_imaging.demo import demo
from verticals_medical_imaging.evidence import evidence_for
from verticals_medical_imaging.finish import COVERAGE, SENSITIVITY, finish_for
from verticals_medical_imaging.networks import network, network_for
from verticals_medical_imaging.reader import ImageReader

SOLUTION = TorchSolution(
    demo=demo,
    network=network,
    network_for=network_for,
    readers={"image": ImageReader()},
    finish_for=finish_for,
    evidence=evidence_for(coverage=COVERAGE, sensitivity=SENSITIVITY),
    # Nearly half is held out: fewer patients leave too few in a group to say anything of it.
    demo_shares={"train": 0.35, "validate": 0.0, "calibrate": 0.2, "test": 0.45},
)
