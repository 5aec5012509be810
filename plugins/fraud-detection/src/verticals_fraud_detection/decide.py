"""From scores to actions: by fixed cuts, by a daily budget, or by expected cost.

A budget becomes cuts as it would in operation: the cuts of a day rest on the scores of the
`reference_days` days before it, and on labels that were known when the day began.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from verticals.contract.model import MISSING_AMOUNT
from verticals.errors import CallError, DataError
from verticals.table import Array
from verticals_fraud_detection.policy import (
    ACTIONS,
    REVIEW,
    Bands,
    Costs,
    Cuts,
    EachAction,
    Policy,
)

NEEDS_CUTS = "verticals replay BUNDLE --data D --policy P --write-cuts cuts.toml"

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Hold scored events in the order of their time, each array of (rows,).

    `day` counts from the midnight (UTC) of the first event, `label` is 1, 0 or NaN, `known` the
    time at which a label became known (NaT: never), `amount` is in minor units.
    """

    day: Array
    score: Array
    amount: Array
    label: Array
    known: Array
    start: np.datetime64  # midnight of day 0

    @property
    def days(self) -> int:
        """Return the number of calendar days from the first event to the last."""
        return int(self.day[-1]) + 1 if self.day.size else 0


def decide(policy: Policy, score: Array, amount: Array, *, digits: int = 2) -> Array:
    """Return the action of each event as int8 codes into `ACTIONS`: (rows,).

    `amount` is in minor units (`MISSING_AMOUNT` where missing) and read by a policy of costs only.
    Raises `CallError` for a budget, which has no cuts yet, and `DataError` for scores that are not
    finite or, with costs, no probabilities.
    """
    score = _finite(score)
    if policy.cuts is not None:
        return by_cuts(policy.cuts, score)
    if policy.by == "budget" or policy.costs is None:
        raise CallError(
            f"policy {policy.name!r} has a budget and no cuts yet, expected [cuts] or [costs]",
            hint=NEEDS_CUTS,
        )
    return by_costs(policy.costs, score, amount, digits)


def by_cuts(cuts: Cuts, score: Array) -> Array:
    """Return the strictest action whose cut each score meets."""
    found = np.zeros(score.shape[0], dtype=np.int8)
    for code, cut in enumerate((cuts.step_up, cuts.review, cuts.decline), start=1):
        if cut is not None:
            found[score >= cut] = code
    return found


def by_costs(costs: Costs, score: Array, amount: Array, digits: int) -> Array:
    """Return the action of least expected cost; of equal ones the mildest (see `expected_costs`).

    An event without an amount is reviewed, unless the costs declare a `missing_amount`.
    """
    if score.size and not (score.min() >= 0 and score.max() <= 1):
        raise DataError(
            f"the scores reach from {score.min():g} to {score.max():g}, expected probabilities",
            hint="a policy of costs needs a score from 0 to 1; use [budget] or [cuts]",
        )
    missing = amount == MISSING_AMOUNT
    filled = np.where(missing, 0.0, amount)
    if costs.missing_amount is not None:
        filled = np.where(missing, costs.missing_amount * 10**digits, filled)
    found = expected_costs(costs, score, filled, digits).argmin(axis=1).astype(np.int8)
    if costs.missing_amount is None:
        found[missing] = REVIEW
    return np.asarray(found)


def expected_costs(costs: Costs, score: Array, amount: Array, digits: int) -> Array:
    """Return the expected cost of each action in minor units: (rows, actions).

    With fraud probability p and amount a:
    handling + p (1 − stopped) a + (1 − p) (genuine + churn), where approval has none of the four
    but stops nothing.
    """
    unit = 10.0**digits
    p = score[:, None]
    lost = p * (1.0 - each(costs.stopped)) * np.asarray(amount, dtype=np.float64)[:, None]
    disturbed = each(costs.genuine) + costs.churn * (np.arange(len(ACTIONS)) > 0)
    return np.asarray(lost + unit * (each(costs.handling) + (1.0 - p) * disturbed))


def each(numbers: EachAction) -> Array:
    """Return the numbers by action code, 0 for approval: (actions,)."""
    return np.array([0.0, numbers.step_up, numbers.review, numbers.decline])


def highest(scores: Array, count: float) -> float:
    """Return the lowest cut that at most `count` of the scores meet; infinite where none does.

    `scores` come highest first. Scores that tie at the place where the count ends are all left
    out: a budget is a ceiling. Where the count covers every score the cut is the lowest of them.
    """
    # A share of a count (0.1 of 30 alerts) may be a hair below the whole number that is meant.
    places = min(math.floor(count + 1e-9), scores.size)
    if places <= 0:
        return math.inf
    if places == scores.size or scores[places] < scores[places - 1]:
        return float(scores[places - 1])
    above = int(np.searchsorted(-scores, -scores[places], side="left"))
    return float(scores[above - 1]) if above else math.inf


def cuts_for(alerts: float, bands: Bands, scores: Array, days: int) -> Cuts:
    """Return the cuts that give so many alerts a day on reference scores, highest first."""

    def cut(share: float) -> float | None:
        found = highest(scores, alerts * share * days)
        return found if math.isfinite(found) else None

    step_up = cut(1.0 + bands.step_up_per_alert) if bands.step_up_per_alert else None
    return Cuts(step_up=step_up, review=cut(1.0), decline=cut(bands.decline_share))


