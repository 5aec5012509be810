"""Can how an image was taken, and not what it shows, predict the label?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from verticals.evidence import AttributeInfo, EvidenceInfo, Measurement
from verticals.intervals import Interval, auc
from verticals.table import Array, Table
from verticals_medical_imaging import measures
from verticals_medical_imaging.checks import images, intervals
from verticals_medical_imaging.checks.images import Scored


def confounders(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure how well each attribute alone predicts each finding: .5 is not at all.

    The prediction is the share of images with the finding in the row's group, counted on the
    training part (`imaging.confounders`) or, where the evidence has none, on other persons of the
    audited part. For a stratum (view, scanner, site) a network can learn the stratum in place of
    the finding (Zech et al., PLoS Medicine 15, 2018): `imaging.confounder_auc`. For a protected
    attribute the same number tells of prevalence: `imaging.prevalence_auc`.
    """
    scores = tables["scores"]
    attributes = [item for item in info.attributes if f"attr:{item.name}" in scores]
    if not attributes:
        yield images.unmeasured("confounder_auc", "the evidence has no attributes")
    for scored in images.scored_outputs(tables, info):
        for attribute in attributes:
            counts = _training_counts(tables["imaging.confounders"], scored, attribute)
            yield from _probe(scored, attribute, scores[f"attr:{attribute.name}"], counts)


def _probe(
    scored: Scored,
    attribute: AttributeInfo,
    column: Array,
    counts: tuple[dict[str, float], dict[str, float]] | None,
) -> Iterator[Measurement]:
    recorded = np.array([bool(value) for value in column.tolist()], dtype=bool)
    here = scored.known & recorded
    group, label, unit = column[here], scored.label[here], scored.unit[here]
    kind = "prevalence" if attribute.role == "protected" else "confounder"
    where = (attribute.name, "")
    many = np.unique(group.astype(str)).size
    sides = [intervals.persons(unit[label == side]) for side in (0, 1)]
    if many < 2 or not min(sides):
        why = "one group only" if many < 2 else "one class only"
        nothing = intervals.none(f"not measured: {why}", group.size)
        yield images.measured(f"{kind}_auc", nothing, output=scored.output, group=where)
        return
    if counts is None:
        score = measures.cross_fitted_score(group, label, unit)
        told = "shares of 5 folds by person"
    else:
        score = measures.stratum_score(group, *counts)
        told = "shares of the training part"
    found = _named(auc(score, label, units=unit), told)
    people = intervals.persons(unit)
    area = intervals.held_to_minimum(found, people, min(sides), "persons in the rarer class")
    yield images.measured(f"{kind}_auc", area, output=scored.output, group=where)
    p = measures.permutation_p(score, label, unit)
    chance = intervals.none(f"{measures.PERMUTATIONS} permutations of persons", group.size, p)
    yield images.measured(f"{kind}_p_value", chance, output=scored.output, group=where)


def _named(found: Interval, told: str) -> Interval:
    return found.mapped(lambda value: value, f"{told}; {found.method}")


def _training_counts(
    table: Table, scored: Scored, attribute: AttributeInfo
) -> tuple[dict[str, float], dict[str, float]] | None:
    """Return positives and images of each group in the training part, None where it has none."""
    rows = (
        (table["part"] == "train")
        & (table["attribute"] == attribute.name)
        & (table["target"] == scored.target)
    )
    if not rows.any():
        return None
    positives: dict[str, float] = {}
    totals: dict[str, float] = {}
    for place in np.flatnonzero(rows):
        name, count = str(table["group"][place]), float(table["images"][place])
        totals[name] = totals.get(name, 0.0) + count
        if str(table["label"][place]) == scored.finding:
            positives[name] = positives.get(name, 0.0) + count
    return positives, totals
