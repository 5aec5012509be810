"""What the audit checks are called, which evidence they need, and which rules they bring.

A limit here is chance, a plan that the contract itself declares, or a convention that is named as
one: what a bank holds its model to belongs into its own policy file.
"""

from __future__ import annotations

from functools import partial

from verticals.plugin import AuditCheckInfo, check_rule

_CHECKS = "verticals_fraud_detection.checks"
_BLIND = (
    "Arithmetic, not law: {what}, so that 1 is chance. How much more a use needs is for its owner "
    "to decide, in a policy of its own."
)


_rule = partial(check_rule, "fraud")


CHECKS: tuple[AuditCheckInfo, ...] = (
    AuditCheckInfo(
        name="fraud.ranking",
        target=f"{_CHECKS}.ranking:ranking",
        needs=("scores",),
        summary="Average precision beside the share of frauds, and the frauds found where 1 % and "
        "5 % of genuine events are under alert",
        rules=(
            _rule(
                "ranks-beyond-chance",
                "Average precision is at least that of a random order (ratio of the two)",
                "lift",
                _BLIND.format(what="a random order has an average precision of the base rate"),
                min=1,
            ),
        ),
    ),
    AuditCheckInfo(
        name="fraud.card_precision",
        target=f"{_CHECKS}.alerts:card_precision",
        needs=("scores", "fraud.events"),
        summary="Defrauded cards among the 10 and the 100 highest-scored cards of each day",
        rules=(
            _rule(
                "cards-beyond-chance",
                "The cards with the highest scores are defrauded at least as often as cards "
                "picked blindly (ratio of the two shares)",
                "card_precision_lift",
                _BLIND.format(what="cards picked blindly reach the day's share of defrauded ones")
                + " The measure is that of the Fraud Detection Handbook (Le Borgne et al. 2022).",
                min=1,
            ),
        ),
    ),
    AuditCheckInfo(
        name="fraud.value",
        target=f"{_CHECKS}.alerts:value",
        needs=("scores", "fraud.events"),
        summary="Share of the defrauded amount under alert, by the decision and at 100 alerts a "
        "day",
        rules=(
            _rule(
                "value-beyond-chance",
                "The share of the defrauded amount under alert is at least the share of the "
                "events under alert (ratio of the two)",
                "value_lift",
                _BLIND.format(what="blind alerts find as much of the value as of the events"),
                min=1,
            ),
        ),
    ),
    AuditCheckInfo(
        name="fraud.workload",
        target=f"{_CHECKS}.alerts:workload",
        needs=("scores", "fraud.events"),
        summary="Alerts that the decision raises, how many of them are fraud, and the alerts that "
        "90 % of the frauds would take",
        rules=(
            _rule(
                "alerts-as-planned",
                "The decision raises at most one and a half times as many alerts as the contract "
                "declares (ratio of the two)",
                "alerts_over_planned",
                "The share is the contract's own; that up to one and a half times as many alerts "
                "are borne is a convention of this plugin, not law.",
                max=1.5,
            ),
        ),
    ),
    AuditCheckInfo(
        name="fraud.time_to_detection",
        target=f"{_CHECKS}.alerts:time_to_detection",
        needs=("scores", "fraud.events"),
        summary="Minutes from a card's first fraud to its next alert, and cards never detected",
        rules=(
            _rule(
                "most-cards-detected",
                "At most half of the defrauded cards are never detected",
                "never_detected",
                "Convention of this plugin, not law: with more than half undetected no median "
                "time to detection exists.",
                max=0.5,
            ),
        ),
    ),
    AuditCheckInfo(
        name="fraud.calibration",
        target=f"{_CHECKS}.ranking:calibration",
        needs=("scores",),
        summary="Expected over observed frauds after the correction of the prior, and the slope",
        rules=(
            _rule(
                "expected-as-observed",
                "The frauds expected by the score are between two thirds and one and a half times "
                "those that occurred (ratio of the two)",
                "expected_over_observed",
                "1 is calibration in the large (Van Calster et al., BMC Medicine 17, 2019). The "
                "limits, one and a half times too little or too much, are a convention of this "
                "plugin, not law; costs and savings that are computed from the score err alike.",
                min=0.667,
                max=1.5,
            ),
        ),
    ),
    AuditCheckInfo(
        name="fraud.false_positive_parity",
        target=f"{_CHECKS}.groups:false_positive_parity",
        needs=("scores",),
        summary="Share of genuine events under alert in each group, and how far groups are apart",
        rules=(
            _rule(
                "alike-false-alarms",
                "The lowest group's rate of false alarms is at least four fifths of the highest "
                "group's (ratio of the two)",
                "false_positive_ratio",
                "Predictive equality: Corbett-Davies et al., KDD 2017; as a ratio, and for fraud: "
                "Jesus et al., NeurIPS 2022. The limit of four fifths is borrowed from 29 CFR "
                "1607.4(D), a rule on employment: a convention here, not law.",
                min=0.8,
            ),
        ),
    ),
    AuditCheckInfo(
        name="fraud.alert_burden",
        target=f"{_CHECKS}.groups:alert_burden",
        needs=("scores", "fraud.events"),
        summary="Alerts per 1,000 genuine events and the share of genuine cards disturbed, in "
        "each group",
        rules=(
            _rule(
                "alike-burden",
                "The lowest group's share of genuine cards disturbed is at least four fifths of "
                "the highest group's (ratio of the two)",
                "cards_disturbed_ratio",
                "Convention, not law: the four fifths of 29 CFR 1607.4(D), a rule on employment, "
                "held against persons rather than events. A group with more events a card is "
                "disturbed more often though each event is treated alike.",
                min=0.8,
            ),
        ),
    ),
    AuditCheckInfo(
        name="fraud.drift",
        target=f"{_CHECKS}.drift:drift",
        needs=("fraud.weekly",),
        summary="Population stability index of the score and of each field, by week, against the "
        "training part",
        rules=(
            _rule(
                "score-stability",
                "The score's distribution has shifted at most a little from the training part to "
                "each week (population stability index)",
                "psi_score",
                "Convention of credit risk (Siddiqi 2006), not law and not made for fraud: above "
                "0.25 the population has shifted.",
                max=0.25,
            ),
        ),
    ),
)
