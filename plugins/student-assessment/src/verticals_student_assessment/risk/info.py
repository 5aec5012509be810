"""What student-risk offers, described without importing it."""

from __future__ import annotations

from functools import partial

from verticals.plugin import AuditCheckInfo, OptionInfo, SolutionInfo, check_rule

_NAME = "student-risk"
_ROOM = "verticals_student_assessment.risk"
_CONVENTION = "is a convention of this plugin, not law"

SOLUTION = SolutionInfo(
    name=_NAME,
    api_version=1,
    state_version=1,
    target=f"{_ROOM}.solution:SOLUTION",
    drafter=f"{_ROOM}.draft:refine",
    offers=frozenset({"private", "attributions", "reasons", "online"}),
    target_kinds=frozenset({"binary", "ordinal"}),
    domain="education",
    summary="Predicts who is at risk, and grades in bands, from what is known by a given week",
    intended_use=(
        "Supports advisers in offering help early: ranks students by the probability of the "
        "outcome that the contract names, from fields known by a declared week, with reasons."
    ),
    not_for=(
        "Not for refusing admission, grades, aid or places without human review, not for students "
        "who have left, not for courses or institutions that the training data do not hold, and "
        "not for recognising emotions."
    ),
    requirements=(
        "one row for each student, or for each student and week (then group is the student)",
        "a binary outcome, an ordinal grade, or both side by side",
        "settings: {week: n} of each field that is known only at the end of week n",
        "settings: {left_week: true} of the column that says in which week a student left",
        "declared bounds or bins for each numeric field, and declared categories",
        "sex, age, disability, deprivation, ethnicity (role: protected) where you may hold them",
        "a decision: a cut on the score, or the share of students to whom help can be offered",
    ),
    options=(
        OptionInfo(
            name="network",
            default="additive",
            choices=("additive", "mlp", "residual"),
            help="a sum of one curve per field with exact attributions, or a network for tables",
        ),
        OptionInfo(
            name="week",
            default="all",
            help="read only what is known by the end of this week; students who left by then are "
            "neither trained on nor scored",
        ),
        OptionInfo(name="bins", default=16, help="bins of a numeric field that declares none"),
        OptionInfo(
            name="encoding",
            default="auto",
            choices=("auto", "declared"),
            help="auto fits bins to the training part where training is not private",
        ),
    ),
)


_rule = partial(check_rule, "risk")


CHECKS: tuple[AuditCheckInfo, ...] = (
    AuditCheckInfo(
        name="risk.weeks",
        target=f"{_ROOM}.checks:auc_by_week",
        needs=("scores", "risk.rows"),
        solutions=(_NAME,),
        summary="Area under the ROC curve over all rows and week by week",
        rules=(
            _rule(
                "ranks-beyond-chance",
                "The area under the ROC curve is at least that of a random order",
                "auc",
                "Arithmetic, not law: a random order has an area of 0.5. How much more a use needs "
                "is for its owner to decide, in a policy of its own.",
                min=0.5,
            ),
            _rule(
                "ranks-beyond-chance-each-week",
                "The area under the ROC curve is at least that of a random order in every week",
                "week_auc",
                "Arithmetic, not law: a random order has an area of 0.5.",
                min=0.5,
            ),
        ),
    ),
    AuditCheckInfo(
        name="risk.abroca",
        target=f"{_ROOM}.checks:group_curves",
        needs=("scores", "risk.rows"),
        solutions=(_NAME,),
        summary="Area between the ROC curves of groups (ABROCA), with a permutation test",
        rules=(
            _rule(
                "near-curves",
                "The area between the ROC curves of two groups is at most 0.1 (ABROCA)",
                "abroca",
                "ABROCA: Gardner, Brooks and Baker, LAK 2019, who state no limit; 0.1 "
                f"{_CONVENTION}. The p-value of a permutation test stands beside it and decides "
                "nothing: that no difference is shown does not show that there is none.",
                max=0.1,
            ),
        ),
    ),
    AuditCheckInfo(
        name="risk.calibration",
        target=f"{_ROOM}.checks:group_calibration",
        needs=("scores", "risk.rows"),
        solutions=(_NAME,),
        summary="Calibration in the large and slope, over all and by group, and the groups' gap",
        rules=(
            _rule(
                "calibrated-in-the-large",
                "Mean predicted risk less the outcome's rate lies between −0.05 and 0.05",
                "calibration_in_the_large",
                "Calibration in the large: Van Calster et al., BMC Medicine 17, 2019, who state no "
                f"limit; ±0.05 {_CONVENTION}.",
                min=-0.05,
                max=0.05,
            ),
            _rule(
                "alike-calibration",
                "Mean predicted risk less the outcome's rate differs by at most 0.1 between groups",
                "calibration_gap",
                "Calibration within groups: Kleinberg, Mullainathan and Raghavan, ITCS 2017, who "
                f"state no limit; 0.1 {_CONVENTION}.",
                max=0.1,
            ),
        ),
    ),
    AuditCheckInfo(
        name="risk.demographics",
        target=f"{_ROOM}.checks:demographics",
        needs=("risk.demographics",),
        solutions=(_NAME,),
        summary="What the AUC would gain if the model read the protected fields",
        rules=(
            _rule(
                "demographics-left-out-at-little-cost",
                "Reading the protected fields would raise the area under the ROC curve by at most "
                "0.05",
                "demographics_gain",
                "The comparison: Yu, Lee and Kizilcec, Learning @ Scale 2021, who state no limit; "
                f"an AUC of 0.05 {_CONVENTION}.",
                max=0.05,
            ),
        ),
    ),
)
