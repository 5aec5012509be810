"""Small groups are put together, and no subtraction from what is shown gets them back."""

from __future__ import annotations

import dataclasses
import sys
import types

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from verticals.contract.model import Target
from verticals.evidence import AttributeInfo, Measurement
from verticals.plugin import AuditCheckInfo
from verticals_compliance.cells import (
    OR_UNRECORDED,
    POOLED,
    WITH_SMALLER,
    holder,
    pool,
    pooled_name,
    with_pooled_groups,
)
from verticals_compliance.checks import run_checks
from verticals_compliance.comparisons import comparisons
from verticals_compliance.curves import confusions, curves, group_counts
from verticals_compliance.fairness import fairness
from verticals_compliance.policy import default_policy
from verticals_compliance.predictions import Predictions

TARGET = Target(name="y", column="y", kind="binary", positive="1", negative="0", favourable="1")


def attribute(*groups):
    return AttributeInfo(name="g", role="protected", label="Group", groups=groups)


def predictions(score, outcome, units=None):
    score = np.asarray(score, dtype=float)
    return Predictions(
        output="score",
        target=TARGET,
        score=score,
        outcome=np.asarray(outcome, dtype=float),
        choice=(score >= 0.5).astype(float),
        probabilities=None,
        units=units,
        favourable=1.0,
        favourable_words="y = 1",
        decision_words="y = 1 if score ≥ 0.5",
    )


def one(**sizes):
    return {name: (size,) for name, size in sizes.items()}


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(0, 40)))
def test_what_is_put_together_is_enough_or_everybody(sizes):
    together = pool(one(**sizes), 10)
    shown = [size for name, size in sizes.items() if name not in together]
    assert all(size == 0 or size >= 10 for size in shown)
    if together:
        whole = sum(sizes[name] for name in together)
        some = [name for name in together if sizes[name]]
        assert (whole >= 10 and len(some) > 1) or set(together) == set(sizes)


def test_a_small_group_takes_the_next_smallest_with_it():
    assert pool(one(a=3, b=200, c=50), 10) == ("a", "c")
    assert pool(one(a=3, b=8, c=50), 10) == ("a", "b")
    assert pool(one(a=10, b=200), 10) == ()
    assert pool(one(a=0, b=200), 10) == ()


def test_a_group_that_alone_has_persons_is_not_told_by_the_others_being_empty():
    assert set(pool(one(a=4, b=0, c=0), 10)) == {"a", "b", "c"}


def test_measures_that_tell_of_one_another_pool_the_same_groups():
    assert pool({"a": (50, 3), "b": (60, 30), "c": (40, 40)}, 10) == ("a", "b")
    item, labels = random_case({"a": 400, "b": 300, "c": 60, "d": 60})
    few = np.isin(labels, ["c", "d"])
    outcome = np.where(few, 0.0, item.outcome)
    outcome[np.flatnonzero(labels == "c")[:4]] = 1.0
    outcome[np.flatnonzero(labels == "d")[:7]] = 1.0
    item = predictions(item.score, outcome)
    groups = attribute(*"abcd")
    found = {row.metric: row for row in comparisons(item, groups, labels, min_cell=10)}
    for metric in ("tpr", "fpr", "ppv", "accuracy"):
        assert [group.group for group in found[metric].groups] == ["a", "b", POOLED]
    assert found["tpr"].groups[2].trials == 11
    assert len(found["selection_rate"].groups) == 4


def test_groups_that_were_put_together_before_stay_together():
    item, labels = random_case({"a": 200, "b": 200, "e": 60, "f": 60, POOLED: 20})
    few = np.isin(labels, ["e", "f"])
    outcome = np.where(few & (np.cumsum(few) % 9 > 0), 0.0, item.outcome)
    outcome[labels == POOLED] = 1.0
    item = predictions(item.score, outcome)
    groups = attribute("a", "b", "e", "f", POOLED)
    found = {row.metric: row for row in comparisons(item, groups, labels, min_cell=10)}
    assert sum(group.trials for group in found["tpr"].groups) == (outcome == 1).sum()


