"""Intervals for the measures of fraud detection; events come in clusters, the cards or persons.

All rest on exact limits of a rate with a design effect (`verticals.intervals`), as these keep
their coverage where frauds are few and at shares of 0 and 1. A percentile bootstrap over cards does
not: with some thirty frauds it covers an average precision in 92 % of samples, not 95 %
(`docs/reference/fraud-checks.md`). Fewer than `FEWEST` frauds give no limits.
"""

from __future__ import annotations

import math

import numpy as np

from verticals.intervals import Interval, average_precision, design_effect, standard_error, z_value
from verticals.intervals.base import t_value
from verticals.intervals.rates import exact_limits
from verticals.table import Array
from verticals_fraud_detection import measures

LEVEL = 0.95
FEWEST = 10  # frauds, or clusters of them, below which nothing is said

_Limits = tuple[float | None, float | None]


def none(method: str, n: int = 0, estimate: float | None = None) -> Interval:
    """Return an interval without limits; `method` says why."""
    return Interval(estimate=estimate, lower=None, upper=None, n=n, method=method)


def scaled(found: Interval, factor: float, method: str) -> Interval:
    """Return an interval in another unit; a factor above 0."""
    return found.mapped(lambda value: value * factor, method)


def share(part: Array, whole: Array, clusters: Array) -> Interval:
    """Compute Σ part / Σ whole, with 0 ≤ part ≤ whole in each event; range 0..1.

    Clopper–Pearson limits at the effective sample size (Korn & Graubard, Survey Methodology 24,
    1998): that of independent events of such weights, over the design effect of their clusters.
    """
    method = "Clopper–Pearson at the effective sample size, clustered by card"
    part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    here = whole > 0
    part, whole, code = part[here], whole[here], np.unique(clusters[here], return_inverse=True)[1]
    total, n = float(whole.sum()), int(here.sum())
    if n == 0:
        return none("nothing to take a share of")
    rate = min(1.0, float(part.sum()) / total)
    sizes = np.bincount(code, whole)
    if sizes.size < 2:
        return none("one card or person only", n, rate)
    independent = total**2 / float((whole**2).sum())  # Kish's effective number of events
    effect = independent * float((sizes**2).sum()) / total**2
    if 0 < rate < 1:
        # All alike within a cluster is the worst of designs where nothing varies.
        error, _ = standard_error((part - rate * whole) / total, code)
        effect = max(1.0, error**2 * independent / (rate * (1 - rate)))
        effect *= (t_value(LEVEL, sizes.size - 1) / z_value(LEVEL)) ** 2
    size = independent / effect
    lower, upper = exact_limits(np.array(rate * size), np.array(size), z_value(LEVEL))
    return Interval(
        estimate=rate,
        lower=0.0 if rate == 0 else min(float(lower), rate),
        upper=1.0 if rate == 1 else max(float(upper), rate),
        n=n,
        method=method,
    )


def precision(score: Array, label: Array, clusters: Array) -> Interval:
    """Compute average precision with the SDK's score interval, clustered."""
    found = average_precision(score, label, units=clusters)
    if label.sum() < FEWEST:
        return none(too_few(label), len(label), found.estimate)
    return found


def tpr(score: Array, label: Array, clusters: Array, fpr: float) -> Interval:
    """Compute the true positive rate at a false positive rate.

    Two errors are joined as Zou & Donner (2008) join them: that of the share of frauds above the
    cut, and that of the cut, from the exact limits of the false positive rate through the curve.
    """
    estimate = measures.tpr_at_fpr(score, label, fpr)
    fraud = label == 1
    if estimate is None or fraud.sum() < FEWEST:
        return none(too_few(label), len(label), estimate)
    found = measures.ranked(score, label)
    genuine, total = score[~fraud], int((~fraud).sum())
    within = found.genuine <= fpr * total * (1 + 1e-12)
    cut = float(found.cut[within].min(initial=np.inf))
    at_cut = share((score[fraud] >= cut).astype(float), np.ones(fraud.sum()), clusters[fraud])
    edge = float(np.quantile(genuine, 1 - fpr, method="lower"))
    effect = design_effect(genuine > edge, clusters[~fraud])
    low, high = exact_limits(np.array(fpr * total), np.array(total), z_value(LEVEL), effect)
    shifted = [measures.tpr_at_fpr(score, label, float(rate)) or 0.0 for rate in (low, high)]
    lower, upper = at_cut.lower, at_cut.upper
    return Interval(
        estimate=estimate,
        lower=None if lower is None else max(0, _joined(estimate, -1, lower, shifted[0])),
        upper=None if upper is None else min(1, _joined(estimate, 1, upper, shifted[1])),
        n=len(label),
        method="exact limits of both rates, joined by MOVER, clustered by card",
    )


