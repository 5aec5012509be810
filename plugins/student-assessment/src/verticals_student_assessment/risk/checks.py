"""Audit checks of student-risk. They read evidence tables only: no torch, no model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from verticals.evidence import (
    AttributeInfo,
    EvidenceInfo,
    Measurement,
    audited_groups,
    measurement,
)
from verticals.intervals import (
    Interval,
    auc,
    calibration_intercept,
    calibration_slope,
    holm,
    mean_disparity,
)
from verticals.intervals.means import standard_error
from verticals.table import Array, Table
from verticals_student_assessment.risk import abroca
from verticals_student_assessment.risk.measures import (
    Scored,
    none,
    persons,
    scored_outputs,
    too_few,
)

_NO_OUTPUT = "not measured: no binary target with a label"


def auc_by_week(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the area under the ROC curve over all rows, and week by week."""
    seen = False
    for scored in scored_outputs(tables, info):
        seen = True
        everybody = np.ones(scored.score.size, dtype=bool)
        yield measurement("risk.auc", _area(scored, everybody), output=scored.output)
        for number in np.unique(scored.week[~np.isnan(scored.week)]):
            found = _area(scored, scored.week == number)
            subject = f"week {number:g}"
            yield measurement("risk.week_auc", found, output=scored.output, subject=subject)
    if not seen:
        yield measurement("risk.auc", none(_NO_OUTPUT))


def group_curves(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure ABROCA of each group against the largest one of its attribute, with p-values.

    P-values are by permutation of group labels, adjusted by Holm over all groups of all protected
    attributes (strata apart). The limits are ABROCA ± the area by which the measured difference
    of two curves may miss the true one.
    """
    for scored in scored_outputs(tables, info):
        found = list(_compared(scored, tables["scores"], info))
        for role in ("protected", "stratum"):
            its = [item for item in found if item.attribute.role == role]
            of = "" if role == "protected" else "_of_strata"
            tests = [item.p_value for item in its]
            for item, adjusted in zip(its, holm(tests), strict=True):
                where = (item.attribute.name, item.group)
                output = scored.output
                yield measurement(f"risk.abroca{of}", item.area, output=output, group=where)
                method = f"permutation, adjusted by Holm over {sum(t is not None for t in tests)}"
                why = "persons have rows in both groups" if item.area.lower is not None else ""
                p = none(f"not measured: {why}" if why else item.area.method, item.area.n)
                if adjusted is not None:
                    before = f"{method}; {item.p_value:.3g} before"
                    p = replace(p, estimate=adjusted, method=before)
                yield measurement(f"risk.abroca{of}_p", p, output=output, group=where)


def group_calibration(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure intercept, slope and error of the probability, over all and by group, and the gap.

    The gap is the largest difference between groups of mean score less rate of the outcome.
    """
    for scored in scored_outputs(tables, info):
        everybody = np.ones(scored.score.size, dtype=bool)
        yield from _calibration(scored, everybody, ("", ""))
        groups = list(audited_groups(tables["scores"], info))
        for attribute in dict.fromkeys(attribute for attribute, *_ in groups):
            errors = []
            for at, group, rows in groups:
                if at is attribute:
                    here = rows[scored.known]
                    yield from _calibration(scored, here, (attribute.name, group))
                    errors.append(_error(scored, here))
            of = "" if attribute.role == "protected" else "_of_strata"
            yield measurement(
                f"risk.calibration_gap{of}",
                _gap([item for item in errors if item is not None], len(errors)),
                output=scored.output,
                group=(attribute.name, ""),
            )


def demographics(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Hand on what the AUC would gain if the model read the protected fields."""
    table = tables["risk.demographics"]
    for row in range(table.rows):
        gain, lower, upper = (_known(table[name][row]) for name in ("gain", "lower", "upper"))
        yield Measurement(
            check="risk.demographics_gain",
            output=str(table["output"][row]),
            subject=str(table["fields"][row]),
            estimate=gain,
            lower=lower,
            upper=upper,
            n=int(table["persons"][row]),
            method=str(table["method"][row]),
        )


@dataclass(frozen=True, kw_only=True)
class _Compared:
    attribute: AttributeInfo
    group: str  # against which other one
    area: Interval
    p_value: float | None


def _compared(scored: Scored, scores: Table, info: EvidenceInfo) -> Iterator[_Compared]:
    """Yield ABROCA of every group against the largest group of its attribute."""
    groups = [(at, name, rows[scored.known]) for at, name, rows in audited_groups(scores, info)]
    for attribute in dict.fromkeys(at for at, *_ in groups):
        own = [(name, rows) for at, name, rows in groups if at is attribute]
        largest = max(range(len(own)), key=lambda place: persons(scored.unit[own[place][1]]))
        reference, base = own[largest]
        for place, (name, rows) in enumerate(own):
            if place != largest:
                area, p_value = _between(scored, rows, base)
                against = f"{name} against {reference}"
                yield _Compared(attribute=attribute, group=against, area=area, p_value=p_value)


def _between(scored: Scored, rows: Array, base: Array) -> tuple[Interval, float | None]:
    for here in (rows, base):
        few = too_few(scored.label[here], scored.unit[here])
        if few is not None:
            return few, None
    both = rows | base
    facts = (scored.score[both], scored.label[both], rows[both])
    unit = scored.unit[both]
    area = abroca.abroca(*facts)
    reach = abroca.resampled_distance(*facts, unit)
    if area is None or reach is None:
        return none("not measured: a group lacks one of the outcomes", int(both.sum())), None
    interval = Interval(
        estimate=area,
        lower=max(0.0, area - reach),
        upper=min(1.0, area + reach),
        n=int(both.sum()),
        method="exact area between empirical ROC curves; limits by resampled persons",
    )
    return interval, abroca.permutation_p(*facts, unit)


def _area(scored: Scored, here: Array) -> Interval:
    few = too_few(scored.label[here], scored.unit[here])
    if few is not None:
        return few
    return auc(scored.score[here], scored.label[here], units=scored.unit[here])


def _calibration(scored: Scored, here: Array, group: tuple[str, str]) -> Iterator[Measurement]:
    score, label, unit = scored.score[here], scored.label[here], scored.unit[here]
    few = too_few(label, unit)
    for name, measure in (("intercept", calibration_intercept), ("slope", calibration_slope)):
        found = few if few is not None else measure(score, label, units=unit)
        yield measurement(f"risk.calibration_{name}", found, output=scored.output, group=group)


def _error(scored: Scored, here: Array) -> tuple[float, float, int] | None:
    """Return mean score less rate, its standard error by person, and the persons of a group."""
    score, label, unit = scored.score[here], scored.label[here], scored.unit[here]
    if too_few(label, unit) is not None:
        return None
    error = score - label
    spread, many = standard_error((error - error.mean()) / error.size, unit)
    return float(error.mean()), spread, many


def _gap(errors: list[tuple[float, float, int]], groups: int) -> Interval:
    n = sum(many for *_, many in errors)
    if len(errors) < 2:
        return none("insufficient: no two groups with ten persons of each outcome", n)
    found = mean_disparity(*zip(*errors, strict=True))
    left_out = groups - len(errors)
    method = f"largest difference of mean score less rate, {found.method}"
    if (
        left_out and found.estimate is not None
    ):  # such a group can only widen the gap, so that no limit holds above
        method += f"; {left_out} of {groups} groups have fewer than ten persons of an outcome"
        return replace(found, upper=1.0, method=method)
    return replace(found, method=method)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
