"""What this distribution offers: two solutions and their audit checks, without imports."""

from __future__ import annotations

from verticals.plugin import AuditCheckInfo, OptionInfo, SolutionInfo, hookimpl
from verticals_fraud_detection.check_infos import CHECKS

_FRAUD = SolutionInfo(
    name="fraud-detection",
    api_version=1,
    state_version=1,
    target="verticals_fraud_detection.solution:SOLUTION",
    drafter="verticals_fraud_detection.draft:refine",
    offers=frozenset({"private", "attributions", "reasons", "online"}),
    target_kinds=frozenset({"binary"}),
    domain="finance",
    summary="Scores events of cards, terminals, devices or accounts by their own history",
    intended_use=(
        "Ranks payments or claims by the probability of fraud for analysts who work a budget of "
        "alerts, in batch and one event at a time, with reasons for each alert."
    ),
    not_for=(
        "Not for blocking a person's account without a human look, not for entities or fraud "
        "patterns that the training data do not hold, and not for judging a person's character."
    ),
    requirements=(
        "one row for each event, with a binary label that became known later",
        "time: of the event; group: the customer, the unit of privacy",
        "entities: the card, terminal, device or account that an event is about, with the windows "
        "over which their earlier events are summed up",
        "amount with its currency, where there is one; label_delay or label_time",
        "declared bounds and categories for each further field; protected fields for the audit",
    ),
    options=(
        OptionInfo(
            name="network",
            default="table",
            private_default="additive",
            choices=("table", "additive", "sequence"),
            help="a network for tables, which ranks best; a sum of one curve per field with exact "
            "reasons; or one that also reads the entity's recent events in order",
        ),
        OptionInfo(
            name="beyond_unit",
            default="leave-out",
            choices=("leave-out", "refuse"),
            help="under privacy, what becomes of derived fields that read beyond the unit",
        ),
        OptionInfo(name="bins", default=16, help="bins of a numeric field that declares none"),
        OptionInfo(
            name="pairs",
            default=(),
            help='of the additive network: fields that may act together, [["a", "b"], …]',
        ),
        OptionInfo(name="pair_bins", default=8, help="bins of each field of a pair"),
    ),
)

_NOVELTY = SolutionInfo(
    name="fraud-novelty",
    api_version=1,
    state_version=1,
    target="verticals_fraud_detection.novelty:SOLUTION",
    drafter="verticals_fraud_detection.draft:refine",
    offers=frozenset({"private"}),
    target_kinds=frozenset({"binary", "none"}),
    domain="finance",
    summary="Scores how unlike all earlier events an event is, without labels",
    intended_use=(
        "Finds new patterns beside a trained detector: events that a network, which has learnt to "
        "reconstruct the usual ones, reconstructs badly."
    ),
    not_for="Not for decisions on its own: what is rare is mostly honest.",
    requirements=(
        "the requirements of fraud-detection, but for labels, which are not learnt from",
    ),
)


@hookimpl
def verticals_solutions() -> tuple[SolutionInfo, ...]:
    """Return the detector and the novelty score."""
    return (_FRAUD, _NOVELTY)


@hookimpl
def verticals_audit_checks() -> tuple[AuditCheckInfo, ...]:
    """Return the checks on ranking, workload, value, delay, parity and drift."""
    return CHECKS
