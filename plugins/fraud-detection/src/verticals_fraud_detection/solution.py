"""The fraud-detection solution: history features, a network, actions, its own evidence."""

from __future__ import annotations

from verticals.history import history_features
from verticals.plugin import TorchSolution
from verticals_fraud_detection.actions import actions
from verticals_fraud_detection.demo import demo
from verticals_fraud_detection.evidence import evidence
from verticals_fraud_detection.networks import network
from verticals_fraud_detection.wording import wording

SOLUTION = TorchSolution(
    demo=demo,
    network=network,
    features_for=history_features,
    wording=wording,
    actions=actions,
    evidence=evidence,
    options={
        # Quantiles of counts and rates fall together: most cards have few events, most terminals
        # no known fraud.
        "encoding": "declared",
        "private": {"batch_size": 1024},  # of customers; more learn little and cost much
    },
    demo_shares={"train": 0.6, "validate": 0.0, "calibrate": 0.1, "test": 0.3},
)
