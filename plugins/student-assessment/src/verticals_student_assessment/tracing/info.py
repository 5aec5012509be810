"""What knowledge-tracing offers, described without importing it.

No law or guidance states a number for next-answer predictions. A limit is arithmetic, or a
convention of this plugin and named as one.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from verticals.plugin import AuditCheckInfo, OptionInfo, SolutionInfo, check_rule

_ROOM = "verticals_student_assessment.tracing"
_CONVENTION = "is a convention of this plugin, not law"
_ONLY = ("knowledge-tracing",)

SOLUTION = SolutionInfo(
    name="knowledge-tracing",
    api_version=1,
    state_version=1,
    target=f"{_ROOM}.solution:SOLUTION",
    drafter=f"{_ROOM}.draft:refine",
    offers=frozenset({"private", "attributions", "reasons", "online"}),
    target_kinds=frozenset({"binary"}),
    domain="education",
    summary="Predicts whether a student's next answer is right, from the student's earlier answers",
    intended_use=(
        "Tells which skills a student has got the hang of while practising, so that the next item "
        "can be chosen, in batch and one answer at a time."
    ),
    not_for=(
        "Not for marks, placement or admission: what is practised without supervision says how "
        "practice goes, not what a student is entitled to. It recognises no emotions."
    ),
    requirements=(
        "one row for each answer of a student to an item, right or wrong, with its time",
        "group: the student, the unit of privacy and of the split; an entity of the same column",
        "an entity `interaction`: rows that stand for one answer, one a skill, share its id",
        "a field `item` with its declared categories, and a text field `skills` whose settings "
        "declare the skills and the separator of several",
        "protected fields for the audit",
    ),
    options=(
        OptionInfo(
            name="network",
            default="features",
            choices=("features", "attention"),
            help="a sum of one curve for each count, item and skill, with exact reasons; or "
            "attention over the latest answers beside them",
        ),
        OptionInfo(name="bins", default=8, help="bins of a numeric field that declares none"),
    ),
)


_rule = partial(check_rule, "tracing")


def _check(
    name: str, target: str, needs: tuple[str, ...], summary: str, *rules: dict[str, Any]
) -> AuditCheckInfo:
    return AuditCheckInfo(
        name=f"tracing.{name}",
        target=f"{_ROOM}.checks.{target}",
        needs=needs,
        summary=summary,
        rules=rules,
        solutions=_ONLY,
    )


CHECKS: tuple[AuditCheckInfo, ...] = (
    _check(
        "ranking",
        "ranking:ranking",
        ("scores", "tracing.rows"),
        "AUC and accuracy over all answers, along a student's history, and by group",
        _rule(
            "ranks-beyond-chance",
            "The area under the ROC curve is at least that of a random order",
            "auc",
            "Arithmetic, not law: a random order has an area of 0.5. How much more a use needs is "
            "for its owner to decide, in a policy of its own.",
            min=0.5,
        ),
        _rule(
            "alike-ranking",
            "The areas under the ROC curve of groups differ by at most 0.1",
            "auc_gap",
            "Ranking within each group as a matter of fairness in education: Gardner, Brooks & "
            "Baker, LAK 2019, who compare whole ROC curves and state no limit. The limit of 0.1 "
            f"{_CONVENTION}.",
            max=0.1,
        ),
    ),
    _check(
        "comparison",
        "ranking:comparison",
        ("scores", "tracing.rows"),
        "Gain in AUC over the item's mean and over the best logistic regression, same answers",
        _rule(
            "beyond-item-mean",
            "Knowing the student raises the area under the ROC curve over that of the item alone "
            "(gain)",
            "gain_over_item_mean",
            "Arithmetic, not law: without a gain the student's history is read for nothing.",
            min=0.0,
        ),
        _rule(
            "no-worse-than-regression",
            "The area under the ROC curve is at most 0.01 below that of a logistic regression on "
            "counts (gain, −0.01 or more)",
            "gain_over_best_lr",
            "Gervet et al., Journal of Educational Data Mining 12, 2020, find that regression hard "
            f"to beat on small logs, and state no limit; that 0.01 less is borne {_CONVENTION}.",
            min=-0.01,
        ),
    ),
    _check(
        "calibration",
        "calibration:calibration",
        ("scores", "tracing.rows"),
        "Mean probability less share right, in all, along a history and by group; slope",
        _rule(
            "calibrated",
            "Mean probability less the share of right answers lies between −0.05 and 0.05, in all "
            "and in every group",
            "calibration_gap",
            f"The limits of ±0.05 {_CONVENTION}; 0 is perfect.",
            min=-0.05,
            max=0.05,
        ),
    ),
    _check(
        "probe",
        "probe:probe",
        ("tracing.probe",),
        "Whether a score moves when only the answer that it predicts is turned round",
        _rule(
            "own-answer-unseen",
            "No score moves with the answer that it predicts (share that moves)",
            "own_answer_moves",
            "Arithmetic, not law: a score that moves with its own answer is no prediction (label "
            "leakage: Liu et al., pyKT, NeurIPS 2022 datasets and benchmarks).",
            max=0.0,
            decide="estimate",
        ),
    ),
)
