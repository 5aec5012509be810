"""DIF from evidence to measurements: tables, plots, checks, rules, and the simulation."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from verticals.evidence import EvidenceInfo, write_evidence
from verticals.evidence.store import open_evidence
from verticals.registry import load_target
from verticals.table import Table
from verticals_student_assessment.items.checks.dif import logistic, mantel_haenszel
from verticals_student_assessment.items.checks.infos import CHECKS
from verticals_student_assessment.items.checks.scale import cut_scores, item_fit, reliability
from verticals_student_assessment.items.dif.cells import read_responses
from verticals_student_assessment.items.dif.mantel import DELTA, dif_statistics
from verticals_student_assessment.items.dif.plots import BAND_PERSONS, MOST_FIGURES, bands
from verticals_student_assessment.items.dif.purify import purify
from verticals_student_assessment.items.dif.tables import (
    GroupField,
    dif_tables,
    read_cells,
    read_comparisons,
)

ITEMS = 12
NAMES = [f"item-{number}" for number in range(ITEMS)]
INFO = EvidenceInfo(
    form="rows",
    bundle="0" * 64,
    origin="recomputed",
    part="all",
    rows=0,
    units=0,
    outputs=(),
    attributes=(),
)


def answers(persons=1600, highest=1, seed=0, effect=-2.5, sizes=(0.5, 0.5), items=ITEMS):
    """Return scores (persons, items) whose item 4 is harder for group 1, and the group."""
    rng = np.random.default_rng(seed)
    group = rng.choice(len(sizes), size=persons, p=sizes)
    logit = rng.normal(size=(persons, 1)) - np.linspace(-1.5, 1.5, items)
    logit[:, 4] += (group == 1) * effect / abs(DELTA)
    return rng.binomial(highest, special.expit(logit)).astype(float), group


def field(group, groups=("boys", "girls"), role="protected", name="sex"):
    return GroupField(name=name, role=role, label=name.title(), groups=groups, index=group)


@pytest.fixture(scope="module")
def tables():
    scores, group = answers()
    return dif_tables(scores, NAMES, [1] * ITEMS, [field(group)])


def by_name(found):
    rows = {}
    for item in found:
        rows.setdefault(item.check, []).append(item)
    return rows


def test_an_item_with_dif_is_found_and_counted(tables):
    rows = by_name(mantel_haenszel(tables, INFO))
    wrong = rows["items.dif_mh"][4]
    assert (wrong.subject, wrong.attribute, wrong.group) == ("item-4", "sex", "girls")
    assert wrong.lower < -2.5 < wrong.upper < -1.5
    assert "class C, easier for boys" in wrong.method
    assert "matched on 11 items and the item itself" in wrong.method
    assert wrong.n == 1600
    (count,) = rows["items.dif_c_items"]
    assert (count.estimate, count.lower, count.upper) == (1.0, 1.0, 1.0)
    assert rows["items.dif_unmeasured"][0].estimate == 0
    assert rows["items.dif_c_not_excluded"][0].estimate == 0
    regression = by_name(logistic(tables, INFO))
    assert len(regression["items.dif_logistic"]) == ITEMS
    assert "p < 0.0001" in regression["items.dif_logistic"][4].method
    assert regression["items.dif_logistic_items"][0].upper <= 1


def test_checks_say_the_same_of_evidence_on_disk(tables, tmp_path):
    info = EvidenceInfo(**{**vars(INFO), "attributes": ()})
    write_evidence(tmp_path / "evidence", info, tables)
    again = open_evidence(tmp_path / "evidence").tables
    assert list(mantel_haenszel(again, INFO)) == list(mantel_haenszel(tables, INFO))
    assert list(logistic(again, INFO)) == list(logistic(tables, INFO))


def test_both_matching_scores_are_recorded(tables):
    counts = tables["items.dif_counts"]
    maximum = tables["items.dif_items"]["maximum"]
    plain, purified = (read_cells(counts, 0, maximum, purified=flag) for flag in (False, True))
    assert (plain.answered == purified.answered).all()
    assert plain.persons.shape[1] == ITEMS + 1
    assert purified.persons[3].any(axis=(1, 2)).sum() == ITEMS  # scores 0..11 without item 4
    assert counts["persons"].min() >= 1


def test_checks_match_persons_on_the_purified_score(tables):
    scores, group = answers()
    purified = purify(read_responses(scores, np.ones(ITEMS)), group == 1).statistics
    found = by_name(mantel_haenszel(tables, INFO))["items.dif_mh"]
    assert [row.estimate for row in found] == pytest.approx(purified.effect.tolist())
    counts, maximum = tables["items.dif_counts"], tables["items.dif_items"]["maximum"]
    plain = dif_statistics(read_cells(counts, 0, maximum, purified=False))
    assert abs(plain.effect[0] - purified.effect[0]) > 0.01


def test_polytomous_items_are_measured_by_mantel():
    scores, group = answers(highest=3)
    tables = dif_tables(scores, NAMES, [3] * ITEMS, [field(group)])
    rows = by_name(mantel_haenszel(tables, INFO))
    assert "items.dif_mh" not in rows
    wrong = rows["items.dif_smd"][4]
    assert wrong.upper < -0.25
    assert "class CC, easier for boys" in wrong.method
    assert rows["items.dif_c_items"][0].estimate == 1
    assert rows["items.dif_c_not_excluded"][0].estimate == 0
    regression = by_name(logistic(tables, INFO))
    effects = [row.estimate for row in regression["items.dif_logistic"]]
    assert np.argmax(effects) == 4
    assert regression["items.dif_logistic_items"][0].estimate == (effects[4] >= 0.035)
    figures = set(tables["items.plot_dif"]["figure"])
    assert figures == {"SMD / SD by Sex: girls beside boys"}


def test_a_small_group_is_not_measured_and_its_counts_are_not_kept():
    scores, group = answers(persons=900)
    group[:] = 0
    group[:400], group[400:409] = 1, 2
    groups = ("boys", "girls", "others")
    tables = dif_tables(scores, NAMES, [1] * ITEMS, [field(group, groups)])
    assert set(tables["items.dif_counts"]["comparison"]) == {0}
    assert "others" not in "".join(tables["items.plot_dif"]["figure"])
    for check, name in ((mantel_haenszel, "dif_c_items"), (logistic, "dif_logistic_items")):
        rows = [row for row in check(tables, INFO) if row.group == "others"]
        assert rows[-1].check == f"items.{name}"
        for row in rows:
            assert (row.estimate, row.lower, row.n) == (None, None, 0)
            assert row.method == "fewer than 10 persons"


def test_the_number_of_a_small_group_does_not_follow_from_the_others():
    scores, group = answers(persons=900)
    group[:] = 0
    group[:404], group[404:411] = 1, 2  # 489, 404 and 7
    tables = dif_tables(scores, NAMES, [1] * ITEMS, [field(group, ("boys", "girls", "others"))])
    girls, others = read_comparisons(tables["items.dif_comparisons"])
    assert (girls.reference_persons, girls.persons, others.persons) == (489, 10, 0)
    assert girls.measured
    group[:] = 0
    group[0] = 1
    tables = dif_tables(scores, NAMES, [1] * ITEMS, [field(group)])
    (one,) = read_comparisons(tables["items.dif_comparisons"])
    assert (one.reference_persons, one.persons) == (10, 0)  # 899 of 900 would tell the one
    group[:] = 0
    group[:404], group[404:411] = 1, -1  # the same 7 in no group
    tables = dif_tables(scores, NAMES, [1] * ITEMS, [field(group, ("boys", "girls"))])
    (alone,) = read_comparisons(tables["items.dif_comparisons"])
    assert (alone.reference_persons, alone.persons) == (489, 10)


def test_the_largest_group_is_the_reference_where_the_first_is_small():
    scores, group = answers(persons=300, sizes=(0.01, 0.3, 0.69))
    tables = dif_tables(scores, NAMES, [1] * ITEMS, [field(group, ("a", "b", "c"))])
    first, second = read_comparisons(tables["items.dif_comparisons"])
    assert (first.reference, first.focal, second.focal) == ("c", "a", "b")
    assert first.reference_rule.startswith("largest")
    assert not first.measured
    assert second.measured


def test_persons_who_are_in_no_group_are_not_counted():
    scores, group = answers(persons=400)
    kept = np.arange(400) >= 100
    one = dif_tables(scores, NAMES, [1] * ITEMS, [field(np.where(kept, group, -1))])
    other = dif_tables(scores[kept], NAMES, [1] * ITEMS, [field(group[kept])])
    for name in ("items.dif_counts", "items.dif_comparisons"):
        for column in one[name]:
            assert (one[name][column] == other[name][column]).all()


def test_items_of_few_persons_are_measured_and_not_classed():
    scores, group = answers(persons=320)
    rows = by_name(mantel_haenszel(dif_tables(scores, NAMES, [1] * ITEMS, [field(group)]), INFO))
    assert rows["items.dif_mh"][4].estimate < 0
    assert "from fewer persons than ETS asks for" in rows["items.dif_mh"][4].method
    (count,) = rows["items.dif_c_items"]
    assert (count.estimate, count.lower, count.upper) == (None, None, None)
    assert count.method.startswith("insufficient: ETS class C")


def test_items_that_are_not_classed_leave_a_pass_open():
    scores, group = answers(effect=0.0)
    scores[:1300, 7] = np.nan  # 300 answers
    rows = by_name(mantel_haenszel(dif_tables(scores, NAMES, [1] * ITEMS, [field(group)]), INFO))
    (count,) = rows["items.dif_c_items"]
    assert (count.estimate, count.lower, count.upper) == (0.0, 0.0, 1.0)
    assert "1 of 12 items not classed" in count.method


def test_an_item_whose_limits_reach_class_c_leaves_a_pass_open():
    scores, group = answers(persons=540, effect=0.45, seed=3)
    rows = by_name(mantel_haenszel(dif_tables(scores, NAMES, [1] * ITEMS, [field(group)]), INFO))
    reach = sum(
        max(-row.lower, row.upper) >= 1.5 and "class C" not in row.method
        for row in rows["items.dif_mh"]
    )
    (count,) = rows["items.dif_c_items"]
    assert reach > 0
    assert (count.estimate, count.upper) == (0.0, reach)
    assert rows["items.dif_c_not_excluded"][0].estimate == reach
    assert f"{reach} others may be as large" in count.method


def test_a_large_change_in_r2_without_significance_leaves_the_rule_open():
    scores, group = answers(persons=120, effect=1.0, seed=1)
    rows = by_name(logistic(dif_tables(scores, NAMES, [1] * ITEMS, [field(group)]), INFO))
    large = sum(
        row.estimate is not None and row.estimate >= 0.035 for row in rows["items.dif_logistic"]
    )
    (count,) = rows["items.dif_logistic_items"]
    assert large > count.estimate
    assert count.upper >= large


def test_a_stratum_has_checks_of_its_own_name():
    scores, group = answers(persons=600)
    tables = dif_tables(scores, NAMES, [1] * ITEMS, [field(group, role="stratum", name="school")])
    found = {row.check for row in [*mantel_haenszel(tables, INFO), *logistic(tables, INFO)]}
    assert "items.dif_c_items_by_stratum" in found
    assert "items.dif_logistic_items_by_stratum" in found
    limited = {rule["check"] for check in CHECKS for rule in check.rules}
    assert not found & limited


@pytest.mark.parametrize("fields", [[], [field(np.zeros(300, dtype=int), groups=("all",))]])
def test_tables_are_there_without_any_groups(fields, tmp_path):
    tables = dif_tables(answers(persons=300)[0], NAMES, [1] * ITEMS, fields)
    assert {name: table.rows for name, table in tables.items()} == {
        "items.dif_comparisons": 0,
        "items.dif_items": ITEMS,
        "items.dif_counts": 0,
        "items.plot_dif": 0,
        "items.plot_dif_curves": 0,
    }
    assert list(mantel_haenszel(tables, INFO)) == list(logistic(tables, INFO)) == []
    write_evidence(tmp_path / "evidence", INFO, tables)


def test_no_point_of_a_plot_rests_on_few_persons():
    scores, group = answers(persons=500, sizes=(0.9, 0.1))
    tables = dif_tables(scores, NAMES, [1] * ITEMS, [field(group)])
    for name in ("items.plot_dif", "items.plot_dif_curves"):
        table = tables[name]
        points = table["style"] == "points"
        assert points.any()
        assert table["persons"][points].min() >= 10
        assert (table["persons"][~points] == 0).all()
        assert (table["lower"][points] <= table["y"][points]).all()
        assert (table["upper"][points] >= table["y"][points]).all()


def test_curves_are_of_flagged_items_and_hold_every_person():
    scores, group = answers()
    curves = dif_tables(scores, NAMES, [1] * ITEMS, [field(group)])["items.plot_dif_curves"]
    title = "item-4 by Sex: girls beside boys, class C"
    assert curves["figure"][0] == title
    here = curves["figure"] == title
    for place, series in enumerate(("boys", "girls")):
        rows = here & (curves["series"] == series)
        assert curves["persons"][rows].sum() == (group == place).sum()
        mean = curves["y"][rows] @ curves["persons"][rows] / curves["persons"][rows].sum()
        assert mean == pytest.approx(scores[group == place, 4].mean())
        score = curves["x"][rows] @ curves["persons"][rows] / curves["persons"][rows].sum()
        assert score == pytest.approx(scores[group == place].sum(axis=1).mean())


def test_bands_are_filled_by_both_groups():
    scores, group = answers(persons=700, sizes=(0.8, 0.2))
    cells = purify(read_responses(scores, np.ones(ITEMS)), group == 1).cells
    runs = bands(cells, 4)
    assert 1 < len(runs) <= 8
    for run in runs:
        assert cells.persons[4, run].sum(axis=(0, 2)).min() >= BAND_PERSONS
    few = purify(read_responses(scores[:60], np.ones(ITEMS)), group[:60] == 1).cells
    assert bands(few, 4) == []


def test_a_plot_has_no_more_figures_than_a_report_draws():
    scores, _ = answers(persons=900)
    rng = np.random.default_rng(0)
    fields = [
        field(rng.integers(0, 4, 900), ("a", "b", "c", "d"), name=f"field-{number}")
        for number in range(5)
    ]
    tables = dif_tables(scores, NAMES, [1] * ITEMS, fields)
    assert tables["items.dif_comparisons"].rows == 15
    assert len(set(tables["items.plot_dif"]["figure"])) == MOST_FIGURES
    assert tables["items.plot_dif"].rows <= 4000


def texts(*values):
    return np.array(values, dtype=object)


def test_reliability_is_given_with_its_limits_and_by_group():
    table = Table(
        {
            "coefficient": texts("alpha", "alpha", "alpha", "marginal"),
            "attribute": texts("", "sex", "sex", ""),
            "group": texts("", "girls", "others", ""),
            "estimate": [0.81, 0.78, 0.4, 0.82],
            "lower": [0.79, np.nan, 0.1, np.nan],
            "upper": [0.83, np.nan, 0.6, np.nan],
            "persons": [500, 240, 9, 500],
        }
    )
    whole, girls, others, marginal = reliability({"items.reliability": table}, INFO)
    assert (whole.check, whole.lower, whole.upper) == ("items.reliability", 0.79, 0.83)
    assert (girls.check, girls.lower, girls.n) == ("items.group_reliability", None, 240)
    assert (others.estimate, others.n) == (None, 0)
    assert (marginal.check, marginal.estimate) == ("items.model_reliability", 0.82)


def test_misfit_is_a_share_of_the_items_that_were_measured():
    table = Table(
        {
            "item": texts("a", "b", "c", "d"),
            "statistic": texts("S-X2", "S-X2", "S-X2", "S-X2"),
            "chi2": [40.0, 12.0, 10.0, np.nan],
            "df": [9.0, 9.0, 9.0, np.nan],
            "p_value": [0.00001, 0.03, 0.4, np.nan],
            "effect": [np.nan, 0.15, 0.02, np.nan],
            "persons": [500, 500, 500, 5],
        }
    )
    *items, share = item_fit({"items.fit": table}, INFO)
    assert share.check == "items.misfit"
    assert share.estimate == pytest.approx(1 / 3)  # .03 · 2 is above .05
    assert (share.lower, share.upper) == (1 / 4, 3 / 4)  # b is as large, d is not known
    assert "1 of 4 items not measured, 1 others with an RMSD of 0.1" in share.method
    assert [row.estimate for row in items] == pytest.approx([0.00003, 0.15, 0.02, None])
    assert items[3].n == 0


def test_decisions_at_cut_scores_are_told_as_recorded():
    table = Table(
        {
            "cut": texts("pass", "pass"),
            "theta": [0.0, 0.0],
            "standard_error": [0.62, 0.62],
            "relative_error": [0.31, 0.31],
            "attribute": texts("", "sex"),
            "group": texts("", "girls"),
            "consistency": [0.86, 0.85],
            "consistency_lower": [np.nan, np.nan],
            "consistency_upper": [np.nan, np.nan],
            "accuracy": [0.9, 0.88],
            "accuracy_lower": [np.nan, np.nan],
            "accuracy_upper": [np.nan, np.nan],
            "persons": [500, 8],
        }
    )
    error, consistency, accuracy, group, _ = cut_scores({"items.classification": table}, INFO)
    assert (error.check, error.estimate, error.lower) == ("items.cut_error", 0.31, None)
    assert (consistency.estimate, accuracy.estimate) == (0.86, 0.9)
    assert (group.check, group.estimate) == ("items.group_classification_consistency", None)


def test_every_check_can_be_loaded_and_its_rules_name_their_source():
    found = {}
    for check in CHECKS:
        assert callable(load_target(check.target))
        assert check.solutions == ("item-response",)
        for rule in check.rules:
            found[rule["id"]] = rule
            assert len(rule["source"]) > 60
            assert ("max" in rule) != ("min" in rule)
    assert found["items.no-item-in-class-c"]["max"] == 0
    assert found["items.no-item-in-class-c"]["check"] == "items.dif_c_items"


def test_checks_import_no_torch():
    code = (
        "import sys, verticals_student_assessment.items.checks.dif, "
        "verticals_student_assessment.items.checks.scale; "
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def simulation():
    path = Path(__file__).resolve().parents[3] / "benchmarks/dif_simulation.py"
    spec = importlib.util.spec_from_file_location("dif_simulation", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("impact", [0.0, 1.0])
def test_simulated_tests_without_dif_are_rarely_flagged(simulation, impact):
    rng = np.random.default_rng(1)
    runs = [simulation.replicate(rng, "Rasch", impact, 0.0, 500, 20) for _ in range(30)]
    rates = np.array([run["none MH test"] for run in runs])
    assert rates.mean() - 2 * rates.std() / np.sqrt(rates.size) <= simulation.TYPE_I
    assert np.mean([run["none class C"] for run in runs]) <= 0.005


def test_simulated_items_of_class_c_size_are_found(simulation):
    rng = np.random.default_rng(2)
    runs = [simulation.replicate(rng, "2PL", 0.5, -1.5, 500, 20) for _ in range(25)]
    for name in ("dif MH test", "dif class B or C"):
        assert np.mean([run[name] for run in runs]) >= simulation.POWER
