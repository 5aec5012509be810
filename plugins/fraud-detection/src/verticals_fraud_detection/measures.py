"""Define the measures of fraud detection, in numpy alone; what is undefined is None, never 0.

Arrays are of one value an event. `score` is higher where fraud is likelier, `label` is 1 for fraud
and 0 for genuine: events whose label is unknown are the caller's to leave out. `card` and `day` are
whole numbers. Where scores tie, an alert goes to the genuine event or card first, so that a score
which says little is not flattered by the order of the rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from verticals import metrics
from verticals.table import Array


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """Hold what lies at or above each score that a fraud has, highest first."""

    cut: Array  # (cuts,) the distinct scores of frauds, falling
    frauds: Array  # (cuts,) frauds with a score of at least `cut`
    genuine: Array  # (cuts,) genuine events with a score of at least `cut`


@dataclass(frozen=True, kw_only=True)
class CardDays:
    """Hold, for each day with events, how the k highest-scored cards of that day turned out."""

    day: Array  # (days,)
    hits: Array  # (days,) defrauded cards among the k
    cards: Array  # (days,) cards with an event
    frauds: Array  # (days,) defrauded cards
    k: int

    @property
    def precision(self) -> Array:
        """Return (days,) hits / k."""
        return np.asarray(self.hits / self.k)

    @property
    def best(self) -> Array:
        """Return (days,) the precision of a perfect score: min(k, defrauded cards) / k."""
        return np.asarray(np.minimum(self.frauds, self.k) / self.k)

    @property
    def chance(self) -> Array:
        """Return (days,) the precision of k cards picked blindly, as expected."""
        picked = np.minimum(self.cards, self.k)
        return np.asarray(picked * self.frauds / np.maximum(self.cards, 1) / self.k)


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Hold when each defrauded card got its first alert at or after its first fraud."""

    card: Array  # (cards,)
    minutes: Array  # (cards,) from the first fraud to the alert, infinite where there was none

    @property
    def median(self) -> float | None:
        """Return the median in minutes; None without cards, or if half of them got no alert."""
        if not self.minutes.size:
            return None
        found = float(np.median(self.minutes))
        return found if math.isfinite(found) else None

    @property
    def never(self) -> float | None:
        """Return the share of defrauded cards without an alert after the fraud; range 0..1."""
        return float(np.isinf(self.minutes).mean()) if self.minutes.size else None


def average_precision(score: Array, label: Array) -> float | None:
    """Return Σ (R_j − R_{j−1}) P_j over the distinct scores, highest first (PR-AUC by steps).

    0..1; a random order gives the share of frauds. As scikit-learn has it, ties and all (Davis &
    Goadrich 2006: no interpolation). None without frauds.

    >>> average_precision(np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 1, 0]))
    0.8333333333333333
    """
    return _known(metrics.average_precision(label, score))


def ranked(score: Array, label: Array) -> Ranked:
    """Count the events at or above every cut that matters: the scores of frauds."""
    fraud = np.asarray(label) == 1
    high, low = np.sort(score[fraud]), np.sort(score[~fraud])
    cut = np.unique(high)[::-1]
    return Ranked(
        cut=cut,
        frauds=high.size - np.searchsorted(high, cut),
        genuine=low.size - np.searchsorted(low, cut),
    )


def tpr_at_fpr(score: Array, label: Array, fpr: float) -> float | None:
    """Return the largest share of frauds above a cut that has at most `fpr` of genuine events.

    0..1; a random score gives `fpr`. The step function of the ROC curve, without interpolation
    (its use for fraud: Jesus et al., NeurIPS 2022). None without frauds or genuine events.

    >>> tpr_at_fpr(np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([1, 0, 1, 0, 0]), 0.34)
    1.0
    """
    found = ranked(score, label)
    total = len(label) - int(found.frauds[-1]) if found.cut.size else 0
    if total == 0:
        return None
    # A share of 1 % of 300 events is 3 of them, though 0.01 * 300 may come out below 3.
    within = found.genuine <= fpr * total * (1 + 1e-12)
    return float(found.frauds[within].max(initial=0) / found.frauds[-1])


def card_days(
    score: Array, label: Array, card: Array, day: Array, k: int, *, retire: bool = True
) -> CardDays:
    """Count the defrauded cards among the k highest-scored cards of each day.

    A card's score and label of a day are the largest of its events on that day. With `retire` a
    card that was found on one day is blocked, and counts on no later one, as in the Fraud
    Detection Handbook (Le Borgne et al. 2022, chapter 4, "Precision top-k metrics").
    """
    order = np.lexsort((card, day))
    days, cards = np.asarray(day)[order], np.asarray(card)[order]
    starts = np.flatnonzero(
        np.append(True, (np.diff(days) != 0) | (np.diff(cards) != 0))[: len(order)]
    )
    if not starts.size:
        none = np.zeros(0, dtype=np.int64)
        return CardDays(day=none, hits=none, cards=none, frauds=none, k=k)
    days, cards = days[starts], cards[starts]  # (pairs of day and card,)
    highest = np.maximum.reduceat(np.asarray(score, dtype=float)[order], starts)
    fraud = np.maximum.reduceat((np.asarray(label) == 1)[order], starts)
    found: list[tuple[int, int, int]] = []
    blocked: set[int] = set()
    each = np.unique(days)
    for today in each:
        here = np.flatnonzero(days == today)
        here = here[[code not in blocked for code in cards[here].tolist()]]
        top = here[np.lexsort((fraud[here], -highest[here]))][:k]
        hits = top[fraud[top]]
        found.append((hits.size, here.size, int(fraud[here].sum())))
        if retire:
            blocked.update(cards[hits].tolist())
    hit, seen, frauds = np.array(found).T
    return CardDays(day=each, hits=hit, cards=seen, frauds=frauds, k=k)


