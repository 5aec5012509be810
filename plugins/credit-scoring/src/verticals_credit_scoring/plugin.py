"""What this distribution offers: one solution and two audit checks, described without imports."""

from __future__ import annotations

from verticals.plugin import AuditCheckInfo, OptionInfo, SolutionInfo, hookimpl

_SOLUTION = SolutionInfo(
    name="credit-scoring",
    api_version=1,
    state_version=1,
    target="verticals_credit_scoring.solution:SOLUTION",
    offers=frozenset({"private", "attributions", "reasons", "online"}),
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

_SCORE_BANDS = AuditCheckInfo(
    name="credit.score_bands",
    target="verticals_credit_scoring.checks:score_bands",
    needs=("scores",),
    summary="Rate of the outcome in each tenth of the score, and whether it rises with the score",
    rules=(
        {
            "id": "credit.bands-in-order",
            "title": "The outcome becomes more frequent from score band to score band",
            "section": "checks",
            "check": "credit.band_inversions",
            "max": 0,
            "decide": "estimate",
            "required": False,
            "source": "convention of scorecard validation: a band whose rate is below the one "
            "before it, beyond chance, contradicts the ranking",
        },
    ),
)

_STABILITY = AuditCheckInfo(
    name="credit.stability",
    target="verticals_credit_scoring.checks:stability",
    needs=("distribution",),
    summary="Population stability index of the score and of each field, training to audited data",
    rules=(
        {
            "id": "credit.score-stability",
            "title": "The score's distribution is stable from training to audited data",
            "section": "checks",
            "check": "credit.psi_score",
            "max": 0.25,
            "required": False,
            "source": "convention in credit risk (Siddiqi 2006): above 0.25 the population has "
            "shifted; a convention, not law",
        },
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
