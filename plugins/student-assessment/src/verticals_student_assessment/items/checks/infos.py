"""What the audit checks of item responses are called, what they need, and which rules they bring.

No law states a number for these measures. Each limit is one of the field's standing rules, named
with its source, or a convention of this plugin, named as one.
"""

from __future__ import annotations

from functools import partial

from verticals.plugin import AuditCheckInfo, check_rule

_CHECKS = "verticals_student_assessment.items.checks"
_SOLUTIONS = ("item-response",)
_CONVENTION = "is a convention of this plugin, not law"


_rule = partial(check_rule, "items")


CHECKS: tuple[AuditCheckInfo, ...] = (
    AuditCheckInfo(
        name="items.dif",
        target=f"{_CHECKS}.dif:mantel_haenszel",
        needs=("items.dif_comparisons", "items.dif_items", "items.dif_counts"),
        solutions=_SOLUTIONS,
        summary="Differential item functioning by Mantel–Haenszel, with ETS classes, by item and "
        "group",
        rules=(
            _rule(
                "no-item-in-class-c",
                "No item is in ETS class C, very different for persons of the same score (count "
                "of such items)",
                "dif_c_items",
                "ETS classes: Dorans & Holland 1993, Zwick, ETS RR-12-08, 2012. ETS and NAEP have "
                "persons review an item in class C before it counts. With fewer than 200 persons "
                "in the smaller group or 500 in both (Zieky 1993, for test assembly) an item is "
                "not classed. Such an item, or one whose limits reach the size of class C, leaves "
                f"the rule open. That one item in class C is a finding {_CONVENTION}.",
                max=0,
            ),
        ),
    ),
    AuditCheckInfo(
        name="items.dif_regression",
        target=f"{_CHECKS}.dif:logistic",
        needs=("items.dif_comparisons", "items.dif_items", "items.dif_counts"),
        solutions=_SOLUTIONS,
        summary="Uniform and non-uniform differential item functioning by logistic regression",
        rules=(
            _rule(
                "no-regression-dif",
                "No item shows moderate or large DIF by logistic regression, uniform or not "
                "(count of such items)",
                "dif_logistic_items",
                "Moderate is a change in Nagelkerke's R² of .035 or more (Jodoin & Gierl, Applied "
                "Measurement in Education 14, 2001), significant after Holm (1979) over the items. "
                "R² moves little with uniform DIF: items at the lower end of class C stay below "
                "this (benchmarks/dif_simulation.py), so that it adds to the rule on class C and "
                "does not stand in for it. An item as large that is not significant leaves the "
                f"rule open. That one such item is a finding {_CONVENTION}.",
                max=0,
            ),
        ),
    ),
    AuditCheckInfo(
        name="items.scale_reliability",
        target=f"{_CHECKS}.scale:reliability",
        needs=("items.reliability",),
        solutions=_SOLUTIONS,
        summary="Reliability of the scale, for everybody and by group",
        rules=(
            _rule(
                "reliable",
                "The reliability of the scores is at least 0.70",
                "reliability",
                "The EFPA review model of tests (2013) calls a reliability below .70 inadequate. "
                "Nunnally & Bernstein (1994) ask for .90 or more where persons are decided upon: "
                f"that a use with such decisions needs no more than .70 here {_CONVENTION}.",
                min=0.7,
            ),
        ),
    ),
    AuditCheckInfo(
        name="items.item_fit",
        target=f"{_CHECKS}.scale:item_fit",
        needs=("items.fit",),
        solutions=_SOLUTIONS,
        summary="Fit of each item to the model, and the share of items that do not fit",
        rules=(
            _rule(
                "items-fit",
                "At most a tenth of the items misfit the model",
                "misfit",
                "Significance grows with the number of persons, and among few it shows nothing: "
                "items with an RMSD (Köhler et al. 2020) of 0.1 or more that are not significant "
                "leave the rule open. That RMSD and the limit of a tenth of the items are "
                "conventions of this plugin, not law.",
                max=0.1,
            ),
        ),
    ),
    AuditCheckInfo(
        name="items.cut_scores",
        target=f"{_CHECKS}.scale:cut_scores",
        needs=("items.classification",),
        solutions=_SOLUTIONS,
        summary="Standard error, consistency and accuracy of decisions at the cut scores",
        rules=(
            _rule(
                "precise-at-the-cut",
                "The standard error at a cut score is at most half a standard deviation of ability",
                "cut_error",
                "The Standards for Educational and Psychological Testing (2014, standard 2.14) ask "
                "for the standard error in the vicinity of each cut score and state no limit. 0.5 "
                "of a standard deviation of ability (an information of 4) "
                f"{_CONVENTION}.",
                max=0.5,
                decide="estimate",
            ),
            _rule(
                "consistent-decisions",
                "At least four fifths of persons would stay on their side of the cut in a "
                "parallel test",
                "classification_consistency",
                "The Standards (2014, standard 2.16) ask for the share of persons classified the "
                f"same way on two occasions and state no limit; 0.8 {_CONVENTION}.",
                min=0.8,
            ),
        ),
    ),
)
