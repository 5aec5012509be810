"""Grouped images: several of one patient, a set-valued output, and one that abstains."""

import numpy as np
from torch import nn

from verticals.contract import parse_contract
from verticals.plugin import Output, TorchSolution
from verticals.table import Table

CONTRACT = """
solution: tiny-images
name: tiny-scans
group: patient
targets:
  lesion: {column: lesion, kind: binary, positive: 1, negative: 0, favourable: 0}
decision: {target: lesion, cut: 0.5}
fields:
  scan: {column: scan, kind: image, size: [8, 8], bounds: [0, 255]}
  sex: {column: sex, role: protected, kind: categorical, categories: [f, m]}
"""
COVERAGE = 0.9


def demo():
    """Simulate 600 scans of 200 patients; a bright spot is a lesion."""
    random = np.random.default_rng(3)
    rows = 600
    patient = random.integers(0, 200, rows)
    lesion = (patient % 3 == 0).astype(np.int64)
    scan = random.uniform(0, 120, (rows, 8, 8))
    scan[lesion == 1, 2:4, 2:4] += 100
    names = np.array([f"p{i}" for i in patient], dtype=object)
    sex = np.array(["f", "m"], dtype=object)[patient % 2]
    columns = {"patient": names, "scan": scan, "sex": sex, "lesion": lesion}
    return parse_contract(CONTRACT), Table(columns)


class Conformal:
    """Give the set of labels that cover 90 % (split conformal), and abstain where it has two."""

    outputs = (
        Output(name="score", kind="probability", target="lesion", value="1"),
        Output(name="decision", kind="flag", target="lesion"),
        Output(name="labels", kind="set", target="lesion"),
        Output(name="abstained", kind="flag", target="lesion"),
    )

    def fit(self, scores, table):
        """Take the quantile of 1 - probability of the true label on the calibration part."""
        true = np.where(table["lesion"] == 1, scores["score"], 1 - scores["score"])
        rank = min(1.0, np.ceil((len(true) + 1) * COVERAGE) / len(true))
        return {"radius": float(np.quantile(1 - true, rank, method="higher")), "cut": 0.5}

    def apply(self, scores, settings):
        """Return score, decision, label set and abstention."""
        score = np.asarray(scores["score"])
        yes, no = 1 - score <= settings["radius"], score <= settings["radius"]
        labels = np.where(yes & no, "0|1", np.where(yes, "1", np.where(no, "0", "")))
        decision = (score >= settings["cut"]).astype(float)
        found = {"score": score, "decision": decision, "labels": labels.astype(object)}
        return {**found, "abstained": (yes == no).astype(float)}


class Pixels(nn.Sequential):
    """One convolution, pooled, and a linear head: nothing that differential privacy refuses."""

    def forward(self, blocks):
        """Return (rows, 1) log-odds."""
        return super().forward(blocks["scan"])


def network(inputs, targets, options):
    """Return the small convolutional network."""
    pool = nn.AdaptiveMaxPool2d(2)
    return Pixels(nn.Conv2d(1, 4, 3), nn.ReLU(), pool, nn.Flatten(), nn.Linear(16, 1))


SOLUTION = TorchSolution(demo=demo, network=network, finish=Conformal())
