"""What essay-scoring offers, described without importing it.

Limits of agreement are those of Williamson, Xi & Breyer 2012. Where nobody states a limit it is a
convention of this plugin, and says so.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from verticals.plugin import AuditCheckInfo, OptionInfo, SolutionInfo, check_rule

_NAME = "essay-scoring"
_CHECKS = "verticals_student_assessment.essays.checks"
_CONVENTION = "is a convention of this plugin, not law"
_WILLIAMSON = (
    "Williamson, Xi & Breyer 2012, Educational Measurement: Issues and Practice 31(1), pages 2–13"
)

SOLUTION = SolutionInfo(
    name=_NAME,
    api_version=1,
    state_version=1,
    target="verticals_student_assessment.essays.solution:SOLUTION",
    drafter="verticals_student_assessment.essays.draft:refine",
    offers=frozenset({"private"}),
    target_kinds=frozenset({"ordinal"}),
    domain="education",
    summary="Scores essays on declared traits with intervals; uncertain ones go to a person",
    intended_use=(
        "Supports a teacher or a second rater: gives each declared trait a score in points with an "
        "interval, and names the essays that a person must read, with the reason."
    ),
    not_for=(
        "Not the only judge of an essay that counts for a student, not for texts in another "
        "language than declared, and not for reading emotions or character into a text."
    ),
    requirements=(
        "one row for each essay, its text in one column",
        "group: the student, by whom the data are split and who is the unit of privacy",
        "each trait an ordinal target with numbers as its levels, half points for example",
        "settings of the essay field: windows and length (in tokens), language, prompts",
        "a second rater as a field with role: ignore and settings: {second_rater_of: TRAIT}",
        "sex, ethnicity, deprivation (role: protected) where they are known",
    ),
    options=(
        OptionInfo(
            name="tuning",
            default="frozen",
            choices=("frozen", "lora"),
            help="heads on a frozen encoder, or also on a second one with low-rank adapters in its "
            "upper half (not under privacy)",
        ),
        OptionInfo(
            name="pooling",
            default="full",
            private_default="small",
            choices=("full", "small"),
            help="mean and spread of every layer, or the mean over layers, best under privacy",
        ),
        OptionInfo(
            name="surface",
            default="full",
            private_default="measures",
            choices=("full", "measures"),
            help="beside the encoder curves of the text's measures and word pieces, or measures",
        ),
        OptionInfo(
            name="scale",
            default="mean",
            choices=("mean", "matched"),
            help="expected scores, or widened to the spread of human ones (not under privacy)",
        ),
        OptionInfo(
            name="arithmetic",
            default="float32",
            choices=("float32", "bfloat16"),
            help="of the encoder on a CPU; CUDA takes bfloat16",
        ),
        OptionInfo(name="rank", default=8, help="of the adapters"),
        OptionInfo(name="coverage", default=0.9, help="of the intervals"),
        OptionInfo(
            name="widest",
            default=2.5,
            help="points: an essay with a wider interval goes to a person",
        ),
        OptionInfo(name="shortest", default=30, help="words: a shorter essay goes to a person"),
        OptionInfo(name="longest", default=1500, help="words: a longer essay goes to a person"),
    ),
)


_rule = partial(check_rule, "essays")


def _check(
    name: str, target: str, summary: str, needs: tuple[str, ...], *rules: Any
) -> AuditCheckInfo:
    return AuditCheckInfo(
        name=f"essays.{name}",
        target=f"{_CHECKS}.{target}",
        needs=needs,
        summary=summary,
        rules=rules,
        solutions=(_NAME,),
    )


CHECKS: tuple[AuditCheckInfo, ...] = (
    _check(
        "agreement",
        "agreement:agreement",
        "Quadratic weighted kappa, RMSE, mean difference and agreement of machine and human",
        ("scores", "essays.scale"),
        _rule(
            "kappa",
            "The quadratic weighted kappa of machine and human is at least 0.70",
            "qwk",
            f"{_WILLIAMSON}: quadratic weighted kappa of at least .70, on normally distributed "
            "scores.",
            min=0.70,
        ),
        _rule(
            "mean-difference",
            "The mean scores of machine and human differ by at most 0.15 standard deviations",
            "smd_size",
            f"{_WILLIAMSON}: a standardised mean score difference of at most .15.",
            max=0.15,
        ),
    ),
    _check(
        "ceiling",
        "agreement:ceiling",
        "Agreement of two humans, and how far the machine falls short of it",
        ("scores", "essays.scale", "essays.second_rater"),
        _rule(
            "degradation",
            "The kappa of machine and human is at most 0.10 below that of two humans (shortfall)",
            "qwk_degradation",
            f"{_WILLIAMSON}: a degradation from human-human agreement of less than .10.",
            max=0.10,
        ),
    ),
    _check(
        "fairness",
        "agreement:fairness",
        "Mean difference of machine and human, and RMSE, within each group",
        ("scores", "essays.scale"),
        _rule(
            "subgroup-difference",
            "In each group the mean scores of machine and human differ by at most 0.10 standard "
            "deviations",
            "subgroup_smd_size",
            f"{_WILLIAMSON}: a standardised mean score difference of at most .10 within subgroups.",
            max=0.10,
        ),
    ),
    _check(
        "intervals",
        "routing:coverage",
        "How often intervals hold the human score, by trait and group, and their width",
        ("scores", "essays.scale", "essays.declared"),
        _rule(
            "coverage-as-declared",
            "Measured coverage of the intervals is at most 0.05 below the declared one (shortfall)",
            "coverage_shortfall",
            "What is promised is the solution's own declaration; that 0.05 less is borne, so that "
            f"an audit of few essays can pass, {_CONVENTION}.",
            max=0.05,
        ),
    ),
    _check(
        "routing",
        "routing:routing",
        "Share of essays that go to a person, by reason and group, and kappa of the others",
        ("scores", "essays.scale"),
        _rule(
            "scores-most",
            "At most half of the essays go to a person",
            "routed",
            f"The limit of one half {_CONVENTION}: a machine that routes more is no help.",
            max=0.5,
        ),
    ),
    _check(
        "gaming",
        "probing:gaming",
        "What padding, repetition, shuffled sentences and straying off topic change in a score",
        ("essays.probes",),
        _rule(
            "gaming-gains-little",
            "Padding, repeating, shuffling and straying raise the score by at most a quarter point",
            "gaming_gain",
            "Robustness to such probes: Higgins & Heilman 2014, Educational Measurement: Issues "
            f"and Practice 33(3), who state no limit. The limit of .25 points {_CONVENTION}.",
            max=0.25,
        ),
    ),
    _check(
        "explanations",
        "probing:explanations",
        "Whether sentences with large attributions move the score when they are deleted",
        ("essays.deletion",),
        _rule(
            "sentences-mark-what-counts",
            "Deleting the strongest sentences moves the score more than deleting others "
            "(difference in points)",
            "deletion_advantage",
            "Deletion: Petsiuk et al., BMVC 2018, held against random sentences. 0 is chance.",
            min=0.0,
        ),
    ),
)
