"""What the audit checks are called, which evidence they need, and which rules they bring.

No law or guidance states a number for these measures. Where one asks for the measurement it is
named, and the limit is chance, what the solution itself declares, or a convention named as one.
"""

from __future__ import annotations

from functools import partial

from verticals.plugin import AuditCheckInfo, check_rule

_CHECKS = "verticals_medical_imaging.checks"
_CONVENTION = "is a convention of this plugin, not law"
_GMLP = (
    "Good Machine Learning Practice (FDA, Health Canada and MHRA, 2021) asks in its principle 8 "
    "for tests that consider {what}; it states no limit. "
)
_MARGIN = (
    "What is promised is the solution's own declaration; that 0.05 less is borne, so that an "
    f"audit of few images can pass, {_CONVENTION}."
)


_rule = partial(check_rule, "imaging")


CHECKS: tuple[AuditCheckInfo, ...] = (
    AuditCheckInfo(
        name="imaging.discrimination",
        target=f"{_CHECKS}.discrimination:discrimination",
        needs=("scores",),
        summary="Area under the ROC curve with DeLong's variance, over all images and by group",
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
                "alike-discrimination",
                "The areas under the ROC curve of groups differ by at most 0.1",
                "auc_gap",
                _GMLP.format(what="important subgroups") + f"The limit of 0.1 {_CONVENTION}.",
                max=0.1,
            ),
        ),
    ),
    AuditCheckInfo(
        name="imaging.operating_point",
        target=f"{_CHECKS}.discrimination:operating_point",
        needs=("scores",),
        summary="Sensitivity and specificity of the decision, over all images and by group",
        rules=(
            _rule(
                "sensitivity-as-declared",
                "The measured sensitivity is at most 0.05 below the declared one (shortfall)",
                "sensitivity_shortfall",
                _MARGIN,
                max=0.05,
            ),
            _rule(
                "alike-sensitivity",
                "The sensitivities of groups differ by at most 0.1",
                "sensitivity_gap",
                "Equality of opportunity: Hardt et al., NeurIPS 2016. "
                + _GMLP.format(what="important subgroups")
                + f"The limit of 0.1 {_CONVENTION}.",
                max=0.1,
            ),
            _rule(
                "alike-specificity",
                "The specificities of groups differ by at most 0.1",
                "specificity_gap",
                _GMLP.format(what="important subgroups") + f"The limit of 0.1 {_CONVENTION}.",
                max=0.1,
            ),
        ),
    ),
    AuditCheckInfo(
        name="imaging.calibration",
        target=f"{_CHECKS}.calibration:calibration",
        needs=("scores",),
        summary="How far probabilities are off: on the whole, on average over bins of equal "
        "counts, and in the worst bin",
        rules=(
            _rule(
                "calibrated",
                "Over bins of probability, mean probability and share with the finding differ by "
                "at most 0.1 on average (expected calibration error)",
                "ece",
                f"The limit of 0.1 {_CONVENTION}; 0 is perfect.",
                max=0.1,
            ),
            _rule(
                "calibrated-in-the-large",
                "Mean probability less the share of images with the finding lies between −0.05 and "
                "0.05",
                "calibration_in_the_large",
                "Calibration in the large: Van Calster et al., BMC Medicine 17, 2019, who state no "
                f"limit; ±0.05 {_CONVENTION}.",
                min=-0.05,
                max=0.05,
            ),
            _rule(
                "calibrated-in-every-bin",
                "In no bin do mean probability and share with the finding differ by more than 0.1 "
                "(largest difference)",
                "worst_bin",
                "An average can hide a range of probabilities that is far off. The limit of 0.1 "
                f"{_CONVENTION}.",
                max=0.1,
            ),
        ),
    ),
    AuditCheckInfo(
        name="imaging.prediction_sets",
        target=f"{_CHECKS}.abstention:prediction_sets",
        needs=("scores",),
        summary="How often prediction sets hold the truth, in total, by class and by group, and "
        "their size",
        rules=(
            _rule(
                "coverage-as-declared",
                "The measured coverage of prediction sets is at most 0.05 below the declared one "
                "(shortfall)",
                "coverage_shortfall",
                _MARGIN,
                max=0.05,
            ),
            _rule(
                "alike-coverage",
                "The coverages of prediction sets of groups differ by at most 0.1",
                "coverage_gap",
                "Equalized coverage: Romano et al., Harvard Data Science Review 2, 2020; conformal "
                f"sets do not promise it. The limit of 0.1 {_CONVENTION}.",
                max=0.1,
            ),
        ),
    ),
    AuditCheckInfo(
        name="imaging.abstention",
        target=f"{_CHECKS}.abstention:abstention",
        needs=("scores",),
        summary="Share of images on which the model abstains, and its accuracy on the others",
        rules=(
            _rule(
                "answers-most",
                "The model abstains on at most half of the images",
                "abstained",
                f"The limit {_CONVENTION}: a model that abstains more often is no help to readers.",
                max=0.5,
            ),
            _rule(
                "alike-abstention",
                "The shares of images on which the model abstains differ by at most 0.1 between "
                "groups",
                "abstained_gap",
                "Abstaining can widen gaps between groups (Jones et al., ICLR 2021). The limit of "
                f"0.1 {_CONVENTION}.",
                max=0.1,
            ),
        ),
    ),
    AuditCheckInfo(
        name="imaging.confounders",
        target=f"{_CHECKS}.confounders:confounders",
        needs=("scores", "imaging.confounders"),
        summary="How well view, scanner, site or another attribute alone predicts the finding",
        rules=(
            _rule(
                "no-shortcut",
                "How an image was taken predicts the finding with an area under the ROC curve of "
                "at most 0.6",
                "confounder_auc",
                _GMLP.format(what="potential confounding factors")
                + f"0.5 is no shortcut; the limit of 0.6 {_CONVENTION}.",
                max=0.6,
            ),
        ),
    ),
    AuditCheckInfo(
        name="imaging.saliency",
        target=f"{_CHECKS}.saliency:saliency",
        needs=("imaging.saliency",),
        summary="Whether maps change with the weights, and whether what they mark moves the score",
        rules=(
            _rule(
                "maps-depend-on-weights",
                "Maps have a rank correlation of at most 0.7 with those of a network with "
                "shuffled weights",
                "saliency_correlation",
                "Sanity check of Adebayo et al., NeurIPS 2018, which states no limit; 0.7 (half of "
                f"the variance of ranks) {_CONVENTION}.",
                max=0.7,
            ),
            _rule(
                "maps-mark-what-counts",
                "Deleting salient pixels lowers the score more than deleting pixels elsewhere "
                "(difference of log-odds)",
                "deletion_drop",
                "Arithmetic, not law: 0 is chance. Deletion: Petsiuk et al., BMVC 2018, held "
                "against masks of the same shape.",
                min=0,
            ),
        ),
    ),
)
