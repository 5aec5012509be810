"""Rules beside the model: what both find, and what each finds alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from verticals.table import Array
from verticals_fraud_detection.outcomes import rate
from verticals_fraud_detection.rules import Rules


def overlap(
    rules: Rules, fired: Array, alerted: Array, label: Array, unit: Array
) -> list[dict[str, Any]]:
    """Return a row for each rule, then "any rule", "model" and "neither".

    `fired` is (rows, rules), `alerted` (rows,) the model's own alerts before any rule, `label` 1,
    0 or NaN, `unit` the customer of each row. Each cell has its events, its frauds and the
    precision: frauds among its labelled events with Wilson's interval (clustered by customer),
    None where nothing is labelled.
    """
    table = [
        {"rule": rule.id, "title": rule.title, "action": rule.action}
        | _cells(fired[:, place], alerted, label, unit)
        for place, rule in enumerate(rules.rules)
    ]
    some = np.asarray(fired.any(axis=1))
    whole = {"rule": "any rule", "title": "Any rule", "action": ""}
    return [
        *table,
        whole | _cells(some, alerted, label, unit),
        {
            "rule": "model",
            "title": "Model",
            "action": "",
            "fired": cell(alerted, label, unit),
            "also_model": None,
            "only_here": cell(alerted & ~some, label, unit),
        },
        {
            "rule": "neither",
            "title": "Neither",
            "action": "",
            "fired": cell(~alerted & ~some, label, unit),
            "also_model": None,
            "only_here": None,
        },
    ]


def _cells(fired: Array, alerted: Array, label: Array, unit: Array) -> dict[str, Any]:
    return {
        "fired": cell(fired, label, unit),
        "also_model": cell(fired & alerted, label, unit),
        "only_here": cell(fired & ~alerted, label, unit),
    }


def cell(where: Array, label: Array, unit: Array) -> dict[str, Any]:
    """Return the events of a mask, the frauds among them, and their precision."""
    fraud = label == 1.0
    return {
        "events": int(where.sum()),
        "frauds": int((where & fraud).sum()),
        "precision": rate(fraud, where & np.isfinite(label), unit),
    }