def card_precision_at(
    score: Array, label: Array, card: Array, day: Array, k: int, *, retire: bool = True
) -> float | None:
    """Return card precision top-k: the mean over days of the defrauded cards among k, over k.

    0..1, at most the mean of `CardDays.best`. Cards that were known to be compromised before the
    first day are the caller's to leave out; `retire` is as in `card_days`. None without events.

    >>> two_cards = np.array([0.9, 0.8]), np.array([1, 0]), np.array([1, 2]), np.array([0, 0])
    >>> card_precision_at(*two_cards, k=1), card_precision_at(*two_cards, k=2)
    (1.0, 0.5)
    """
    found = card_days(score, label, card, day, k, retire=retire)
    return float(found.precision.mean()) if found.day.size else None


def daily_alerts(score: Array, day: Array, k: int, worth: Array) -> Array:
    """Return (events,) True for the k highest scores of each day; of a tie the least `worth`."""
    order = np.lexsort((worth, -np.asarray(score, dtype=float), day))
    days = np.asarray(day)[order]
    starts = np.searchsorted(days, days)  # where this event's day begins
    alert = np.zeros(len(order), dtype=bool)
    alert[order] = np.arange(len(order)) - starts < k
    return alert


def fraud_value(label: Array, amount: Array) -> Array:
    """Return (events,) the amount at stake: that of a fraud, 0 of genuine or unknown amounts."""
    return np.where((np.asarray(label) == 1) & ~np.isnan(amount), amount, 0.0)


def value_detected(
    score: Array, label: Array, amount: Array, day: Array, alerts_per_day: int
) -> float | None:
    """Return the share of the defrauded amount that lies in the k highest-scored events of a day.

    0..1. A fraud of unknown amount is in neither sum. None where no amount was defrauded.

    >>> fraud = np.array([0.9, 0.8]), np.array([1, 1]), np.array([30.0, 70.0]), np.array([0, 0])
    >>> value_detected(*fraud, alerts_per_day=1)
    0.3
    """
    worth = fraud_value(label, np.asarray(amount, dtype=float))
    total = float(worth.sum())
    alert = daily_alerts(score, day, alerts_per_day, worth)
    return float(worth[alert].sum()) / total if total > 0 else None


def alerts_for_recall(score: Array, label: Array, recall: float) -> int | None:
    """Return how many events lie at or above the highest cut that finds `recall` of the frauds.

    Ties with the last fraud that is needed are alerts too. None without frauds.

    >>> alerts_for_recall(np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 1, 0]), 0.9)
    3
    """
    found = ranked(score, label)
    if not found.cut.size:
        return None
    place = int(np.argmax(found.frauds >= recall * found.frauds[-1] * (1 - 1e-12)))
    return int(found.frauds[place] + found.genuine[place])


def time_to_detection(card: Array, minute: Array, label: Array, alert: Array) -> Detections:
    """Return, for each card with fraud, the minutes from its first fraud to its next alert.

    The alert may fall on any event of the card at or after its first fraud, genuine ones included:
    the card is looked at. An alert before the fraud detects nothing. Fraud before the audited
    part is not seen, so that the caller leaves out cards already known to be compromised.
    """
    cards, code = np.unique(card, return_inverse=True)
    far = np.iinfo(np.int64).max
    first, answer = np.full(cards.size, far), np.full(cards.size, far)
    minutes = np.asarray(minute, dtype=np.int64)
    fraud = np.asarray(label) == 1
    np.minimum.at(first, code[fraud], minutes[fraud])
    later = np.asarray(alert, dtype=bool) & (minutes >= first[code])
    np.minimum.at(answer, code[later], minutes[later])
    struck = first < far
    first, answer = first[struck], answer[struck]
    waited = np.where(answer < far, answer - first, np.inf)
    return Detections(card=cards[struck], minutes=waited)


def calibration_ratio(score: Array, label: Array) -> float | None:
    """Return expected over observed frauds, Σ score / Σ label, once priors are corrected.

    0 or more; 1 is right, above 1 the score promises more fraud than there is. None without
    frauds.

    >>> calibration_ratio(np.array([0.5, 0.25, 0.25]), np.array([1, 0, 0]))
    1.0
    """
    observed = float((np.asarray(label) == 1).sum())
    return float(np.sum(score)) / observed if observed > 0 else None


def calibration_slope(score: Array, label: Array) -> float | None:
    """Return the slope of outcome on the log-odds of the score (Cox 1958).

    1 is right, below 1 the score is too extreme. None where no logistic regression exists.
    """
    return _known(metrics.calibration_slope_intercept(label, score)[0])


def psi(first: Array, second: Array) -> float | None:
    """Return the population stability index of two sets of counts: `verticals.metrics.psi`.

    0 or more, 0 is no shift (Siddiqi 2006). None where a set is empty or fewer than two bins are
    used.

    >>> round(psi(np.array([500, 500]), np.array([250, 750])), 3)
    0.275
    """
    if np.count_nonzero(np.asarray(first) + np.asarray(second) > 0) < 2:
        return None
    return _known(metrics.psi(first, second))


def psi_by_week(week: Array, place: Array, count: Array) -> dict[int, float | None]:
    """Return the stability index of each audited week against the training part (week −1).

    Arrays are of one value a row of counts: the week, the bin, and the number of events.
    """
    bins = int(place.max(initial=0)) + 1
    counts = {
        int(value): np.bincount(place[week == value], count[week == value], bins)
        for value in np.unique(week)
    }
    train = counts.pop(-1, np.zeros(bins))
    return {value: psi(train, found) for value, found in counts.items()}


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
