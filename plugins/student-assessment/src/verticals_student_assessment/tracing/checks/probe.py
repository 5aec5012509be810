"""Has a score seen the answer that it predicts?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from verticals.evidence import EvidenceInfo, Measurement
from verticals.table import Table

_METHOD = "one answer of each person turned round in all rows of its interaction, and scored again"


def probe(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure the share of questions whose score moves when only their own answer is turned.

    It is exact: 0 where derived fields keep to the past, so it has no interval.
    """
    table = tables["tracing.probe"]
    questions, moved = int(table["questions"].sum()), int(table["moved"].sum())
    yield Measurement(
        check="tracing.own_answer_moves",
        estimate=moved / questions if questions else None,
        n=questions,
        method=_METHOD if questions else f"no question to probe; {_METHOD}",
    )
