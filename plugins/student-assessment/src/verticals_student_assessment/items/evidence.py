"""Set down what is known of items and scale: named tables, none with a row for each person.

    items.parameters   item, persons of the fit, slope, threshold_k, guessing, each with its error
    items.responses    item, persons who answered, shares omitted, not reached, undeclared
    items.fit          item, statistic, chi2, df, p_value, adjusted p, effect, persons
    items.information  ability, information of the test, standard error of measurement
    items.reliability  coefficient by group, with intervals
    items.classification  accuracy and consistency at each cut score, by group
    items.model        how the fit went; items.notes what was dropped, merged, missing
    items.plot_…       curves of items and of information
    items.dif_…        see `verticals_student_assessment.items.dif.tables`

Items are held against the persons they were fitted to where these are at hand; all else is from
all persons of all parts. Counts from 1 to 9 are not written out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verticals.collect import unit_index
from verticals.contract import DataContract, group_labels, group_of
from verticals.table import Array, Table, concatenate
from verticals_student_assessment.items import plots
from verticals_student_assessment.items.answers import item_codes
from verticals_student_assessment.items.dif.tables import GroupField, dif_tables
from verticals_student_assessment.items.irt import (
    Abilities,
    ItemBank,
    handle_missing,
    test_information,
)
from verticals_student_assessment.items.irt.responses import Counted
from verticals_student_assessment.items.item_fit import holm, item_fit
from verticals_student_assessment.items.model import ItemModel
from verticals_student_assessment.items.precision import (
    Estimate,
    classification,
    cronbach_alpha,
    empirical_reliability,
    marginal_reliability,
)
from verticals_student_assessment.items.small_counts import (
    FEW,
    least_persons,
    told_groups,
    told_persons,
)

_SPAN = np.linspace(-3.0, 3.0, 13)  # standard deviations


@dataclass(frozen=True, kw_only=True)
class _Persons:
    """Hold all persons: their answers as codes, their scores, and the groups they are in."""

    codes: Array  # (persons, bank items) of the model's categories
    raw: Array  # (persons, all items) declared item scores, NaN where not answered
    found: Abilities
    unit: Array
    counted: Counted
    fields: tuple[GroupField, ...]


def evidence(model: ItemModel, parts: Mapping[str, Table]) -> Mapping[str, Table]:
    """Return the tables of a bank of items, from all persons of all parts."""
    everyone = concatenate([part for part in parts.values() if part.rows] or [parts["test"]])
    persons = _persons(model, everyone)
    fitted = parts.get("train")
    known = fitted is not None and fitted.rows > 0
    own = model.codes(fitted)[0] if fitted is not None and known else persons.codes
    used = own if known else None
    bank, points = model.bank, model.settings.fit.points
    tables = {
        "items.parameters": parameters_table(bank, used, among=persons.codes),
        "items.responses": responses_table(model.items.names, persons.counted),
        "items.fit": fit_table(bank, own, fitted=known, points=points),
        "items.information": information_table(bank),
        "items.reliability": reliability_table(model, persons, points, fitted=len(own)),
        "items.model": model_table(model),
        "items.notes": notes_table(model, persons.counted),
        "items.plot_curves": plots.item_curve_plot(bank, persons.codes, points),
        "items.plot_item_information": plots.item_information_plot(bank),
        "items.plot_information": plots.test_information_plot(bank),
    }
    if model.items.cuts:
        tables["items.classification"] = classification_table(model, persons)
    maximum = [int(count) - 1 for count in model.items.categories]
    dif = dif_tables(persons.raw, model.items.names, maximum, persons.fields)
    return {**tables, **dif}


def _persons(model: ItemModel, table: Table) -> _Persons:
    codes, counted = model.codes(table)
    raw, _ = handle_missing(
        item_codes(table, model.items), model.items.categories, model.settings.handling
    )
    found = model.score(codes)
    # A student without answers has the prior's ability at most: nothing that was measured.
    ability = np.where(found.answered > 0, found.ability, np.nan)
    return _Persons(
        codes=codes,
        raw=np.where(raw < 0, np.nan, raw.astype(np.float64)),
        found=dataclasses.replace(found, ability=ability),
        unit=unit_index(table),
        counted=counted,
        fields=_group_fields(model.contract, table),
    )


def _group_fields(contract: DataContract, table: Table) -> tuple[GroupField, ...]:
    found = []
    for item in contract.audited:
        if item.name not in table:
            continue
        names = group_of(item, table[item.name])
        # "other" holds undeclared values: no group where nobody has one.
        labels = tuple(name for name in group_labels(item) if name != "other" or name in names)
        place = {label: n for n, label in enumerate(labels)}
        index = np.array([place.get(name, -1) for name in names], dtype=np.int64)
        found.append(
            GroupField(name=item.name, role=item.role, label=item.title, groups=labels, index=index)
        )
    return tuple(found)


def parameters_table(bank: ItemBank, fitted: Array | None, *, among: Array) -> Table:
    """Return slopes, thresholds and asymptotes with standard errors, NaN where there is none.

    A threshold is b_k = −d_k / a, its error by the delta method. `persons` are those whose answers
    the item was fitted to: (persons, items) codes `fitted`, which are `among` all that are told of
    elsewhere. It is NaN where these are not at hand (None), and where 1 to 9 of them, or of the
    others, did not answer.
    """
    errors, thresholds = bank.errors(), bank.difficulties
    columns: dict[str, Any] = {
        "item": _text(bank.names),
        "persons": _fitted_persons(fitted, among),
        "categories": bank.categories,
        "slope": bank.slopes,
        "slope_se": errors[:, 0],
    }
    threshold_errors = _threshold_errors(bank)
    for k in range(thresholds.shape[1]):
        columns[f"threshold_{k + 1}"] = thresholds[:, k]
        columns[f"threshold_{k + 1}_se"] = threshold_errors[:, k]
    if bank.free[:, -1].any():
        guess = np.where(bank.free[:, -1], bank.guessing, np.nan)
        columns["guessing"] = guess
        columns["guessing_se"] = guess * (1.0 - guess) * errors[:, -1]
    return Table(columns)


def _fitted_persons(fitted: Array | None, among: Array) -> Array:
    """Return (items,) how many of those fitted to answered each item, NaN where it is not told."""
    if fitted is None:
        return np.full(among.shape[1], np.nan)
    answered = (fitted >= 0).sum(axis=0)
    others = (among >= 0).sum(axis=0) - answered
    told = told_persons(answered, len(fitted))
    return np.where(np.isnan(told_persons(others, len(among) - len(fitted))), np.nan, told)


def _threshold_errors(bank: ItemBank) -> Array:
    """Return errors of −d / a: var = (var d + b² var a + 2 b cov(a, d)) / a²."""
    found = np.full(bank.difficulties.shape, np.nan)
    if bank.covariance is None:
        return found
    where, cov = bank.positions(), bank.covariance
    for item, k in zip(*np.nonzero(~np.isnan(bank.difficulties)), strict=True):
        slope, step = where[item, 0], where[item, k + 1]
        b, variance = bank.difficulties[item, k], cov[step, step]
        if slope >= 0:
            variance = variance + b**2 * cov[slope, slope] + 2.0 * b * cov[slope, step]
        with np.errstate(invalid="ignore"):
            found[item, k] = np.sqrt(variance) / abs(bank.slopes[item])
    return found


def responses_table(names: Sequence[str], counted: Counted) -> Table:
    """Return how many answered each item, and shares of what is missing.

    Where one of the three shares rests on 1 to 9 persons all three are NaN, so that it does not
    follow from the others. `persons` is NaN where 1 to 9 did not answer.
    """
    three = np.stack([counted.omitted, counted.not_reached, counted.undeclared])
    few = ((three > 0) & (three < FEW)).any(axis=0)
    shares = np.where(few, np.nan, three / max(1, counted.persons))
    return Table(
        {
            "item": _text(names),
            "persons": told_persons(counted.answered, counted.persons),
            "omitted": shares[0],
            "not_reached": shares[1],
            "undeclared": shares[2],
        }
    )


def fit_table(bank: ItemBank, codes: Array, *, fitted: bool, points: int) -> Table:
    """Return S-X² of every item; `persons` are those who answered every item.

    Where 1 to 9 did not, their number is told as 10: "at least 10".
    """
    found = item_fit(bank, codes, points=points, fitted=fitted)
    items = len(bank.names)
    persons = least_persons(found.persons, exact=not 0 < len(codes) - found.persons < FEW)
    return Table(
        {
            "item": _text(bank.names),
            "statistic": _text(["S-X2"] * items),
            "chi2": found.statistic,
            "df": found.degrees,
            "p_value": found.p_value,
            "p_holm": holm(found.p_value),
            "effect": found.effect,
            "persons": np.full(items, persons, dtype=np.int64),
        }
    )


def information_table(bank: ItemBank) -> Table:
    """Return information and standard error of measurement from −3 to 3 standard deviations."""
    where = _SPAN * bank.sd
    information = test_information(bank, where)
    with np.errstate(divide="ignore"):
        error = np.where(information > 0, 1.0 / np.sqrt(information), np.nan)
    return Table({"ability": where, "information": information, "standard_error": error})


def reliability_table(model: ItemModel, persons: _Persons, points: int, *, fitted: int) -> Table:
    """Return marginal reliability, and the empirical one and alpha over all and by group.

    The marginal one rests on the items, and these on the `fitted` persons.
    """
    rows = [("marginal", "", "", marginal_reliability(model.bank, points))]
    for attribute, group, chosen in _groups(persons):
        found, unit = persons.found, persons.unit[chosen]
        empirical = empirical_reliability(
            found.ability[chosen], found.error[chosen], unit, scoring=model.settings.scoring
        )
        rows.append(("empirical", attribute, group, empirical))
        rows.append(("alpha", attribute, group, cronbach_alpha(persons.raw[chosen])))
    return Table(
        {
            "coefficient": _text([row[0] for row in rows]),
            "attribute": _text([row[1] for row in rows]),
            "group": _text([row[2] for row in rows]),
            **_estimates([row[3] for row in rows], ("estimate", "lower", "upper")),
            "persons": np.array([fitted, *(row[3].persons for row in rows[1:])], dtype=np.int64),
        }
    )


def classification_table(model: ItemModel, persons: _Persons) -> Table:
    """Return how decisions at each cut would stand, over all persons and by group."""
    bank, found = model.bank, persons.found
    rows = []
    for name, cut in model.items.cuts:
        information = float(test_information(bank, np.array([cut]))[0])
        information += 0.0 if model.settings.scoring == "WLE" else 1.0 / bank.sd**2
        error = information**-0.5 if information > 0 else float("nan")
        for attribute, group, chosen in _groups(persons):
            both = classification(
                found.ability[chosen], found.error[chosen], persons.unit[chosen], cut
            )
            rows.append((f"{name} ({cut:g})", cut, error, attribute, group, both))
    return Table(
        {
            "cut": _text([row[0] for row in rows]),
            "theta": np.array([row[1] for row in rows]),
            "standard_error": np.array([row[2] for row in rows]),
            "relative_error": np.array([row[2] / bank.sd for row in rows]),
            "attribute": _text([row[3] for row in rows]),
            "group": _text([row[4] for row in rows]),
            **_estimates([row[5].consistency for row in rows], _interval_names("consistency")),
            **_estimates([row[5].accuracy for row in rows], _interval_names("accuracy")),
            "persons": np.array([row[5].accuracy.persons for row in rows], dtype=np.int64),
        }
    )


def _interval_names(name: str) -> tuple[str, str, str]:
    return name, f"{name}_lower", f"{name}_upper"


def _estimates(found: Sequence[Estimate], names: tuple[str, str, str]) -> dict[str, Array]:
    return {
        names[0]: np.array([item.value for item in found]),
        names[1]: np.array([item.lower for item in found]),
        names[2]: np.array([item.upper for item in found]),
    }


def _groups(persons: _Persons) -> list[tuple[str, str, Array]]:
    """Return everyone, and each group that may be told: attribute, group, mask."""
    found = [("", "", np.ones(len(persons.unit), dtype=bool))]
    for item in persons.fields:
        masks = [item.index == place for place in range(len(item.groups))]
        sizes = [len(np.unique(persons.unit[chosen])) for chosen in masks]
        told = told_groups(sizes, rest=len(np.unique(persons.unit[item.index < 0])))
        found += [
            (item.name, label, chosen)
            for label, chosen, shown in zip(item.groups, masks, told, strict=True)
            if shown
        ]
    return found


def model_table(model: ItemModel) -> Table:
    """Say in words and numbers how the items were fitted and are scored."""
    facts = model.bank.facts
    rows = {
        "model": model.bank.model,
        "log-likelihood": f"{facts['log_likelihood']:.3f}",
        "parameters": str(facts["parameters"]),
        "iterations": str(facts["iterations"]),
        "settled": "yes" if facts["converged"] else "no",
        "standard errors": str(facts["standard_errors"]),
        "nodes": str(facts["points"]),
        "standard deviation of ability": f"{model.bank.sd:.4f}",
        "scoring": model.settings.scoring,
        "omitted answers count as": model.settings.handling.omitted,
        "answers not reached count as": model.settings.handling.not_reached,
    }
    if facts["guessing_prior"]:
        mean, sd = facts["guessing_prior"]
        rows["prior of logit guessing"] = f"normal, mean {mean:g}, sd {sd:g}"
    return Table({"fact": _text(list(rows)), "value": _text(list(rows.values()))})


def notes_table(model: ItemModel, counted: Counted) -> Table:
    """Return one line for each thing that a person should know of items and answers."""
    lines = list(model.notes)
    if counted.without_answers:
        what = "no ability" if model.settings.scoring == "WLE" else "the population's mean"
        lines.append(
            f"students without any answer, who get {what}: {_few(counted.without_answers)}"
        )
    undeclared = int(counted.undeclared.sum())
    if undeclared:
        lines.append(f"answers outside the declared categories, not counted: {_few(undeclared)}")
    return Table({"note": _text(lines)}, rows=len(lines))


def _few(count: int) -> str:
    return f"{count:,}" if count >= FEW else f"fewer than {FEW}"


def _text(values: Sequence[str]) -> Array:
    return np.array(list(values), dtype=object)
