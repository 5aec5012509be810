"""Whom do false alarms fall on? By protected attribute and stratum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement, audited_groups
from verticals.intervals import Interval, design_effect, disparity_ratio
from verticals.table import Array, Table
from verticals_fraud_detection.checks import intervals
from verticals_fraud_detection.checks.events import Events, outputs

MIN_PERSONS = 30  # as the default policy's min_group: a smaller group is shown, not compared
MIN_TRIALS = 10  # persons in the denominator, as its min_events


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Hold 0/1 outcomes and whose they are: events, or cards."""

    hit: Array  # (trials,) 1.0 where the trial was under alert
    owner: Array  # (trials,)
    persons: int  # of the group, with or without a trial

    @property
    def comparable(self) -> bool:
        """Tell whether the group is large enough to be compared."""
        return self.persons >= MIN_PERSONS and np.unique(self.owner).size >= MIN_TRIALS

    @property
    def share(self) -> Interval:
        """Return the share of trials under alert."""
        return intervals.share(self.hit, np.ones(self.hit.size), self.owner)


def false_positive_parity(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the share of genuine events under alert in each group, and the ratio of the groups.

    `fraud.false_positive_ratio` is the lowest share over the highest, 0..1: 1 is predictive
    equality (Corbett-Davies et al., KDD 2017).
    """
    name = "false_positive_rate"
    for events in outputs(tables, info):
        if events.decision is None:
            yield events.unmeasured(name, events.lacks("decision"))
            yield events.unmeasured("false_positive_ratio", events.lacks("decision"))
            continue
        everybody = np.ones(events.score.size, dtype=bool)
        yield events.measured(name, _genuine_events(events, everybody).share)
        yield from _by_group(events, tables["scores"], info, _genuine_events, name)


def alert_burden(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure alerts per 1,000 genuine events, and the share of genuine cards under any alert.

    Over everybody and in each group. A card is genuine that has no known fraud among the audited
    events; it counts in each group in which it has a genuine event.
    """
    for events in outputs(tables, info):
        if events.decision is None:
            for name in ("alerts_per_1000_genuine", "cards_disturbed", "cards_disturbed_ratio"):
                yield events.unmeasured(name, events.lacks("decision"))
            continue
        everybody = np.ones(events.score.size, dtype=bool)
        alerts = _genuine_events(events, everybody).share
        yield events.measured("alerts_per_1000_genuine", _per_thousand(alerts))
        for attribute, name, rows in audited_groups(tables["scores"], info):
            found = _per_thousand(_genuine_events(events, rows).share)
            yield events.measured("alerts_per_1000_genuine", found, group=(attribute.name, name))
        if events.card is None:
            for name in ("cards_disturbed", "cards_disturbed_ratio"):
                yield events.unmeasured(name, events.lacks("card"))
            continue
        yield events.measured("cards_disturbed", _genuine_cards(events, everybody).share)
        yield from _by_group(events, tables["scores"], info, _genuine_cards, "cards_disturbed")


def _by_group(
    events: Events,
    scores: Table,
    info: EvidenceInfo,
    trials: Callable[[Events, Array], Trials],
    name: str,
) -> Iterator[Measurement]:
    """Measure the share of each group, and how far the groups of each attribute are apart.

    The ratio of a stratum, which no law protects, has a name of its own: rules leave it alone.
    """
    ratio = f"{name.removesuffix('_rate')}_ratio"
    groups = list(audited_groups(scores, info))
    if not any(attribute.role == "protected" for attribute, *_ in groups):
        yield events.unmeasured(ratio, "the evidence has no protected attribute")
    for attribute in dict.fromkeys(attribute for attribute, *_ in groups):
        found = {group: trials(events, rows) for at, group, rows in groups if at is attribute}
        for group, its in found.items():
            yield events.measured(name, its.share, group=(attribute.name, group))
        of = "" if attribute.role == "protected" else "_of_strata"
        apart = _ratio(list(found.values()))
        yield events.measured(f"{ratio}{of}", apart, group=(attribute.name, ""))


def _genuine_events(events: Events, rows: Array) -> Trials:
    kept = events.take(rows & events.genuine)
    hit = np.zeros(0) if kept.decision is None else (kept.decision == 1).astype(float)
    return Trials(hit=hit, owner=kept.clusters, persons=np.unique(events.clusters[rows]).size)


def _genuine_cards(events: Events, rows: Array) -> Trials:
    """Return one trial for each card without known fraud: any alert on its genuine events."""
    persons = np.unique(events.clusters[rows]).size
    if events.card is None or events.decision is None:
        return Trials(hit=np.zeros(0), owner=np.zeros(0, dtype=np.int64), persons=persons)
    struck = np.isin(events.card, events.card[events.fraud])
    here = rows & events.genuine & ~struck
    _, first, code = np.unique(events.card[here], return_index=True, return_inverse=True)
    alerts = np.bincount(code, events.decision[here] == 1, first.size)
    return Trials(
        hit=(alerts > 0).astype(float), owner=events.clusters[here][first], persons=persons
    )


def _ratio(found: list[Trials]) -> Interval:
    """Return the lowest share over the highest.

    A group that is too small to compare can only lower the ratio of all, so that with one the
    limits reach down to 0: such a ratio can fail a rule, and never pass it.
    """
    kept = [its for its in found if its.comparable]
    left_out = len(found) - len(kept)
    ratio = disparity_ratio(
        [float(its.hit.sum()) for its in kept],
        [its.hit.size for its in kept],
        level=intervals.LEVEL,
        design_effects=[design_effect(its.hit, its.owner) for its in kept],
    )
    if ratio.estimate is None:
        few = len(kept) < 2
        return intervals.none("no two groups to compare" if few else "no false alarm", ratio.n)
    if not left_out:
        return replace(ratio, method=f"lowest share over highest; {ratio.method}")
    words = f"{left_out} group{'s' if left_out > 1 else ''} too small to compare"
    return replace(ratio, lower=0.0, method=f"lowest share over highest, {words}; {ratio.method}")


def _per_thousand(found: Interval) -> Interval:
    return intervals.scaled(found, 1000.0, found.method)
