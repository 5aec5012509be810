"""What do alerts find, how many are needed, and how soon do they come?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement
from verticals.intervals import Interval
from verticals.table import Array, Table
from verticals_fraud_detection import measures
from verticals_fraud_detection.checks import intervals
from verticals_fraud_detection.checks.events import Events, daily_sums, days, outputs

CARDS_A_DAY = (10, 100)
ALERTS_A_DAY = 100
RECALL = 0.9


def card_precision(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the share of defrauded cards among the 10 and the 100 highest-scored of each day.

    Beside it stand the best that any score can reach, and the lift over cards picked blindly. A
    number above the cards of the busiest day is skipped, with the reason.
    """
    for whole in outputs(tables, info):
        events = whole.labelled
        for k in CARDS_A_DAY:
            yield from _card_precision(events, k)


def value(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the share of the defrauded amount under alert: by the decision, at 100 a day.

    `fraud.value_lift` is that share over the share of events under alert: 1 is chance.
    """
    for whole in outputs(tables, info):
        events = whole.labelled
        names = ("value_at_decision", "value_lift", f"value_at_{ALERTS_A_DAY}")
        why = events.lacks("amount")
        if why or events.amount is None:
            yield from (events.unmeasured(name, why) for name in names)
            continue
        worth = measures.fraud_value(events.label, events.amount)
        if events.decision is None:
            yield from (events.unmeasured(name, events.lacks("decision")) for name in names[:2])
        else:
            alert = events.decision == 1
            found = _of_value(events, worth, alert)
            yield events.measured(names[0], found)
            yield events.measured(names[1], _lift(found, float(alert.mean()) if alert.size else 0))
        if events.day is None:
            yield events.unmeasured(names[2], events.lacks("day"))
        else:
            alert = measures.daily_alerts(events.score, events.day, ALERTS_A_DAY, worth)
            yield events.measured(names[2], _of_value(events, worth, alert))


def workload(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the alerts that the decision raises, and those that 90 % of the frauds would take.

    `fraud.alerts_over_planned` compares the share of events under alert with the share that the
    contract declares, where it declares one.
    """
    for events in outputs(tables, info):
        known = events.labelled
        needed = intervals.alerts(known.score, known.label, known.clusters, RECALL)
        yield events.measured("alerts_for_90_percent_recall", needed)
        yield _a_day(known, needed)
        yield from _raised(events, info.decision.get("rate"))


def time_to_detection(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure, card by card, the minutes from the first fraud to the next alert of the decision.

    A card that no alert follows was never detected; it counts in the median as infinitely late.
    """
    for whole in outputs(tables, info):
        events = whole.labelled
        names = ("minutes_to_detection", "never_detected")
        why = events.lacks("minute", "card", "decision")
        minute, card, decision = events.minute, events.card, events.decision
        if minute is None or card is None or decision is None:
            yield from (events.unmeasured(name, why) for name in names)
            continue
        found = measures.time_to_detection(card, minute, events.label, decision == 1)
        codes, first = np.unique(card, return_index=True)
        owner = events.clusters[first[np.searchsorted(codes, found.card)]]
        yield events.measured(names[0], _median(found.minutes, owner))
        never = np.isinf(found.minutes).astype(float)
        missed = intervals.share(never, np.ones(never.size), owner)
        if never.size < intervals.FEWEST:
            missed = intervals.none(
                f"{never.size} defrauded cards, {intervals.FEWEST} needed for limits",
                never.size,
                missed.estimate,
            )
        yield events.measured(names[1], missed)


def _card_precision(events: Events, k: int) -> Iterator[Measurement]:
    subject = f"{k} cards a day"
    names = (f"card_precision_at_{k}", "card_precision_best", "card_precision_lift")
    why = events.lacks("card", "day")
    card, day = events.card, events.day
    if card is None or day is None:
        yield from (events.unmeasured(name, why, subject=subject) for name in names)
        return
    found = measures.card_days(events.score, events.label, card, day, k)
    most = int(found.cards.max(initial=0))
    if most < k:
        why = f"at most {most} cards have an event on one day"
        yield from (events.unmeasured(name, why, subject=subject) for name in names)
        return
    mean = intervals.daily_mean(found.precision, upper=1.0)
    lift = intervals.daily_ratio(found.precision, found.chance)
    if events.label.sum() < intervals.FEWEST:
        few = intervals.too_few(events.label)
        mean = intervals.none(few, mean.n, mean.estimate)
        lift = intervals.none(few, lift.n, lift.estimate)
    yield events.measured(names[0], mean, subject=subject)
    what = "what a perfect score would reach on these days"
    best = intervals.none(what, found.day.size, float(found.best.mean()))
    yield events.measured(names[1], best, subject=subject)
    yield events.measured(names[2], lift, subject=subject)


def _of_value(events: Events, worth: Array, alert: Array) -> Interval:
    if not worth.sum() > 0:
        return intervals.none("no amount was defrauded, or none is known", int(events.fraud.sum()))
    found = intervals.share(np.where(alert, worth, 0.0), worth, events.clusters)
    if events.label.sum() < intervals.FEWEST:
        return intervals.none(intervals.too_few(events.label), found.n, found.estimate)
    return found


def _lift(found: Interval, alerted: float) -> Interval:
    if alerted <= 0:
        return intervals.none("the decision raised no alert")
    what = "share of the value over the share of events, which is taken as known"
    return intervals.scaled(found, 1 / alerted, f"{what}; {found.method}")


def _a_day(events: Events, needed: Interval) -> Measurement:
    name, span = "alerts_a_day_for_90_percent_recall", days(events)
    if span == 0:
        return events.unmeasured(name, events.lacks("day") or "no labelled event")
    return events.measured(name, intervals.scaled(needed, 1 / span, needed.method))


def _raised(events: Events, planned: float | None) -> Iterator[Measurement]:
    """Measure the alerts of the decision: a day, over the plan, and how many are fraud."""
    if events.decision is None:
        for name in ("alerts_a_day", "alerts_over_planned", "alert_precision"):
            yield events.unmeasured(name, events.lacks("decision"))
        return
    alert = (events.decision == 1).astype(float)
    if events.day is None:
        yield events.unmeasured("alerts_a_day", events.lacks("day"))
    else:
        yield events.measured("alerts_a_day", intervals.daily_mean(daily_sums(alert, events.day)))
    if not planned:
        why = "the contract declares a cut, no share of events"
        yield events.unmeasured("alerts_over_planned", why)
    else:
        raised = intervals.share(alert, np.ones(alert.size), events.clusters)
        what = f"share of events under alert over the declared {planned:g}; {raised.method}"
        yield events.measured("alerts_over_planned", intervals.scaled(raised, 1 / planned, what))
    known = events.labelled.take((alert == 1)[~np.isnan(events.label)])
    yield events.measured(
        "alert_precision", intervals.share(known.label, np.ones(known.label.size), known.clusters)
    )


def _median(minutes: Array, owner: Array) -> Interval:
    if minutes.size and np.isinf(minutes).mean() >= 0.5:
        return intervals.none("no median: half of the defrauded cards or more had no alert")
    return intervals.median(minutes, owner)