def random_case(sizes, seed=0):
    random = np.random.default_rng(seed)
    labels = np.repeat([*sizes], [*sizes.values()]).astype(object)
    score = random.random(labels.size)
    return predictions(score, random.random(labels.size) < score), labels


def test_groups_put_together_bear_the_name_of_the_only_one_of_enough_persons():
    sizes = one(a=3, b=200, c=50, d=4) | {"": (2,)}
    assert pooled_name(("a", "c"), sizes, 10) == f"c{WITH_SMALLER}"
    assert pooled_name(("", "c"), sizes, 10) == f"c{OR_UNRECORDED}"
    assert pooled_name(("", "a", "c"), sizes, 10) == f"c{WITH_SMALLER}"
    assert pooled_name(("a", "d"), sizes, 10) == POOLED
    assert pooled_name(("b", "c", "a"), sizes, 10) == POOLED
    assert pooled_name(("", "b"), sizes | {"e": (0,)}, 10) == f"b{OR_UNRECORDED}"


def test_a_group_is_found_in_the_row_that_holds_it():
    shown = ["a", f"b{OR_UNRECORDED}{WITH_SMALLER}", POOLED]
    assert holder("a", shown) == "a"
    assert holder("b", shown) == holder("not recorded", shown) == shown[1]
    assert holder("c", shown) == POOLED
    assert holder("c", ["a", f"b{WITH_SMALLER}"]) == f"b{WITH_SMALLER}"
    assert holder("b", ["bb", f"bb{WITH_SMALLER}"]) == f"bb{WITH_SMALLER}"


def test_a_few_blanks_take_no_group_out_of_a_comparison():
    """A lender could otherwise switch a rule off by leaving one field empty."""
    random = np.random.default_rng(0)
    labels = np.repeat(["white", "black"], [600, 120]).astype(object)
    score = np.clip(random.random(720) + np.where(labels == "white", 0.2, -0.2), 0, 1)
    item = predictions(score, random.random(720) < score)
    groups = attribute("white", "black")

    def judged(labels):
        found = next(comparisons(item, groups, labels, min_cell=10))
        row = next(r for r in fairness([found], default_policy()) if r.disparity.kind == "ratio")
        return row.verdict, row.disparity, [group.group for group in found.groups]

    verdict, disparity, names = judged(labels)
    assert (verdict, names) == ("gap", ["white", "black"])
    labels[-4:] = ""
    verdict, blanked, names = judged(labels)
    assert (verdict, names) == ("gap", ["white", f"black{OR_UNRECORDED}"])
    assert abs(blanked.estimate - disparity.estimate) < 1e-12  # those four are in it as before


def test_a_group_that_hides_smaller_ones_is_compared_and_never_shows_that_all_are_alike():
    labels = np.repeat(["a", "b", "c"], [6000, 6000, 6]).astype(object)
    score = np.full(labels.size, 0.9)
    item = predictions(score, np.ones(labels.size))
    found = next(comparisons(item, attribute("a", "b", "c"), labels, min_cell=10))
    assert [group.group for group in found.groups] == ["b", f"a{WITH_SMALLER}"]
    rows = fairness([found], default_policy())
    assert {row.verdict for row in rows} == {"insufficient-evidence"}
    assert all(row.disparity.lower is not None for row in rows)


def test_a_measure_with_few_in_its_denominator_is_shown_of_groups_together():
    item, labels = random_case({"a": 400, "b": 300, "c": 40})
    outcome = np.where((labels == "c") & (np.cumsum(labels == "c") > 4), 0.0, item.outcome)
    item = predictions(item.score, outcome)
    found = {row.metric: row for row in comparisons(item, attribute(*"abc"), labels, min_cell=10)}
    assert [group.group for group in found["selection_rate"].groups] == ["a", "b", "c"]
    assert [group.group for group in found["tpr"].groups] == ["a", f"b{WITH_SMALLER}"]
    assert [group.group for group in found["accuracy"].groups] == ["a", f"b{WITH_SMALLER}"]
    row = next(
        row
        for row in fairness([found["tpr"]], default_policy())
        if row.disparity.kind == "difference"
    )
    assert row.disparity.estimate is not None
    assert row.verdict != "no-material-gap"


