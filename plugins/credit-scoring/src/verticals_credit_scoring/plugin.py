"""What this distribution offers: one solution and two audit checks, described without imports."""

from __future__ import annotations

from functools import partial

from verticals.plugin import AuditCheckInfo, OptionInfo, SolutionInfo, check_rule, hookimpl

_SOLUTION = SolutionInfo(
    name="credit-scoring",
    api_version=1,
    state_version=1,
    target="verticals_credit_scoring.solution:SOLUTION",
    offers=frozenset({"private", "attributions", "reasons", "online"}),
    target_kinds=frozenset({"binary"}),
    domain="finance",
    summary="Scores applications by a sum of one readable curve per field",
    intended_use=(
        "Supports a lender's decision on a credit application: ranks applications by the "
        "probability of the outcome that the contract names, with reasons for each decline."
    ),
    not_for=(
        "Not for decisions without human review where the law demands one, not for groups or "
        "products that the training data do not hold, and not for marketing or collection."
    ),
    requirements=(
        "one row for each application, with a binary outcome that has been observed",
        "declared bounds or bins for each numeric field, and declared categories",
        "protected attributes (role: protected) where the law lets you hold them, for the audit",
        "a decision: a cut on the score, or the share of applications to decline",
    ),
    options=(
        OptionInfo(
            name="network",
            default="additive",
            choices=("additive", "residual"),
            help="a sum of one curve per field with exact attributions, or a network for tables",
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

_rule = partial(check_rule, "credit")

_SCORE_BANDS = AuditCheckInfo(
    name="credit.score_bands",
    target="verticals_credit_scoring.checks:score_bands",
    needs=("scores",),
    summary="Rate of the outcome in each tenth of the score, and whether it rises with the score",
    rules=(
        _rule(
            "outcome-rises-with-score",
            "From each tenth of the score to the next the outcome's rate rises on the whole "
            "(slope a tenth)",
            "band_rise",
            "Arithmetic, not law: a rate that does not rise with the score is not ranked by it.",
            min=0,
        ),
        _rule(
            "bands-in-order",
            "No tenth of the score has a lower rate of the outcome than the tenth before it (count "
            "of such tenths)",
            "band_inversions",
            "Convention of scorecard validation, not law: a band whose rate is below the one "
            "before it contradicts the ranking. The lower limit counts the bands that are shown to "
            "be below, the upper one adds those that are not shown to be above.",
            max=0,
        ),
    ),
)

_STABILITY = AuditCheckInfo(
    name="credit.stability",
    target="verticals_credit_scoring.checks:stability",
    needs=("distribution",),
    summary="Population stability index of the score and of each field, training to audited data",
    rules=(
        _rule(
            "score-stability",
            "The score's distribution has shifted at most a little from training to audited data "
            "(population stability index)",
            "psi_score",
            "Convention in credit risk (Siddiqi 2006): above 0.25 the population has shifted; a "
            "convention, not law.",
            max=0.25,
        ),
    ),
)


@hookimpl
def verticals_solutions() -> tuple[SolutionInfo, ...]:
    """Return the credit-scoring solution."""
    return (_SOLUTION,)


@hookimpl
def verticals_audit_checks() -> tuple[AuditCheckInfo, ...]:
    """Return the checks on score bands and stability."""
    return (_SCORE_BANDS, _STABILITY)
