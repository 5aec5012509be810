"""Do the maps depend on what the network learnt, on the score, and on the lesion?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement
from verticals.intervals import Interval, exact
from verticals.table import Table
from verticals_medical_imaging.checks import images, intervals


def saliency(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Give the verdicts of `imaging.saliency` as measurements, one method a subject.

    They were measured with the network, which an audit does not have: nobody recomputes them.
    """
    table = tables["imaging.saliency"]
    for place in range(table.rows):
        yield from _method(table, place)


def _method(table: Table, place: int) -> Iterator[Measurement]:
    method, output = str(table["method"][place]), str(table["output"][place])
    n = int(table["images"][place])

    def told(name: str, column: str, how: str, *limits: str) -> Measurement:
        value, low, high = (_number(table, key, place) for key in (column, *limits, "", "")[:3])
        found = Interval(estimate=value, lower=low, upper=high, n=n, method=how)
        return images.measured(name, found, output=output, subject=method)

    yield told(
        "saliency_correlation",
        "correlation",
        "rank correlation with maps of shuffled weights, t over images",
        "correlation_lower",
        "correlation_upper",
    )
    yield told(
        "deletion_drop",
        "drop",
        f"log-odds lost by salient pixels less those elsewhere, t over images; {_p(table, place)}",
        "drop_lower",
        "drop_upper",
    )
    yield told("deletion_p_value", "p_value", "masks exchanged with shifted ones")
    boxes = int(table["boxes"][place])
    if boxes:
        hits = exact(int(table["hits"][place]), boxes)
        found = intervals.held_to_minimum(hits, boxes, boxes, "images with a known lesion")
        yield images.measured("pointing_game", found, output=output, subject=method)


def _p(table: Table, place: int) -> str:
    p_value = _number(table, "p_value", place)
    return "p not known" if p_value is None else f"p = {p_value:.3g} by exchanging masks"


def _number(table: Table, column: str, place: int) -> float | None:
    value = float(table[column][place]) if column else np.nan
    return None if np.isnan(value) else value
