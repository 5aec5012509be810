"""Are right answers told from wrong ones: overall, along a history, by group, beyond baselines?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement
from verticals.intervals import Interval, auc, mean, mean_disparity
from verticals.intervals.base import t_value, unmeasurable
from verticals.intervals.means import standard_error
from verticals.table import Array, Table
from verticals_student_assessment.tracing.checks import answers
from verticals_student_assessment.tracing.checks.answers import Scored
from verticals_student_assessment.tracing.fusion import FEWEST, stretch_name, stretches

#: Where the next answer is called right: what accuracy in the field's literature is measured at.
CUT = 0.5


def ranking(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure AUC and accuracy over all answers, along the history, and by group with the gap."""
    scored = answers.scored_answers(tables, info)
    if scored is None:
        return
    for check, measure in (("auc", _area(scored)), ("accuracy", _accuracy(scored))):
        yield answers.measured(scored, check, measure(scored.all))
        where = stretches(scored.position)
        for place in np.unique(where).tolist():
            found = measure(where == place)
            name = f"{check}_by_position"
            yield answers.measured(scored, name, found, subject=stretch_name(place))
        yield from answers.by_group(scored, f"{check}_by_group", measure)
    first = _area(scored)(scored.attempt == 0)
    subject = "the first answer of a student on a skill"
    yield answers.measured(scored, "first_attempt_auc", first, subject=subject)
    yield from _gaps(scored)


def comparison(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure by how much the AUC exceeds that of the item's mean and of best-LR, same answers."""
    scored = answers.scored_answers(tables, info)
    if scored is None:
        return
    for name, check in (("item_mean", "gain_over_item_mean"), ("best_lr", "gain_over_best_lr")):
        other = scored.baselines[name]
        if not np.isfinite(other).all():
            why = "not measured: no baseline, as there is no training part or it is private"
            yield answers.measured(scored, check, unmeasurable(why, n=other.size))
            continue
        found = auc_difference(scored.score, other, scored.label, scored.unit)
        yield answers.measured(scored, check, answers.held_to_minimum(found, scored.unit))


def auc_difference(first: Array, second: Array, label: Array, unit: Array) -> Interval:
    """Return AUC(first) − AUC(second) on the same answers, with persons as what varies.

    DeLong's placements of both scores (Biometrics 44, 1988), their differences summed by person
    (Obuchowski, Biometrics 53, 1997), and Student's t.
    """
    method = "difference of paired AUCs, DeLong variance clustered by unit, t"
    right = label == 1
    if right.all() or not right.any():
        return unmeasurable(f"one class only; {method}", n=label.size)
    one, two = _influence(first, right), _influence(second, right)
    estimate = one[0] - two[0]
    error, count = standard_error(one[1] - two[1], unit)
    if count < 2:
        return unmeasurable(method, n=label.size, estimate=estimate)
    half = t_value(0.95, count - 1) * error
    return Interval(
        estimate=estimate,
        lower=estimate - half,
        upper=estimate + half,
        n=label.size,
        method=method,
    )


def _influence(score: Array, right: Array) -> tuple[float, Array]:
    """Return the AUC and the influence of each answer on it; these sum to 0."""
    high, low = np.sort(score[right]), np.sort(score[~right])
    above = _below(low, score[right]) / low.size
    under = 1.0 - _below(high, score[~right]) / high.size
    area = float(above.mean())
    influence = np.empty(score.size)
    influence[right] = (above - area) / above.size
    influence[~right] = (under - area) / under.size
    return area, influence


def _below(ordered: Array, values: Array) -> Array:
    """Return how many of the ordered numbers are below each value, ties as halves."""
    left = np.searchsorted(ordered, values, side="left")
    return np.asarray((left + np.searchsorted(ordered, values, side="right")) / 2)


def _area(scored: Scored) -> answers.Measure:
    def measure(rows: Array) -> Interval:
        score, label, unit = scored.score[rows], scored.label[rows], scored.unit[rows]
        return answers.held_to_minimum(auc(score, label, units=unit), unit)

    return measure


def _accuracy(scored: Scored) -> answers.Measure:
    right = ((scored.score >= CUT) == (scored.label == 1)).astype(np.float64)

    def measure(rows: Array) -> Interval:
        found = mean(right[rows], units=scored.unit[rows])
        return answers.held_to_minimum(found, scored.unit[rows])

    return measure


def _gaps(scored: Scored) -> Iterator[Measurement]:
    """Measure the largest difference of AUC between groups of each attribute."""
    for attribute, groups in answers.attributes(scored):
        found = []
        for mask in groups:
            right, unit = scored.label[mask] == 1, scored.unit[mask]
            persons = np.unique(unit).size
            if persons >= FEWEST and right.any() and not right.all():
                area, influence = _influence(scored.score[mask], right)
                found.append((area, standard_error(influence, unit)[0], persons))
        if len(found) < 2:
            gap = unmeasurable(f"fewer than two groups; {answers.TOO_FEW}", n=scored.label.size)
        else:
            gap = mean_disparity(*(list(column) for column in zip(*found, strict=True)))
        if gap.estimate is not None and not math.isfinite(gap.estimate):
            gap = unmeasurable(gap.method, n=gap.n)
        without = len(groups) - len(found)
        if gap.estimate is not None and without:
            # Such a group can only widen the gap, so that no limit below 1 holds above.
            method = f"{gap.method}; {without} of {len(groups)} groups have fewer than {FEWEST} "
            gap = replace(gap, upper=1.0, method=f"{method}persons or one class only")
        check = answers.check_of("auc_gap", attribute)
        yield answers.measured(scored, check, gap, group=(attribute.name, ""))
