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
                "The score ranks images with the finding above others",
                "auc",
                "Arithmetic, not law: a random order has an area of 0.5. How much more a use needs "
                "is for its owner to decide, in a policy of its own.",
                min=0.5,
            ),
            _rule(
                "alike-discrimination",
                "The score ranks about as well in every group",
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
                "The operating point finds about as many as declared",
                "sensitivity_shortfall",
                _MARGIN,
                max=0.05,
            ),
            _rule(
                "alike-sensitivity",
                "The finding is found about as often in every group",
                "sensitivity_gap",
                "Equality of opportunity: Hardt et al., NeurIPS 2016. "
                + _GMLP.format(what="important subgroups")
                + f"The limit of 0.1 {_CONVENTION}.",
                max=0.1,
            ),
            _rule(
                "alike-specificity",
                "False alarms are about as frequent in every group",
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
        summary="Expected calibration error in bins of equal counts, over all images and by group",
        rules=(
            _rule(
                "calibrated",
                "A probability means about what it says",
                "ece",
                f"The limit of 0.1 {_CONVENTION}; 0 is perfect.",
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
                "Prediction sets hold the truth about as often as declared",
                "coverage_shortfall",
                _MARGIN,
                max=0.05,
            ),
            _rule(
                "alike-coverage",
                "Prediction sets hold the truth about as often in every group",
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
                "The model gives a finding for at least half of the images",
                "abstained",
                f"The limit {_CONVENTION}: a model that abstains more often is no help to readers.",
                max=0.5,
            ),
            _rule(
                "alike-abstention",
                "The model abstains about as often in every group",
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
                "How an image was taken does not predict the finding",
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
                "Maps of a network with shuffled weights look different",
                "saliency_correlation",
                "Sanity check of Adebayo et al., NeurIPS 2018, which states no limit; 0.7 (half of "
                f"the variance of ranks) {_CONVENTION}.",
                max=0.7,
            ),
            _rule(
                "maps-mark-what-counts",
                "Salient pixels lower the score more than pixels elsewhere",
                "deletion_p_value",
                "Deletion: Petsiuk et al., BMVC 2018, held against masks of the same shape. A "
                f"p-value has no interval; the level of 0.05 {_CONVENTION}.",
                max=0.05,
                decide="estimate",
            ),
        ),
    ),
)
