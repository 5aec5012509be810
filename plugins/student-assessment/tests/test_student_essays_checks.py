"""Audit checks of essays: right numbers, minimum counts, no torch."""

import subprocess
import sys

import numpy as np
import pytest

from verticals.evidence import AttributeInfo, EvidenceInfo, OutputInfo
from verticals.intervals import weighted_kappa
from verticals.metrics import quadratic_weighted_kappa
from verticals.table import Table
from verticals_student_assessment.essays.checks import moments
from verticals_student_assessment.essays.checks.agreement import agreement, ceiling, fairness
from verticals_student_assessment.essays.checks.probing import explanations, gaming
from verticals_student_assessment.essays.checks.routing import coverage, routing
from verticals_student_assessment.essays.info import CHECKS, SOLUTION

POINTS = np.arange(1.0, 5.01, 0.5)


def info():
    return EvidenceInfo(
        form="rows",
        bundle="",
        origin="",
        part="test",
        rows=0,
        units=0,
        outputs=(OutputInfo(name="style", kind="ordinal", target="style"),),
        attributes=(AttributeInfo(name="sex", role="protected", label="Sex", groups=("f", "m")),),
    )


def tables(persons=300, *, bias=0.0, noise=0.4, seed=0, second_noise=0.4, traits=("style",)):
    """Return evidence of one essay a person; `bias` raises machine scores of group m."""
    random = np.random.default_rng(seed)
    sex = np.where(random.random(persons) < 0.5, "f", "m")
    scores = {"unit": np.arange(persons), "attr:sex": sex.astype(object)}
    second = {"unit": np.arange(persons)}
    scale = []
    for trait in traits:
        latent = random.normal(3, 0.8, persons)
        human = nearest(latent + random.normal(0, 0.4, persons))
        machine = np.clip(latent + random.normal(0, noise, persons) + bias * (sex == "m"), 1, 5)
        scores[f"target:{trait}"] = (human - 1) * 2
        scores[trait] = machine
        scores[f"{trait}_level"] = nearest(machine)
        scores[f"{trait}_lower"], scores[f"{trait}_upper"] = machine - 0.9, machine + 0.9
        second[trait] = nearest(latent + random.normal(0, second_noise, persons))
        scale += [(trait, place, value) for place, value in enumerate(POINTS)]
    review = random.random(persons) < 0.2
    scores["review"] = review.astype(float)
    scores["review_reason"] = np.where(review, "too short; uncertain", "").astype(object)
    names = ("trait", "level", "points")
    return {
        "scores": Table(scores),
        "essays.scale": Table(
            {
                name: np.array(column, dtype=object if name == "trait" else None)
                for name, column in zip(names, zip(*scale, strict=True), strict=True)
            }
        ),
        "essays.second_rater": Table(second),
        "essays.declared": Table({"coverage": np.array([0.9]), "widest": np.array([2.5])}),
    }


def nearest(values):
    return np.clip(np.round(values * 2) / 2, 1, 5)


def named(found, check, **where):
    rows = [
        item
        for item in found
        if item.check == f"essays.{check}"
        and all(getattr(item, name) == value for name, value in where.items())
    ]
    assert len(rows) == 1, rows
    return rows[0]


def test_kappa_is_the_sdk_s():
    made = tables()
    human = made["scores"]["target:style"]
    given = (made["scores"]["style_level"] - 1) * 2
    sums = moments.sums_by_person(human, given, made["scores"]["unit"])
    found = moments.resampled(sums, moments.kappa)
    assert found.estimate == pytest.approx(quadratic_weighted_kappa(human, given))
    other = weighted_kappa(human, given, levels=9)
    assert found.lower == pytest.approx(other.lower, abs=0.03)
    assert found.upper == pytest.approx(other.upper, abs=0.03)


def test_an_empty_essay_is_in_no_measurement():
    made = tables()
    part = {name: np.array(column[1:]) for name, column in made["scores"].items()}
    rest = {**made, "scores": Table(part)}
    names = ("style", "style_level", "style_lower", "style_upper")
    nothing = {name: np.array(made["scores"][name]) for name in names}
    for column in nothing.values():
        column[0] = np.nan
    scores = made["scores"].with_columns(nothing)
    for check in ("qwk", "rmse", "smd", "exact_agreement"):
        found = named(agreement({**made, "scores": scores}, info()), check)
        assert found == named(agreement(rest, info()), check)
    whole = named(coverage({**made, "scores": scores}, info()), "interval_width")
    assert whole.estimate == pytest.approx(1.8)


def test_agreement_by_hand():
    made = tables()
    scores = made["scores"]
    human = 1 + scores["target:style"] / 2
    found = list(agreement(made, info()))
    machine = scores["style"]
    error = np.sqrt(((machine - human) ** 2).mean())
    assert named(found, "rmse").estimate == pytest.approx(error)
    pooled = np.sqrt((human.var() + machine.var()) / 2)
    shift = (machine.mean() - human.mean()) / pooled
    assert named(found, "smd").estimate == pytest.approx(shift)
    apart = np.abs(scores["style_level"] - human)
    assert named(found, "exact_agreement").estimate == pytest.approx((apart == 0).mean())
    assert named(found, "adjacent_agreement").estimate == pytest.approx((apart <= 0.5).mean())
    assert not [item for item in found if item.check == "essays.mcrmse"]


