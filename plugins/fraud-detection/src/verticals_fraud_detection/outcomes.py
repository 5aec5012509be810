"""What a set of actions would have done: counts, money, and customers disturbed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from verticals.contract.model import MISSING_AMOUNT
from verticals.intervals import wilson
from verticals.intervals.rates import design_effect
from verticals.table import Array
from verticals_fraud_detection.bootstrap import Resampled
from verticals_fraud_detection.decide import each
from verticals_fraud_detection.events import Events
from verticals_fraud_detection.policy import APPROVE, DECLINE, REVIEW, STEP_UP, Costs

#: What intervals are resampled from, summed by customer: (units, 4) for each set of actions.
SUMS = ("gain", "caught", "disturbed", "value")


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Hold the counted events of a replay and what each is worth."""

    events: Events
    rows: slice  # of the stream: the days after the warm-up
    costs: Costs | None

    @property
    def fraud(self) -> Array:
        """Return which counted events were fraud."""
        return np.asarray(self.events.stream.label[self.rows] == 1.0)

    @property
    def genuine(self) -> Array:
        """Return which counted events were genuine."""
        return np.asarray(self.events.stream.label[self.rows] == 0.0)

    @property
    def amount(self) -> Array:
        """Return amounts in minor units, 0 where missing (such rows are counted elsewhere)."""
        amount = self.events.stream.amount[self.rows]
        return np.where(amount == MISSING_AMOUNT, 0, amount)

    @property
    def unit(self) -> Array:
        """Return the code of each event's customer."""
        return self.events.unit[self.rows]

    @property
    def has_money(self) -> bool:
        """Tell whether the contract declares amounts."""
        return bool(self.events.currency)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Hold what one set of actions did to each counted event, and sums for each customer."""

    actions: Array  # (events,) codes
    stopped: Array  # (events,) minor units of fraud that were not lost
    handling: float  # minor units, in total
    genuine: float
    churn: float
    sums: Array  # (units, len(SUMS))


def outcome_of(counted: Counted, actions: Array, units: int) -> Outcome:
    """Work out what a set of actions did; without costs every action but approval stops a fraud."""
    costs, scale = counted.costs, 10.0**counted.events.digits
    share = np.array([0.0, 1.0, 1.0, 1.0]) if costs is None else each(costs.stopped)
    stopped = np.rint(share[actions] * np.where(counted.fraud, counted.amount, 0)).astype(np.int64)
    disturbs = counted.genuine & (actions > APPROVE)
    disturbed = np.bincount(counted.unit[disturbs], minlength=units) > 0
    paid = np.zeros((actions.shape[0], 2))  # handling, and further for genuine events
    churn = 0.0
    if costs is not None:
        paid[:, 0] = each(costs.handling)[actions] * scale
        paid[:, 1] = np.where(counted.genuine, each(costs.genuine)[actions] * scale, 0.0)
        churn = costs.churn * scale

    def by_unit(values: Array) -> Array:
        return np.bincount(counted.unit, weights=values, minlength=units)

    gain = by_unit(stopped - paid.sum(axis=1)) - churn * disturbed
    caught = by_unit(counted.fraud & (actions > APPROVE))
    return Outcome(
        actions=actions,
        stopped=stopped,
        handling=float(paid[:, 0].sum()),
        genuine=float(paid[:, 1].sum()),
        churn=float(churn * disturbed.sum()),
        sums=np.column_stack([gain, caught, disturbed, by_unit(stopped)]),
    )


def figures(
    counted: Counted, outcome: Outcome, found: Resampled, *, days: int, minutes: float | None
) -> dict[str, Any]:
    """Return the figures of one set of actions as the replay's JSON has them."""
    actions = outcome.actions
    alert = actions >= REVIEW
    day = counted.events.stream.day[counted.rows]
    alerts = int(alert.sum())
    hours = None if minutes is None else alerts * minutes / 60
    fraud, genuine = counted.fraud, counted.genuine
    labelled = alert & (fraud | genuine)
    customers = int(np.unique(counted.unit[genuine]).size)
    disturbed = int(outcome.sums[:, SUMS.index("disturbed")].sum())
    caught = int((fraud & (actions > APPROVE)).sum())
    return {
        "alerts": {
            "count": alerts,
            "per_day": alerts / days,
            "most_in_a_day": int(np.bincount(day[alert]).max()) if alerts else 0,
            "precision": rate(fraud, labelled, counted.unit),
        },
        "analyst_hours": {"total": hours, "per_day": None if hours is None else hours / days},
        "actions": {
            "step-up": int((actions == STEP_UP).sum()),
            "review": int((actions == REVIEW).sum()),
            "decline": int((actions == DECLINE).sum()),
        },
        "frauds": {
            "count": int(fraud.sum()),
            "caught": caught,
            "share": found.share("caught", caught, int(fraud.sum())),
        },
        "genuine_events_disturbed": {
            "count": int((genuine & (actions > APPROVE)).sum()),
            "share": ratio((genuine & (actions > APPROVE)).sum(), genuine.sum()),
        },
        "customers": {
            "genuine": customers,
            "disturbed": disturbed,
            "share": found.share("disturbed", disturbed, customers),
        },
        **_money(counted, outcome, found),
    }


def ratio(part: float, whole: float) -> float | None:
    """Return a share, None of nothing."""
    return float(part) / float(whole) if whole else None


def _money(counted: Counted, outcome: Outcome, found: Resampled) -> dict[str, Any]:
    """Return value, costs and what was saved, in minor units; None where there are no amounts."""
    if not counted.has_money:
        return {"value": None, "costs": None, "saved": None}
    total = int(counted.amount[counted.fraud].sum())
    stopped = int(outcome.stopped.sum())
    value = {
        "fraud": total,
        "stopped": stopped,
        "missed": total - stopped,
        "share": found.value_share(ratio(stopped, total)),
    }
    if counted.costs is None:
        return {"value": value, "costs": None, "saved": None}
    paid: Mapping[str, int] = {
        "handling": round(outcome.handling),
        "genuine": round(outcome.genuine),
        "churn": round(outcome.churn),
    }
    return {
        "value": value,
        "costs": dict(paid),
        "saved": found.total("gain", stopped - sum(paid.values())),
    }


def rate(positive: Array, among: Array, unit: Array) -> dict[str, float | int | None]:
    """Return the share of positives in a mask with its Wilson interval, clustered by customer."""
    hits, n = int((positive & among).sum()), int(among.sum())
    effect = design_effect(positive[among].astype(float), unit[among]) if n else 1.0
    found = wilson(hits, n, design_effect=effect)
    return {"estimate": found.estimate, "lower": found.lower, "upper": found.upper, "n": n}
