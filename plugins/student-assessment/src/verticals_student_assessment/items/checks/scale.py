"""How well does the scale measure: reliability, fit of the items, and decisions at cut scores?

These were computed with the model, which an audit does not have: it holds them against limits and
adjusts p-values, and nobody recomputes them here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from verticals.evidence import EvidenceInfo, Measurement
from verticals.intervals import holm
from verticals.table import Array, Table

MIN_PERSONS = 10
ALPHA = 0.05
LARGE_EFFECT = 0.1  # RMSD, as a share of the highest score: a convention of this plugin


def reliability(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Give each coefficient of reliability, of everybody and by group.

    One without limits (marginal reliability, which follows from the model) is told as
    `items.model_reliability`, which no rule limits.
    """
    table = tables["items.reliability"]
    for place in range(table.rows):
        limits = np.isfinite([table["lower"][place], table["upper"][place]]).all()
        whole = "items.reliability" if limits else "items.model_reliability"
        yield _told(
            table,
            place,
            "items.group_reliability" if table["attribute"][place] else whole,
            ("estimate", "lower", "upper"),
            subject=str(table["coefficient"][place]),
            method=f"{table['coefficient'][place]} reliability, as the producer computed it",
        )


def item_fit(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Give the fit of each item, and the share of items that the model does not fit.

    `items.fit` is the item's effect size where there is one, else its p-value adjusted by Holm
    over the items of the same statistic; `items.misfit` the share with such a p-value below .05.
    Its upper limit adds the items that were not measured, and those without such a p-value whose
    effect is `LARGE_EFFECT` or more or not known: that no misfit is shown shows no fit.
    """
    table = tables["items.fit"]
    kinds = np.array([str(value) for value in table["statistic"]], dtype=object)
    for kind in dict.fromkeys(kinds):
        rows = np.flatnonzero(kinds == kind)
        enough = [int(table["persons"][row]) >= MIN_PERSONS for row in rows]
        p_values = [
            _number(table["p_value"][row]) if kept else None
            for row, kept in zip(rows, enough, strict=True)
        ]
        adjusted = holm(p_values)
        for row, p_value in zip(rows, adjusted, strict=True):
            yield _fit(table, int(row), kind, p_value)
        yield _misfit(table, rows, kind, adjusted)


def cut_scores(tables: Mapping[str, Table], info: EvidenceInfo) -> Iterable[Measurement]:
    """Give the standard error at each cut score, and how consistent and accurate decisions are."""
    table = tables["items.classification"]
    for place in range(table.rows):
        cut, group = str(table["cut"][place]), str(table["attribute"][place])
        where = f"at {cut} (theta {float(table['theta'][place]):.3g})"
        if not group:
            yield _told(
                table,
                place,
                "items.cut_error",
                ("relative_error",),
                subject=cut,
                method=f"standard error of measurement {where}, in standard deviations of ability",
            )
        for name, what in (
            ("consistency", "share of persons whom a parallel test would put on the same side"),
            ("accuracy", "share of persons put on the side of their true ability"),
        ):
            yield _told(
                table,
                place,
                f"items.{'group_' if group else ''}classification_{name}",
                (name, f"{name}_lower", f"{name}_upper"),
                subject=cut,
                method=f"{what}, {where}, by the model",
            )


def _misfit(table: Table, rows: Array, kind: str, adjusted: Sequence[float | None]) -> Measurement:
    """Return the share of items that misfit; the limits say what is left open."""
    known = [
        (p_value < ALPHA, _number(table["effect"][row]))
        for row, p_value in zip(rows, adjusted, strict=True)
        if p_value is not None
    ]
    wrong = sum(misfits for misfits, _ in known)
    may_be = sum(not no and (size is None or size >= LARGE_EFFECT) for no, size in known)
    n, items = len(known), rows.size
    return Measurement(
        check="items.misfit",
        subject=kind,
        estimate=wrong / n if n else None,
        lower=wrong / items if n else None,
        upper=(wrong + may_be + items - n) / items if n else None,
        n=n,
        method=f"share of the items whose Holm-adjusted p of {kind} is below {ALPHA}; {items - n} "
        f"of {items} items not measured, {may_be} others with an RMSD of {LARGE_EFFECT} or more or "
        "not known",
    )


def _fit(table: Table, place: int, kind: str, adjusted: float | None) -> Measurement:
    effect, chi2, df = (
        _number(table[name][place]) if adjusted is not None else None
        for name in ("effect", "chi2", "df")
    )
    if adjusted is None:
        method = f"{kind}: not measured"
    else:
        what = "Holm-adjusted p" if effect is None else "effect size"
        chi_square = "" if chi2 is None or df is None else f", chi-square {chi2:.4g} on {df:.3g} df"
        method = f"{what} of {kind}{chi_square}, Holm {adjusted:.3g}"
    return Measurement(
        check="items.fit",
        subject=str(table["item"][place]),
        estimate=adjusted if effect is None else effect,
        n=int(table["persons"][place]) if adjusted is not None else 0,
        method=method,
    )


def _told(
    table: Table, place: int, check: str, columns: Iterable[str], *, subject: str, method: str
) -> Measurement:
    persons = int(table["persons"][place])
    few = persons < MIN_PERSONS
    value, lower, upper = [
        *_values(table, place, () if few else columns),
        None,
        None,
        None,
    ][:3]
    return Measurement(
        check=check,
        subject=subject,
        attribute=str(table["attribute"][place]),
        group=str(table["group"][place]),
        estimate=value,
        lower=lower,
        upper=upper,
        n=0 if few else persons,
        method=f"fewer than {MIN_PERSONS} persons" if few else method,
    )


def _values(table: Table, place: int, columns: Iterable[str]) -> Iterator[float | None]:
    for name in columns:
        yield _number(table[name][place])


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