def test_mcrmse_is_the_mean_over_traits():
    found = list(agreement(tables(traits=("style", "wit")), info()))
    errors = [named(found, "rmse", output=name).estimate for name in ("style", "wit")]
    whole = named(found, "mcrmse")
    assert whole.estimate == pytest.approx(np.mean(errors))
    assert whole.lower < whole.estimate < whole.upper


@pytest.mark.parametrize(("noise", "low", "high"), [(0.4, -0.06, 0.06), (1.0, 0.12, 0.5)])
def test_degradation_from_the_human_ceiling(noise, low, high):
    found = list(ceiling(tables(2000, noise=noise), info()))
    assert low < named(found, "qwk_degradation").estimate < high
    human = named(found, "human_qwk").estimate
    assert 0.7 < human < 0.9


def test_bias_against_a_group_is_found():
    fair, unfair = (list(fairness(tables(2000, bias=bias), info())) for bias in (0.0, 0.3))
    assert named(fair, "subgroup_smd_size", group="m").upper < 0.1
    assert named(unfair, "subgroup_smd_size", group="m").lower > 0.1
    assert named(unfair, "subgroup_smd", group="m").estimate > 0.2
    assert named(unfair, "subgroup_smd_size", group="f").estimate < 0.1


def test_size_of_a_difference_covers_zero():
    found = list(fairness(tables(300), info()))
    signed, size = (named(found, f"subgroup_smd{end}", group="f") for end in ("", "_size"))
    assert signed.lower < 0 < signed.upper
    assert size.lower == 0
    assert size.upper == pytest.approx(max(-signed.lower, signed.upper))


def test_few_persons_have_no_estimate():
    made = tables(9)
    for check in (agreement, ceiling, fairness):
        for item in check(made, info()):
            assert item.estimate is None, item
            assert "fewer than 10 persons" in item.method
    some = named(list(agreement(tables(20), info())), "qwk")
    assert some.estimate is not None
    assert some.lower is None


def test_coverage_and_its_shortfall():
    made = tables(1000)
    scores = made["scores"]
    human = 1 + scores["target:style"] / 2
    inside = ((human >= scores["style_lower"]) & (human <= scores["style_upper"])).mean()
    found = list(coverage(made, info()))
    whole = named(found, "coverage", group="")
    assert whole.estimate == pytest.approx(inside)
    lacking = named(found, "coverage_shortfall")
    assert lacking.estimate == pytest.approx(0.9 - inside)
    assert lacking.lower == pytest.approx(0.9 - whole.upper)
    assert named(found, "interval_width").estimate == pytest.approx(1.8)


def test_routing_by_reason_and_group():
    made = tables(1000)
    found = list(routing(made, info()))
    share = made["scores"]["review"].mean()
    assert named(found, "routed", group="").estimate == pytest.approx(share)
    assert named(found, "routed_for", subject="too short").estimate == pytest.approx(share)
    assert named(found, "unrouted_qwk").n == int((made["scores"]["review"] == 0).sum())
    assert {item.group for item in found if item.check == "essays.routed"} == {"", "f", "m"}
    few = np.zeros(1000)
    few[:9] = 1.0
    rare = np.where(few > 0, "empty essay", "").astype(object)
    made["scores"] = made["scores"].with_columns({"review": few, "review_reason": rare})
    assert named(list(routing(made, info())), "routed_for").estimate is None


def test_recorded_probes_and_deletion():
    probes = Table(
        {
            "probe": np.array(["padding"], dtype=object),
            "trait": np.array(["style"], dtype=object),
            "persons": np.array([32]),
            "change": np.array([0.4]),
            "lower": np.array([0.3]),
            "upper": np.array([0.5]),
        }
    )
    found = next(iter(gaming({"essays.probes": probes}, info())))
    assert (found.estimate, found.lower, found.upper, found.subject) == (0.4, 0.3, 0.5, "padding")
    deletion = Table(
        {
            "trait": np.array(["style"], dtype=object),
            "persons": np.array([16]),
            "difference": np.array([0.1]),
            "lower": np.array([np.nan]),
            "upper": np.array([np.nan]),
            "additivity_error": np.array([0.0]),
        }
    )
    found = list(explanations({"essays.deletion": deletion}, info()))
    assert named(found, "deletion_advantage").lower is None
    assert named(found, "sentence_additivity").estimate == 0.0


def test_rules_speak_of_measured_names_and_of_this_solution():
    made = {**tables(60, traits=("style", "wit"))}
    known = {"essays.gaming_gain", "essays.deletion_advantage"}
    for check in (agreement, ceiling, fairness, coverage, routing):
        known |= {item.check for item in check(made, info())}
    for check in CHECKS:
        assert check.solutions == (SOLUTION.name,)
        for rule in check.rules:
            assert rule["check"] in known
            assert rule["source"]


def test_checks_import_no_torch():
    modules = sorted({check.target.partition(":")[0] for check in CHECKS})
    code = f"import sys, importlib\nfor name in {modules!r}: importlib.import_module(name)\n"
    code += "assert not {'torch', 'transformers'} & set(sys.modules), 'heavy'"
    subprocess.run([sys.executable, "-c", code], check=True)
