"""Does an item work differently for persons of the same score in different groups?

Everything is computed again from counts of persons by item, matching score, group and item score.
Only what the purified matching score consists of is the producer's word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement
from verticals.intervals import holm
from verticals.table import Array, Table
from verticals_student_assessment.items.dif.cells import Cells
from verticals_student_assessment.items.dif.logistic import (
    JODOIN_GIERL,
    ZUMBO_THOMAS,
    LogisticDif,
    effect_class,
    logistic_dif,
)
from verticals_student_assessment.items.dif.mantel import (
    ALPHA,
    LARGE,
    LARGE_POLYTOMOUS,
    MIN_PERSONS,
    DifStatistics,
    dif_statistics,
)
from verticals_student_assessment.items.dif.tables import (
    COMPARISONS,
    COUNTS,
    ITEMS,
    Comparison,
    read_cells,
    read_comparisons,
)

# What ETS asks for before it classes an item at test assembly: Zieky, Practical questions in the
# use of DIF statistics in test development, 1993; reviewed by Zwick, ETS RR-12-08, 2012.
SMALLER_GROUP, BOTH_GROUPS = 200, 500

_FEW = f"fewer than {MIN_PERSONS} persons"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Compared:
    """Hold one comparison with its counts by the purified score; none where a group is small."""

    about: Comparison
    cells: Cells | None

    def measured(
        self,
        check: str,
        estimate: float | None,
        *,
        method: str,
        limits: tuple[float | None, float | None] = (None, None),
        n: int = 0,
        subject: str = "",
    ) -> Measurement:
        """Return a measurement of this comparison, filed under its focal group."""
        return Measurement(
            check=check,
            estimate=estimate,
            lower=limits[0],
            upper=limits[1],
            n=n,
            method=method,
            attribute=self.about.attribute,
            group=self.about.focal,
            subject=subject,
        )

    def count(
        self, check: str, found: int, unknown: int, may_be: int, items: int, how: str
    ) -> Measurement:
        """Return a count of items, whose upper limit adds those not measured and those in doubt."""
        known = items > unknown
        most = float(found + unknown + may_be)
        return self.measured(
            self.check(check),
            float(found) if known else None,
            limits=(float(found), most) if known else (None, None),
            n=self.about.reference_persons + self.about.persons,
            method=how if known else f"insufficient: {how}",
        )

    def check(self, name: str) -> str:
        """Return the name of a check that rules limit; a stratum's has a name of its own.

        No law protects a stratum (a site, a booklet), and rules leave it alone.
        """
        return name if self.about.role == "protected" else f"{name}_by_stratum"


def mantel_haenszel(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure DIF of each item by Mantel–Haenszel, and count the items in ETS class C.

    `items.dif_mh` is MH D-DIF of a dichotomous item and `items.dif_smd` SMD / SD of a polytomous
    one, by item (`subject`), attribute and focal group, with 95 % limits; the class is in the
    method. `items.dif_c_items` counts the items in class C; its upper limit adds those that could
    not be classed and those whose limits reach the size of class C. So a rule of no such item
    passes only where the effect of every item is shown to be smaller, never for want of evidence.
    """
    names, compared = _compared(tables)
    for one in compared:
        if one.cells is None:
            yield one.measured("items.dif_mh", None, method=_FEW)
            yield one.measured(one.check("items.dif_c_items"), None, method=_FEW)
            continue
        found = dif_statistics(one.cells)
        yield from _by_item(one, found, names)
        yield from _summaries(one, found)


