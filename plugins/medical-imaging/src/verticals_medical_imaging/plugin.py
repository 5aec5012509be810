"""What this distribution offers: one solution and its audit checks, described without imports."""

from __future__ import annotations

from verticals.plugin import AuditCheckInfo, OptionInfo, SolutionInfo, hookimpl
from verticals_medical_imaging.check_infos import CHECKS

_SOLUTION = SolutionInfo(
    name="medical-imaging",
    api_version=1,
    state_version=1,
    target="verticals_medical_imaging.solution:SOLUTION",
    drafter="verticals_medical_imaging.draft:refine",
    offers=frozenset({"private"}),
    target_kinds=frozenset({"binary", "categorical"}),
    domain="healthcare",
    summary="Reads images for declared findings, with calibrated probabilities, and may abstain",
    intended_use=(
        "Supports a radiologist: gives each declared finding a probability, marks images at a "
        "declared sensitivity, and says where it cannot tell, in the set of findings that stay "
        "plausible."
    ),
    not_for=(
        "Not a medical device as it stands, not for diagnosis without a physician, and not for "
        "modalities, views, scanners or patients that the training data do not hold."
    ),
    requirements=(
        "one row for each image: its path (PNG, JPEG, TIFF, NumPy, DICOM) below the table's own "
        "folder, or a folder of DICOM files",
        "group: the patient, by whom the data are split and who is the unit of privacy",
        "size, bounds and settings of the image field, which are the pipeline from file to pixels",
        "findings as binary targets, or exclusive ones as one categorical target",
        "sex, age (role: protected), view, manufacturer, site (role: stratum) where they are known",
    ),
    options=(
        OptionInfo(
            name="network",
            default="small",
            private_default="scattering",
            help="small (a residual network for low resolution), scattering, log-scattering "
            "(fixed filters and a linear head, best under privacy), or one of torchvision's",
        ),
        OptionInfo(
            name="norm",
            default="group",
            choices=("group", "batch"),
            help="group is the only one that private training takes",
        ),
        OptionInfo(name="augment", default="auto", help="none, or as shift=0.08,rotate=8,flip=1"),
        OptionInfo(name="frozen", default=False, help="train the head alone, on cached features"),
        OptionInfo(name="enlarge", default=1, help="scale images up so many times before the body"),
        OptionInfo(name="members", default=1, help="of an ensemble that shares its input"),
        OptionInfo(name="base", default=16, help="channels of the first stage of `small`"),
        OptionInfo(name="dropout", default=0.0, help="before the head of `small`"),
        OptionInfo(name="scales", default=0, help="of a scattering transform; 0: by the size"),
        OptionInfo(
            name="sensitivity",
            default=0.9,
            help="the decision is to find this share of positives; 0 leaves it to the contract",
        ),
        OptionInfo(name="coverage", default=0.9, help="of the sets, in every class"),
    ),
)


@hookimpl
def verticals_solutions() -> tuple[SolutionInfo, ...]:
    """Return the imaging solution."""
    return (_SOLUTION,)


@hookimpl
def verticals_audit_checks() -> tuple[AuditCheckInfo, ...]:
    """Return the checks on discrimination, abstention, calibration, confounders and maps."""
    return CHECKS