def daily_cuts(policy: Policy, stream: Stream, days: range) -> Iterator[tuple[int, Cuts]]:
    """Give the cuts of each day, from the days before it only."""
    budget = policy.budget
    if budget is None:
        raise CallError(f"policy {policy.name!r} has no budget, expected [budget]")
    window = budget.reference_days
    for day in days:
        low, high = np.searchsorted(stream.day, [day - window, day])
        scores = np.sort(stream.score[low:high])[::-1]
        alerts = policy.alerts_per_day
        if budget.false_positive_ceiling is not None:
            ceiling = _under_ceiling(budget.false_positive_ceiling, stream, day, window, scores)
            spared = ceiling / (1.0 + policy.bands.step_up_per_alert)
            alerts = spared if alerts is None else min(alerts, spared)
        yield day, cuts_for(alerts or 0.0, policy.bands, scores, window)


def _under_ceiling(ceiling: float, stream: Stream, day: int, window: int, scores: Array) -> float:
    """Return how many events a day may be disturbed so that at most a share of genuine ones is."""
    rows = known_rows(stream, day, window)
    genuine = np.sort(stream.score[rows][stream.label[rows] == 0.0])[::-1]
    cut = highest(genuine, ceiling * genuine.size)
    return float(np.count_nonzero(scores >= cut)) / window


def known_rows(stream: Stream, day: int, window: int) -> Array:
    """Return the rows whose labels were known when a day began, of the latest `window` such days.

    Raises `CallError` where fewer days have any.
    """
    before = int(np.searchsorted(stream.day, day))
    known = stream.known[:before] <= stream.start + day * _DAY  # False for NaT
    rows = np.flatnonzero(known & np.isfinite(stream.label[:before]))
    days = np.unique(stream.day[rows])
    if days.size < window:
        raise CallError(
            f"before day {day + 1} of the data {days.size} days have known labels, "
            f"expected {window} for the false-positive ceiling",
            hint="give data over more days, or lower reference_days",
        )
    return np.asarray(rows[stream.day[rows] >= days[-window]])


def warm_up(policy: Policy, stream: Stream) -> int:
    """Return how many of the first days a policy needs before it can decide; 0 without a budget.

    Raises `CallError` where no day of the data is left.
    """
    budget = policy.budget
    if budget is None:
        return 0
    needed = budget.reference_days
    if budget.false_positive_ceiling is not None:
        needed = _labelled_from(stream, needed)
    if stream.days <= needed:
        raise CallError(
            f"the data span {stream.days} days, expected more than the {needed} days from which "
            f"policy {policy.name!r} takes its first cuts",
            hint="give data over more days, or lower reference_days",
        )
    return needed


def _labelled_from(stream: Stream, window: int) -> int:
    """Return the first day at whose beginning the labels of `window` days were known."""
    labelled = np.isfinite(stream.label) & ~np.isnat(stream.known)
    days = stream.day[labelled]
    ready = np.ceil((stream.known[labelled] - stream.start) / _DAY).astype(np.int64)
    first = np.full(stream.days, np.iinfo(np.int64).max)
    np.minimum.at(first, days, np.maximum(ready, days + 1))
    have = np.sort(first)
    # With fewer labelled days than the window no day will do: as long as the data, or longer.
    found = int(have[window - 1]) if have.size >= window else stream.days
    return max(window, min(found, stream.days))


def decide_stream(policy: Policy, stream: Stream, days: range, *, digits: int = 2) -> Array:
    """Return the action of each event of a span of days; earlier and later ones stay approved.

    A budget takes the cuts of each day from the days before it.
    """
    if policy.by != "budget":
        return decide(policy, stream.score, stream.amount, digits=digits)
    score = _finite(stream.score)
    found = np.zeros(score.shape[0], dtype=np.int8)
    for day, cuts in daily_cuts(policy, stream, days):
        low, high = np.searchsorted(stream.day, [day, day + 1])
        found[low:high] = by_cuts(cuts, score[low:high])
    return found


def resolve(policy: Policy, stream: Stream) -> Policy:
    """Return the policy with fixed cuts for the day after the data, as the online scorer needs.

    The cuts are one-sided facts about the data's scores: keep the file as private as the data.
    Raises `CallError` for a policy without a budget.
    """
    if policy.budget is None:
        raise CallError(
            f"policy {policy.name!r} decides by {policy.by}, so there are no cuts to resolve",
            hint="use it as it is",
        )
    warm_up(policy, stream)
    _finite(stream.score)
    [(_, cuts)] = daily_cuts(policy, stream, range(stream.days, stream.days + 1))
    said = f"cuts of {policy.name} ({policy.digest[:19]}) for the day after the data"
    return replace(policy, budget=None, bands=Bands(), cuts=cuts, description=said)


def names_of(codes: Array) -> Sequence[str]:
    """Return the names of action codes."""
    return [ACTIONS[code] for code in codes]


def _finite(score: Array) -> Array:
    score = np.asarray(score, dtype=np.float64)
    wrong = int(np.count_nonzero(~np.isfinite(score)))
    if wrong:
        raise DataError(f"{wrong} of {score.size} scores are not finite, expected none")
    return score