def alerts(score: Array, label: Array, clusters: Array, recall: float) -> Interval:
    """Compute how many alerts a recall takes.

    The cut is a quantile of the frauds' scores: its limits are order statistics (Woodruff 1952,
    binomial, with a design effect). To them is joined, on the log scale, the error of the number
    of events above the cut. With few frauds the upper limit does not exist.
    """
    estimate = measures.alerts_for_recall(score, label, recall)
    frauds = int((label == 1).sum())
    if estimate is None or frauds < FEWEST:
        return none(too_few(label), len(label), estimate)
    falling = -np.sort(-score[label == 1])
    cut = falling[math.ceil(recall * frauds * (1 - 1e-12)) - 1]
    above = score >= cut
    effect = design_effect(above[label == 1], clusters[label == 1])
    first, last = order_limits(frauds, recall, effect)
    error, _ = standard_error((above - above.mean()) / len(above), clusters)
    wobble = z_value(LEVEL) * error / float(above.mean())

    def limit(place: int, side: int) -> float | None:
        if not 1 <= place <= frauds:
            return None
        count = float((score >= falling[place - 1]).sum())
        centre = math.log(estimate)
        return math.exp(_joined(centre, side, centre + side * wobble, math.log(count)))

    lower = limit(first, -1)
    return Interval(
        estimate=float(estimate),
        lower=1.0 if lower is None else lower,
        upper=limit(last + 1, 1),
        n=len(label),
        method="order statistics of the frauds' scores, clustered by card"
        + ("" if last < frauds else "; too few frauds for an upper limit"),
    )


def order_limits(n: int, quantile: float, effect: float = 1.0) -> tuple[int, int]:
    """Return the fewest and the most of n values that may lie beyond a true quantile."""
    seen = np.arange(n + 1.0)
    lower, upper = exact_limits(seen, np.full(n + 1, float(n)), z_value(LEVEL), effect)
    held = np.flatnonzero((lower <= quantile) & (quantile <= upper))
    return int(held[0]), int(held[-1])


def median(values: Array, clusters: Array) -> Interval:
    """Compute a median from order statistics; infinite values are events that never came."""
    n, method = values.size, "order statistics, clustered by person"
    if n < FEWEST:
        return none(f"{n} defrauded cards, {FEWEST} needed for limits", n, _median(values))
    rising = np.sort(values)
    effect = design_effect(values <= rising[(n - 1) // 2], clusters)
    first, last = order_limits(n, 0.5, effect)
    upper = float(rising[last]) if last < n else math.inf
    return Interval(
        estimate=_median(values),
        lower=float(rising[first - 1]) if first else 0.0,
        upper=upper if math.isfinite(upper) else None,
        n=n,
        method=method,
    )


def daily_mean(values: Array, upper: float = math.inf) -> Interval:
    """Compute a mean over days by Student's t, within 0 and `upper`; 3 days at the least."""
    estimate = float(values.mean()) if values.size else None
    if estimate is None or values.size < 3:
        return none(f"{values.size} days, 3 needed for limits", values.size, estimate)
    half = t_value(LEVEL, values.size - 1) * float(values.std(ddof=1)) / math.sqrt(values.size)
    if not half > 0:
        return none("no variation between days", values.size, estimate)
    return Interval(
        estimate=estimate,
        lower=max(0.0, estimate - half),
        upper=min(upper, estimate + half),
        n=values.size,
        method="mean over days, t",
    )


def daily_ratio(above: Array, below: Array) -> Interval:
    """Compute the ratio of two means over days, linearised, by Student's t on the log scale."""
    days = above.size
    if days == 0 or below.sum() <= 0:
        return none("no day on which chance would find a fraud", days)
    ratio = float(above.sum() / below.sum())
    if days < 3 or ratio == 0:
        why = "no fraud found" if ratio == 0 else f"{days} days, 3 needed for limits"
        return none(why, days, ratio)
    error, _ = standard_error((above - ratio * below) / above.sum())
    if not error > 0:
        return none("no variation between days", days, ratio)
    reach = math.exp(t_value(LEVEL, days - 1) * error)
    return Interval(
        estimate=ratio,
        lower=ratio / reach,
        upper=ratio * reach,
        n=days,
        method="ratio of means over days, linearised, t",
    )


def expected_over_observed(score: Array, label: Array, clusters: Array) -> Interval:
    """Compute Σ score / Σ label, linearised on the log scale, by Student's t over clusters.

    The degrees of freedom are those of the clusters with fraud, which carry the error.
    """
    estimate = measures.calibration_ratio(score, label)
    struck = np.unique(clusters[label == 1]).size
    if estimate is None or label.sum() < FEWEST or struck < FEWEST or estimate <= 0:
        return none(too_few(label), len(label), estimate)
    error, _ = standard_error((score - estimate * label) / float(score.sum()), clusters)
    reach = math.exp(t_value(LEVEL, struck - 1) * error)
    return Interval(
        estimate=estimate,
        lower=estimate / reach,
        upper=estimate * reach,
        n=len(label),
        method="log ratio, linearised, clustered by card",
    )


def too_few(label: Array) -> str:
    """Say how many frauds there are, as the reason for what is not measured."""
    frauds = int((label == 1).sum())
    genuine = len(label) - frauds
    if frauds and not genuine:
        return "no genuine event"
    return f"{frauds} frauds, {FEWEST} on as many cards needed for limits"


def _joined(centre: float, side: int, one: float, other: float) -> float:
    """Return a limit on one side of the centre from two that err apart (Zou & Donner 2008)."""
    return centre + side * math.hypot(max(0.0, side * (one - centre)), side * (other - centre))


def _median(values: Array) -> float | None:
    found = float(np.median(values)) if values.size else math.inf
    return found if math.isfinite(found) else None
