"""Credit's own audit checks. They read evidence tables only: no torch, no model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement
from verticals.intervals import wilson
from verticals.table import Array, Table

BANDS = 10
_FLOOR = 0.5  # added to every bin, so that an empty one has a finite share


def score_bands(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the outcome's rate in each tenth of the score, lowest score first.

    `credit.band_inversions` counts the bands whose rate lies below that of the band before with
    intervals that do not overlap: a ranking that holds has none.
    """
    for output in info.outputs:
        if output.kind != "probability" or output.target_kind != "binary":
            continue
        scores = tables["scores"]
        label = scores[f"target:{output.target}"]
        known = ~np.isnan(label)
        score, label = scores[output.name][known], label[known]
        if len(score) < 2 * BANDS:
            continue
        found = [
            _band(output.name, place, index, score, label)
            for place, index in enumerate(np.array_split(np.argsort(score, kind="stable"), BANDS))
        ]
        yield from found
        pairs = pairwise(found)
        inversions = sum((high.upper or 0.0) < (low.lower or 0.0) for low, high in pairs)
        yield Measurement(
            check="credit.band_inversions",
            output=output.name,
            estimate=float(inversions),
            n=len(score),
            method="bands whose interval lies wholly below that of the band before",
        )


def _band(output: str, place: int, index: Array, score: Array, label: Array) -> Measurement:
    """Measure one band of the score."""
    rate = wilson(float(label[index].sum()), len(index))
    low, high = float(score[index].min()), float(score[index].max())
    return Measurement(
        check="credit.score_band",
        output=output,
        subject=f"band {place + 1}: {low:.3f} to {high:.3f}",
        estimate=rate.estimate,
        lower=rate.lower,
        upper=rate.upper,
        n=len(index),
        method="rate of the outcome, Wilson interval",
    )


def stability(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the population stability index of each field and of the score.

    PSI = sum (a - t) ln(a / t) over bins, with a and t the shares of the audited and the training
    part; 0 is no shift. Where both parts come from one population, PSI times n m / (n + m) is
    close to chi-square with bins - 1 degrees of freedom (Yurdakul & Naranjo 2020); the interval
    inverts the non-central chi-square distribution.
    """
    table = tables["distribution"]
    outputs = {output.name for output in info.outputs}
    for name in dict.fromkeys(table["field"]):
        here = table["field"] == name
        train, audited = table["train"][here].astype(float), table["audited"][here].astype(float)
        kept = train + audited > 0
        train, audited = train[kept], audited[kept]
        if min(train.sum(), audited.sum()) == 0 or len(train) < 2:
            continue
        estimate = _psi(train, audited)
        lower, upper = _psi_interval(estimate, train.sum(), audited.sum(), len(train))
        is_output = name in outputs
        yield Measurement(
            check="credit.psi_score" if is_output else "credit.psi_field",
            output=str(name) if is_output else "",
            subject="" if is_output else str(name),
            estimate=estimate,
            lower=lower,
            upper=upper,
            n=int(audited.sum()),
            method="population stability index, interval from the non-central chi-square",
        )


def _psi(train: Array, audited: Array) -> float:
    """Return the stability index of two sets of counts over the same bins."""
    first = (train + _FLOOR) / (train + _FLOOR).sum()
    second = (audited + _FLOOR) / (audited + _FLOOR).sum()
    return float(((second - first) * np.log(second / first)).sum())


def _psi_interval(psi: float, n: float, m: float, bins: int) -> tuple[float, float]:
    """Return the 95 % interval of an index from bins of n and m rows.

    Chance alone lifts a measured index, so the inverted interval can end below it where the true
    index is near zero; it is widened to hold the measured one.
    """
    from scipy.optimize import brentq
    from scipy.stats import chi2, ncx2

    scale = n * m / (n + m)
    seen, freedom = psi * scale, bins - 1

    def noncentrality(share: float) -> float:
        if chi2.cdf(seen, freedom) <= share:
            return 0.0
        return float(
            brentq(lambda shift: ncx2.cdf(seen, freedom, shift) - share, 1e-12, 4 * seen + 100)
        )

    return min(noncentrality(0.975) / scale, psi), max(noncentrality(0.025) / scale, psi)
