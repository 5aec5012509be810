"""Credit's own audit checks. They read evidence tables only: no torch, no model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement, measurement
from verticals.intervals import Interval, design_effect, standard_error, wilson
from verticals.intervals.base import t_value, unmeasurable
from verticals.intervals.stability import stability as stability_index
from verticals.metrics import calibration_curve
from verticals.table import Array, Table

BANDS = 10
_LEVEL = 0.95


def score_bands(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the outcome's rate in each tenth of the score, lowest score first, and its trend.

    The tenths are those of `verticals.metrics.calibration_curve`: equal scores stay together.
    `credit.band_rise` is by how much the rate rises from a band to the next on the whole, a slope.
    `credit.band_inversions` counts the bands whose rate lies below that of the band before, with
    intervals that do not overlap; its upper limit adds those whose rise is not shown either, so
    that "none" is shown only where every band is above the one before it.
    """
    for output in info.outputs:
        if output.kind != "probability" or output.target_kind != "binary":
            continue
        scores = tables["scores"]
        label, score = scores[f"target:{output.target}"], scores[output.name]
        known = ~np.isnan(label) & ~np.isnan(score)
        score, label = score[known], label[known]
        units = scores.get("unit")
        unit = np.arange(len(score)) if units is None else units[known]
        if len(score) < 2 * BANDS:
            continue
        band = _bands(score, label)
        found = list(_by_band(output.name, band, score, label, unit))
        yield from found
        rise = band_rise(band, label, unit)
        yield measurement("credit.band_rise", rise, output=output.name)
        yield _inversions(output.name, found, len(score))


def band_rise(band: Array, label: Array, unit: Array) -> Interval:
    """Compute the slope of the outcome (0 or 1) on the number of its band, by least squares.

    Above 0 the outcome becomes more frequent with the score. Sandwich variance between persons
    (`unit`), Student's t. `band`, `label` and `unit` are (rows,).
    """
    method = "slope of the outcome on the band's number, sandwich variance by person, t"
    place = band - band.mean()
    spread = float((place**2).sum())
    if spread <= 0:
        return unmeasurable(f"one band only; {method}", n=label.size)
    slope = float((place * label).sum()) / spread
    error, persons = standard_error(place * (label - label.mean() - slope * place) / spread, unit)
    if not error > 0:
        return unmeasurable(f"no variation; {method}", n=label.size, estimate=slope)
    half = t_value(_LEVEL, persons - 1) * error
    return Interval(
        estimate=slope, lower=slope - half, upper=slope + half, n=label.size, method=method
    )


def stability(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the population stability index of each field and of the score.

    It compares the training part with the audited one (`verticals.intervals.stability`); a field
    with an empty part or a single bin is left out.
    """
    table = tables["distribution"]
    outputs = {output.name for output in info.outputs}
    for name in dict.fromkeys(table["field"]):
        here = table["field"] == name
        found = stability_index(table["train"][here], table["audited"][here])
        if found.estimate is None:
            continue
        if name in outputs:
            yield measurement("credit.psi_score", found, output=str(name))
        else:
            yield measurement("credit.psi_field", found, subject=str(name))


def _bands(score: Array, label: Array) -> Array:
    """Return (rows,) the tenth that each score lies in, from 0."""
    edges = calibration_curve(label, score, bins=BANDS)["upper"]
    return np.searchsorted(edges[:-1], score, side="left")


def _by_band(
    output: str, band: Array, score: Array, label: Array, unit: Array
) -> Iterator[Measurement]:
    """Measure the outcome's rate in each band."""
    for number in range(int(band.max()) + 1):
        here = band == number
        happened = label[here]
        effect = design_effect(happened, unit[here])
        rate = wilson(float(happened.sum()), happened.size, design_effect=effect)
        low, high = float(score[here].min()), float(score[here].max())
        subject = f"band {number + 1}: {low:.3f} to {high:.3f}"
        yield measurement("credit.score_band", rate, output=output, subject=subject)


def _inversions(output: str, bands: list[Measurement], n: int) -> Measurement:
    """Count the bands below the one before, and those not shown to be above it."""
    limits = [(item.lower or 0.0, 1.0 if item.upper is None else item.upper) for item in bands]
    pairs = list(pairwise(limits))
    below = sum(high[1] < low[0] for low, high in pairs)
    above = sum(high[0] > low[1] for low, high in pairs)
    return Measurement(
        check="credit.band_inversions",
        output=output,
        estimate=float(below),
        lower=float(below),
        upper=float(len(pairs) - above),
        n=n,
        method=f"bands whose interval lies wholly below that of the band before; {above} of "
        f"{len(pairs)} lie wholly above it",
    )
