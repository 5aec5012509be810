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
    design_effect,
    disparity_difference,
    holm,
    mean,
)
from verticals.table import Array, Table
from verticals_student_assessment.risk import abroca
from verticals_student_assessment.risk.measures import (
    Scored,
    none,
    persons,
    scored_outputs,
    too_few,
)

COMPARED = 30  # persons of a group whose calibration is compared, as the default policy's min_group

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
    attributes (strata apart); no rule reads them. The limits are ABROCA ± the area by which the
    measured difference of two curves may miss the true one.
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
                area = _beside(item.area, adjusted)
                yield measurement(f"risk.abroca{of}", area, output=output, group=where)
                method = f"permutation, adjusted by Holm over {sum(t is not None for t in tests)}"
                why = "persons have rows in both groups" if item.area.lower is not None else ""
                p = none(f"not measured: {why}" if why else item.area.method, item.area.n)
                if adjusted is not None:
                    before = f"{method}; {item.p_value:.3g} before"
                    p = replace(p, estimate=adjusted, method=before)
                yield measurement(f"risk.abroca{of}_p", p, output=output, group=where)


def group_calibration(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure intercept, slope and error of the probability, over all and by group, and the gap.

    `risk.calibration_in_the_large` is mean score less rate of the outcome, and the gap is its
    largest difference between groups, by `verticals.intervals.disparity_difference` as in the
    audit's own table of fairness.
    """
    for scored in scored_outputs(tables, info):
        everybody = np.ones(scored.score.size, dtype=bool)
        yield from _calibration(scored, everybody, ("", ""))
        groups = _groups(scored, tables["scores"], info)
        for attribute in dict.fromkeys(attribute for attribute, *_ in groups):
            own = [(name, rows) for at, name, rows in groups if at is attribute]
            for name, here in own:
                yield from _calibration(scored, here, (attribute.name, name))
            of = "" if attribute.role == "protected" else "_of_strata"
            yield measurement(
                f"risk.calibration_gap{of}",
                _gap(scored, [here for _, here in own]),
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
    groups = _groups(scored, scores, info)
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


def _beside(area: Interval, p_value: float | None) -> Interval:
    """Return the area with its adjusted p-value told in the method."""
    if p_value is None:
        return area
    return replace(area, method=f"{area.method}; p = {p_value:.3g} after Holm")


def _calibration(scored: Scored, here: Array, group: tuple[str, str]) -> Iterator[Measurement]:
    score, label, unit = scored.score[here], scored.label[here], scored.unit[here]
    few = too_few(label, unit)
    for name, measure in (("intercept", calibration_intercept), ("slope", calibration_slope)):
        found = few if few is not None else measure(score, label, units=unit)
        yield measurement(f"risk.calibration_{name}", found, output=scored.output, group=group)
    large = few if few is not None else mean(score - label, units=unit)
    name = "risk.group_calibration_in_the_large" if group[0] else "risk.calibration_in_the_large"
    yield measurement(name, large, output=scored.output, group=group)


def _gap(scored: Scored, groups: list[Array]) -> Interval:
    """Return the largest difference of mean score less rate between groups of 30 persons or more.

    A smaller group can only widen the gap, so that with one no limit holds above.
    """
    kept = [here for here in groups if persons(scored.unit[here]) >= COMPARED]
    n = sum(int(here.sum()) for here in kept)
    if len(kept) < 2:
        return none(f"insufficient: no two groups of {COMPARED} persons", n)
    label = [scored.label[here] for here in kept]
    found = disparity_difference(
        [float(happened.sum()) for happened in label],
        [happened.size for happened in label],
        design_effects=[
            design_effect(happened, scored.unit[here])
            for happened, here in zip(label, kept, strict=True)
        ],
        offsets=[float(scored.score[here].mean()) for here in kept],
    )
    method = f"largest difference of mean score less rate, {found.method}"
    left_out = len(groups) - len(kept)
    if not left_out or found.estimate is None:
        return replace(found, method=method)
    method += f"; {left_out} of {len(groups)} groups have fewer than {COMPARED} persons"
    return replace(found, upper=1.0, method=method)


def _groups(
    scored: Scored, scores: Table, info: EvidenceInfo
) -> list[tuple[AttributeInfo, str, Array]]:
    """Return each group with the mask of its rows among the labelled ones."""
    return [(at, name, rows[scored.known]) for at, name, rows in audited_groups(scores, info)]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