def test_without_a_minimum_nothing_is_put_together():
    item, labels = random_case({"a": 40, "b": 3})
    found = next(comparisons(item, attribute("a", "b"), labels))
    assert [group.group for group in found.groups] == ["a", "b"]


def test_small_counts_of_a_group_are_withheld_with_their_complements():
    item, labels = random_case({"a": 60, "b": 60, "c": 60})
    score = np.where((labels == "a") & (np.cumsum(labels == "a") > 3), 0.9, 0.1)
    rows = list(
        group_counts(predictions(score, item.outcome), attribute(*"abc"), labels, min_cell=10)
    )
    cells = np.array([[row.tp, row.fp, row.fn, row.tn] for row in rows], dtype=object)
    shown = [value for value in cells.ravel() if value is not None]
    assert all(value == 0 or value >= 10 for value in shown)
    missing = np.equal(cells, None)
    assert missing.any()
    assert not (missing.sum(axis=1) == 1).any()
    assert not (missing.sum(axis=0) == 1).any()
    for row, gone in zip(rows, missing, strict=True):
        assert (row.favourable_outcomes is None) == gone.any()


def test_bins_of_a_calibration_curve_hold_enough_persons():
    random = np.random.default_rng(0)
    score = random.random(45)
    item = predictions(score, random.random(45) < score)
    bins = curves([item], 0.95, min_cell=10)[0]["calibration"]
    assert min(point["n"] for point in bins) >= 10
    assert sum(point["n"] for point in bins) == 45
    assert len(curves([item], 0.95)[0]["calibration"]) == 10


def test_small_groups_of_an_attribute_bear_one_name(credit):
    case = credit()
    scores = case.evidence.tables["scores"]
    name = case.evidence.info.attributes[0].name
    labels = scores[f"attr:{name}"].astype(object)
    labels[:3] = "rare"
    tables = {"scores": scores.with_columns({f"attr:{name}": labels})}

    evidence = dataclasses.replace(case.evidence, tables=tables)
    shown = with_pooled_groups(evidence, 10)
    assert "rare" not in set(shown.tables["scores"][f"attr:{name}"])
    assert (shown.tables["scores"][f"attr:{name}"] == POOLED).sum() >= 10
    assert POOLED in shown.info.attributes[0].groups
    assert with_pooled_groups(evidence, 1) is evidence


def test_rows_of_checks_on_few_hold_no_number():
    def check(tables, info):
        yield Measurement(check="x.rate", estimate=0.4, n=9, group="rare", attribute="g")
        yield Measurement(check="x.rate", estimate=0.5, n=10, group="often", attribute="g")
        yield Measurement(check="x.rate", estimate=0.6, n=3)

    target = "verticals_check_rows:check"
    module = types.ModuleType("verticals_check_rows")
    module.check = check
    sys.modules["verticals_check_rows"] = module
    info = AuditCheckInfo(name="x.rate", target=target, needs=())
    rows = run_checks([info], {}, None, min_cell=10).rows
    assert [(row.n, row.estimate) for row in rows] == [(0, None), (10, 0.5), (3, 0.6)]
    assert rows[0].method == "withheld: on fewer than 10"


def test_outcomes_and_predictions_are_crossed_and_small_cells_withheld():
    levels = ("low", "middle", "high")
    target = Target(name="y", column="y", kind="ordinal", values=levels)
    random = np.random.default_rng(0)
    outcome = random.integers(0, 3, 300).astype(float)
    score = np.clip(outcome + random.normal(0, 0.6, 300), 0, 2)
    score[:40] = np.nan
    item = dataclasses.replace(predictions(score, outcome), target=target, choice=None)
    (whole,) = confusions([item])
    said = np.rint(score)
    for row in range(3):
        for column in range(3):
            assert whole["persons"][row][column] == ((outcome == row) & (said == column)).sum()
    assert whole["persons"][3][3] == 260
    (shown,) = confusions([item], min_cell=10)
    values = [value for line in shown["persons"] for value in line if value is not None]
    assert all(value == 0 or value >= 10 for value in values)
    assert shown["values"] == list(levels)
