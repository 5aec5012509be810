"""The model's own curve of a replay: what reviews alone would stop, budget by budget."""

from __future__ import annotations

from typing import Any

import numpy as np

from verticals_fraud_detection.decide import each, highest
from verticals_fraud_detection.outcomes import Counted, ratio
from verticals_fraud_detection.policy import REVIEW

_POINTS = 24
_LEAST = 20.0  # alerts a day that the curve reaches at least


def curve_of(counted: Counted, *, first: int, window: int, widest: float) -> list[dict[str, Any]]:
    """Return value (without amounts: number) of fraud stopped by reviews alone, over budgets.

    Each budget takes its cuts from the days before, as a policy does. Empty where the data are
    too short for that, or hold no fraud.
    """
    stream = counted.events.stream
    worth = np.where(counted.fraud, counted.amount if counted.has_money else 1, 0)
    total = float(worth.sum())
    if first < window or not total:
        return []
    share = 1.0 if counted.costs is None else float(each(counted.costs.stopped)[REVIEW])
    days = stream.days - first
    budgets = np.unique(np.rint(np.geomspace(1, max(_LEAST, 3 * widest), _POINTS)))
    alerts, caught = np.zeros(budgets.size), np.zeros(budgets.size)
    for day in range(first, stream.days):
        start, low, high = np.searchsorted(stream.day, [day - window, day, day + 1])
        past = np.sort(stream.score[start:low])[::-1]
        today, value = stream.score[low:high], worth[low - counted.rows.start :][: high - low]
        for place, budget in enumerate(budgets):
            above = today >= highest(past, budget * window)
            alerts[place] += above.sum()
            caught[place] += value[above].sum()
    return [
        {"budget": float(b), "alerts_per_day": a / days, "share": ratio(share * c, total)}
        for b, a, c in zip(budgets, alerts.tolist(), caught.tolist(), strict=True)
    ]
