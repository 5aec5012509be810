"""Differential privacy: plan the noise, and record what a training spent.

Importing this package imports no torch; `verticals.privacy.noise`, `.gradients` and `.optimizer`
do, and are used by `verticals.training`.
"""

from verticals.privacy.accounting import PrivacyPlan, default_delta, epsilon_spent, plan
from verticals.privacy.record import Composition, PrivacyRecord, compose, record_of

__all__ = [
    "Composition",
    "PrivacyPlan",
    "PrivacyRecord",
    "compose",
    "default_delta",
    "epsilon_spent",
    "plan",
    "record_of",
]
