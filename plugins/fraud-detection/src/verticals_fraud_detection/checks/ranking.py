"""Does the score rank fraud above genuine events, and does a probability mean what it says?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement
from verticals.intervals import Interval, calibration_slope
from verticals.table import Table
from verticals_fraud_detection.checks import intervals
from verticals_fraud_detection.checks.events import Events, outputs

FALSE_POSITIVE_RATES = (0.01, 0.05)


def ranking(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure average precision beside chance, and the frauds found at 1 % and 5 % false alarms.

    `fraud.lift` is average precision over the share of frauds in the audited events: 1 is chance.
    """
    for whole in outputs(tables, info):
        events = whole.labelled
        score, label, clusters = events.score, events.label, events.clusters
        found = intervals.precision(score, label, clusters)
        base = intervals.share(label, np.ones(label.size), clusters)
        yield events.measured("average_precision", found)
        yield events.measured("base_rate", base)
        yield events.measured("lift", _lift(found, base.estimate))
        for rate in FALSE_POSITIVE_RATES:
            name = f"tpr_at_{rate * 100:.0f}_percent_fpr"
            yield events.measured(name, intervals.tpr(score, label, clusters, rate))


def calibration(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure expected over observed frauds, and the slope of outcome on the log-odds.

    The score is measured as it is given out: after the correction of the prior, if training
    changed it.
    """
    for whole in outputs(tables, info):
        events = whole.labelled
        score, label, clusters = events.score, events.label, events.clusters
        ratio = intervals.expected_over_observed(score, label, clusters)
        yield events.measured("expected_over_observed", ratio)
        yield events.measured("slope", _slope(events))


def _lift(found: Interval, base: float | None) -> Interval:
    if not base:
        return intervals.none("no fraud among the labelled events", found.n)
    what = "average precision over the base rate, which is taken as known"
    return intervals.scaled(found, 1 / base, f"{what}; {found.method}")


def _slope(events: Events) -> Interval:
    found = calibration_slope(events.score, events.label, units=events.clusters)
    if found.estimate is not None and events.label.sum() < intervals.FEWEST:
        return intervals.none(intervals.too_few(events.label), found.n, found.estimate)
    return found