def logistic(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Measure uniform and non-uniform DIF of each item by logistic regression.

    `items.dif_logistic` is the change in Nagelkerke's R², by item, attribute and focal group;
    `items.dif_logistic_items` counts the items where it is moderate or large and the test of both
    terms, adjusted by Holm over the items, is significant. Its upper limit adds those where it is
    as large and not significant: they are open, not free of DIF.
    """
    names, compared = _compared(tables)
    for one in compared:
        if one.cells is None:
            yield one.measured(one.check("items.dif_logistic_items"), None, method=_FEW)
            continue
        yield from _logistic(one, one.cells, names)


def _compared(tables: Mapping[str, Table]) -> tuple[tuple[str, ...], list[_Compared]]:
    """Return the names of the items, and every comparison with its counts."""
    items = tables[ITEMS]
    return tuple(str(name) for name in items["item"]), [
        _Compared(
            about=about,
            cells=read_cells(tables[COUNTS], number, items["maximum"], purified=True)
            if about.measured
            else None,
        )
        for number, about in enumerate(read_comparisons(tables[COMPARISONS]))
    ]


def _by_item(one: _Compared, found: DifStatistics, names: tuple[str, ...]) -> Iterator[Measurement]:
    lower, upper = found.limits()
    adjusted = holm([_number(value) for value in found.p_value])
    for item, name in enumerate(names):
        many = bool(found.polytomous[item])
        small = min(found.reference[item], found.focal[item]) < MIN_PERSONS
        yield one.measured(
            "items.dif_smd" if many else "items.dif_mh",
            _number(found.effect[item]),
            limits=(_number(lower[item]), _number(upper[item])),
            subject=name,
            n=0 if small else int(found.reference[item] + found.focal[item]),
            method=_FEW if small else _item_method(one, found, item, adjusted[item]),
        )


def _item_method(one: _Compared, found: DifStatistics, item: int, adjusted: float | None) -> str:
    many = bool(found.polytomous[item])
    what = "SMD / SD, hypergeometric" if many else "MH D-DIF, Phillips–Holland"
    if not found.ets[item]:
        return f"{what}; not measurable: persons of the same score do not vary enough"
    ets = str(found.ets[item]) * (2 if many else 1)
    favours = one.about.reference if found.effect[item] < 0 else one.about.focal
    easier = "" if found.ets[item] == "A" else f", easier for {favours}"
    told = "" if _enough(found)[item] else ", from fewer persons than ETS asks for"
    return (
        f"{what}; ETS class {ets}{easier}{told}; chi-square {found.chi2[item]:.4g}, "
        f"{_p(found.p_value[item])}, Holm {_p(adjusted)}; {_matching(one.about)}"
    )


def _summaries(one: _Compared, found: DifStatistics) -> Iterator[Measurement]:
    """Yield the count of class C, of what may be as large, and the share not measured."""
    classed = _enough(found) & (found.ets != "")
    lower, upper = found.limits()
    large = np.where(found.polytomous, LARGE_POLYTOMOUS, LARGE)
    with np.errstate(invalid="ignore"):
        reaches = (np.maximum(-lower, upper) >= large) & (found.ets != "") & (found.ets != "C")
    unknown, may_be = int((~classed).sum()), int((classed & reaches).sum())
    yield one.count(
        "items.dif_c_items",
        int((classed & (found.ets == "C")).sum()),
        unknown,
        may_be,
        classed.size,
        f"ETS class C (CC), {SMALLER_GROUP} persons in the smaller group and {BOTH_GROUPS} in both "
        f"needed; {unknown} of {classed.size} items not classed, {may_be} others may be as large",
    )
    yield one.measured(
        "items.dif_c_not_excluded",
        float(reaches.sum()) if (found.ets != "").any() else None,
        n=one.about.reference_persons + one.about.persons,
        method="items not in class C whose 95 % limits reach |D-DIF| 1.5 (|SMD / SD| .25)",
    )
    yield one.measured(
        "items.dif_unmeasured",
        float((found.ets == "").mean()),
        n=found.ets.size,
        method="share of the items for which no statistic exists",
    )


def _logistic(one: _Compared, cells: Cells, names: tuple[str, ...]) -> Iterator[Measurement]:
    found = logistic_dif(cells)
    adjusted = holm([_number(value) for value in found.both_p])
    answered = cells.answered.sum(axis=1)
    for item, name in enumerate(names):
        effect = _number(found.effect[item])
        yield one.measured(
            "items.dif_logistic",
            effect,
            subject=name,
            n=int(answered[item]) if effect is not None else 0,
            method=_logistic_method(one, found, item, adjusted[item]),
        )
    known = [value for value in zip(adjusted, found.effect, strict=True) if value[0] is not None]
    large = [p_value for p_value, effect in known if effect >= JODOIN_GIERL[0]]
    shown = sum(p_value < ALPHA for p_value in large if p_value is not None)
    unknown, may_be = len(names) - len(known), len(large) - shown
    yield one.count(
        "items.dif_logistic_items",
        shown,
        unknown,
        may_be,
        len(names),
        f"Holm-adjusted p < {ALPHA} and a change in R² of {JODOIN_GIERL[0]} or more; "
        f"{unknown} of {len(names)} items not measured, {may_be} others as large without p < "
        f"{ALPHA}",
    )


def _logistic_method(one: _Compared, found: LogisticDif, item: int, adjusted: float | None) -> str:
    if adjusted is None:
        return "not measured: too few persons, or answers and scores that do not vary"
    jodoin, zumbo = (
        effect_class(found.effect[item], limits) for limits in (JODOIN_GIERL, ZUMBO_THOMAS)
    )
    return (
        f"change in Nagelkerke's R²; Jodoin–Gierl {jodoin}, Zumbo–Thomas {zumbo}; chi-square "
        f"uniform {found.uniform[item]:.4g} ({_p(found.uniform_p[item])}), "
        f"non-uniform {found.non_uniform[item]:.4g} ({_p(found.non_uniform_p[item])}), "
        f"both {found.both[item]:.4g} ({_p(found.both_p[item])}, Holm {_p(adjusted)}); "
        f"{_matching(one.about)}"
    )


def _enough(found: DifStatistics) -> Array:
    """Return (items,) True where ETS's minimum of persons answered."""
    smaller = np.minimum(found.reference, found.focal)
    both = found.reference + found.focal
    return np.asarray((smaller >= SMALLER_GROUP) & (both >= BOTH_GROUPS))


def _matching(about: Comparison) -> str:
    width = "" if about.points == 1 else f" in bands of {about.points} points"
    return (
        f"matched on {about.matching_items} items{width} and the item itself, "
        f"purification: {about.purification}, steps: {about.steps}"
    )


def _p(value: float | None) -> str:
    if value is None:
        return "p not known"
    return "p < 0.0001" if value < 0.0001 else f"p {value:.4f}"


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
